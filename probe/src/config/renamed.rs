//! Names that keys had in an earlier release, and the sources that may still use them.

use super::argument::Argument;
use super::explain::explain;
use super::{Config, ENVIRONMENT_PREFIX, SECRETS, wrong};
use crate::Error;
use figment::providers::{Format, Toml};
use figment::util::nest;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::convert::Infallible;
use std::path::Path;
use zonepulse_renamed::{Error as Fault, Renamed, Renewed, as_written, current};

/// The release after this one, which refuses these.
const NEXT: &str = "0.2";

/// What has another name than in the release before.
pub(super) const TABLE: [Renamed; 3] = [
    Renamed::key("deliver.via", "deliver.communication", NEXT),
    Renamed::key("deliver.amqp", "deliver.rabbitmq", NEXT),
    Renamed::value("deliver.communication", "amqp", "rabbitmq", NEXT),
];

/// Whether a key, under whichever name, is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&current(key, &TABLE).as_str())
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    File(&'a Path),
    Environment,
    Arguments,
}

impl Place<'_> {
    /// A key as it is written there.
    pub(super) fn spell(self, key: &str) -> String {
        match self {
            Place::File(_) => key.to_owned(),
            Place::Environment => format!("{ENVIRONMENT_PREFIX}{}", key.to_uppercase().replace('.', "__")),
            Place::Arguments => format!("--set {key}"),
        }
    }

    /// What errors call the source.
    fn source(self) -> &'static str {
        match self {
            Place::File(_) => "a file",
            Place::Environment => "the environment",
            Place::Arguments => "an argument",
        }
    }

    /// What an error or a warning begins with.
    pub(super) fn name(self) -> String {
        match self {
            Place::File(path) => path.display().to_string(),
            Place::Environment => "the environment".to_owned(),
            Place::Arguments => "the arguments".to_owned(),
        }
    }
}

/// Everything that says something of the configuration, the least important first.
pub(super) struct Sources<'a> {
    all: [(Place<'a>, Renewed); 3],
}

impl<'a> Sources<'a> {
    /// A text as of a file, the environment, and the arguments.
    pub(super) fn read(
        path: &'a Path,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        arguments: &[Argument],
    ) -> Result<Self, Error> {
        let source = |place: Place<'a>, provider: Together| {
            let renewed = Renewed::of(provider, &TABLE).map_err(|fault| match fault {
                Fault::Source(error) => explain(place, *error, &[]),
                Fault::Both(renamed) => wrong(place.name(), renamed.both(|key| place.spell(key))),
                fault => wrong(place.name(), fault.to_string()),
            })?;
            Ok::<_, Error>((place, renewed))
        };
        let file = Place::File(path);
        let text = Together::of(file, [Toml::string(text).data()]);
        let of_arguments = Together::of(Place::Arguments, arguments.iter().map(Provider::data));
        Ok(Sources {
            all: [
                source(file, text)?,
                source(Place::Environment, variables(environment))?,
                source(Place::Arguments, of_arguments)?,
            ],
        })
    }

    /// The configuration, with a warning for each old name.
    pub(super) fn extract(&self) -> Result<Config, Error> {
        let figment = self.all.iter().fold(Figment::new(), |figment, (_, source)| figment.merge(source.clone()));
        let mut config: Config = figment.extract().map_err(|error| {
            let source = error.metadata.as_ref().map(|metadata| metadata.name.as_ref()).unwrap_or_default();
            let [file, ..] = &self.all;
            let (place, renewed) = self.all.iter().find(|(place, _)| place.source() == source).unwrap_or(file);
            explain(*place, error, renewed.used())
        })?;
        let warnings = self.all.iter().flat_map(|(place, source)| {
            source.used().iter().map(|renamed| format!("{}: {}", place.name(), renamed.warning(|key| place.spell(key))))
        });
        config.warnings = warnings.collect();
        Ok(config)
    }

    /// A complaint that begins with a key, as the key is written.
    pub(super) fn complaint(&self, detail: String) -> String {
        let [(_, file), (_, environment), (_, arguments)] = &self.all;
        let used = [file.used(), environment.used(), arguments.used()].concat();
        match detail.split_once(':') {
            Some((key, what)) => format!("{}:{what}", as_written(key, &used)),
            None => detail,
        }
    }
}

/// Several pieces of one source, the later ones above the earlier ones.
struct Together {
    name: &'static str,
    data: Result<Map<Profile, Dict>, figment::Error>,
}

impl Together {
    fn of(place: Place<'_>, pieces: impl IntoIterator<Item = Result<Map<Profile, Dict>, figment::Error>>) -> Self {
        let mut data = Ok(Map::new());
        for piece in pieces {
            match (&mut data, piece) {
                (Ok(whole), Ok(piece)) => {
                    piece.into_iter().for_each(|(profile, dict)| merge(whole.entry(profile).or_default(), dict))
                }
                (Ok(_), Err(error)) => data = Err(error),
                (Err(_), _) => break,
            }
        }
        Together { name: place.source(), data }
    }
}

impl Provider for Together {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.data.clone()
    }
}

fn merge(whole: &mut Dict, piece: Dict) {
    for (key, value) in piece {
        match value {
            Value::Dict(tag, members) => match whole.entry(key).or_insert_with(|| Value::Dict(tag, Dict::new())) {
                Value::Dict(_, there) => merge(there, members),
                there => *there = Value::Dict(tag, members),
            },
            value => {
                whole.insert(key, value);
            }
        }
    }
}

