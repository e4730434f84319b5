//! Names of keys in an earlier release.

use zonepulse_renamed::Renamed;

/// The next release, which refuses these.
const NEXT: &str = "0.2";

/// Keys renamed since the previous release.
pub(super) const TABLE: [Renamed; 4] = [
    Renamed::key("amqp", "rabbitmq", NEXT),
    Renamed::key("rabbitmq.verify", "rabbitmq.verify_ca", NEXT),
    Renamed::key("tls.certificate", "tls.certificate_file", NEXT),
    Renamed::key("tls.key", "tls.key_file", NEXT),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::config::Settings;
    use std::io::Write;

    fn read(text: &str) -> Result<(Settings, String), Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let name = file.path().display().to_string();
        Ok((Settings::read(Some(file.path()))?, name))
    }

    /// For every entry: a configuration with the old name in its second line, and the same with the new one.
    const SAME: [(&str, &str); 4] = [
        ("\n[amqp]\nqueue = \"q\"", "[rabbitmq]\nqueue = \"q\""),
        ("[rabbitmq]\nverify = false", "[rabbitmq]\nverify_ca = false"),
        ("[tls]\ncertificate = \"/c\"", "[tls]\ncertificate_file = \"/c\""),
        ("[tls]\nkey = \"/k\"", "[tls]\nkey_file = \"/k\""),
    ];

    #[test]
    fn every_old_name_means_the_same_as_the_new_one_and_is_warned_of() {
        for (renamed, (old, new)) in TABLE.iter().zip(SAME) {
            let ((mut of_old, file), (of_new, _)) = (read(old).unwrap(), read(new).unwrap());
            assert_eq!(std::mem::take(&mut of_old.warnings), [format!("{file}:2: {renamed}")], "{old}");
            assert_eq!((&of_new, of_new.warnings.len()), (&of_old, 0), "{new}");
            let shown = of_old.to_toml().unwrap();
            assert!(shown.contains(new.lines().nth(1).unwrap()) && !shown.contains(old), "{shown}");
        }
    }

    #[test]
    fn both_names_are_refused_with_both() {
        for (renamed, (old, new)) in TABLE.iter().zip(SAME) {
            let (section, line) = new.split_once('\n').unwrap();
            let both = if renamed.old.contains('.') { format!("{old}\n{line}") } else { format!("{old}\n{section}\n{line}") };
            let said = read(&both).unwrap_err().to_string();
            assert!(said.contains(&format!(":2: {} and {} are the same", renamed.old, renamed.new)), "{said}");
        }
    }

    #[test]
    fn a_key_keeps_its_section() {
        let section = |key: &'static str| key.rsplit_once('.').map(|(section, _)| section);
        for renamed in TABLE {
            assert_eq!(section(renamed.old), section(renamed.new));
        }
    }

    #[test]
    fn what_is_wrong_is_named_as_it_is_written() {
        for (text, expected) in [
            ("[amqp]\nqueue = \"\"", ":2: amqp.queue: must have"),
            ("[amqp]\nquue = \"\"", ":2: unknown key `amqp.quue`, did you mean `amqp.queue`?"),
            ("[amqp]\nverify = 3", ":2: amqp.verify: invalid type"),
            ("[tls]\nkey = \"k\"", ":2: tls.key: must be an absolute path"),
        ] {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_section_and_a_key_in_it_may_both_have_their_old_names() {
        let (settings, _) = read("[amqp]\nverify = false").unwrap();
        assert!(!settings.rabbitmq.verify_ca);
        let [section, key] = &settings.warnings[..] else { panic!("{:?}", settings.warnings) };
        assert!(section.contains(":1: amqp is now called rabbitmq;"), "{section}");
        assert!(key.contains(":2: rabbitmq.verify is now called rabbitmq.verify_ca;"), "{key}");
    }
}
