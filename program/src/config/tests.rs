use super::*;
use serde::Deserialize;
use zonepulse_private::Secret;

static SCHEMA: Schema = Schema {
    prefix: "TESTED_",
    is_variable: |name| !name.starts_with("other_"),
    secrets: &["log.token"],
    paths: &["dir"],
    renamed: &[Renamed::key("logging", "log", "0.2"), Renamed::key("log.amount", "log.level", "0.2")],
};

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    dir: String,
    count: u32,
    log: Log,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    level: String,
    token: Secret,
    targets: Vec<u32>,
}

/// Reads a configuration; returns it with its warnings. The only validity rule is that `count` must
/// not be 13.
fn read(text: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Result<(Config, Vec<String>), String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let arguments: Vec<Argument> = arguments.iter().map(|text| Argument::parse(text, &SCHEMA)).collect::<Result<_, _>>()?;
    let read = || {
        let sources = Sources::read(&SCHEMA, Some((Path::new("a.toml"), text)), environment, &arguments)?;
        let config: Config = sources.extract()?;
        if config.count == 13 {
            return Err(sources.refuse("count", "must not be 13"));
        }
        if config.log.level == config.dir && !config.dir.is_empty() {
            return Err(sources.complain("log.level, dir: must not be the same"));
        }
        Ok((config, sources.warnings()))
    };
    read().map_err(|error: Error| error.to_string())
}

fn refusal(text: &str) -> String {
    read(text, &[], &[]).unwrap_err()
}

#[test]
fn the_environment_overrides_the_file_and_arguments_override_both() {
    let file = "count = 1\ndir = \"/a\"\n[log]\nlevel = \"file\"";
    let environment = [("TESTED_COUNT", "2"), ("TESTED_LOG__LEVEL", "environment"), ("TESTED_OTHER_X", "1"), ("COUNT", "9")];
    let (config, warnings) = read(file, &environment, &["log.level=argument"]).unwrap();
    assert_eq!((config.dir.as_str(), config.count, config.log.level.as_str()), ("/a", 2, "argument"));
    assert!(warnings.is_empty());
    assert_eq!(Sources::read(&SCHEMA, None, [], []).unwrap().extract::<Config>().unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_one_that_was_meant() {
    assert_eq!(refusal("\ncuont = 1"), "a.toml:2: unknown key `cuont`, did you mean `count`?");
    assert_eq!(refusal("[log]\nlevl = 1"), "a.toml:2: unknown key `log.levl`, did you mean `log.level`?");
    assert_eq!(refusal("[log]\nzzzzz = 1"), "a.toml:2: unknown key `log.zzzzz`, expected one of `level`, `token`, `targets`");
    let said = read("", &[("TESTED_LOG__LEVL", "x")], &[]).unwrap_err();
    assert_eq!(said, "the environment: unknown key `TESTED_LOG__LEVL`, did you mean `TESTED_LOG__LEVEL`?");
    let said = read("log.level = \"x\"", &[], &["log.levl=x"]).unwrap_err();
    assert_eq!(said, "the arguments: unknown key `--set log.levl`, did you mean `--set log.level`?");
}

#[test]
fn an_invalid_value_is_reported_for_the_source_that_sets_it() {
    assert_eq!(refusal("# a\ncount = \"many\""), "a.toml:2: count: invalid type: found string \"many\", expected u32");
    assert_eq!(refusal("count = 13"), "a.toml:1: count: must not be 13");
    assert_eq!(read("count = 1", &[("TESTED_COUNT", "13")], &[]).unwrap_err(), "the environment: TESTED_COUNT: must not be 13");
    assert_eq!(read("count = 1", &[], &["count=13"]).unwrap_err(), "the arguments: --set count: must not be 13");
    let said = refusal("dir = \"x\"\nlog.level = \"x\"");
    assert_eq!(said, "a.toml:2: log.level, dir: must not be the same");
    assert!(refusal("[log]\ntargets = [1, \"x\"]").starts_with("a.toml:2: log.targets"), "a place in a list");
}

#[test]
fn invalid_toml_is_reported_with_its_line() {
    let said = refusal("dir = \"/d\"\ncount = \n");
    assert!(said.starts_with("a.toml:2: "), "{said}");
}

#[test]
fn an_old_name_is_taken_with_a_warning_and_shown_as_it_is_written() {
    let (config, warnings) = read("\n[logging]\namount = \"x\"", &[("TESTED_LOGGING__TOKEN", "5")], &[]).unwrap();
    assert_eq!((config.log.level.as_str(), config.log.token.reveal()), ("x", "5"));
    let begins = ["a.toml:2: logging is now called log;", "a.toml:3: log.amount is now called log.level;"];
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(begins.iter().all(|begin| warnings.iter().any(|warning| warning.starts_with(begin))), "{warnings:?}");
    assert!(warnings[2].starts_with("the environment: TESTED_LOGGING is now called TESTED_LOG;"), "{warnings:?}");
    assert!(refusal("[logging]\namount = 3").starts_with("a.toml:2: logging.amount: invalid type"));
    assert!(refusal("[logging]\nlevel = \"a\"\n[log]\nlevel = \"b\"").starts_with("a.toml:1: logging and log are the same"));
}

#[test]
fn a_secret_is_text_whatever_it_looks_like_and_shown_nowhere() {
    let (config, _) = read("", &[("TESTED_LOG__TOKEN", "12345678")], &[]).unwrap();
    assert_eq!(config.log.token.reveal(), "12345678");
    assert_eq!(refusal("log.token = 918273"), "a.toml:1: log.token: expected a string, in quotes");
    assert_eq!(refusal("logging.token = 918273"), "a.toml:1: logging.token: expected a string, in quotes");
    for wrong in ["device", "=1", "a..b=1", "log.token=x", "logging.token=x", "log={token=\"x\"}", "dir=amqp://me:hush@x"] {
        assert!(Argument::parse(wrong, &SCHEMA).is_err(), "{wrong}");
    }
}

#[test]
fn a_path_on_the_command_line_starts_from_the_current_directory() {
    let (config, _) = read("", &[], &["dir=a/b"]).unwrap();
    assert_eq!(Path::new(&config.dir), std::env::current_dir().unwrap().join("a/b"));
}

#[test]
fn no_key_is_suggested_for_a_distant_one() {
    assert_eq!(nearest("colour", &["listen", "data"]), None);
    assert_eq!(nearest("Listen", &["listen", "data"]), Some("listen"));
}