/// The variables that are settings. A secret is text whatever it looks like.
fn variables(environment: impl Iterator<Item = (String, String)>) -> Together {
    let pieces = environment.filter_map(|(variable, text)| {
        let (prefix, key) = variable.split_at_checked(ENVIRONMENT_PREFIX.len())?;
        let key = key.to_lowercase().replace("__", ".");
        if !prefix.eq_ignore_ascii_case(ENVIRONMENT_PREFIX) || key.split('.').all(str::is_empty) {
            return None;
        }
        // As figment reads variables: true, 5, [53], "x"; anything else is text.
        let value =
            if is_secret(&key) { Value::from(text) } else { text.parse().unwrap_or_else(|never: Infallible| match never {}) };
        Some(Ok(Profile::Default.collect(nest(&key, value).into_dict().unwrap_or_default())))
    });
    Together::of(Place::Environment, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_wire::Communication;

    /// What a configuration says, from a file, the environment and arguments.
    fn read(text: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let arguments: Vec<Argument> = arguments.iter().map(|text| text.parse().unwrap()).collect();
        let text = format!("server_id = 1\n{text}");
        Config::read(Path::new("probe.toml"), &text, environment, &arguments).map_err(|error| error.to_string())
    }

    /// For every entry: a configuration with the old name and the same with the new one.
    const SAME: [(&str, &str); 3] = [
        ("deliver.via = \"pull\"\npull.listen = \"[::1]:1\"", "deliver.communication = \"pull\"\npull.listen = \"[::1]:1\""),
        ("[deliver.amqp]\nqueue = \"q\"", "[deliver.rabbitmq]\nqueue = \"q\""),
        ("deliver.communication = \"amqp\"", "deliver.communication = \"rabbitmq\""),
    ];

    #[test]
    fn every_old_name_means_the_same_as_the_new_one_and_is_warned_of() {
        for (renamed, (old, new)) in TABLE.iter().zip(SAME) {
            let (mut of_old, of_new) = (read(old, &[], &[]).unwrap(), read(new, &[], &[]).unwrap());
            assert_eq!(std::mem::take(&mut of_old.warnings), [format!("probe.toml: {renamed}")], "{old}");
            assert_eq!((&of_new, of_new.warnings.len()), (&of_old, 0), "{new}");
        }
    }

    #[test]
    fn both_names_of_a_key_are_refused_with_both() {
        for (renamed, (old, new)) in TABLE.iter().zip(SAME).filter(|(renamed, _)| renamed.value_of.is_none()) {
            let new = new.lines().filter(|line| !line.starts_with("pull.")).collect::<Vec<_>>().join("\n");
            let old = old.trim_start_matches("[deliver.amqp]\n").replace("queue", "deliver.amqp.queue");
            let error = read(&format!("{old}\n{new}"), &[], &[]).unwrap_err();
            assert!(error.starts_with("probe.toml: ") && error.contains(renamed.old) && error.contains(renamed.new), "{error}");
        }
    }

    #[test]
    fn a_key_keeps_its_section() {
        let section = |key: &'static str| key.rsplit_once('.').map(|(section, _)| section);
        for renamed in TABLE.iter().filter(|renamed| renamed.value_of.is_none()) {
            assert_eq!(section(renamed.old), section(renamed.new));
        }
    }

    #[test]
    fn a_source_stands_above_another_whichever_names_they_use() {
        let file = "[deliver]\nvia = \"http\"\namqp.queue = \"file\"";
        let environment = [("ZONEPULSE_PROBE_DELIVER__COMMUNICATION", "amqp"), ("ZONEPULSE_PROBE_DELIVER__AMQP__QUEUE", "q")];
        let config = read(file, &environment, &["deliver.rabbitmq.queue=argument"]).unwrap();
        assert_eq!(config.deliver.communication, Communication::Rabbitmq);
        assert_eq!(config.deliver.rabbitmq.queue, "argument");
        let named = |text: &str| config.warnings.iter().any(|warning| warning.contains(text));
        assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
        assert!(named("probe.toml: deliver.via is now called deliver.communication"), "{:?}", config.warnings);
        let variable = "ZONEPULSE_PROBE_DELIVER__AMQP is now called ZONEPULSE_PROBE_DELIVER__RABBITMQ";
        assert!(named(&format!("the environment: {variable}")), "{:?}", config.warnings);
        let config = read(file, &[], &["deliver.via=amqp"]).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains("--set deliver.via is now")), "{:?}", config.warnings);
    }

    #[test]
    fn what_is_wrong_is_named_as_it_is_written() {
        for (text, expected) in [
            ("deliver.via = \"pigeon\"", "probe.toml: deliver.via: unknown variant"),
            ("deliver.communication = \"pigeon\"", "probe.toml: deliver.communication: unknown variant"),
            ("[deliver.amqp]\nqueue = \"\"", "probe.toml: deliver.amqp.queue: must have"),
            ("[deliver.amqp]\nquue = \"\"", "probe.toml: deliver.amqp.quue: unknown key; did you mean queue?"),
        ] {
            let error = read(text, &[], &[]).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = read("", &[("ZONEPULSE_PROBE_DELIVER__VIA", "pigeon")], &[]).unwrap_err();
        assert!(error.starts_with("ZONEPULSE_PROBE_DELIVER__VIA: deliver.via: unknown variant"), "{error}");
    }

    #[test]
    fn a_secret_is_one_under_its_old_name_too() {
        let url = "amqp://me:hush@broker/%2f";
        let config = read("", &[("ZONEPULSE_PROBE_DELIVER__AMQP__URL", url)], &[]).unwrap();
        assert_eq!(config.deliver.rabbitmq.url.reveal(), url);
        let error = read("deliver.amqp.url = 918273", &[], &[]).unwrap_err();
        assert!(error.contains("deliver.amqp.url: expected a string, in quotes") && !error.contains("918273"), "{error}");
        assert!("deliver.amqp.url=x".parse::<Argument>().is_err());
    }
}
