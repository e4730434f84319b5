//! Several concurrent questions about all data: health checks, heartbeats and batches do not wait
//! for them.

use libtest_mimic::Trial;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use zonepulse_model::ServerId;
use zonepulse_tests::api::ALL_TIME;
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::needs::{alone, test_with};
use zonepulse_tests::{Central, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![test_with("large_questions_keep_no_health_check_and_no_batch_waiting", alone, |_alone| large_questions())]
}

/// The number of points is the product of these.
const SERVERS: usize = 5;
const RECORDS: usize = 2000;
const MINUTES: u64 = 100;
/// Number of concurrent clients.
const ASKING: usize = 4;
const TIME: Duration = Duration::from_secs(8);
/// Time limits for a health check or a batch, for nine out of ten and for all: the same two cores
/// ask, answer and observe.
const USUAL: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_millis(500);

fn large_questions() {
    let names: Vec<String> = (0..SERVERS).map(|n| format!("ns{n}")).collect();
    let central = Central::start(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let points: Vec<_> = (0..RECORDS).map(|r| point(&format!("r{r}.large.example."), "A", REQUEST, 1, 0)).collect();
    let mut whole = batch(central.servers[0].id, 1, 0, unix_ms() / 60_000 * 60 - 60 * (2 * MINUTES), &points);
    let begin_s = whole.start_s;
    let mut send = |n: usize, minute: u64| {
        (whole.identity.server_id, whole.identity.seq, whole.start_s) =
            (ServerId::new(central.servers[n].id), minute, begin_s + 60 * minute);
        (whole.coverage.from_ms, whole.coverage.until_ms) = (whole.start_s * 1000, (whole.start_s + 60) * 1000);
        let begun = Instant::now();
        let response = central.api_of_server(n).post_batch(encode(&whole));
        assert_eq!(response.status, 204, "{}", response.text());
        begun.elapsed()
    };
    for minute in 0..MINUTES {
        (0..SERVERS).for_each(|n| _ = send(n, minute));
    }
    let over = AtomicBool::new(false);
    let (answers, mut checks, mut batches) = scope(|scope| {
        let asking: Vec<_> = (0..ASKING)
            .map(|_| {
                scope.spawn(|| {
                    // A low priority, so that the clients' CPU time is not taken from the central.
                    // SAFETY: takes plain numbers; 0 is this thread.
                    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) };
                    let (api, mut answers) = (central.api(), 0);
                    while !over.load(Ordering::Relaxed) {
                        let answer = api.get("/api/v2/monitoring/dns/raw", &[ALL_TIME, ("limit", "100000")], "application/json");
                        // Those refused for lack of space ask again.
                        assert!([200, 429, 503].contains(&answer.status), "{}", answer.text());
                        answers += u32::from(answer.status == 200);
                    }
                    answers
                })
            })
            .collect();
        let (until, mut checks, mut batches) = (Instant::now() + TIME, Vec::new(), Vec::new());
        for minute in MINUTES.. {
            if Instant::now() >= until {
                break;
            }
            let begun = Instant::now();
            assert!(central.api().healthy());
            checks.push(begun.elapsed());
            batches.push(send(minute as usize % SERVERS, MINUTES + (minute - MINUTES) / SERVERS as u64));
            sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        let answers: u32 = asking.into_iter().map(|asking| asking.join().expect("somebody who asks")).sum();
        (answers, checks, batches)
    });
    for (what, took) in [("health checks", &mut checks), ("batches", &mut batches)] {
        took.sort_unstable();
        let (usual, most) = (took[took.len() * 9 / 10], took[took.len() - 1]);
        eprintln!("large questions: {answers} answers, {} {what}: {usual:?}, {most:?} at most", took.len());
        assert!(usual <= USUAL && most <= MOST, "{what} took {usual:?}, {most:?} at most");
    }
    assert!(answers > 0, "nobody got an answer");
}
