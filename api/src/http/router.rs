//! The routes, and who may use which.

use super::answer::packed::Packed;
use super::answer::problem::{Case, Problem};
use super::calls::{
    addresses, audit, backups, batches, broker_trial, enrollments, health, heartbeat, metrics, monitoring, resources,
    retirements, servers, session, settings, sql, system, users, verdicts, zones,
};
use super::document::{self, DOCS_PATH, DOCUMENT_PATH};
use super::door::guard::guard;
use super::door::passage::{every_request, every_scrape};
use super::page;
use super::state::App;
use axum::http::Method;
use axum::middleware::{from_fn_with_state, map_response};
use axum::{Json, Router};
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};
use zonepulse_central::rights::{Need, Right};

/// Everything that the central serves.
pub fn router(app: App) -> Router {
    let (routes, document) = described(&app);
    let docs = SwaggerUi::new(DOCS_PATH).config(
        // Nothing is asked of any other host, and no query string chooses another document.
        Config::from(DOCUMENT_PATH).validator_url("none").query_config_enabled(false).try_it_out_enabled(true),
    );
    let document = Arc::new(document);
    let open = Router::new()
        .route(DOCUMENT_PATH, axum::routing::get(move || async move { Json(document.as_ref().clone()) }))
        .merge(Router::<App>::from(docs).layer(map_response(document::docs_policy)))
        .layer(from_fn_with_state(Packed::default(), Packed::once));
    routes
        .merge(open)
        .fallback(|| async { Problem::new(Case::NotFound, format!("see {DOCS_PATH}/ for what there is")) })
        .method_not_allowed_fallback(|method: Method| async move {
            Problem::new(Case::MethodNotAllowed, format!("{method} is not among the methods of this path"))
        })
        .layer(from_fn_with_state(app.clone(), every_request))
        .with_state(app)
}

/// The OpenAPI document of the routes.
pub fn document() -> OpenApi {
    let mut document = document::base();
    for (need, group) in groups() {
        let (_, mut part) = group.split_for_parts();
        document::complete(&mut part, need);
        document.merge(part);
    }
    document
}

fn described(app: &App) -> (Router<App>, OpenApi) {
    let guarded = |routes: Router<App>, need| match need {
        Need::Nothing => routes,
        need => routes.route_layer(from_fn_with_state((app.clone(), need), guard)),
    };
    let mut routes = page::routes();
    for (need, group) in groups() {
        let (group, _) = group.split_for_parts();
        routes = routes.merge(guarded(group, need));
    }
    (routes, document())
}

/// Every call, by what it needs.
fn groups() -> Vec<(Need, OpenApiRouter<App>)> {
    vec![
        (Need::Right(Right::Monitoring), for_users()),
        (Need::Right(Right::ServerRead), servers::reading().merge(settings::reading())),
        (Need::Right(Right::ServerCreate), servers::creating()),
        (Need::Right(Right::ServerUpdate), servers::updating()),
        (Need::Right(Right::ServerDelete), servers::deleting()),
        (Need::Right(Right::Zones), zones::changing().merge(resources::changing())),
        (Need::Right(Right::Retirement), retirements::changing()),
        (Need::User, users::own().merge(session::own())),
        (
            Need::Administrator,
            users::managing()
                .merge(settings::changing())
                .merge(audit::routes())
                .merge(broker_trial::routes())
                .merge(backups::routes()),
        ),
        (Need::Server, batches::routes().merge(heartbeat::sending())),
        (Need::Enrollment, enrollments::routes()),
        (Need::Nothing, for_all()),
    ]
}

/// What whoever may ask the monitoring API may call.
fn for_users() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .merge(monitoring::routes())
        .merge(system::routes())
        .merge(servers::names())
        .merge(sql::routes())
        .merge(heartbeat::reading())
        .merge(addresses::routes())
        .merge(metrics::routes())
        .merge(zones::reading())
        .merge(resources::reading())
        .merge(verdicts::routes())
        .merge(retirements::reading())
}

fn for_all() -> OpenApiRouter<App> {
    OpenApiRouter::default().merge(health::routes()).merge(session::opening())
}

/// What is served at an address that only the monitoring reaches, to everybody there.
pub fn monitoring_router(app: App) -> Router {
    let (health, _) = health::routes().split_for_parts();
    let (metrics, _) = metrics::routes().split_for_parts();
    health
        .merge(metrics)
        .fallback(|| async { Problem::new(Case::NotFound, "here are /metrics, /healthz and /readyz") })
        .layer(from_fn_with_state(app.clone(), every_scrape))
        .with_state(app)
}
