//! All attacks at once, on a central that serves ten servers: batches, heartbeats and API questions
//! take about as long as without the attack, nothing is lost, and memory stays within bounds.
//!
//! `ZONEPULSE_TESTS_ATTACK_S` sets the duration: 20 s by default; `make test-attack` takes five
//! minutes.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use zonepulse_priority::Priority;
use zonepulse_tests::api::{ALL_TIME, BATCH, Credentials, block_on, number};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::needs::{alone, test_with};
use zonepulse_tests::process::resident_kib;
use zonepulse_tests::{Api, Central, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![test_with("all_attacks_at_once_cost_ten_servers_nothing", alone, |_alone| attack())]
}

const SERVERS: usize = 10;
/// Records sent by each server every [`PERIOD`].
const RECORDS: usize = 300;
const PERIOD: Duration = Duration::from_millis(500);
/// Connections that send their header byte by byte.
const SLOW_WRITERS: usize = 600;
/// Clients that request large answers and do not read them.
const SLOW_READERS: usize = 40;
/// Times are compared as if the undisturbed ones were no shorter: fleet, attackers and central share two cores.
const NOISE: Duration = Duration::from_millis(5);
/// A short run has too few samples to be compared: it shows that nobody is kept waiting.
const SHORT_MOST: Duration = Duration::from_millis(500);
/// Seconds; a run that is shorter is a short one.
const LONG_S: u64 = 300;
/// The store's caches and buffers, plus the limits for questions, scans and incoming requests.
const MOST_KIB: u64 = 1 << 20;

const PASSWORD: &str = "a password of the test";

const HOSTILE: [&str; 6] = [
    "SELECT length(repeat(arrow_cast('x', 'LargeUtf8'), 9000000000000000000))",
    "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b, generate_series(1, 100000) c",
    "SELECT length(replace(repeat('x', 200000000), 'x', 'yyyyyyyyyy'))",
    "SELECT count(*) FROM dns_raw a, dns_raw b, dns_raw c",
    "SELECT length(string_agg(repeat('x', 1000), ',')) FROM generate_series(1, 4000000)",
];

/// Durations of an operation.
#[derive(Debug, Default, Clone)]
struct Took(Vec<Duration>);

impl Took {
    fn add(&mut self, begun: Instant) {
        self.0.push(begun.elapsed());
    }

    /// The ninth decile.
    fn usual(&self) -> Duration {
        let mut all = self.0.clone();
        all.sort_unstable();
        all.get(all.len() * 9 / 10).copied().unwrap_or_default()
    }
}

/// What an honest fleet experienced.
#[derive(Debug, Default)]
struct Seen {
    batches: Took,
    heartbeats: Took,
    questions: Took,
    hits: u64,
}

fn attack() {
    let seconds: u64 = std::env::var("ZONEPULSE_TESTS_ATTACK_S").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let names: Vec<String> = (0..SERVERS).map(|n| format!("ns{n}")).chain(["flooder".to_owned()]).collect();
    let central = Central::start_on(
        &std::env::temp_dir(),
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
        &[("ZONEPULSE_SQL__TIMEOUT_S", "5")],
    );
    let calm = fleet(&central, 1, Duration::from_secs(seconds.min(10)));
    let over = AtomicBool::new(false);
    let most_kib = AtomicU64::new(0);
    let stormy = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most_kib.fetch_max(resident_kib(central.pid()), Ordering::Relaxed);
                sleep(Duration::from_millis(20));
            }
        });
        for way in [slow_writers as fn(&Central, &AtomicBool), slow_readers, hostile_statements, flood, wrong_passwords] {
            let (central, over) = (&central, &over);
            scope.spawn(move || {
                // What attackers need of these two cores is not the central's to answer for.
                Priority::Statement.take();
                way(central, over);
            });
        }
        sleep(Duration::from_secs(2));
        let seen = fleet(&central, 2, Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        seen
    });
    let most_kib = most_kib.into_inner();
    // Once more without an attack, since there is more data to query by now.
    let after = fleet(&central, 3, Duration::from_secs(seconds.min(10)));
    let says = |seen: &Seen| (seen.batches.usual(), seen.heartbeats.usual(), seen.questions.usual());
    eprintln!(
        "attack: before {:?}, under attack {:?}, after {:?}, {most_kib} KiB at most",
        says(&calm),
        says(&stormy),
        says(&after)
    );
    // Nothing is lost.
    let hits = calm.hits + stormy.hits + after.hits;
    let api = central.api();
    let counted = eventually("every hit is there", Duration::from_secs(20), || {
        let rows = api.rows("dns/aggregate", &[ALL_TIME, ("host", "*.honest.example"), ("limit", "10000")]);
        let counted: u64 = rows.iter().map(|row| number(row, "hits")).sum();
        (counted >= hits).then_some(counted)
    });
    assert_eq!(counted, hits);
    assert!(most_kib <= MOST_KIB, "{most_kib} KiB were resident");
    for (what, before, stormy, after) in [
        ("batches", &calm.batches, &stormy.batches, &after.batches),
        ("heartbeats", &calm.heartbeats, &stormy.heartbeats, &after.heartbeats),
        ("questions", &calm.questions, &stormy.questions, &after.questions),
    ] {
        let (calm, stormy) = (before.usual().max(after.usual()), stormy.usual());
        let most = if seconds < LONG_S { SHORT_MOST } else { 2 * calm.max(NOISE) };
        assert!(stormy <= most, "{what}: nine of ten took {calm:?} without attack, {stormy:?} with");
    }
}

