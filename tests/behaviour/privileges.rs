//! The probe's privileges, and what it reveals of its secrets.

use libtest_mimic::Trial;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_fixtures::Message;
use zonepulse_tests::api::number;
use zonepulse_tests::needs::{root, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{program, program_command, run, succeed};
use zonepulse_tests::{Central, Probe, eventually, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("a_probe_of_root_keeps_the_right_to_capture_only_and_only_where_it_captures", root, of_root),
        test_with("without_root_the_right_to_capture_is_enough", root, of_nobody),
        test_with("no_log_shows_a_token", root, no_token_in_a_log),
        test("a_configuration_or_token_file_that_everybody_may_write_is_refused", writable),
    ]
}

/// Bit 13, CAP_NET_RAW (capabilities(7)).
const NET_RAW: u64 = 1 << 13;

/// For each thread: name, permitted and effective capabilities, and no_new_privs.
fn threads(process: u32) -> Vec<(String, u64, u64, bool)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs").flatten();
    let thread = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
        let set = |name: &str| u64::from_str_radix(&field(name)?, 16).ok();
        Some((field("Name:")?, set("CapPrm:")?, set("CapEff:")?, field("NoNewPrivs:")? == "1"))
    };
    tasks.filter_map(thread).collect()
}

fn listens(probe: &Probe) {
    eventually("the probe listens", Duration::from_secs(20), || probe.log().contains(" listening").then_some(()));
}

/// Sends queries to a port of the loopback device, where nobody needs to answer.
fn ask(port: u16, times: usize) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("an address of this machine");
    // Receives the queries, so that sending does not fail.
    let _server = UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    for _ in 0..times {
        socket.send_to(&Message::query("www.example", 1).bytes(), ("127.0.0.1", port)).expect("a query goes");
    }
}

fn of_root(_alone: MutexGuard<'static, ()>) {
    let mut probe = Probe::new(&Settings { port: ports::free(), ..Settings::spooled() });
    probe.start();
    listens(&probe);
    // Some threads may not have dropped theirs yet.
    eventually("every thread has what it may have", Duration::from_secs(20), || {
        let threads = threads(probe.id());
        let started = ["capture", "spool"].iter().all(|wanted| threads.iter().any(|(name, ..)| name == wanted));
        let fits = threads.iter().all(|(name, permitted, effective, no_new)| {
            let may = if name == "capture" { NET_RAW } else { 0 };
            (*permitted, *effective, *no_new) == (may, 0, true)
        });
        (started && fits).then_some(())
    });
    probe.stop();
}

fn of_nobody(_alone: MutexGuard<'static, ()>) {
    const NOBODY: u32 = 65_534;
    let central = Central::start(&["nobody"]);
    let port = ports::free();
    let mut probe = Probe::new(&Settings { port, ..Settings::http(&central, 0) });
    let copy = probe.folder().join("zonepulse-probe");
    fs::copy(program("zonepulse-probe"), &copy).expect("there is room for a copy");
    succeed(Command::new("/usr/sbin/setcap").arg("cap_net_raw+ep").arg(&copy), Duration::from_secs(10));
    for path in [probe.folder(), probe.config().as_path(), copy.as_path()] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    }
    // chown removes capabilities.
    succeed(Command::new("/usr/sbin/setcap").arg("cap_net_raw+ep").arg(&copy), Duration::from_secs(10));
    let user = NOBODY.to_string();
    let through = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"];
    probe.start_copy_through(&through, &copy, &[]);
    listens(&probe);
    let status = fs::read_to_string(format!("/proc/{}/status", probe.id())).expect("it runs");
    assert!(status.lines().any(|line| line.starts_with("Uid:") && line.contains(&user)), "{status}");
    ask(port, 25);
    std::thread::sleep(Duration::from_millis(500));
    probe.stop();
    let requests = central.api().rows("dns/aggregate", &[("action", "request")]);
    assert_eq!(requests.iter().map(|row| number(row, "hits")).sum::<u64>(), 25, "{}", probe.log());
}

fn no_token_in_a_log(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["hush"]);
    let port = ports::free();
    let mut probe = Probe::new(&Settings { port, interval_s: 5, ..Settings::http(&central, 0) });
    let token = central.servers[0].token.clone();
    assert!(token.len() > 10 && fs::read_to_string(probe.config()).expect("it has one").contains(&token));
    probe.start_through(&["env"], &["--log-level", "trace"]);
    listens(&probe);
    ask(port, 5);
    eventually("a batch is delivered", Duration::from_secs(20), || {
        (!central.api().rows("dns/coverage", &[]).is_empty()).then_some(())
    });
    probe.stop();
    // And a probe that the central rejects.
    let mut wrong = Probe::new(&Settings {
        port,
        deliver: format!("communication = \"http\"\n[deliver.http]\nurl = \"{}\"\ntoken = \"wrong-{token}\"\n", central.url()),
        ..Settings::spooled()
    });
    wrong.start_through(&["env"], &["--log-level", "trace"]);
    listens(&wrong);
    ask(port, 5);
    wrong.stop();
    for log in [probe.log(), wrong.log()] {
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "much is logged: {log}");
        assert!(!log.contains(&token), "a log shows the token");
    }
    assert!(!wrong.log().is_empty());
}

fn writable() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (config, token) = (folder.path().join("probe.toml"), folder.path().join("token"));
    fs::write(&token, "hush-hush").expect("a test's folder is writable");
    let spool = folder.path().join("spool");
    let text = format!("server_id = 1\n[spool]\ndir = {spool:?}\n[deliver.http]\ntoken_file = {token:?}\n");
    fs::write(&config, text).expect("a test's folder is writable");
    for file in [&config, &token] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o602)).expect("it is ours");
        let mut command = program_command("zonepulse-probe");
        let output = run(command.args(["run", "--config"]).arg(&config), Duration::from_secs(20));
        assert_eq!(output.code, Some(1));
        let line = output.err.lines().last().unwrap_or_default();
        assert!(line.contains(&file.display().to_string()) && line.contains("chmod o-w"), "{}", output.err);
        assert!(!output.err.contains("hush-hush"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
}
