//! `/api/v2/monitoring/heartbeat`: signs of life of the probes, and who is alive.
//!
//! What becomes of a heartbeat is `zonepulse_central::probes::heartbeat`'s business, and how well a server is
//! `zonepulse_central::fleet`'s. Here are the words for both.

mod probe;

pub use probe::ProbeSettingsBody;

use crate::http::answer::listing;
use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::body;
use crate::http::question::parameters::{self, Listed};
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
use zonepulse_wire::heartbeat::MAX_HEARTBEAT_BYTES;
use zonepulse_wire::{self as wire, Heartbeat, HeartbeatAnswer};

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
    let refused = |problem: &Problem| app.central().refusals().heartbeat(server_id, problem.detail(), received_at_ms);
    let said: Heartbeat = read.inspect_err(refused)?;
    blocking(move || heartbeat::hear(app.central(), server_id, said, Some(caller.address), received_at_ms)).await.map(Json)
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
        app.central().known_servers(&wanted)?;
        let conditions = app.central().watch().those(|id| wanted.is_empty() || wanted.contains(&id), now_ms())?;
        Ok::<_, Error>(conditions.into_iter().map(|(server, condition)| HeartbeatRow::of(condition, server)).collect::<Vec<_>>())
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
    health: Option<HealthWord>,
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
    /// What follows from it.
    health: HealthWord,
    /// Since when; null where that is not known.
    #[schema(format = DateTime, required)]
    since: Option<String>,
    /// What is wrong and what to do, in a sentence.
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
        words.description(Some("How well a server is observed, the worst first.")).build().into()
    }
}

impl ToSchema for HealthWord {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ServerHealth")
    }
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
