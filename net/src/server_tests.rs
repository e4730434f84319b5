//! A listener as seen by its clients, with short deadlines.

use super::*;
use crate::places::Bounds;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);

struct Running {
    address: SocketAddr,
    places: Places,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn limits() -> Limits {
    Limits { head: 300 * MS, idle: 600 * MS, stall: 300 * MS, linger: 2000 * MS, ..Limits::default() }
}

/// A body of this many bytes.
struct Bytes4K(usize);

impl Body for Bytes4K {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        static ZEROS: [u8; 4096] = [0; 4096];
        let size = self.0.min(ZEROS.len());
        self.0 -= size;
        std::task::Poll::Ready((size > 0).then(|| Ok(http_body::Frame::data(Bytes::from_static(&ZEROS[..size])))))
    }
}

/// Reads a body to its end and returns its size.
async fn size(mut body: Paced) -> Result<usize, BoxError> {
    let mut size = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        size += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(size)
}

/// `/refuse` answers 413 at once, `/read` reads everything and answers 200 or 408, `/large` sends a
/// large answer, `/slow` takes 400 ms, `/mine` authenticates, everything else is answered with 200.
async fn answer(request: Request<Paced>) -> Response<Bytes4K> {
    let visitor = request.extensions().get::<Visitor>().unwrap().clone();
    if visitor.was_cut_off() {
        return Response::builder().status(414).body(Bytes4K(0)).unwrap();
    }
    let (status, bytes) = match request.uri().path() {
        "/refuse" => (413, 0),
        "/read" => match size(request.into_body()).await {
            Ok(_) => (200, 0),
            Err(error) => (if error.is::<crate::TooSlow>() { 408 } else { 400 }, 0),
        },
        "/large" => (200, 64 << 20),
        "/slow" => {
            sleep(400 * MS).await;
            (200, 0)
        }
        "/mine" => {
            visitor.prove(7);
            (200, 0)
        }
        _ => (200, 0),
    };
    Response::builder().status(status).body(Bytes4K(bytes)).unwrap()
}

async fn start(limits: Limits, bounds: Bounds) -> Running {
    start_with(None, limits, bounds).await
}

async fn start_with(tls: Option<Acceptor>, limits: Limits, bounds: Bounds) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let places = Places::new(bounds);
    let (end, ended) = oneshot::channel();
    let server = Server { listener, tls, places: places.clone(), limits, proxies: Arc::new([]) };
    let task = tokio::spawn(server.serve(|request, _| answer(request), async {
        let _ = ended.await;
    }));
    Running { address, places, end, task }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes; returns everything received until the connection ends.
    async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read(&mut stream).await
    }
}

/// Reads until the end of the connection.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(5000 * MS, stream.read_to_end(&mut text)).await.expect("the connection ends");
    String::from_utf8_lossy(&text).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
}

fn bounds() -> Bounds {
    Bounds { connections: 32, per_address: 32, reserved: 8, per_principal: 4 }
}

