//! `GET` and `PATCH /api/v2/settings`: what is set for all servers; and how settings are described, there and at a server.

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

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(read))
}

/// What changes, for administrators.
pub fn changing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(change))
}

/// Describes every setting once, for what is set and for what holds.
macro_rules! described {
    ($($(#[$attribute:meta])* $name:ident: $kind:ty,)*) => {
        /// The settings that are set here; one that is absent or null has its default, or a server the value for all servers.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "describes a member")]
        pub struct SettingsSet {
            $($(#[$attribute])* $name: Option<$kind>,)*
            /// The user's password. It can be set, and is never shown.
            #[schema(write_only, max_length = 255)]
            rabbitmq_password: Option<String>,
            /// Whether a password is set.
            #[schema(read_only)]
            rabbitmq_password_set: Option<bool>,
        }

        /// What holds: the defaults, overlaid by what is set for all, overlaid by what is set for a server.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "describes a member")]
        pub struct EffectiveSettings {
            $($(#[$attribute])* $name: $kind,)*
            /// Whether a password is set. The password itself is never shown.
            rabbitmq_password_set: bool,
        }
    };
}

described! {
    /// Where probes find this API, `http://…` or `https://…`; empty for wherever they were enrolled. A probe follows
    /// only to hosts that its own configuration allows. For administrators.
    #[schema(example = "https://central.example:8053", max_length = 2048)]
    api_url: String,
    /// Whether a probe refuses a central, or a broker, whose certificate it cannot check. For administrators; a probe
    /// whose own configuration says that it verifies does so in any case.
    verify_ca: bool,
    /// How batches get here: the probe sends over HTTP or through RabbitMQ, or the central collects them.
    communication: Communication,
    /// How long the central waits for a probe, or a broker, to let it in, milliseconds.
    #[schema(minimum = 10, maximum = 60000)]
    api_timeout_ms: u32,
    /// Whether DNS messages are counted.
    dns_monitoring: bool,
    /// Over which time they are summed, seconds; divides 300.
    #[schema(minimum = 1, maximum = 300, example = 60)]
    dns_interval_s: u32,
    /// Whether the system is measured.
    system_monitoring: bool,
    /// How often, seconds; divides 300.
    #[schema(minimum = 1, maximum = 300, example = 5)]
    system_interval_s: u32,
    /// How long raw points are kept, minutes; 4294967295 for ever.
    #[schema(minimum = 1)]
    raw_retention_minutes: u32,
    /// How long roll-ups are kept, days; 4294967295 for ever.
    #[schema(minimum = 1)]
    aggregated_retention_days: u32,
    /// What becomes of a batch whose time another run of a probe of the same server covers already, as when two probes
    /// use one token: `count`, so that both count and the coverage tells of it, or `refuse`, so that a time counts once.
    /// Then a probe whose clock was ahead and is set back between two runs has refused what it observes until it is past the
    /// time that it covered falsely, up to as long as batches may be ahead (`[ingest] max_ahead_s`).
    overlapping_probes: OverlappingProbes,
    /// The broker's FQDN or IP address; empty for none. For administrators, as is all about the broker.
    #[schema(max_length = 255)]
    rabbitmq_address: String,
    /// The broker's port; unless set, 5672, or 5671 with TLS.
    #[schema(minimum = 1, maximum = 65535)]
    rabbitmq_port: u16,
    /// Whether the broker is spoken to with TLS.
    rabbitmq_tls: bool,
    /// The virtual host at the broker.
    #[schema(min_length = 1, max_length = 255)]
    rabbitmq_virtual_host: String,
    /// The user at the broker.
    #[schema(max_length = 255)]
    rabbitmq_user: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a member")]
enum Communication {
    Http,
    Rabbitmq,
    Pull,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a member")]
enum OverlappingProbes {
    Count,
    Refuse,
}

/// What is set for all servers.
#[derive(Serialize, ToSchema)]
struct GlobalAnswer {
    /// Rises with every change of a setting, of all servers or of one.
    settings_version: u64,
    /// What is set for all servers.
    #[schema(value_type = SettingsSet)]
    settings: Value,
    /// What holds for a server that has nothing set for itself.
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
/// What is set for all servers, and what holds for those that have nothing set for themselves.
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
/// A setting that is absent stays as it is; `null` puts it back to its default (RFC 7396). Retention
/// counts from the next question on, everything else from a probe's next heartbeat on. Settings that
/// cannot hold together, of any server, are refused, and nothing is changed. A change that would send the
/// broker's password elsewhere or less safely (another address, port or user, no TLS, no verification) needs
/// `rabbitmq_password` in the same request.
#[utoipa::path(
    patch, path = "/api/v2/settings", operation_id = "change_settings", tag = "Servers",
    request_body(content = SettingsSet, description = "What is to be set."),
    responses((status = 200, description = "The settings as they are now.", body = GlobalAnswer)),
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
    use zonepulse_store::Settings;

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
