//! Pulling from a server that does what a probe does, and what one must not.

use super::*;
use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, ServerId};
use zonepulse_store::{Options, Store};
use zonepulse_wire::pull::put_message;
use zonepulse_wire::{
    Batch, CaptureState, Components, Counters, Coverage, ProbeSettings, Records, Row, SpoolState, State as Running,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What stands in for a probe: a spool in memory, and what it was told.
#[derive(Default)]
struct Node {
    /// Whether it knows of diagnostics, and how often they were asked for.
    diagnoses: bool,
    diagnosed: AtomicU64,
    spool: Mutex<Vec<(u64, Vec<u8>)>>,
    confirmations: Mutex<Vec<Confirmations>>,
    told: Mutex<Vec<HeartbeatAnswer>>,
    asked: AtomicU64,
    /// Confirmations that are answered with 500 before one is taken.
    confirm_failures: AtomicU64,
    server_id: u32,
    breaks_off: bool,
}

type Shared = Arc<Node>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn let_in(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == "Bearer right")
}

async fn give(State(node): State<Shared>, headers: HeaderMap) -> Response {
    if !let_in(&headers) {
        return (StatusCode::UNAUTHORIZED, "the token is wrong").into_response();
    }
    node.asked.fetch_add(1, Ordering::Relaxed);
    if lock(&node.spool).is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut body = Vec::new();
    for (_, message) in &*lock(&node.spool) {
        put_message(&mut body, message);
    }
    if node.breaks_off {
        body.truncate(body.len() - 1);
    }
    ([("zonepulse-server-id", node.server_id.to_string())], body).into_response()
}

