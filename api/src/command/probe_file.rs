//! Options for writing the configuration of a server's probe.

use crate::Error;
use clap::Args;
use std::net::IpAddr;
use std::path::PathBuf;
use zonepulse_central::servers::probe_file::ProbeFile;
use zonepulse_model::Interval;
use zonepulse_private::Prepared;

/// The contents of a probe's configuration, besides the server and its token, and where to write it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct ProbeArguments {
    /// Write a configuration for the server's probe to this file, readable only by its owner
    #[arg(long = "probe-config", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Overwrite that file if it exists
    #[arg(long, requires = "file")]
    pub(super) force: bool,
    /// The URL at which the probe reaches this central [default: from the settings or the configuration]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The file, on the probe's machine, of the only certificate authority to trust
    #[arg(long, value_name = "FILE", requires = "file")]
    pub(super) ca_file: Option<PathBuf>,
    /// The directory in which the probe keeps batches until they are delivered
    #[arg(long, value_name = "DIR", default_value = "/var/lib/zonepulse-probe", requires = "file")]
    pub(super) spool: PathBuf,
    /// The network interface that the probe listens on
    #[arg(long, value_name = "NAME", default_value = "any", requires = "file")]
    pub(super) device: String,
    /// A port of the DNS server; may be repeated
    #[arg(long = "port", value_name = "PORT", default_values_t = [53], requires = "file", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) ports: Vec<u16>,
    /// The DNS server's addresses: `local` for all addresses of the machine, `any`, or a comma-separated list
    #[arg(long, value_name = "ADDRESSES", default_value = "local", requires = "file")]
    pub(super) addresses: String,
    /// Length of an interval, seconds; divides 300
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "file")]
    pub(super) interval_s: u32,
}

impl ProbeArguments {
    /// Makes sure that the file can be written before a token is created for it. Another server's file is not overwritten by
    /// accident.
    pub(super) fn prepare(&self) -> Result<Option<Prepared>, Error> {
        self.check()?;
        Ok(self.file.as_deref().map(|file| Prepared::new(file, self.force)).transpose()?)
    }

    /// Rejects what the probe would reject.
    fn check(&self) -> Result<(), Error> {
        Interval::new(self.interval_s).map_err(|error| Error::Argument(format!("--interval-s: {error}")))?;
        if self.ports.contains(&0) {
            return Err(Error::Argument("--port: must be from 1 to 65535, not 0".to_owned()));
        }
        if let Some((url, what)) = self.url.as_deref().and_then(|url| Some((url, zonepulse_model::url::fault(url)?))) {
            return Err(Error::Argument(format!("--url: {url:?} {what}")));
        }
        if self.device.is_empty() || self.device.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::Argument(format!(
                "--device: must be the name of a network interface, or any, not {:?}",
                self.device
            )));
        }
        let known = matches!(self.addresses.as_str(), "local" | "any");
        for address in self.addresses.split(',').filter(|_| !known).map(str::trim) {
            if address.parse::<IpAddr>().is_err() {
                return Err(Error::Argument(format!("--addresses: {address:?} is neither local, any nor an IP address")));
            }
        }
        Ok(())
    }

    /// The contents of the file for a central at this address, certified by the authority in this file.
    pub(super) fn file(&self, url: String, ca_file: Option<PathBuf>) -> ProbeFile {
        ProbeFile {
            url,
            ca_file,
            spool: self.spool.clone(),
            device: self.device.clone(),
            ports: self.ports.clone(),
            addresses: self.addresses.clone(),
            interval_s: self.interval_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(addresses: &str) -> ProbeArguments {
        ProbeArguments {
            file: None,
            force: false,
            url: None,
            ca_file: None,
            spool: PathBuf::from("/tmp/a \"spool\""),
            device: "any".to_owned(),
            ports: vec![53, 5353],
            addresses: addresses.to_owned(),
            interval_s: 60,
        }
    }

    #[test]
    fn what_the_probe_would_refuse_is_refused() {
        let with = |interval_s, addresses| ProbeArguments { interval_s, ..example(addresses) }.check();
        for (interval_s, addresses) in [(60, "local"), (1, "any"), (300, "192.0.2.53, 2001:db8::53")] {
            assert!(with(interval_s, addresses).is_ok(), "{interval_s} {addresses}");
        }
        for (interval_s, addresses) in [(0, "local"), (7, "local"), (600, "local"), (60, ""), (60, "ns1"), (60, "any,192.0.2.53")]
        {
            assert!(with(interval_s, addresses).is_err(), "{interval_s} {addresses}");
        }
    }

    #[test]
    fn a_port_a_url_and_a_device_that_no_probe_takes_are_refused_by_name() {
        let refused = |file: ProbeArguments| file.check().unwrap_err().to_string();
        assert_eq!(refused(ProbeArguments { ports: vec![53, 0], ..example("local") }), "--port: must be from 1 to 65535, not 0");
        for url in ["central", "http://", "ftp://central", "http://central:0"] {
            let said = refused(ProbeArguments { url: Some(url.to_owned()), ..example("local") });
            assert!(said.starts_with(&format!("--url: {url:?} ")), "{said}");
        }
        let said = refused(ProbeArguments { device: String::new(), ..example("local") });
        assert!(said.starts_with("--device: "), "{said}");
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns1.toml");
        std::fs::write(&path, "token = \"another's\"").unwrap();
        let file = ProbeArguments { file: Some(path.clone()), ..example("local") };
        let refused = file.prepare().unwrap_err().to_string();
        assert!(refused.contains("ns1.toml exists already") && refused.contains("--force"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "token = \"another's\"");
        assert!(ProbeArguments { force: true, ..file }.prepare().unwrap().is_some());
        assert!(example("local").prepare().unwrap().is_none());
    }
}
