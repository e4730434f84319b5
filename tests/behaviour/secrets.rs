//! Other users of the machine see no secrets: permissions, arguments, logs.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zonepulse_fixtures::{DNSTAP, control, control_frame};
use zonepulse_tests::api::Credentials;
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::process::{Output, Process, program, program_command, run, run_with_input, succeed, without_settings};
use zonepulse_tests::{Central, Probe, eventually, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_central_restricts_its_data_to_its_user_at_every_start", closed_data),
        test("every_command_that_opens_data_restricts_it_to_its_user", commands),
        test("a_probe_restricts_its_spool_to_its_user_at_every_start", closed_spool),
        test("the_first_password_is_in_a_file_and_not_in_the_log", first_password),
        test("a_configuration_with_a_secret_that_others_may_read_is_refused", open_configurations),
        test("the_command_that_enrols_keeps_the_token_out_of_the_arguments", no_token_in_arguments),
        test("an_enrolment_token_comes_from_standard_input_or_a_private_file", enrolment_tokens),
        test("a_probes_configuration_is_not_overwritten_unless_asked_for", not_overwritten),
        test("a_secret_setting_comes_from_standard_input", secret_setting),
        test("silent_tcp_connections_keep_no_server_from_the_dnstap_socket", silent_connections),
    ]
}

const WITHIN: Duration = Duration::from_secs(30);

