//! Setup bundles, installed by hand on nodes of this machine.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use zonepulse_tests::needs::{test, test_with};
use zonepulse_tests::node::{NodeUser, open_folder, sshd};
use zonepulse_tests::process::{Output, program, program_command, run, succeed};
use zonepulse_tests::{Central, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("a_bundle_installs_updates_rolls_back_and_removes_a_probe_and_its_token_works_once", sshd, by_hand),
        test_with("under_systemd_a_bundle_installs_a_unit_that_is_valid", sshd, systemd),
        test("a_bundle_is_for_those_who_may_change_the_server_and_contains_no_more_than_it_has_to", contents),
        test("images_are_uploaded_listed_bounded_by_the_servers_maximum_version_and_removed", images),
    ]
}

pub const WITHIN: Duration = Duration::from_secs(60);

/// The probe's program with another version number, as if it were that version.
pub fn image(version: &str) -> Vec<u8> {
    assert_eq!(version.len(), 5, "it takes the place of 0.1.0");
    replaced(fs::read(program("zonepulse-probe")).expect("it is built"), env!("CARGO_PKG_VERSION"), version)
}

/// The same, of a version whose heartbeats do not arrive.
pub fn silent_image(version: &str) -> Vec<u8> {
    replaced(image(version), "/api/v2/monitoring/heartbeat", "/api/v2/monitoring/heartbeet")
}

fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (mut at, mut count) = (0, 0);
    while let Some(found) = find(&bytes[at..], from.as_bytes()) {
        bytes[at + found..at + found + to.len()].copy_from_slice(to.as_bytes());
        at += found + to.len();
        count += 1;
    }
    assert!(count > 0, "{from} is not in the program");
    bytes
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = text[0];
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == first) {
        at += next;
        if bytes[at..].starts_with(text) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// `zonepulse server …` at a central.
pub fn server_command(central: &Central, arguments: &[&str]) -> Command {
    let mut command = program_command("zonepulse");
    command.arg("server").args(arguments).args(["--url", &central.url(), "--credentials"]);
    command.arg(central.data().join("admin-credentials"));
    command
}

/// Uploads an image.
pub fn upload(central: &Central, folder: &Path, bytes: &[u8]) -> Output {
    let file = folder.join("image");
    fs::write(&file, bytes).expect("a test's folder is writable");
    run(&mut server_command(central, &["image", "add", &file.to_string_lossy()]), WITHIN)
}

/// What the central says of a server's probe: version and how long it has been running, seconds.
pub fn heard(central: &Central, server_id: u32) -> Option<(String, u64)> {
    let rows = central.api().rows("heartbeat", &[("server_id", &server_id.to_string())]);
    let row = rows.first()?;
    Some((row.get("probe_version")?.as_str()?.to_owned(), row.get("uptime_s")?.as_u64()?))
}

/// Waits until a probe of this version has been heard that runs for at most half a minute.
pub fn expect_heard(central: &Central, server_id: u32, version: &str) {
    let mut last = None;
    eventually(&format!("a heartbeat of version {version}"), WITHIN, || {
        last = heard(central, server_id);
        last.as_ref().filter(|(heard, _)| heard == version).map(|_| ())
    });
}

/// Downloads a bundle to where the user finds it.
fn download(central: &Central, user: &NodeUser, more: &[&str]) {
    let folder = open_folder();
    let tar = folder.path().join("setup-1.tar");
    let mut arguments = vec!["setup", "ns1", "--output"];
    let path = tar.to_string_lossy().into_owned();
    arguments.push(&path);
    arguments.extend(more);
    succeed(&mut server_command(central, &arguments), WITHIN);
    assert_eq!(tar.metadata().unwrap().permissions().mode() & 0o777, 0o600, "it has a secret in it");
    let to = user.home.join("setup-1.tar");
    succeed(Command::new("install").args(["-m", "600", "-o", &user.name]).arg(&tar).arg(&to), WITHIN);
}

fn last_line(output: &Output) -> &str {
    output.out.lines().next_back().unwrap_or_default()
}

#[track_caller]
fn expect_done(output: &Output) {
    assert_eq!((output.code, last_line(output)), (Some(0), "PVOK"), "{}{}", output.out, output.err);
}

fn by_hand((): ()) {
    let (central, user) = (Central::start(&["ns1"]), NodeUser::new());
    let installed = ".local/share/zonepulse-probe/lib/install.sh";
    download(&central, &user, &[]);
    // As README and NODES.md have it.
    let first = user.run("tar -xf setup-1.tar && cp -r setup-1 copy && dash setup-1/install.sh");
    expect_done(&first);
    assert!(first.out.contains("sudo setcap cap_net_raw+ep"), "{}", first.out);
    expect_heard(&central, 1, "0.1.0");

    let again = user.run("dash setup-1/install.sh");
    expect_done(&again);
    assert!(again.out.contains("Enrolled already") && again.out.contains("was installed already"), "{}", again.out);
    let twice = user.run("sh copy/install.sh --prefix $PWD/elsewhere");
    assert!(twice.code == Some(1) && twice.err.contains("rejects the enrolment token"), "{}{}", twice.out, twice.err);

    // The token and the spool survive a newer version, installed by another shell.
    let token = |user: &NodeUser| fs::read_to_string(user.home.join(".local/share/zonepulse-probe/etc/token")).unwrap();
    let before = token(&user);
    let folder = open_folder();
    assert_eq!(upload(&central, folder.path(), &image("0.2.0")).code, Some(0));
    download(&central, &user, &["--no-enroll"]);
    let shell = if run(Command::new("busybox").arg("true").env("PATH", "/bin:/usr/bin"), WITHIN).code == Some(0) {
        "busybox sh"
    } else {
        "sh"
    };
    let newer =
        user.run(&format!("rm -rf setup-1 && tar -xf setup-1.tar && test ! -e setup-1/token && {shell} setup-1/install.sh"));
    expect_done(&newer);
    expect_heard(&central, 1, "0.2.0");
    assert_eq!(token(&user), before);

    let status = user.run(&format!("sh {installed} --status"));
    for line in ["version=0.2.0", "previous_version=0.1.0", "service=plain", "state=running"] {
        assert!(status.out.lines().any(|said| said == line), "{}", status.out);
    }
    expect_done(&user.run(&format!("sh {installed} --rollback")));
    expect_heard(&central, 1, "0.1.0");
    assert!(user.run(&format!("sh {installed} --logs")).out.contains("starting"));

    expect_done(&user.run(&format!("sh {installed} --stop")));
    let stopped = user.run(&format!("sh {installed} --status"));
    assert_eq!((stopped.code, last_line(&stopped)), (Some(3), "state=stopped"), "{}", stopped.err);
    expect_done(&user.run(&format!("sh {installed} --start")));
    expect_done(&user.run("sh setup-1/install.sh --uninstall"));
    assert_eq!(run(Command::new("pgrep").args(["-u", &user.name, "-f", "zonepulse-probe run"]), WITHIN).code, Some(1));
    assert_eq!(token(&user), before);
    expect_done(&user.run("sh setup-1/install.sh --purge"));
    assert!(!user.home.join(".local/share/zonepulse-probe").exists());
    let entries = central.api().get("/api/v2/audit", &[], "application/json").json();
    let actions: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "server.bundle").count(), 2, "{actions:?}");
    assert!(actions.contains(&"image.add"), "{actions:?}");
}

