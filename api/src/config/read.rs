//! Reads the configuration.

use super::Settings;
use super::renamed::TABLE;
use crate::Error;
use std::path::Path;
use zonepulse_program::config::{Schema, Sources, environment, read_file};

/// What is specific to the central's configuration.
static SCHEMA: Schema =
    Schema { prefix: "ZONEPULSE_", is_variable: is_setting, secrets: &["rabbitmq.url"], paths: &[], renamed: &TABLE };

impl Settings {
    /// The defaults, overridden by a file if one is given, overridden by the environment.
    ///
    /// Fails with [`Error::File`] if the file cannot be read, with [`Error::Private`] if it contains a secret and others may
    /// read it, and with [`Error::Config`], which names the place and, for an unknown key, the one probably meant.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        // A file that is named and missing is a mistake.
        let text = file.map(read_file).transpose()?.unwrap_or_default();
        let sources = Sources::read(&SCHEMA, file.map(|file| (file, text.as_str())), environment(), [])?;
        let settings: Settings = sources.extract()?;
        if let Some((key, what)) = settings.bad_value() {
            return Err(sources.refuse(key, what).into());
        }
        settings.check_together()?;
        Ok(Settings { warnings: sources.warnings(), ..settings })
    }
}

/// Variables used by the project's scripts, without the prefix.
const OF_SCRIPTS: [&str; 2] = ["corpus", "run_dir"];

/// Whether a variable, in lower case without its prefix, is meant for the central: the probe and the project's tests and
/// scripts have variables of their own.
fn is_setting(key: &str) -> bool {
    !["probe_", "tests_", "bench_"].iter().any(|other| key.starts_with(other)) && !OF_SCRIPTS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    /// The error about a file with this text, after the file's name.
    fn refusal(text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let said = describe(&Settings::read(Some(file.path())).unwrap_err());
        let name = format!("configuration: {}", file.path().display());
        said.strip_prefix(&name).unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_one_that_was_meant() {
        assert_eq!(refusal("lisen = \"[::]:1\""), ":1: unknown key `lisen`, did you mean `listen`?");
        let nested = "data = \"/d\"\n\n[limits]\nmax_connections = 3\nmax_request = 1\n";
        assert_eq!(refusal(nested), ":5: unknown key `limits.max_request`, did you mean `limits.max_request_bytes`?");
        assert_eq!(refusal("limits.shutdwon_s = 1"), ":1: unknown key `limits.shutdwon_s`, did you mean `limits.shutdown_s`?");
    }

    #[test]
    fn an_unknown_key_that_is_like_no_other_is_told_which_there_are() {
        assert_eq!(refusal("[log]\nzzz = 1"), ":2: unknown key `log.zzz`, expected one of `level`, `format`, `requests`");
    }

    #[test]
    fn a_value_that_cannot_be_is_named_with_its_line() {
        let said = refusal("[limits]\n# most\nmax_connections = \"many\"");
        assert_eq!(said, ":3: limits.max_connections: invalid type: found string \"many\", expected u32");
        let said = refusal("[log]\nlevel = \"loud\"");
        assert!(said.starts_with(":2: log.level: unknown variant"), "{said}");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let said = refusal("data = \"/d\"\nlisten = \n");
        assert!(said.starts_with(":2: "), "{said}");
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let error = Settings::read(Some(Path::new("/nowhere/zonepulse.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/zonepulse.toml"), "{error}");
    }

    #[test]
    fn a_file_with_a_secret_that_others_may_read_is_refused_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let set_mode = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set_mode(0o644);
        std::fs::write(file.path(), "[rabbitmq]\nurl = \"amqp://127.0.0.1\"\n").unwrap();
        assert!(Settings::read(Some(file.path())).is_ok(), "no secret in it");
        std::fs::write(file.path(), "[rabbitmq]\nurl = \"amqp://me:hush@127.0.0.1\"\n").unwrap();
        for mode in [0o644, 0o640, 0o604] {
            set_mode(mode);
            let said = describe(&Settings::read(Some(file.path())).unwrap_err());
            assert!(said.contains(&format!("chmod 600 {}", file.path().display())) && !said.contains("hush"), "{said}");
        }
        set_mode(0o600);
        assert!(Settings::read(Some(file.path())).is_ok());
    }

    #[test]
    fn variables_of_the_probe_and_of_tests_are_no_settings() {
        for name in ["corpus", "tests_schedules", "bench_hours", "probe_server_id", "run_dir", "tests_inner"] {
            assert!(!is_setting(name), "{name}");
        }
        for name in ["listen", "store__min_free_bytes", "limits", "corpse"] {
            assert!(is_setting(name), "{name}");
        }
    }

    #[test]
    fn no_variable_of_the_projects_scripts_and_tests_is_an_unknown_setting() {
        let mut names = Vec::new();
        for place in ["Makefile", "scripts", "tests", "benches", "store/src"] {
            variables(&zonepulse_fixtures::project().join(place), &mut names);
        }
        assert!(names.iter().any(|name| name == "ZONEPULSE_TESTS_PYTHON"), "{names:?}");
        for name in names {
            let sources = Sources::read(&SCHEMA, None, [(name.clone(), "1".to_owned())], []).unwrap();
            let said = sources.extract::<Settings>().map_or_else(|error| describe(&error), |_| String::new());
            assert!(!said.contains("unknown"), "{name}: {said}");
        }
    }

    /// The project's variables that a file, or the files in a directory, name.
    fn variables(path: &Path, names: &mut Vec<String>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                variables(&entry.unwrap().path(), names);
            }
        } else if let Ok(text) = std::fs::read_to_string(path) {
            for (at, prefix) in text.match_indices(SCHEMA.prefix) {
                let rest = &text[at + prefix.len()..];
                let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len());
                // What ends with a line is a prefix.
                if !rest[..end].is_empty() && !rest[..end].ends_with('_') {
                    names.push(format!("{prefix}{}", &rest[..end]));
                }
            }
        }
    }
}
