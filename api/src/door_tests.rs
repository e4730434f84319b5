//! A central in this process, under clients that want to stop or starve it.

use super::*;
use crate::config::Limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::net::Ipv4Addr;
use tokio::net::TcpSocket;
use zonepulse_central::accounts;

/// A central with two servers, and their tokens.
async fn with_servers(dir: &TempDir, limits: Limits) -> (Central, [String; 2]) {
    let settings = Settings { limits, ..settings(dir) };
    let store = open(&settings.data, &settings.store.into()).unwrap();
    let tokens = ["ns1", "ns2"].map(|name| accounts::add_server(&store, name, false).unwrap().1);
    drop(store);
    (start(&settings).await.unwrap(), tokens)
}

fn limits() -> Limits {
    Limits { shutdown_s: 2, ..Limits::default() }
}

/// A connection from another address of this machine.
async fn connect_from(last: [u8; 2], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::from([127, 0, last[0], last[1]]), 0))).unwrap();
    socket.connect(address).await.unwrap()
}

fn head(token: &str, more: &str) -> String {
    format!(
        "POST /api/v2/batches HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-type: application/vnd.zonepulse.batch\r\n{more}\r\n\r\n"
    )
}

/// The status of an answer.
async fn status_of(connection: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    let reading = tokio::time::timeout(Duration::from_secs(20), connection.read_exact(&mut line));
    reading.await.expect("an answer in time").expect("an answer, no reset");
    String::from_utf8_lossy(&line[9..]).parse().unwrap()
}