/// For a while, ten servers send batches and heartbeats, and a client queries the API.
fn fleet(central: &Central, epoch: u64, time: Duration) -> Seen {
    let until = Instant::now() + time;
    thread::scope(|scope| {
        let servers: Vec<_> = (0..SERVERS).map(|n| scope.spawn(move || server(central, n, epoch, until))).collect();
        let asking = scope.spawn(|| {
            let name = format!("honest{epoch}");
            make_user(central, &name);
            let (api, mut took) = (central.client(Credentials::User(name, PASSWORD.to_owned())), Took::default());
            while Instant::now() < until {
                let begun = Instant::now();
                api.rows("dns/aggregate", &[("host", "r1.honest.example"), ("interval", "5m")]);
                api.rows("dns/rps", &[("server_id", &central.servers[0].id.to_string())]);
                took.add(begun);
                sleep(PERIOD / 5);
            }
            took
        });
        let mut seen = Seen::default();
        for server in servers {
            let of = server.join().expect("a server that sends");
            seen.batches.0.extend(of.batches.0);
            seen.heartbeats.0.extend(of.heartbeats.0);
            seen.hits += of.hits;
        }
        seen.questions = asking.join().expect("somebody who asks");
        seen
    })
}

/// Creates a user who may ask questions.
fn make_user(central: &Central, name: &str) {
    let made = central.api().send_json(Method::POST, "/api/v2/users", &json!({"user": name, "password": PASSWORD}));
    assert_eq!(made.status, 201, "{}", made.text());
}

fn server(central: &Central, n: usize, epoch: u64, until: Instant) -> Seen {
    let (api, id) = (central.api_of_server(n), central.servers[n].id);
    let points: Vec<_> = (0..RECORDS).map(|r| point(&format!("r{r}.honest.example."), "A", REQUEST, 1, 0)).collect();
    let begin_s = unix_ms() / 60_000 * 60 - 86_400 / 2;
    let mut seen = Seen::default();
    for seq in 0.. {
        if Instant::now() >= until {
            break;
        }
        let bytes = encode(&batch(id, epoch, seq, begin_s + (seq % 600) * 60, &points));
        let begun = Instant::now();
        // A batch that is refused for now, or whose connection was lost, is sent again, as a probe
        // would.
        while !is_taken(&api, bytes.clone()) {
            sleep(Duration::from_millis(200));
        }
        seen.batches.add(begun);
        seen.hits += RECORDS as u64;
        let begun = Instant::now();
        heartbeat(&api, epoch);
        seen.heartbeats.add(begun);
        sleep(PERIOD.saturating_sub(begun.elapsed()));
    }
    seen
}

fn is_taken(api: &Api, bytes: Vec<u8>) -> bool {
    let url = api.url("/api/v2/batches", &[]);
    let Ok(response) = api.send(Method::POST, url, &[("content-type", BATCH)], bytes) else { return false };
    assert!([204, 429, 503].contains(&response.status), "{}: {}", response.status, response.text());
    response.status == 204
}

fn heartbeat(api: &Api, epoch: u64) {
    let body = json!({
        "sent_at_ms": unix_ms(), "epoch": epoch, "probe_version": "0.1.0", "uptime_s": 1, "hostname": "ns", "os": "Debian",
        "components": {}, "capture": { "state": "running" }, "spool": { "batches": 0, "size_bytes": 0 }
    });
    let response = api.send_json(Method::POST, "/api/v2/monitoring/heartbeat", &body);
    assert_eq!(response.status, 200, "{}", response.text());
}

