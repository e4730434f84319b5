//! A probe's configuration file, generated for a newly created server.

use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Default URL of a central.
const DEFAULT_URL: &str = "http://127.0.0.1:8053";

/// Contents of the file, apart from the server and its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFile {
    /// The URL at which the probe reaches this central.
    pub url: String,
    /// The file, on the probe's machine, with the only certificate authority to trust.
    pub ca_file: Option<PathBuf>,
    /// The directory in which the probe spools batches until they are delivered.
    pub spool: PathBuf,
    /// The network interface that the probe captures on.
    pub device: String,
    /// The ports of the DNS server.
    pub ports: Vec<u16>,
    /// The DNS server's addresses: `local` for all of the machine, `any`, or a comma-separated list.
    pub addresses: String,
    /// The length of an interval, seconds; divides 300.
    pub interval_s: u32,
}

impl Default for ProbeFile {
    fn default() -> Self {
        ProbeFile {
            url: DEFAULT_URL.to_owned(),
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
    /// The file's text.
    pub fn text(&self, server_id: u32, name: &str, token: &str) -> String {
        // JSON strings, numbers and arrays of them are also valid TOML.
        let addresses = match self.addresses.as_str() {
            word @ ("local" | "any") => json!(word),
            list => list.split(',').map(str::trim).collect(),
        };
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string cannot fail.
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
        line(format!("url = {}", json!(self.url)));
        line(format!("token = {}", json!(token)));
        text
    }
}

/// A path that does not depend on the directory the probe is started from.
fn path(path: &Path) -> serde_json::Value {
    // Fails only for an empty path or without a current directory; the probe rejects both.
    json!(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn example(addresses: &str) -> ProbeFile {
        ProbeFile {
            url: DEFAULT_URL.to_owned(),
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
    fn addresses_may_be_a_list() {
        let text = example("192.0.2.53, 2001:db8::53").text(7, "ns1", "abc");
        assert!(text.contains("\naddresses = [\"192.0.2.53\",\"2001:db8::53\"]\n"), "{text}");
    }
}
