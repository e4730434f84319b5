//! `zonepulse doctor` finds what is wrong in setups of a central that are really broken, and nothing else.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::MutexGuard;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_tests::disk::Disk;
use zonepulse_tests::false_clock::FalseClock;
use zonepulse_tests::needs::{capture_and_mount_rights, root, test, test_with};
use zonepulse_tests::primary::{APEX, KEY, Primary, SECRET};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{Output, program, program_command, run, without_settings, write_private};
use zonepulse_tests::{Authority, Central, Probe, RabbitMq, eventually, ports};

pub fn trials() -> Vec<Trial> {
    vec![
        test("doctor_finds_nothing_wrong_with_a_central_that_works", healthy),
        test("doctor_explains_a_central_s_configuration_that_cannot_be_used", configuration),
        test("doctor_says_that_no_central_is_running", not_running),
        test("doctor_finds_another_program_at_the_central_s_address", taken),
        test("doctor_finds_an_address_that_the_machine_does_not_have", foreign_address),
        test("doctor_finds_a_central_that_listens_elsewhere", listens_elsewhere),
        test("doctor_finds_a_data_directory_that_others_can_read", open_directory),
        test_with("doctor_finds_a_data_directory_of_another_user", root, other_owner),
        test("doctor_finds_a_store_of_a_later_version", later_format),
        test("doctor_finds_a_damaged_store", damaged),
        test_with("doctor_finds_a_central_s_disk_that_is_nearly_full", capture_and_mount_rights, full_disk),
        test("doctor_finds_a_key_that_does_not_match_its_certificate", wrong_key),
        test("doctor_finds_an_expired_certificate_of_the_central", expired),
        test("doctor_finds_a_certificate_without_the_name_in_public_urls", wrong_name),
        test("doctor_finds_a_certificate_of_another_authority_than_probes_are_told", wrong_authority),
        test("doctor_finds_plain_text_on_a_network", plain_text),
        test("doctor_finds_too_few_open_files", open_files),
        test("doctor_finds_bounds_beyond_the_memory", memory),
        test("doctor_finds_what_is_wrong_with_a_central_s_broker", broker),
        test("doctor_finds_a_probe_that_cannot_be_fetched_from", pull),
        test("doctor_finds_a_primary_that_does_not_answer", primary),
        test("doctor_finds_a_zone_file_that_is_gone", zone_file),
        test("doctor_finds_that_nobody_listens_for_notify", notify),
        test("doctor_finds_a_receiver_of_alerts_that_does_not_answer", webhook),
        test("doctor_finds_a_server_that_is_silent_and_a_probe_that_is_newer", fleet),
        test("doctor_finds_a_clock_that_differs_from_those_of_the_probes", wrong_clock),
    ]
}

const WITHIN: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65_534;
const MIB: u64 = 1 << 20;

/// What `doctor --json` says.
struct Said {
    code: Option<i32>,
    report: Value,
}

