//! `/api/v2/session`: logging in from a browser, who is logged in, and logging out.
//!
//! Programs need no session: they send credentials with every request.

use super::users::RightsBody;
use crate::http::answer::problem::Problem;
use crate::http::door::listen::Peer;
use crate::http::door::{cookie, guard};
use crate::http::question::body::{Members, body};
use crate::http::question::parameters;
use crate::http::state::App;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::credentials::{Account, Principal};
use zonepulse_central::rights::Caller;
use zonepulse_central::sessions::Session;
use zonepulse_private::Secret;

/// The path of these calls.
const PATH: &str = "/api/v2/session";
/// A token in a compressed answer could be guessed from the answer's length.
const NOT_KEPT: (header::HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));

/// The route for everybody.
pub fn opening() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(open))
}

/// The routes for users.
pub fn own() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(read)).routes(routes!(end))
}

body! {
    /// A login.
    struct Login {
        /// The user's name.
        user: String = required,
        /// The user's password.
        #[schema(value_type = String, write_only)]
        password: Secret = required,
    }
}

/// Who is logged in.
#[derive(Serialize, ToSchema)]
struct SessionBody {
    /// The name of the user.
    user: String,
    /// Whether the user is an administrator, who may do everything.
    administrator: bool,
    /// The rights of a user who is not an administrator.
    rights: RightsBody,
    /// What the header `X-CSRF-Token` of every request that is not GET or HEAD has to be. Only with the cookie of a session.
    #[serde(serialize_with = "zonepulse_private::reveal", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    csrf_token: Option<Secret>,
    /// When the session expires if it is not used until then, Unix milliseconds. Only with the cookie of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

impl SessionBody {
    fn new(account: &Account, session: Option<&Session>) -> Self {
        SessionBody {
            user: account.name.clone(),
            administrator: account.administrator,
            rights: account.rights.into(),
            csrf_token: session.map(|session| session.csrf_token.clone()),
            expires_at_ms: session.map(|session| session.expires_ms),
        }
    }
}

/// Log in
///
/// Opens a session for a browser, which keeps its token in a cookie. The session lasts until it was not used for
/// `limits.session_s`, at most 24 hours, and ends with a logout, another password, the removal of the user, or a restart of
/// the central. A user has up to 16; one more ends the oldest. Programs need no session: they send credentials with every
/// request. With the header `X-Zonepulse-Page`, no refusal makes a browser ask for a password.
#[utoipa::path(
    post, path = "/api/v2/session", operation_id = "log_in", tag = "Users",
    request_body(content = Login, description = "Name and password."),
    responses(
        (status = 201, description = "Who is logged in.", body = SessionBody, headers(("Set-Cookie" = String, description = "The session's token: `zonepulse_session`, over TLS `__Host-zonepulse_session`."))),
    ),
)]
async fn open(
    State(app): State<App>,
    Extension(ConnectInfo(Peer(peer))): Extension<ConnectInfo<Peer>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    let mut members = Members::read(&headers, body, Login::MEMBERS).await?;
    let Login { user, password } = Login::read(&mut members)?;
    let (central, address) = (app.central(), peer.ip());
    let opened = central.sessions().open(central.credentials(), user, password, address).await.map_err(Problem::from);
    let opened = opened.inspect_err(|problem| guard::note(&app, PATH, true, address, problem))?;
    let scheme = central.addresses().scheme;
    // A browser has one cookie of that name: nobody could use the session before.
    if let Ok(Some(before)) = cookie::shown(&headers, scheme) {
        central.sessions().end_token(&before);
    }
    let set = [(header::SET_COOKIE, cookie::set(&opened.token, cookie::is_secure(&headers, scheme))?), NOT_KEPT];
    let account = &opened.session.account;
    let body = Json(SessionBody::new(account, Some(&opened.session)));
    // The access log takes the caller from the answer.
    let caller = Extension(Principal::User(account.clone()));
    Ok((StatusCode::CREATED, set, caller, body).into_response())
}

/// Read the session
///
/// Who the caller is and may do, however it authenticated. With the cookie of a session also what a change has to prove, and
/// when the session expires; this request, like any other, lets it last longer.
#[utoipa::path(
    get, path = "/api/v2/session", operation_id = "session", tag = "Users",
    responses((status = 200, description = "Who is logged in.", body = SessionBody)),
)]
async fn read(
    Extension(caller): Extension<Caller>,
    session: Option<Extension<Session>>,
    uri: Uri,
) -> Result<impl IntoResponse, Problem> {
    parameters::none(&uri)?;
    let account = caller.account().ok_or_else(|| Problem::internal("a caller who is no user"))?;
    Ok(([NOT_KEPT], Json(SessionBody::new(account, session.as_deref()))))
}

/// Log out
///
/// Ends the session, and removes its cookie. Credentials that were sent otherwise stay valid.
#[utoipa::path(
    delete, path = "/api/v2/session", operation_id = "log_out", tag = "Users",
    responses((status = 204, description = "The session has ended.")),
)]
async fn end(State(app): State<App>, session: Option<Extension<Session>>, uri: Uri) -> Result<impl IntoResponse, Problem> {
    parameters::none(&uri)?;
    if let Some(Extension(session)) = session {
        app.central().sessions().end(&session);
    }
    let removed = cookie::removed()?.map(|cookie| (header::SET_COOKIE, cookie));
    Ok((StatusCode::NO_CONTENT, AppendHeaders(removed)))
}
