//! Heartbeats of a probe, and the central's answers.
//!
//! A probe sends one every 30 seconds, whatever else fails: the heartbeat reports what does not
//! work. Everything is read leniently across versions: unknown fields are ignored, and missing
//! optional ones are `None`.

use crate::bounds::END_OF_TIME_S;
use crate::settings::ProbeSettings;
use serde::{Deserialize, Serialize};

/// The interval between heartbeats, seconds.
pub const HEARTBEAT_INTERVAL_S: u32 = 30;
/// Maximum size of a heartbeat or its answer, bytes.
pub const MAX_HEARTBEAT_BYTES: usize = 64 << 10;

/// Maximum length of a text in a heartbeat, bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Maximum count in a heartbeat, which JSON readers can represent exactly.
pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// The state of the probe and its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When it was created, by the probe's clock, Unix milliseconds.
    pub sent_at_ms: u64,
    /// The epoch of this process, as in its batches.
    pub epoch: u64,
    /// The version of `zonepulse-probe`.
    pub probe_version: String,
    /// How long the probe has been running, seconds.
    pub uptime_s: u64,
    /// The host name.
    pub hostname: String,
    /// The operating system, as in `Debian GNU/Linux 13`.
    pub os: String,
    /// The version of the central's settings in force; none while only the probe's own
    /// configuration applies.
    #[serde(default)]
    pub settings_version: Option<u64>,
    /// Which of the central's settings the probe does not apply, and why; none if it applies all.
    #[serde(default)]
    pub settings_refused: Option<String>,
    /// The services on the machine.
    pub components: Components,
    /// Whether DNS messages are being counted.
    pub capture: CaptureState,
    /// What is waiting to be sent.
    pub spool: SpoolState,
    /// Whether it runs diagnostics when the answer orders it ([`HeartbeatAnswer::diagnose`]); earlier
    /// versions do not say, and do not.
    #[serde(default)]
    pub diagnoses: bool,
}

impl Heartbeat {
    /// Validates what the central stores; the error names the invalid field.
    pub fn check(&self) -> Result<(), String> {
        let Heartbeat { sent_at_ms, epoch: _, uptime_s, settings_version, spool, .. } = self;
        let numbers = [
            ("sent_at_ms", *sent_at_ms, END_OF_TIME_S * 1000 - 1),
            ("uptime_s", *uptime_s, END_OF_TIME_S),
            ("settings_version", settings_version.unwrap_or(0), MAX_COUNT),
            ("spool.batches", spool.batches, MAX_COUNT),
            ("spool.size_bytes", spool.size_bytes, MAX_COUNT),
        ];
        if let Some((field, value, most)) = numbers.into_iter().find(|(_, value, most)| value > most) {
            return Err(format!("{field}: {value} is more than {most}"));
        }
        let texts = [("probe_version", &self.probe_version), ("hostname", &self.hostname), ("os", &self.os)];
        if self.capture.blind.len() > MAX_BLINDNESSES {
            return Err(format!("capture.blind: {} reasons are more than {MAX_BLINDNESSES}", self.capture.blind.len()));
        }
        let detail = self.capture.detail.as_ref().map(|detail| ("capture.detail", detail));
        let blind = self.capture.blind.iter().map(|blindness| ("capture.blind", &blindness.detail));
        let refused = self.settings_refused.as_ref().map(|refused| ("settings_refused", refused));
        let mut texts = texts.into_iter().chain(detail).chain(blind).chain(refused).chain(self.components.texts());
        match texts.find(|(_, text)| text.len() > MAX_TEXT_BYTES) {
            Some((field, text)) => Err(format!("{field}: a text of {} bytes is longer than {MAX_TEXT_BYTES}", text.len())),
            None => Ok(()),
        }
    }
}

/// The components of a managed server; absent if not installed.
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
    /// The backup program.
    #[serde(default)]
    pub backup: Option<Component>,
}

