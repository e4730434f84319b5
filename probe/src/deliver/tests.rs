//! The delivery engine against a small HTTP server: the effect of each answer on the spool.

use super::*;
use crate::spool;
use crate::spool::testing::empty_batch;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use tempfile::TempDir;
use zonepulse_model::{Identity, ServerId};
use zonepulse_private::Secret;
use zonepulse_wire::{Batch, Coverage, KEPT_FROM_HEADER, peek_identity};

type Respond = dyn Fn(u64) -> u16 + Send + Sync;

/// Stands for 503 with the problem type of a batch that is ahead of the central's clock.
const NOT_YET: u16 = 1503;

/// Answers batch number `seq` with the status that `respond` returns, and records the numbers in
/// order of arrival.
struct Central {
    address: String,
    received: Arc<Mutex<Vec<u64>>>,
}

impl Central {
    fn start(respond: impl Fn(u64) -> u16 + Send + Sync + 'static) -> Central {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let respond: Arc<Respond> = Arc::new(respond);
        let log = received.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (respond, log) = (respond.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &respond, &log));
            }
        });
        Central { address, received }
    }

    fn received(&self) -> Vec<u64> {
        self.received.lock().unwrap().clone()
    }
}

/// Serves the requests of one connection in sequence.
fn serve(mut stream: TcpStream, respond: &Arc<Respond>, log: &Mutex<Vec<u64>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let seq = peek_identity(&body).ok()?.seq;
        log.lock().unwrap().push(seq);
        let status = respond(seq);
        let body = match status {
            NOT_YET => r#"{"type":"urn:zonepulse:problem:ahead","title":"Ahead","detail":"later"}"#,
            400 => r#"{"type":"urn:zonepulse:problem:bad-batch","title":"Bad","detail":"order of rows"}"#,
            _ => "",
        };
        let head = match status {
            204 => String::new(),
            NOT_YET => format!("content-length: {}\r\nretry-after: 10\r\n", body.len()),
            _ => format!("content-length: {}\r\n", body.len()),
        };
        // Like a central that keeps raw points since the third minute, and roll-ups since the
        // second.
        write!(
            stream,
            "HTTP/1.1 {} x\r\n{head}{KEPT_FROM_HEADER}: 120 60\r\n\r\n{body}",
            if status == NOT_YET { 503 } else { status }
        )
        .ok()?;
    }
}

fn batch(seq: u64) -> Batch {
    empty_batch(Identity { server_id: ServerId::new(1), epoch: 1, seq })
}

fn spool_of(dir: &TempDir, batches: u64) -> Arc<Spool> {
    let settings = spool::Settings {
        dir: dir.path().to_owned(),
        max_bytes: spool::MIN_BYTES,
        min_free_bytes: 0,
        max_refused_bytes: 1 << 20,
        max_delivered_bytes: 0,
    };
    let spool = Spool::open(settings).unwrap();
    (0..batches).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    Arc::new(spool)
}

/// Delivers until `done`, or for ten seconds.
fn deliver_until(spool: &Arc<Spool>, central: &Central, done: impl Fn(&Counts) -> bool) -> Arc<Counts> {
    let counts = Arc::new(Counts::default());
    let settings =
        Settings::Http(http::Settings { url: central.address.clone(), token: Secret::new("t"), trust: Default::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_keep, settings) = watch::channel(settings);
        let (_accepted, refused) = watch::channel(None);
        let wait = async {
            while !done(&counts) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = run(spool.clone(), settings, refused, counts.clone(), 1 << 20) => panic!("{ended:?}"),
            () = wait => {}
            () = tokio::time::sleep(Duration::from_secs(10)) => panic!("timed out: {counts:?}"),
        }
    });
    counts
}

#[test]
fn confirmed_batches_leave_the_spool_oldest_first() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 40);
    let central = Central::start(|_| 204);
    deliver_until(&spool, &central, |counts| counts.delivered() == 40);
    assert!(spool.is_empty());
    let received = central.received();
    // Any number of batches may overtake one, but none starts out of turn.
    let too_early = received.iter().enumerate().filter(|(at, seq)| **seq as usize >= at + http::WINDOW);
    assert_eq!((received.len(), too_early.count()), (40, 0), "{received:?}");
}

