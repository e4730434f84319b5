//! Options that had another name in an earlier release.

use std::ffi::{OsStr, OsString};
use zonepulse_renamed::Renamed;

/// The next release, which refuses these.
const NEXT: &str = "0.2";

/// Options renamed since the previous release, by command.
const TABLE: [(&str, Renamed); 5] = [
    ("simulate", Renamed::key("--amqp", "--rabbitmq", NEXT)),
    ("simulate", Renamed::key("--interval", "--interval-s", NEXT)),
    ("plan", Renamed::key("--interval", "--interval-s", NEXT)),
    ("plan", Renamed::key("--raw-minutes", "--raw-retention-minutes", NEXT)),
    ("plan", Renamed::key("--aggregate-days", "--aggregated-retention-days", NEXT)),
];

/// Arguments with the current names of options, and a warning for each old one.
pub(super) struct Renewed {
    pub(super) arguments: Vec<OsString>,
    pub(super) warnings: Vec<String>,
}

impl Renewed {
    /// Fails if an option is given under both names.
    pub(super) fn of(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut warnings = Vec::new();
        for (command, renamed) in TABLE {
            let Some(at) = arguments.iter().position(|argument| argument == command) else { continue };
            let is_there = |name: &str| arguments.iter().skip(at).any(|argument| value(argument, name).is_some());
            if !is_there(renamed.old) {
                continue;
            }
            if is_there(renamed.new) {
                return Err(renamed.both(str::to_owned));
            }
            warnings.push(renamed.warning(str::to_owned));
            for argument in arguments.iter_mut().skip(at) {
                if let Some(value) = value(argument, renamed.old) {
                    *argument = format!("{}{value}", renamed.new).into();
                }
            }
        }
        Ok(Renewed { arguments, warnings })
    }
}

/// What follows the name of an option in an argument that is that option: nothing, or `=VALUE`.
fn value(argument: &OsStr, name: &str) -> Option<String> {
    let rest = argument.to_str()?.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with('=')).then(|| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;
    use clap::{CommandFactory, Parser};

    fn renewed(line: &str) -> Result<Renewed, String> {
        Renewed::of(line.split(' ').map(OsString::from))
    }

    #[test]
    fn every_old_name_is_taken_as_the_new_one_with_a_warning() {
        for (command, renamed) in TABLE {
            for value in ["", " 5", "=5"] {
                let line = |name: &str| format!("zonepulse --log-level info {command} --first {name}{value} --last");
                let of_old = renewed(&line(renamed.old)).unwrap();
                let of_new = renewed(&line(renamed.new)).unwrap();
                assert_eq!((of_old.arguments, of_old.warnings), (of_new.arguments, vec![renamed.to_string()]), "{renamed}");
                assert!(of_new.warnings.is_empty(), "{renamed}");
            }
        }
    }

    #[test]
    fn both_names_are_refused_with_both() {
        for (command, renamed) in TABLE {
            let said = renewed(&format!("zonepulse {command} {} {}=5", renamed.old, renamed.new)).err().unwrap();
            assert!(said.contains(renamed.old) && said.contains(renamed.new), "{said}");
        }
    }

    #[test]
    fn there_is_an_option_of_every_new_name_and_none_of_the_old() {
        let all = Command::command();
        for (command, renamed) in TABLE {
            let options = all.find_subcommand(command).unwrap().get_arguments();
            let names: Vec<String> = options.filter_map(|option| Some(format!("--{}", option.get_long()?))).collect();
            let has = |name: &str| names.iter().any(|found| found == name);
            assert_eq!((has(renamed.new), has(renamed.old)), (true, false), "{renamed}");
        }
    }

    #[test]
    fn an_option_of_another_command_stays() {
        let line = "zonepulse export --amqp --to simulate";
        assert_eq!(renewed(line).unwrap().arguments, line.split(' ').collect::<Vec<_>>());
        let line = renewed("zonepulse simulate --fleet f --amqp --intervals 3").unwrap().arguments;
        assert!(Command::try_parse_from(line).is_ok());
    }
}
