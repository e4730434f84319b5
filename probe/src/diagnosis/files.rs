//! The files of a bundle: what the probe and its machine are like. No file contains a secret or a name that was asked for.

use super::{Origin, Sources};
use crate::deliver;
use crate::metrics;
use crate::settings::{InForce, Kept};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;
use toml_edit::{DocumentMut, Item, TableLike};
use zonepulse_doctor::{Bundle, Secrets, machine, utc};
use zonepulse_program::log;
use zonepulse_wire::Heartbeat;

/// Keys of the configuration and of the central's settings whose values are not shown.
const SECRET_KEYS: [&str; 3] = ["token", "password", "pull_token"];
/// The table whose `url` contains a password.
const BROKER: &str = "rabbitmq";
/// Maximum number of files of the spool that are listed.
const MOST_FILES: usize = 500;
const HIDDEN: &str = "(secret)";

/// Secrets with those of the settings in force.
pub(super) fn with_those_of(mut secrets: Secrets, in_force: &InForce) -> Secrets {
    in_force.heartbeat.iter().for_each(|central| secrets.add(central.token.reveal()));
    if let deliver::Settings::Amqp(amqp) = &in_force.delivery {
        secrets.add_url(amqp.url.reveal());
        secrets.add(amqp.token.reveal());
    }
    if let Some(pull) = &in_force.pull {
        secrets.add(pull.token.reveal());
    }
    secrets
}

/// Adds everything that can be found out.
pub(super) fn add_all(bundle: &mut Bundle, origin: &Origin, sources: &Sources, heartbeat: &Heartbeat, secrets: &Secrets) {
    let Sources { status, spool, counts, .. } = sources.clone();
    let dir = spool.dir().to_owned();
    let metrics = metrics::text(&metrics::Sources { status, spool, delivered: counts }).unwrap_or_default();
    let configuration = configuration(&origin.config);
    let versions = json!({ "probe": env!("CARGO_PKG_VERSION"), "dns": heartbeat.components.dns.as_ref().map(|dns| (&dns.name, &dns.version)) });
    bundle.add("configuration.toml", &configuration, secrets);
    bundle.add("settings.json", &pretty(&settings(&dir)), secrets);
    bundle.add("heartbeat.json", &pretty(heartbeat), secrets);
    bundle.add("versions.json", &pretty(&versions), secrets);
    bundle.add("metrics.txt", &metrics, secrets);
    bundle.add("spool.txt", &listing(&dir), secrets);
    bundle.add("machine.txt", &machine::facts(), secrets);
    bundle.add_log("log.txt", &log::recent(), secrets);
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
}

/// The configuration file with its comments, without secrets.
fn configuration(path: &Path) -> String {
    match fs::read_to_string(path).map(|text| text.parse::<DocumentMut>()) {
        Ok(Ok(mut document)) => {
            redact(document.as_table_mut(), "");
            // A secret that is commented out was valid once.
            let is_safe = |line: &&str| !line.trim_start().starts_with('#') || !SECRET_KEYS.iter().any(|key| line.contains(key));
            document.to_string().lines().filter(is_safe).map(|line| format!("{line}\n")).collect()
        }
        // An unreadable line may be a secret.
        Ok(Err(_)) => "(not valid TOML)\n".to_owned(),
        Err(error) => format!("({}: {error})\n", path.display()),
    }
}

fn redact(table: &mut dyn TableLike, name: &str) {
    for (key, item) in table.iter_mut() {
        let is_secret = SECRET_KEYS.contains(&key.get()) || name == BROKER && key.get() == "url";
        if is_secret && item.is_value() {
            *item = toml_edit::value(HIDDEN);
        } else if let Item::ArrayOfTables(tables) = item {
            tables.iter_mut().for_each(|table| redact(table, key.get()));
        } else if let Some(inner) = item.as_table_like_mut() {
            redact(inner, key.get());
        }
    }
}

/// The central's last settings.
fn settings(spool: &Path) -> Value {
    let kept = Kept::peek(spool).ok().flatten();
    let mut value = serde_json::to_value(kept).unwrap_or_default();
    hide(&mut value);
    value
}

fn hide(value: &mut Value) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        if SECRET_KEYS.contains(&name.as_str()) && !value.is_null() {
            *value = HIDDEN.into();
        }
        hide(value);
    }
}

/// Names, sizes and times of the files in the spool; of many, the first and the last.
fn listing(dir: &Path) -> String {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() && folders.len() < MOST_FILES {
                folders.push(entry.path());
            }
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let time_s = modified.map_or(0, |time| time.as_secs());
            let name = entry.path().strip_prefix(dir).map_or_else(|_| entry.path(), Path::to_owned);
            files.push((name, metadata.len(), time_s));
        }
    }
    files.sort();
    let left_out = files.len().saturating_sub(MOST_FILES);
    let mut text = String::new();
    for (at, (name, size_bytes, time_s)) in files.iter().enumerate() {
        if at == MOST_FILES / 2 && left_out > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "… {left_out} more …");
        }
        if at < MOST_FILES / 2 || at >= MOST_FILES / 2 + left_out {
            let _ = writeln!(text, "{size_bytes:>10}  {}  {}", utc(*time_s), name.display());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_shown_without_secrets() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("probe.toml");
        let text = "server_id = 7 # mine\n# token = \"old-secret\"\npull = { token = \"secret-1\", listen = \"[::]:1\" }\n\
                    [deliver.http]\nurl = \"https://central.example\"\ntoken = \"secret-2\"\n\
                    [deliver.rabbitmq]\nurl = \"amqps://me:secret-3@broker.example\"\n";
        fs::write(&path, text).unwrap();
        let shown = configuration(&path);
        assert!(!shown.contains("secret-") && !shown.contains("old-secret"), "{shown}");
        for kept in ["server_id = 7 # mine", "https://central.example", "listen = \"[::]:1\"", "[deliver.rabbitmq]"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        fs::write(&path, "token = secret-1").unwrap();
        assert!(!configuration(&path).contains("secret-1"));
        assert!(configuration(&dir.path().join("none")).contains("No such file"));
    }

    #[test]
    fn the_central_s_settings_are_shown_without_secrets() {
        let mut value = json!({ "settings": { "rabbitmq": { "password": "secret-1", "user": "me" }, "pull_token": "secret-2" } });
        hide(&mut value);
        let expected = json!({ "settings": { "rabbitmq": { "password": HIDDEN, "user": "me" }, "pull_token": HIDDEN } });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_large_spool_is_not_listed_completely() {
        let dir = tempfile::TempDir::new().unwrap();
        fs::create_dir(dir.path().join("refused")).unwrap();
        for number in 0..MOST_FILES + 9 {
            fs::write(dir.path().join(format!("{number:04}.batch")), "abc").unwrap();
        }
        let text = listing(dir.path());
        assert_eq!(text.lines().count(), MOST_FILES + 1);
        assert!(text.contains("… 10 more …") && text.contains("         3  ") && text.ends_with("  refused\n"), "{text}");
    }
}
