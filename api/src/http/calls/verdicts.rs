//! `GET /api/v2/monitoring/dns/verdicts` and `…/observation`: what can be deleted, and what that rests on.

use crate::http::answer::negotiate::{Format, Output};
use crate::http::answer::paging::Rows as Shown;
use crate::http::answer::problem::Problem;
use crate::http::answer::render::Encoder;
use crate::http::answer::room::room;
use crate::http::answer::rows::{paged, respond};
use crate::http::answer::stream::{self, Broken};
use crate::http::blocking::blocking;
use crate::http::question::catalogue::{Observation, Verdicts};
use crate::http::question::groups::{Escaping, OptionalSlice, Range, ServerSelection, Slice, VerdictSelection};
use crate::http::question::values::DEFAULT_LIMIT;
use crate::http::state::App;
use arrow::array::RecordBatch;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::Error;
use zonepulse_central::credentials::Principal;
use zonepulse_central::pending::Held;
use zonepulse_central::verdicts::Rows;
use zonepulse_query::{Page, TimeRange};

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(verdicts)).routes(routes!(observation))
}

/// What can be said of deleting an RRset.
#[derive(Serialize, ToSchema)]
struct VerdictRow {
    /// The resource.
    resource_id: u64,
    /// Its id in another system, or empty.
    label: String,
    /// The zone.
    zone_id: u32,
    /// Its apex.
    zone: String,
    /// Its view.
    view: String,
    /// The owner.
    host: String,
    /// The type.
    r#type: String,
    /// The TTL, seconds.
    ttl: u32,
    /// `needed`, `protected`, `used`, `new`, `unobserved`, `unused` or `never_used`; the first that applies, in this order.
    verdict: String,
    /// Why, in words, with the numbers behind it.
    reasons: String,
    /// How many requests had this owner and type in their question.
    asked: u64,
    /// When it was first used, directly or through an alias, a wildcard or a delegation.
    #[schema(format = DateTime, required)]
    first_seen: Option<String>,
    /// When it was last used.
    #[schema(format = DateTime, required)]
    last_access: Option<String>,
    /// For how long nobody needed it, as far as was observed, seconds.
    #[schema(required)]
    quiet_for_s: Option<u64>,
    /// The share of the window in which the zone's servers were observed without loss, 0 to 1.
    observed_share: f64,
    /// The rarest rhythm of use that the window can rule out: weekly, monthly, quarterly or yearly.
    #[schema(required)]
    rules_out: Option<String>,
    /// What the verdict is based on: `queries`.
    evidence: String,
}

/// A period of a server.
#[derive(Serialize, ToSchema)]
struct ObservationRow {
    /// The server.
    server_id: u32,
    /// Its display name.
    server: String,
    /// When the period begins.
    #[schema(format = DateTime)]
    from: String,
    /// When it ends.
    #[schema(format = DateTime)]
    to: String,
    /// Whether it was observed without loss.
    observed: bool,
    /// Why not, one word for each reason: `gap` (no report), `kernel_drop`, `interface_drop`, `evicted`, `unreadable`, `folded`, `blind` ...
    #[schema(required)]
    why: Option<String>,
}

/// Which records can be deleted?
///
/// A row for each RRset of the catalogue, with the verdict over the last `not_accessed_for`: the longest quiet first.
/// Computed from the newest data each time. A verdict is `unused` or `never_used` only if every server of the zone was
/// observed without loss for the whole window, and the window exceeds the TTL by `margin`. As CSV or Arrow without
/// `limit`, all rows are in one answer.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/verdicts", operation_id = "verdicts", tag = "Catalogue",
    params(VerdictSelection, OptionalSlice, Escaping),
    responses((status = 200, description = "The verdicts.", body = Vec<VerdictRow>)),
)]
async fn verdicts(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let output = Output::asked(&headers, &uri)?;
    let engine = app.central().engine().frozen();
    let Verdicts { window, filter, order, slice: OptionalSlice { offset, limit } } = Verdicts::read(&uri, engine.now())?;
    let limit = limit.unwrap_or(if output.format == Format::Json { DEFAULT_LIMIT } else { u64::MAX });
    let held = room(app.unread(), principal.number(), app.central().verdicts().answer_bytes())?;
    let asked = app.clone();
    let rows = blocking(move || asked.central().verdicts().rows(window, &filter, order, offset, limit)).await?;
    let shown = Shown { offset, count: rows.on_page() as u64, total: rows.total() };
    let encoder = Encoder::new(output, &Rows::schema()).map_err(Problem::internal)?;
    let body = stream::body(encoder, batches(rows, held)).await.map_err(|broken| match broken {
        Broken::Rows(error) => Problem::from(error),
        Broken::Format(error) => Problem::internal(error),
        Broken::Thread(error) => Problem::internal(error),
    })?;
    Ok(paged(body, output, shown, TimeRange::default(), &uri))
}

/// The rows, computed when the client has taken the ones before. Whoever reads slowly holds what they are computed from.
fn batches(rows: Rows, held: Held<u64>) -> BoxStream<'static, Result<RecordBatch, Error>> {
    let next = |state: Option<(Rows, Held<u64>)>| async move {
        let (mut rows, held) = state?;
        match spawn_blocking(move || (rows.next(), rows)).await {
            Ok((batch, rows)) => Some((batch?, Some((rows, held)))),
            Err(error) => Some((Err(Error::Fault(error.to_string())), None)),
        }
    };
    futures::stream::unfold(Some((rows, held)), next).boxed()
}

/// Observation
///
/// The ledger, which is kept for ever: the periods of each server, and whether they were observed without loss. Without
/// `date_from` and `date_to`, the last 90 days.
#[utoipa::path(
    get, path = "/api/v2/monitoring/dns/observation", operation_id = "observation", tag = "Catalogue",
    params(ServerSelection, Range, Slice, Escaping),
    responses((status = 200, description = "The periods, by server, then time.", body = Vec<ObservationRow>)),
)]
async fn observation(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let output = Output::asked(&headers, &uri)?;
    let engine = app.central().engine().frozen();
    let Observation { servers, range_ms, slice: Slice { offset, limit } } = Observation::read(&uri, engine.now())?;
    app.central().known_servers(&servers)?;
    let asked = app.clone();
    let answer = blocking(move || asked.central().zones().observation(&servers, range_ms, offset, limit)).await?;
    let page = Page { sort: Vec::new(), offset, limit };
    respond(&engine, output, answer, &page, TimeRange::default(), &uri).await
}
