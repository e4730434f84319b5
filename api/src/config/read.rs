//! Reading the settings, and saying what is wrong with them and where.

use super::Settings;
use super::renamed::TABLE;
use crate::Error;
use figment::error::Kind;
use figment::providers::{Env, Format, Toml};
use figment::{Figment, Provider};
use std::path::Path;
use toml_edit::{ImDocument, TableLike};
use zonepulse_renamed::{Renamed, Renewed, as_written};

/// What every variable of the environment that counts begins with.
const PREFIX: &str = "ZONEPULSE_";

impl Settings {
    /// The defaults, overlaid by a file if one is given, overlaid by the environment.
    ///
    /// Fails with [`Error::File`] when the file cannot be read, with [`Error::Private`] when
    /// there is a secret in it and others may read it, and with [`Error::Config`], which names the place and, for a key that is not
    /// known, the one that was probably meant.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        let mut figment = Figment::new();
        let mut warnings = Vec::new();
        if let Some(file) = file {
            // A file that is named and missing is a mistake; figment would read it as empty.
            let text = zonepulse_private::read(file)?.with_secrets(holds_secret)?;
            let in_file = |line: Option<usize>, what: &str| Error::Config(place(file, line) + what);
            let document = ImDocument::parse(text.as_str())
                .map_err(|error| in_file(error.span().map(|span| line(&text, span.start)), error.message().trim_end()))?;
            // Read by itself first, so that an error can say that it is in the file.
            let refuse = |fault: Fault| in_file(fault.line(&text, document.as_table()), &fault.text(in_a_file));
            let source = renewed(Toml::string(&text), refuse)?;
            let refuse = |fault: Fault| refuse(fault.written(source.used()));
            let alone: Settings = Figment::from(source.clone()).extract().map_err(|error| refuse(Fault::of(&error)))?;
            Fault::value_of(&alone).map_or(Ok(()), |fault| Err(refuse(fault)))?;
            warnings.extend(source.used().iter().map(|renamed| {
                let line = Fault::renamed(renamed).written(source.used()).line(&text, document.as_table());
                place(file, line) + &renamed.to_string()
            }));
            figment = figment.merge(source);
        }
        let environment = Env::prefixed(PREFIX).filter(|key| is_setting(key.as_str())).split("__");
        let refuse = |fault: Fault| Error::Config(format!("environment {}", fault.text(as_variable)));
        let source = renewed(environment, refuse)?;
        let refuse = |fault: Fault| refuse(fault.written(source.used()));
        let settings: Settings = figment.merge(source.clone()).extract().map_err(|error| refuse(Fault::of(&error)))?;
        let spelled = |renamed: &Renamed| renamed.warning(|key| as_variable(&parts(key)));
        warnings.extend(source.used().iter().map(|renamed| format!("environment {}", spelled(renamed))));
        let settings = Settings { warnings, ..settings };
        Fault::value_of(&settings).map_or(Ok(()), |fault| Err(refuse(fault)))?;
        settings.check_together()?;
        Ok(settings)
    }
}

/// A source with the present names.
fn renewed(source: impl Provider, refuse: impl Fn(Fault) -> Error) -> Result<Renewed, Error> {
    Renewed::of(source, &TABLE).map_err(|error| match error {
        zonepulse_renamed::Error::Both(renamed) => refuse(Fault::renamed(&renamed)),
        zonepulse_renamed::Error::Source(error) => refuse(Fault::of(&error)),
        error => Error::Config(error.to_string()),
    })
}

fn parts(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

fn in_a_file(path: &[String]) -> String {
    path.join(".")
}

fn as_variable(path: &[String]) -> String {
    format!("{PREFIX}{}", path.join("__").to_uppercase())
}

/// Whether a configuration has a token, a password, or a URL with a password in it.
fn holds_secret(text: &str) -> bool {
    fn in_value(key: &str, value: &toml::Value) -> bool {
        match value {
            toml::Value::String(text) => zonepulse_private::is_secret(key, text),
            toml::Value::Array(values) => values.iter().any(|value| in_value(key, value)),
            toml::Value::Table(table) => table.iter().any(|(key, value)| in_value(key, value)),
            _ => false,
        }
    }
    // What cannot be parsed is refused for that.
    text.parse::<toml::Table>().is_ok_and(|table| table.iter().any(|(key, value)| in_value(key, value)))
}

/// Variables of the project's tests and scripts, without the prefix.
const OF_SCRIPTS: [&str; 5] = ["corpus", "crashes", "run_dir", "schedules", "seed"];

/// Whether a variable, named without its prefix, is meant for the central: the probe has
/// settings of its own, and so have the project's tests and scripts.
fn is_setting(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !["probe_", "tests_", "bench_"].iter().any(|other| key.starts_with(other)) && !OF_SCRIPTS.contains(&key.as_str())
}

/// `FILE:LINE: `, or without the line where it is not known.
fn place(file: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}: ", file.display()),
        None => format!("{}: ", file.display()),
    }
}

