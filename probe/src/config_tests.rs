use super::*;
use crate::room::Room;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const EXAMPLE: &str = include_str!("../zonepulse-probe.example.toml");

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, Error> {
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::read(Path::new("probe.toml"), text, environment, &[])
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = read(text, &[]).unwrap_err().to_string();
    assert!(error.starts_with("probe.toml:") && error.contains(expected), "{error}");
}

#[test]
fn the_example_has_the_defaults() {
    assert_eq!(read(EXAMPLE, &[]).unwrap(), Config { server_id: 1, ..Config::default() });
}

#[test]
fn the_example_names_every_key() {
    let uncommented = EXAMPLE.replace("# token = ", "token = ");
    assert_eq!(read(&uncommented, &[]).unwrap().deliver.http.token, Some(Secret::new("...")));
    for key in ["socket", "socket_group", "listen", "source"] {
        let uncommented = EXAMPLE.replace(&format!("# {key} = "), &format!("{key} = "));
        assert_ne!(uncommented, EXAMPLE);
        let result = read(&uncommented, &[]);
        assert!(result.is_ok(), "{key}: {:?}", result.err());
    }
    for key in ["dns", "pin", "kea4_socket", "kea6_socket", "backup_process"] {
        let uncommented = EXAMPLE.replace(&format!("# {key} = "), &format!("{key} = "));
        assert!(uncommented != EXAMPLE && read(&uncommented, &[]).is_ok(), "{key}");
    }
    for key in ["certificate_file", "key_file", "backup_pid_file", "ca_file"] {
        assert!(EXAMPLE.contains(&format!("\n# {key} = ")), "{key}");
    }
    let uncommented = EXAMPLE.replace("# token_file = ", "token_file = ").replace("# ca_file = ", "ca_file = ");
    assert!(read(&uncommented, &[]).unwrap().tls.ca_file.is_some());
    assert!(read(&uncommented, &[]).unwrap().deliver.http.token_file.is_some());
}

#[test]
fn errors_name_file_and_key() {
    refused("", "server_id: is missing");
    refused("server_id = \"one\"", "server_id: invalid type: found string \"one\", expected u32");
    refused("server_id = 1\ncolour = 3", "probe.toml:2: unknown key `colour`, expected one of `server_id`");
    refused("server_id = 1\n[capture]\nprots = [53]", "probe.toml:3: unknown key `capture.prots`, did you mean `capture.ports`?");
    refused("server_id = 1\n[capture]\nenabled = false", "capture.enabled: is false, and neither dnstap.socket nor");
    refused(
        "server_id = 1\nsource = \"capture\"\ncapture.enabled = false\ndnstap.socket = \"/run/s\"",
        "source: is \"capture\", but capture.enabled is false",
    );
    refused("server_id = 1\n[deliver]\ncommunication = \"pull\"", "pull.listen: is missing");
    refused("server_id = 1\n[pull]\ncertificate_file = \"x\"", "pull.certificate_file, key_file: give both");
    refused("server_id = 1\n[deliver.http]\ntoken = \"a\"\ntoken_file = \"b\"", "give only one of them");
    refused(
        "server_id = 1\n[components]\nbackup_process = \"a\"\nbackup_pid_file = \"/b\"",
        "components.backup_process, backup_pid_file: give only one of them",
    );
    refused("server_id = ", "probe.toml:1: ");
}

