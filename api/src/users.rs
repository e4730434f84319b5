//! `/api/v2/users`: who may ask, and change what.
//!
//! Administrators manage users. Everybody may give themselves another password
//! and tokens. A password or token that is made up is shown this once.

use crate::accounts::{self, NewUser};
use crate::app::App;
use crate::body::Members;
use crate::credentials::token;
use crate::listing::{self, blocking};
use crate::parameters::{self, Listed};
use crate::problem::{Case, Problem};
use crate::rights::Caller;
use crate::time::{now_ms, text};
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
use zonepulse_private::Secret;
use zonepulse_store::{Rights, User, UserToken};

/// A day, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// The longest time that a token can be used, days.
const MOST_DAYS: u32 = 3650;

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

/// Rights to be given or taken; what is absent stays as it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a member")]
struct RightsChange {
    /// Ask the monitoring API.
    monitoring: Option<bool>,
    /// Make servers.
    server_create: Option<bool>,
    /// See how servers are set up.
    server_read: Option<bool>,
    /// Change servers.
    server_update: Option<bool>,
    /// Remove servers.
    server_delete: Option<bool>,
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

/// A user to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct NewUserBody {
    /// The name to log in with, which no other user's looks like: 1 to 128 bytes without colon, slash or anything invisible.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^:/]*$")]
    user: String,
    /// The password; without one, one is made up.
    #[schema(write_only, min_length = 8, max_length = 1000)]
    password: Option<String>,
    /// Whether everything is allowed; no, unless told otherwise.
    administrator: Option<bool>,
    /// What is allowed otherwise: `monitoring` and `server_read`, unless told otherwise.
    rights: Option<RightsChange>,
}

/// What is to be different of a user.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct UserChange {
    /// Another password; `null` makes one up.
    #[schema(write_only, min_length = 8, max_length = 1000)]
    password: Option<String>,
    /// Whether everything is allowed.
    administrator: Option<bool>,
    /// What is allowed otherwise.
    rights: Option<RightsChange>,
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

