//! The sign of life of a probe, and what the central answers.
//!
//! A probe sends one every 30 seconds, whatever else it can or cannot do: the
//! heartbeat tells what does not work. Everything that crosses versions is read
//! leniently: unknown fields are passed over, absent ones that are optional are `None`.

use crate::settings::ProbeSettings;
use serde::{Deserialize, Serialize};

/// How often a probe sends one, seconds.
pub const HEARTBEAT_INTERVAL_S: u32 = 30;
/// More bytes than a heartbeat or an answer to it has.
pub const MAX_HEARTBEAT_BYTES: usize = 64 << 10;

/// How the probe and its machine are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When it was made, by the probe's clock, Unix milliseconds.
    pub sent_at_ms: u64,
    /// When this process began, in the numbering of its batches.
    pub epoch: u64,
    /// The version of `zonepulse-probe`.
    pub probe_version: String,
    /// For how long the probe has been running, seconds.
    pub uptime_s: u64,
    /// The machine's name.
    pub hostname: String,
    /// Its operating system, as in `Debian GNU/Linux 13`.
    pub os: String,
    /// The version of the central's settings that are in force; none while the
    /// probe does what its own configuration says.
    #[serde(default)]
    pub settings_version: Option<u64>,
    /// What of the central's settings the probe does not follow, and why; none when it follows all.
    #[serde(default)]
    pub settings_refused: Option<String>,
    /// What runs on the machine.
    pub components: Components,
    /// Whether DNS messages are being counted.
    pub capture: CaptureState,
    /// What waits to be sent.
    pub spool: SpoolState,
}

/// The programs that a managed server is made of; what is not installed is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Components {
    /// The DNS server.
    #[serde(default)]
    pub dns: Option<Component>,
    /// The probe itself.
    #[serde(default)]
    pub monitor: Option<Component>,
    /// The DHCP server for IPv4.
    #[serde(default)]
    pub dhcp4: Option<Component>,
    /// The DHCP server for IPv6.
    #[serde(default)]
    pub dhcp6: Option<Component>,
    /// What makes backups.
    #[serde(default)]
    pub backup: Option<Component>,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Whether it runs.
    pub state: State,
    /// What it says its version is; none when it does not say.
    #[serde(default)]
    pub version: Option<String>,
    /// Which program it is, as in `knotd`.
    #[serde(default)]
    pub name: Option<String>,
    /// Who it says that it is, of several that look alike; none when it does not say.
    #[serde(default)]
    pub identity: Option<String>,
}

/// Whether something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Running,
    /// It is there, and does not.
    Stopped,
}

/// Whether DNS messages are being counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureState {
    /// Whether they are.
    pub state: State,
    /// Why they are not.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What waits to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolState {
    /// Batches that the central has not confirmed.
    pub batches: u64,
    /// Their size, bytes.
    pub size_bytes: u64,
}

/// What the central answers to a heartbeat, and posts to a probe that it pulls from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// When the heartbeat arrived, by the central's clock, Unix milliseconds. It shows
    /// how far the two clocks are apart.
    pub received_at_ms: u64,
    /// The version of these settings; it rises with every change.
    pub settings_version: u64,
    /// What the probe shall do.
    pub settings: ProbeSettings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_what_is_optional_may_be_absent() {
        let text = r#"{
            "sent_at_ms": 1, "epoch": 2, "probe_version": "9.9.9", "uptime_s": 3, "hostname": "ns1", "os": "Debian",
            "colour": "green", "components": { "dns": { "state": "running", "mood": "good" } },
            "capture": { "state": "stopped" }, "spool": { "batches": 4, "size_bytes": 5, "oldest": 6 }
        }"#;
        let heartbeat: Heartbeat = serde_json::from_str(text).unwrap();
        assert_eq!(
            heartbeat.components.dns,
            Some(Component { state: State::Running, version: None, name: None, identity: None })
        );
        assert_eq!((heartbeat.settings_version, heartbeat.components.backup), (None, None));
    }

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let text = concat!(
            r#"{"received_at_ms":7,"settings_version":3,"settings":{"dns_monitoring":true,"dns_interval_s":60,"#,
            r#""system_monitoring":true,"system_interval_s":5,"communication":"http","api_url":null,"verify_ca":true,"rabbitmq":null}}"#
        );
        let answer = HeartbeatAnswer { received_at_ms: 7, settings_version: 3, settings: ProbeSettings::default() };
        assert_eq!(serde_json::to_string(&answer).unwrap(), text);
        assert_eq!(serde_json::from_str::<HeartbeatAnswer>(text).unwrap(), answer);
    }
}
