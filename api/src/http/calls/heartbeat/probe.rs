//! What probes report about themselves and their machines, and the settings that they get.
//!
//! These types are read, written and described; `zonepulse_wire` has the same ones for probes, without descriptions of their
//! members. Their JSON is the same, and so is what errors say about it (`expecting`), which the tests compare.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zonepulse_model::Communication;
use zonepulse_private::{Secret, reveal};
use zonepulse_wire as wire;

/// Whether something is running.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(expecting = "enum State", rename_all = "lowercase")]
pub enum StateWord {
    /// Running.
    Running,
    /// Not running.
    Stopped,
}

impl From<wire::State> for StateWord {
    fn from(state: wire::State) -> Self {
        match state {
            wire::State::Running => StateWord::Running,
            wire::State::Stopped => StateWord::Stopped,
        }
    }
}

impl From<StateWord> for wire::State {
    fn from(state: StateWord) -> Self {
        match state {
            StateWord::Running => wire::State::Running,
            StateWord::Stopped => wire::State::Stopped,
        }
    }
}

/// The services on a managed server; null if not installed.
#[derive(Serialize, Deserialize, Default, ToSchema)]
#[serde(expecting = "struct Components")]
pub struct ComponentsBody {
    /// The DNS server.
    dns: Option<ComponentBody>,
    /// The probe itself.
    monitor: Option<ComponentBody>,
    /// The DHCP server for IPv4.
    dhcp4: Option<ComponentBody>,
    /// The DHCP server for IPv6.
    dhcp6: Option<ComponentBody>,
    /// The backup program.
    backup: Option<ComponentBody>,
}

impl From<wire::Components> for ComponentsBody {
    fn from(components: wire::Components) -> Self {
        let wire::Components { dns, monitor, dhcp4, dhcp6, backup } = components;
        let [dns, monitor, dhcp4, dhcp6, backup] = [dns, monitor, dhcp4, dhcp6, backup].map(|one| one.map(Into::into));
        ComponentsBody { dns, monitor, dhcp4, dhcp6, backup }
    }
}

impl From<ComponentsBody> for wire::Components {
    fn from(components: ComponentsBody) -> Self {
        let ComponentsBody { dns, monitor, dhcp4, dhcp6, backup } = components;
        let [dns, monitor, dhcp4, dhcp6, backup] = [dns, monitor, dhcp4, dhcp6, backup].map(|one| one.map(Into::into));
        wire::Components { dns, monitor, dhcp4, dhcp6, backup }
    }
}

/// A service.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(expecting = "struct Component")]
pub struct ComponentBody {
    /// Whether it is running.
    state: StateWord,
    /// The version it reports; null if it does not.
    version: Option<String>,
    /// The program, such as `knotd`.
    name: Option<String>,
    /// The identity it reports (`id.server`), which distinguishes servers that look alike; null if it does not.
    identity: Option<String>,
}

impl From<wire::Component> for ComponentBody {
    fn from(wire::Component { state, version, name, identity }: wire::Component) -> Self {
        ComponentBody { state: state.into(), version, name, identity }
    }
}

impl From<ComponentBody> for wire::Component {
    fn from(ComponentBody { state, version, name, identity }: ComponentBody) -> Self {
        wire::Component { state: state.into(), version, name, identity }
    }
}

/// Whether DNS messages are being counted.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(expecting = "struct CaptureState")]
pub struct CaptureBody {
    /// Whether they are.
    state: StateWord,
    /// Why they are not; otherwise anything that readers of the counts should know.
    detail: Option<String>,
    /// Why the counts may be missing messages of the DNS server although messages are being counted; empty if nothing
    /// suggests so.
    #[serde(default)]
    blind: Vec<BlindnessBody>,
}

impl From<wire::CaptureState> for CaptureBody {
    fn from(wire::CaptureState { state, detail, blind }: wire::CaptureState) -> Self {
        let blind = blind.into_iter().map(|wire::Blindness { reason, detail }| BlindnessBody { reason, detail });
        CaptureBody { state: state.into(), detail, blind: blind.collect() }
    }
}

impl From<CaptureBody> for wire::CaptureState {
    fn from(CaptureBody { state, detail, blind }: CaptureBody) -> Self {
        let blind = blind.into_iter().map(|BlindnessBody { reason, detail }| wire::Blindness { reason, detail });
        wire::CaptureState { state: state.into(), detail, blind: blind.collect() }
    }
}

