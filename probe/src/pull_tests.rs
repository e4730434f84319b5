//! A pulling central, from the probe's point of view.

use super::*;
use crate::{config, spool};
use reqwest::Client;
use std::sync::atomic::Ordering;
use tempfile::TempDir;
use zonepulse_model::{Identity, ServerId};
use zonepulse_net::Trust;
use zonepulse_net::tls::{Authorities, Certificate};
use zonepulse_wire::pull::messages;
use zonepulse_wire::{Heartbeat, Message, ProbeSettings, SystemBatch};

struct Probe {
    address: String,
    client: Client,
    sources: Sources,
    told: mpsc::Receiver<Told>,
    _running: Running,
    dir: TempDir,
}

/// A probe with this many batches.
fn probe(batches: u64) -> Probe {
    let dir = TempDir::new().unwrap();
    let settings = spool::Settings {
        dir: dir.path().into(),
        max_bytes: spool::MIN_BYTES,
        min_free_bytes: 0,
        max_refused_bytes: 1 << 20,
        max_delivered_bytes: 0,
    };
    let spool = Arc::new(Spool::open(settings).unwrap());
    (0..batches).for_each(|seq| spool.put(&batch(seq)).unwrap());
    let status = Arc::new(Status::new(9));
    let components = config::Components { ask_dns_version: false, ..Default::default() };
    let reporter = Arc::new(Reporter::new(components, spool.clone(), status.clone()));
    let (tell, told) = mpsc::channel(4);
    let diagnostician = crate::diagnosis::tests::diagnostician(&dir, &spool, &status, &reporter);
    let counts = Arc::default();
    let sources = Sources { server_id: 7, spool, reporter, told: tell, status, counts, diagnostician, max_bytes: 1 << 20 };
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", server.address().unwrap());
    let running = server.start(app(sources.clone(), Secret::new("secret")), None, 8, sources.status.clone()).unwrap();
    let client = crate::central::build(crate::central::client(&address, &Trust::System).unwrap()).unwrap();
    Probe { address, client, sources, told, _running: running, dir }
}

fn batch(seq: u64) -> Message {
    let identity = Identity { server_id: ServerId::new(7), epoch: 9, seq };
    Message::System(SystemBatch { identity, start_s: 60 * seq, interval_s: 5, slots: 12, evicted: None, series: Vec::new() })
}

impl Probe {
    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.address)).bearer_auth("secret").send().await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
        let request = self.client.post(format!("{}{path}", self.address)).bearer_auth("secret").body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The numbers of the batches returned.
    async fn fetch(&self, query: &str) -> Vec<u64> {
        let response = self.get(&format!("{BATCHES_PATH}?{query}")).await;
        assert_eq!((response.status().as_u16(), response.headers()[SERVER_ID_HEADER].to_str().unwrap()), (200, "7"));
        let bytes = response.bytes().await.unwrap();
        messages(&bytes).map(|message| Message::decode(message.unwrap()).unwrap().identity().seq).collect()
    }
}

#[tokio::test]
async fn only_requests_with_the_token_are_answered() {
    let probe = probe(1);
    let shown = ["Bearer wrong!", "Bearer secre", "Bearer secret2", "Basic secret", ""];
    for (path, shown) in [BATCHES_PATH, HEARTBEAT_PATH, "/", "/metrics"].into_iter().zip(shown) {
        let request = probe.client.get(format!("{}{path}", probe.address)).header("authorization", shown);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 401, "{path} {shown}");
    }
    assert_eq!(probe.client.post(format!("{}{SETTINGS_PATH}", probe.address)).send().await.unwrap().status().as_u16(), 401);
    assert_eq!(probe.get("/elsewhere").await.status().as_u16(), 404);
    assert_eq!(probe.sources.status.counts.requests_unauthorized.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn unconfirmed_batches_are_returned_again_and_confirmed_ones_leave_the_spool() {
    let probe = probe(5);
    assert_eq!(probe.fetch("").await, [0, 1, 2, 3, 4]);
    assert_eq!(probe.fetch("").await, [0, 1, 2, 3, 4]);
    let confirm = r#"{"confirmed":[{"epoch":9,"seq":0},{"epoch":9,"seq":3},{"epoch":8,"seq":1},{"epoch":9,"seq":99}],
        "refused":[{"epoch":9,"seq":4,"reason":"not\nmine"}]}"#;
    assert_eq!(probe.post(CONFIRM_PATH, confirm).await, (204, String::new()));
    assert_eq!(probe.fetch("").await, [1, 2]);
    assert_eq!(probe.post(CONFIRM_PATH, confirm).await.0, 204, "again");
    assert_eq!((probe.sources.counts.delivered(), probe.sources.counts.refused()), (2, 1), "each once");
    let refused: Vec<_> = std::fs::read_dir(probe.dir.path().join("refused")).unwrap().flatten().collect();
    let reason = refused.iter().find(|entry| entry.path().extension().is_some_and(|kind| kind == "reason")).unwrap();
    assert_eq!((refused.len(), std::fs::read_to_string(reason.path()).unwrap().as_str()), (2, "notmine\n"));
}