/// There is no systemd here: a program in its place notes what it is asked for.
fn systemd((): ()) {
    let (central, folder) = (Central::start(&["ns1"]), open_folder());
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("bin")).unwrap();
    let calls = path("calls");
    let stub = format!(
        "#!/bin/sh\necho \"$*\" >> {0}\ncase \"$*\" in *is-active*) test -f {0}.active ;; *restart*) : > {0}.active ;; \
         *stop*) rm -f {0}.active ;; esac\n",
        calls.display()
    );
    fs::write(path("bin/systemctl"), stub).unwrap();
    fs::set_permissions(path("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let tar = path("setup-1.tar");
    succeed(&mut server_command(&central, &["setup", "1", "--output", &tar.to_string_lossy()]), WITHIN);
    succeed(Command::new("tar").arg("-xf").arg(&tar).current_dir(folder.path()), WITHIN);
    let search = format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let install = |script: PathBuf, more: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(script).args(more).env("PATH", &search).env("ZONEPULSE_TESTS_UNITS", path("units"));
        run(&mut command, WITHIN)
    };
    let prefix = path("node").to_string_lossy().into_owned();
    let user = NodeUser::new();
    let more = ["--prefix", prefix.as_str(), "--service", "systemd", "--user", user.name.as_str()];
    expect_done(&install(path("setup-1/install.sh"), &more));
    let unit = path("units/zonepulse-probe.service");
    let text = fs::read_to_string(&unit).unwrap();
    for line in [
        format!("ExecStart={prefix}/lib/zonepulse-probe run --config {prefix}/etc/probe.toml"),
        format!("User={}", user.name),
        format!("ReadWritePaths={prefix}/state"),
        "CapabilityBoundingSet=CAP_NET_RAW".to_owned(),
    ] {
        assert!(text.lines().any(|said| said == line), "{line} is missing in {text}");
    }
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if analyze.exists() {
        let verified = run(Command::new(analyze).arg("verify").arg(&unit), WITHIN);
        assert_eq!((verified.code, verified.err.as_str()), (Some(0), ""));
    }
    expect_done(&install(path("node/lib/install.sh"), &["--uninstall"]));
    assert!(!unit.exists());
    let called = fs::read_to_string(&calls).unwrap();
    let called: Vec<_> = called.lines().filter(|line| !line.contains("is-active")).collect();
    let unit = "zonepulse-probe.service";
    let expected = [
        "daemon-reload",
        &format!("enable {unit}"),
        &format!("restart {unit}"),
        &format!("stop {unit}"),
        &format!("disable {unit}"),
        "daemon-reload",
    ];
    assert_eq!(called, expected);
}