/// For every key that can have an invalid value of the right type: the key, such a value as TOML,
/// and part of the error.
const INVALID: &[(&str, &str, &str)] = &[
    ("server_id", "0", "is missing"),
    ("interval_s", "0", "must divide 300 (such as 5, 10, 30, 60 or 300), so that sums of 5 minutes stay exact, not 0"),
    ("interval_s", "45", "not 45"),
    ("interval_s", "600", "not 600"),
    ("source", "\"both\"", "unknown variant"),
    ("source", "\"dnstap\"", "is \"dnstap\", but neither"),
    ("capture.device", "\"\"", "must have 1 to 15 bytes, no spaces and no slash, not \"\""),
    ("capture.device", "\"abcdefghijklmnop\"", "must have 1 to 15 bytes"),
    ("capture.device", "\"eth/0\"", "no slash"),
    ("capture.device", "\"eth 0\"", "not \"eth 0\""),
    ("capture.ports", "[]", "must be 1 to 64 ports from 1 to 65535, such as [53], not []"),
    ("capture.ports", "[53, 0]", "not [53, 0]"),
    ("capture.ports", "[70000]", "70000"),
    ("capture.ignored_ports", "[0]", "must be at most 64 ports from 1 to 65535 that are not in capture.ports, not [0]"),
    ("capture.ignored_ports", "[5300, 53]", "not [5300, 53]"),
    ("capture.addresses", "\"mine\"", "invalid value string \"mine\", expected \"local\", \"any\" or a list"),
    ("capture.addresses", "[\"192.0.2.300\"]", "\"192.0.2.300\" is not an IP address"),
    ("capture.addresses", "[]", "must be 1 to 1024 addresses, \"local\" or \"any\""),
    ("capture.addresses", "[\"::\"]", "no server answers from ::"),
    ("capture.addresses", "[\"192.0.2.1\", \"ff02::1\"]", "no server answers from ff02::1"),
    ("capture.addresses", "[\"255.255.255.255\"]", "no server answers from 255.255.255.255"),
    ("capture.buffer_bytes", "65535", "must be from 65536 to 1073741824, not 65535"),
    ("capture.buffer_bytes", "1073741825", "not 1073741825"),
    ("dnstap.socket", "\"dnstap.sock\"", "must be an absolute path, not \"dnstap.sock\""),
    (
        "dnstap.socket",
        "\"/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678\"",
        "at most 107 bytes, not 110",
    ),
    ("dnstap.socket_mode", "0o1777", "must be from 0o000 to 0o777, not 0o1777"),
    ("dnstap.socket_group", "\"\"", "must have 1 to 255 bytes"),
    ("dnstap.listen", "\"localhost\"", ""),
    ("dnstap.listen", "\"224.0.0.1:6000\"", "224.0.0.1:6000 is a multicast or broadcast address"),
    ("dnstap.listen", "\"127.0.0.1:0\"", "127.0.0.1:0 has no port"),
    ("dnstap.max_connections", "0", "must be from 1 to 64, not 0"),
    ("dnstap.max_connections", "65", "not 65"),
    ("dnstap.max_tcp_connections", "0", "must be from 1 to 64, not 0"),
    ("dnstap.max_tcp_connections", "65", "not 65"),
    ("dnstap.max_tcp_per_address", "0", "must be from 1 to 64, not 0"),
    ("dnstap.max_tcp_per_address", "65", "not 65"),
    ("system.interval_s", "0", "must divide 300"),
    ("system.interval_s", "7", "not 7"),
    ("system.interval_s", "3600", "not 3600"),
    ("system.batch_s", "0", "must be from 1 to 3600, not 0"),
    ("system.batch_s", "3601", "not 3601"),
    ("services.interval_s", "0", "must divide 300"),
    ("services.interval_s", "600", "not 600"),
    ("services.kea4.socket", "\"kea\"", "must be an absolute path, not \"kea\""),
    ("services.kea6.socket", "\"kea\"", "must be an absolute path, not \"kea\""),
    ("services.knot.socket", "\"knot.sock\"", "must be an absolute path, not \"knot.sock\""),
    ("memory.max_bytes", "5", "must be 37748736 or more"),
    ("memory.max_bytes", "2000000000000000", "must be from 0 to 1125899906842624"),
    ("spool.dir", "\"\"", "is empty"),
    ("spool.max_bytes", "5", "must be from 33554432 to 1125899906842624, not 5"),
    ("spool.min_free_bytes", "2000000000000000", "must be from 0 to"),
    ("spool.max_refused_bytes", "2000000000000000", "must be from 0 to"),
    ("spool.max_delivered_bytes", "2000000000000000", "must be from 0 to"),
    ("deliver.communication", "\"pigeon\"", "unknown variant"),
    ("deliver.http.url", "\"central\"", "is not a valid URL"),
    ("deliver.http.url", "\"amqp://central\"", "has the scheme amqp, not http or https"),
    ("deliver.http.url", "\"http://\"", "is not a valid URL"),
    ("deliver.http.url", "\"http://a..b\"", "has a host that is neither an FQDN nor an IP address"),
    ("deliver.http.url", "\"http://-a\"", "has a host that is neither"),
    ("deliver.http.url", "\"http://1.2.3.256\"", "is not a valid URL"),
    ("deliver.http.url", "\"http://central:0\"", "has the port 0"),
    ("deliver.http.url", "\"http://central:99999\"", "is not a valid URL"),
    ("deliver.http.url", "\"http://me@central\"", "contains a credential"),
    ("deliver.http.url", "\"http://central/?a=b\"", "has a query"),
    ("deliver.rabbitmq.url", "\"http://x\"", "must begin with amqp:// or amqps://"),
    ("deliver.rabbitmq.url", "\"amqp://\"", "has no host"),
    ("deliver.rabbitmq.url", "\"amqp://x/%zz\"", "hexadecimal digits"),
    ("deliver.rabbitmq.url", "\"amqp://x:0\"", "has no host or no port"),
    (
        "deliver.rabbitmq.queue",
        "\"\"",
        "must have 1 to 246 bytes, not only spaces, no control characters, and not begin with amq., not \"\"",
    ),
    ("deliver.rabbitmq.queue", "\"  \"", "not only spaces"),
    ("deliver.rabbitmq.queue", "\"amq.batches\"", "not \"amq.batches\""),
    ("deliver.rabbitmq.queue", "\"a\\nb\"", "must have 1 to 246 bytes"),
    ("central.settings", "\"perhaps\"", "unknown variant"),
    ("central.pin", "[\"*\"]", "\"*\" is neither a host"),
    ("central.pin", "\"x\"", ""),
    ("central.pin", "[\"https://x\"]", "\"https://x\" is neither a host nor host:port"),
    ("pull.listen", "\"0.0.0.0:0\"", "0.0.0.0:0 has no port"),
    ("pull.max_connections", "0", "must be from 1 to 64, not 0"),
    ("pull.max_connections", "65", "not 65"),
    ("components.dns", "\"\"", "must have 1 to 255 bytes"),
    ("components.dns_address", "\"127.0.0.1\"", ""),
    ("components.dns_address", "\"127.0.0.1:0\"", "127.0.0.1:0 has no port"),
    ("components.kea4_socket", "\"kea\"", "must be an absolute path, not \"kea\""),
    ("components.kea6_socket", "\"kea\"", "must be an absolute path, not \"kea\""),
    ("components.backup_process", "\"\"", "must have 1 to 255 bytes"),
    ("components.backup_pid_file", "\"backup.pid\"", "must be an absolute path, not \"backup.pid\""),
    ("metrics.listen", "\"127.0.0.1:0\"", "127.0.0.1:0 has no port"),
    ("times.earliest", "\"1979\"", "is not a day from 1970-01-01 on"),
    ("times.max_ahead_s", "31622401", "must be from 0 to 31622400"),
    ("times.max_late_s", "31622401", "must be from 0 to 31622400"),
    ("times.max_replay_ahead_s", "31622401", "must be from 0 to 31622400"),
    ("log.level", "\"loud\"", "unknown variant"),
    ("log.format", "\"xml\"", "unknown variant"),
];