impl Said {
    fn of(output: &Output) -> Said {
        assert_eq!(output.err, "");
        let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {}", output.out));
        let said = Said { code: output.code, report };
        let has_error = said.checks().iter().any(|check| check["status"] == "error");
        assert_eq!(said.code, Some(i32::from(has_error)), "{:#}", said.report);
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

    /// The checks that found something, except that no central is running where this is not about that.
    fn troubles(&self) -> Vec<(&str, &str)> {
        let found = self.checks().iter().filter(|check| check["status"] == "warning" || check["status"] == "error");
        let found = found.filter(|check| check["id"] != "process" || check["status"] == "error");
        found.map(|check| (check["id"].as_str().expect("a text"), check["status"].as_str().expect("a text"))).collect()
    }

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

/// A directory and a configuration for a central that is not running.
struct Stopped {
    folder: TempDir,
}

impl Stopped {
    fn new(configuration: &str) -> Stopped {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let stopped = Stopped { folder };
        fs::create_dir(stopped.data()).expect("a test's folder is writable");
        fs::set_permissions(stopped.data(), fs::Permissions::from_mode(0o700)).expect("a test's folder");
        stopped.configure(configuration);
        stopped
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("zonepulse.toml")
    }

    fn configure(&self, configuration: &str) {
        let port = ports::free();
        let listen = if configuration.starts_with("listen") { String::new() } else { format!("listen = \"127.0.0.1:{port}\"\n") };
        write_private(&self.config(), &format!("{listen}{configuration}"));
    }

    fn command(&self) -> Command {
        command(&self.config(), &self.data())
    }

    fn examine(&self) -> Said {
        Said::of(&run(&mut self.command(), WITHIN))
    }
}

fn command(config: &Path, data: &Path) -> Command {
    let mut command = program_command("zonepulse");
    command.args(["doctor", "--json", "--config"]).arg(config).arg("--data").arg(data);
    command
}

/// The configuration of a running central that was started with one.
fn config_of(central: &Central) -> PathBuf {
    central.data().with_file_name("central.toml")
}

/// Examines a running central; nothing in its directory may change but what it changes itself.
fn examine(central: &Central) -> Said {
    let output = run(&mut command(&config_of(central), &central.data()), WITHIN);
    let said = Said::of(&output);
    for server in &central.servers {
        assert!(!output.out.contains(&server.token), "{}", output.out);
    }
    said
}

fn healthy() {
    let authority = Authority::new();
    let certificate = authority.certify(&["localhost"]);
    let more = format!("ca_file = {:?}\n[zones]\nnotify_listen = \"127.0.0.1:{}\"\n", authority.file(), ports::free());
    let mut central = Central::start_secure(&["one"], &authority, &certificate, &more);
    let said = examine(&central);
    assert_eq!((said.code, said.report["status"].as_str()), (Some(0), Some("ok")), "{:#}", said.report);
    let skipped: Vec<&Value> =
        said.checks().iter().filter(|check| check["status"] == "skipped").map(|check| &check["id"]).collect();
    assert_eq!(skipped, ["broker", "pull", "webhook"], "{:#}", said.report);
    assert_eq!(said.check("process")["values"]["pid"], central.pid());
    assert!(!central.log().contains(" WARN "), "{}", central.log());

    let mut text = program_command("zonepulse");
    let bundle = central.data().with_file_name("debug.tar.gz");
    text.args(["doctor", "--config"]).arg(config_of(&central)).arg("--data").arg(central.data()).arg("--bundle").arg(&bundle);
    let output = run(&mut text, WITHIN);
    let lines: Vec<&str> = output.out.lines().collect();
    assert_eq!((output.code, lines.last()), (Some(0), Some(&"no errors, no warnings, 17 ok, 3 skipped")), "{}", output.out);
    let files = super::diagnostics::unpacked(&fs::read(&bundle).expect("it was written"));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["configuration.toml", "machine.txt", "report.json", "report.txt", "store.txt", "versions.json"]);
    assert_eq!(run(&mut text, WITHIN).code, Some(1), "an existing file is not overwritten");

    // The same store, read while no central has it open.
    central.stop();
    let said = examine(&central);
    assert_eq!((said.status("process"), said.status("store")), ("warning", "ok"), "{:#}", said.report);
    assert_eq!(said.troubles(), [], "{:#}", said.report);
    central.check();
}

fn configuration() {
    let stopped = Stopped::new("[store]\nblock_cache = 5\n");
    let broken = |found: &str, advice: &str| {
        let said = stopped.examine();
        said.assert_says("configuration", found, advice);
        let others = said.checks().iter().filter(|check| check["id"] != "configuration");
        assert!(others.clone().all(|check| check["status"] == "skipped"), "{:#}", said.report);
    };
    broken(":3: unknown key `store.block_cache`, did you mean `store.block_cache_bytes`?", "--check-config");
    stopped.configure("[rabbitmq]\nurl = \"amqp://me:hush-hush@127.0.0.1\"\n");
    fs::set_permissions(stopped.config(), fs::Permissions::from_mode(0o644)).expect("a test's file");
    broken("contains a secret, and other users can read it", "chmod 600");
    fs::remove_file(stopped.config()).expect("a test's file");
    broken("No such file", "--config");
}

fn not_running() {
    let said = Stopped::new("").examine();
    assert_eq!((said.troubles(), said.status("process")), (Vec::new(), "warning"), "{:#}", said.report);
    said.assert_says("process", "no central is running", "zonepulse serve --config");
    assert_eq!(said.status("ready"), "skipped");
}

fn taken() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = other.local_addr().expect("it has one");
    let said = Stopped::new(&format!("listen = \"{address}\"\n")).examine();
    said.assert_only("listen", "error", "another program listens on", &format!("'sport = :{}'", address.port()));
}