/// A reason to believe that a running probe does not see all messages of the DNS server.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(expecting = "struct Blindness")]
pub struct BlindnessBody {
    /// Which one: `other_sockets` (the DNS server listens on ports or addresses that are not observed), `other_ports` (DNS
    /// messages use ports that are not observed), `no_message` (none since the probe started), `no_responses` (only requests
    /// are seen), `no_requests` (only responses are seen), or `unknown` for a reason of a later version of the probe.
    #[schema(value_type = String, example = "other_sockets")]
    reason: wire::BlindReason,
    /// What was found and what to do.
    detail: String,
}

/// What is waiting to be sent.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(expecting = "struct SpoolState")]
pub struct SpoolBody {
    /// Batches not yet confirmed by the central.
    batches: u64,
    /// Their total size, bytes.
    size_bytes: u64,
}

impl From<wire::SpoolState> for SpoolBody {
    fn from(wire::SpoolState { batches, size_bytes }: wire::SpoolState) -> Self {
        SpoolBody { batches, size_bytes }
    }
}

impl From<SpoolBody> for wire::SpoolState {
    fn from(SpoolBody { batches, size_bytes }: SpoolBody) -> Self {
        wire::SpoolState { batches, size_bytes }
    }
}

/// The state of the probe and its machine.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "struct Heartbeat")]
pub struct HeartbeatBody {
    /// When it was created, by the probe's clock, Unix milliseconds.
    sent_at_ms: u64,
    /// The run of the probe, as in its batches.
    epoch: u64,
    /// The version of the probe.
    #[schema(max_length = 1024)]
    probe_version: String,
    /// How long it has been running, seconds.
    uptime_s: u64,
    /// The host name.
    #[schema(max_length = 1024)]
    hostname: String,
    /// The operating system.
    #[schema(max_length = 1024)]
    os: String,
    /// The version of the settings in effect; absent while only the probe's own configuration applies.
    settings_version: Option<u64>,
    /// Which settings the probe does not apply, and why.
    #[schema(max_length = 1024)]
    settings_refused: Option<String>,
    /// The services on the machine.
    components: ComponentsBody,
    /// Whether DNS messages are being counted.
    capture: CaptureBody,
    /// What is waiting to be sent.
    spool: SpoolBody,
    /// Whether it runs diagnostics when the answer orders it; false if absent.
    #[serde(default)]
    diagnoses: bool,
}

impl From<HeartbeatBody> for wire::Heartbeat {
    fn from(body: HeartbeatBody) -> Self {
        wire::Heartbeat {
            sent_at_ms: body.sent_at_ms,
            epoch: body.epoch,
            probe_version: body.probe_version,
            uptime_s: body.uptime_s,
            hostname: body.hostname,
            os: body.os,
            settings_version: body.settings_version,
            settings_refused: body.settings_refused,
            components: body.components.into(),
            capture: body.capture.into(),
            spool: body.spool.into(),
            diagnoses: body.diagnoses,
        }
    }
}

/// The answer to a heartbeat.
#[derive(Serialize, ToSchema)]
pub struct HeartbeatAnswerBody {
    /// When the heartbeat arrived, by the central's clock, Unix milliseconds.
    received_at_ms: u64,
    /// The version of these settings, which increases with every change.
    settings_version: u64,
    /// The probe's settings.
    settings: ProbeSettingsBody,
    /// Orders diagnostics: the number of the run, for `send_diagnostics`. Absent if there is no order.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnose: Option<u64>,
    /// Batches that the central wants again; absent if it has forgotten none.
    #[serde(skip_serializing_if = "Option::is_none")]
    resend: Option<ResendBody>,
}

/// Delivered batches to send again, because the central was restored from a backup and has forgotten them.
#[derive(Serialize, ToSchema)]
pub struct ResendBody {
    /// Identifies the request: when the central was restored, Unix milliseconds. A probe follows each request once.
    restored_at_ms: u64,
    /// Batches delivered at this time or later are wanted, by the central's clock, Unix milliseconds.
    delivered_since_ms: u64,
}

impl From<wire::HeartbeatAnswer> for HeartbeatAnswerBody {
    fn from(answer: wire::HeartbeatAnswer) -> Self {
        let wire::HeartbeatAnswer { received_at_ms, settings_version, settings, diagnose, resend } = answer;
        let resend =
            resend.map(|wire::Resend { restored_at_ms, delivered_since_ms }| ResendBody { restored_at_ms, delivered_since_ms });
        HeartbeatAnswerBody { received_at_ms, settings_version, settings: settings.into(), diagnose, resend }
    }
}