/// Runs a program with the umask that most users have.
fn with_usual_umask(name: &str) -> Command {
    let mut command = without_settings(Command::new("sh"));
    command.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(program(name));
    command
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// A directory and everything below it.
fn everything(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.file_type().expect("it is there").is_dir() {
            true => found.extend(everything(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// Permissions as set by systemd for a StateDirectory, with files created under the usual umask.
fn open_up(path: &Path) {
    everything(path).iter().for_each(|path| set_mode(path, if path.is_dir() { 0o755 } else { 0o644 }));
}

fn assert_closed(path: &Path) {
    for path in everything(path) {
        // Files removed by a running program in the meantime do not matter.
        if path.exists() {
            assert_eq!(mode(&path) & 0o077, 0, "{} is open: {:o}", path.display(), mode(&path));
        }
    }
}

fn closed_data() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("a test's folder is writable");
    for start in 0..2 {
        open_up(&data);
        let mut command = with_usual_umask("zonepulse");
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        let mut central = Process::start(&format!("central{start}"), command, folder.path());
        eventually("the central is there", WITHIN, || central.log().contains("Zonepulse is at").then_some(()));
        assert_closed(&data);
        assert!(central.log().contains("restricted access to the owner"), "{}", central.log());
        assert!(central.terminate(WITHIN).success());
        assert_closed(&data);
    }
}

fn commands() {
    let mut central = Central::start(&["one"]);
    central.stop();
    let data = central.data();
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let (fleet, exported) = (out.path().join("fleet.toml"), out.path().join("exported"));
    let place = |words: &[&str]| {
        let mut command = with_usual_umask("zonepulse");
        command.args(words);
        command
    };
    let mut all = vec![place(&["check"])];
    all[0].arg(&data);
    for words in [&["user", "list"][..], &["server", "list"], &["settings", "get"]] {
        let mut command = place(words);
        command.arg("--data").arg(&data);
        all.push(command);
    }
    let mut export = place(&["export"]);
    export.arg(&data).arg("--to").arg(&exported);
    let mut simulate = place(&["simulate", "--servers", "2", "--fleet"]);
    simulate.arg(&fleet).arg("--make-in").arg(&data);
    all.extend([export, simulate]);
    for command in &mut all {
        open_up(&data);
        succeed(command, WITHIN);
        assert_closed(&data);
    }
    assert_eq!(mode(&fleet), 0o600);
}

fn closed_spool() {
    let settings = Settings { sources: Sources::Dnstap, ..Settings::spooled() };
    let mut probe = Probe::new(&settings);
    fs::create_dir_all(probe.spool()).expect("a test's folder is writable");
    for _ in 0..2 {
        open_up(&probe.spool());
        probe.start_through(&["sh", "-c", "umask 022; exec \"$@\"", "sh"], &[]);
        eventually("the probe runs", WITHIN, || probe.dnstap_socket().exists().then_some(()));
        assert_closed(&probe.spool());
        assert_eq!(mode(&probe.dnstap_socket()), 0o660, "servers may connect whatever the umask");
        fs::remove_file(probe.dnstap_socket()).expect("it is ours");
        probe.stop();
        assert_closed(&probe.spool());
    }
}

fn first_password() {
    let central = Central::start(&[]);
    let Credentials::User(_, password) = central.administrator() else { panic!("there is a password") };
    let log = central.log();
    assert!(!log.contains(&password), "the password is in the log");
    let file = central.data().join("admin-credentials");
    assert!(log.contains(&file.display().to_string()), "{log}");
    assert_eq!(mode(&file), 0o600);
}

fn open_configurations() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("settings.toml");
    let spool = folder.path().join("spool");
    let probe = format!("server_id = 1\n[spool]\ndir = {spool:?}\n");
    let cases = [
        ("zonepulse", "[rabbitmq]\nurl = \"amqp://me:hush-hush@127.0.0.1\"\n".to_owned()),
        ("zonepulse-probe", format!("{probe}[deliver.http]\ntoken = \"hush-hush\"\n")),
        ("zonepulse-probe", format!("{probe}[pull]\ntoken = \"hush-hush\"\n")),
        (
            "zonepulse-probe",
            format!("{probe}[deliver]\ncommunication = \"rabbitmq\"\nrabbitmq.url = \"amqp://me:hush-hush@127.0.0.1\"\n"),
        ),
    ];
    for (name, text) in cases {
        fs::write(&file, &text).expect("a test's folder is writable");
        let check = |open: u32| {
            set_mode(&file, open);
            let mut command = program_command(name);
            command.args([if name == "zonepulse" { "serve" } else { "run" }, "--check-config", "--config"]).arg(&file);
            run(&mut command, WITHIN)
        };
        for open in [0o644, 0o640, 0o604] {
            let Output { code, err, out } = check(open);
            assert_eq!(code, Some(1), "{name} {open:o}: {text}");
            assert!(err.contains(&format!("chmod 600 {}", file.display())), "{name}: {err}");
            assert!(!err.contains("hush-hush") && !out.contains("hush-hush"), "{err}{out}");
        }
        let err = check(0o600).err;
        assert!(!err.contains("chmod"), "{name}: {err}");
    }
}

/// The arguments of all processes on this machine.
fn all_arguments() -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

/// A new server's enrolment token, and the command for it.
fn new_server(central: &Central, name: &str) -> (String, String) {
    let response = central.api().send_json(Method::POST, "/api/v2/pvservers", &json!({ "server": name }));
    assert_eq!(response.status, 201, "{}", response.text());
    let handover = response.json();
    let text = |member: &str| handover[member].as_str().expect("a text").to_owned();
    (text("enrollment_token"), text("enroll_command"))
}

/// A shell that reads commands from standard input, as if typed.
fn shell(folder: &Path) -> Command {
    let programs = program("zonepulse-probe").parent().expect("it is in a folder").to_owned();
    let mut shell = without_settings(Command::new("sh"));
    shell.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).current_dir(folder);
    shell
}

fn no_token_in_arguments() {
    let central = Central::start(&[]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (token, command) = new_server(&central, "ns1");
    assert!(!command.contains(&token), "{command}");
    // Like a script that has the token in a file: the shell passes it to the program.
    let typed = format!("{command} --config probe.toml --spool spool <<'END'\n{token}\nEND\n");

    // A server that accepts the connection and never answers, so that the probe can be inspected.
    let silent = TcpListener::bind("127.0.0.1:0").expect("an address of this machine");
    let elsewhere = format!("http://{}", silent.local_addr().expect("it has one"));
    let mut child = shell(folder.path()).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("there is a shell");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(typed.replacen(&central.url(), &elsewhere, 1).as_bytes()).expect("the shell reads");
    drop(stdin);
    let (mut connection, _) = silent.accept().expect("the probe comes");
    connection.set_read_timeout(Some(WITHIN)).expect("a time");
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains(&token) {
        let mut piece = [0; 1024];
        let count = connection.read(&mut piece).expect("the probe asks");
        assert_ne!(count, 0, "it shows another token: {}", String::from_utf8_lossy(&request));
        request.extend(&piece[..count]);
    }
    let arguments = all_arguments();
    assert!(arguments.iter().any(|line| line.contains(&elsewhere)), "the probe is seen");
    assert!(!arguments.iter().any(|line| line.contains(&token)), "the token is seen");
    drop(connection);
    child.wait().expect("it ends");

    let output = run_with_input(&mut shell(folder.path()), &typed, WITHIN);
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(output.err.is_empty() && !output.out.contains(&token), "{}{}", output.out, output.err);
    for name in ["probe.toml", "token"] {
        assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
    }
}

fn enrolment_tokens() {
    let central = Central::start(&[]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("enrolment-token");
    let enroll = |name: &str, more: &[&str], input: &str| {
        let mut command = program_command("zonepulse-probe");
        command.args(["enroll", &central.url()]).args(more);
        command.arg("--config").arg(folder.path().join(name).join("probe.toml"));
        run_with_input(&mut command, input, WITHIN)
    };
    let path = file.display().to_string();
    for (name, ways) in
        [("stdin", &[][..]), ("dash", &["-"]), ("file", &["--token-file", &path]), ("file-dash", &["--token-file", "-"])]
    {
        let (token, _) = new_server(&central, name);
        fs::write(&file, format!("{token}\n")).expect("a test's folder is writable");
        if name == "file" {
            set_mode(&file, 0o644);
            let refused = enroll(name, ways, "");
            assert!(refused.code == Some(1) && refused.err.contains(&format!("chmod 600 {path}")), "{}", refused.err);
        }
        set_mode(&file, 0o600);
        let done = enroll(name, ways, &format!("{token}\n"));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{name}");
    }
    assert!(enroll("empty", &[], "").err.contains("is empty"));
    // Accepted for one more release, with a warning.
    let (token, _) = new_server(&central, "argument");
    let done = enroll("argument", &[&token], "");
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("--token-file") && !done.err.contains(&token), "{}", done.err);
}

fn not_overwritten() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (data, file) = (folder.path().join("data"), folder.path().join("ns1.toml"));
    let add = |name: &str, more: &[&str]| {
        let mut command = program_command("zonepulse");
        command.args(["server", "add", name, "--data"]).arg(&data).arg("--probe-config").arg(&file).args(more);
        run(&mut command, WITHIN)
    };
    assert_eq!(add("ns1", &[]).code, Some(0));
    assert_eq!(mode(&file), 0o600);
    let first = fs::read(&file).expect("it was written");
    let refused = add("ns2", &[]);
    assert!(refused.code == Some(1) && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read(&file).expect("it is there"), first);
    let list = succeed(program_command("zonepulse").args(["server", "list", "--data"]).arg(&data), WITHIN);
    assert!(list.contains("ns1") && !list.contains("ns2"), "a refused server is not made: {list}");
    assert_eq!(add("ns2", &["--force"]).code, Some(0));
    assert_ne!(fs::read(&file).expect("it is there"), first);
    let left = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 2, "data, and the configuration");
}

fn secret_setting() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let set = |more: &[&str], input: &str| {
        let mut command = program_command("zonepulse");
        command.args(["settings", "set", "rabbitmq_password"]).args(more).arg("--data").arg(folder.path().join("data"));
        let output = run_with_input(&mut command, input, WITHIN);
        assert_eq!(output.code, Some(0), "{}", output.err);
        output.err
    };
    assert!(!set(&["--value-stdin"], "hush-hush\n").contains("warning"));
    let said = set(&["hush-hush-2"], "");
    assert!(said.contains("--value-stdin") && !said.contains("hush-hush"), "{said}");
}