fn foreign_address() {
    let stopped = Stopped::new("listen = \"192.0.2.1:8053\"\n[proxy]\ntrusted = [\"192.0.2.2\"]\n");
    stopped.examine().assert_only("listen", "error", "does not have the address 192.0.2.1", "ip -brief address");
}

fn listens_elsewhere() {
    let central = Central::start_configured(&["one"], "");
    let mut elsewhere = command(&config_of(&central), &central.data());
    elsewhere.args(["--listen", &format!("127.0.0.1:{}", ports::free())]);
    let said = Said::of(&run(&mut elsewhere, WITHIN));
    assert_eq!(said.troubles(), [("listen", "error"), ("ready", "error")], "{:#}", said.report);
    said.assert_says("listen", "a central is running, but nothing listens on", "restart it");
}

fn open_directory() {
    let stopped = Stopped::new("");
    fs::set_permissions(stopped.data(), fs::Permissions::from_mode(0o755)).expect("a test's folder");
    stopped.examine().assert_only("data", "warning", "is accessible to others", "chmod 700");
}

fn other_owner(_alone: MutexGuard<'static, ()>) {
    let central = Central::start_configured(&["one"], "");
    chown(central.data(), Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    let said = examine(&central);
    chown(central.data(), Some(0), Some(0)).expect("root may take files back");
    said.assert_only("data", "error", "belongs to user 65534, but the central runs as user 0", "chown -R 0 ");
}

/// A central that is not running, with a store that was kept for tests.
fn with_store(name: &str) -> Stopped {
    let stopped = Stopped::new("");
    let store = stopped.data().join("store");
    fs::create_dir(&store).expect("a test's folder is writable");
    for entry in fs::read_dir(zonepulse_fixtures::project().join("store/fixtures").join(name)).expect("it is there") {
        let entry = entry.expect("it can be read");
        fs::copy(entry.path(), store.join(entry.file_name())).expect("a test's folder is writable");
    }
    stopped
}

fn later_format() {
    let said = with_store("later-format").examine();
    said.assert_only("store", "error", "which a later version wrote", "install that version again");
}

fn damaged() {
    let said = with_store("no-manifest").examine();
    said.assert_only("store", "error", "is damaged", "zonepulse check");
    assert_eq!(said.status("zones"), "skipped");
}

fn full_disk(_alone: MutexGuard<'static, ()>) {
    let disk = Disk::mount(64 * MIB);
    let stopped = Stopped::new(&format!("[store]\nmin_free_bytes = {}\n", 16 * MIB));
    let data = disk.path.join("data");
    fs::create_dir(&data).expect("a test's folder is writable");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("a test's folder");
    let examined = || Said::of(&run(&mut command(&stopped.config(), &data), WITHIN));
    assert_eq!(examined().troubles(), []);
    disk.fill(24 * MIB);
    examined().assert_only("disk", "warning", "below 16.0 MiB", "df -h");
    disk.empty();
    disk.fill(8 * MIB);
    examined().assert_only("disk", "error", "no batch is accepted", "store.min_free_bytes");
}

fn tls(authority: &Authority, certificate: &Path, key: &Path, url: &str) -> Stopped {
    Stopped::new(&format!(
        "public_urls = [\"{url}\"]\n[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\nca_file = {:?}\n",
        authority.file()
    ))
}

const URL: &str = "https://central.example:8053";

fn wrong_key() {
    let authority = Authority::new();
    let (one, other) = (authority.certify(&["central.example"]), authority.certify(&["central.example"]));
    let said = tls(&authority, &one.certificate, &one.key, URL).examine();
    assert_eq!(said.troubles(), [], "{:#}", said.report);
    let said = tls(&authority, &one.certificate, &other.key, URL).examine();
    said.assert_only("tls", "error", "does not match", "tls.key_file");
}

fn expired() {
    let authority = Authority::new();
    let old = authority.certify_expired(&["central.example"]);
    let said = tls(&authority, &old.certificate, &old.key, URL).examine();
    said.assert_only("tls", "error", "expired at 2020-01-01T00:00:00Z", "install a new certificate");
}

fn wrong_name() {
    let authority = Authority::new();
    let one = authority.certify(&["other.example"]);
    let said = tls(&authority, &one.certificate, &one.key, URL).examine();
    said.assert_only("tls", "error", "is not valid for central.example, only for other.example", "public_urls");
}

fn wrong_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let one = authority.certify(&["central.example"]);
    let said = tls(&other, &one.certificate, &one.key, URL).examine();
    said.assert_only("tls", "error", "is not the issuer of", "tls.certificate_file");
    // Without an authority of its own, clients have to know the issuer.
    let stopped = Stopped::new(&format!(
        "public_urls = [\"{URL}\"]\n[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
        one.certificate, one.key
    ));
    stopped.examine().assert_only("tls", "error", "authority that this machine does not trust", "set tls.ca_file");
}

