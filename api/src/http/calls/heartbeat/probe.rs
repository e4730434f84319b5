//! What probes say of themselves and their machines, and what they are told: as it is described, and as lists show it.

use serde::Serialize;
use utoipa::ToSchema;
use zonepulse_wire as wire;

/// Whether something runs.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StateWord {
    /// It does.
    Running,
    /// It does not.
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

/// The programs that a managed server is made of; what is not installed is null.
#[derive(Serialize, Default, ToSchema)]
pub struct ComponentsBody {
    /// The DNS server.
    dns: Option<ComponentBody>,
    /// The probe itself.
    monitor: Option<ComponentBody>,
    /// The DHCP server for IPv4.
    dhcp4: Option<ComponentBody>,
    /// The DHCP server for IPv6.
    dhcp6: Option<ComponentBody>,
    /// What makes backups.
    backup: Option<ComponentBody>,
}

impl From<wire::Components> for ComponentsBody {
    fn from(components: wire::Components) -> Self {
        let body = |component: Option<wire::Component>| {
            component.map(|wire::Component { state, version, name, identity }| ComponentBody {
                state: state.into(),
                version,
                name,
                identity,
            })
        };
        let wire::Components { dns, monitor, dhcp4, dhcp6, backup } = components;
        ComponentsBody { dns: body(dns), monitor: body(monitor), dhcp4: body(dhcp4), dhcp6: body(dhcp6), backup: body(backup) }
    }
}

/// One program.
#[derive(Serialize, ToSchema)]
pub struct ComponentBody {
    /// Whether it runs.
    state: StateWord,
    /// What it says its version is; null when it does not say.
    version: Option<String>,
    /// Which program it is, as in `knotd`.
    name: Option<String>,
    /// Who it says that it is, of several that look alike (`id.server`); null when it does not say.
    identity: Option<String>,
}

/// Whether DNS messages are being counted.
#[derive(Serialize, ToSchema)]
pub struct CaptureBody {
    /// Whether they are.
    state: StateWord,
    /// Why they are not; or what whoever reads the counts should know of them.
    detail: Option<String>,
    /// Why the counts may miss messages of the DNS server although messages are being counted; empty when nothing suggests it.
    #[serde(default)]
    blind: Vec<BlindnessBody>,
}

impl From<wire::CaptureState> for CaptureBody {
    fn from(wire::CaptureState { state, detail, blind }: wire::CaptureState) -> Self {
        let blind = blind.into_iter().map(|wire::Blindness { reason, detail }| BlindnessBody { reason: word(reason), detail });
        CaptureBody { state: state.into(), detail, blind: blind.collect() }
    }
}

/// As a heartbeat says it.
fn word(reason: wire::BlindReason) -> &'static str {
    match reason {
        wire::BlindReason::OtherSockets => "other_sockets",
        wire::BlindReason::OtherPorts => "other_ports",
        wire::BlindReason::NoMessage => "no_message",
        wire::BlindReason::NoResponses => "no_responses",
        wire::BlindReason::NoRequests => "no_requests",
        wire::BlindReason::Unknown => "unknown",
    }
}

/// A reason to believe that a running probe does not see all messages of the DNS server.
#[derive(Serialize, ToSchema)]
pub struct BlindnessBody {
    /// Which one: `other_sockets` (the DNS server listens on ports or addresses that are not observed), `other_ports` (DNS
    /// messages use ports that are not observed), `no_message` (none was seen since the probe began), `no_responses` (only
    /// requests are seen), `no_requests` (only responses are), or `unknown` for what a later version of the probe names.
    #[schema(example = "other_sockets")]
    reason: &'static str,
    /// What was found and what to do.
    detail: String,
}

/// What waits to be sent.
#[derive(Serialize, ToSchema)]
pub struct SpoolBody {
    /// Batches that are not confirmed.
    batches: u64,
    /// Their size, bytes.
    size_bytes: u64,
}

