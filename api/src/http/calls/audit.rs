//! `GET /api/v2/audit`: who changed what, when and from where.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::groups::Slice;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::time::text;

/// The route, for administrators.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// A change.
#[derive(Serialize, ToSchema)]
struct AuditRow {
    /// Its number, which increases by one.
    id: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    time: String,
    /// Who made it: a user, a server's probe, or the command line.
    who: String,
    /// Where it came from.
    from: String,
    /// What was done.
    #[schema(example = "server.change")]
    action: String,
    /// What was changed.
    #[schema(example = "server 1, \"ns1\"")]
    what: String,
    /// The changed values as they were; null if there were none. Secrets are not shown, only that they changed.
    before: Value,
    /// The changed values as they are now; null if there are none.
    after: Value,
}

/// Read the audit log
///
/// Every change of servers, settings and users, newest first. The last 10000 are kept.
#[utoipa::path(
    get, path = "/api/v2/audit", operation_id = "audit", tag = "Users",
    params(Slice),
    responses((status = 200, description = "The changes.", body = Vec<AuditRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let (offset, limit) = (page.offset, usize::try_from(page.limit).map_err(Problem::internal)?);
    let (entries, total) = blocking(move || app.central().store().registry().audit(offset, limit)).await?;
    let row = |entry: zonepulse_store::AuditEntry| AuditRow {
        id: entry.id,
        time: text(entry.time_ms),
        who: entry.who,
        from: entry.from,
        action: entry.action,
        what: entry.what,
        before: entry.before,
        after: entry.after,
    };
    Ok(listing::of(entries.into_iter().map(row).collect::<Vec<_>>(), total, &page, &uri))
}