/// Keys for which any value of the right type is valid, or which are only checked when the file
/// they name is read.
const FREE: &[&str] = &[
    "dns_monitoring",
    "capture.enabled",
    "system.enabled",
    "deliver.http.token",
    "deliver.http.token_file",
    "tls.ca_file",
    "tls.verify_ca",
    "central.heartbeat",
    "pull.token",
    "pull.token_file",
    "pull.certificate_file",
    "pull.key_file",
    "components.ask_dns_version",
    "services.kea4.enabled",
    "services.kea6.enabled",
    "services.knot.enabled",
];

#[test]
fn every_invalid_value_is_refused_with_its_key_and_what_is_allowed() {
    for (key, value, expected) in INVALID {
        let server = if *key == "server_id" { "" } else { "server_id = 1\n" };
        let error = read(&format!("{server}{key} = {value}"), &[]).expect_err(&format!("{key} = {value}")).to_string();
        // The key may be nested, and for a list the error also names the position.
        let line = if server.is_empty() { 1 } else { 2 };
        let said = error.strip_prefix(&format!("probe.toml:{line}: {key}"));
        assert!(said.is_some_and(|said| said.starts_with([':', '.']) && said.contains(expected)), "{key} = {value}: {error}");
    }
}

#[test]
fn every_key_has_an_invalid_value_or_none_at_all() {
    let keys = zonepulse_fixtures::example::keys(EXAMPLE);
    for key in &keys {
        let known = INVALID.iter().any(|(invalid, ..)| *invalid == key.name) || FREE.contains(&key.name.as_str());
        assert!(known, "{}", key.name);
    }
    assert!(keys.len() > 45, "{}", keys.len());
}