/// A probe's settings.
#[derive(Serialize, ToSchema)]
pub struct ProbeSettingsBody {
    /// Whether to count DNS messages.
    dns_monitoring: bool,
    /// The length of a DNS interval, seconds.
    dns_interval_s: u32,
    /// Whether to count which records responses served.
    dns_served: bool,
    /// Whether to measure the machine itself.
    system_monitoring: bool,
    /// How often to measure it, seconds.
    system_interval_s: u32,
    /// How batches reach the central: `http`, `rabbitmq` or `pull`.
    #[schema(value_type = String)]
    communication: Communication,
    /// The URL of this API; null for that of the probe's own configuration.
    api_url: Option<String>,
    /// Whether to verify certificates.
    verify_ca: bool,
    /// The broker, if batches are sent through it.
    rabbitmq: Option<RabbitmqBody>,
    /// The token that the central presents, if it pulls batches.
    #[serde(serialize_with = "reveal", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pull_token: Option<Secret>,
}

impl From<wire::ProbeSettings> for ProbeSettingsBody {
    fn from(settings: wire::ProbeSettings) -> Self {
        ProbeSettingsBody {
            dns_monitoring: settings.dns_monitoring,
            dns_interval_s: settings.dns_interval_s,
            dns_served: settings.dns_served,
            system_monitoring: settings.system_monitoring,
            system_interval_s: settings.system_interval_s,
            communication: settings.communication,
            api_url: settings.api_url,
            verify_ca: settings.verify_ca,
            rabbitmq: settings.rabbitmq.map(Into::into),
            pull_token: settings.pull_token,
        }
    }
}

/// The broker's address and credentials. Only the server's own probe gets them.
#[derive(Serialize, ToSchema)]
pub struct RabbitmqBody {
    /// A host name or an IP address.
    address: String,
    /// The port.
    port: u16,
    /// Whether to use TLS.
    tls: bool,
    /// The virtual host.
    virtual_host: String,
    /// The user.
    user: String,
    /// The user's password.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String)]
    password: Secret,
}