#[tokio::test]
async fn an_answer_is_as_long_as_is_asked_for() {
    let probe = probe(5);
    let size_bytes = batch(0).encode().unwrap().len();
    assert_eq!(probe.fetch(&format!("max_bytes={}", 2 * size_bytes)).await, [0, 1]);
    assert_eq!(probe.fetch("max_bytes=1").await, [2]);
    assert_eq!(probe.get(&format!("{BATCHES_PATH}?max_bytes=many")).await.status().as_u16(), 400);
}

#[tokio::test]
async fn a_waiting_request_is_answered_when_a_batch_arrives() {
    let probe = probe(0);
    let began = Instant::now();
    assert!(probe.fetch("wait_s=1").await.is_empty());
    assert!((1000..3000).contains(&began.elapsed().as_millis()));
    let spool = probe.sources.spool.clone();
    let put = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        spool.put(&batch(3)).unwrap();
    };
    let (fetched, ()) = tokio::join!(probe.fetch("wait_s=20"), put);
    assert_eq!(fetched, [3]);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn memory_for_answers_is_bounded() {
    let probe = probe(0);
    let path = format!("{BATCHES_PATH}?wait_s=2");
    let (one, two, three) = tokio::join!(probe.get(&path), probe.get(&path), probe.get(&path));
    let mut codes = [one, two, three].map(|response| response.status().as_u16());
    codes.sort_unstable();
    assert_eq!(codes, [200, 200, 429]);
    let long = format!("{{\"confirmed\":[],\"x\":\"{}\"}}", "y".repeat(MAX_REQUEST_BYTES));
    assert_eq!(probe.post(CONFIRM_PATH, long).await.0, 413);
    let many = Confirmations {
        confirmed: vec![zonepulse_wire::pull::Confirmed { epoch: 1, seq: 1 }; MAX_MESSAGES + 1],
        refused: vec![],
    };
    assert_eq!(probe.post(CONFIRM_PATH, serde_json::to_vec(&many).unwrap()).await.0, 400);
    assert_eq!(probe.post(CONFIRM_PATH, "rubbish").await.0, 400);
}

#[tokio::test]
async fn a_pulled_probe_reports_its_state_and_accepts_settings() {
    let mut probe = probe(2);
    let heartbeat: Heartbeat = serde_json::from_slice(&probe.get(HEARTBEAT_PATH).await.bytes().await.unwrap()).unwrap();
    assert_eq!((heartbeat.epoch, heartbeat.spool.batches), (9, 2));
    let settings = ProbeSettings::default();
    let answer = HeartbeatAnswer { received_at_ms: 1, settings_version: 5, settings, diagnose: None, resend: None };
    let body = serde_json::to_vec(&answer).unwrap();
    let mut told = std::mem::replace(&mut probe.told, mpsc::channel(1).1);
    let taking = tokio::spawn(async move {
        let first = told.recv().await.unwrap();
        first.taken.unwrap().send(Ok(())).unwrap();
        told.recv().await.unwrap().taken.unwrap().send(Err("cannot".into())).unwrap();
        first.answer
    });
    assert_eq!(probe.post(SETTINGS_PATH, body.clone()).await, (204, String::new()));
    assert_eq!(probe.post(SETTINGS_PATH, body).await, (422, "cannot\n".into()));
    assert_eq!(taking.await.unwrap(), answer);
    assert_eq!(probe.post(SETTINGS_PATH, "{}").await.0, 400);
}

#[tokio::test]
async fn pulling_over_https_presents_the_certificate() {
    let probe = probe(1);
    let dir = TempDir::new().unwrap();
    let certified = crate::deliver::tls_tests::certify(dir.path(), "probe");
    let certificate = Certificate::read(&certified.certificate, &certified.key, None).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("https://{}", server.address().unwrap());
    let app = app(probe.sources.clone(), Secret::new("secret"));
    let _running = server.start(app, Some(certificate), 8, probe.sources.status.clone()).unwrap();
    let trust = Trust::Own(Authorities::read(&certified.ca).unwrap());
    let client = crate::central::build(crate::central::client(&address, &trust).unwrap()).unwrap();
    let response = client.get(format!("{address}{BATCHES_PATH}")).bearer_auth("secret").send().await.unwrap();
    assert_eq!(messages(&response.bytes().await.unwrap()).count(), 1);
}

#[tokio::test]
async fn diagnostics_are_run_once_and_fetched_until_they_are_confirmed() {
    let probe = probe(1);
    let fetch = async |run: u64| {
        let request = probe.client.post(format!("{}{DIAGNOSE_PATH}?run={run}", probe.address)).bearer_auth("secret");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    };
    let (status, bytes) = fetch(7).await;
    assert_eq!(status, 200);
    let bundle = zonepulse_doctor::Bundle::decode(&bytes).unwrap();
    assert_eq!(bundle.report.about.program, "zonepulse-probe");
    assert_eq!(fetch(7).await, (200, bytes));
    assert_eq!(probe.post(DIAGNOSE_PATH, "").await.0, 400, "without a run");
}