fn silent_connections() {
    let settings = Settings { sources: Sources::Dnstap, ..Settings::spooled() };
    let mut probe = Probe::new(&settings);
    let port = ports::free();
    probe.configure("dnstap.socket", |_| format!("dnstap.listen = \"127.0.0.1:{port}\"\ndnstap.socket"));
    probe.start();
    eventually("the probe listens", WITHIN, || probe.dnstap_socket().exists().then_some(()));
    let connect = || eventually("the probe listens", WITHIN, || TcpStream::connect(("127.0.0.1", port)).ok());
    let silent: Vec<_> = (0..16).map(|_| connect()).collect();
    let start = control_frame(control::START, Some(DNSTAP));
    let began = Instant::now();
    let mut unix = UnixStream::connect(probe.dnstap_socket()).expect("the probe listens");
    unix.write_all(&start).expect("the socket takes it");
    eventually("the Unix socket's server is heard", Duration::from_secs(3), || probe.log().contains("servers=1").then_some(()));
    let mut tcp = connect();
    tcp.write_all(&start).expect("the socket takes it");
    eventually("a server over TCP is heard", Duration::from_secs(3), || probe.log().contains("servers=2").then_some(()));
    assert!(began.elapsed() < Duration::from_secs(5), "before the silent ones are given up");
    eventually("who made room is told", WITHIN, || probe.log().contains("closed to make room for others").then_some(()));
    drop(silent);
    probe.stop();
}