/// Connects from one of many addresses of this machine.
fn connect(central: &Central, number: usize) -> std::io::Result<TcpStream> {
    let from = SocketAddr::from(([127, 0, 1 + (number / 200 % 200) as u8, 1 + (number % 200) as u8], 0));
    let to = SocketAddr::from(([127, 0, 0, 1], central.port()));
    let stream = block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(from)?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Connections from many addresses of this machine that send a byte now and then.
fn slow_writers(central: &Central, over: &AtomicBool) {
    let mut open: Vec<TcpStream> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        while open.len() < SLOW_WRITERS {
            let Ok(mut stream) = connect(central, open.len()) else { break };
            let _ = stream.write_all(b"POST /api/v2/batches HTTP/1.1\r\nhost: x\r\ncontent-length: 16000000\r\nx: ");
            open.push(stream);
        }
        open.retain_mut(|stream| stream.write_all(b"a").is_ok());
        sleep(Duration::from_millis(500));
    }
}

/// Sends an SQL request by hand on its own connection, separate from the client of the honest
/// users.
fn ask(central: &Central, number: usize, user: &str, statement: &str) -> std::io::Result<TcpStream> {
    let mut stream = connect(central, number)?;
    let credentials = base64(format!("{user}:{PASSWORD}").as_bytes());
    let length = statement.len();
    let head = format!(
        "POST /api/v2/sql HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\ncontent-type: application/sql\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{statement}"
    );
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = group.iter().chain([0, 0].iter()).take(3).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let digit = |at: usize| if at <= group.len() { DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// Clients that request large answers and do not read them.
fn slow_readers(central: &Central, over: &AtomicBool) {
    make_user(central, "reader");
    let rows = "SELECT a.value, repeat('x', 200) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000) b";
    thread::scope(|scope| {
        for reader in 0..SLOW_READERS {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if reader % 8 == 0 {
                        let asked = ask(central, 30_000 + reader, "reader", rows);
                        sleep(Duration::from_secs(3));
                        drop(asked);
                    } else {
                        unread(central, reader);
                    }
                }
            });
        }
    });
}

/// Requests the API document many times on one connection, without reading.
fn unread(central: &Central, reader: usize) {
    let Ok(mut stream) = connect(central, 10_000 + reader) else { return };
    let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
    for _ in 0..200 {
        if stream.write_all(b"GET /api/v2/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").is_err() {
            break;
        }
    }
    sleep(Duration::from_secs(2));
}

fn hostile_statements(central: &Central, over: &AtomicBool) {
    make_user(central, "hostile");
    thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || {
                for statement in HOSTILE.iter().cycle().skip(first) {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let Ok(mut asked) = ask(central, 35_000 + first, "hostile", statement) else { continue };
                    let _ = asked.set_read_timeout(Some(Duration::from_secs(20)));
                    let _ = asked.read_to_end(&mut Vec::new());
                }
            });
        }
    });
}

/// A probe that makes up names.
fn flood(central: &Central, over: &AtomicBool) {
    let (api, id) = (central.api_of_server(SERVERS), central.servers[SERVERS].id);
    let begin_s = unix_ms() / 60_000 * 60 - 3600;
    for seq in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        // Continues whatever the answer. Its records are distinct, so sums need not be looked up.
        let points: Vec<_> = (0..2000u64).map(|n| point(&format!("x{}.made.up.", seq * 2000 + n), "A", REQUEST, 1, 0)).collect();
        let _ = api.post_batch(encode(&batch(id, 1, seq, begin_s + (seq % 60) * 60, &points)));
    }
}

/// Logins with nonexistent names.
fn wrong_passwords(central: &Central, over: &AtomicBool) {
    let mut attempt = 0u64;
    while !over.load(Ordering::Relaxed) {
        attempt += 1;
        let Ok(mut stream) = connect(central, 20_000 + attempt as usize) else { continue };
        // A valid "nobody:N" in base64 is not needed: any octets are a nonexistent name.
        let request = format!(
            "GET /api/v2/settings HTTP/1.1\r\nhost: x\r\nauthorization: Basic bm9ib2R5{attempt:08}\r\nconnection: close\r\n\r\n"
        );
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.read(&mut [0; 512]);
    }
}