#[test]
fn a_group_that_this_machine_does_not_have_is_refused_by_name() {
    let with = |group: &str| read(&format!("server_id = 1\ndnstap.socket_group = {group:?}"), &[]).unwrap().check_machine();
    assert!(with("root").is_ok());
    let error = with("no-such-group").unwrap_err().to_string();
    assert_eq!(error, "dnstap.socket_group: there is no group \"no-such-group\"");
}

#[test]
fn a_future_earliest_day_is_refused() {
    let with = |day: &str| read(&format!("server_id = 1\ntimes.earliest = {day:?}"), &[]).unwrap().check_machine();
    assert!(with("2020-02-20").is_ok());
    let error = with("2999-12-31").expect_err("a future day is accepted").to_string();
    assert!(error.contains("times.earliest: 2999-12-31 is in the future"), "{error}");
}

#[test]
fn capture_is_counted_unless_it_is_off_or_dnstap_is_asked_for() {
    let counted = |text: &str| read(&format!("server_id = 1\n{text}"), &[]).unwrap().counted();
    assert_eq!(counted(""), Counted::Capture);
    assert_eq!(counted("dnstap.socket = \"/run/s\""), Counted::Capture);
    assert_eq!(counted("source = \"dnstap\"\ndnstap.listen = \"[::1]:6000\""), Counted::Dnstap);
    assert_eq!(counted("capture.enabled = false\ndnstap.socket = \"/run/s\""), Counted::Dnstap);
}

#[test]
fn a_service_is_sampled_at_the_socket_that_is_known_or_else_at_the_usual_one() {
    let sockets = |text: &str| read(&format!("server_id = 1\n{text}"), &[]).unwrap().service_sockets();
    let socket = |path: &str, is_given| Some(Socket { path: path.into(), is_given });
    let usual = sockets("");
    assert_eq!(usual.kea4, socket("/run/kea/kea4-ctrl-socket", false));
    assert_eq!(usual.kea6, socket("/run/kea/kea6-ctrl-socket", false));
    assert_eq!(usual.knot, socket("/run/knot/knot.sock", false));
    let known = "components.kea4_socket = \"/run/a\"\ncomponents.kea6_socket = \"/run/b\"\n";
    assert_eq!(sockets(known), Sockets { kea4: socket("/run/a", true), kea6: socket("/run/b", true), ..usual.clone() });
    assert_eq!(sockets(&format!("{known}services.kea4.socket = \"/run/c\"")).kea4, socket("/run/c", true));
    assert_eq!(sockets(&format!("{known}services.kea4.enabled = false")).kea4, None);
    assert_eq!(sockets("services.knot.enabled = false"), Sockets { knot: None, ..usual });
}

#[test]
fn a_version_is_asked_at_the_socket_that_is_sampled_unless_another_is_given() {
    let components = |text: &str| read(&format!("server_id = 1\n{text}"), &[]).unwrap().components_to_report();
    let usual = components("components.dns = \"nsd\"");
    assert_eq!(usual.kea4_socket.as_deref(), Some(Path::new("/run/kea/kea4-ctrl-socket")));
    assert_eq!(usual.dns.as_deref(), Some("nsd"));
    let both =
        components("components.kea6_socket = \"/run/a\"\nservices.kea6.socket = \"/run/b\"\nservices.kea4.enabled = false");
    assert_eq!((both.kea4_socket, both.kea6_socket), (None, Some("/run/a".into())));
}

#[test]
fn the_environment_overrides_the_file() {
    let config =
        read("server_id = 1\n[deliver.http]\ntoken = \"old\"", &[("ZONEPULSE_PROBE_DELIVER__HTTP__TOKEN", "12345678")]).unwrap();
    assert_eq!(config.deliver.http.token, Some(Secret::new("12345678")));
}

#[test]
fn neither_messages_nor_logs_show_a_secret() {
    let error = read("server_id = 1\n[deliver.http]\ntoken = 918273", &[]).unwrap_err().to_string();
    assert!(error.contains("deliver.http.token: expected a string, in quotes") && !error.contains("918273"), "{error}");
    let text = "server_id = 1\n[deliver]\nhttp.token = \"hush\"\nrabbitmq.url = \"amqp://me:hush@x\"";
    let config = read(text, &[]).unwrap();
    let shown = format!("{config:?} {:?}", config.delivery().unwrap());
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn a_token_comes_from_its_file_without_the_line_s_end() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "tok-en\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let config = read(&format!("server_id = 1\n[deliver.http]\ntoken_file = {file:?}"), &[]).unwrap();
    let deliver::Settings::Http(settings) = config.delivery().unwrap() else { panic!("not over HTTP") };
    assert_eq!(settings.token.reveal(), "tok-en");
}

