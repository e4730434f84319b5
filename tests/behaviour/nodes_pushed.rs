//! Probes that are installed and updated over SSH, on nodes with a real sshd.

use super::nodes::{expect_heard, heard, image, server_command, silent_image, upload};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_tests::needs::test_with;
use zonepulse_tests::node::{NodeUser, Sshd, open_folder, sshd};
use zonepulse_tests::process::{Output, run, succeed, write_private};
use zonepulse_tests::{Central, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("an_update_that_is_not_heard_of_is_rolled_back_by_itself", sshd, rolled_back),
        test_with("of_three_nodes_one_fails_halfway_and_the_others_are_installed", sshd, three_nodes),
        test_with("the_central_installs_through_a_jump_host_and_shows_live_steps", sshd, by_central),
        test_with("root_installs_a_probe_that_runs_as_another_user_and_may_capture_and_updates_it_over_ssh", sshd, as_root),
        test_with("a_wrong_host_key_and_a_wrong_password_are_refused", sshd, refused),
        test_with("a_job_that_the_end_of_the_central_interrupts_is_named_so", sshd, interrupted),
    ]
}

const WITHIN: Duration = Duration::from_secs(150);

/// The operator's home, which knows these hosts.
fn home(known: &[&Sshd]) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary folder can be made");
    fs::create_dir(home.path().join(".ssh")).unwrap();
    let lines: String = known.iter().map(|sshd| sshd.known()).collect();
    write_private(&home.path().join(".ssh/known_hosts"), &lines);
    home
}

/// `zonepulse server install|update …` of an operator with this home.
fn operate(central: &Central, home: &Path, arguments: &[&str]) -> Output {
    let mut command = server_command(central, arguments);
    command.env("HOME", home).env("TMPDIR", home).env_remove("SSH_AUTH_SOCK");
    let output = run(&mut command, WITHIN);
    let left: Vec<_> = home.read_dir().unwrap().flatten().map(|entry| entry.file_name()).filter(|name| name != ".ssh").collect();
    assert!(left.is_empty(), "private files are left: {left:?}");
    output
}

fn job(central: &Central, id: u64) -> Value {
    central.api().get(&format!("/api/v2/pvservers/jobs/{id}"), &[], "application/json").json()
}

/// Starts a job, and returns it as it is in the end, and the percentages on the way.
fn push(central: &Central, what: &str, server_id: u32, order: &Value) -> (Value, Vec<u64>) {
    let started = central.api().send_json(Method::POST, &format!("/api/v2/pvservers/{what}/{server_id}"), order);
    assert_eq!(started.status, 202, "{}", started.text());
    let id = started.json()["job_id"].as_u64().unwrap();
    let mut seen = Vec::new();
    let ended = eventually("the job ends", WITHIN, || {
        let job = job(central, id);
        seen.push(job["progress_percent"].as_u64().unwrap());
        (!["waiting", "running"].contains(&job["state"].as_str().unwrap())).then_some(job)
    });
    (ended, seen)
}