/// A token to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct NewToken {
    /// What it is for: 1 to 128 bytes.
    #[schema(min_length = 1, max_length = 128, example = "grafana")]
    name: String,
    /// For how many days it can be used; for ever without it.
    #[schema(minimum = 1, maximum = 3650)]
    expires_days: Option<u32>,
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
    let users = blocking(move || Ok(app.store().registry().users()?)).await?;
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
    let mut members = Members::read(&headers, body, &["user", "password", "administrator", "rights"]).await?;
    let name: String = members.required("user")?;
    let given: Option<Secret> = members.take::<Option<Secret>>("password")?.flatten();
    let administrator = members.take("administrator")?.unwrap_or(false);
    let mut rights = Rights::default();
    members.take::<Map<String, Value>>("rights")?.map_or(Ok(()), |change| apply(&mut rights, change))?;
    let location = format!("/api/v2/users/{}", in_path(&name));
    let answer = blocking(move || {
        let made_up = given.is_none();
        let now_ms = now_ms();
        let registry = app.store().registry().by(caller.actor(now_ms));
        let password = accounts::make_user(&registry, NewUser { name: &name, password: given, administrator, rights }, now_ms)?;
        let user = registry.user(&name)?.ok_or_else(|| missing(&name))?;
        Ok(UserAnswer { user: user.into(), password: made_up.then(|| password.reveal().to_owned()) })
    });
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(answer.await?)).into_response())
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
    may_manage(&caller, &name)?;
    blocking(move || Ok(Json(app.store().registry().user(&name)?.ok_or_else(|| missing(&name))?.into()))).await
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
    may_manage(&caller, &name)?;
    let mut members = Members::read(&headers, body, &["password", "administrator", "rights"]).await?;
    let password: Option<Option<Secret>> = members.take("password")?;
    let administrator: Option<bool> = members.take("administrator")?;
    let rights: Option<Map<String, Value>> = members.take("rights")?;
    if (administrator.is_some() || rights.is_some()) && !caller.account().is_some_and(|account| account.administrator) {
        return Err(Problem::new(Case::NotAllowed, "only an administrator may change what a user may do"));
    }
    blocking(move || {
        let registry = app.store().registry().by(caller.actor(now_ms()));
        // Before the registry is held: hashing takes its time.
        let hashed = password.map(accounts::hashed).transpose()?;
        let (made_up, hash) = hashed.map_or((None, None), |(made_up, hash)| (made_up, Some(hash)));
        let user = registry.change_user(&name, "user.change", |user| {
            if let Some(hash) = hash {
                user.password_hash = hash;
            }
            user.administrator = administrator.unwrap_or(user.administrator);
            rights.map_or(Ok(()), |change| apply(&mut user.rights, change))
        })?;
        Ok(Json(UserAnswer { user: user.into(), password: made_up.map(|made_up| made_up.reveal().to_owned()) }))
    })
    .await
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
    blocking(move || {
        app.store().registry().by(caller.actor(now_ms())).remove_user(&name)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
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
    may_manage(&caller, &user)?;
    let mut members = Members::read(&headers, body, &["name", "expires_days"]).await?;
    let name: String = members.required("name")?;
    let days: Option<u32> = members.take::<Option<u32>>("expires_days")?.flatten();
    if days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(Problem::parameter("expires_days", format_args!("it has to be from 1 to {MOST_DAYS}")));
    }
    let answer = blocking(move || {
        let secret = token::random().map_err(Problem::internal)?;
        let created_ms = now_ms();
        let registry = app.store().registry().by(caller.actor(created_ms));
        let changed = registry.change_user(&user, "user.token", |user| {
            let id = user.tokens.iter().map(|token| token.id).max().unwrap_or(0).saturating_add(1);
            let expires_ms = days.map(|days| created_ms + u64::from(days) * DAY_MS);
            user.tokens.push(UserToken { id, name, hash: token::hash(&secret), created_ms, expires_ms });
            Ok::<_, Problem>(())
        })?;
        let token = changed.tokens.last().cloned().ok_or_else(|| Problem::internal("a token that was made is not there"))?;
        Ok(TokenAnswer { secret, token: token.into() })
    });
    Ok((StatusCode::CREATED, Json(answer.await?)))
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
    may_manage(&caller, &user)?;
    let id: u32 = id.parse().map_err(|_| Problem::parameter("token_id", "it has to be a number"))?;
    blocking(move || {
        let registry = app.store().registry().by(caller.actor(now_ms()));
        registry.change_user(&user, "user.token", |user| {
            let before = user.tokens.len();
            user.tokens.retain(|token| token.id != id);
            if user.tokens.len() == before {
                return Err(Problem::new(Case::NotFound, format!("the user has no token {id}")));
            }
            Ok(())
        })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Administrators manage all, and everybody themselves. Who there is is told to no one else.
fn may_manage(caller: &Caller, name: &str) -> Result<(), Problem> {
    match caller.account() {
        Some(account) if account.administrator || account.name == name => Ok(()),
        _ => Err(Problem::new(Case::NotAllowed, "only an administrator may do this for somebody else")),
    }
}

/// Sets the rights that a change has.
fn apply(rights: &mut Rights, change: Map<String, Value>) -> Result<(), Problem> {
    let mut members = Members::of(change, &["monitoring", "server_create", "server_read", "server_update", "server_delete"])?;
    let mut set = |field: &mut bool, name| {
        *field = members.take(name)?.unwrap_or(*field);
        Ok::<_, Problem>(())
    };
    set(&mut rights.monitoring, "monitoring")?;
    set(&mut rights.server_create, "server_create")?;
    set(&mut rights.server_read, "server_read")?;
    set(&mut rights.server_update, "server_update")?;
    set(&mut rights.server_delete, "server_delete")
}

fn name(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    path.map(|Path(name)| name).map_err(|error| parameters::bad_path(&error, "user"))
}

fn missing(name: &str) -> Problem {
    Problem::new(Case::NotFound, format!("there is no user {name:?}"))
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
            apply(&mut rights, json.as_object().unwrap().clone()).map(|()| rights)
        };
        let problem = change(serde_json::json!({"fly": true})).unwrap_err();
        assert!(problem.detail().starts_with("fly: "), "{}", problem.detail());
        let rights = change(serde_json::json!({"monitoring": false, "server_update": true})).unwrap();
        assert_eq!(rights, Rights { monitoring: false, server_update: true, ..Rights::default() });
    }
}