async fn confirm(State(node): State<Shared>, body: Body) -> StatusCode {
    let failing = node.confirm_failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    if failing.is_ok() {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let done: Confirmations = serde_json::from_slice(&body).unwrap();
    let gone = |seq: &u64| done.confirmed.iter().any(|one| one.seq == *seq) || done.refused.iter().any(|one| one.seq == *seq);
    lock(&node.spool).retain(|(seq, _)| !gone(seq));
    lock(&node.confirmations).push(done);
    StatusCode::NO_CONTENT
}

async fn tell(State(node): State<Shared>, body: Body) -> StatusCode {
    lock(&node.told).push(serde_json::from_slice(&body).unwrap());
    StatusCode::NO_CONTENT
}

/// Takes a while for the first request.
async fn diagnose(State(node): State<Shared>, headers: HeaderMap, uri: axum::http::Uri) -> Response {
    if !let_in(&headers) || !node.diagnoses {
        return StatusCode::NOT_FOUND.into_response();
    }
    match node.diagnosed.fetch_add(1, Ordering::Relaxed) {
        0 => StatusCode::ACCEPTED.into_response(),
        _ => uri.query().unwrap_or_default().to_owned().into_response(),
    }
}

async fn heartbeat() -> Vec<u8> {
    serde_json::to_vec(&Heartbeat {
        sent_at_ms: 1,
        epoch: 1,
        probe_version: "0".to_owned(),
        uptime_s: 5,
        hostname: "node".to_owned(),
        os: "Debian".to_owned(),
        settings_version: None,
        settings_refused: None,
        components: Components::default(),
        capture: CaptureState { state: Running::Running, detail: None, blind: Vec::new() },
        spool: SpoolState::default(),
        diagnoses: true,
    })
    .unwrap()
}

impl Node {
    fn of_server(server_id: u32, messages: &[(u64, Vec<u8>)]) -> Self {
        Node { server_id, spool: Mutex::new(messages.to_vec()), ..Node::default() }
    }

    /// Listens; gives where.
    async fn listen(self: Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        self.listen_on(listener);
        url
    }

    fn listen_on(self: Arc<Self>, listener: TcpListener) {
        let router = Router::new()
            .route("/v1/batches", get(give))
            .route("/v1/batches/confirm", post(confirm))
            .route("/v1/heartbeat", get(heartbeat))
            .route("/v1/settings", post(tell))
            .route("/v1/diagnostics", post(diagnose))
            .with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
}

#[derive(Default)]
struct Known {
    targets: Mutex<Vec<Target>>,
    heartbeats: Mutex<Vec<(ServerId, Heartbeat)>>,
    diagnosed: Mutex<Vec<Diagnosed>>,
}

impl Fleet for Known {
    fn targets(&self) -> Result<Vec<Target>, Error> {
        Ok(lock(&self.targets).clone())
    }

    fn heartbeat(&self, server_id: ServerId, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, String> {
        lock(&self.heartbeats).push((server_id, heartbeat));
        let settings = ProbeSettings::default();
        Ok(HeartbeatAnswer { received_at_ms: 7, settings_version: 3, settings, diagnose: None, resend: None })
    }

    fn diagnosing(&self, _: ServerId) -> Option<u64> {
        (lock(&self.diagnosed).last().is_none_or(|diagnosed| *diagnosed == Diagnosed::Running)).then_some(7)
    }

    fn diagnosed(&self, _: ServerId, run: u64, result: Diagnosed) {
        assert_eq!(run, 7);
        lock(&self.diagnosed).push(result);
    }
}

struct Central {
    progress: Progress,
    fleet: Arc<Known>,
    store: Store,
    _dir: tempfile::TempDir,
}

/// A central that knows server 1 and pulls from there.
fn central(url: &str, token: &str) -> Central {
    central_that(url, token, |_| {})
}

fn central_that(url: &str, token: &str, change: impl FnOnce(&mut Settings)) -> Central {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    store.registry().add_server("one", false, None, 0).unwrap();
    let ingest = Ingest::start(store.clone(), crate::Settings::default()).unwrap();
    let fleet = Arc::new(Known::default());
    lock(&fleet.targets).push(target(url, token));
    let mut settings = Settings {
        wait_s: 1,
        look_every: Duration::from_millis(50),
        heartbeat_every: Duration::from_millis(100),
        farewell: Duration::from_secs(2),
        ..Settings::default()
    };
    change(&mut settings);
    let progress = Progress::default();
    let puller = Puller::new(ingest, fleet.clone(), settings, progress.clone());
    tokio::spawn(puller.run(std::future::pending()));
    Central { progress, fleet, store, _dir: dir }
}

fn target(url: &str, token: &str) -> Target {
    Target {
        server_id: ServerId::new(1),
        url: url.to_owned(),
        token: token.into(),
        trust: Trust::Anybody,
        connect_timeout: CONNECT_TIMEOUT,
    }
}

fn message(seq: u64, interval_s: u32) -> (u64, Vec<u8>) {
    let mut records = Records::new();
    let record = records.push("www.example.", RecordType::A);
    let batch = Batch {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq },
        // A multiple of 7 and of 60.
        start_s: 1_750_003_200 / 420 * 420,
        interval_s,
        coverage: Coverage { from_ms: 1_750_003_200 / 420 * 420_000, until_ms: 1_750_003_200 / 420 * 420_000 + 7000 },
        counters: Counters::new(),
        evicted: None,
        records,
        rows: vec![Row { record, kind: MessageKind::REQUEST, hits: 1, first_ms: 5, last_ms: 7 }],
    };
    (seq, batch.encode().unwrap())
}

async fn eventually(what: &str, mut asked: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !asked() {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn hits(store: &Store) -> u64 {
    let mut hits = 0;
    store.totals(None, &mut |total| hits += total.hits);
    hits
}

#[tokio::test]
async fn what_a_probe_has_is_committed_and_then_confirmed() {
    let node = Arc::new(Node::of_server(1, &[message(0, 60), message(1, 60), message(2, 60)]));
    let central = central(&node.clone().listen().await, "right");
    eventually("all is confirmed", || lock(&node.spool).is_empty()).await;
    assert_eq!(hits(&central.store), 3);
    let confirmed: Vec<u64> = lock(&node.confirmations).iter().flat_map(|done| &done.confirmed).map(|one| one.seq).collect();
    assert_eq!(confirmed, [0, 1, 2]);
    lock(&node.spool).push(message(3, 60));
    eventually("what comes later is fetched, too", || hits(&central.store) == 4).await;
}

#[tokio::test]
async fn what_was_not_confirmed_is_given_again_and_counts_once() {
    let node = Arc::new(Node { confirm_failures: AtomicU64::new(2), ..Node::of_server(1, &[message(0, 60), message(1, 60)]) });
    let central = central(&node.clone().listen().await, "right");
    eventually("it is confirmed in the end", || lock(&node.spool).is_empty()).await;
    assert_eq!(hits(&central.store), 2);
    let statistics = central.progress.statistics();
    assert_eq!((statistics.confirmed, statistics.failures), (2, 2));
}

#[tokio::test]
async fn what_is_never_taken_goes_back_with_the_reason() {
    let node = Arc::new(Node::of_server(1, &[message(0, 60), message(1, 7)]));
    let central = central(&node.clone().listen().await, "right");
    eventually("nothing is left", || lock(&node.spool).is_empty()).await;
    let refused: Vec<Refused> = lock(&node.confirmations).iter().flat_map(|done| done.refused.clone()).collect();
    assert_eq!(refused, [Refused { epoch: 1, seq: 1, reason: "an interval of 7 s does not divide 300 s".to_owned() }]);
    assert_eq!(hits(&central.store), 1);
}

#[tokio::test]
async fn a_batch_ahead_of_the_clock_stays_with_the_probe_and_pulling_goes_on() {
    let ahead = {
        let (_, bytes) = message(0, 60);
        let batch = Batch::decode(&bytes).unwrap();
        let start_s = (crate::times::now_ms() / 1000) / 60 * 60 + 86_400;
        Batch { start_s, coverage: Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 }, ..batch }
    };
    let node = Arc::new(Node::of_server(1, &[(0, ahead.encode().unwrap()), message(1, 60)]));
    let central = central(&node.clone().listen().await, "right");
    eventually("the other one is confirmed", || lock(&node.spool).len() == 1).await;
    assert_eq!((hits(&central.store), lock(&node.spool)[0].0), (1, 0));
    assert_eq!((central.progress.statistics().failures, central.progress.statistics().refused), (0, 0));
}

#[tokio::test]
async fn the_probe_of_another_server_is_not_pulled_from() {
    let node = Arc::new(Node::of_server(2, &[message(0, 60)]));
    let central = central(&node.clone().listen().await, "right");
    eventually("it is said", || {
        central
            .progress
            .statistics()
            .servers
            .get(&ServerId::new(1))
            .and_then(Clone::clone)
            .is_some_and(|why| why.contains("is that of server 2"))
    })
    .await;
    assert_eq!((hits(&central.store), lock(&node.spool).len()), (0, 1));
}

#[tokio::test]
async fn a_wrong_token_is_told_apart_from_no_connection() {
    let node = Arc::new(Node::of_server(1, &[message(0, 60)]));
    let url = node.clone().listen().await;
    let wrong = central(&url, "wrong");
    let fault = |central: &Central| {
        central.progress.statistics().servers.get(&ServerId::new(1)).and_then(Clone::clone).unwrap_or_default()
    };
    eventually("it is refused", || fault(&wrong).contains("401 Unauthorized: the token is wrong")).await;
    let gone = central("http://127.0.0.1:9", "right");
    eventually("nobody is there", || fault(&gone).contains("Connection refused")).await;
}

#[tokio::test]
async fn who_does_not_let_the_central_in_is_waited_for_as_long_as_is_set() {
    // The kernel takes the connection, and nobody answers the handshake.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let central = central("http://127.0.0.1:9", "right");
    let began = Instant::now();
    let timeout = Duration::from_millis(350);
    let url = format!("https://{}", silent.local_addr().unwrap());
    lock(&central.fleet.targets)[0] = Target { connect_timeout: timeout, ..target(&url, "right") };
    let fault = || central.progress.statistics().servers.get(&ServerId::new(1)).and_then(Clone::clone).unwrap_or_default();
    eventually("it is said", || fault().contains("did not let the central in within 350 ms")).await;
    assert!((timeout..CONNECT_TIMEOUT).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn whole_messages_of_an_answer_that_breaks_off_are_taken() {
    let node = Arc::new(Node { breaks_off: true, ..Node::of_server(1, &[message(0, 60), message(1, 60)]) });
    let central = central(&node.clone().listen().await, "right");
    eventually("the first is confirmed", || lock(&node.spool).len() == 1).await;
    eventually("the fault is counted", || central.progress.statistics().failures > 0).await;
    assert_eq!(hits(&central.store), 1);
}

#[tokio::test]
async fn a_heartbeat_is_fetched_and_what_is_answered_is_posted() {
    let node = Arc::new(Node::of_server(1, &[]));
    let central = central(&node.clone().listen().await, "right");
    eventually("the probe is told", || !lock(&node.told).is_empty()).await;
    assert_eq!(lock(&node.told)[0].settings_version, 3);
    let (server_id, heartbeat) = lock(&central.fleet.heartbeats)[0].clone();
    assert_eq!((server_id.get(), heartbeat.hostname.as_str()), (1, "node"));
}

#[tokio::test]
async fn whether_other_settings_are_in_force_is_asked_at_once() {
    let node = Arc::new(Node::of_server(1, &[]));
    let central =
        central_that(&node.clone().listen().await, "right", |settings| settings.heartbeat_every = Duration::from_secs(60));
    let heartbeats = || lock(&central.fleet.heartbeats).len();
    eventually("it is asked twice", || heartbeats() == 2).await;
    // This one never follows: it is not asked for ever.
    tokio::time::sleep(2 * CONFIRM_AFTER).await;
    assert_eq!(heartbeats(), 2);
}

#[tokio::test]
async fn a_server_that_is_no_longer_to_be_pulled_is_told_and_left() {
    let node = Arc::new(Node::of_server(1, &[]));
    let central = central(&node.clone().listen().await, "right");
    eventually("it is pulled", || node.asked.load(Ordering::Relaxed) > 0).await;
    lock(&node.told).clear();
    lock(&central.fleet.targets).clear();
    eventually("it is no longer known", || central.progress.statistics().servers.is_empty()).await;
    assert!(!lock(&node.told).is_empty());
    let asked = node.asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(node.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn a_probe_that_moves_and_one_that_comes_up_later_are_found() {
    let central = central("http://127.0.0.1:9", "right");
    eventually("it fails", || central.progress.statistics().failures > 0).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    lock(&central.fleet.targets)[0] = target(&format!("http://{address}"), "right");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let node = Arc::new(Node::of_server(1, &[message(0, 60)]));
    node.clone().listen_on(TcpListener::bind(address).await.unwrap());
    eventually("it is pulled", || lock(&node.spool).is_empty()).await;
    eventually("nothing is wrong any more", || central.progress.statistics().servers.get(&ServerId::new(1)) == Some(&None)).await;
    assert_eq!(hits(&central.store), 1);
}

#[tokio::test]
async fn the_token_is_not_shown_where_a_probe_redirects_to() {
    let elsewhere = Arc::new(Node::of_server(1, &[message(0, 60)]));
    let elsewhere_url = elsewhere.clone().listen().await;
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT] {
        let to = format!("{elsewhere_url}/v1/batches");
        let redirect = move || async move { (status, [("location", to)]).into_response() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(redirect);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let central = central(&url, "right");
        let fault = || central.progress.statistics().servers.get(&ServerId::new(1)).and_then(Clone::clone).unwrap_or_default();
        eventually("it is said", || fault().contains(status.as_str())).await;
    }
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn diagnostics_are_asked_for_until_there_is_a_result() {
    let node = Arc::new(Node { diagnoses: true, ..Node::of_server(1, &[]) });
    let central = central(&node.listen().await, "right");
    eventually("the result arrives", || lock(&central.fleet.diagnosed).len() == 2).await;
    let expected = [Diagnosed::Running, Diagnosed::Result(Bytes::from_static(b"run=7"))];
    assert_eq!(*lock(&central.fleet.diagnosed), expected);
}

#[tokio::test]
async fn a_probe_that_does_not_know_of_diagnostics_is_recognised() {
    let node = Arc::new(Node::of_server(1, &[]));
    let central = central(&node.listen().await, "right");
    eventually("the answer arrives", || !lock(&central.fleet.diagnosed).is_empty()).await;
    assert_eq!(*lock(&central.fleet.diagnosed), [Diagnosed::Unknown]);
}
