//! `zonepulse-probe doctor` finds what is wrong in setups that are really broken, and nothing else.

use libtest_mimic::Trial;
use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};
use zonepulse_tests::disk::Disk;
use zonepulse_tests::false_clock::FalseClock;
use zonepulse_tests::needs::{capture_and_mount_rights, capture_rights, root, test, test_with};
use zonepulse_tests::network::Namespace;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{Output, program, program_command, run, succeed, without_settings};
use zonepulse_tests::{Authority, Central, Knot, Probe, RabbitMq, eventually, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("doctor_finds_nothing_wrong_with_a_probe_that_works", capture_rights, healthy),
        test("doctor_explains_a_configuration_that_cannot_be_used", configuration),
        test("doctor_finds_a_capture_device_that_is_not_there", no_device),
        test_with("doctor_finds_a_capture_device_that_is_down", root, device_down),
        test("doctor_finds_a_server_on_another_port", wrong_port),
        test_with("doctor_finds_a_user_without_the_right_to_capture", root, no_rights),
        test_with("doctor_of_another_user_says_what_was_not_checked", root, other_user),
        test("doctor_finds_a_central_whose_name_does_not_resolve", no_name),
        test("doctor_finds_a_port_where_nobody_listens", nobody_listens),
        test("doctor_does_not_wait_for_a_peer_that_does_not_answer", silent_peer),
        test("doctor_finds_an_expired_certificate", expired),
        test("doctor_finds_a_certificate_of_an_unknown_authority", unknown_authority),
        test("doctor_finds_a_certificate_for_another_name", wrong_name),
        test("doctor_finds_a_secure_url_of_a_central_without_tls", https_to_plain),
        test("doctor_finds_an_insecure_url_of_a_central_with_tls", http_to_tls),
        test("doctor_finds_a_token_that_the_central_does_not_know", wrong_token),
        test("doctor_finds_an_enrolment_token_in_place_of_a_server_s", enrolment_token),
        test("doctor_finds_a_token_of_another_server", token_of_another),
        test("doctor_finds_a_spool_of_another_server", other_server),
        test_with("doctor_finds_a_spool_that_cannot_be_written_to", root, read_only_spool),
        test("doctor_finds_a_spool_that_is_nearly_full", full_spool),
        test("doctor_finds_batches_that_were_refused", refused_batches),
        test_with("doctor_finds_a_disk_that_is_nearly_full", capture_and_mount_rights, full_disk),
        test("doctor_finds_a_clock_that_is_an_hour_ahead", wrong_clock),
        test("doctor_finds_what_is_wrong_with_a_broker", broker),
        test_with("doctor_finds_a_spool_that_another_probe_uses", capture_rights, other_probe),
        test_with("doctor_finds_a_port_that_no_central_can_reach", capture_rights, pulled),
    ]
}

const WITHIN: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65_534;
const MIB: u64 = 1 << 20;

/// A central and a DNS server in good order, and a probe that was never started.
struct World {
    central: Central,
    knot: Knot,
    probe: Probe,
}

/// What `doctor --json` says.
struct Said {
    code: Option<i32>,
    report: Value,
}

impl World {
    fn new() -> World {
        Self::with(Central::start(&["one"]), "")
    }

    /// With TLS, and a probe that trusts this authority.
    fn secure(authority: &Authority, trusted: &Authority) -> World {
        let central = Central::start_secure(&["one"], authority, &authority.certify(&["localhost"]), "");
        Self::with(central, &format!("[tls]\nca_file = {:?}\n", trusted.file()))
    }

    /// `more` is added to the probe's configuration.
    fn with(central: Central, more: &str) -> World {
        let knot = Knot::start();
        let settings = Settings { port: knot.port, ..Settings::http(&central, 0) };
        let probe = Probe::new(&Settings { deliver: settings.deliver.clone() + more, ..settings });
        World { central, knot, probe }
    }

    /// Replaces a text in the configuration.
    fn replace(&self, old: &str, new: &str) {
        replace(&self.probe, old, new);
    }

    fn examine(&self) -> Said {
        examine(&self.probe)
    }
}

fn replace(probe: &Probe, old: &str, new: &str) {
    let text = fs::read_to_string(probe.config()).expect("a probe has a configuration");
    assert!(text.contains(old), "{old:?} is not in {text}");
    fs::write(probe.config(), text.replacen(old, new, 1)).expect("a test's folder is writable");
}

