//! A central in this process, spoken to over a connection.

use super::*;
use crate::config::{Metrics, Tls};
use crate::data::{STORE, restrict};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zonepulse_central::credentials::password;

struct Central {
    serving: Serving,
    end: oneshot::Sender<()>,
}

fn settings(dir: &TempDir) -> Settings {
    Settings {
        data: dir.path().join("data"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        limits: crate::config::Limits { shutdown_s: 2, ..Default::default() },
        ..Settings::default()
    }
}

async fn start(settings: &Settings) -> Result<Central, Error> {
    let (end, ended) = oneshot::channel::<()>();
    let serving = serve(settings, zonepulse_query::SqlWorkers::Threads, async {
        let _ = ended.await;
    })
    .await?;
    Ok(Central { serving, end })
}

impl Central {
    async fn end(self) {
        self.end.send(()).unwrap();
        self.serving.finished().await.unwrap();
    }
}

/// The first line of the answer, on a connection of its own.
async fn status(address: SocketAddr, request: &str) -> String {
    answer(TcpStream::connect(address).await.unwrap(), request).await.lines().next().unwrap_or_default().to_owned()
}

/// All of the answer; what arrives before the connection breaks off counts.
async fn answer(mut connection: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A certificate for this machine that vouches for itself, and its files in a folder.
fn certificate(dir: &TempDir) -> (CertifiedKey<KeyPair>, Tls) {
    let tls = Tls {
        certificate_file: Some(dir.path().join("central.crt")),
        key_file: Some(dir.path().join("central.key")),
        ca_file: None,
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(&made, &tls);
    (made, tls)
}

fn write(made: &CertifiedKey<KeyPair>, tls: &Tls) {
    std::fs::write(tls.certificate_file.as_ref().unwrap(), made.cert.pem()).unwrap();
    std::fs::write(tls.key_file.as_ref().unwrap(), made.signing_key.serialize_pem()).unwrap();
}

/// A connection with TLS, by somebody who believes this certificate alone.
async fn secure(address: SocketAddr, made: &CertifiedKey<KeyPair>) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_central_ends_in_order_and_starts_again_on_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let central = start(&settings(&dir)).await.unwrap();
    assert_eq!(status(central.serving.address(), HEALTH).await, "HTTP/1.1 200 OK");
    let Administrator::Made { password, file } = central.serving.administrator().clone() else { panic!() };
    central.end().await;
    let central = start(&settings(&dir)).await.unwrap();
    assert_eq!(central.serving.administrator(), &Administrator::Written(file));
    central.end().await;
    let store = open(&dir.path().join("data"), &Default::default()).unwrap();
    let user = store.registry().user("admin").unwrap().unwrap();
    assert!(password::verify(password.reveal(), &user.password_hash));
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A data directory and all that is in it.
fn everything(data: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    [vec![data.to_owned()], below(data), below(&data.join(STORE))].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accessible_data_directory_is_restricted_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    start(&settings(&dir)).await.unwrap().end().await;
    let data = dir.path().join("data");
    for path in everything(&data) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    restrict(&data).unwrap();
    for path in everything(&data) {
        assert_eq!(mode(&path) & 0o077, 0, "{} {:o}", path.display(), mode(&path));
    }
    assert_eq!(mode(&data.join("admin-credentials")), 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_directory_is_no_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir);
    std::fs::create_dir_all(settings.data.join("home")).unwrap();
    set_mode(&settings.data, 0o755);
    let Err(refused) = start(&settings).await else { panic!("it is used") };
    let said = refused.to_string();
    assert!(said.contains(&format!("chmod 700 {}", settings.data.display())) && said.contains("it contains home/"), "{said}");
    assert_eq!(mode(&settings.data), 0o755);
    set_mode(&settings.data, 0o700);
    start(&settings).await.unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificates_key_is_restricted_at_start_and_at_reload() {
    let dir = tempfile::tempdir().unwrap();
    let (_, tls) = certificate(&dir);
    let key = tls.key_file.clone().unwrap();
    set_mode(&key, 0o644);
    let settings = Settings { tls, ..settings(&dir) };
    let central = start(&settings).await.unwrap();
    assert_eq!(mode(&key), 0o600);
    set_mode(&key, 0o644);
    central.serving.live().apply(&settings).unwrap();
    assert_eq!(mode(&key), 0o600);
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_central_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let central = start(&settings(&dir)).await.unwrap();
    let Err(Error::InUse(data)) = start(&settings(&dir)).await else { panic!() };
    assert_eq!(data, dir.path().join("data"));
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = Settings { listen: taken.local_addr().unwrap(), ..settings(&dir) };
    assert!(matches!(start(&settings).await, Err(Error::Listen { .. })));
    assert!(!settings.data.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let central = start(&settings(&dir)).await.unwrap();
    let mut half = TcpStream::connect(central.serving.address()).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    assert_eq!(status(central.serving.address(), HEALTH).await, "HTTP/1.1 200 OK");
    let began = Instant::now();
    central.end().await;
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_past_the_bound_takes_the_place_of_one_that_has_said_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.max_connections = 1;
    let central = start(&settings).await.unwrap();
    let address = central.serving.address();
    let mut first = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(address, HEALTH).await, "HTTP/1.1 200 OK");
    // Ended by an end or a reset, not by a deadline.
    let ended = tokio::time::timeout(Duration::from_secs(2), first.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (made, tls) = certificate(&dir);
    let central = start(&Settings { tls, ..settings(&dir) }).await.unwrap();
    let address = central.serving.address();
    assert_eq!(central.serving.url(), format!("https://{address}"));
    let said = answer(secure(address, &made).await.unwrap(), HEALTH).await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    let in_the_clear = answer(TcpStream::connect(address).await.unwrap(), HEALTH).await;
    assert!(in_the_clear.starts_with("HTTP/1.1 400 "), "{in_the_clear}");
    assert!(in_the_clear.contains("this port speaks HTTPS: https://a\n"), "{in_the_clear}");
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_hold_up_nobody_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (made, tls) = certificate(&dir);
    let central = start(&Settings { tls, ..settings(&dir) }).await.unwrap();
    let address = central.serving.address();
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        // The beginning of a ClientHello.
        connection.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        slow.push(connection);
    }
    let began = Instant::now();
    let said = answer(secure(address, &made).await.unwrap(), HEALTH).await;
    assert!(said.starts_with("HTTP/1.1 200 OK") && began.elapsed() < Duration::from_secs(2), "{said}");
    let began = Instant::now();
    central.end().await;
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_while_connections_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (first, tls) = certificate(&dir);
    let settings = Settings { tls: tls.clone(), ..settings(&dir) };
    let central = start(&settings).await.unwrap();
    let address = central.serving.address();
    let mut connected = secure(address, &first).await.unwrap();
    connected.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    connected.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");

    let second = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write(&second, &tls);
    central.serving.live().apply(&settings).unwrap();
    assert!(secure(address, &first).await.is_err());
    assert!(secure(address, &second).await.is_ok());
    let said = answer(connected, HEALTH).await;
    assert!(said.contains("HTTP/1.1 200 OK"), "{said}");

    // What cannot be used changes nothing.
    std::fs::write(tls.key_file.as_ref().unwrap(), "nothing").unwrap();
    assert!(matches!(central.serving.live().apply(&settings), Err(Error::Certificate { .. })));
    assert!(secure(address, &second).await.is_ok());
    central.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (_, tls) = certificate(&dir);
    std::fs::write(tls.certificate_file.as_ref().unwrap(), "nothing").unwrap();
    let settings = Settings { tls, ..settings(&dir) };
    assert!(matches!(start(&settings).await, Err(Error::Certificate { .. })));
    assert!(!settings.data.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_for_the_monitoring_has_metrics_and_health_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let central = start(&Settings { metrics: Metrics { listen }, ..settings(&dir) }).await.unwrap();
    let address = central.serving.monitoring_address().unwrap();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(address, &ask(path)).await, "HTTP/1.1 200 OK", "{path}");
    }
    for path in ["/", "/api/v2/servers", "/api/docs/"] {
        assert_eq!(status(address, &ask(path)).await, "HTTP/1.1 404 Not Found", "{path}");
    }
    let metrics = answer(TcpStream::connect(address).await.unwrap(), &ask("/metrics")).await;
    for line in ["zonepulse_committer_running 1\n", "zonepulse_batches_committed_total 0\n", "# EOF"] {
        assert!(metrics.contains(line), "{line:?} is not in {metrics}");
    }
    assert_eq!(status(central.serving.address(), &ask("/metrics")).await, "HTTP/1.1 401 Unauthorized");
    central.end().await;
}

/// Attackers, each at what they do worst.
#[path = "door_tests.rs"]
mod door;