fn contents() {
    let central = Central::start(&["ns1", "ns2"]);
    let folder = open_folder();
    let api = central.api();
    let get = |path: &str, parameters: &[(&str, &str)]| api.get(path, parameters, "application/x-tar");
    let answer = get("/api/v2/pvservers/config/2", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-tar")));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    fs::write(folder.path().join("setup-2.tar"), &answer.body).unwrap();
    let listed = succeed(Command::new("tar").args(["-tvf", "setup-2.tar"]).current_dir(folder.path()), WITHIN);
    let named: Vec<_> = listed.lines().map(|line| (&line[..10], line.rsplit(' ').next().unwrap())).collect();
    assert!(
        named.contains(&("-rw-------", "setup-2/token")) && named.contains(&("-rwxr-xr-x", "setup-2/install.sh")),
        "{listed}"
    );
    assert!(named.iter().all(|(_, name)| name.starts_with("setup-2/")), "{listed}");
    assert_eq!(get("/api/v2/pvservers/config/9", &[]).status, 404);
    assert_eq!(get("/api/v2/pvservers/config/1", &[("architecture", "sparc")]).status, 404);
    assert_eq!(get("/api/v2/pvservers/config/1", &[("colour", "red")]).status, 400);

    // A probe that runs keeps its token until another has enrolled: it is known, and may not enrol.
    assert_eq!(central.api_of_server(1).send_json(Method::POST, "/api/v2/enrollments", &json!({})).status, 403);
    let reader = json!({"user": "reader", "password": "correct horse", "rights": {"monitoring": true, "server_read": true}});
    assert_eq!(api.send_json(Method::POST, "/api/v2/users", &reader).status, 201);
    let reader = central.client(zonepulse_tests::api::Credentials::User("reader".into(), "correct horse".into()));
    assert_eq!(reader.get("/api/v2/pvservers/config/1", &[], "application/x-tar").status, 403);
}

fn images() {
    let (central, folder) = (Central::start(&["ns1"]), open_folder());
    for version in ["0.2.0", "0.3.0"] {
        let added = upload(&central, folder.path(), &image(version));
        assert_eq!(added.code, Some(0), "{}", added.err);
    }
    let refused = upload(&central, folder.path(), b"#!/bin/sh\nexec true\n");
    assert!(refused.code != Some(0) && refused.err.contains("no program"), "{}", refused.err);
    let listed = succeed(&mut server_command(&central, &["image", "list"]), WITHIN);
    let versions: Vec<_> = listed.lines().skip(1).map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(versions, ["0.3.0", "0.2.0", "0.1.0"], "the last was built with the central");

    let version_for = |max: Value| {
        let changed = central.api().send_json(Method::PATCH, "/api/v2/pvservers/1", &json!({ "max_version": max }));
        assert_eq!(changed.status, 200, "{}", changed.text());
        let bundle = central.api().get("/api/v2/pvservers/config/1", &[("enroll", "false")], "application/x-tar");
        fs::write(folder.path().join("bundle.tar"), &bundle.body).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["-xOf", "bundle.tar", "setup-1/bundle"]).current_dir(folder.path());
        let about = succeed(&mut tar, WITHIN);
        about.lines().find_map(|line| line.strip_prefix("version_")?.split_once('=')).map(|(_, version)| version.to_owned())
    };
    assert_eq!(version_for(Value::Null).as_deref(), Some("0.3.0"));
    assert_eq!(version_for(json!("0.2.9")).as_deref(), Some("0.2.0"));
    let bad = central.api().send_json(Method::PATCH, "/api/v2/pvservers/1", &json!({"max_version": "latest"}));
    assert_eq!((bad.status, bad.problem("parameter").as_str()), (400, "max_version"));
    let low = central.api().send_json(Method::PATCH, "/api/v2/pvservers/1", &json!({"max_version": "0.0.9"}));
    assert_eq!(low.status, 200);
    let none = central.api().get("/api/v2/pvservers/config/1", &[], "application/x-tar");
    assert!(none.status == 404 && none.text().contains("0.0.9"), "{}", none.text());

    let name = listed.lines().nth(1).unwrap().split('\t').next().unwrap();
    succeed(&mut server_command(&central, &["image", "remove", name]), WITHIN);
    let gone = run(&mut server_command(&central, &["image", "remove", name]), WITHIN);
    assert!(gone.code != Some(0) && gone.err.contains("no image"), "{}", gone.err);
}