impl Said {
    fn of(output: &Output) -> Said {
        assert_eq!(output.err, "");
        let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {}", output.out));
        let said = Said { code: output.code, report };
        let has_error = said.checks().iter().any(|check| check["status"] == "error");
        assert_eq!(said.code, Some(i32::from(has_error)), "{}", said.report);
        said
    }

    fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().expect("a list of checks")
    }

    fn check(&self, id: &str) -> &Value {
        self.checks().iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no check {id}: {}", self.report))
    }

    fn status(&self, id: &str) -> &str {
        self.check(id)["status"].as_str().expect("a text")
    }

    /// The checks that found something, except that no probe is running, and that this test's user
    /// may not capture.
    fn troubles(&self) -> Vec<(&str, &str)> {
        let of = |check: &'_ Value| (check["id"].as_str().expect("a text").to_owned(), check["status"].clone());
        let all = self.checks().iter().filter(|check| {
            let (id, status) = of(check);
            let is_expected = id == "process" && status == "warning" || id == "capture_rights" && !may_capture();
            (status == "warning" || status == "error") && !is_expected
        });
        all.map(|check| (check["id"].as_str().expect("a text"), check["status"].as_str().expect("a text"))).collect()
    }

    /// Asserts that one check, and no other, found something, with this in what it found and advises.
    fn assert_only(&self, id: &str, status: &str, found: &str, advice: &str) {
        assert_eq!(self.troubles(), [(id, status)], "{:#}", self.report);
        self.assert_says(id, found, advice);
    }

    fn assert_says(&self, id: &str, found: &str, advice: &str) {
        let check = self.check(id);
        let has = |member: &str, text: &str| check[member].as_str().is_some_and(|said| said.contains(text));
        assert!(has("found", found) && has("advice", advice), "{found:?}, {advice:?}: {check:#}");
    }
}

fn may_capture() -> bool {
    // SAFETY: geteuid touches no memory.
    unsafe { libc::geteuid() == 0 }
}

fn command(config: &Path) -> Command {
    let mut command = program_command("zonepulse-probe");
    command.args(["doctor", "--json", "--config"]).arg(config);
    command
}

/// Runs it, and checks that it changes nothing and shows no secret.
fn examine(probe: &Probe) -> Said {
    examine_with(probe, command(&probe.config()))
}

fn examine_with(probe: &Probe, mut command: Command) -> Said {
    let before = listing(probe.folder());
    let output = run(&mut command, WITHIN);
    assert_eq!(listing(probe.folder()), before, "something changed");
    let text = fs::read_to_string(probe.config()).expect("a probe has a configuration");
    let token = text.lines().find_map(|line| line.strip_prefix("token = \"")).map(|token| token.trim_end_matches('"'));
    let token = token.filter(|token| token.len() > 8);
    assert!(token.is_none_or(|token| !output.out.contains(token) && !output.err.contains(token)), "{}", output.out);
    Said::of(&output)
}

/// All files below a directory that no running program changes, with their lengths.
fn listing(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().expect("it is there"));
        if metadata.is_dir() {
            all.extend(listing(&path));
        }
        if path.extension().is_none_or(|kind| kind != "log" && kind != "batch") {
            all.push((path, if metadata.is_file() { metadata.len() } else { 0 }));
        }
    }
    all.sort();
    all
}

fn healthy(_alone: MutexGuard<'static, ()>) {
    let mut world = World::new();
    world.probe.start();
    eventually("the probe listens", Duration::from_secs(20), || world.probe.log().contains(" listening").then_some(()));
    let said = world.examine();
    assert_eq!(said.code, Some(0));
    assert_eq!(said.report["status"], "ok", "{:#}", said.report);
    let skipped: Vec<&Value> =
        said.checks().iter().filter(|check| check["status"] == "skipped").map(|check| &check["id"]).collect();
    assert_eq!(skipped, ["broker", "pull"], "{:#}", said.report);
    assert_eq!(said.check("process")["values"]["pid"], world.probe.id());
    assert!(said.check("capture_rights")["found"].as_str().is_some_and(|found| found.contains("the running probe")));
    assert_eq!(said.report["server_id"], world.central.servers[0].id);

    let mut command = program_command("zonepulse-probe");
    let output = run(command.args(["doctor", "--config"]).arg(world.probe.config()), WITHIN);
    let lines: Vec<&str> = output.out.lines().collect();
    assert_eq!((output.code, lines.last()), (Some(0), Some(&"no errors, no warnings, 18 ok, 2 skipped")), "{}", output.out);
    assert!(
        lines.iter().any(|line| *line
            == format!("ok       process         the probe is running (process {}, user {})", world.probe.id(), user())),
        "{}",
        output.out
    );
    assert!(world.probe.is_running());
    world.probe.stop();
    assert!(!world.probe.log().contains(" WARN "), "{}", world.probe.log());
    // What was asked left no trace at the central either.
    assert!(!world.central.log().contains(" WARN "), "{}", world.central.log());

    let usage = run(program_command("zonepulse-probe").args(["doctor", "--no-such-option"]), WITHIN);
    assert_eq!(usage.code, Some(2), "{}", usage.err);
}

