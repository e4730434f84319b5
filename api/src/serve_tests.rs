//! A central in this process, spoken to over a connection.

use super::*;
use crate::credentials::password;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

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
    let serving = serve(settings, async {
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
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
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
    assert!(password::verify(&password, &user.password_hash));
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
async fn connections_past_the_bound_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.max_connections = 1;
    let central = start(&settings).await.unwrap();
    let address = central.serving.address();
    let first = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = tokio::spawn(async move { status(address, HEALTH).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.unwrap(), "HTTP/1.1 200 OK");
    central.end().await;
}
