//! The configuration, and what follows from it together with the central's saved settings.

use super::subject::Subject;
use crate::Error;
use crate::config::{Argument, Config, Obedience, pull};
use crate::deliver;
use crate::settings::{InForce, Kept};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zonepulse_doctor::{Check, Secrets, argument};
use zonepulse_net::Trust;
use zonepulse_private::Secret;

const SUBJECT: Subject = Subject::Configuration;

/// What all other checks start from.
#[derive(Debug)]
pub(super) struct Known {
    /// The configuration file.
    pub(super) path: PathBuf,
    pub(super) config: Config,
    /// How to reach the central.
    pub(super) central: Central,
    /// How batches get there, if that is known.
    pub(super) delivery: Option<deliver::Settings>,
    /// How they are fetched, if they are.
    pull: Option<pull::Settings>,
}

/// How to reach the central over HTTP, with the central's settings in force.
#[derive(Debug, Clone)]
pub(super) struct Central {
    pub(super) url: String,
    pub(super) token: Option<Secret>,
    /// Whom to trust; if that cannot be determined, why not.
    pub(super) trust: Result<Trust, String>,
}

impl Known {
    /// The configuration file as an argument of a command.
    pub(super) fn file(&self) -> String {
        argument(&self.path)
    }

    /// Everything that must not be shown.
    pub(super) fn secrets(&self) -> Secrets {
        let http = &self.config.deliver.http;
        let tokens = [self.central.token.as_ref(), http.token.as_ref(), self.config.pull.token.as_ref()];
        let mut secrets = Secrets::of(tokens.into_iter().flatten().map(Secret::reveal));
        secrets.add_url(self.config.deliver.rabbitmq.url.reveal());
        if let Some(deliver::Settings::Amqp(amqp)) = &self.delivery {
            secrets.add_url(amqp.url.reveal());
            secrets.add(amqp.token.reveal());
        }
        if let Some(pull) = &self.pull {
            secrets.add(pull.token.reveal());
        }
        secrets
    }
}

/// Loads the configuration; nothing else can be checked without it.
pub(super) fn load(path: &Path, arguments: &[Argument]) -> (Check, Option<Known>) {
    if let Err(error) = File::open(path) {
        return (unreadable(path, &error), None);
    }
    let config = match Config::load(path, arguments) {
        Ok(config) => config,
        Err(error) => return (invalid(path, &error), None),
    };
    let checked = config.check_machine();
    let saved = match config.central.settings {
        Obedience::Ignore => Ok(None),
        Obedience::Apply => Kept::peek(&config.spool.dir),
    };
    let kept = saved.as_ref().ok().and_then(Option::as_ref).filter(|kept| kept.server_id == config.server_id);
    let own = InForce::of_config(&config);
    let theirs = kept.map(|kept| InForce::of_central(&config, kept));
    let check = match (&checked, &own, &theirs) {
        (Err(error), ..) | (_, Err(error), None) => invalid(path, error),
        (Ok(()), _, Some(Ok(in_force))) | (Ok(()), Ok(in_force), None) => valid(path, &config, in_force, saved.as_ref().err()),
        (Ok(()), _, Some(Err(error))) => Check::warning(
            SUBJECT,
            format!("{} is valid, but the central's saved settings cannot be applied: {error}", path.display()),
            "correct them at the central; until then, the configuration alone applies",
        ),
    };
    // As the probe does when it starts.
    let in_force = theirs.and_then(Result::ok).map_or(own, Ok);
    let central = central(&config, in_force.as_ref().ok());
    let (delivery, pull) = in_force.ok().map(|in_force| (in_force.delivery, in_force.pull)).unzip();
    (check, Some(Known { path: path.to_owned(), config, central, delivery, pull: pull.flatten() }))
}

fn central(config: &Config, in_force: Option<&InForce>) -> Central {
    match in_force.and_then(|in_force| in_force.heartbeat.first()) {
        Some(deliver::http::Settings { url, token, trust }) => {
            Central { url: url.clone(), token: Some(token.clone()), trust: Ok(trust.clone()) }
        }
        None => Central {
            url: config.deliver.http.url.clone(),
            token: None,
            trust: config.trust(config.tls.verify_ca).map_err(|error| error.to_string()),
        },
    }
}