fn user() -> u32 {
    // SAFETY: geteuid touches no memory.
    unsafe { libc::geteuid() }
}

fn configuration() {
    let probe = Probe::new(&Settings::spooled());
    let config = probe.config();
    let broken = |found: &str, advice: &str| {
        let said = Said::of(&run(&mut command(&config), WITHIN));
        said.assert_says("configuration", found, advice);
        assert!(
            said.checks().iter().all(|check| check["id"] == "configuration" || check["status"] == "skipped"),
            "{}",
            said.report
        );
    };
    replace(&probe, "interval_s = 60", "interval = 60");
    broken("unknown key `interval`, did you mean `interval_s`?", "--check-config");
    replace(&probe, "interval = 60", "interval_s = 60");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("a test's file");
    broken("contains a secret, and other users can read it", "chmod 600");
    fs::remove_file(&config).expect("a test's file");
    broken("No such file", "zonepulse-probe enroll");
}

fn no_device() {
    let world = World::new();
    world.replace("device = \"lo\"", "device = \"nosuchdevice0\"");
    world.examine().assert_only("capture_device", "error", "no device nosuchdevice0", "set capture.device");
}

fn device_down(_alone: MutexGuard<'static, ()>) {
    let namespace = Namespace::new("doctor");
    namespace.ip("link add down0 type veth peer name down1");
    let authority = Authority::new();
    let address = "127.0.0.1:8053".parse().expect("an address");
    let certificate = authority.certify(&["127.0.0.1", "localhost"]);
    let central = Central::start_in(&namespace, address, &["one"], (&authority, &certificate), "");
    let _knot = Knot::start_in(&namespace, "doctor");
    let settings = Settings::http(&central, 0);
    let deliver = format!("{}[tls]\nca_file = {:?}\n", settings.deliver, authority.file());
    let probe = Probe::new(&Settings { device: "down0", deliver, ..settings });
    let mut command = without_settings(namespace.command(program("zonepulse-probe")));
    command.args(["doctor", "--json", "--config"]).arg(probe.config());
    let said = examine_with(&probe, command);
    said.assert_only("capture_device", "error", "the device down0 is down", "ip link set down0 up");
    assert!(said.check("dns_server")["found"].as_str().is_some_and(|found| found.contains("knotd listens on port 53")));
}

fn wrong_port() {
    let world = World::new();
    let wrong = ports::free();
    world.replace(&format!("ports = [{}]", world.knot.port), &format!("ports = [{wrong}]"));
    let said = world.examine();
    said.assert_only("dns_server", "error", &format!("but capture.ports has {wrong}"), "set capture.ports");
    said.assert_says("dns_server", "knotd listens on", "restart the probe");
}

/// Runs it as nobody, with the probe's files given to that user.
fn as_nobody(probe: &Probe, rights: &str) -> Command {
    let copy = probe.folder().join("zonepulse-probe");
    if !copy.exists() {
        fs::copy(program("zonepulse-probe"), &copy).expect("there is room for a copy");
    }
    for path in [probe.folder(), probe.config().as_path(), copy.as_path()] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    }
    if !rights.is_empty() {
        succeed(Command::new("/usr/sbin/setcap").arg(rights).arg(&copy), Duration::from_secs(10));
    }
    as_user(&copy, &probe.config())
}

fn as_user(program: &Path, config: &Path) -> Command {
    let user = NOBODY.to_string();
    let mut command = without_settings(Command::new("setpriv"));
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"]);
    command.arg(program).args(["doctor", "--json", "--config"]).arg(config);
    command
}

fn no_rights(_alone: MutexGuard<'static, ()>) {
    let world = World::new();
    let command = as_nobody(&world.probe, "");
    let said = examine_with(&world.probe, command);
    said.assert_only("capture_rights", "error", "user 65534 may not capture", "setcap cap_net_raw+ep");
    let command = as_nobody(&world.probe, "cap_net_raw+ep");
    let said = examine_with(&world.probe, command);
    assert_eq!((said.troubles(), said.status("capture_rights")), (Vec::new(), "ok"), "{:#}", said.report);
}