impl From<wire::RabbitmqSettings> for RabbitmqBody {
    fn from(broker: wire::RabbitmqSettings) -> Self {
        let wire::RabbitmqSettings { address, port, tls, virtual_host, user, password } = broker;
        RabbitmqBody { address, port, tls, virtual_host, user, password }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::example::heartbeat;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    const RESEND: wire::Resend = wire::Resend { restored_at_ms: 3, delivered_since_ms: 2 };

    fn described(schema: impl Serialize) -> BTreeSet<String> {
        let schema = serde_json::to_value(schema).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    fn members(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    /// Settings with everything in them.
    fn settings() -> wire::ProbeSettings {
        let rabbitmq = wire::RabbitmqSettings {
            address: "a".to_owned(),
            port: 1,
            tls: true,
            virtual_host: "/".to_owned(),
            user: "b".to_owned(),
            password: "c".into(),
        };
        let api_url = Some("https://central.example:8053".to_owned());
        wire::ProbeSettings { api_url, rabbitmq: Some(rabbitmq), pull_token: Some("d".into()), ..Default::default() }
    }

    /// A heartbeat with everything in it.
    fn full() -> wire::Heartbeat {
        let mut said = heartbeat(1);
        let dns = said.components.dns.clone();
        let of = |name: &str| {
            Some(wire::Component { state: wire::State::Stopped, name: Some(name.to_owned()), ..dns.clone().unwrap() })
        };
        said.components = wire::Components { dns: of("a"), monitor: of("b"), dhcp4: of("c"), dhcp6: of("d"), backup: of("e") };
        (said.settings_refused, said.capture.detail) = (Some("f".to_owned()), Some("g".to_owned()));
        said.capture.blind = wire::BlindReason::KNOWN
            .into_iter()
            .map(|reason| wire::Blindness { reason, detail: format!("{reason:?}") })
            .collect();
        said
    }

    #[test]
    fn what_machines_say_is_described_as_it_is() {
        let said = serde_json::to_value(heartbeat(1)).unwrap();
        assert_eq!(described(HeartbeatBody::schema()), members(&said));
        assert_eq!(described(ComponentsBody::schema()), members(&said["components"]));
        assert_eq!(described(ComponentBody::schema()), members(&said["components"]["dns"]));
        assert_eq!(described(CaptureBody::schema()), members(&said["capture"]));
        assert_eq!(described(BlindnessBody::schema()), members(&json!({"reason": "no_message", "detail": ""})));
        assert_eq!(described(SpoolBody::schema()), members(&said["spool"]));
        let (diagnose, resend) = (Some(3), Some(RESEND));
        let answer = wire::HeartbeatAnswer { received_at_ms: 1, settings_version: 2, settings: settings(), diagnose, resend };
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(described(HeartbeatAnswerBody::schema()), members(&answer));
        assert_eq!(described(ResendBody::schema()), members(&answer["resend"]));
        assert_eq!(described(ProbeSettingsBody::schema()), members(&answer["settings"]));
        assert_eq!(described(RabbitmqBody::schema()), members(&answer["settings"]["rabbitmq"]));
    }

    #[test]
    fn a_heartbeat_is_read_as_probes_write_it() {
        for said in [heartbeat(1), full()] {
            let read: HeartbeatBody = serde_json::from_str(&serde_json::to_string(&said).unwrap()).unwrap();
            assert_eq!(wire::Heartbeat::from(read), said);
        }
    }

    #[test]
    fn what_a_heartbeat_lacks_or_adds_is_read_as_probes_read_it() {
        let text = r#"{
            "sent_at_ms": 1, "epoch": 2, "probe_version": "9.9.9", "uptime_s": 3, "hostname": "ns1", "os": "Debian",
            "colour": "green", "components": { "dns": { "state": "running", "mood": "good" } },
            "capture": { "state": "stopped", "blind": [{ "reason": "moonlight", "detail": "too bright" }] },
            "spool": { "batches": 4, "size_bytes": 5, "oldest": 6 }
        }"#;
        let read: wire::Heartbeat = serde_json::from_str::<HeartbeatBody>(text).unwrap().into();
        assert_eq!(read, serde_json::from_str::<wire::Heartbeat>(text).unwrap());
        assert_eq!(read.capture.blind.first().map(|blind| blind.reason), Some(wire::BlindReason::Unknown));
    }

    #[test]
    fn what_is_wrong_with_a_heartbeat_is_said_in_the_words_of_probes() {
        let changed = |pointer: &str, value: Value| {
            let mut said = serde_json::to_value(full()).unwrap();
            *said.pointer_mut(pointer).unwrap() = value;
            said
        };
        let invalid =
            ["", "/components", "/components/dns", "/capture", "/capture/blind/0", "/spool"].map(|at| changed(at, json!("x")));
        let missing = ["", "/components/dns", "/capture", "/capture/blind/0", "/spool"].map(|at| changed(at, json!({})));
        let words = ["/components/dns/state", "/capture/state"].map(|at| changed(at, json!("asleep")));
        for said in invalid.into_iter().chain(missing).chain(words) {
            let read = serde_json::from_value::<HeartbeatBody>(said.clone()).map(|_| ()).unwrap_err();
            let read_by_probes = serde_json::from_value::<wire::Heartbeat>(said.clone()).unwrap_err();
            assert_eq!(read.to_string(), read_by_probes.to_string(), "{said}");
        }
    }

    #[test]
    fn an_answer_is_written_as_probes_read_it() {
        for settings in [wire::ProbeSettings::default(), settings()] {
            let (diagnose, resend) = (Some(3), Some(RESEND));
            let answer = wire::HeartbeatAnswer { received_at_ms: 1, settings_version: 2, settings, diagnose, resend };
            let written = serde_json::to_string(&HeartbeatAnswerBody::from(answer.clone())).unwrap();
            assert_eq!(written, serde_json::to_string(&answer).unwrap());
            assert_eq!(serde_json::from_str::<wire::HeartbeatAnswer>(&written).unwrap(), answer);
        }
    }

    #[test]
    fn why_a_probe_is_blind_is_told_in_the_words_of_its_heartbeat() {
        let told = |reason| serde_json::to_value(BlindnessBody { reason, detail: String::new() }).unwrap()["reason"].clone();
        let words = ["other_sockets", "other_ports", "no_message", "no_responses", "no_requests"];
        assert_eq!(wire::BlindReason::KNOWN.map(told), words);
        assert_eq!(told(wire::BlindReason::Unknown), "unknown");
        for reason in wire::BlindReason::KNOWN {
            assert_eq!(serde_json::to_value(reason).unwrap(), told(reason));
        }
    }
}