fn plain_text() {
    let said = Stopped::new(&format!("listen = \"0.0.0.0:{}\"\n", ports::free())).examine();
    said.assert_only("tls", "warning", "cross the network", "tls.certificate_file");
}

fn open_files() {
    let stopped = Stopped::new("");
    let mut limited = without_settings(Command::new("prlimit"));
    limited.arg("--nofile=600:600").arg(program("zonepulse"));
    limited.args(["doctor", "--json", "--config"]).arg(stopped.config()).arg("--data").arg(stopped.data());
    let said = Said::of(&run(&mut limited, WITHIN));
    said.assert_only("open_files", "warning", "at most 600 files may be open", "LimitNOFILE");
}

fn memory() {
    let said = Stopped::new("[store]\nblock_cache_bytes = 1099511627776\n").examine();
    said.assert_only("memory", "warning", "the central may be killed", "store.block_cache_bytes");
}

fn broker() {
    const QUEUE: &str = "doctor-of-the-central";
    let broker = RabbitMq::start();
    let central = Central::start_with_broker(&["one"], &broker.url(), QUEUE);
    let said = eventually("the central takes messages", Duration::from_secs(30), || {
        Some(examine(&central)).filter(|said| said.check("broker")["values"]["consumers"] == 1)
    });
    assert_eq!(said.troubles(), [], "{:#}", said.report);

    let broken = |url: &str, id_found: &str, advice: &str| {
        let stopped = Stopped::new(&format!("[rabbitmq]\nurl = \"{url}\"\nqueue = \"{QUEUE}\"\n"));
        let said = stopped.examine();
        said.assert_only("broker", "error", id_found, advice);
        assert!(!said.report.to_string().contains("guest:") && !said.report.to_string().contains("hush-hush"), "{}", said.report);
    };
    let url = broker.url();
    broken(&url.replace("guest:guest@", "guest:not-the-password@"), "ACCESS_REFUSED", "correct user and password");
    broken(&url.replace("/%2f", "/nowhere"), "not found", "correct the virtual host in rabbitmq.url");
    broken(
        &url.replace(&format!(":{}", broker.port()), &format!(":{}", ports::free())),
        "Connection refused",
        "start the broker",
    );
    broken(&url.replace("amqp:", "amqps:"), "does not speak TLS", "rabbitmq.url");
    broken(&url.replace("127.0.0.1", "no.such.host.invalid"), "finding the address failed", "getent ahosts");

    // Once nobody receives, it is tried whether this user may.
    drop(central);
    broker.control(&["add_user", "narrow", "hush-hush-1"]);
    broker.control(&["set_permissions", "narrow", "^$", "", "^$"]);
    let narrow = url.replace("guest:guest@", "narrow:hush-hush-1@");
    broken(&narrow, "the user may not receive messages", "permission to read on the queue");

    // A probe needs another permission.
    let probe = Probe::new(&Settings {
        deliver: format!(
            "communication = \"rabbitmq\"\n[deliver.rabbitmq]\nurl = \"{narrow}\"\nqueue = \"{QUEUE}\"\n[deliver.http]\ntoken = \"none-of-them\"\n"
        ),
        ..Settings::spooled()
    });
    let examined = || {
        let mut command = program_command("zonepulse-probe");
        command.args(["doctor", "--json", "--config"]).arg(probe.config());
        Said::of(&run(&mut command, WITHIN))
    };
    examined().assert_says("broker", "the user may not send messages", "permission to write on the exchange amq.default");
    broker.control(&["set_permissions", "narrow", "^$", "^amq\\.default$", "^$"]);
    examined().assert_says("broker", "no central takes messages from it", "start the central");
}