fn other_user(_alone: MutexGuard<'static, ()>) {
    let mut world = World::new();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let copy = folder.path().join("zonepulse-probe");
    fs::copy(program("zonepulse-probe"), &copy).expect("there is room for a copy");
    for path in [folder.path(), world.probe.folder()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a test's folder");
    }
    let said = Said::of(&run(&mut as_user(&copy, &world.probe.config()), WITHIN));
    said.assert_says("configuration", "Permission denied", "sudo zonepulse-probe doctor");

    // A configuration without a secret, and a running probe of another user.
    world.probe.start();
    eventually("the probe listens", Duration::from_secs(20), || world.probe.log().contains(" listening").then_some(()));
    let text = fs::read_to_string(world.probe.config()).expect("a probe has a configuration");
    let open = folder.path().join("probe.toml");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("token")).collect();
    fs::write(&open, lines.join("\n")).expect("a test's folder is writable");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("a test's file");
    let said = Said::of(&run(&mut as_user(&copy, &open), WITHIN));
    assert_eq!((said.status("process"), said.status("spool")), ("skipped", "skipped"), "{:#}", said.report);
    for id in ["waiting", "refused"] {
        assert!(said.check(id)["found"].as_str().is_some_and(|found| found.contains("sudo")), "{:#}", said.report);
    }
    assert_eq!(said.status("dns_server"), "ok", "{:#}", said.report);
    assert_eq!(said.status("central"), "ok", "{:#}", said.report);
    world.probe.stop();
}

fn no_name() {
    let world = World::new();
    world.replace(&world.central.url(), "http://no.such.host.invalid:8053");
    let said = world.examine();
    said.assert_only("name", "error", "no.such.host.invalid does not resolve", "getent ahosts no.such.host.invalid");
    assert_eq!(said.status("connection"), "skipped");
}

fn nobody_listens() {
    let world = World::new();
    let port = ports::free();
    world.replace(&world.central.url(), &format!("http://127.0.0.1:{port}"));
    let said = world.examine();
    said.assert_only("connection", "error", "Connection refused", &format!("ss -ltnp 'sport = :{port}'"));
    for id in ["tls", "central", "clock", "token", "version"] {
        assert_eq!(said.status(id), "skipped");
    }
}

fn silent_peer() {
    let world = World::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("it has one");
    let began = Instant::now();
    for (old, scheme, id) in [(world.central.url(), "http", "central"), (format!("http://{address}"), "https", "tls")] {
        world.replace(&old, &format!("{scheme}://{address}"));
        let said = world.examine();
        assert_eq!(said.troubles(), [(id, "error")], "{:#}", said.report);
    }
    assert!(began.elapsed() < Duration::from_secs(50), "it took {:?}", began.elapsed());
}

fn expired() {
    let authority = Authority::new();
    let certificate = authority.certify(&["localhost"]);
    let central = Central::start_secure(&["one"], &authority, &certificate, "");
    let world = World::with(central, &format!("[tls]\nca_file = {:?}\n", authority.file()));
    assert_eq!(world.examine().troubles(), []);
    let old = authority.certify_expired(&["localhost"]);
    fs::copy(&old.certificate, &certificate.certificate).expect("a test's folder is writable");
    fs::copy(&old.key, &certificate.key).expect("a test's folder is writable");
    world.central.reload();
    let said = eventually("the certificate is shown", Duration::from_secs(20), || {
        Some(world.examine()).filter(|said| said.status("tls") == "error")
    });
    said.assert_only("tls", "error", "expired at 2020-01-01T00:00:00Z", "install a new certificate");
    assert_eq!(said.status("token"), "skipped");
}

fn unknown_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let world = World::secure(&authority, &other);
    let said = world.examine();
    said.assert_only("tls", "error", "was not issued by an authority in tls.ca_file", &other.file().display().to_string());
    assert_eq!(said.status("token"), "skipped", "the token is not presented");
}

fn wrong_name() {
    let authority = Authority::new();
    let world = World::secure(&authority, &authority);
    world.replace("https://localhost", "https://127.0.0.1");
    let said = world.examine();
    said.assert_only("tls", "error", "not valid for 127.0.0.1, only for localhost", "use one of its names");
}

fn https_to_plain() {
    let world = World::new();
    world.replace("url = \"http://", "url = \"https://");
    world.examine().assert_only("tls", "error", "answers HTTP without TLS", "configure [tls] at the central");
}

