//! A probe's configuration file, written for a server that was just made.

use crate::Error;
use clap::Args;
use serde_json::json;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zonepulse_private::Prepared;

/// Where a central is by default.
const DEFAULT_URL: &str = "http://127.0.0.1:8053";

/// What the file says, besides the server and its token.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProbeFile {
    /// Write a configuration for the server's probe into this file, readable by its owner only
    #[arg(long = "probe-config", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Overwrite that file if it is there
    #[arg(long, requires = "file")]
    pub force: bool,
    /// Where the probe finds this central [default: as the settings or the configuration say]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The file, on the probe's machine, of the only authority to trust
    #[arg(long, value_name = "FILE", requires = "file")]
    pub ca_file: Option<PathBuf>,
    /// The directory in which the probe keeps batches until they are delivered
    #[arg(long, value_name = "DIR", default_value = "/var/lib/zonepulse-probe", requires = "file")]
    pub spool: PathBuf,
    /// The network interface that the probe listens on
    #[arg(long, value_name = "NAME", default_value = "any", requires = "file")]
    pub device: String,
    /// A port of the DNS server (repeatable)
    #[arg(long = "port", value_name = "PORT", default_values_t = [53], requires = "file", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
    /// The DNS server's addresses: `local` for all of the machine, `any`, or addresses with commas between
    #[arg(long, value_name = "ADDRESSES", default_value = "local", requires = "file")]
    pub addresses: String,
    /// The length of an interval, seconds; divides 300
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "file")]
    pub interval_s: u32,
}

impl Default for ProbeFile {
    /// As without any argument.
    fn default() -> Self {
        ProbeFile {
            file: None,
            force: false,
            url: None,
            ca_file: None,
            spool: PathBuf::from("/var/lib/zonepulse-probe"),
            device: "any".to_owned(),
            ports: vec![53],
            addresses: "local".to_owned(),
            interval_s: 60,
        }
    }
}

impl ProbeFile {
    /// Makes sure that the file can be written, before there is a token for it. Another server's
    /// is not overwritten by accident.
    pub fn prepare(&self) -> Result<Option<Prepared>, Error> {
        self.check()?;
        Ok(self.file.as_deref().map(|file| Prepared::new(file, self.force)).transpose()?)
    }

    /// Refuses what the probe would refuse.
    fn check(&self) -> Result<(), Error> {
        if self.interval_s == 0 || !300u32.is_multiple_of(self.interval_s) {
            return Err(Error::Argument(format!("--interval-s: {} does not divide 300", self.interval_s)));
        }
        if self.ports.contains(&0) {
            return Err(Error::Argument("--port: must be from 1 to 65535, not 0".to_owned()));
        }
        if let Some((url, what)) = self.url.as_deref().and_then(|url| Some((url, zonepulse_store::bad_url(url)?))) {
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

    /// The file's text.
    pub fn text(&self, server_id: u32, name: &str, token: &str) -> String {
        // JSON's strings, numbers and arrays of them are TOML's too.
        let addresses = match self.addresses.as_str() {
            word @ ("local" | "any") => json!(word),
            list => list.split(',').map(str::trim).collect(),
        };
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing into memory cannot fail.
            let _ = writeln!(text, "{line}");
        };
        line(format!("# The probe of server {server_id}, {}.", json!(name)));
        line("# The token is a secret: chmod 600, or the probe refuses this file.".to_owned());
        line(format!("server_id = {server_id}"));
        line(format!("interval_s = {}", self.interval_s));
        line("\n[capture]".to_owned());
        line(format!("device = {}", json!(self.device)));
        line(format!("ports = {}", json!(self.ports)));
        line(format!("addresses = {addresses}"));
        line("\n[spool]".to_owned());
        line(format!("dir = {}", path(&self.spool)));
        if let Some(file) = &self.ca_file {
            line(format!("\n[tls]\nca_file = {}", path(file)));
        }
        line("\n[deliver]\ncommunication = \"http\"\n\n[deliver.http]".to_owned());
        line(format!("url = {}", json!(self.url.as_deref().unwrap_or(DEFAULT_URL))));
        line(format!("token = {}", json!(token)));
        text
    }
}

/// A path as the probe finds it, wherever it is started from.
fn path(path: &Path) -> serde_json::Value {
    // Only of an empty path, or without a current directory, there is none; the probe refuses either.
    json!(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn example(addresses: &str) -> ProbeFile {
        ProbeFile {
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
    fn the_file_has_all_that_a_probe_needs() {
        expect![[r#"
            # The probe of server 7, "ns1".
            # The token is a secret: chmod 600, or the probe refuses this file.
            server_id = 7
            interval_s = 60

            [capture]
            device = "any"
            ports = [53,5353]
            addresses = "local"

            [spool]
            dir = "/tmp/a \"spool\""

            [deliver]
            communication = "http"

            [deliver.http]
            url = "http://127.0.0.1:8053"
            token = "abc"
        "#]]
        .assert_eq(&example("local").text(7, "ns1", "abc"));
    }

    #[test]
    fn a_relative_spool_is_written_as_an_absolute_one() {
        let text = ProbeFile { spool: "p1/spool".into(), ..example("local") }.text(7, "ns1", "abc");
        let spool = std::env::current_dir().unwrap().join("p1/spool");
        assert!(text.contains(&format!("\ndir = {}\n", json!(spool.to_str().unwrap()))), "{text}");
    }

    #[test]
    fn an_authority_is_named_where_there_is_one() {
        let file = ProbeFile { ca_file: Some("/etc/zonepulse-probe/ca.pem".into()), ..example("local") };
        let text = file.text(7, "ns1", "abc");
        assert!(text.contains("\n\n[tls]\nca_file = \"/etc/zonepulse-probe/ca.pem\"\n\n[deliver]\n"), "{text}");
    }

    #[test]
    fn what_the_probe_would_refuse_is_refused() {
        let with = |interval_s, addresses| ProbeFile { interval_s, ..example(addresses) }.check();
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
        let refused = |file: ProbeFile| file.check().unwrap_err().to_string();
        assert_eq!(refused(ProbeFile { ports: vec![53, 0], ..example("local") }), "--port: must be from 1 to 65535, not 0");
        for url in ["central", "http://", "ftp://central", "http://central:0"] {
            let said = refused(ProbeFile { url: Some(url.to_owned()), ..example("local") });
            assert!(said.starts_with(&format!("--url: {url:?} ")), "{said}");
        }
        let said = refused(ProbeFile { device: String::new(), ..example("local") });
        assert!(said.starts_with("--device: "), "{said}");
    }

    #[test]
    fn a_file_that_is_there_is_not_overwritten_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns1.toml");
        std::fs::write(&path, "token = \"another's\"").unwrap();
        let file = ProbeFile { file: Some(path.clone()), ..example("local") };
        let refused = file.prepare().unwrap_err().to_string();
        assert!(refused.contains("ns1.toml exists already") && refused.contains("--force"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "token = \"another's\"");
        assert!(ProbeFile { force: true, ..file }.prepare().unwrap().is_some());
        assert!(example("local").prepare().unwrap().is_none());
    }

    #[test]
    fn addresses_may_be_a_list() {
        let text = example("192.0.2.53, 2001:db8::53").text(7, "ns1", "abc");
        assert!(text.contains("\naddresses = [\"192.0.2.53\",\"2001:db8::53\"]\n"), "{text}");
    }
}
