//! A small HTTP server with bounded resources.
//!
//! `zonepulse_net` bounds its connections: their number in total and per client, the time for a
//! request head, and the minimum speed of bodies and answers. Authenticated connections keep their
//! places; when places run out, others are closed, which is counted. With a certificate it serves
//! HTTPS.

use crate::status::Status;
use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tower::Service;
use zonepulse_net::tls::{Acceptor, Certificate};
use zonepulse_net::{Bounds, Limits, Paced, Places};

pub(crate) use zonepulse_net::Visitor;

/// How long requests may continue while the server shuts down.
const FAREWELL: Duration = Duration::from_secs(3);

/// A listening server.
pub(crate) struct Server {
    listener: TcpListener,
    limits: Limits,
}

/// Shuts down a server when dropped; requests in progress may finish.
pub(crate) struct Running(watch::Sender<bool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Starts listening.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Server { listener, limits: Limits::default() })
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves on a separate task until the returned value is dropped.
    pub(crate) fn start(
        self,
        app: Router,
        certificate: Option<Certificate>,
        max_connections: usize,
        status: Arc<Status>,
    ) -> io::Result<Running> {
        let (end, ended) = watch::channel(false);
        let server = zonepulse_net::Server {
            listener: tokio::net::TcpListener::from_std(self.listener)?,
            tls: certificate.map(Acceptor::new),
            places: Places::counting(bounds(max_connections), status.counts.connections_refused.clone()),
            limits: self.limits,
            proxies: Arc::new([]),
        };
        let answer = move |request: Request<Paced>, _| {
            let is_whole = request.extensions().get::<Visitor>().is_none_or(|visitor| !visitor.was_cut_off());
            let answering = is_whole.then(|| app.clone().call(request));
            async move {
                let Some(answering) = answering else { return StatusCode::URI_TOO_LONG.into_response() };
                let Ok(response) = answering.await;
                response
            }
        };
        tokio::spawn(async move {
            let serving = server.serve(answer, is_true(ended.clone()));
            let too_long = async {
                is_true(ended).await;
                tokio::time::sleep(FAREWELL).await;
            };
            tokio::select! {
                () = serving => {}
                () = too_long => {}
            }
        });
        Ok(Running(end))
    }
}

async fn is_true(mut ended: watch::Receiver<bool>) {
    // An error means that the sender is gone, which ends it as well.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Reserves a quarter of the places for authenticated connections.
fn bounds(max_connections: usize) -> Bounds {
    let reserved = max_connections / 4;
    let per_address = max_connections - reserved;
    Bounds { connections: max_connections, per_address, reserved, per_principal: max_connections }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::Extension;
    use axum::routing::get;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    #[tokio::test]
    async fn a_client_with_every_place_loses_them_to_others_which_is_counted() {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.address().unwrap();
        let status = Arc::new(Status::new(1));
        let app = Router::new().route("/", get(|| async { "here" }));
        let running = server.start(app, None, 2, status.clone()).unwrap();
        let asked = tokio::task::spawn_blocking(move || {
            assert!(ask(address).unwrap().ends_with("here"));
            let _idle: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
            std::thread::sleep(Duration::from_millis(200));
            ask(address)
        });
        assert!(asked.await.unwrap().unwrap().ends_with("here"));
        assert!(status.counts.connections_refused.load(Ordering::Relaxed) >= 1);
        drop(running);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(tokio::task::spawn_blocking(move || ask(address)).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn slow_heads_from_everywhere_keep_no_central_out_and_end_in_time() {
        let mut server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        server.limits.head = Duration::from_millis(700);
        let address = server.address().unwrap();
        let status = Arc::new(Status::new(1));
        let shown = |Extension(visitor): Extension<Visitor>| async move {
            visitor.prove(1);
            "here"
        };
        let app = Router::new().route("/", get(|| async { "here" })).route("/shown", get(shown));
        let running = server.start(app, None, 8, status).unwrap();
        let tried = tokio::task::spawn_blocking(move || {
            let mut central = TcpStream::connect(address)?;
            let mut fetch = move || {
                central.write_all(b"GET /shown HTTP/1.1\r\nhost: x\r\n\r\n")?;
                let mut answer = [0; 512];
                let bytes = central.read(&mut answer)?;
                io::Result::Ok(answer[..bytes].ends_with(b"here"))
            };
            assert!(fetch()?);
            let mut slow: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
            let began = Instant::now();
            for round in 0..12 {
                // Sending a byte now and then does not extend the deadline.
                slow.iter_mut().for_each(|stream| drop(stream.write_all(b"G")));
                assert!(fetch()?, "{round}");
                assert!(ask(address)?.ends_with("here"), "{round}");
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
            for mut stream in slow {
                stream.set_read_timeout(Some(Duration::from_millis(500)))?;
                assert!(!matches!(stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock));
            }
            io::Result::Ok(())
        });
        tried.await.unwrap().unwrap();
        drop(running);
    }
}
