//! The routes, who may use which, and what every request passes through.

use crate::addresses::{self, Addresses};
use crate::compress::{self, Coding};
use crate::credentials::{Credentials, Principal};
use crate::fleet::Fleet;
use crate::listen::{self, Connections};
use crate::metrics::{self, Metrics};
use crate::openapi::{self, DOCS_PATH, DOCUMENT_PATH};
use crate::packed::Packed;
use crate::pending::Pending;
use crate::problem::{Case, Problem};
use crate::refusals::Refusals;
use crate::rights::{Need, Right, guard};
use crate::time::now_ms;
use crate::watch::Watch;
use crate::{
    Error, access::Access, audit, batches, broker_trial, browsers, config, enrollments, health, heartbeat, monitoring, page,
    servers, settings,
};
use crate::{sql, system, users};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures::FutureExt;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};
use zonepulse_ingest::{Ingest, pull};
use zonepulse_query::Engine;
use zonepulse_store::Store;

/// What requests work with. Clones share it.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
}

struct Parts {
    store: Store,
    engine: Engine,
    ingest: Ingest,
    credentials: Credentials,
    fleet: Arc<Fleet>,
    addresses: Addresses,
    limits: config::Limits,
    pending: Pending<u32>,
    unread: Pending<u64>,
    connections: Connections,
    metrics: Metrics,
    pulled: pull::Progress,
    logs_requests: AtomicBool,
    refusals: Arc<Refusals>,
    watch: Arc<Watch>,
}

/// Answers that are being read may hold no less, bytes: several of the largest.
const LEAST_UNREAD_BYTES: u64 = 128 << 20;

impl App {
    /// Over an open store. Takes as long as hashing a password.
    pub fn new(
        store: Store,
        engine: Engine,
        ingest: Ingest,
        limits: config::Limits,
        addresses: Addresses,
    ) -> Result<Self, Error> {
        let credentials = Credentials::new(store.clone())?;
        let fleet = Arc::new(Fleet::new(store.clone(), now_ms())?);
        let pending = Pending::new(limits.max_pending_bytes.into());
        let unread = Pending::new(engine.memory_bytes().max(LEAST_UNREAD_BYTES));
        let pulled = pull::Progress::default();
        let connections = Connections::new(listen::bounds(&limits));
        let refusals = Arc::<Refusals>::default();
        let watch = Watch::new(store.clone(), ingest.clone(), fleet.clone(), refusals.clone(), pulled.clone());
        let watch = Arc::new(watch);
        let metrics = Metrics::new(metrics::Parts {
            store: store.clone(),
            ingest: ingest.clone(),
            engine: engine.clone(),
            connections: connections.clone(),
            pending: pending.clone(),
            unread: unread.clone(),
            pulled: pulled.clone(),
            watch: watch.clone(),
            refusals: refusals.clone(),
        });
        let logs_requests = AtomicBool::new(true);
        let parts = Parts {
            store,
            engine,
            ingest,
            credentials,
            fleet,
            addresses,
            limits,
            pending,
            unread,
            connections,
            metrics,
            pulled,
            logs_requests,
            refusals,
            watch,
        };
        Ok(App { parts: Arc::new(parts) })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    pub(crate) fn ingest(&self) -> &Ingest {
        &self.parts.ingest
    }

    pub(crate) fn limits(&self) -> &config::Limits {
        &self.parts.limits
    }

    /// Room for batches that are being received.
    pub(crate) fn pending(&self) -> &Pending<u32> {
        &self.parts.pending
    }

    /// Room for answers that are being read.
    pub(crate) fn unread(&self) -> &Pending<u64> {
        &self.parts.unread
    }

    /// What was heard of the servers.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.parts.fleet
    }

    /// Where probes find this central.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.parts.addresses
    }

    /// The connections of its listener.
    pub(crate) fn connections(&self) -> &Connections {
        &self.parts.connections
    }

    /// What was refused, for the log and metrics.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.parts.refusals
    }

    /// How the servers are.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.parts.watch
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// How pulling goes.
    pub(crate) fn pulled(&self) -> pull::Progress {
        self.parts.pulled.clone()
    }

    /// Whether there is a line in the log about every request.
    pub(crate) fn logs_requests(&self) -> bool {
        self.parts.logs_requests.load(Ordering::Relaxed)
    }

    /// Turns those lines on or off.
    pub(crate) fn log_requests(&self, on: bool) {
        self.parts.logs_requests.store(on, Ordering::Relaxed);
    }

    pub(crate) async fn who(&self, address: IpAddr, headers: &HeaderMap) -> Result<Principal, Problem> {
        self.parts.credentials.check(headers, address).await
    }

    /// Refuses a server that does not exist: an empty answer would look like a server without traffic.
    pub(crate) fn known_servers(&self, ids: &[u32]) -> Result<(), Problem> {
        for id in ids {
            if self.store().registry().server(*id).map_err(Problem::internal)?.is_none() {
                return Err(Problem::parameter("server_id", format_args!("there is no server {id}")));
            }
        }
        Ok(())
    }
}

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
        .merge(Router::<App>::from(docs).layer(map_response(openapi::docs_policy)))
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
    let mut document = openapi::document();
    for (need, group) in groups() {
        let (_, mut part) = group.split_for_parts();
        openapi::complete(&mut part, need);
        document.merge(part);
    }
    document
}

fn described(app: &App) -> (Router<App>, OpenApi) {
    let guarded = |routes: Router<App>, need| match need {
        Need::Nothing => routes,
        need => routes.route_layer(from_fn_with_state((app.clone(), need), guard)),
    };
    let mut routes = guarded(page::routes(), Need::User);
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
        (Need::User, users::own()),
        (Need::Administrator, users::managing().merge(settings::changing()).merge(audit::routes()).merge(broker_trial::routes())),
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
}

fn for_all() -> OpenApiRouter<App> {
    OpenApiRouter::default().merge(health::routes())
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

/// What every request passes through. Compression is work, which is done for whoever has proved who they are.
async fn every_request(State(app): State<App>, request: Request, next: Next) -> Response {
    answered(app, request, next, |response| response.extensions().get::<Principal>().is_some()).await
}

/// The same where only the monitoring asks.
async fn every_scrape(State(app): State<App>, request: Request, next: Next) -> Response {
    answered(app, request, next, |_| true).await
}

/// Refuses what no route should see, bounds the time, turns a panic into an answer, compresses it for those for whom that is
/// done, and keeps account of it.
async fn answered(app: App, request: Request, next: Next, compresses: impl Fn(&Response) -> bool) -> Response {
    let access = Access::begin(&app, &request);
    let coding = Coding::accepted(request.headers());
    let longest = Duration::from_secs(app.limits().request_timeout_s);
    let answering = async {
        let checked = browsers::check(&app, &request);
        match checked {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let answered = tokio::time::timeout(longest, AssertUnwindSafe(answering).catch_unwind()).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => Problem::internal(format_args!("a panic: {}", panic_text(panic.as_ref()))).into_response(),
        Err(_) => Problem::new(Case::TooSlow, format!("it took more than {} s", longest.as_secs())).into_response(),
    };
    browsers::tell(response.headers_mut());
    let coding = coding.filter(|_| compresses(&response));
    access.answered(compress::answer(response, coding))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod fleet_tests;
#[cfg(test)]
#[path = "matrix_tests.rs"]
mod matrix_tests;
#[cfg(test)]
#[path = "secrets_tests.rs"]
mod secrets_tests;
#[cfg(test)]
#[path = "strict_tests.rs"]
mod strict_tests;
#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
