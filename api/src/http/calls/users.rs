//! `/api/v2/users`: who may ask, and change what.
//!
//! Administrators manage users. Everybody may give themselves another password
//! and tokens. A password or token that is made up is shown this once.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body::{Members, body};
use crate::http::question::parameters::{self, Listed};
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::accounts::NewUser;
use zonepulse_central::accounts::users::{self, Changed};
use zonepulse_central::rights::Caller;
use zonepulse_central::time::text;
use zonepulse_private::Secret;
use zonepulse_store::{Rights, User, UserToken};

/// What administrators call.
pub fn managing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(create)).routes(routes!(remove))
}

/// What a user may do for themselves, and administrators for all.
pub fn own() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(add_token))
        .routes(routes!(remove_token))
}

/// What a user may do who is no administrator.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct RightsBody {
    /// Ask the monitoring API.
    monitoring: bool,
    /// Make servers.
    server_create: bool,
    /// See how servers are set up.
    server_read: bool,
    /// Change servers.
    server_update: bool,
    /// Remove servers.
    server_delete: bool,
}

impl From<Rights> for RightsBody {
    fn from(rights: Rights) -> Self {
        let Rights { monitoring, server_create, server_read, server_update, server_delete } = rights;
        RightsBody { monitoring, server_create, server_read, server_update, server_delete }
    }
}

body! {
    /// Rights to be given or taken; what is absent stays as it is.
    struct RightsChange {
        /// Ask the monitoring API.
        monitoring: Option<bool> = take,
        /// Make servers.
        server_create: Option<bool> = take,
        /// See how servers are set up.
        server_read: Option<bool> = take,
        /// Change servers.
        server_update: Option<bool> = take,
        /// Remove servers.
        server_delete: Option<bool> = take,
    }
}

impl RightsChange {
    fn of(members: Map<String, Value>) -> Result<Self, Problem> {
        Self::read(&mut Members::of(members, Self::MEMBERS)?)
    }
}

