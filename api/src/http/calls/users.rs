//! `/api/v2/users`: users, their rights and tokens.
//!
//! Administrators manage users. Every user may change their own password and create tokens. A generated password or
//! token is shown only once.

use crate::http::answer::listing;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body::{Members, body};
use crate::http::question::groups::Slice;
use crate::http::question::parameters;
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

/// The routes for administrators.
pub fn managing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(create)).routes(routes!(remove))
}

/// What users may do for themselves, and administrators for everyone.
pub fn own() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(read))
        .routes(routes!(change))
        .routes(routes!(add_token))
        .routes(routes!(remove_token))
}

/// What a user who is not an administrator may do.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct RightsBody {
    /// Use the monitoring API.
    monitoring: bool,
    /// Create servers.
    server_create: bool,
    /// See the configuration of servers.
    server_read: bool,
    /// Change servers.
    server_update: bool,
    /// Remove servers.
    server_delete: bool,
    /// Add, load, change and remove zones, and what is said of their resources.
    zones: bool,
    /// Plan the deletion of records.
    retirement: bool,
}

impl From<Rights> for RightsBody {
    fn from(rights: Rights) -> Self {
        let Rights { monitoring, server_create, server_read, server_update, server_delete, zones, retirement } = rights;
        RightsBody { monitoring, server_create, server_read, server_update, server_delete, zones, retirement }
    }
}

body! {
    /// Rights to grant or revoke; an absent one is unchanged.
    struct RightsChange {
        /// Use the monitoring API.
        monitoring: Option<bool> = take,
        /// Create servers.
        server_create: Option<bool> = take,
        /// See the configuration of servers.
        server_read: Option<bool> = take,
        /// Change servers.
        server_update: Option<bool> = take,
        /// Remove servers.
        server_delete: Option<bool> = take,
        /// Add, load, change and remove zones, and what is said of their resources.
        zones: Option<bool> = take,
        /// Plan the deletion of records.
        retirement: Option<bool> = take,
    }
}

impl RightsChange {
    fn of(members: Map<String, Value>) -> Result<Self, Problem> {
        Self::read(&mut Members::of(members, Self::MEMBERS)?)
    }
}

impl From<RightsChange> for users::RightsChange {
    fn from(change: RightsChange) -> Self {
        let RightsChange { monitoring, server_create, server_read, server_update, server_delete, zones, retirement } = change;
        users::RightsChange { monitoring, server_create, server_read, server_update, server_delete, zones, retirement }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
struct UserBody {
    /// The name to log in with.
    user: String,
    /// Whether the user is an administrator, who may do everything.
    administrator: bool,
    /// The rights of a user who is not an administrator.
    rights: RightsBody,
    /// When the user was created.
    #[schema(format = DateTime)]
    created: String,
    /// The user's tokens, without the secrets, which are not stored.
    tokens: Vec<TokenBody>,
}

/// A token of a user.
#[derive(Serialize, ToSchema)]
struct TokenBody {
    /// Its number among the user's tokens.
    token_id: u32,
    /// What it is for.
    name: String,
    /// When it was created.
    #[schema(format = DateTime)]
    created: String,
    /// When it expires; null if it does not.
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
    /// A new user.
    struct NewUserBody {
        /// The name to log in with, which must not look like another user's: 1 to 128 bytes without colons, slashes and
        /// invisible characters.
        #[schema(min_length = 1, max_length = 128, pattern = "^[^:/]*$")]
        user: String = required,
        /// The password; generated by default.
        #[schema(value_type = Option<String>, write_only, min_length = 8, max_length = 1000)]
        password: Option<Secret> = optional,
        /// Whether the user is an administrator, who may do everything; false by default.
        administrator: Option<bool> = take,
        /// The rights of a user who is not an administrator; `monitoring` and `server_read` by default.
        #[schema(value_type = Option<RightsChange>)]
        rights: Option<Map<String, Value>> = take,
    }
}

body! {
    /// Changes to a user.
    struct UserChange {
        /// The new password; `null` generates one.
        #[schema(value_type = Option<String>, write_only, min_length = 8, max_length = 1000)]
        password: Option<Option<Secret>> = take,
        /// Whether the user is an administrator, who may do everything.
        administrator: Option<bool> = take,
        /// The rights of a user who is not an administrator.
        #[schema(value_type = Option<RightsChange>)]
        rights: Option<Map<String, Value>> = take,
    }
}

/// A new or changed user.
#[derive(Serialize, ToSchema)]
struct UserAnswer {
    /// The user.
    user: UserBody,
    /// The password, if it was generated. It is shown only once.
    #[schema(required)]
    password: Option<String>,
}

impl From<Changed> for UserAnswer {
    fn from(Changed { user, made_up }: Changed) -> Self {
        UserAnswer { user: user.into(), password: made_up.map(|made_up| made_up.reveal().to_owned()) }
    }
}

body! {
    /// A new token.
    struct NewToken {
        /// What it is for: 1 to 128 bytes.
        #[schema(min_length = 1, max_length = 128, example = "grafana")]
        name: String = required,
        /// The number of days until it expires; by default, it does not.
        #[schema(minimum = 1, maximum = 3650)]
        expires_days: Option<u32> = optional,
    }
}

/// A new token.
#[derive(Serialize, ToSchema)]
struct TokenAnswer {
    /// The token itself, for `Authorization: Bearer`. It is shown only once.
    secret: String,
    /// What is stored about it.
    token: TokenBody,
}

/// List users
///
/// For administrators.
#[utoipa::path(
    get, path = "/api/v2/users", operation_id = "users", tag = "Users",
    params(Slice),
    responses((status = 200, description = "The users, by name.", body = Vec<UserBody>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let users = blocking(move || app.central().store().registry().users()).await?;
    Ok(listing::page::<UserBody>(users.into_iter().map(UserBody::from).collect(), &page, &uri))
}

/// Create a user
///
/// For administrators.
#[utoipa::path(
    post, path = "/api/v2/users", operation_id = "create_user", tag = "Users",
    request_body(content = NewUserBody, description = "The user."),
    responses(
        (status = 201, description = "The user.", body = UserAnswer, headers(("Location" = String, description = "The path of the user."))),
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
/// For administrators and the user.
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
/// For administrators; users may change their own password and nothing else. The last administrator cannot be demoted.
#[utoipa::path(
    patch, path = "/api/v2/users/{user}", operation_id = "change_user", tag = "Users",
    params(("user" = String, Path, description = "The name.")),
    request_body(content = UserChange, description = "The changes."),
    responses(
        (status = 200, description = "The changed user.", body = UserAnswer),
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
/// For administrators. The last administrator cannot be removed.
#[utoipa::path(
    delete, path = "/api/v2/users/{user}", operation_id = "remove_user", tag = "Users",
    params(("user" = String, Path, description = "The name.")),
    responses(
        (status = 204, description = "The user is removed; the password and tokens are refused from now on."),
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

/// Create a token
///
/// For administrators and the user. A token has the rights of its user.
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

/// Revoke a token
///
/// For administrators and the user.
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

/// A name as a path segment (RFC 3986).
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
