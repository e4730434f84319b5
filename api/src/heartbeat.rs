//! `/api/v2/monitoring/heartbeat`: signs of life of the probes, and who is alive.
//!
//! The answer to a heartbeat carries what holds for the server, so a change of
//! settings reaches every probe within half a minute, and a probe needs no other
//! way to learn of it.

use crate::app::App;
use crate::body;
use crate::credentials::Principal;
use crate::listing::{self, blocking};
use crate::parameters::{self, Listed};
use crate::problem::{Case, Problem};
use crate::rights::Caller;
use crate::server_health::{Reason, ServerHealth};
use crate::time::{now_ms, text};
use crate::watch::Condition;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_ingest::fleet::{self as wire, Heartbeat, HeartbeatAnswer, MAX_HEARTBEAT_BYTES, probe_settings};
use zonepulse_store::Server;

/// Where probes send heartbeats to.
pub const PATH: &str = "/api/v2/monitoring/heartbeat";

/// What probes call.
pub fn sending() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(hear))
}

/// What users call.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Send a heartbeat
///
/// For probes, every 30 seconds, with the token of their server. The answer has the settings that
/// hold for it.
#[utoipa::path(
    post, path = "/api/v2/monitoring/heartbeat", operation_id = "send_heartbeat", tag = "Probes",
    request_body(content = HeartbeatBody, description = "How the probe and its machine are."),
    responses(
        (status = 200, description = "It was heard; and what holds for the server.", body = HeartbeatAnswerBody),
    ),
)]
async fn hear(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<HeartbeatAnswer>, Problem> {
    parameters::none(&uri)?;
    let Principal::Server(server_id) = principal else {
        return Err(Problem::new(Case::NotAllowed, "only a server's token may send heartbeats"));
    };
    let received_at_ms = now_ms();
    let read = body::json(&headers, body, MAX_HEARTBEAT_BYTES).await.and_then(|read| body::typed("body", read));
    let heartbeat: Heartbeat = read.inspect_err(|problem| app.refusals().heartbeat(server_id, problem, received_at_ms))?;
    blocking(move || heard(&app, server_id, heartbeat, Some(caller.address), received_at_ms).map(Json)).await
}

/// Takes a heartbeat that arrived at this time, by whichever way, and gives what the probe is told. One that the central
/// fetched comes from no address.
pub fn heard(
    app: &App,
    server_id: u32,
    heartbeat: Heartbeat,
    address: Option<IpAddr>,
    received_at_ms: u64,
) -> Result<HeartbeatAnswer, Problem> {
    check(&heartbeat).inspect_err(|problem| app.refusals().heartbeat(server_id, problem, received_at_ms))?;
    app.refusals().heard(server_id);
    app.fleet().hear(server_id, heartbeat, address, received_at_ms)?;
    answer(app, server_id, received_at_ms)
}

/// What a probe is told that was heard at this time.
pub fn answer(app: &App, server_id: u32, received_at_ms: u64) -> Result<HeartbeatAnswer, Problem> {
    let registry = app.store().registry();
    // The version first: settings that are newer than it are sent again, older ones would stay.
    let settings_version = registry.global()?.version;
    let server =
        registry.server(server_id)?.ok_or_else(|| Problem::new(Case::NotFound, format!("no server has the id {server_id}")))?;
    let settings = registry.effective_settings(server_id)?;
    Ok(HeartbeatAnswer { received_at_ms, settings_version, settings: probe_settings(&settings, &server) })
}

/// Everything that a heartbeat says is kept in memory and shown, so it has to be short, and its numbers such that can be.
fn check(heartbeat: &Heartbeat) -> Result<(), Problem> {
    heartbeat.check().map_err(|reason| Problem::parameter("body", reason))
}

/// Who is alive
///
/// A row per managed server: its heartbeats of the last 2 minutes, of which 4 or 5 are as they should be, and what the last one
/// said. After a start of the probe or of the central fewer are: at most one of those that can have come by then may be missing.
/// When several probes use one server's token, its state is `conflict`. After a restart of the central the last heartbeat is
/// remembered, the count begins anew. `good` says in one word whether nothing is wrong.
///
/// `health` is the worst that holds, in this order, and `reasons` has a sentence about everything that holds:
///
/// * `silent`: more than one heartbeat is missing, and its token is not known to be refused.
/// * `refused`: its batches are refused, until one of the same kind is taken or none has come for 10 minutes; or its heartbeats are; or a token is
///   refused at its address, which is no other server's, since anything of it was taken, and within 2 minutes.
/// * `conflict`: several probes use its token.
/// * `blind`: DNS messages are not counted although they should be, or the probe has reason to believe that it does not see all
///   (`capture.blind`).
/// * `behind`: the batches that wait at its probe have become more at 3 heartbeats in a row, by more than are always on the way; or
///   more wait at 2 heartbeats in a row than the probe makes in 3 minutes, or in 3 intervals if those are longer; or none has
///   arrived for 5 minutes, or 3 intervals, while heartbeats come.
/// * `lost`: within the last hour its probe gave up batches, or batches were refused for good; or messages through RabbitMQ were
///   that claim to be of it and do not prove it.
/// * `restarting`: 3 or more runs of its probe were heard in 2 minutes.
/// * `dns_stopped`: the DNS server is installed and does not run.
/// * `settings_refused`: the probe does not follow all settings.
/// * `new`: no probe of it was ever heard.
/// * `starting`: probe or central began less than about 2 minutes ago, and what can be expected has come. After a start of the central
///   that may be nothing yet: `good` is false until its probe is heard.
/// * `ok`: none of these.
#[utoipa::path(
    get, path = "/api/v2/monitoring/heartbeat", operation_id = "heartbeats", tag = "Monitoring",
    params(
        ("server_id" = Option<Vec<u32>>, Query, description = "Servers by id; repeat it for several. A server that does not exist is an error."),
        ("offset" = Option<u64>, Query, description = "How many rows to skip.", minimum = 0),
        ("limit" = Option<u32>, Query, description = "How many rows to give; 1000 unless told otherwise.", maximum = 100000),
    ),
    responses((status = 200, description = "A row per server.", body = Vec<HeartbeatRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = Listed::read(&uri, &["server_id"])?;
    let wanted = page.servers.clone();
    let rows = blocking(move || {
        app.known_servers(&wanted)?;
        let conditions = app.watch().those(|id| wanted.is_empty() || wanted.contains(&id), now_ms())?;
        Ok(conditions.into_iter().map(|(server, condition)| HeartbeatRow::of(condition, server)).collect::<Vec<_>>())
    });
    Ok(listing::page(rows.await?, &page, &uri))
}

/// How a server is.
#[derive(Serialize, ToSchema)]
struct HeartbeatRow {
    /// The server's id.
    server_id: u32,
    /// The server's display name.
    server: String,
    /// Whether its data is a sample to look at: no probe sends of it.
    sample: bool,
    /// Heartbeats in the last 2 minutes.
    requests: usize,
    /// What a monitor may take: whether nothing is wrong. So `health` is `ok` or `starting`, heartbeats come as they should, and the
    /// probe was heard since the central began.
    good: bool,
    /// How well the server is observed: the worst that holds. Null for a sample, of which no probe sends.
    #[schema(required)]
    health: Option<ServerHealth>,
    /// Why, the worst first.
    reasons: Vec<ReasonBody>,
    /// When the last one arrived; null when none ever did.
    #[schema(format = DateTime, required)]
    last_heartbeat: Option<String>,
    /// Whether anything was heard of it in the last 2 minutes, and whether more than one probe uses its token.
    state: ServerState,
    /// What is wrong, where more than one probe uses its token.
    #[schema(required, example = "two probes use this server's token: ns1 (192.0.2.1), ns2 (192.0.2.2)")]
    conflict: Option<String>,
    /// What runs there.
    components: ComponentsBody,
    /// By how much the probe's clock is ahead of the central's, milliseconds, with the time that the heartbeat took on its way.
    #[schema(required)]
    clock_skew_ms: Option<i64>,
    /// The version of the settings in force there; null while the probe does what its own configuration says.
    #[schema(required)]
    settings_version: Option<u64>,
    /// What of the settings the probe does not follow, and why: its own configuration does not allow it, or it cannot. Null when it
    /// follows all.
    #[schema(required)]
    settings_refused: Option<String>,
    /// Whether DNS messages are being counted.
    #[schema(required)]
    capture: Option<CaptureBody>,
    /// What waits to be sent.
    #[schema(required)]
    spool: Option<SpoolBody>,
    /// The version of the probe.
    #[schema(required)]
    probe_version: Option<String>,
    /// For how long the probe had been running, seconds.
    #[schema(required)]
    uptime_s: Option<u64>,
    /// The machine's name.
    #[schema(required)]
    hostname: Option<String>,
    /// The machine's operating system.
    #[schema(required)]
    os: Option<String>,
}

impl HeartbeatRow {
    fn of(condition: Condition, server: Server) -> Self {
        let (health, good) = (condition.health(), condition.is_good());
        let Condition { pulse, conflict, reasons } = condition;
        let state = match (&conflict, pulse.state()) {
            (Some(_), _) => ServerState::Conflict,
            (None, wire::State::Running) => ServerState::Running,
            (None, wire::State::Stopped) => ServerState::Stopped,
        };
        let (requests, last) = (pulse.requests, pulse.last);
        let received_ms = last.as_ref().map(|last| last.received_ms);
        let heartbeat = last.map(|last| last.heartbeat);
        let said = heartbeat.as_ref();
        let skew = |sent_ms: u64, received_ms: u64| i64::try_from(i128::from(sent_ms) - i128::from(received_ms)).ok();
        HeartbeatRow {
            server_id: server.id,
            server: server.name,
            sample: server.sample,
            requests,
            good,
            health,
            reasons: reasons.into_iter().map(ReasonBody::from).collect(),
            last_heartbeat: received_ms.map(text),
            state,
            conflict,
            components: said.map(|said| said.components.clone().into()).unwrap_or_default(),
            clock_skew_ms: said.zip(received_ms).and_then(|(said, received_ms)| skew(said.sent_at_ms, received_ms)),
            settings_version: said.and_then(|said| said.settings_version),
            settings_refused: said.and_then(|said| said.settings_refused.clone()),
            capture: said.map(|said| said.capture.clone().into()),
            spool: said.map(|said| SpoolBody { batches: said.spool.batches, size_bytes: said.spool.size_bytes }),
            probe_version: said.map(|said| said.probe_version.clone()),
            uptime_s: said.map(|said| said.uptime_s),
            hostname: said.map(|said| said.hostname.clone()),
            os: heartbeat.map(|said| said.os),
        }
    }
}

/// Why a server's health is what it is.
#[derive(Serialize, ToSchema)]
struct ReasonBody {
    /// What follows from it.
    health: ServerHealth,
    /// Since when; null where that is not known.
    #[schema(format = DateTime, required)]
    since: Option<String>,
    /// What is wrong and what to do, in a sentence.
    #[schema(example = "knotd listens on port 5353 (UDP, TCP); the probe counts port 53: set capture.ports")]
    reason: String,
}

impl From<Reason> for ReasonBody {
    fn from(Reason { health, since_ms, text: reason, of_central: _ }: Reason) -> Self {
        ReasonBody { health, since: since_ms.map(text), reason }
    }
}

/// Whether something runs.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StateWord {
    /// It does.
    Running,
    /// It does not.
    Stopped,
}

/// How a server is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ServerState {
    /// Its probe was heard.
    Running,
    /// Nothing was heard of it.
    Stopped,
    /// More than one probe uses its token.
    Conflict,
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
struct ComponentsBody {
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
struct ComponentBody {
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
struct CaptureBody {
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
struct BlindnessBody {
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
struct SpoolBody {
    /// Batches that are not confirmed.
    batches: u64,
    /// Their size, bytes.
    size_bytes: u64,
}

/// How the probe and its machine are.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct HeartbeatBody {
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
struct HeartbeatAnswerBody {
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
struct RabbitmqBody {
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
    use crate::fleet::tests::heartbeat;
    use crate::fleet::{Last, Pulse};
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
        let answer = HeartbeatAnswer { received_at_ms: 1, settings_version: 2, settings };
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(described(HeartbeatAnswerBody::schema()), members(&answer));
        assert_eq!(described(ProbeSettingsBody::schema()), members(&answer["settings"]));
        assert_eq!(described(RabbitmqBody::schema()), members(&answer["settings"]["rabbitmq"]));
    }

    #[test]
    fn a_clock_that_is_behind_has_a_negative_skew() {
        let dir = tempfile::tempdir().unwrap();
        let store = zonepulse_store::Store::open(dir.path(), &Default::default()).unwrap();
        let server = store.registry().add_server("ns1", false, String::new(), 0).unwrap();
        let row = |sent_ms, received_ms| {
            let last = Some(Last { received_ms, heartbeat: heartbeat(sent_ms), address: None });
            let pulse = Pulse { requests: 1, last, ..Pulse::default() };
            let condition = Condition { pulse, conflict: None, reasons: Vec::new() };
            HeartbeatRow::of(condition, server.clone()).clock_skew_ms
        };
        assert_eq!((row(1000, 4000), row(4000, 1000), row(u64::MAX, 0)), (Some(-3000), Some(3000), None));
    }

    #[test]
    fn why_a_probe_is_blind_is_told_in_the_words_of_its_heartbeat() {
        use wire::BlindReason::{NoMessage, NoRequests, NoResponses, OtherPorts, OtherSockets, Unknown};
        for reason in [OtherSockets, OtherPorts, NoMessage, NoResponses, NoRequests, Unknown] {
            assert_eq!(serde_json::to_value(reason).unwrap(), word(reason));
        }
    }

    #[test]
    fn texts_past_the_bound_are_refused() {
        assert!(check(&heartbeat(1)).is_ok());
        let mut long = heartbeat(1);
        long.capture.detail = Some("x".repeat(1025));
        assert!(check(&long).is_err());
    }
}