impl From<RightsChange> for users::RightsChange {
    fn from(change: RightsChange) -> Self {
        let RightsChange { monitoring, server_create, server_read, server_update, server_delete } = change;
        users::RightsChange { monitoring, server_create, server_read, server_update, server_delete }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
struct UserBody {
    /// The name to log in with.
    user: String,
    /// Whether everything is allowed.
    administrator: bool,
    /// What is allowed otherwise.
    rights: RightsBody,
    /// When the user was made.
    #[schema(format = DateTime)]
    created: String,
    /// The user's tokens; the secrets themselves are nowhere.
    tokens: Vec<TokenBody>,
}

/// A token of a user.
#[derive(Serialize, ToSchema)]
struct TokenBody {
    /// Its number among the user's tokens.
    token_id: u32,
    /// What it is for.
    name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
    /// Until when it can be used; null for ever.
    #[schema(format = DateTime, required)]
    expires: Option<String>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        UserBody {
            user: user.name,
            administrator: user.administrator,
            rights: user.rights.into(),
            created: text(user.created_ms),
            tokens: user.tokens.into_iter().map(TokenBody::from).collect(),
        }
    }
}

impl From<UserToken> for TokenBody {
    fn from(token: UserToken) -> Self {
        let UserToken { id, name, created_ms, expires_ms, .. } = token;
        TokenBody { token_id: id, name, created: text(created_ms), expires: expires_ms.map(text) }
    }
}

body! {
    /// A user to be made.
    struct NewUserBody {
        /// The name to log in with, which no other user's looks like: 1 to 128 bytes without colon, slash or anything invisible.
        #[schema(min_length = 1, max_length = 128, pattern = "^[^:/]*$")]
        user: String = required,
        /// The password; without one, one is made up.
        #[schema(value_type = Option<String>, write_only, min_length = 8, max_length = 1000)]
        password: Option<Secret> = optional,
        /// Whether everything is allowed; no, unless told otherwise.
        administrator: Option<bool> = take,
        /// What is allowed otherwise: `monitoring` and `server_read`, unless told otherwise.
        #[schema(value_type = Option<RightsChange>)]
        rights: Option<Map<String, Value>> = take,
    }
}

body! {
    /// What is to be different of a user.
    struct UserChange {
        /// Another password; `null` makes one up.
        #[schema(value_type = Option<String>, write_only, min_length = 8, max_length = 1000)]
        password: Option<Option<Secret>> = take,
        /// Whether everything is allowed.
        administrator: Option<bool> = take,
        /// What is allowed otherwise.
        #[schema(value_type = Option<RightsChange>)]
        rights: Option<Map<String, Value>> = take,
    }
}

/// A user who was made or changed.
#[derive(Serialize, ToSchema)]
struct UserAnswer {
    /// The user.
    user: UserBody,
    /// The password, when it was made up. It is shown this once.
    #[schema(required)]
    password: Option<String>,
}

impl From<Changed> for UserAnswer {
    fn from(Changed { user, made_up }: Changed) -> Self {
        UserAnswer { user: user.into(), password: made_up.map(|made_up| made_up.reveal().to_owned()) }
    }
}

body! {
    /// A token to be made.
    struct NewToken {
        /// What it is for: 1 to 128 bytes.
        #[schema(min_length = 1, max_length = 128, example = "grafana")]
        name: String = required,
        /// For how many days it can be used; for ever without it.
        #[schema(minimum = 1, maximum = 3650)]
        expires_days: Option<u32> = optional,
    }
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    /// The token itself, for `Authorization: Bearer`. It is shown this once.
    secret: String,
    /// What is kept of it.
    token: TokenBody,
}

/// List users
///
/// For administrators.
#[utoipa::path(
    get, path = "/api/v2/users", operation_id = "users", tag = "Users",
    params(
        ("offset" = Option<u64>, Query, description = "How many rows to skip.", minimum = 0),
        ("limit" = Option<u32>, Query, description = "How many rows to give; 1000 unless told otherwise.", maximum = 100000),
    ),
    responses((status = 200, description = "The users, by name.", body = Vec<UserBody>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = Listed::read(&uri, &[])?;
    let users = blocking(move || app.central().store().registry().users()).await?;
    Ok(listing::page::<UserBody>(users.into_iter().map(UserBody::from).collect(), &page, &uri))
}

/// Make a user
///
/// For administrators.
#[utoipa::path(
    post, path = "/api/v2/users", operation_id = "create_user", tag = "Users",
    request_body(content = NewUserBody, description = "The user."),
    responses(
        (status = 201, description = "The user.", body = UserAnswer, headers(("Location" = String, description = "Where the user is."))),
        (status = 409, description = "The name is taken, or there are too many users.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    let mut members = Members::read(&headers, body, NewUserBody::MEMBERS).await?;
    let NewUserBody { user: name, password, administrator, rights: change } = NewUserBody::read(&mut members)?;
    let administrator = administrator.unwrap_or(false);
    let mut rights = Rights::default();
    if let Some(change) = change.map(RightsChange::of).transpose()? {
        users::RightsChange::from(change).apply(&mut rights);
    }
    let location = format!("/api/v2/users/{}", in_path(&name));
    let answer =
        blocking(move || users::create(app.central(), &caller, NewUser { name: &name, password, administrator, rights }));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(UserAnswer::from(answer.await?))).into_response())
}

/// Read a user
///
/// For administrators, and for the user.
#[utoipa::path(
    get, path = "/api/v2/users/{user}", operation_id = "user", tag = "Users",
    params(("user" = String, Path, description = "The name.")),
    responses(
        (status = 200, description = "The user.", body = UserBody),
        (status = 404, description = "There is no such user.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<UserBody>, Problem> {
    parameters::none(&uri)?;
    let name = name(path)?;
    users::may_manage(&caller, &name)?;
    let user = blocking(move || users::find(app.central(), &name)).await?;
    Ok(Json(user.into()))
}

/// Change a user
///
/// For administrators; a user may change the own password and nothing else. The last administrator
/// stays one.
#[utoipa::path(
    patch, path = "/api/v2/users/{user}", operation_id = "change_user", tag = "Users",
    params(("user" = String, Path, description = "The name.")),
    request_body(content = UserChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The user as it is now.", body = UserAnswer),
        (status = 404, description = "There is no such user.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the last administrator.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<UserAnswer>, Problem> {
    parameters::none(&uri)?;
    let name = name(path)?;
    users::may_manage(&caller, &name)?;
    let mut members = Members::read(&headers, body, UserChange::MEMBERS).await?;
    let UserChange { password, administrator, rights } = UserChange::read(&mut members)?;
    if administrator.is_some() || rights.is_some() {
        users::may_change_rights(&caller)?;
    }
    let rights = rights.map(RightsChange::of).transpose()?.map(Into::into);
    let change = users::UserChange { password, administrator, rights };
    let changed = blocking(move || users::change(app.central(), &caller, &name, change)).await?;
    Ok(Json(changed.into()))
}

/// Remove a user
///
/// For administrators. The last administrator stays.
#[utoipa::path(
    delete, path = "/api/v2/users/{user}", operation_id = "remove_user", tag = "Users",
    params(("user" = String, Path, description = "The name.")),
    responses(
        (status = 204, description = "The user is removed; password and tokens are refused from then on."),
        (status = 404, description = "There is no such user.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the last administrator.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    parameters::none(&uri)?;
    let name = name(path)?;
    blocking(move || users::remove(app.central(), &caller, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a token
///
/// For administrators, and for the user. With it a program may do what the user may.
#[utoipa::path(
    post, path = "/api/v2/users/{user}/tokens", operation_id = "create_user_token", tag = "Users",
    params(("user" = String, Path, description = "The name.")),
    request_body(content = NewToken, description = "The token."),
    responses(
        (status = 201, description = "The token.", body = TokenAnswer),
        (status = 404, description = "There is no such user.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The user has too many tokens.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn add_token(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<TokenAnswer>), Problem> {
    parameters::none(&uri)?;
    let user = name(path)?;
    users::may_manage(&caller, &user)?;
    let mut members = Members::read(&headers, body, NewToken::MEMBERS).await?;
    let NewToken { name, expires_days: days } = NewToken::read(&mut members)?;
    let (token, secret) = blocking(move || users::add_token(app.central(), &caller, &user, name, days)).await?;
    Ok((StatusCode::CREATED, Json(TokenAnswer { secret: secret.reveal().to_owned(), token: token.into() })))
}

/// Take a token back
///
/// For administrators, and for the user.
#[utoipa::path(
    delete, path = "/api/v2/users/{user}/tokens/{token_id}", operation_id = "remove_user_token", tag = "Users",
    params(("user" = String, Path, description = "The name."), ("token_id" = u32, Path, description = "The token.")),
    responses(
        (status = 204, description = "The token is refused from now on."),
        (status = 404, description = "There is no such user, or no such token.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove_token(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
) -> Result<StatusCode, Problem> {
    parameters::none(&uri)?;
    let Path((user, id)) = path.map_err(|error| parameters::bad_path(&error, "user"))?;
    users::may_manage(&caller, &user)?;
    let id: u32 = id.parse().map_err(|_| Problem::parameter("token_id", "it has to be a number"))?;
    blocking(move || users::remove_token(app.central(), &caller, &user, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn name(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(name)| name).map_err(|error| parameters::bad_path(&error, "user"))
}

/// A name as a part of a path (RFC 3986).
fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_escaped_in_a_path() {
        assert_eq!(in_path("ann-1"), "ann-1");
        assert_eq!(in_path("a b/ü"), "a%20b%2F%C3%BC");
    }

    #[test]
    fn a_right_that_does_not_exist_is_named() {
        let change = |json: serde_json::Value| {
            let mut rights = Rights::default();
            let change = RightsChange::of(json.as_object().unwrap().clone())?;
            users::RightsChange::from(change).apply(&mut rights);
            Ok::<_, Problem>(rights)
        };
        let problem = change(serde_json::json!({"fly": true})).unwrap_err();
        assert!(problem.detail().starts_with("fly: "), "{}", problem.detail());
        let rights = change(serde_json::json!({"monitoring": false, "server_update": true})).unwrap();
        assert_eq!(rights, Rights { monitoring: false, server_update: true, ..Rights::default() });
    }
}
