//! SQL statements that would stop, fill or slow down the process they run in: they end in time,
//! within their own memory, and nobody else is affected.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use zonepulse_tests::api::Credentials;
use zonepulse_tests::needs::test;
use zonepulse_tests::process::resident_kib;
use zonepulse_tests::small_store::SmallStore;
use zonepulse_tests::{Api, Central, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test("no_statement_stops_fills_or_slows_the_central", hostile),
        test("a_client_that_does_not_read_its_answer_keeps_no_turn", unread),
        test("a_central_that_is_told_to_end_does_not_wait_for_statements", told_to_end),
        test("one_user_cannot_have_all_turns", one_user),
    ]
}

const JSON: &str = "application/json";
const NEVER: &str = "SELECT count(*) FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b";
const TIMEOUT_S: u64 = 2;
/// What scans may hold in the central briefly, and what an allocator retains of it.
const CENTRAL_GROWTH_KIB: u64 = 64 << 10;
/// The default `sql.memory_bytes`, its slack, and an idle worker.
const WORKER_KIB: u64 = (256 + 32 + 96) << 10;

/// The statements, by what they attack.
fn statements() -> Vec<String> {
    let text = |text: &str| text.to_owned();
    let columns: Vec<String> = (0..24).map(|n| format!("c{n}")).collect();
    let values: Vec<String> = columns.iter().map(|name| format!("1 AS {name}")).collect();
    let doubled: Vec<String> = (1..22).map(|n| format!("t{n} AS (SELECT a.x FROM t{} a, t{} b)", n - 1, n - 1)).collect();
    vec![
        // The process: an allocation that aborts, a length that overflows, a stack overflow.
        text("SELECT length(repeat(arrow_cast('x', 'LargeUtf8'), 9000000000000000000))"),
        text("SELECT lpad('x', 2147483647, 'y') = rpad('x', 2147483647, 'y')"),
        text("SELECT cardinality(array_repeat(1, 9000000000000000000))"),
        text("SELECT cardinality(range(0, 9000000000000000000, 1))"),
        format!("SELECT {}1{}", "abs(".repeat(60), ")".repeat(60)),
        // The clock: expressions that never yield, in planning and in execution.
        text("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))"),
        text("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000 + length(server))) FROM servers"),
        text("SELECT count(*) FROM dns_raw WHERE levenshtein(repeat(host, 20000), repeat('b', 300000)) > 1"),
        text("SELECT count(*) FROM dns_raw a, dns_raw b, dns_raw c, dns_raw d"),
        text("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b, generate_series(1, 100000) c"),
        text("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"),
        text("SELECT regexp_count(repeat('a', 1000000), '(a?){100}(a*)*$')"),
        text(NEVER),
        // Memory outside any pool, in execution and in planning.
        text("SELECT length(repeat('x', 2000000000))"),
        text("SELECT length(replace(repeat('x', 200000000), 'x', 'yyyyyyyyyy'))"),
        text("SELECT length(string_agg(repeat('x', 1000), ',')) FROM generate_series(1, 4000000)"),
        text(
            "SELECT sum(length(x)) FROM (SELECT string_agg(repeat('x', 100), ',') OVER (ORDER BY value ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS x FROM generate_series(1, 100000))",
        ),
        text(
            "SELECT max(array_length(array_agg(value) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING))) FROM generate_series(1, 300000)",
        ),
        text("SELECT repeat('x', 30000000) FROM generate_series(1, 100)"),
        format!("SELECT {0} FROM (SELECT {1}) GROUP BY CUBE ({0})", columns.join(", "), values.join(", ")),
        format!("WITH t0 AS (SELECT 1 AS x), {} SELECT count(*) FROM t21", doubled.join(", ")),
        text("SELECT a.host FROM dns_raw a JOIN dns_raw b ON true JOIN dns_raw c ON true ORDER BY a.host, b.hits, c.hits"),
    ]
}

