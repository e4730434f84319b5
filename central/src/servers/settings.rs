//! Settings, for all servers or for one, written by name.
//!
//! The broker's password can be set but never read back. Settings that decide where a secret is sent are for
//! administrators, and changing them requires entering the secret again ([`Entered`]).

use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Central, Error};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;
use zonepulse_model::{ChangedBy, Declaration, Settings, SettingsOverride};
use zonepulse_store::{Entered, GlobalSettings};

/// The setting that is never shown; only whether it is set.
const PASSWORD: &str = "rabbitmq_password";
/// Shown in its place: whether a password is set.
pub const PASSWORD_SET: &str = "rabbitmq_password_set";

/// Settings to change, by name; `null` resets a setting to its default (RFC 7396). Debug output contains names only.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Patch(Map<String, Value>);

impl From<Map<String, Value>> for Patch {
    fn from(members: Map<String, Value>) -> Self {
        Patch(members)
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The settings for all servers, and the effective settings of a server that overrides none.
#[derive(Debug, Clone)]
pub struct Global {
    /// The settings as set.
    pub set: GlobalSettings,
    /// The effective settings.
    pub effective: Settings,
}

/// Reads the settings for all servers.
pub fn global(central: &Central) -> Result<Global, Error> {
    let registry = central.store().registry();
    Ok(Global { set: registry.global()?, effective: registry.global_settings()? })
}

/// Changes the settings for all servers.
pub fn change_global(central: &Central, caller: &Caller, patch: &Patch) -> Result<Global, Error> {
    let registry = central.store().registry().by(caller.actor(now_ms())).entering(entered(patch));
    let set = registry.change_global(|over| apply(over, patch))?;
    Ok(Global { set, effective: registry.global_settings()? })
}

/// Effective settings, without the password.
pub fn shown(settings: &Settings) -> Result<Map<String, Value>, Error> {
    let mut members = object(serde_json::to_value(settings)?);
    members.remove(PASSWORD);
    members.insert(PASSWORD_SET.to_owned(), (!settings.rabbitmq_password.is_empty()).into());
    Ok(members)
}

/// Settings as set, without the password.
pub fn shown_override(over: &SettingsOverride) -> Result<Map<String, Value>, Error> {
    let mut members = object(serde_json::to_value(over)?);
    if members.remove(PASSWORD).is_some() {
        members.insert(PASSWORD_SET.to_owned(), true.into());
    }
    Ok(members)
}

/// Which secrets a patch contains.
pub fn entered(patch: &Patch) -> Entered {
    Entered { rabbitmq_password: patch.0.get(PASSWORD).is_some_and(Value::is_string), pull_token: false }
}

/// Rejects a patch by a user who is not an administrator if it contains settings for administrators only.
pub fn check_allowed(patch: &Patch) -> Result<(), Error> {
    let is_refused =
        |declared: &&Declaration| declared.changed_by == ChangedBy::Administrators && patch.0.contains_key(declared.name);
    match Settings::DECLARED.iter().find(is_refused) {
        Some(declared) => Err(for_administrators(declared.name)),
        None => Ok(()),
    }
}

/// The error for a setting that is for administrators only.
pub(super) fn for_administrators(name: &str) -> Error {
    Error::NotAllowed(format!("{name}: only an administrator may set it, because it decides where secrets go"))
}

/// Applies a patch setting by setting, so that an error can name the one at fault.
pub fn apply(over: &mut SettingsOverride, patch: &Patch) -> Result<(), Error> {
    for (name, value) in &patch.0 {
        if !Settings::NAMES.contains(&name.as_str()) {
            let shown: String = name.chars().take(100).collect();
            let reason = format_args!("there is no such setting; there are {}", Settings::NAMES.join(", "));
            return Err(Error::bad_value(shown, reason));
        }
        let mut members = object(serde_json::to_value(&*over)?);
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
        *over = serde_json::from_value(Value::Object(members)).map_err(|error| Error::bad_value(name.clone(), error))?;
    }
    Ok(())
}

/// The members of a value that serializes as an object.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn patched(over: &SettingsOverride, patch: &Value) -> Result<SettingsOverride, Error> {
        let mut over = over.clone();
        apply(&mut over, &patch.as_object().unwrap().clone().into())?;
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
            let said = patched(&SettingsOverride::default(), &patch).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{name}: ")), "{said}");
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
            ("dns_served", json!("yes")),
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
                Err(error) => error.to_string(),
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
        for shown in [shown(&settings).unwrap(), shown_override(&over).unwrap()].map(Value::Object) {
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
            "dns_served",
            "system_monitoring",
            "system_interval_s",
            "raw_retention_minutes",
            "aggregated_retention_days",
            "overlapping_probes",
        ];
        let for_administrators = [
            "api_url",
            "verify_ca",
            "rabbitmq_address",
            "rabbitmq_port",
            "rabbitmq_tls",
            "rabbitmq_virtual_host",
            "rabbitmq_user",
            PASSWORD,
        ];
        let told: BTreeSet<&str> = harmless.into_iter().chain(for_administrators).collect();
        assert_eq!(told, Settings::NAMES.iter().copied().collect());
        for name in Settings::NAMES {
            let patch = Map::from_iter([((*name).to_owned(), Value::Null)]);
            assert_eq!(check_allowed(&patch.into()).is_ok(), harmless.contains(name), "{name}");
        }
    }
}