/// The status that a small batch of this server gets, on a connection of its own: 400, since it is none.
async fn small_batch(address: SocketAddr, token: &str) -> u16 {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(format!("{}x", head(token, "content-length: 1")).as_bytes()).await.unwrap();
    status_of(&mut connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_early_refusal_reaches_a_client_that_sends_everything_first() {
    let dir = tempfile::tempdir().unwrap();
    let (central, [token, _]) = with_servers(&dir, limits()).await;
    let address = central.serving.address();
    let bytes = 20 << 20;
    let length = format!("content-length: {bytes}");
    let typed = |kind: &str| head(&token, &length).replace("application/vnd.zonepulse.batch", kind);
    let of_another_site = head(&token, &format!("{length}\r\nsec-fetch-site: cross-site"));
    let elsewhere = head(&token, &length).replace("/api/v2/batches", "/api/v2/nothing");
    for (head, expected) in [
        (head(&token, &length), 413),
        (head(&token, "transfer-encoding: chunked"), 413),
        (head("wrong", &length), 401),
        (of_another_site, 403),
        (typed("application/json"), 415),
        (typed("text/plain"), 415),
        (elsewhere, 404),
    ] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..bytes >> 20 {
            if head.contains("chunked") {
                connection.write_all(b"100000\r\n").await.unwrap();
            }
            connection.write_all(&piece).await.unwrap_or_else(|error| panic!("{expected}: {error}"));
            if head.contains("chunked") {
                connection.write_all(b"\r\n").await.unwrap();
            }
        }
        assert_eq!(status_of(&mut connection).await, expected, "{head}");
    }
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_announced_and_not_sent_take_nobodys_room() {
    let dir = tempfile::tempdir().unwrap();
    let (central, [greedy, other]) = with_servers(&dir, limits()).await;
    let address = central.serving.address();
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(format!("{}x", head(&greedy, "content-length: 16777216")).as_bytes()).await.unwrap();
        held.push(connection);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((small_batch(address, &greedy).await, small_batch(address, &other).await), (400, 400));
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_all_it_can_is_refused_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_request_bytes: 1 << 20, max_pending_bytes: 8 << 20, ..limits() };
    let (central, [greedy, other]) = with_servers(&dir, limits).await;
    let address = central.serving.address();
    let piece = vec![b'x'; (1 << 20) - 1];
    let mut held = Vec::new();
    for _ in 0..12 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(head(&greedy, "content-length: 1048576").as_bytes()).await.unwrap();
        connection.write_all(&piece).await.unwrap();
        held.push(connection);
    }
    // Those that found no room were told so; the others wait for their last byte.
    let mut refused = 0;
    for connection in &mut held {
        let mut line = [0; 12];
        let reading = tokio::time::timeout(Duration::from_millis(300), connection.read_exact(&mut line));
        refused += usize::from(reading.await.is_ok_and(|read| read.is_ok() && &line == b"HTTP/1.1 503"));
    }
    assert!((6..=9).contains(&refused), "{refused}");
    assert_eq!(small_batch(address, &other).await, 400);
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_heads_are_refused_in_words_and_take_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (central, _) = with_servers(&dir, limits()).await;
    let address = central.serving.address();
    let large = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(390_000));
    let mut held = Vec::new();
    for number in 0..300u16 {
        let mut connection = connect_from([1, number.to_be_bytes()[1]], address).await;
        // Whoever is displaced is reset.
        let _ = connection.write_all(large.as_bytes()).await;
        held.push(connection);
    }
    assert_eq!(status_of(held.last_mut().unwrap()).await, 431);
    let long = format!("GET /healthz?{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(100_000));
    assert_eq!(status(address, &long).await, "HTTP/1.1 414 URI Too Long");
    assert_eq!(status(address, HEALTH).await, "HTTP/1.1 200 OK");
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_with_ever_other_names_delay_nobodys_login() {
    let dir = tempfile::tempdir().unwrap();
    let (central, _) = with_servers(&dir, limits()).await;
    let address = central.serving.address();
    let Administrator::Made { password, .. } = central.serving.administrator().clone() else { panic!() };
    let ask = |name: &str, password: &str| {
        let credentials = STANDARD.encode(format!("{name}:{password}"));
        format!("GET /api/v2/servers HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Basic {credentials}\r\n\r\n")
    };
    let mut guesses = Vec::new();
    for number in 0..800 {
        let mut connection = connect_from([2, 1], address).await;
        let _ = connection.write_all(ask(&format!("guess{number}"), "x").as_bytes()).await;
        guesses.push(connection);
    }
    let began = Instant::now();
    let mut login = connect_from([2, 2], address).await;
    login.write_all(ask("admin", password.reveal()).as_bytes()).await.unwrap();
    assert_eq!(status_of(&mut login).await, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // Few of the guesses were looked at, and the others are told to wait.
    let mut told_to_wait = 0;
    for connection in &mut guesses {
        let mut answer = String::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), connection.read_to_string(&mut answer)).await;
        told_to_wait += usize::from(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: "));
    }
    assert!(told_to_wait > 20, "{told_to_wait}");
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_on_every_place_keep_no_probe_out() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_connections: 64, max_connections_per_address: 8, reserved_connections: 16, ..limits() };
    let (central, [token, _]) = with_servers(&dir, limits).await;
    let address = central.serving.address();
    let mut known = TcpStream::connect(address).await.unwrap();
    let mut slow = Vec::new();
    for round in 0..3u8 {
        known.write_all(format!("{}x", head(&token, "content-length: 1")).as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let bytes = known.read(&mut answer).await.expect("it keeps its place");
        assert!(answer[..bytes].starts_with(b"HTTP/1.1 400"), "{round}");
        for last in 1..=100u8 {
            let mut connection = connect_from([3 + round, last], address).await;
            let _ = connection.write_all(b"POST / HTTP/1.1\r\nx").await;
            slow.push(connection);
        }
        let began = Instant::now();
        assert_eq!((small_batch(address, &token).await, status(address, HEALTH).await.as_str()), (400, "HTTP/1.1 200 OK"));
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    }
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn per_address_bounds_are_about_the_client_behind_a_trusted_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = vec![crate::config::Trusted("127.0.0.1".parse().unwrap())];
    let proxy = Proxy { trusted, ..Proxy::default() };
    let central = start(&Settings { proxy, ..settings(&dir) }).await.unwrap();
    let address = central.serving.address();
    let Administrator::Made { password, .. } = central.serving.administrator().clone() else { panic!() };
    let login = |from: &str, name: &str, password: &str| {
        let credentials = STANDARD.encode(format!("{name}:{password}"));
        format!(
            "GET /api/v2/servers HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: {from}\r\n\
             authorization: Basic {credentials}\r\n\r\n"
        )
    };
    let mut last = String::new();
    for _ in 0..31 {
        last = status(address, &login("10.9.9.9, 198.51.100.1", "admin", "wrong")).await;
    }
    assert_eq!(last, "HTTP/1.1 429 Too Many Requests");
    assert_eq!(status(address, &login("198.51.100.1, 198.51.100.2", "admin", password.reveal())).await, "HTTP/1.1 200 OK");
    central.end().await;
}
