//! `GET` and `PATCH /api/v2/settings`: the settings for all servers.

use super::settings_schema::{EffectiveSettings, SettingsSet};
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body::{self, Members};
use crate::http::question::parameters;
use crate::http::state::App;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::rights::Caller;
use zonepulse_central::servers::settings::{self, Global, shown, shown_override};

/// The route for reading.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(read))
}

/// The route for changing, for administrators.
pub fn changing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(change))
}

/// The settings for all servers.
#[derive(Serialize, ToSchema)]
struct GlobalAnswer {
    /// Increases with every change of a setting, whether for all servers or for one.
    settings_version: u64,
    /// The settings as set for all servers.
    #[schema(value_type = SettingsSet)]
    settings: Value,
    /// The settings in effect for a server without settings of its own.
    #[schema(value_type = EffectiveSettings)]
    effective_settings: Value,
}

impl GlobalAnswer {
    fn of(Global { set, effective }: Global) -> Result<Json<Self>, Problem> {
        Ok(Json(GlobalAnswer {
            settings_version: set.version,
            settings: shown_override(&set.settings)?.into(),
            effective_settings: shown(&effective)?.into(),
        }))
    }
}

/// Read the global settings
///
/// The settings for all servers, and those in effect for servers without settings of their own.
#[utoipa::path(
    get, path = "/api/v2/settings", operation_id = "settings", tag = "Servers",
    responses((status = 200, description = "The settings.", body = GlobalAnswer)),
)]
async fn read(State(app): State<App>, uri: Uri) -> Result<Json<GlobalAnswer>, Problem> {
    parameters::none(&uri)?;
    GlobalAnswer::of(blocking(move || settings::global(app.central())).await?)
}

/// Change the global settings
///
/// Absent settings are unchanged; `null` resets one to its default (RFC 7396). Retention applies from the next query on,
/// everything else from a probe's next heartbeat on. If the settings would be invalid together for any server, they are
/// refused and nothing changes. A change that would send the broker's password elsewhere or less securely (another address,
/// port or user, no TLS, no verification) must contain `rabbitmq_password`.
#[utoipa::path(
    patch, path = "/api/v2/settings", operation_id = "change_settings", tag = "Servers",
    request_body(content = SettingsSet, description = "The settings to change."),
    responses((status = 200, description = "The changed settings.", body = GlobalAnswer)),
)]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<GlobalAnswer>, Problem> {
    parameters::none(&uri)?;
    let Value::Object(patch) = body::json(&headers, body, Members::MAX_BYTES).await? else {
        return Err(Problem::parameter("body", "it has to be an object"));
    };
    GlobalAnswer::of(blocking(move || settings::change_global(app.central(), &caller, &patch.into())).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;
    use zonepulse_central::servers::settings::PASSWORD_SET;
    use zonepulse_model::Settings;

    #[test]
    fn every_setting_is_described_and_nothing_else() {
        let names = |schema: Value| -> BTreeSet<String> { schema["properties"].as_object().unwrap().keys().cloned().collect() };
        let set = names(serde_json::to_value(SettingsSet::schema()).unwrap());
        let effective = names(serde_json::to_value(EffectiveSettings::schema()).unwrap());
        let shown: BTreeSet<String> = shown(&Settings::default()).unwrap().keys().cloned().collect();
        assert_eq!(effective, shown);
        let all = Settings::NAMES.iter().map(|name| (*name).to_owned()).chain([PASSWORD_SET.to_owned()]).collect();
        assert_eq!(set, all);
    }
}