impl From<wire::SpoolState> for SpoolBody {
    fn from(wire::SpoolState { batches, size_bytes }: wire::SpoolState) -> Self {
        SpoolBody { batches, size_bytes }
    }
}

/// How the probe and its machine are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub struct HeartbeatBody {
    /// When it was made, by the probe's clock, Unix milliseconds.
    sent_at_ms: u64,
    /// When the probe began, in the numbering of its batches.
    epoch: u64,
    /// The version of the probe.
    #[schema(max_length = 1024)]
    probe_version: String,
    /// For how long it has been running, seconds.
    uptime_s: u64,
    /// The machine's name.
    #[schema(max_length = 1024)]
    hostname: String,
    /// Its operating system.
    #[schema(max_length = 1024)]
    os: String,
    /// The version of the settings in force; none while the probe does what its own configuration says.
    settings_version: Option<u64>,
    /// What of the settings the probe does not follow, and why.
    #[schema(max_length = 1024)]
    settings_refused: Option<String>,
    /// What runs on the machine.
    components: ComponentsBody,
    /// Whether DNS messages are being counted.
    capture: CaptureBody,
    /// What waits to be sent.
    spool: SpoolBody,
}

/// What a probe is told.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub struct HeartbeatAnswerBody {
    /// When the heartbeat arrived, by the central's clock, Unix milliseconds.
    received_at_ms: u64,
    /// The version of these settings; it rises with every change.
    settings_version: u64,
    /// What the probe shall do.
    settings: ProbeSettingsBody,
}

/// What a probe shall do.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub struct ProbeSettingsBody {
    /// Whether DNS messages are counted.
    dns_monitoring: bool,
    /// For how long hits are summed, seconds.
    dns_interval_s: u32,
    /// Whether the machine itself is measured.
    system_monitoring: bool,
    /// How often, seconds.
    system_interval_s: u32,
    /// How batches reach the central: `http`, `rabbitmq` or `pull`.
    communication: String,
    /// Where this API is; null for where the probe's own configuration says.
    api_url: Option<String>,
    /// Whether certificates are verified.
    verify_ca: bool,
    /// The broker, where batches go through it.
    rabbitmq: Option<RabbitmqBody>,
    /// The token with which the central shows itself, where it collects batches.
    pull_token: Option<String>,
}

/// Where the broker is, and as whom to speak to it. Only the probe of the server gets this.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub struct RabbitmqBody {
    /// A name or an IP address.
    address: String,
    /// The port.
    port: u16,
    /// Whether the connection is TLS.
    tls: bool,
    /// The virtual host.
    virtual_host: String,
    /// The user.
    user: String,
    /// Its password.
    password: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::example::heartbeat;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    fn described(schema: impl Serialize) -> BTreeSet<String> {
        let schema = serde_json::to_value(schema).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    fn members(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
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
        let rabbitmq = wire::RabbitmqSettings {
            address: "a".to_owned(),
            port: 1,
            tls: true,
            virtual_host: "/".to_owned(),
            user: "b".to_owned(),
            password: "c".into(),
        };
        let settings =
            wire::ProbeSettings { rabbitmq: Some(rabbitmq), pull_token: Some("d".into()), ..wire::ProbeSettings::default() };
        let answer = wire::HeartbeatAnswer { received_at_ms: 1, settings_version: 2, settings };
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(described(HeartbeatAnswerBody::schema()), members(&answer));
        assert_eq!(described(ProbeSettingsBody::schema()), members(&answer["settings"]));
        assert_eq!(described(RabbitmqBody::schema()), members(&answer["settings"]["rabbitmq"]));
    }

    #[test]
    fn why_a_probe_is_blind_is_told_in_the_words_of_its_heartbeat() {
        use wire::BlindReason::{NoMessage, NoRequests, NoResponses, OtherPorts, OtherSockets, Unknown};
        for reason in [OtherSockets, OtherPorts, NoMessage, NoResponses, NoRequests, Unknown] {
            assert_eq!(serde_json::to_value(reason).unwrap(), word(reason));
        }
    }
}
