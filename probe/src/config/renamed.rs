//! Keys that had another name in an earlier release.

use zonepulse_renamed::Renamed;

/// The next release, which rejects the old names.
const NEXT: &str = "0.2";

/// Everything that was renamed since the previous release.
pub(super) const TABLE: [Renamed; 3] = [
    Renamed::key("deliver.via", "deliver.communication", NEXT),
    Renamed::key("deliver.amqp", "deliver.rabbitmq", NEXT),
    Renamed::value("deliver.communication", "amqp", "rabbitmq", NEXT),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Argument, Config};
    use std::path::Path;
    use zonepulse_model::Communication;

    /// Parses a configuration from a file, the environment and arguments.
    fn read(text: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let arguments: Vec<Argument> = arguments.iter().map(|text| text.parse().unwrap()).collect();
        let text = format!("server_id = 1\n{text}");
        Config::read(Path::new("probe.toml"), &text, environment, &arguments).map_err(|error| error.to_string())
    }

    /// For every entry, a configuration with the old name and its equivalent with the new one.
    const SAME: [(&str, &str); 3] = [
        ("deliver.via = \"pull\"\npull.listen = \"[::1]:1\"", "deliver.communication = \"pull\"\npull.listen = \"[::1]:1\""),
        ("[deliver.amqp]\nqueue = \"q\"", "[deliver.rabbitmq]\nqueue = \"q\""),
        ("deliver.communication = \"amqp\"", "deliver.communication = \"rabbitmq\""),
    ];

    #[test]
    fn every_old_name_means_the_same_as_the_new_one_and_is_warned_of() {
        for (renamed, (old, new)) in TABLE.iter().zip(SAME) {
            let (mut of_old, of_new) = (read(old, &[], &[]).unwrap(), read(new, &[], &[]).unwrap());
            assert_eq!(std::mem::take(&mut of_old.warnings), [format!("probe.toml:2: {renamed}")], "{old}");
            assert_eq!((&of_new, of_new.warnings.len()), (&of_old, 0), "{new}");
        }
    }

    #[test]
    fn both_names_of_a_key_are_refused_with_both() {
        for (renamed, (old, new)) in TABLE.iter().zip(SAME).filter(|(renamed, _)| renamed.value_of.is_none()) {
            let new = new.lines().filter(|line| !line.starts_with("pull.")).collect::<Vec<_>>().join("\n");
            let old = old.trim_start_matches("[deliver.amqp]\n").replace("queue", "deliver.amqp.queue");
            let error = read(&format!("{old}\n{new}"), &[], &[]).unwrap_err();
            assert!(error.starts_with("probe.toml:2: ") && error.contains(renamed.old) && error.contains(renamed.new), "{error}");
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
    fn precedence_does_not_depend_on_which_names_are_used() {
        let file = "[deliver]\nvia = \"http\"\namqp.queue = \"file\"";
        let environment = [("ZONEPULSE_PROBE_DELIVER__COMMUNICATION", "amqp"), ("ZONEPULSE_PROBE_DELIVER__AMQP__QUEUE", "q")];
        let config = read(file, &environment, &["deliver.rabbitmq.queue=argument"]).unwrap();
        assert_eq!(config.deliver.communication, Communication::Rabbitmq);
        assert_eq!(config.deliver.rabbitmq.queue, "argument");
        let named = |text: &str| config.warnings.iter().any(|warning| warning.contains(text));
        assert_eq!(config.warnings.len(), 4, "{:?}", config.warnings);
        assert!(named("probe.toml:3: deliver.via is now called deliver.communication"), "{:?}", config.warnings);
        let variable = "ZONEPULSE_PROBE_DELIVER__AMQP is now called ZONEPULSE_PROBE_DELIVER__RABBITMQ";
        assert!(named(&format!("the environment: {variable}")), "{:?}", config.warnings);
        let config = read(file, &[], &["deliver.via=amqp"]).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains("--set deliver.via is now")), "{:?}", config.warnings);
    }

    #[test]
    fn errors_use_the_name_as_written() {
        for (text, expected) in [
            ("deliver.via = \"pigeon\"", "probe.toml:2: deliver.via: unknown variant"),
            ("deliver.communication = \"pigeon\"", "probe.toml:2: deliver.communication: unknown variant"),
            ("[deliver.amqp]\nqueue = \"\"", "probe.toml:3: deliver.amqp.queue: must have"),
            ("[deliver.amqp]\nquue = \"\"", "probe.toml:3: unknown key `deliver.amqp.quue`, did you mean `deliver.amqp.queue`?"),
        ] {
            let error = read(text, &[], &[]).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = read("", &[("ZONEPULSE_PROBE_DELIVER__VIA", "pigeon")], &[]).unwrap_err();
        assert!(error.starts_with("the environment: ZONEPULSE_PROBE_DELIVER__VIA: unknown variant"), "{error}");
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