fn http_to_tls() {
    let authority = Authority::new();
    let world = World::secure(&authority, &authority);
    world.replace("url = \"https://", "url = \"http://");
    let said = world.examine();
    said.assert_only("tls", "error", "speaks TLS", &format!("set deliver.http.url = \"{}\"", world.central.url()));
}

fn wrong_token() {
    let world = World::new();
    let token = world.central.servers[0].token.clone();
    world.replace(&token, "not-the-token-of-any-server");
    let said = world.examine();
    said.assert_only("token", "error", "does not accept the token (401)", "zonepulse-probe enroll");
}

fn enrolment_token() {
    let world = World::new();
    let body = serde_json::json!({ "server": "two" });
    let made = world.central.api().send_json(reqwest::Method::POST, "/api/v2/pvservers", &body);
    let answer = made.json();
    let once = answer["enrollment_token"].as_str().unwrap_or_else(|| panic!("no token in {answer}"));
    world.replace(&world.central.servers[0].token, once);
    world.examine().assert_only("token", "error", "is not that of a server (403)", "--force");
}

fn token_of_another() {
    let world = World::with(Central::start(&["one", "two"]), "");
    let [one, two] = &world.central.servers[..] else { panic!("there are two servers") };
    world.replace(&one.token, &two.token);
    let said = world.examine();
    let found = format!("server_id is {}, but the token is that of server {}", one.id, two.id);
    said.assert_only("server_id", "error", &found, "zonepulse-probe enroll --force");
    assert_eq!(said.status("token"), "ok");
}

fn other_server() {
    let world = World::new();
    let spool = world.probe.spool();
    fs::create_dir(&spool).expect("a test's folder is writable");
    fs::write(spool.join("settings.json"), settings_of(99)).expect("a test's folder is writable");
    world.examine().assert_only("server_id", "warning", "the spool was last used for server 99", "correct server_id");
}

/// The central's settings as a probe saves them.
fn settings_of(server_id: u32) -> String {
    let settings = serde_json::to_value(zonepulse_wire::ProbeSettings::default()).expect("settings are JSON");
    serde_json::json!({ "server_id": server_id, "version": 3, "settings": settings }).to_string()
}

fn read_only_spool(_alone: MutexGuard<'static, ()>) {
    let world = World::new();
    let spool = world.probe.spool();
    fs::create_dir(&spool).expect("a test's folder is writable");
    chown(&spool, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o500)).expect("a test's folder");
    let command = as_nobody(&world.probe, "cap_net_raw+ep");
    let said = examine_with(&world.probe, command);
    said.assert_only("spool", "error", "cannot be written to: Permission denied", "chmod 700");
}

/// A file with the name of a batch.
fn put_batch(folder: &Path, size_bytes: u64) -> PathBuf {
    fs::create_dir_all(folder).expect("a test's folder is writable");
    let path = folder.join(format!("{:012}-{:020}-{:010}.batch", 1_795_256_100, 1, 1));
    File::create(&path).and_then(|file| file.set_len(size_bytes)).expect("a test's folder is writable");
    path
}

fn full_spool() {
    let world = World::new();
    let spool = world.probe.spool();
    let batch = put_batch(&spool, 31 * MIB);
    world.replace("[spool]\n", "[spool]\nmax_bytes = 33554432\n");
    let said = world.examine();
    said.assert_only("waiting", "error", "1 batch waits (31.0 MiB, 96 % of spool.max_bytes", "raise spool.max_bytes");
    let old = std::time::SystemTime::now() - Duration::from_secs(3 * 3600);
    let file = File::create(&batch).expect("a test's folder is writable");
    file.set_modified(old).expect("a test's file");
    world.examine().assert_only("waiting", "warning", "the oldest for 3 h", "find out why the central does not take them");
}

fn refused_batches() {
    let world = World::new();
    let batch = put_batch(&world.probe.spool().join("refused"), 100);
    fs::write(batch.with_extension("reason"), "400: too late\n").expect("a test's folder is writable");
    world.examine().assert_only("refused", "warning", "because: 400: too late", "zonepulse-probe resend --config");
}