/// What is wrong, and with which key.
struct Fault {
    path: Vec<String>,
    what: What,
}

enum What {
    /// The last part of the path is not a key; these are.
    Unknown(&'static [&'static str]),
    /// The key cannot have this value.
    Value(String),
    /// The key is there under its new name, too.
    Both(Renamed),
}

impl Fault {
    fn of(error: &figment::Error) -> Self {
        let mut path = error.path.clone();
        let what = match &error.kind {
            Kind::UnknownField(field, known) => {
                if path.last() != Some(field) {
                    path.push(field.clone());
                }
                What::Unknown(known)
            }
            kind => What::Value(kind.to_string()),
        };
        Fault { path, what }
    }

    /// A value that is of its type, and cannot be all the same.
    fn value_of(settings: &Settings) -> Option<Self> {
        let (key, what) = settings.bad_value()?;
        Some(Fault { path: parts(key), what: What::Value(what) })
    }

    /// A key that has another name now.
    fn renamed(renamed: &Renamed) -> Self {
        Fault { path: parts(renamed.value_of.unwrap_or(renamed.old)), what: What::Both(*renamed) }
    }

    /// The same, with the key named as in a source that uses these old names.
    fn written(self, used: &[Renamed]) -> Self {
        Fault { path: parts(&as_written(&self.path.join("."), used)), ..self }
    }

    /// In words, with the key spelled as its source does.
    fn text(&self, spell: impl Fn(&[String]) -> String) -> String {
        match &self.what {
            What::Value(what) => format!("{}: {what}", spell(&self.path)),
            What::Both(renamed) => renamed.both(|key| spell(&parts(key))),
            What::Unknown(known) => {
                let (key, section) = self.path.split_last().map_or(("", &[][..]), |(key, section)| (key.as_str(), section));
                let spelled = |key: &str| spell(&[section, &[key.to_owned()]].concat());
                let hint = match nearest(key, known) {
                    Some(nearest) => format!("did you mean `{}`?", spelled(nearest)),
                    None => format!("here there are {}", list(known)),
                };
                format!("unknown key `{}`, {hint}", spelled(key))
            }
        }
    }

    /// The line of the key, or of the last part of its path that is there.
    fn line(&self, text: &str, root: &dyn TableLike) -> Option<usize> {
        let mut table = Some(root);
        let mut found = None;
        for part in &self.path {
            let Some((key, item)) = table.and_then(|table| table.get_key_value(part)) else { break };
            found = key.span().map(|span| line(text, span.start)).or(found);
            table = item.as_table_like();
        }
        found
    }
}

/// The line of a place in a text, counted from 1.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The key that was probably meant: one that a few slips of the finger away.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let slips = |other: &str| strsim::damerau_levenshtein(&key.to_ascii_lowercase(), other);
    let part = |other: &str| key.len() >= 4 && (other.starts_with(key) || key.starts_with(other));
    let near = |other: &&&str| slips(other) <= 1 + other.len() / 4 || part(other);
    known.iter().filter(near).min_by_key(|other| slips(other)).copied()
}

fn list(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    /// What is said of a file with this text, after the file's name.
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
        assert_eq!(refusal("[log]\nzzz = 1"), ":2: unknown key `log.zzz`, here there are `level`, `format`, `requests`");
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
    fn what_is_far_from_every_key_is_not_guessed_at() {
        assert_eq!(nearest("colour", &["listen", "data"]), None);
        assert_eq!(nearest("Listen", &["listen", "data"]), Some("listen"));
    }

    #[test]
    fn variables_of_the_probe_and_of_tests_are_no_settings() {
        for name in ["CORPUS", "SCHEDULES", "BENCH_HOURS", "PROBE_SERVER_ID", "RUN_DIR", "TESTS_INNER"] {
            assert!(!is_setting(name), "{name}");
        }
        for name in ["LISTEN", "STORE__MIN_FREE_BYTES", "LIMITS", "CORPSE"] {
            assert!(is_setting(name), "{name}");
        }
    }
}
