//! `GET /api/v2/audit`: who changed what, when and from where.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::parameters::Listed;
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

/// A change that somebody made.
#[derive(Serialize, ToSchema)]
struct AuditRow {
    /// Its number; rises by one.
    id: u64,
    /// When.
    #[schema(format = DateTime)]
    time: String,
    /// Who: a user, a server's probe, or the command line.
    who: String,
    /// From where.
    from: String,
    /// What was done.
    #[schema(example = "server.change")]
    action: String,
    /// To what.
    #[schema(example = "server 1, \"ns1\"")]
    what: String,
    /// What differs, as it was; null when there was nothing. Of secrets it is only told that they are others.
    before: Value,
    /// What differs, as it is now; null when there is nothing.
    after: Value,
}

/// Read the audit log
///
/// Every change of servers, settings and users, the newest first. The last 10000 are kept.
#[utoipa::path(
    get, path = "/api/v2/audit", operation_id = "audit", tag = "Users",
    params(
        ("offset" = Option<u64>, Query, description = "How many rows to skip.", minimum = 0),
        ("limit" = Option<u32>, Query, description = "How many rows to give; 1000 unless told otherwise.", maximum = 100000),
    ),
    responses((status = 200, description = "The changes.", body = Vec<AuditRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = Listed::read(&uri, &[])?;
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
