use super::*;
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
    assert!(error.starts_with("probe.toml: ") && error.contains(expected), "{error}");
}

#[test]
fn the_example_says_the_defaults() {
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
fn what_is_wrong_is_named_with_file_and_key() {
    refused("", "server_id: is missing");
    refused("server_id = 0", "server_id: is missing");
    refused("server_id = \"one\"", "server_id: invalid type: found string \"one\", expected u32");
    refused("server_id = 1\ncolour = 3", "colour: unknown key");
    refused(
        "server_id = 1\n[capture]\nprots = [53]",
        "capture.prots: unknown key; did you mean ports? Known here: enabled, device, ports",
    );
    refused("server_id = 1\ninterval_s = 45", "interval_s: must divide 300");
    refused("server_id = 1\ninterval_s = 0", "interval_s: must divide 300");
    refused("server_id = 1\n[capture]\nports = []", "capture.ports: is empty");
    refused("server_id = 1\n[capture]\nports = [0]", "capture.ports: 0 is no port");
    refused("server_id = 1\n[capture]\nports = [70000]", "capture.ports");
    refused(
        "server_id = 1\n[capture]\naddresses = \"mine\"",
        "capture.addresses: invalid value string \"mine\", expected \"local\", \"any\" or a list",
    );
    refused("server_id = 1\n[capture]\naddresses = [\"192.0.2.300\"]", "capture.addresses: \"192.0.2.300\" is not an IP address");
    refused("server_id = 1\n[capture]\nbuffer_bytes = 1", "capture.buffer_bytes");
    refused("server_id = 1\n[memory]\nmax_bytes = 5", "memory.max_bytes: must be 37748736 or more");
    refused("server_id = 1\n[capture]\nenabled = false", "capture.enabled: is false, and neither dnstap.socket nor");
    refused("server_id = 1\nsource = \"dnstap\"", "source: is \"dnstap\", but neither");
    refused("server_id = 1\nsource = \"both\"", "source: unknown variant");
    refused(
        "server_id = 1\nsource = \"capture\"\ncapture.enabled = false\ndnstap.socket = \"/run/s\"",
        "source: is \"capture\", but capture.enabled is false",
    );
    refused("server_id = 1\n[dnstap]\nsocket = \"dnstap.sock\"", "dnstap.socket: must be an absolute path");
    refused("server_id = 1\n[dnstap]\nsocket_mode = 0o1777", "dnstap.socket_mode");
    refused("server_id = 1\n[dnstap]\nlisten = \"localhost\"", "dnstap.listen");
    refused("server_id = 1\n[dnstap]\nmax_tcp_connections = 65", "dnstap.max_tcp_connections: must be from 1 to 64");
    refused("server_id = 1\n[dnstap]\nmax_tcp_per_address = 0", "dnstap.max_tcp_per_address: must be from 1 to 64");
    refused("server_id = 1\n[dnstap]\nmax_connections = 0", "dnstap.max_connections: must be from 1 to 64");
    refused("server_id = 1\n[system]\ninterval_s = 0", "system.interval_s: must be from 1 to 3600");
    refused("server_id = 1\n[system]\nbatch_s = 3601", "system.batch_s");
    refused("server_id = 1\n[deliver]\nvia = \"pull\"", "pull.listen: is missing");
    refused("server_id = 1\n[pull]\ncertificate_file = \"x\"", "pull.certificate_file, key_file: give both");
    refused("server_id = 1\n[pull]\nmax_connections = 0", "pull.max_connections");
    refused("server_id = 1\n[central]\nsettings = \"perhaps\"", "central.settings: unknown variant");
    refused("server_id = 1\n[central]\npin = [\"https://x\"]", "central.pin: \"https://x\" is no host and no host:port");
    refused("server_id = 1\n[central]\npin = \"x\"", "central.pin");
    refused("server_id = 1\n[spool]\nmax_bytes = 5", "spool.max_bytes");
    refused("server_id = 1\n[deliver]\nvia = \"pigeon\"", "deliver.via: unknown variant");
    refused("server_id = 1\n[deliver.http]\nurl = \"central\"", "deliver.http.url: is no URL");
    refused("server_id = 1\n[deliver]\nvia = \"amqp\"\namqp.url = \"http://x\"", "deliver.amqp.url: is no URL");
    refused("server_id = 1\n[deliver.http]\ntoken = \"a\"\ntoken_file = \"b\"", "give one of them");
    refused("server_id = ", "line 1");
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
fn the_environment_stands_above_the_file() {
    // figment reads the process's own environment for all but secrets.
    let config =
        read("server_id = 1\n[deliver.http]\ntoken = \"old\"", &[("ZONEPULSE_PROBE_DELIVER__HTTP__TOKEN", "12345678")]).unwrap();
    assert_eq!(config.deliver.http.token, Some(Secret::new("12345678")));
}

#[test]
fn no_message_and_no_log_shows_a_secret() {
    let error = read("server_id = 1\n[deliver.http]\ntoken = 918273", &[]).unwrap_err().to_string();
    assert!(error.contains("deliver.http.token: expected a string, in quotes") && !error.contains("918273"), "{error}");
    let text = "server_id = 1\n[deliver]\nhttp.token = \"hush\"\namqp.url = \"amqp://me:hush@x\"";
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
    assert_eq!(settings.token.expose(), "tok-en");
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
fn a_file_that_everybody_may_write_is_refused() {
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
    let secrets =
        ["[deliver.http]\ntoken = \"hush\"", "[pull]\ntoken = \"hush\"", "[deliver.amqp]\nurl = \"amqp://me:hush@127.0.0.1\""];
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
    assert!(written("[deliver.http]\ntoken_file = \"/nonexistent\"", 0o644).is_ok(), "there is no secret in it");
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
fn what_needs_a_restart_is_told() {
    let one = read("server_id = 1\n[deliver.http]\ntoken = \"x\"", &[]).unwrap();
    let other = read(
        "server_id = 2\n[deliver.http]\ntoken = \"y\"\n[log]\nlevel = \"debug\"\n[spool]\ndir = \"/x\"\n[system]\ninterval_s = 9",
        &[],
    )
    .unwrap();
    assert_eq!(one.needs_restart(&other), ["server_id", "spool"]);
}

#[test]
fn arguments_stand_above_the_file_and_the_environment() {
    let arguments = ["capture.device=eth9", "system.interval_s=7", "capture.ports=[5353]"].map(|text| text.parse().unwrap());
    let text = "server_id = 1\ncapture.device = \"eth0\"";
    let config = Config::read(Path::new("probe.toml"), text, std::iter::empty(), &arguments).unwrap();
    assert_eq!((config.capture.device.as_str(), config.system.interval_s, config.capture.ports), ("eth9", 7, vec![5353]));
    let wrong = ["capture.prots=[1]".parse().unwrap()];
    let error = Config::read(Path::new("probe.toml"), text, std::iter::empty(), &wrong).unwrap_err().to_string();
    assert!(error.starts_with("--set: capture.prots: ") && error.contains("did you mean ports?"), "{error}");
    for wrong in ["device", "=1", "a..b=1", "pull.token=x", "pull={token=\"x\"}", "deliver.amqp.url=amqp://me:hush@x"] {
        assert!(wrong.parse::<Argument>().is_err(), "{wrong}");
    }
}
