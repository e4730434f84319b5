//! `GET` and `PATCH /api/v2/settings`: what is set for all servers; and how
//! settings are written in JSON, there and at a server.
//!
//! The password of the broker goes in and never comes out. What decides where a secret is sent is for
//! administrators, and a change of it needs the secret again (`zonepulse_store::Entered`).

use crate::app::App;
use crate::body::{Members, typed};
use crate::listing::blocking;
use crate::parameters;
use crate::problem::{Case, Problem};
use crate::rights::Caller;
use crate::time::now_ms;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_store::{Entered, GlobalSettings, Settings, SettingsOverride};

/// What is not shown, and whether there is one, which is.
const PASSWORD: &str = "rabbitmq_password";
const PASSWORD_SET: &str = "rabbitmq_password_set";

/// What only an administrator may set: where something is sent, to whom it is shown there, and secrets.
pub const FOR_ADMINISTRATORS: [&str; 8] = [
    "api_url",
    "verify_ca",
    "rabbitmq_address",
    "rabbitmq_port",
    "rabbitmq_tls",
    "rabbitmq_virtual_host",
    "rabbitmq_user",
    PASSWORD,
];

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

/// Read the global settings
///
/// What is set for all servers, and what holds for those that have nothing set for themselves.
#[utoipa::path(
    get, path = "/api/v2/settings", operation_id = "settings", tag = "Servers",
    responses((status = 200, description = "The settings.", body = GlobalAnswer)),
)]
async fn read(State(app): State<App>, uri: Uri) -> Result<Json<GlobalAnswer>, Problem> {
    parameters::none(&uri)?;
    blocking(move || answer(&app, app.store().registry().global()?)).await
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
    let Value::Object(patch) = crate::body::json(&headers, body, Members::MAX_BYTES).await? else {
        return Err(Problem::parameter("body", "it has to be an object"));
    };
    blocking(move || {
        let registry = app.store().registry().by(caller.actor(now_ms())).entering(entered(&patch));
        let global = registry.change_global(|over| apply(over, &patch))?;
        answer(&app, global)
    })
    .await
}

fn answer(app: &App, global: GlobalSettings) -> Result<Json<GlobalAnswer>, Problem> {
    let effective = app.store().registry().global_settings()?;
    Ok(Json(GlobalAnswer {
        settings_version: global.version,
        settings: shown_override(&global.settings)?,
        effective_settings: shown(&effective)?,
    }))
}

/// What holds, without the password.
pub fn shown(settings: &Settings) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(settings).map_err(Problem::internal)?;
    if let Value::Object(members) = &mut value {
        members.remove(PASSWORD);
        members.insert(PASSWORD_SET.to_owned(), (!settings.rabbitmq_password.is_empty()).into());
    }
    Ok(value)
}

/// What is set, without the password.
pub fn shown_override(over: &SettingsOverride) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(over).map_err(Problem::internal)?;
    if let Value::Object(members) = &mut value
        && members.remove(PASSWORD).is_some()
    {
        members.insert(PASSWORD_SET.to_owned(), true.into());
    }
    Ok(value)
}

/// Which secrets a patch enters.
pub fn entered(patch: &Map<String, Value>) -> Entered {
    Entered { rabbitmq_password: patch.get(PASSWORD).is_some_and(Value::is_string), pull_token: false }
}

/// Refuses a patch of somebody who is no administrator when it has what is for administrators only.
pub fn check_allowed(patch: &Map<String, Value>) -> Result<(), Problem> {
    match FOR_ADMINISTRATORS.into_iter().find(|name| patch.contains_key(*name)) {
        Some(name) => Err(for_administrators(name)),
        None => Ok(()),
    }
}

/// Says that a member is for administrators only.
pub fn for_administrators(name: &str) -> Problem {
    Problem::new(Case::NotAllowed, format!("{name}: only an administrator may set it, because it decides where secrets go"))
}