fn step<'a>(job: &'a Value, name: &str) -> (&'a str, &'a str) {
    let step = job["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap();
    (step["state"].as_str().unwrap(), step["message"].as_str().unwrap())
}

fn rolled_back((): ()) {
    let (central, sshd, user) = (Central::start(&["ns1"]), Sshd::start(), NodeUser::new());
    let (home, folder) = (home(&[&sshd]), open_folder());
    let (target, identity) = (sshd.target(&user.name), sshd.identity().to_string_lossy().into_owned());
    let with = |more: &[&'static str]| {
        let mut arguments = more.to_vec();
        arguments.extend(["ns1", "--wait-s", "20"]);
        let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        arguments.extend(["--ssh".to_owned(), target.clone(), "--identity".to_owned(), identity.clone()]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        operate(&central, home.path(), &arguments)
    };
    let early = with(&["update"]);
    assert!(early.code == Some(1) && early.out.contains("no probe of a bundle is installed"), "{}{}", early.out, early.err);
    let installed = with(&["install"]);
    assert_eq!(installed.code, Some(0), "{}{}", installed.out, installed.err);
    assert!(installed.out.trim_end().ends_with("PVOK") && installed.out.contains("100 %"), "{}", installed.out);
    expect_heard(&central, 1, "0.1.0");

    assert_eq!(upload(&central, folder.path(), &silent_image("0.2.0")).code, Some(0));
    let failed = with(&["update"]);
    let said = &failed.out;
    assert!(failed.code == Some(1) && said.contains("no heartbeat of version 0.2.0 within 20 s"), "{said}{}", failed.err);
    assert!(said.contains("the version before runs again: version 0.1.0"), "{said}");
    let (version, uptime_s) = heard(&central, 1).unwrap();
    assert!(version == "0.1.0" && uptime_s < 60, "{version}, {uptime_s} s");

    // The server's maximum version keeps the bad one away, and a good one is installed.
    let max = |version: &str| {
        let changed = central.api().send_json(Method::PATCH, "/api/v2/pvservers/1", &json!({ "max_version": version }));
        assert_eq!(changed.status, 200, "{}", changed.text());
    };
    max("0.1.0");
    let same = with(&["update"]);
    assert_eq!(same.code, Some(0), "{}{}", same.out, same.err);
    assert!(same.out.contains("Version 0.1.0 was installed already"), "{}", same.out);
    assert_eq!(upload(&central, folder.path(), &image("0.3.0")).code, Some(0));
    max("0.3.0");
    let updated = with(&["update"]);
    assert_eq!(updated.code, Some(0), "{}{}", updated.out, updated.err);
    expect_heard(&central, 1, "0.3.0");
}

/// A file system without room for more than a few files: what is copied first fits.
struct FewFiles {
    folder: TempDir,
}

impl FewFiles {
    fn mount(user: &NodeUser) -> Self {
        let folder = open_folder();
        let id = succeed(Command::new("id").args(["-u", &user.name]), Duration::from_secs(10));
        let options = format!("size=300m,nr_inodes=6,mode=755,uid={}", id.trim());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "zonepulse-test"]).arg(folder.path());
        succeed(&mut mount, Duration::from_secs(10));
        FewFiles { folder }
    }
}