#[tokio::test]
async fn a_head_must_be_complete_in_time_however_many_bytes_arrive() {
    let running = start(limits(), bounds()).await;
    let mut stream = running.connect().await;
    let began = Instant::now();
    for byte in get("/").bytes().cycle() {
        if stream.write_all(&[byte.max(b'a')]).await.is_err() || began.elapsed() > 3000 * MS {
            break;
        }
        sleep(20 * MS).await;
    }
    assert!((250 * MS..1000 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!((running.places.open(), running.places.counts().timed_out), (0, 1));
}

#[tokio::test]
async fn a_connection_without_a_next_request_ends_and_one_with_requests_goes_on() {
    let running = start(limits(), bounds()).await;
    let mut stream = running.connect().await;
    let began = Instant::now();
    for _ in 0..4 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection was not kept");
        }
        sleep(200 * MS).await;
    }
    assert!(began.elapsed() > 700 * MS);
    assert_eq!(read(&mut stream).await, "");
    assert!(began.elapsed() < 2500 * MS);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_words() {
    let running = start(limits(), bounds()).await;
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(400_000));
    let answer = running.ask(large).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let answer = running.ask(many).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused_in_words() {
    let running = start(limits(), bounds()).await;
    for length in [17_000, 40_000, 400_000] {
        let answer = running.ask(get(&format!("/{}", "y".repeat(length)))).await;
        assert!(answer.starts_with("HTTP/1.1 414 ") && answer.contains("connection: close"), "{length}: {answer}");
    }
    let answer = running.ask(get(&format!("/{}", "y".repeat(15_000)))).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_everything_first() {
    let running = start(limits(), bounds()).await;
    for head in ["content-length: 33554432", "transfer-encoding: chunked"] {
        let mut stream = running.connect().await;
        stream.write_all(format!("POST /refuse HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n").as_bytes()).await.unwrap();
        for _ in 0..32 {
            stream.write_all(&vec![b'1'; 1 << 20]).await.expect("the input is not read");
        }
        let answer = read(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let running = start(limits(), bounds()).await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"POST /read HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 2\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 25];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").await.unwrap();
    assert!(read(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let refused = running.ask("POST /refuse HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 99\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}

#[tokio::test]
async fn lingering_is_bounded() {
    let limits = Limits { linger: 300 * MS, ..limits() };
    let running = start(limits, bounds()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n").await.unwrap();
    let began = Instant::now();
    while stream.write_all(b"x").await.is_ok() && began.elapsed() < 4000 * MS {
        sleep(10 * MS).await;
    }
    assert!((250 * MS..1500 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused_in_words() {
    let running = start(limits(), bounds()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nhost: a\r\ncontent-length: 16777216\r\n\r\n").await.unwrap();
    let began = Instant::now();
    let (mut reading, mut writing) = stream.split();
    let drip = async {
        loop {
            let _ = writing.write_all(b"x").await;
            sleep(50 * MS).await;
        }
    };
    let mut status = [0; 12];
    tokio::select! {
        () = drip => {}
        read = reading.read_exact(&mut status) => drop(read.unwrap()),
    }
    assert_eq!(&status, b"HTTP/1.1 408");
    assert!((250 * MS..1500 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nothing_for_long() {
    let running = start(limits(), bounds()).await;
    let mut stream = running.connect().await;
    stream.write_all(get("/large").as_bytes()).await.unwrap();
    let began = Instant::now();
    while running.places.counts().unread == 0 && began.elapsed() < 4000 * MS {
        sleep(20 * MS).await;
    }
    assert!((250 * MS..1500 * MS).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(running.places.counts().unread, 1);
    drop(stream);
}

#[tokio::test]
async fn an_answer_of_any_size_reaches_a_client_that_reads() {
    let running = start(limits(), bounds()).await;
    let mut stream = running.connect().await;
    stream.write_all(get("/large").as_bytes()).await.unwrap();
    let mut total = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let bytes = stream.read(&mut buffer).await.unwrap();
        total += bytes;
        if bytes == 0 {
            break;
        }
    }
    assert!(total > 64 << 20, "{total}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_every_place_keeps_no_other_out() {
    let long = Limits { head: 60_000 * MS, ..limits() };
    let running = start(long, Bounds { per_address: 4, ..bounds() }).await;
    let mut known = running.connect().await;
    let keep = b"GET /mine HTTP/1.1\r\nhost: a\r\n\r\n";
    known.write_all(keep).await.unwrap();
    let mut answer = [0; 15];
    known.read_exact(&mut answer).await.unwrap();
    // From many addresses, each up to its limit.
    let mut held = Vec::new();
    for last in 2..60u8 {
        for _ in 0..4 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 1, last], 0))).unwrap();
            let mut stream = socket.connect(running.address).await.unwrap();
            let _ = stream.write_all(b"G").await;
            held.push(stream);
        }
    }
    assert!(running.places.open() <= 32);
    let began = Instant::now();
    assert!(running.ask(get("/")).await.starts_with("HTTP/1.1 200 "));
    assert!(began.elapsed() < 500 * MS, "{:?}", began.elapsed());
    assert_eq!(running.places.authenticated(), 1);
    known.write_all(keep).await.unwrap();
    let mut rest = Vec::new();
    while !String::from_utf8_lossy(&rest).contains("HTTP/1.1 200 OK") {
        assert!(known.read_buf(&mut rest).await.unwrap() > 0, "an authenticated client was displaced");
    }
}

#[tokio::test]
async fn the_end_waits_for_requests_and_not_for_silent_clients() {
    let long = Limits { head: 60_000 * MS, idle: 60_000 * MS, ..limits() };
    let running = start(long, bounds()).await;
    let silent = running.connect().await;
    let mut partial = running.connect().await;
    partial.write_all(b"GET / HT").await.unwrap();
    let mut asking = running.connect().await;
    asking.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    sleep(100 * MS).await;
    let began = Instant::now();
    running.end.send(()).unwrap();
    assert!(read(&mut asking).await.starts_with("HTTP/1.1 200 "));
    drop(asking);
    timeout(3000 * MS, running.task).await.expect("it ends").unwrap();
    assert!(began.elapsed() < 1500 * MS, "{:?}", began.elapsed());
    drop((silent, partial));
}

/// A TLS acceptor without a certificate, which is enough for clients that do not use TLS.
fn without_certificate() -> Acceptor {
    use rustls::server::ResolvesServerCertUsingSni;
    use rustls::{ServerConfig, crypto::ring};
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
    Acceptor::with(Arc::new(config))
}

#[tokio::test]
async fn plain_http_at_an_https_port_is_answered_with_a_hint() {
    let running = start_with(Some(without_certificate()), limits(), bounds()).await;
    let answer = running.ask("GET / HTTP/1.1\r\nhost: central.example:8053\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nthis port speaks HTTPS: https://central.example:8053\n"), "{answer}");
    assert_eq!(running.places.counts().failed_handshakes, 1);
}

#[tokio::test]
async fn the_hint_reaches_a_client_that_sends_everything_first() {
    let running = start_with(Some(without_certificate()), limits(), bounds()).await;
    let mut request = b"POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n".to_vec();
    request.resize(request.len() + (1 << 20), b'x');
    let answer = running.ask(request).await;
    assert!(answer.contains("this port speaks HTTPS: https://a\n"), "{answer}");
}

#[tokio::test]
async fn half_a_request_in_plain_http_holds_no_place_for_long() {
    let running = start_with(Some(without_certificate()), limits(), bounds()).await;
    let began = Instant::now();
    assert_eq!(running.ask("GET / HTTP/1.1\r\n").await, "");
    assert!(began.elapsed() < 1000 * MS, "{:?}", began.elapsed());
    assert_eq!((running.places.open(), running.places.counts().failed_handshakes), (0, 1));
}

#[tokio::test]
async fn bytes_that_are_neither_tls_nor_http_are_a_failed_handshake() {
    let running = start_with(Some(without_certificate()), limits(), bounds()).await;
    let answer = running.ask([0x80, 0x01, 0x02, 0x03, 0x04, 0x05]).await;
    assert!(!answer.contains("HTTP"), "{answer}");
    assert_eq!(running.places.counts().failed_handshakes, 1);
}
