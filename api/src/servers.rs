//! `GET /api/v2/servers`: which servers there are.

use crate::app::App;
use crate::parameters;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// A managed server.
#[derive(Serialize, ToSchema)]
struct ServerEntry {
    /// Its id.
    server_id: u32,
    /// Its display name.
    server: String,
    /// Whether its data is a sample to look at, not a machine's.
    sample: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
}

/// List servers
///
/// All of them, by id.
#[utoipa::path(
    get, path = "/api/v2/servers", operation_id = "servers", tag = "Servers",
    responses((status = 200, description = "The servers.", body = Vec<ServerEntry>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Json<Vec<ServerEntry>>, Problem> {
    parameters::none(&uri)?;
    let servers = tokio::task::spawn_blocking(move || app.store().registry().servers()).await;
    let servers = servers.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let entry = |server: zonepulse_store::Server| ServerEntry {
        server_id: server.id,
        server: server.name,
        sample: server.sample,
        created: crate::time::text(server.created_ms),
    };
    Ok(Json(servers.into_iter().map(entry).collect()))
}