/// Sets what a patch has (RFC 7396), setting by setting, so that the one at fault is named.
pub fn apply(over: &mut SettingsOverride, patch: &Map<String, Value>) -> Result<(), Problem> {
    for (name, value) in patch {
        if !Settings::NAMES.contains(&name.as_str()) {
            let shown: String = name.chars().take(100).collect();
            let reason = format_args!("there is no such setting; there are {}", Settings::NAMES.join(", "));
            return Err(Problem::parameter(shown, reason));
        }
        let Value::Object(mut members) = serde_json::to_value(&*over).map_err(Problem::internal)? else { continue };
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
        *over = typed(name, Value::Object(members))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    fn patched(over: &SettingsOverride, patch: &Value) -> Result<SettingsOverride, Problem> {
        let mut over = over.clone();
        apply(&mut over, patch.as_object().unwrap())?;
        Ok(over)
    }

    #[test]
    fn what_is_absent_stays_and_null_takes_back() {
        let over = patched(&SettingsOverride::default(), &json!({"dns_interval_s": 30, "verify_ca": false})).unwrap();
        assert_eq!((over.dns_interval_s, over.verify_ca), (Some(30), Some(false)));
        let over = patched(&over, &json!({"verify_ca": null, "communication": "pull"})).unwrap();
        assert_eq!((over.dns_interval_s, over.verify_ca), (Some(30), None));
    }

    #[test]
    fn the_setting_at_fault_is_named() {
        for (patch, name) in [
            (json!({"dns_interval": 30}), "dns_interval"),
            (json!({"dns_interval_s": "30"}), "dns_interval_s"),
            (json!({"verify_ca": true, "rabbitmq_port": 65536}), "rabbitmq_port"),
            (json!({"communication": "smoke"}), "communication"),
            (json!({"api_url": ["a"]}), "api_url"),
            (json!({"overlapping_probes": "both"}), "overlapping_probes"),
        ] {
            let problem = patched(&SettingsOverride::default(), &patch).unwrap_err();
            assert!(problem.detail().starts_with(&format!("{name}: ")), "{}", problem.detail());
        }
    }

    /// Values that each setting cannot have, although some are of its type.
    fn invalid() -> Vec<(&'static str, Value)> {
        let long = "x".repeat(5000);
        let bad_urls = ["central", "ftp://a", "http://", "http://me@a", "http://a?b", "http://a:0", "http://a b"];
        let intervals = [json!(0), json!(7), json!(600), json!(-5), json!(2.5)];
        let mut all: Vec<(&str, Value)> = bad_urls.into_iter().map(|url| ("api_url", json!(url))).collect();
        all.extend(intervals.iter().map(|value| ("dns_interval_s", value.clone())));
        all.extend(intervals.iter().map(|value| ("system_interval_s", value.clone())));
        all.extend([
            ("api_url", json!(format!("http://{long}"))),
            ("verify_ca", json!("yes")),
            ("communication", json!("smoke")),
            ("api_timeout_ms", json!(9)),
            ("api_timeout_ms", json!(60_001)),
            ("dns_monitoring", json!(1)),
            ("system_monitoring", json!("on")),
            ("raw_retention_minutes", json!(0)),
            ("raw_retention_minutes", json!(4_294_967_296u64)),
            ("aggregated_retention_days", json!(0)),
            ("overlapping_probes", json!("both")),
            ("overlapping_probes", json!(true)),
            ("rabbitmq_address", json!("a b")),
            ("rabbitmq_address", json!("a/b")),
            ("rabbitmq_address", json!("x:5672")),
            ("rabbitmq_address", json!(long)),
            ("rabbitmq_port", json!(0)),
            ("rabbitmq_port", json!(65_536)),
            ("rabbitmq_tls", json!("no")),
            ("rabbitmq_virtual_host", json!("")),
            ("rabbitmq_user", json!("a\nb")),
            ("rabbitmq_user", json!(long)),
            ("rabbitmq_password", json!("a\u{0}b")),
        ]);
        all
    }

    #[test]
    fn every_setting_has_values_that_are_refused_by_its_name() {
        let invalid = invalid();
        for (name, value) in &invalid {
            let patch = Map::from_iter([((*name).to_owned(), value.clone())]);
            let said = match patched(&SettingsOverride::default(), &Value::Object(patch)) {
                Err(problem) => problem.detail().to_owned(),
                Ok(over) => over.check(&SettingsOverride::default()).expect_err(&format!("{name}: {value}")).to_string(),
            };
            assert!(said.starts_with(&format!("{name}: ")), "{name}: {value}: {said}");
        }
        let named: BTreeSet<&str> = invalid.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, Settings::NAMES.iter().copied().collect());
    }

    #[test]
    fn a_password_goes_in_and_never_comes_out() {
        let over = patched(&SettingsOverride::default(), &json!({"rabbitmq_password": "hush"})).unwrap();
        let settings = Settings::effective(Default::default(), &[&over]);
        assert_eq!(settings.rabbitmq_password, "hush");
        for shown in [shown(&settings).unwrap(), shown_override(&over).unwrap()] {
            assert!(!shown.to_string().contains("hush"), "{shown}");
            assert_eq!(shown[PASSWORD_SET], true);
        }
    }

    #[test]
    fn every_setting_is_for_administrators_unless_it_sends_nothing_anywhere() {
        let harmless = [
            "communication",
            "api_timeout_ms",
            "dns_monitoring",
            "dns_interval_s",
            "system_monitoring",
            "system_interval_s",
            "raw_retention_minutes",
            "aggregated_retention_days",
            "overlapping_probes",
        ];
        let told: BTreeSet<&str> = harmless.into_iter().chain(FOR_ADMINISTRATORS).collect();
        assert_eq!(told, Settings::NAMES.iter().copied().collect());
        for name in Settings::NAMES {
            let patch = Map::from_iter([((*name).to_owned(), Value::Null)]);
            assert_eq!(check_allowed(&patch).is_ok(), harmless.contains(name), "{name}");
        }
    }

    #[test]
    fn every_setting_is_described_and_nothing_else() {
        let names = |schema: Value| -> BTreeSet<String> { schema["properties"].as_object().unwrap().keys().cloned().collect() };
        let set = names(serde_json::to_value(SettingsSet::schema()).unwrap());
        let effective = names(serde_json::to_value(EffectiveSettings::schema()).unwrap());
        let shown: BTreeSet<String> = shown(&Settings::default()).unwrap().as_object().unwrap().keys().cloned().collect();
        assert_eq!(effective, shown);
        let all = Settings::NAMES.iter().map(|name| (*name).to_owned()).chain([PASSWORD_SET.to_owned()]).collect();
        assert_eq!(set, all);
    }
}