impl Components {
    /// All texts, with the names of their components.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let Components { dns, monitor, dhcp4, dhcp6, backup } = self;
        let all = [
            ("components.dns", dns),
            ("components.monitor", monitor),
            ("components.dhcp4", dhcp4),
            ("components.dhcp6", dhcp6),
            ("components.backup", backup),
        ];
        all.into_iter().filter_map(|(name, component)| Some((name, component.as_ref()?))).flat_map(|(name, component)| {
            let Component { state: _, version, name: program, identity } = component;
            [version, program, identity].into_iter().flatten().map(move |text| (name, text))
        })
    }
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Whether it is running.
    pub state: State,
    /// The version it reports; none if it does not.
    #[serde(default)]
    pub version: Option<String>,
    /// The program, as in `knotd`.
    #[serde(default)]
    pub name: Option<String>,
    /// The identity it reports, which distinguishes servers that look alike; none if it does not.
    #[serde(default)]
    pub identity: Option<String>,
}

/// Whether something is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Running.
    Running,
    /// Installed, but not running.
    Stopped,
}

/// Whether DNS messages are being counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureState {
    /// Whether messages are being counted.
    pub state: State,
    /// The reason if it is not; otherwise anything that readers of the counts should know.
    #[serde(default)]
    pub detail: Option<String>,
    /// Why the counts may miss messages of the DNS server although messages are being counted;
    /// empty if nothing suggests so. Time in which it is not empty counts as
    /// [`BlindMs`](crate::Counter::BlindMs).
    #[serde(default)]
    pub blind: Vec<Blindness>,
}

/// A reason to believe that a running probe is missing messages of the DNS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blindness {
    /// The kind of reason.
    pub reason: BlindReason,
    /// What was found and what to do, as in `knotd listens on port 5353 (UDP, TCP) of 127.0.0.1,
    /// but capture.ports has 53: set capture.ports = [5353]`.
    pub detail: String,
}

/// Why a probe may be missing messages of the DNS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlindReason {
    /// The DNS server listens on ports or addresses that are not observed.
    OtherSockets,
    /// DNS messages use ports that are not observed.
    OtherPorts,
    /// No message since the probe started, except its own queries.
    NoMessage,
    /// Requests but no responses.
    NoResponses,
    /// Responses but no requests.
    NoRequests,
    /// A reason defined by a later version.
    #[serde(other)]
    Unknown,
}

impl BlindReason {
    /// The reasons known to this version.
    pub const KNOWN: [BlindReason; 5] = [
        BlindReason::OtherSockets,
        BlindReason::OtherPorts,
        BlindReason::NoMessage,
        BlindReason::NoResponses,
        BlindReason::NoRequests,
    ];
}

/// Maximum number of reasons in a heartbeat.
pub const MAX_BLINDNESSES: usize = 16;

/// What is waiting to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolState {
    /// Batches not yet confirmed by the central.
    pub batches: u64,
    /// Their total size, bytes.
    pub size_bytes: u64,
}

/// The central's answer to a heartbeat, which it also posts to a probe that it pulls from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// When the heartbeat arrived, by the central's clock, Unix milliseconds. Shows how far the two
    /// clocks differ.
    pub received_at_ms: u64,
    /// The version of these settings, which increases with every change.
    pub settings_version: u64,
    /// The settings of the probe.
    pub settings: ProbeSettings,
    /// Orders diagnostics: the number of the run, under which the probe sends the result to
    /// [`DIAGNOSTICS_PATH`]. The order is repeated until the result arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnose: Option<u64>,
    /// Batches that the central wants again; none if it has forgotten none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<Resend>,
}

/// Delivered batches to send again, because the central was restored from a backup and has forgotten them. Those that it
/// has not forgotten count once all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resend {
    /// Identifies the request: when the central was restored, Unix milliseconds. A probe follows each request once.
    pub restored_at_ms: u64,
    /// Batches delivered at this time or later are wanted, by the central's clock, Unix milliseconds.
    pub delivered_since_ms: u64,
}

