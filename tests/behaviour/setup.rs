//! Setting up a probe, and doing it again: whatever would fail later is rejected at once.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use zonepulse_tests::needs::test;
use zonepulse_tests::process::{Output, program_command, run, run_with_input};
use zonepulse_tests::{Authority, Central};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_relative_spool_is_the_same_directory_from_everywhere", relative_spool),
        test("a_relative_path_in_a_configuration_is_refused", relative_paths),
        test("a_forced_enrolment_replaces_the_token_and_keeps_the_settings", new_token),
        test("the_enrol_command_of_a_central_with_a_private_authority_works_as_it_is", private_authority),
        test("a_central_with_another_fingerprint_is_told_no_token", another_authority),
    ]
}

const WITHIN: Duration = Duration::from_secs(30);

/// Gets an enrolment from a central.
fn hand_over(central: &Central, path: &str, body: &Value) -> Value {
    let response = central.api().send_json(Method::POST, path, body);
    assert!([200, 201].contains(&response.status), "{}", response.text());
    response.json()
}

fn new_server(central: &Central, name: &str) -> Value {
    hand_over(central, "/api/v2/pvservers", &json!({ "server": name }))
}

/// Runs the enrolment command with additional arguments in a directory.
fn enroll(handover: &Value, folder: &Path, more: &[&str]) -> Output {
    let text = |member: &str| handover[member].as_str().expect("a text").to_owned();
    let typed = text("enroll_command");
    let mut words = typed.split(' ');
    assert_eq!(words.next(), Some("zonepulse-probe"), "{typed}");
    let mut command = program_command("zonepulse-probe");
    command.args(words).args(more).current_dir(folder);
    run_with_input(&mut command, &text("enrollment_token"), WITHIN)
}

fn probe_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = program_command("zonepulse-probe");
    command.args(arguments).current_dir(folder);
    command
}

fn relative_spool() {
    let central = Central::start(&[]);
    let (here, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let output = enroll(&new_server(&central, "ns1"), here.path(), &["--config", "p1/probe.toml", "--spool", "p1/spool"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let config = here.path().join("p1/probe.toml");
    let text = fs::read_to_string(&config).expect("it was written");
    // The directory may be reached through a link.
    let spool = here.path().canonicalize().expect("it is there").join("p1/spool");
    assert!(text.contains(&format!("\ndir = {spool:?}\n")), "{text}");
    let config = config.to_str().expect("UTF-8");
    let checked = run(&mut probe_in(elsewhere.path(), &["run", "--check-config", "--config", config]), WITHIN);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
}

fn relative_paths() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("settings.toml");
    for (name, command, text, key) in [
        ("zonepulse-probe", "run", "server_id = 1\nspool.dir = \"spool\"\n", "spool.dir"),
        ("zonepulse", "serve", "data = \"data\"\n", "data"),
    ] {
        fs::write(&config, text).expect("a test's folder is writable");
        let output = run(program_command(name).args([command, "--check-config", "--config"]).arg(&config), WITHIN);
        assert_eq!(output.code, Some(1), "{name}: {}", output.out);
        assert!(output.err.contains(&format!("{key}: must be an absolute path")), "{name}: {}", output.err);
    }
    // On the command line, paths may be relative to the current directory.
    let output =
        run(program_command("zonepulse").args(["serve", "--check-config", "--data", "data"]).current_dir(folder.path()), WITHIN);
    let data = folder.path().canonicalize().expect("it is there").join("data");
    assert!(output.out.contains(&format!("data = {data:?}\n")), "{}{}", output.out, output.err);
}

fn new_token() {
    let central = Central::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--config", "probe.toml", "--spool", "spool"];
    let output = enroll(&new_server(&central, "ns1"), folder.path(), &arguments);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it was written");
    let ours = read("probe.toml").replacen("ports = [53]", "ports = [53, 5353] # both", 1);
    assert!(ours.contains("# both"));
    fs::write(folder.path().join("probe.toml"), &ours).expect("a test's folder is writable");
    let token = read("token");

    let handover = hand_over(&central, "/api/v2/pvservers/1/token", &json!({}));
    let mut without = handover.clone();
    without["enroll_command"] = handover["enroll_command"].as_str().expect("a text").replacen(" --force", "", 1).into();
    let refused = enroll(&without, folder.path(), &["--config", "probe.toml"]);
    assert!(refused.code == Some(1) && refused.err.contains("--force"), "{}", refused.err);
    let output = enroll(&handover, folder.path(), &["--config", "probe.toml"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_eq!(read("probe.toml"), ours);
    assert_ne!(read("token"), token);
}

fn private_central() -> (Authority, Central) {
    let authority = Authority::new();
    let certificate = authority.certify(&["localhost"]);
    // Continues the [tls] section.
    let central = Central::start_secure(&[], &authority, &certificate, &format!("ca_file = {:?}\n", authority.file()));
    (authority, central)
}

fn private_authority() {
    let (authority, central) = private_central();
    let folder = tempfile::tempdir().expect("a folder");
    let handover = new_server(&central, "ns1");
    assert_eq!(handover["ca"], authority.pem());
    let arguments = ["--config", "probe.toml", "--spool", "spool"];
    let output = enroll(&handover, folder.path(), &arguments);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let checked = run(&mut probe_in(folder.path(), &["run", "--check-config", "--config", "probe.toml"]), WITHIN);
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let ca = folder.path().canonicalize().expect("it is there").join("ca.pem");
    let text = fs::read_to_string(folder.path().join("probe.toml")).expect("it was written");
    assert!(text.contains(&format!("\nca_file = {ca:?}\n")), "{text}");
}

fn another_authority() {
    let (_authority, central) = private_central();
    let (_other, other) = private_central();
    let folder = tempfile::tempdir().expect("a folder");
    let mut handover = new_server(&central, "ns1");
    let right = handover["enroll_command"].clone();
    // The command of one central, with the address of another.
    let wrong = right.as_str().expect("a text").replace(&central.url(), &other.url());
    handover["enroll_command"] = wrong.into();
    let arguments = ["--config", "probe.toml", "--spool", "spool"];
    let output = enroll(&handover, folder.path(), &arguments);
    assert!(output.code == Some(1) && output.err.contains("fingerprint"), "{}", output.err);
    handover["enroll_command"] = right;
    assert_eq!(enroll(&handover, folder.path(), &arguments).code, Some(0), "the token is not spent");
}
