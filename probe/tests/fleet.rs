//! The program together with a central that keeps changing its settings.
//!
//! The tests send known traffic to a port of the loopback device, so the total of all batches is
//! known, whatever their transport. Capturing requires root: otherwise these tests print a notice
//! and pass.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends with a panic")]

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zonepulse_model::{Communication, Identity};
use zonepulse_wire::pull::{self, Confirmations, Confirmed};
use zonepulse_wire::{Batch, Heartbeat, HeartbeatAnswer, Message, ProbeSettings, State as Runs, SystemBatch};

/// The central's state and answers.
#[derive(Default)]
struct Central {
    batches: Mutex<BTreeMap<Identity, Message>>,
    copies: AtomicU64,
    heartbeats: Mutex<Vec<Heartbeat>>,
    /// Its settings in sequence: the next apply once a heartbeat confirms the present ones.
    settings: Vec<ProbeSettings>,
    /// How many of them may be used.
    allowed: AtomicU64,
}

type Shared = State<Arc<Central>>;

impl Central {
    fn take(&self, bytes: &[u8]) -> Identity {
        let message = Message::decode(bytes).unwrap();
        let identity = message.identity();
        if self.batches.lock().unwrap().insert(identity, message).is_some() {
            self.copies.fetch_add(1, Ordering::Relaxed);
        }
        identity
    }

    fn dns(&self) -> Vec<Batch> {
        let of_dns = |message: &Message| if let Message::Dns(batch) = message { Some(batch.clone()) } else { None };
        self.batches.lock().unwrap().values().filter_map(of_dns).collect()
    }

    fn system(&self) -> Vec<SystemBatch> {
        let of_system = |message: &Message| if let Message::System(batch) = message { Some(batch.clone()) } else { None };
        self.batches.lock().unwrap().values().filter_map(of_system).collect()
    }

    fn answer_to(&self, in_force: Option<u64>) -> HeartbeatAnswer {
        let next = in_force.map_or(0, |version| version as usize);
        let at = next.min(self.allowed.load(Ordering::Relaxed) as usize - 1);
        HeartbeatAnswer {
            received_at_ms: 0,
            settings_version: at as u64 + 1,
            settings: self.settings[at].clone(),
            diagnose: None,
            resend: None,
        }
    }

    /// Serves on its own address for as long as the test runs.
    fn start(self: &Arc<Self>) -> SocketAddr {
        let (tell, told) = std::sync::mpsc::channel();
        let central = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let app = Router::new()
                    .route("/api/v2/batches", post(batch))
                    .route("/api/v2/monitoring/heartbeat", post(heartbeat))
                    .with_state(central);
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        told.recv().unwrap()
    }
}

async fn batch(State(central): Shared, body: Bytes) -> StatusCode {
    central.take(&body);
    StatusCode::NO_CONTENT
}

async fn heartbeat(State(central): Shared, headers: HeaderMap, Json(heartbeat): Json<Heartbeat>) -> Json<HeartbeatAnswer> {
    assert_eq!(headers["authorization"], "Bearer t");
    let answer = central.answer_to(heartbeat.settings_version);
    central.heartbeats.lock().unwrap().push(heartbeat);
    Json(answer)
}

/// A probe rejects a configuration with a token that others may read.
fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

struct Probe {
    child: Child,
    dir: TempDir,
}