#[test]
fn http_needs_a_token_that_can_be_sent() {
    let error = read("server_id = 1", &[]).unwrap().delivery().unwrap_err().to_string();
    assert!(error.contains("deliver.http.token: is missing"), "{error}");
    let error = read("server_id = 1\n[deliver.http]\ntoken = \"a b\"", &[]).unwrap().delivery().unwrap_err().to_string();
    assert!(error.contains("deliver.http.token") && !error.contains("a b"), "{error}");
    let error = read("server_id = 1\n[deliver.http]\ntoken_file = \"/nonexistent/token\"", &[]).unwrap().delivery().unwrap_err();
    assert!(error.to_string().contains("/nonexistent/token"), "{error}");
}

#[test]
fn a_world_writable_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("probe.toml");
    fs::write(&file, "server_id = 1\n[deliver.http]\ntoken = \"x\"").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Config::load(&file, &[]).is_ok());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o642)).unwrap();
    let error = Config::load(&file, &[]).unwrap_err().to_string();
    assert!(error.contains("probe.toml") && error.contains("chmod o-w"), "{error}");
}

#[test]
fn a_file_with_a_secret_that_others_may_read_is_refused_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("probe.toml");
    let secrets = [
        "[deliver.http]\ntoken = \"hush\"",
        "[pull]\ntoken = \"hush\"",
        "[deliver.rabbitmq]\nurl = \"amqp://me:hush@127.0.0.1\"",
    ];
    let written = |text: &str, mode| {
        fs::write(&file, format!("server_id = 1\n{text}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        Config::load(&file, &[]).map_err(|error| error.to_string())
    };
    for secret in secrets {
        for mode in [0o644, 0o640, 0o604] {
            let said = written(secret, mode).unwrap_err();
            assert!(said.contains(&format!("chmod 600 {}", file.display())) && !said.contains("hush"), "{said}");
        }
        assert!(written(secret, 0o600).is_ok(), "{secret}");
    }
    assert!(written("[deliver.http]\ntoken_file = \"/nonexistent\"", 0o644).is_ok(), "a file without a secret is rejected");
    assert!(written("# token = \"...\"", 0o644).is_ok());
}

#[test]
fn a_token_file_that_others_may_read_is_refused_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "hush\n").unwrap();
    let config = read(&format!("server_id = 1\n[deliver.http]\ntoken_file = {file:?}"), &[]).unwrap();
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let said = config.delivery().unwrap_err().to_string();
        assert!(said.contains(&format!("chmod 600 {}", file.display())) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn settings_that_need_a_restart_are_reported() {
    let one = read("server_id = 1\n[deliver.http]\ntoken = \"x\"", &[]).unwrap();
    let other = read(
        "server_id = 2\n[deliver.http]\ntoken = \"y\"\n[log]\nlevel = \"debug\"\n[spool]\ndir = \"/x\"\n[system]\ninterval_s = 10",
        &[],
    )
    .unwrap();
    assert_eq!(one.needs_restart(&other), ["server_id", "spool"]);
}

#[test]
fn arguments_override_the_file_and_the_environment() {
    let arguments = ["capture.device=eth9", "system.interval_s=6", "capture.ports=[5353]"].map(|text| text.parse().unwrap());
    let text = "server_id = 1\ncapture.device = \"eth0\"";
    let config = Config::read(Path::new("probe.toml"), text, std::iter::empty(), &arguments).unwrap();
    assert_eq!((config.capture.device.as_str(), config.system.interval_s, config.capture.ports), ("eth9", 6, vec![5353]));
    let wrong = ["capture.prots=[1]".parse().unwrap()];
    let error = Config::read(Path::new("probe.toml"), text, std::iter::empty(), &wrong).unwrap_err().to_string();
    let expected = "the arguments: unknown key `--set capture.prots`, did you mean `--set capture.ports`?";
    assert_eq!(error, expected);
    for wrong in ["device", "=1", "a..b=1", "pull.token=x", "pull={token=\"x\"}", "deliver.rabbitmq.url=amqp://me:hush@x"] {
        assert!(wrong.parse::<Argument>().is_err(), "{wrong}");
    }
}

#[test]
fn every_path_has_to_be_absolute() {
    for (section, key) in [
        ("spool", "dir"),
        ("deliver.http", "token_file"),
        ("tls", "ca_file"),
        ("pull", "token_file"),
        ("dnstap", "socket"),
        ("components", "kea4_socket"),
        ("components", "kea6_socket"),
        ("components", "backup_pid_file"),
        ("services.kea4", "socket"),
        ("services.kea6", "socket"),
        ("services.knot", "socket"),
    ] {
        let with = |path: &str| format!("server_id = 1\n[{section}]\n{key} = {path:?}\n");
        refused(&with("p1/x"), &format!("{section}.{key}: must be an absolute path, not \"p1/x\""));
        assert!(read(&with("/p1/x"), &[]).is_ok(), "{section}.{key}");
    }
    let pair = |certificate: &str, key: &str| {
        format!("server_id = 1\npull.certificate_file = {certificate:?}\npull.key_file = {key:?}\n")
    };
    refused(&pair("c.pem", "/k.pem"), "pull.certificate_file: must be an absolute path, not \"c.pem\"");
    refused(&pair("/c.pem", "k.pem"), "pull.key_file: must be an absolute path, not \"k.pem\"");
}

#[test]
fn a_path_on_the_command_line_starts_from_the_current_directory() {
    let argument: Argument = "spool.dir=p1/spool".parse().unwrap();
    let config = Config::read(Path::new("probe.toml"), "server_id = 1", std::iter::empty(), &[argument]).unwrap();
    assert_eq!(config.spool.dir, std::env::current_dir().unwrap().join("p1/spool"));
}

#[test]
fn a_disk_smaller_than_min_free_is_refused_and_a_full_one_gives_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("not/made/yet");
    let with = |min_free_bytes: u64| {
        let text = format!("server_id = 1\n[spool]\ndir = {spool:?}\nmin_free_bytes = {min_free_bytes}");
        read(&text, &[]).unwrap().check_disk()
    };
    let room = Room::of(dir.path()).unwrap();
    assert_eq!(with(0).unwrap(), None);
    let said = with(room.total_bytes + 1).unwrap_err().to_string();
    assert!(said.contains("spool.min_free_bytes: ") && said.contains(&room.total_bytes.to_string()), "{said}");
    // The disk is in use meanwhile, but not by so much that half of the used space would become
    // free.
    let warning = with(room.free_bytes + room.used_bytes / 2).unwrap().unwrap();
    assert!(warning.contains("bytes are free on the disk of"), "{warning}");
}