/// A central with one server that it fetches from.
fn pulling(url: &str, token: &str) -> Central {
    let central = Central::start_configured(&["one"], "");
    let body = json!({ "pull_url": url, "pull_token": token, "settings": { "communication": "pull" } });
    let path = format!("/api/v2/pvservers/{}", central.servers[0].id);
    let changed = central.api().send_json(Method::PATCH, &path, &body);
    assert_eq!(changed.status, 200, "{}", changed.text());
    central
}

fn pull() {
    let port = ports::free();
    let central = pulling(&format!("http://127.0.0.1:{port}"), "the-token-to-pull");
    examine(&central).assert_only("pull", "error", "accepts no connection", &format!("nc -vz 127.0.0.1 {port}"));
    let deliver = format!("communication = \"pull\"\n[pull]\nlisten = \"127.0.0.1:{port}\"\ntoken = \"another-token-to-pull\"\n");
    let mut probe = Probe::new(&Settings { server_id: central.servers[0].id, deliver, ..Settings::spooled() });
    probe.start();
    eventually("the probe listens", Duration::from_secs(20), || {
        probe.log().contains("ready for the central to pull").then_some(())
    });
    let said = examine(&central);
    said.assert_only("pull", "error", "does not accept the token", "pull.token in the probe's configuration");
    assert!(!said.report.to_string().contains("the-token-to-pull"), "{}", said.report);
    probe.stop();
    probe.configure("token = \"another-token-to-pull\"", |_| "token = \"the-token-to-pull\"".to_owned());
    probe.start();
    let said = eventually("the token is accepted", Duration::from_secs(20), || {
        Some(examine(&central)).filter(|said| said.status("pull") == "ok")
    });
    assert_eq!(said.troubles(), [], "{:#}", said.report);
    probe.stop();
}

const ZONE: &str = "@ 3600 SOA ns hostmaster 1 3600 900 1209600 300\n@ 3600 NS ns\nns 3600 A 192.0.2.1\n";

fn add_zone(central: &Central, body: &Value) {
    let added = central.api().send_json(Method::POST, "/api/v2/zones", body);
    assert_eq!(added.status, 201, "{}", added.text());
}

fn primary() {
    if let Err(why) = zonepulse_tests::primary::need() {
        return eprintln!("not tested: {why}");
    }
    let central = Central::start_configured(&["one"], "");
    let mut primary = Primary::start(ZONE);
    let with_key = |secret: &str| {
        json!({
            "zone": APEX, "primary": primary.address(),
            "tsig": { "name": KEY, "algorithm": "hmac-sha256", "secret": secret },
        })
    };
    add_zone(&central, &with_key(SECRET));
    let said = eventually("the zone is loaded", Duration::from_secs(20), || {
        Some(examine(&central)).filter(|said| said.status("zones") == "ok")
    });
    assert_eq!(said.troubles(), [], "{:#}", said.report);
    primary.stop();
    let said = examine(&central);
    said.assert_only("zones", "error", "does not answer for it", "dig @127.0.0.1");
    assert!(!said.report.to_string().contains(SECRET), "{}", said.report);
    primary.start_again();
    let wrong = "d3JvbmctLXdyb25nLS13cm9uZy0td3Jvbmctd3Jvbmc=";
    let change = json!({ "tsig": { "name": KEY, "algorithm": "hmac-sha256", "secret": wrong }, "primary": primary.address() });
    let changed = central.api().send_json(Method::PATCH, "/api/v2/zones/1", &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let said = examine(&central);
    said.assert_only("zones", "error", "does not answer for it", "has the same TSIG key");
    assert!(!said.report.to_string().contains(wrong), "{}", said.report);
}

fn zone_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::write(folder.path().join("a.zone"), ZONE).expect("a test's folder is writable");
    let central = Central::start_configured(&["one"], &format!("[zones]\ndirectory = {:?}\n", folder.path()));
    add_zone(&central, &json!({ "zone": "a.example", "file": "a.zone" }));
    let said = eventually("the zone is loaded", Duration::from_secs(20), || {
        Some(examine(&central)).filter(|said| said.status("zones") == "ok")
    });
    assert_eq!(said.troubles(), [], "{:#}", said.report);
    fs::remove_file(folder.path().join("a.zone")).expect("a test's folder is writable");
    examine(&central).assert_only("zones", "error", "No such file", "put the file there");
}