impl Probe {
    fn start(central: SocketAddr, more: &str) -> Probe {
        let dir = TempDir::new().unwrap();
        let text = format!(
            "server_id = 7\n[spool]\ndir = {:?}\n[deliver.http]\nurl = \"http://{central}\"\ntoken = \"t\"\n{more}",
            dir.path().join("spool")
        );
        write_private(&dir.path().join("probe.toml"), &text);
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonepulse-probe"));
        command.args(["--log-level", "debug", "run", "--config"]).arg(dir.path().join("probe.toml"));
        Probe { child: command.stderr(log).stdout(Stdio::null()).spawn().unwrap(), dir }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(90), "timed out: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(&mut self) {
        // SAFETY: a system call with plain numbers, for our own child process.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    fn spooled(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("spool")).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "batch")).collect()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Queries a port repeatedly and counts, until told to stop.
struct Asking {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    _server: UdpSocket,
}

impl Asking {
    fn start(port: u16) -> Asking {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let server = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let (count, end) = (sent.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01";
            while !end.load(Ordering::Relaxed) {
                socket.send_to(question, ("127.0.0.1", port)).unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Asking { sent, stop, thread: Some(thread), _server: server }
    }

    fn stop(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.sent.load(Ordering::Relaxed)
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn may_capture() -> bool {
    // SAFETY: a system call without arguments.
    let may = unsafe { libc::geteuid() } == 0;
    if !may {
        eprintln!("skipped: capturing needs root");
    }
    may
}

fn settings(change: impl FnOnce(&mut ProbeSettings)) -> ProbeSettings {
    let mut settings = ProbeSettings { system_interval_s: 1, ..ProbeSettings::default() };
    change(&mut settings);
    settings
}

#[test]
fn settings_change_and_no_count_does() {
    if !may_capture() {
        return;
    }
    let every = |dns_interval_s| settings(|settings| settings.dns_interval_s = dns_interval_s);
    let changes = vec![
        every(5),
        every(1),
        settings(|settings| settings.communication = Communication::Pull),
        every(2),
        settings(|settings| settings.dns_monitoring = false),
        every(60),
    ];
    let central = Arc::new(Central { settings: changes, allowed: 4.into(), ..Central::default() });
    let address = central.start();
    let (port, pull_port) = (free_port(), free_port());
    let more = format!(
        "[capture]\ndevice = \"lo\"\nports = [{port}]\naddresses = \"any\"\n[pull]\nlisten = \"127.0.0.1:{pull_port}\"\ntoken = \"p\"\n\
         [components]\nask_dns_version = false\n"
    );
    let mut probe = Probe::start(address, &more);
    probe.until("it listens", || probe.log().contains(" listening"));
    let mut asking = Asking::start(port);
    // Through every change up to pull, where the test itself is the central.
    probe.until("it can be pulled from", || probe.log().contains("ready for the central to pull"));
    let puller = Puller { central: central.clone(), url: format!("http://127.0.0.1:{pull_port}") };
    for _ in 0..3 {
        puller.fetch();
        std::thread::sleep(Duration::from_millis(500));
    }
    puller.post_settings(3);
    probe.until("it pushes again", || probe.log().contains("version=4"));
    std::thread::sleep(Duration::from_secs(2));
    let sent = asking.stop();
    // The next heartbeat turns DNS off, and the one after that turns it on again.
    central.allowed.store(6, Ordering::Relaxed);
    probe.until("DNS monitoring is off", || probe.log().contains("capture ended"));
    probe.until("and on again", || probe.log().matches(" listening").count() == 2);
    probe.stop();
    assert_eq!(probe.spooled(), Vec::<PathBuf>::new(), "{}", probe.log());
    check(&central, sent, &probe.log());
}

/// Pulls as a central does.
struct Puller {
    central: Arc<Central>,
    url: String,
}

impl Puller {
    fn request(&self, path: &str, body: Option<Vec<u8>>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            zonepulse_net::tls::install_provider();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let url = format!("{}{path}", self.url);
            let request = body.map_or_else(|| client.get(&url), |body| client.post(&url).body(body));
            let response = request.bearer_auth("p").send().await.unwrap();
            assert!(response.status().is_success(), "{path}: {}", response.status());
            response.bytes().await.unwrap().to_vec()
        })
    }

    fn fetch(&self) {
        let answer = self.request(&format!("{}?wait_s=2", pull::BATCHES_PATH), None);
        let identities = pull::messages(&answer).map(|message| self.central.take(message.unwrap()));
        let confirmed = identities.map(|Identity { epoch, seq, .. }| Confirmed { epoch, seq }).collect();
        let confirmations = Confirmations { confirmed, refused: Vec::new() };
        self.request(pull::CONFIRM_PATH, Some(serde_json::to_vec(&confirmations).unwrap()));
    }

    fn post_settings(&self, in_force: u64) {
        self.request(pull::SETTINGS_PATH, Some(serde_json::to_vec(&self.central.answer_to(Some(in_force))).unwrap()));
    }
}

fn check(central: &Central, sent: u64, log: &str) {
    let batches = central.dns();
    let hits: u64 = batches.iter().map(Batch::hits).sum();
    assert_eq!(hits, sent, "compared with the queries sent; {} copies\n{log}", central.copies.load(Ordering::Relaxed));
    let lengths: std::collections::BTreeSet<_> = batches.iter().map(|batch| batch.interval_s).collect();
    assert!([1, 2, 5, 60].iter().all(|length| lengths.contains(length)), "{lengths:?}\n{log}");
    // Covered from the first to the last without a gap, except while DNS was off.
    let mut covered: Vec<_> = batches.iter().map(|batch| (batch.coverage.from_ms, batch.coverage.until_ms)).collect();
    covered.retain(|(from, until)| from < until);
    covered.sort_unstable();
    let gaps = covered.windows(2).filter(|pair| pair[0].1 != pair[1].0).count();
    let overlaps = covered.windows(2).filter(|pair| pair[0].1 > pair[1].0).count();
    assert_eq!((gaps, overlaps), (1, 0), "{covered:?}");
    let system = central.system();
    assert!(!system.is_empty() && system.iter().all(|batch| batch.interval_s <= 5 && batch.points() > 0), "{log}");
    let heartbeats = central.heartbeats.lock().unwrap();
    let versions: Vec<_> = heartbeats.iter().map(|heartbeat| heartbeat.settings_version).collect();
    assert_eq!(versions.first(), Some(&None));
    assert!(versions.is_sorted() && versions.contains(&Some(5)), "{versions:?}");
    assert!(heartbeats.iter().any(|heartbeat| heartbeat.capture.state == Runs::Stopped));
}

#[test]
fn a_restart_without_the_central_uses_its_last_settings() {
    let central = Arc::new(Central {
        settings: vec![settings(|settings| settings.system_interval_s = 2)],
        allowed: 1.into(),
        ..Central::default()
    });
    let address = central.start();
    let more = "[capture]\ndevice = \"nosuchdevice0\"\n[components]\nask_dns_version = false\n";
    let mut probe = Probe::start(address, more);
    probe
        .until("it follows", || central.heartbeats.lock().unwrap().iter().any(|heartbeat| heartbeat.settings_version == Some(1)));
    let heard = central.heartbeats.lock().unwrap().last().unwrap().clone();
    assert_eq!(heard.capture.state, Runs::Stopped);
    assert!(heard.capture.detail.unwrap().contains("nosuchdevice0"), "the heartbeat goes on without a capture");
    probe.until("it is kept", || probe.dir.path().join("spool/settings.json").exists());
    probe.stop();
    // The same spool, with an unreachable central.
    let config = probe.dir.path().join("probe.toml");
    let text = fs::read_to_string(&config).unwrap().replace(&address.to_string(), "127.0.0.1:1");
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zonepulse-probe"));
    command.args(["run", "--config"]).arg(&config).stderr(fs::File::create(probe.dir.path().join("log")).unwrap());
    probe.child = command.spawn().unwrap();
    probe.until("it measures as it was told", || probe.log().contains("sampling the machine interval_s=2"));
    probe.until("it says what is wrong", || probe.log().contains("does not receive heartbeats"));
    probe.stop();
}

#[test]
fn a_redirection_of_the_token_is_refused_and_reported_while_the_rest_applies() {
    let elsewhere = settings(|settings| {
        settings.system_interval_s = 2;
        settings.api_url = Some("http://token.invalid:8053".to_owned());
        settings.verify_ca = false;
    });
    let unpinned_broker = settings(|settings| {
        settings.communication = Communication::Rabbitmq;
        settings.rabbitmq = Some(zonepulse_wire::RabbitmqSettings {
            address: "broker.invalid".to_owned(),
            port: 5672,
            tls: false,
            virtual_host: "/".to_owned(),
            user: "u".to_owned(),
            password: "hush".into(),
        });
    });
    let central = Arc::new(Central { settings: vec![elsewhere, unpinned_broker], allowed: 2.into(), ..Central::default() });
    let address = central.start();
    let more = "[capture]\ndevice = \"nosuchdevice0\"\n[components]\nask_dns_version = false\n[central]\npin = [\"127.0.0.1\"]\n";
    let mut probe = Probe::start(address, more);
    let refused = |text: &str| {
        let heard = central.heartbeats.lock().unwrap();
        heard.iter().any(|heartbeat| {
            heartbeat.settings_version == Some(1) && heartbeat.settings_refused.as_deref().is_some_and(|why| why.contains(text))
        })
    };
    probe.until("the address is refused and the rest is in force", || refused("api_url: http://token.invalid:8053"));
    probe.until("verification stays", || refused("verify_ca: "));
    probe.until("so it is logged", || probe.log().contains("a setting of the central is ignored"));
    probe.until("the broker is refused", || refused("rabbitmq: broker.invalid"));
    probe.stop();
    assert!(!probe.log().contains("hush"), "{}", probe.log());
}

#[test]
fn a_heartbeat_reports_the_version_of_knot() {
    let Ok(output) = Command::new("/usr/sbin/knotd").arg("--version").output() else {
        eprintln!("skipped: knotd is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit())).unwrap();
    let dir = TempDir::new().unwrap();
    let port = free_port();
    let configuration = format!(
        "server:\n    rundir: \"{0}\"\n    listen: 127.0.0.1@{port}\ndatabase:\n    storage: \"{0}\"\nlog:\n  - target: stderr\n    any: info\n",
        dir.path().display()
    );
    fs::write(dir.path().join("knot.conf"), configuration).unwrap();
    let mut knot = Command::new("/usr/sbin/knotd");
    let mut knot = knot.arg("-c").arg(dir.path().join("knot.conf")).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let central = Arc::new(Central { settings: vec![settings(|_| ())], allowed: 1.into(), ..Central::default() });
    let address = central.start();
    let more =
        format!("[capture]\ndevice = \"nosuchdevice0\"\n[components]\ndns = \"knotd\"\ndns_address = \"127.0.0.1:{port}\"\n");
    // Until it answers.
    let asked = UdpSocket::bind("127.0.0.1:0").unwrap();
    asked.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01";
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        asked.send_to(question, ("127.0.0.1", port)).unwrap();
        if asked.recv(&mut [0; 512]).is_ok() {
            break;
        }
    }
    let mut probe = Probe::start(address, &more);
    probe.until("a heartbeat", || !central.heartbeats.lock().unwrap().is_empty());
    probe.stop();
    knot.kill().unwrap();
    knot.wait().unwrap();
    let dns = central.heartbeats.lock().unwrap()[0].components.dns.clone().unwrap();
    assert_eq!((dns.state, dns.name.as_deref(), dns.version.as_deref()), (Runs::Running, Some("knotd"), Some(version)));
}