#[test]
fn every_limit_of_a_number_is_in_the_example_file() {
    let mut told = 0;
    for key in zonepulse_fixtures::example::keys(EXAMPLE) {
        let limits = INVALID
            .iter()
            .find(|(invalid, _, what)| *invalid == key.name && what.starts_with("must be from ") && what.contains(", not "));
        if let Some((_, _, what)) = limits {
            let (range, _) = what.trim_start_matches("must be from ").split_once(", not ").unwrap();
            assert!(key.comment.contains(&format!("From {range}")), "{}: {range}", key.name);
            told += 1;
        }
    }
    assert!(told > 6, "{told}");
}

#[test]
fn a_spool_that_is_a_file_or_below_one_is_refused_where_it_is_checked() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let with = |dir: &Path| read(&format!("server_id = 1\n[spool]\ndir = {:?}", dir.display().to_string()), &[]).unwrap();
    for spool in [file.clone(), file.join("below")] {
        let error = with(&spool).check_machine().unwrap_err().to_string();
        assert!(error.contains("spool.dir") && error.contains("is not a directory"), "{error}");
    }
    for spool in [dir.path().to_owned(), dir.path().join("new/below")] {
        with(&spool).check_machine().unwrap();
    }
}

#[test]
fn a_file_at_the_dnstap_socket_s_path_must_be_a_socket() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let socket = dir.path().join("socket");
    let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let check = |socket: &Path| {
        let config = read(&format!("server_id = 1\n[dnstap]\nsocket = {:?}", socket.display().to_string()), &[]).unwrap();
        config.check_machine()
    };
    for there in [file.as_path(), dir.path()] {
        let error = check(there).unwrap_err().to_string();
        assert!(error.contains("dnstap.socket") && error.contains("is not a socket"), "{error}");
    }
    check(&socket).unwrap();
    check(&dir.path().join("none")).unwrap();
}