/// Where a probe posts the result of diagnostics, with the parameter `run`.
pub const DIAGNOSTICS_PATH: &str = "/api/v2/monitoring/diagnostics";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RabbitmqSettings;
    use proptest::prelude::*;
    use zonepulse_model::Communication;

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
        assert_eq!((heartbeat.settings_version, heartbeat.components.backup, heartbeat.diagnoses), (None, None, false));
    }

    #[test]
    fn a_reason_that_a_later_version_names_is_unknown() {
        let text = r#"{ "state": "running", "blind": [{ "reason": "moonlight", "detail": "too bright" }] }"#;
        let capture: CaptureState = serde_json::from_str(text).unwrap();
        assert_eq!(capture.blind, [Blindness { reason: BlindReason::Unknown, detail: "too bright".into() }]);
    }

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            sent_at_ms: 1_767_225_600_000,
            epoch: u64::MAX,
            probe_version: "0.1.0".into(),
            uptime_s: 60,
            hostname: "ns1".into(),
            os: "Debian GNU/Linux 13".into(),
            settings_version: Some(3),
            components: Components::default(),
            capture: CaptureState { state: State::Running, detail: None, blind: Vec::new() },
            spool: SpoolState { batches: 1, size_bytes: 100 },
            settings_refused: None,
            diagnoses: true,
        }
    }

    #[test]
    fn a_number_or_text_past_its_bound_is_named() {
        let long = || "x".repeat(MAX_TEXT_BYTES + 1);
        let component = |name: String| Some(Component { state: State::Running, version: None, name: Some(name), identity: None });
        let refused = |field: &str, change: &dyn Fn(&mut Heartbeat)| {
            let mut heartbeat = heartbeat();
            change(&mut heartbeat);
            let reason = heartbeat.check().unwrap_err();
            assert!(reason.starts_with(&format!("{field}: ")), "{reason}");
        };
        refused("sent_at_ms", &|h| h.sent_at_ms = END_OF_TIME_S * 1000);
        refused("uptime_s", &|h| h.uptime_s = u64::MAX);
        refused("settings_version", &|h| h.settings_version = Some(1 << 53));
        refused("spool.batches", &|h| h.spool.batches = u64::MAX);
        refused("spool.size_bytes", &|h| h.spool.size_bytes = 1 << 53);
        refused("hostname", &|h| h.hostname = long());
        refused("settings_refused", &|h| h.settings_refused = Some(long()));
        refused("capture.detail", &|h| h.capture.detail = Some(long()));
        let blind = |detail| Blindness { reason: BlindReason::NoMessage, detail };
        refused("capture.blind", &|h| h.capture.blind = vec![blind(long())]);
        refused("capture.blind", &|h| h.capture.blind = vec![blind(String::new()); MAX_BLINDNESSES + 1]);
        refused("components.backup", &|h| h.components.backup = component(long()));
        let mut largest = heartbeat();
        largest.sent_at_ms = END_OF_TIME_S * 1000 - 1;
        (largest.spool.batches, largest.uptime_s) = (MAX_COUNT, END_OF_TIME_S);
        (largest.os, largest.components.dns) = ("x".repeat(MAX_TEXT_BYTES), component("x".repeat(MAX_TEXT_BYTES)));
        assert_eq!(largest.check(), Ok(()));
    }

    fn any_number() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(1), Just(MAX_COUNT), Just(MAX_COUNT + 1), Just(u64::MAX), any::<u64>()]
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), Just("\u{0}\"\\\u{1f600}".to_owned()), "\\PC{0,20}"]
    }

    fn any_component() -> impl Strategy<Value = Option<Component>> {
        let state = prop_oneof![Just(State::Running), Just(State::Stopped)];
        let of = |(state, version, name, identity)| Component { state, version, name, identity };
        let text = || prop::option::of(any_text());
        prop::option::of((state, text(), text(), text()).prop_map(of))
    }

    fn any_blindnesses() -> impl Strategy<Value = Vec<Blindness>> {
        let reasons = vec![BlindReason::OtherSockets, BlindReason::NoMessage, BlindReason::NoRequests, BlindReason::Unknown];
        let of = |(reason, detail)| Blindness { reason, detail };
        prop::collection::vec((prop::sample::select(reasons), any_text()).prop_map(of), 0..3)
    }

    fn any_heartbeat() -> impl Strategy<Value = Heartbeat> {
        let numbers = (any_number(), any_number(), any_number(), prop::option::of(any_number()), any_number(), any_number());
        let component = any_component;
        let components = (component(), component(), component(), component(), component());
        let told = || prop::option::of(any_text());
        (numbers, any_text(), any_text(), components, (told(), told(), any_blindnesses())).prop_map(
            |(
                (sent_at_ms, epoch, uptime_s, settings_version, batches, size_bytes),
                hostname,
                os,
                components,
                (detail, refused, blind),
            )| {
                let (dns, monitor, dhcp4, dhcp6, backup) = components;
                Heartbeat {
                    sent_at_ms,
                    epoch,
                    probe_version: "9".into(),
                    uptime_s,
                    hostname,
                    os,
                    settings_version,
                    components: Components { dns, monitor, dhcp4, dhcp6, backup },
                    capture: CaptureState { state: State::Stopped, detail, blind },
                    spool: SpoolState { batches, size_bytes },
                    settings_refused: refused,
                    diagnoses: uptime_s % 2 == 0,
                }
            },
        )
    }

    fn any_settings() -> impl Strategy<Value = ProbeSettings> {
        let ways = vec![Communication::Http, Communication::Rabbitmq, Communication::Pull];
        let rabbitmq = (any_text(), any::<u16>(), any::<bool>(), any_text()).prop_map(|(address, port, tls, password)| {
            RabbitmqSettings { address, port, tls, virtual_host: "/".into(), user: "probe".into(), password: password.into() }
        });
        let flags = any::<(bool, bool, bool, bool)>();
        let seconds = || prop_oneof![Just(0), Just(1), Just(300), Just(3600), Just(u32::MAX), any::<u32>()];
        let text = || prop::option::of(any_text());
        (flags, seconds(), seconds(), prop::sample::select(ways), (text(), text()), prop::option::of(rabbitmq)).prop_map(
            |(
                (dns_monitoring, dns_served, system_monitoring, verify_ca),
                dns,
                system,
                communication,
                (api_url, pull_token),
                rabbitmq,
            )| {
                ProbeSettings {
                    dns_monitoring,
                    dns_interval_s: dns,
                    dns_served,
                    system_monitoring,
                    system_interval_s: system,
                    communication,
                    api_url,
                    verify_ca,
                    rabbitmq,
                    pull_token: pull_token.map(Into::into),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn any_heartbeat_reads_as_it_was_written(heartbeat in any_heartbeat()) {
            let text = serde_json::to_string(&heartbeat).unwrap();
            prop_assert_eq!(serde_json::from_str::<Heartbeat>(&text).unwrap(), heartbeat);
        }

        #[test]
        fn any_answer_reads_as_it_was_written(
            received_at_ms in any_number(),
            version in any_number(),
            settings in any_settings(),
            diagnose in prop::option::of(any_number()),
        ) {
            let answer = HeartbeatAnswer { received_at_ms, settings_version: version, settings, diagnose, resend: None };
            let text = serde_json::to_string(&answer).unwrap();
            prop_assert_eq!(serde_json::from_str::<HeartbeatAnswer>(&text).unwrap(), answer);
        }
    }

    #[test]
    fn an_answer_reads_as_it_was_written() {
        let text = concat!(
            r#"{"received_at_ms":7,"settings_version":3,"settings":{"dns_monitoring":true,"dns_interval_s":60,"dns_served":true,"#,
            r#""system_monitoring":true,"system_interval_s":5,"communication":"http","api_url":null,"verify_ca":true,"rabbitmq":null}}"#
        );
        let settings = ProbeSettings::default();
        let answer = HeartbeatAnswer { received_at_ms: 7, settings_version: 3, settings, diagnose: None, resend: None };
        assert_eq!(serde_json::to_string(&answer).unwrap(), text);
        assert_eq!(serde_json::from_str::<HeartbeatAnswer>(text).unwrap(), answer);
        let order = text.replacen('{', r#"{"diagnose":9,"#, 1);
        assert_eq!(serde_json::from_str::<HeartbeatAnswer>(&order).unwrap(), HeartbeatAnswer { diagnose: Some(9), ..answer });
    }
}
