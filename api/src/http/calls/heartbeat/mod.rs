//! `/api/v2/monitoring/heartbeat`: receives the probes' heartbeats, and says how the servers are.
//!
//! `zonepulse_central::probes::heartbeat` processes heartbeats, and `zonepulse_central::fleet` judges the servers. This is
//! their JSON.

mod probe;

pub use probe::ProbeSettingsBody;

use crate::http::answer::listing;
use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::body;
use crate::http::question::groups::{ServerSelection, Slice};
use crate::http::question::parameters;
use crate::http::state::App;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use probe::{CaptureBody, ComponentsBody, HeartbeatAnswerBody, HeartbeatBody, SpoolBody};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::Error;
use zonepulse_central::credentials::Principal;
use zonepulse_central::fleet::health::{Reason, ServerHealth};
use zonepulse_central::fleet::watch::Condition;
use zonepulse_central::probes::heartbeat;
use zonepulse_central::rights::Caller;
use zonepulse_central::time::{now_ms, text};
use zonepulse_store::Server;
use zonepulse_wire as wire;
use zonepulse_wire::heartbeat::MAX_HEARTBEAT_BYTES;

/// The routes for probes.
pub fn sending() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(hear))
}

/// The routes for users.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Send a heartbeat
///
/// For probes, every 30 seconds, with the token of their server. The answer contains the settings in effect for it.
#[utoipa::path(
    post, path = "/api/v2/monitoring/heartbeat", operation_id = "send_heartbeat", tag = "Probes",
    request_body(content = HeartbeatBody, description = "The state of the probe and its machine."),
    responses(
        (status = 200, description = "The settings in effect for the server.", body = HeartbeatAnswerBody),
    ),
)]
async fn hear(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<HeartbeatAnswerBody>, Problem> {
    parameters::none(&uri)?;
    let Principal::Server(server_id) = principal else {
        return Err(Problem::new(Case::NotAllowed, "only a server's token may send heartbeats"));
    };
    let received_at_ms = now_ms();
    let read = body::json(&headers, body, MAX_HEARTBEAT_BYTES).await.and_then(|read| body::typed("body", read));
    let refused = |problem: &Problem| app.central().refusals().heartbeat(server_id, problem.detail(), received_at_ms);
    let said: HeartbeatBody = read.inspect_err(refused)?;
    let hear = move || heartbeat::hear(app.central(), server_id, said.into(), Some(caller.address), received_at_ms);
    Ok(Json(blocking(hear).await?.into()))
}

/// List heartbeats
///
/// A row per managed server, with its heartbeats of the last 2 minutes; 4 or 5 are normal. Shortly after the probe or the
/// central has started, fewer are expected, and one of those may be missing. If several probes use a server's token, its
/// state is `conflict`. After the central restarts, it remembers the last heartbeat, but counts anew. `good` sums up
/// whether nothing is wrong.
///
/// `health` is the worst of the following that applies, in this order, and `reasons` has a sentence for each that applies:
///
/// * `silent`: more than one heartbeat is missing, and its token is not known to be refused.
/// * `refused`: its batches are refused (until one of the same kind is accepted, or none has arrived for 10 minutes), or its
///   heartbeats are; or, within the last 2 minutes and since anything from it was accepted, a token was refused at its
///   address, which no other server has.
/// * `conflict`: several probes use its token.
/// * `blind`: DNS messages are not counted although they should be, or the probe has reason to believe that it does not see
///   all of them (`capture.blind`).
/// * `behind`: batches pile up at its probe: their number rose in 3 consecutive heartbeats, by more than are always in
///   transit; or 2 consecutive heartbeats reported more than the probe creates in 3 minutes, or in 3 intervals if those are
///   longer; or none has arrived for 5 minutes, or 3 intervals, although heartbeats do.
/// * `lost`: within the last hour, its probe discarded batches, or batches were permanently refused, or messages arrived
///   through RabbitMQ that claim to be from it and cannot prove it.
/// * `restarting`: 3 or more runs of its probe were heard from within 2 minutes.
/// * `dns_stopped`: the DNS server is installed but not running.
/// * `settings_refused`: the probe does not apply all settings.
/// * `new`: no probe of it was ever heard from.
/// * `starting`: the probe or the central started less than about 2 minutes ago, and everything expected so far has arrived.
///   After a start of the central, that may be nothing yet: `good` is false until its probe is heard from.
/// * `ok`: none of these.
#[utoipa::path(
    get, path = "/api/v2/monitoring/heartbeat", operation_id = "heartbeats", tag = "Monitoring",
    params(ServerSelection, Slice),
    responses((status = 200, description = "A row per server.", body = Vec<HeartbeatRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let (ServerSelection { server_id: wanted }, page) = parameters::of_servers(&uri)?;
    let rows = blocking(move || {
        app.central().known_servers(&wanted)?;
        let conditions = app.central().watch().those(|id| wanted.is_empty() || wanted.contains(&id), now_ms())?;
        Ok::<_, Error>(conditions.into_iter().map(|(server, condition)| HeartbeatRow::of(condition, server)).collect::<Vec<_>>())
    });
    Ok(listing::page(rows.await?, &page, &uri))
}

/// The state of a server.
#[derive(Serialize, ToSchema)]
struct HeartbeatRow {
    /// The server's id.
    server_id: u32,
    /// The server's display name.
    server: String,
    /// Whether its data is sample data, without a probe.
    sample: bool,
    /// Number of heartbeats in the last 2 minutes.
    requests: usize,
    /// For monitoring systems: whether nothing is wrong. `health` is `ok` or `starting`, heartbeats arrive as they should, and
    /// the probe has been heard from since the central started.
    good: bool,
    /// How well the server is observed: the worst state that applies. Null for a sample.
    #[schema(required)]
    health: Option<HealthWord>,
    /// The reasons, worst first.
    reasons: Vec<ReasonBody>,
    /// When the last heartbeat arrived; null if none ever did.
    #[schema(format = DateTime, required)]
    last_heartbeat: Option<String>,
    /// Whether a heartbeat arrived in the last 2 minutes, and whether several probes use its token.
    state: ServerState,
    /// Which probes use its token, if there are several.
    #[schema(required, example = "two probes use this server's token: ns1 (192.0.2.1), ns2 (192.0.2.2)")]
    conflict: Option<String>,
    /// The services on the machine.
    components: ComponentsBody,
    /// How far the probe's clock is ahead of the central's, milliseconds, including the time the heartbeat was in transit.
    #[schema(required)]
    clock_skew_ms: Option<i64>,
    /// The version of the settings in effect there; null while only the probe's own configuration applies.
    #[schema(required)]
    settings_version: Option<u64>,
    /// Which settings the probe does not apply, and why: its own configuration forbids it, or it cannot. Null if it applies
    /// all of them.
    #[schema(required)]
    settings_refused: Option<String>,
    /// Whether DNS messages are being counted.
    #[schema(required)]
    capture: Option<CaptureBody>,
    /// What is waiting to be sent.
    #[schema(required)]
    spool: Option<SpoolBody>,
    /// The version of the probe.
    #[schema(required)]
    probe_version: Option<String>,
    /// How long the probe has been running, seconds.
    #[schema(required)]
    uptime_s: Option<u64>,
    /// The host name.
    #[schema(required)]
    hostname: Option<String>,
    /// The operating system.
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
            server_id: server.id.get(),
            server: server.name,
            sample: server.sample,
            requests,
            good,
            health: health.map(HealthWord),
            reasons: reasons.into_iter().map(ReasonBody::from).collect(),
            last_heartbeat: received_ms.map(text),
            state,
            conflict,
            components: said.map(|said| said.components.clone().into()).unwrap_or_default(),
            clock_skew_ms: said.zip(received_ms).and_then(|(said, received_ms)| skew(said.sent_at_ms, received_ms)),
            settings_version: said.and_then(|said| said.settings_version),
            settings_refused: said.and_then(|said| said.settings_refused.clone()),
            capture: said.map(|said| said.capture.clone().into()),
            spool: said.map(|said| said.spool.into()),
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
    /// The state that follows from it.
    health: HealthWord,
    /// Since when; null if unknown.
    #[schema(format = DateTime, required)]
    since: Option<String>,
    /// A sentence that says what is wrong and what to do.
    #[schema(example = "knotd listens on port 5353 (UDP, TCP); the probe counts port 53: set capture.ports")]
    reason: String,
}

impl From<Reason> for ReasonBody {
    fn from(Reason { health, since_ms, text: reason, of_central: _ }: Reason) -> Self {
        ReasonBody { health: HealthWord(health), since: since_ms.map(text), reason }
    }
}

/// How well a server is observed, in one word.
struct HealthWord(ServerHealth);

impl Serialize for HealthWord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl PartialSchema for HealthWord {
    fn schema() -> RefOr<Schema> {
        let words = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let words = words.enum_values(Some(ServerHealth::ALL.map(ServerHealth::as_str)));
        words.description(Some("How well a server is observed, worst first.")).build().into()
    }
}

impl ToSchema for HealthWord {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ServerHealth")
    }
}

/// Whether the probe is heard from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ServerState {
    /// Its probe is sending heartbeats.
    Running,
    /// No heartbeats arrive.
    Stopped,
    /// Several probes use its token.
    Conflict,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::example::heartbeat;
    use zonepulse_central::fleet::{Last, Pulse};

    #[test]
    fn a_clock_that_is_behind_has_a_negative_skew() {
        let dir = tempfile::tempdir().unwrap();
        let store = zonepulse_store::Store::open(dir.path(), &Default::default()).unwrap();
        let server = store.registry().add_server("ns1", false, None, 0).unwrap();
        let row = |sent_ms, received_ms| {
            let last = Some(Last { received_ms, heartbeat: heartbeat(sent_ms), address: None });
            let pulse = Pulse { requests: 1, last, ..Pulse::default() };
            let condition = Condition { pulse, conflict: None, reasons: Vec::new() };
            HeartbeatRow::of(condition, server.clone()).clock_skew_ms
        };
        assert_eq!((row(1000, 4000), row(4000, 1000), row(u64::MAX, 0)), (Some(-3000), Some(3000), None));
    }

    #[test]
    fn every_health_is_written_and_described_in_its_word() {
        let schema = serde_json::to_value(HealthWord::schema()).unwrap();
        let words: Vec<&str> = schema["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words, ServerHealth::ALL.map(ServerHealth::as_str));
        for health in ServerHealth::ALL {
            assert_eq!(serde_json::to_value(HealthWord(health)).unwrap(), health.as_str());
        }
    }
}