fn valid(path: &Path, config: &Config, in_force: &InForce, unread: Option<&Error>) -> Check {
    let file = path.display();
    let check = if let Some(refused) = &in_force.refused {
        let found = format!("{file} is valid, but a setting of the central is ignored: {refused}");
        Check::warning(SUBJECT, found, "change that setting at the central, or allow it in [central] pin or [tls] verify_ca")
    } else if let Some(warning) = config.warnings.first() {
        let more = config.warnings.len() - 1;
        let found = if more == 0 { warning.clone() } else { format!("{warning} (and {more} more)") };
        Check::warning(SUBJECT, found, format!("rename it in {file}: the next release rejects the old name"))
    } else {
        let settings = match (in_force.version, unread) {
            (_, Some(error)) => format!("; the central's saved settings were not taken into account: {error}"),
            (Some(version), None) => format!("; version {version} of the central's settings overrides it"),
            (None, None) => String::new(),
        };
        let moved = in_force.moved_to.as_ref().map(|url| format!(", and moves the central to {url}")).unwrap_or_default();
        Check::ok(SUBJECT, format!("{file} is valid{settings}{moved}"))
    };
    let check = check.with("communication", config.deliver.communication.as_str());
    match in_force.version {
        Some(version) => check.with("settings_version", version),
        None => check,
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Check {
    let file = argument(path);
    let found = format!("{} cannot be read: {error}", path.display());
    let advice = match error.kind() {
        ErrorKind::NotFound => format!(
            "name the right file with --config, or create this one: zonepulse-probe enroll https://CENTRAL:8053 --config {file}"
        ),
        ErrorKind::PermissionDenied => as_the_probe(path, &file),
        _ => "restore the file".to_owned(),
    };
    Check::error(SUBJECT, found, advice)
}

fn invalid(path: &Path, error: &Error) -> Check {
    use zonepulse_private::Error as Private;
    let found = error.to_string();
    let file = argument(path);
    let advice = match error {
        Error::Private(Private::Exposed { remedy, .. }) => format!("make it private: {remedy}"),
        Error::Private(Private::Owner { path, user, .. }) => format!("give it to that user: chown {user} {}", argument(path)),
        _ if found.contains("Permission denied") => as_the_probe(path, &file),
        _ if found.contains("chmod o-w") => format!("remove that permission: chmod o-w {file}"),
        _ => format!("correct that, and check again: zonepulse-probe run --config {file} --check-config"),
    };
    Check::error(SUBJECT, found, advice)
}

/// Advice for someone who may not read what the probe may: `owned` belongs to the probe's user.
pub(super) fn as_the_probe(owned: &Path, config: &str) -> String {
    use std::os::unix::fs::MetadataExt;
    let owner = owned.ancestors().find_map(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.uid());
    let user = if owner == 0 { String::new() } else { format!(" -u '#{owner}'") };
    format!("run this as the user that the probe runs as, or as root: sudo{user} zonepulse-probe doctor --config {config}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use zonepulse_doctor::Status;

    fn written(dir: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
        let path = dir.path().join("probe.toml");
        let spool = dir.path().join("spool");
        fs::write(&path, format!("{text}\n[spool]\ndir = {spool:?}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn loaded(text: &str, mode: u32) -> (Check, Option<Known>) {
        let dir = tempfile::TempDir::new().unwrap();
        load(&written(&dir, text, mode), &[])
    }

    const GOOD: &str = "server_id = 7\ndeliver.http.token = \"hush-hush\"\ndeliver.http.url = \"https://central.example\"\n";

    #[test]
    fn a_good_configuration_leads_to_the_central() {
        let (check, known) = loaded(GOOD, 0o600);
        let known = known.unwrap();
        assert_eq!((check.status, known.central.url.as_str()), (Status::Ok, "https://central.example"));
        assert!(known.delivery.is_some() && known.central.token.is_some());
        assert_eq!(known.secrets().hide("a hush-hush token"), "a (secret) token");
        assert!(!format!("{known:?}").contains("hush"), "{known:?}");
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        for (text, mode, found, advice) in [
            ("server_id = 7\nports = [53]", 0o600, "unknown key `ports`", "--check-config"),
            ("server_id = 7", 0o600, "deliver.http.token: is missing", "--check-config"),
            (GOOD, 0o644, "contains a secret", "chmod 600"),
            (GOOD, 0o602, "everyone may write", "chmod o-w"),
        ] {
            let (check, _) = loaded(text, mode);
            assert_eq!(check.status, Status::Error, "{check:?}");
            assert!(check.found.contains(found) && check.advice.unwrap().contains(advice), "{}", check.found);
            assert!(!check.found.contains("hush"));
        }
        let (check, known) = load(Path::new("/nonexistent/probe.toml"), &[]);
        assert!(known.is_none() && check.advice.unwrap().contains("zonepulse-probe enroll"));
    }

    #[test]
    fn the_network_is_known_even_without_a_token() {
        let (check, known) = loaded("server_id = 7", 0o600);
        let known = known.unwrap();
        assert_eq!((check.status, known.central.url.as_str()), (Status::Error, "http://127.0.0.1:8053"));
        assert!(known.delivery.is_none() && known.central.token.is_none() && known.central.trust.is_ok());
    }

    #[test]
    fn a_name_of_an_earlier_release_is_a_warning() {
        let (check, known) = loaded(&format!("{GOOD}deliver.via = \"http\"\n"), 0o600);
        assert!(known.is_some() && check.status == Status::Warning, "{check:?}");
        assert!(check.found.contains("deliver.communication"), "{}", check.found);
    }
}
