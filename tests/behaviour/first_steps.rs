//! First steps before anything runs: users, servers, configurations.

use libtest_mimic::Trial;
use std::fs;
use std::path::Path;
use std::time::Duration;
use zonepulse_tests::needs::test;
use zonepulse_tests::process::{Output, Process, program_command, run, write_private};
use zonepulse_tests::{eventually, ports};

const WITHIN: Duration = Duration::from_secs(60);

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_user_who_is_made_before_the_first_start_leaves_a_way_in_and_says_which", way_in),
        test("a_new_token_overwrites_no_file", token_file),
        test("check_config_refuses_what_could_not_work", check_config),
    ]
}

fn zonepulse(arguments: &[&str], data: &Path) -> Output {
    run(program_command("zonepulse").args(arguments).arg("--data").arg(data), WITHIN)
}

fn way_in() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    let refused = zonepulse(&["user", "add", "admin"], &data);
    assert!(refused.code == Some(1) && refused.err.contains("user add admin --administrator"), "{}", refused.err);
    let made = zonepulse(&["user", "add", "ann"], &data);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.err.contains("there is no administrator yet"), "{}", made.err);
    assert!(made.err.contains("zonepulse user rights ann --administrator true"), "{}", made.err);
    let mut serve = program_command("zonepulse");
    serve.args(["serve", "--listen", &format!("127.0.0.1:{}", ports::free()), "--data"]).arg(&data);
    let mut process = Process::start("central", serve, folder.path());
    eventually("the first start makes an administrator", Duration::from_secs(30), || {
        fs::read_to_string(data.join("admin-credentials")).ok().filter(|text| text.contains("password = "))
    });
    assert!(process.terminate(Duration::from_secs(30)).success());
    let removed = zonepulse(&["user", "remove", "admin"], &data);
    assert!(removed.code == Some(1) && removed.err.contains("administrator"), "{}", removed.err);
    let demoted = zonepulse(&["user", "rights", "admin", "--administrator", "false"], &data);
    assert!(demoted.code == Some(1) && demoted.err.contains("administrator"), "{}", demoted.err);
}

fn token_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (data, file) = (folder.path().join("data"), folder.path().join("ns1.toml"));
    let file = file.to_str().expect("it is text");
    assert_eq!(zonepulse(&["server", "add", "ns1", "--probe-config", file], &data).code, Some(0));
    let first = fs::read(file).expect("it was written");
    let refused = zonepulse(&["server", "token", "ns1", "--probe-config", file], &data);
    assert!(refused.code == Some(1) && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read(file).expect("it is there"), first);
    let port = zonepulse(&["server", "add", "ns2", "--probe-config", "/nonexistent/x", "--port", "0"], &data);
    assert!(port.code == Some(2) && port.err.contains("--port"), "{}", port.err);
}

fn check_config() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("config.toml");
    let refused = |program: &str, command: &str, text: &str, key: &str| {
        write_private(&file, text);
        let said = run(program_command(program).args([command, "--check-config", "--config"]).arg(&file), WITHIN);
        assert!(said.code != Some(0) && said.err.contains(key), "{text}: {:?} {}", said.code, said.err);
    };
    for (text, key) in [
        ("limits.max_connections = 0", "limits.max_connections"),
        ("limits.request_timeout_s = 0", "limits.request_timeout_s"),
        ("rabbitmq.url = \"http://127.0.0.1\"", "rabbitmq.url"),
        ("rabbitmq.queue = \"\"", "rabbitmq.queue"),
        ("public_urls = [\"central\"]", "public_urls"),
        ("store.raw_retention_minutes = 0", "store.raw_retention_minutes"),
        // 1 PiB: the largest valid value, and larger than the disk of any test machine.
        ("store.min_free_bytes = 1125899906842624", "is more than the whole disk of"),
    ] {
        refused("zonepulse", "serve", text, key);
    }
    let group = "server_id = 1\ndeliver.http.token = \"x\"\ndnstap.socket = \"/run/x\"\ndnstap.socket_group = \"no-such-group\"";
    refused("zonepulse-probe", "run", group, "dnstap.socket_group");
    let disk = "server_id = 1\ndeliver.http.token = \"x\"\nspool.min_free_bytes = 1125899906842624";
    refused("zonepulse-probe", "run", disk, "exceeds the size of the disk of");
    let small = "server_id = 1\ndeliver.http.token = \"x\"\nspool.max_bytes = 1000000";
    refused("zonepulse-probe", "run", small, "spool.max_bytes: must be from 33554432 to ");
    let tally = run(program_command("zonepulse-probe").args(["tally", "--port", "0", "-"]), WITHIN);
    assert!(tally.code == Some(2) && tally.err.contains("--port"), "{}", tally.err);
}