fn hostile() {
    let store = SmallStore::start_with(&[("ZONEPULSE_SQL__TIMEOUT_S", &TIMEOUT_S.to_string())]);
    let central = &store.central;
    let api = central.api();
    assert_eq!(api.sql("SELECT 1 AS one", JSON).text(), r#"[{"one":1}]"#);
    let watched = Watched::during(central, || {
        let statements = statements();
        thread::scope(|scope| {
            // Two at a time, the limit for one user.
            for half in statements.chunks(statements.len().div_ceil(2)) {
                let api = &api;
                scope.spawn(move || half.iter().for_each(|statement| ends(api, statement)));
            }
        });
    });
    assert!(watched.central_kib <= CENTRAL_GROWTH_KIB, "the central grew by {} KiB", watched.central_kib);
    assert!(watched.worker_kib <= WORKER_KIB, "a worker had {} KiB", watched.worker_kib);
    let at = watched.health.len() * 95 / 100;
    let (usual, longest) = (watched.health[at], watched.health[watched.health.len() - 1]);
    assert!(usual < Duration::from_millis(100), "19 of 20 health checks took up to {usual:?}, the longest {longest:?}");
    // Nothing is left of them, and the next statement is answered.
    eventually("the work stops", Duration::from_secs(10), || {
        let used = central.cpu_seconds_of_workers();
        thread::sleep(Duration::from_millis(300));
        (central.cpu_seconds_of_workers() - used < 0.05).then_some(())
    });
    assert_eq!(api.sql("SELECT count(*) AS servers FROM servers", JSON).text(), r#"[{"servers":2}]"#);
    eprintln!("hostile: {watched:?}");
}

/// Checks that a statement is refused or answered in time.
fn ends(api: &Api, statement: &str) {
    let begun = Instant::now();
    let response = api.post_sql(statement, JSON);
    let took = begun.elapsed();
    // A statement may have to wait for its turn.
    assert!(took < Duration::from_secs(2 * TIMEOUT_S + 1), "{took:?}: {statement}");
    // An aborted answer was refused after its first rows.
    let Ok(response) = response else { return };
    assert!([200, 400, 408].contains(&response.status), "{}: {statement}: {}", response.status, response.text());
}

/// Observations of a central while something else happened.
#[derive(Debug)]
struct Watched {
    /// Its maximum growth.
    central_kib: u64,
    /// The maximum memory of a worker.
    worker_kib: u64,
    /// Durations of health checks, ascending.
    health: Vec<Duration>,
}

impl Watched {
    fn during(central: &Central, what: impl FnOnce()) -> Self {
        let before_kib = resident_kib(central.pid());
        let anybody = central.client(Credentials::None);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let memory = scope.spawn(|| {
                let (mut most_kib, mut worker_kib) = (0, 0);
                while !over.load(Ordering::Relaxed) {
                    most_kib = most_kib.max(resident_kib(central.pid()));
                    worker_kib = central.workers().into_iter().map(resident_kib).max().unwrap_or(0).max(worker_kib);
                    thread::sleep(Duration::from_millis(10));
                }
                (most_kib, worker_kib)
            });
            let health = scope.spawn(|| {
                let mut health = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    assert!(anybody.healthy(), "it is well");
                    health.push(begun.elapsed());
                    thread::sleep(Duration::from_millis(20));
                }
                health.sort_unstable();
                health
            });
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
            over.store(true, Ordering::Relaxed);
            let (most_kib, worker_kib) = memory.join().expect("memory was watched");
            let health = health.join().expect("health was watched");
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
            Watched { central_kib: most_kib.saturating_sub(before_kib), worker_kib, health }
        })
    }
}

fn unread() {
    let environment = [("ZONEPULSE_SQL__MAX_CONCURRENT", "1"), ("ZONEPULSE_SQL__TIMEOUT_S", "3")];
    let store = SmallStore::start_with(&environment);
    let api = store.central.api();
    let rows = "SELECT a.value, repeat('x', 100) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";
    thread::scope(|scope| {
        // It reads the first piece and then stays connected without reading on.
        scope.spawn(|| api.ask_and_leave(rows, Duration::from_secs(8)));
        thread::sleep(Duration::from_millis(500));
        eventually("the turn is free", Duration::from_secs(6), || {
            api.post_sql("SELECT 1 AS one", JSON).is_ok_and(|response| response.status == 200).then_some(())
        });
    });
}

fn told_to_end() {
    let mut store = SmallStore::start();
    let api = store.central.api();
    thread::scope(|scope| {
        scope.spawn(|| api.post_sql(NEVER, JSON));
        scope.spawn(|| api.post_sql("SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))", JSON));
        thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        let workers = store.central.workers();
        store.central.stop();
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        let alive: BTreeMap<u32, u64> =
            workers.into_iter().map(|id| (id, resident_kib(id))).filter(|(_, kib)| *kib > 0).collect();
        assert!(alive.is_empty(), "workers are left: {alive:?}");
    });
}

fn one_user() {
    let store = SmallStore::start_with(&[("ZONEPULSE_SQL__TIMEOUT_S", "20")]);
    let administrator = store.central.api();
    let made = administrator.send_json(Method::POST, "/api/v2/users", &json!({"user": "greedy", "password": "wants all of it"}));
    assert_eq!(made.status, 201, "{}", made.text());
    let greedy = store.central.client(Credentials::User("greedy".to_owned(), "wants all of it".to_owned()));
    let never = |api: Api| thread::spawn(move || api.ask_and_leave(NEVER, Duration::from_secs(15)));
    let asking: Vec<_> = (0..6).map(|_| never(greedy.clone())).collect();
    thread::sleep(Duration::from_secs(1));
    let begun = Instant::now();
    assert_eq!(administrator.sql("SELECT 1 AS one", JSON).text(), r#"[{"one":1}]"#);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    asking.into_iter().for_each(|asked| drop(asked.join()));
}