impl Drop for FewFiles {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

fn three_nodes((): ()) {
    let (central, sshd) = (Central::start(&["ns1", "ns2", "ns3"]), Sshd::start());
    let (home, users) = (home(&[&sshd]), [NodeUser::new(), NodeUser::new(), NodeUser::new()]);
    // The second one installs on a full disk.
    let second = &users[1];
    let full = FewFiles::mount(second);
    let data = format!("{}/.local/share", second.home.display());
    succeed(
        Command::new("su").args([
            &second.name,
            "-c",
            &format!("mkdir -p {data} && ln -s {} {data}/zonepulse-probe", full.folder.path().display()),
        ]),
        WITHIN,
    );
    let lines: Vec<_> = (1..=3).map(|n| format!("ns{n} {}\n", sshd.target(&users[n - 1].name))).collect();
    let nodes = home.path().join(".ssh/nodes");
    fs::write(&nodes, lines.concat()).unwrap();
    let identity = sshd.identity();
    let arguments = ["install", "--nodes", nodes.to_str().unwrap(), "--identity", identity.to_str().unwrap(), "--parallel", "3"];
    let output = operate(&central, home.path(), &arguments);
    let said = &output.out;
    assert!(output.code == Some(1) && output.err.contains("1 of 3 failed"), "{said}{}", output.err);
    let ended = |n: u32| said.lines().rfind(|line| line.starts_with(&format!("ns{n}"))).unwrap_or_default().to_owned();
    assert!(ended(1).ends_with("PVOK") && ended(2).ends_with("failed") && ended(3).ends_with("PVOK"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("ns2") && line.contains("install    failed")), "{said}");
    assert!(said.contains("No space left"), "{said}");
    expect_heard(&central, 1, "0.1.0");
    expect_heard(&central, 3, "0.1.0");
    assert_eq!(heard(&central, 2), None);

    // With room, it is repeated.
    succeed(Command::new("mount").args(["-o", "remount,nr_inodes=1000"]).arg(full.folder.path()), WITHIN);
    let target = sshd.target(&second.name);
    let again = operate(&central, home.path(), &["install", "ns2", "--ssh", &target, "--identity", identity.to_str().unwrap()]);
    assert_eq!(again.code, Some(0), "{}{}", again.out, again.err);
    expect_heard(&central, 2, "0.1.0");
}

fn by_central((): ()) {
    let (mut central, node, gate) = (Central::start(&["ns1"]), Sshd::start(), Sshd::start());
    let (user, porter) = (NodeUser::new(), NodeUser::new());
    let order = json!({
        "node": node.target(&user.name), "password": user.password, "host_key": node.fingerprint(),
        "jump": gate.target(&porter.name), "jump_password": porter.password, "jump_host_key": gate.fingerprint(),
    });
    let (job, seen) = push(&central, "pushconfig", 1, &order);
    assert_eq!(job["state"], "done", "{job:#}");
    assert!(seen.is_sorted() && seen.last() == Some(&100) && seen.iter().any(|percent| (1..100).contains(percent)), "{seen:?}");
    assert!(step(&job, "connect").1.contains("through") && gate.log().contains(&porter.name), "{job:#}");
    assert_eq!((step(&job, "heartbeat").0, step(&job, "rollback").0, &job["version"]), ("done", "skipped", &json!("0.1.0")));
    expect_heard(&central, 1, "0.1.0");

    // The same from the command line, with a host key that is accepted.
    let home = home(&[]);
    let passwords = home.path().join(".ssh/password");
    write_private(&passwords, &user.password);
    let target = node.target(&user.name);
    let with = |more: &[&str]| {
        let file = passwords.to_str().unwrap();
        let mut arguments = vec!["update", "ns1", "--ssh", &target, "--from-central", "--password-file", file];
        arguments.extend(more);
        operate(&central, home.path(), &arguments)
    };
    let unknown = with(&[]);
    assert!(unknown.code == Some(1) && unknown.out.contains("is not known"), "{}{}", unknown.out, unknown.err);
    let accepted = with(&["--accept-new-host-key"]);
    assert_eq!(accepted.code, Some(0), "{}{}", accepted.out, accepted.err);
    assert!(accepted.out.contains(&node.fingerprint()), "{}", accepted.out);
    let known = with(&[]);
    assert_eq!(known.code, Some(0), "{}{}", known.out, known.err);

    // Nothing that is kept has a password in it, and private files are gone.
    let log = central.log();
    central.stop();
    for secret in [&user.password, &porter.password] {
        let found = run(Command::new("grep").args(["-rlF", secret]).arg(central.data()), WITHIN);
        assert_eq!((found.code, found.out.as_str()), (Some(1), ""));
        assert!(!log.contains(secret.as_str()));
    }
    let kept: Vec<_> = central.data().join("push").read_dir().unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(kept.iter().all(|name| !name.to_string_lossy().starts_with("ssh-")), "{kept:?}");
}

fn as_root((): ()) {
    let (central, sshd, user) = (Central::start(&["ns1"]), Sshd::start(), NodeUser::new());
    let (home, folder) = (home(&[&sshd]), open_folder());
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    succeed(&mut server_command(&central, &["setup", "ns1", "--output", &at("setup-1.tar")]), WITHIN);
    succeed(Command::new("tar").args(["-xf", "setup-1.tar"]).current_dir(folder.path()), WITHIN);
    let prefix = at("node");
    let more = ["--prefix", prefix.as_str(), "--service", "plain", "--user", user.name.as_str()];
    let installed = succeed(Command::new("sh").arg(at("setup-1/install.sh")).args(more), WITHIN);
    assert!(installed.ends_with("PVOK\n"), "{installed}");
    expect_heard(&central, 1, "0.1.0");
    let running = || run(Command::new("pgrep").args(["-u", &user.name, "-f", "zonepulse-probe run"]), WITHIN);
    assert_eq!(running().code, Some(0), "it runs as the user that was named");
    let captures = || {
        let rows = central.api().rows("heartbeat", &[("server_id", "1")]);
        (rows[0]["capture"]["state"] == "running").then_some(())
    };
    // Without setcap, install.sh has said that it cannot.
    if !installed.contains("setcap is missing") {
        eventually("the probe captures", WITHIN, captures);
    }

    assert_eq!(upload(&central, folder.path(), &image("0.2.0")).code, Some(0));
    let (target, identity) = (sshd.target("root"), sshd.identity().to_string_lossy().into_owned());
    let arguments = ["update", "ns1", "--ssh", &target, "--identity", &identity, "--prefix", &prefix];
    let updated = operate(&central, home.path(), &arguments);
    assert_eq!(updated.code, Some(0), "{}{}", updated.out, updated.err);
    expect_heard(&central, 1, "0.2.0");
    assert_eq!(running().code, Some(0), "it still runs as that user");
    if !installed.contains("setcap is missing") {
        eventually("the new version captures", WITHIN, captures);
    }
    let removed = succeed(Command::new("sh").arg(format!("{prefix}/lib/install.sh")).arg("--purge"), WITHIN);
    assert!(removed.ends_with("PVOK\n") && !Path::new(&prefix).exists(), "{removed}");
    assert_eq!(running().code, Some(1));
}

fn refused((): ()) {
    let (central, sshd, user) = (Central::start(&["ns1"]), Sshd::start(), NodeUser::new());
    let home = home(&[]);
    let target = sshd.target(&user.name);
    let passwords = home.path().join(".ssh/password");
    let with = |password: &str, more: &[&str]| {
        write_private(&passwords, password);
        let mut arguments = vec!["install", "ns1", "--ssh", &target, "--password-file", passwords.to_str().unwrap()];
        arguments.extend(more);
        let output = operate(&central, home.path(), &arguments);
        assert_eq!(output.code, Some(1), "{}", output.out);
        assert!(!output.out.contains(password) && !output.err.contains(password));
        output.out
    };
    let before = sshd.log();
    let unknown = with(&user.password, &[]);
    assert!(
        unknown.contains("connect    failed") && unknown.contains("host key") && unknown.contains("is not known"),
        "{unknown}"
    );
    let wrong = with(&user.password, &["--host-key", &sshd.other_fingerprint()]);
    assert!(wrong.contains("connect    failed") && wrong.contains("not the one that was given"), "{wrong}");
    let told = sshd.log()[before.len()..].to_owned();
    assert!(!told.contains("password for"), "a password was sent to a host that is not known: {told}");
    let login = with("a wrong password", &["--host-key", &sshd.fingerprint()]);
    assert!(login.contains("connect    failed") && login.contains("refuses the login"), "{login}");
    assert_eq!(fs::read_to_string(home.path().join(".ssh/known_hosts")).unwrap(), "", "nothing was accepted");

    // A host whose key has changed is refused even if new ones are accepted.
    let other =
        format!("[127.0.0.1]:{} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3mY2CZSwnBXN8Zx6zQ5LTPAEgzg1x4tJ1m1yTnQ0XS\n", sshd.port);
    write_private(&home.path().join(".ssh/known_hosts"), &other);
    let changed = with(&user.password, &["--accept-new-host-key"]);
    assert!(changed.contains("another one than the known one"), "{changed}");
}

fn interrupted((): ()) {
    let mut central = Central::start(&["ns1"]);
    // It accepts connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = format!("root@{}", silent.local_addr().unwrap());
    let order = json!({"node": node, "password": "hush", "host_key": "SHA256:none"});
    let path = "/api/v2/pvservers/pushconfig/1";
    let started = central.api().send_json(Method::POST, path, &order);
    assert_eq!(started.status, 202, "{}", started.text());
    let second = central.api().send_json(Method::POST, path, &order);
    assert!(second.status == 409 && second.text().contains("job 1"), "{}", second.text());
    eventually("the job runs", WITHIN, || (job(&central, 1)["state"] == "running").then_some(()));
    central.kill();
    central.start_again();
    let job = job(&central, 1);
    assert_eq!(job["state"], "interrupted", "{job:#}");
    assert!(central.data().join("push").metadata().unwrap().permissions().mode() & 0o077 == 0);
}
