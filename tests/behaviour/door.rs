//! Clients that hold connections to keep others out: probes and health checks are admitted all the
//! same, and memory stays within bounds.

use libtest_mimic::Trial;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use zonepulse_tests::api::{BATCH, block_on};
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Central, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("slow_heads_on_every_place_keep_no_probe_out", slow_heads),
        test("large_heads_take_little_memory", large_heads),
        test("clients_that_do_not_read_hold_nothing_for_long", unread_answers),
        test("bodies_that_are_announced_and_not_sent_refuse_no_other_server", announced_bodies),
    ]
}

/// More than the central's places.
const CONNECTIONS: usize = 1100;
/// Time limit for a health check.
const HEALTH: Duration = Duration::from_millis(100);

/// A connection from one of many addresses of this machine, or its usual one.
fn connect(port: u16, number: usize) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        if number % 2 == 1 {
            let from = [127, 1, (number / 200) as u8, (number % 200) as u8 + 1];
            socket.bind(SocketAddr::from((from, 0))).expect("every address of 127.0.0.0/8 is this machine's");
        }
        socket.connect(address).await.and_then(tokio::net::TcpStream::into_std).expect("the central listens")
    });
    stream.set_nonblocking(false).expect("a socket can block");
    stream.set_write_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    stream
}

/// The duration of a health check on its own connection; panics unless it is answered.
fn health(port: u16) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    assert!(text.starts_with("HTTP/1.1 200"), "{text:?}");
    began.elapsed()
}

/// Sends a byte; returns whether the peer has closed.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket need not block");
    let sent = stream.write(b"G");
    let closed = |result: std::io::Result<usize>| match result {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    closed(sent) || closed(stream.read(&mut [0; 512]))
}

fn slow_heads() {
    let central = Central::start_configured(&["ns1"], "[limits]\nhead_timeout_s = 6\n");
    let (api, port) = (central.api_of_server(0), central.port());
    let id = central.servers[0].id;
    scope(|scope| {
        let until = Instant::now() + Duration::from_secs(10);
        // Each sends a byte of its head now and then, and reconnects when closed.
        let attacker = scope.spawn(move || {
            let mut held: Vec<_> = (0..CONNECTIONS).map(|number| (connect(port, number), Instant::now())).collect();
            let (mut closed, mut longest) = (0, Duration::ZERO);
            while Instant::now() < until {
                for (number, (stream, since)) in held.iter_mut().enumerate() {
                    if is_closed(stream) {
                        closed += 1;
                        longest = longest.max(since.elapsed());
                        (*stream, *since) = (connect(port, number), Instant::now());
                    }
                }
                sleep(Duration::from_millis(200));
            }
            (closed, longest)
        });
        sleep(Duration::from_secs(1));
        let (mut seq, mut slowest) = (0, Duration::ZERO);
        let start_s = unix_ms() / 60_000 * 60 - 36_000;
        while Instant::now() < until {
            let rows = [point("www.example.", "A", REQUEST, 1, 0)];
            let response = api.post_batch(encode(&batch(id, 1, seq, start_s + 60 * seq, &rows)));
            assert_eq!(response.status, 204, "{}", response.text());
            slowest = slowest.max(health(port));
            seq += 1;
            sleep(Duration::from_millis(50));
        }
        let (closed, longest) = attacker.join().expect("the attacker goes on");
        eprintln!("door: {seq} batches, health {slowest:?} at most, {closed} connections closed, after {longest:?} at most");
        assert!(seq > 50 && slowest < HEALTH, "{seq} batches, health took {slowest:?}");
        assert!(closed > 0 && longest < Duration::from_secs(9), "{longest:?}");
    });
    let metrics = central.api().get("/metrics", &[], "text/plain").text();
    let displaced = metrics.lines().find_map(|line| line.strip_prefix("zonepulse_http_connections_displaced_total "));
    assert!(displaced.is_some_and(|count| count != "0"), "{metrics}");
}

/// A field of proc_pid_status(5) in KiB.
fn resident_kib(central: &Central) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", central.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a field of proc_pid_status(5)");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn large_heads() {
    let central = Central::start(&["ns1"]);
    let port = central.port();
    let before_kib = resident_kib(&central);
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(390_000));
    let mut held = Vec::new();
    for number in 0..1000 {
        let mut stream = connect(port, number);
        // A rejected connection may be reset before everything is sent.
        let _ = stream.write_all(head.as_bytes());
        held.push(stream);
    }
    let grown_kib = resident_kib(&central).saturating_sub(before_kib);
    eprintln!("door: {grown_kib} KiB more for 1000 connections with heads of 390 kB");
    assert!(grown_kib < 64 << 10, "{grown_kib} KiB");
    assert!(health(port) < Duration::from_secs(1));
    let mut status = [0; 12];
    held.last_mut().expect("a connection").read_exact(&mut status).expect("the last one is answered");
    assert_eq!(&status, b"HTTP/1.1 431");
}

fn unread_answers() {
    let central = Central::start(&["ns1"]);
    let port = central.port();
    // The largest answers available to everyone, many times on each connection.
    let request = "GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20);
    let mut held: Vec<_> = (0..100)
        .map(|number| {
            let mut stream = connect(port, number);
            stream.write_all(request.as_bytes()).expect("it reads");
            stream
        })
        .collect();
    let began = Instant::now();
    let count = || {
        let metrics = central.api().get("/metrics", &[], "text/plain").text();
        let count = metrics.lines().find_map(|line| line.strip_prefix("zonepulse_http_connections_unread_total "));
        count.expect("a metric").parse::<usize>().expect("a number")
    };
    while count() < 100 && began.elapsed() < Duration::from_secs(40) {
        assert!(health(port) < Duration::from_secs(1));
        sleep(Duration::from_millis(500));
    }
    assert_eq!(count(), 100, "after {:?}", began.elapsed());
    held.clear();
}

/// One server announces far more than may be in memory at once and sends one byte of each body;
/// batches of another are accepted.
fn announced_bodies() {
    let central = Central::start(&["ns1", "flooder"]);
    let (api, port, id) = (central.api_of_server(0), central.port(), central.servers[0].id);
    let head = format!(
        "POST /api/v2/batches HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: {BATCH}\r\n\
         content-length: {}\r\n\r\nZ",
        central.servers[1].token,
        16 << 20
    );
    let mut held: Vec<_> = (0..64).map(|number| connect(port, number)).collect();
    for stream in &mut held {
        // Those beyond its share may have been answered and closed before everything was sent.
        let _ = stream.write_all(head.as_bytes());
    }
    let start_s = unix_ms() / 60_000 * 60 - 36_000;
    for seq in 0..100 {
        let rows = [point("www.example.", "A", REQUEST, 1, 0)];
        let response = api.post_batch(encode(&batch(id, 1, seq, start_s + 60 * seq, &rows)));
        assert_eq!(response.status, 204, "batch {seq}: {}", response.text());
        assert!(health(port) < HEALTH);
    }
    drop(held);
}