#[test]
fn a_refused_batch_is_put_aside_and_the_others_arrive() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 20);
    let central = Central::start(|seq| if seq == 3 { 400 } else { 204 });
    let counts = deliver_until(&spool, &central, |counts| counts.delivered() == 19 && counts.refused() == 1);
    assert_eq!((counts.refused(), spool.len()), (1, 0));
    assert_eq!(std::fs::read_dir(dir.path().join("refused")).unwrap().count(), 2);
}

#[test]
fn an_empty_spool_implies_that_all_deliveries_are_counted() {
    for _ in 0..10 {
        let dir = TempDir::new().unwrap();
        let spool = spool_of(&dir, 4);
        let central = Central::start(|seq| if seq % 2 == 0 { 400 } else { 204 });
        let counts = deliver_until(&spool, &central, |counts| spool.is_empty() && counts.under_way() == 0);
        assert_eq!((counts.delivered(), counts.refused()), (2, 2));
    }
}

#[test]
fn a_batch_that_keeps_failing_blocks_no_other() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 20);
    let central = Central::start(|seq| if seq == 0 { 500 } else { 204 });
    deliver_until(&spool, &central, |counts| counts.delivered() == 19);
    assert_eq!(spool.len(), 1);
}

#[test]
fn a_good_batch_behind_many_that_fail_is_reached() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 200);
    let central = Central::start(|seq| if seq < 199 { 403 } else { 204 });
    deliver_until(&spool, &central, |counts| counts.delivered() == 1);
    assert_eq!(spool.len(), 199);
    assert!(central.received().len() < 60, "{:?}", central.received());
}

#[test]
fn batches_ahead_of_the_central_s_clock_stay_and_block_no_other() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 0);
    // More than a window of them, ahead of all others.
    (10..30).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
    let central = Central::start(|seq| if seq >= 10 { NOT_YET } else { 204 });
    let put = std::cell::Cell::new(false);
    deliver_until(&spool, &central, |counts| {
        if !put.get() && !central.received().is_empty() {
            put.set(true);
            (0..10).for_each(|seq| spool.put(&batch(seq).into()).unwrap());
        }
        counts.delivered() == 10
    });
    assert_eq!(spool.len(), 20);
}

#[test]
fn a_backlog_ahead_of_the_central_s_clock_is_tried_by_a_few_for_all() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 200);
    let central = Central::start(|seq| if seq < 10 { 204 } else { NOT_YET });
    let began = Instant::now();
    deliver_until(&spool, &central, |counts| counts.delivered() == 10 && began.elapsed() > Duration::from_millis(2500));
    let tries = central.received().iter().filter(|seq| **seq >= 10).count();
    assert_eq!(spool.len(), 190);
    // At once and a second later; the next attempt would be two seconds after that.
    assert!((2..=3 * http::WINDOW).contains(&tries), "{tries}");
}

#[test]
fn a_backlog_ahead_is_delivered_once_its_time_comes() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 50);
    let began = Instant::now();
    let central = Central::start(move |_| if began.elapsed() < Duration::from_secs(1) { NOT_YET } else { 204 });
    deliver_until(&spool, &central, |counts| counts.delivered() == 50);
    assert!(spool.is_empty());
}

#[test]
fn a_busy_central_is_tried_with_one_batch_at_a_time() {
    let dir = TempDir::new().unwrap();
    let spool = spool_of(&dir, 50);
    let asked = Arc::new(AtomicU64::new(0));
    let busy = asked.clone();
    let central = Central::start(move |_| if busy.fetch_add(1, Ordering::Relaxed) < 10 { 503 } else { 204 });
    deliver_until(&spool, &central, |counts| counts.delivered() == 50);
    assert!(spool.is_empty());
    assert_eq!(central.received().len(), 60);
}

#[tokio::test]
async fn the_token_is_not_shown_where_a_central_redirects_to() {
    let elsewhere = Central::start(|_| 204);
    for status in [301, 302, 303, 307, 308] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let to = elsewhere.address.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.1 {status} x\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        let settings = http::Settings { url, token: Secret::new("t"), trust: Default::default() };
        let answer = http::Courier::new(settings).unwrap().send(batch(0).encode().unwrap()).await;
        assert!(matches!(answer, Answer::Unavailable { .. }), "{status}: {answer:?}");
    }
    assert_eq!(elsewhere.received(), [0; 0]);
}

#[test]
fn batches_older_than_the_central_s_retention_are_counted_separately() {
    let (central, dir) = (Central::start(|_| 204), TempDir::new().unwrap());
    let counts = deliver_until(&spool_of(&dir, 5), &central, |counts| counts.delivered() == 5);
    assert_eq!((counts.without_points(), counts.without_raw()), (1, 1));
}