fn full_disk(_alone: MutexGuard<'static, ()>) {
    let world = World::new();
    let disk = Disk::mount(64 * MIB);
    let old = format!("dir = \"{}\"", world.probe.spool().display());
    let new = |min: u64| format!("min_free_bytes = {min}\ndir = \"{}\"", disk.path.join("spool").display());
    world.replace(&old, &new(16 * MIB));
    disk.fill(24 * MIB);
    world.examine().assert_only("disk", "warning", "little is left", "df -h");
    disk.empty();
    disk.fill(8 * MIB);
    world.examine().assert_only("disk", "error", "batches are discarded", "free some space");
    world.replace(&new(16 * MIB), &new(128 * MIB));
    world.examine().assert_only("disk", "error", "no batch could ever be spooled", "lower spool.min_free_bytes");
}

fn wrong_clock() {
    let world = World::new();
    let clock = FalseClock::new(world.probe.folder());
    clock.set(3600);
    let said = examine_with(&world.probe, clock.for_command(command(&world.probe.config())));
    said.assert_only("clock", "error", "s ahead of the central's", "timedatectl set-ntp true");
    let ahead_ms = said.check("clock")["values"]["ahead_ms"].as_i64().expect("a number");
    assert!((3_597_000..3_603_000).contains(&ahead_ms), "{ahead_ms}");
    clock.set(-20);
    let said = examine_with(&world.probe, clock.for_command(command(&world.probe.config())));
    said.assert_only("clock", "warning", "s behind the central's", "NTP");
}

fn broker() {
    const QUEUE: &str = "doctor";
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&["one"], &broker.url(), QUEUE);
    let knot = Knot::start();
    let probe = Probe::new(&Settings { port: knot.port, ..Settings::amqp(&central, 0, &broker, QUEUE) });
    replace(&probe, "[deliver.http]\n", &format!("[deliver.http]\nurl = \"{}\"\n", central.url()));
    let said = eventually("the central takes messages", Duration::from_secs(30), || {
        Some(examine(&probe)).filter(|said| said.status("broker") == "ok")
    });
    assert_eq!(said.troubles(), [], "{:#}", said.report);
    assert_eq!(said.check("broker")["values"]["consumers"], 1);

    let broken = |old: &str, new: &str, found: &str, advice: &str| {
        replace(&probe, old, new);
        let said = examine(&probe);
        said.assert_only("broker", "error", found, advice);
        assert!(!said.report.to_string().contains("guest:"), "{}", said.report);
        replace(&probe, new, old);
    };
    broken("guest:guest@", "guest:not-the-password@", "ACCESS_REFUSED", "correct user and password");
    broken("/%2f\"", "/nowhere\"", "not found", "correct the virtual host");
    broken("queue = \"doctor\"", "queue = \"doctors\"", "has no queue doctors", "deliver.rabbitmq.queue");
    broken(&format!(":{}/", broker.port()), &format!(":{}/", ports::free()), "Connection refused", "start the broker");
    broken("amqp://guest", "amqps://guest", "does not speak TLS", "deliver.rabbitmq.url");
    broken("127.0.0.1:", "no.such.host.invalid:", "finding the address failed", "getent ahosts");
}

fn other_probe(_alone: MutexGuard<'static, ()>) {
    let mut world = World::new();
    world.probe.start();
    eventually("the probe listens", Duration::from_secs(20), || world.probe.log().contains(" listening").then_some(()));
    let other = world.probe.folder().join("other.toml");
    fs::copy(world.probe.config(), &other).expect("a test's folder is writable");
    let said = Said::of(&run(&mut command(&other), WITHIN));
    said.assert_only(
        "process",
        "error",
        &format!("{} (process {})", world.probe.config().display(), world.probe.id()),
        "spool.dir of its own",
    );
    world.probe.stop();
}

fn pulled(_alone: MutexGuard<'static, ()>) {
    let (knot, port) = (Knot::start(), ports::free());
    let deliver = format!("communication = \"pull\"\n[pull]\nlisten = \"127.0.0.1:{port}\"\ntoken = \"the-token-to-pull\"\n");
    let mut probe = Probe::new(&Settings { port: knot.port, deliver, ..Settings::spooled() });
    let said = examine(&probe);
    assert_eq!((said.troubles(), said.status("pull")), (Vec::new(), "skipped"), "{:#}", said.report);
    probe.start();
    eventually("the probe listens", Duration::from_secs(20), || probe.log().contains(" listening").then_some(()));
    let said = eventually("the probe listens for the central", Duration::from_secs(20), || {
        Some(examine(&probe)).filter(|said| said.status("pull") == "warning")
    });
    said.assert_only("pull", "warning", "which only this machine can reach", "set pull.listen");
    assert_eq!(said.status("token"), "skipped");
    probe.stop();
}