fn notify() {
    let port = ports::free();
    let stopped = Stopped::new(&format!("[zones]\nnotify_listen = \"127.0.0.1:{port}\"\n"));
    let other = UdpSocket::bind(("127.0.0.1", port)).expect("the port is free");
    stopped.examine().assert_only("notify", "error", "another program listens on", &format!("'sport = :{port}'"));
    drop(other);
    assert_eq!(stopped.examine().troubles(), []);
}

fn webhook() {
    let port = ports::free();
    let alerts = |url: &str| {
        Stopped::new(&format!("[retirement]\nwebhook_url = \"{url}\"\nwebhook_secret = \"hush-hush-hush-hush-1\"\n")).examine()
    };
    let said = alerts(&format!("http://127.0.0.1:{port}/alerts"));
    said.assert_only("webhook", "warning", "accepts no connection", "retirement.webhook_url");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    assert_eq!(alerts(&format!("http://127.0.0.1:{port}/alerts")).troubles(), []);
    drop(listener);
    let said = alerts("https://no.such.host.invalid/alerts");
    said.assert_only("webhook", "warning", "does not resolve", "getent ahosts no.such.host.invalid");
}

/// A heartbeat of a probe that was sent so many milliseconds after its time by the central's clock.
fn beat(central: &Central, n: usize, version: &str) {
    let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis() as u64;
    let body = json!({
        "sent_at_ms": now_ms, "epoch": 1, "probe_version": version, "uptime_s": 60, "hostname": "ns1", "os": "Debian",
        "components": {}, "capture": { "state": "running" }, "spool": { "batches": 0, "size_bytes": 0 },
    });
    let heard = central.api_of_server(n).send_json(Method::POST, "/api/v2/monitoring/heartbeat", &body);
    assert_eq!(heard.status, 200, "{}", heard.text());
}

fn fleet() {
    let central = Central::start_configured(&["one", "two"], "");
    beat(&central, 0, "99.0.0");
    beat(&central, 1, "0.0.1");
    let said = examine(&central);
    said.assert_only("probes", "warning", "probes are newer than this central", "update the central first");
    assert!(said.check("probes")["found"].as_str().is_some_and(|found| found.contains("one (1)")), "{:#}", said.report);
    let clock = FalseClock::new(central.data().parent().expect("it has a folder"));
    clock.set(240);
    let mut later = clock.for_command(command(&config_of(&central), &central.data()));
    let said = Said::of(&run(&mut later, WITHIN));
    said.assert_says("servers", "2 of 2 servers are not heard from: one (1), two (2)", "zonepulse-probe doctor");
}

fn wrong_clock() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let clock = FalseClock::new(folder.path());
    let central = Central::start_on(folder.path(), &["one"], &clock.environment());
    clock.set(3600);
    beat(&central, 0, env!("CARGO_PKG_VERSION"));
    let mut examine = program_command("zonepulse");
    examine.args(["doctor", "--json", "--data"]).arg(central.data());
    let said = Said::of(&run(&mut clock.for_command(examine), WITHIN));
    said.assert_only("clock", "error", "ahead of those of 1 probes", "timedatectl set-ntp true");
}