#[test]
fn a_batch_in_the_future_blocks_no_other() {
    let (central, dir) = (Central::start(|seq| if seq == 9 { 503 } else { 204 }), TempDir::new().unwrap());
    let spool = spool_of(&dir, 3);
    let start_s = Reading::now().wall_ms / 60_000 * 60 + 3600;
    let coverage = Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 };
    spool.put(&Batch { start_s, coverage, ..batch(9) }.into()).unwrap();
    let began = Instant::now();
    deliver_until(&spool, &central, |counts| counts.delivered() == 3 && began.elapsed() > Duration::from_secs(2));
    let tries = central.received().iter().filter(|seq| **seq == 9).count();
    assert_eq!((tries, spool.len()), (1, 1), "the batch is retried instead of waiting");
}

/// How often batches that start an hour from now and later are tried within a few seconds.
fn tries_with_a_backlog_ahead(status: u16, batches: u64) -> usize {
    let (central, dir) = (Central::start(move |_| status), TempDir::new().unwrap());
    let spool = spool_of(&dir, 0);
    let now_s = Reading::now().wall_ms / 60_000 * 60;
    for seq in 0..batches {
        let start_s = now_s + 3600 + 60 * seq;
        let coverage = Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 };
        spool.put(&Batch { start_s, coverage, ..batch(seq) }.into()).unwrap();
    }
    let began = Instant::now();
    deliver_until(&spool, &central, |_| began.elapsed() > Duration::from_millis(1500));
    assert_eq!(spool.len() as u64, batches);
    central.received().len()
}

#[test]
fn a_central_that_rejects_the_token_is_not_tried_with_every_batch_ahead() {
    let tries = tries_with_a_backlog_ahead(401, 100);
    // A window of them, and one more after each wait.
    assert!((http::WINDOW + 1..=http::WINDOW + 5).contains(&tries), "{tries}");
}

#[test]
fn a_backlog_ahead_that_a_central_does_not_take_is_tried_by_a_few_for_all() {
    let tries = tries_with_a_backlog_ahead(503, 100);
    assert!((1..=http::WINDOW).contains(&tries), "{tries}");
}

/// Whether a broker is connected to after the change, if the central rejected the token `old`
/// before it.
async fn connects_with(token: &str, change: impl FnOnce(&watch::Sender<Settings>, &watch::Sender<Option<Secret>>)) -> bool {
    let dir = TempDir::new().unwrap();
    let broker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (settings, told) = watch::channel(through(&broker, token));
    let (refused, told_refused) = watch::channel(Some(Secret::new("old")));
    let spool = spool_of(&dir, 3);
    let delivery = run(spool.clone(), told, told_refused, Arc::default(), 1 << 20);
    tokio::pin!(delivery);
    let connects = async |wait_ms| tokio::time::timeout(Duration::from_millis(wait_ms), broker.accept()).await.is_ok();
    let at_once = tokio::select! {
        ended = &mut delivery => panic!("{ended:?}"),
        connects = connects(500) => connects,
    };
    assert_eq!((at_once, spool.len()), (token != "old", 3), "{token}");
    change(&settings, &refused);
    tokio::select! {
        ended = &mut delivery => panic!("{ended:?}"),
        connects = connects(5000) => at_once || connects,
    }
}

fn through(broker: &tokio::net::TcpListener, token: &str) -> Settings {
    let url = Secret::new(format!("amqp://{}", broker.local_addr().unwrap()));
    Settings::Amqp(amqp::Settings { url, queue: "q".into(), token: Secret::new(token), trust: Default::default() })
}

#[tokio::test]
async fn batches_that_a_refused_token_would_sign_wait_until_it_is_accepted() {
    assert!(connects_with("old", |_, refused| drop(refused.send_replace(None))).await);
}

#[tokio::test]
async fn batches_that_a_refused_token_would_sign_wait_for_another_token() {
    let renew = |settings: &watch::Sender<Settings>, _: &watch::Sender<Option<Secret>>| {
        settings.send_modify(|settings| {
            if let Settings::Amqp(amqp) = settings {
                amqp.token = Secret::new("new");
            }
        });
    };
    assert!(connects_with("old", renew).await);
}

#[tokio::test]
async fn a_token_that_was_not_refused_keeps_signing() {
    assert!(connects_with("new", |_, _| ()).await);
}
