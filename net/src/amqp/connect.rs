//! Connecting step by step: resolve the name, connect, TLS, log in and open the virtual host.

use super::Address;
use lapin::runtime::default_runtime;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::{Connection, ConnectionProperties};
use rustls::ClientConfig;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A step of connecting. A failure is fixed by someone else in each case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step {
    /// Resolving the host name.
    #[default]
    Name,
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The AMQP login.
    LogIn,
}

impl Step {
    /// A description.
    pub const fn as_str(self) -> &'static str {
        match self {
            Step::Name => "finding the address",
            Step::Connect => "connecting",
            Step::Tls => "the TLS handshake",
            Step::LogIn => "logging in",
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A step failed before AMQP started.
    #[error("{}: {error}", .step.as_str())]
    Before {
        /// The step.
        step: Step,
        /// The cause.
        error: io::Error,
    },
    /// The broker rejected the login, or the peer is not a broker.
    #[error(transparent)]
    Broker(lapin::Error),
}

/// The progress of an attempt, for observers. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    step: Step,
    /// The error of a step before AMQP; the library keeps only its kind.
    broken: Option<io::Error>,
    /// Allows an abandoned connection to be closed.
    socket: Option<TcpStream>,
}

impl Progress {
    /// The current or last step.
    pub fn step(&self) -> Step {
        self.lock().step
    }

    /// Aborts whatever is left of the attempt.
    pub fn abort(&self) {
        if let Some(socket) = self.lock().socket.take() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn begin(&self, step: Step) {
        self.lock().step = step;
    }

    fn break_off(&self, error: io::Error) -> lapin::Error {
        let kind = error.kind();
        self.lock().broken = Some(error);
        io::Error::from(kind).into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection with this name. `tls` is required for encrypted addresses, and ignored for
/// others.
pub async fn connect(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
    name: &str,
    progress: &Progress,
) -> Result<Connection, Fault> {
    let opened = open(address, tls, name, progress.clone()).await;
    opened.map_err(|error| {
        let mut state = progress.lock();
        match state.broken.take() {
            Some(error) => Fault::Before { step: state.step, error },
            None => Fault::Broker(error),
        }
    })
}

async fn open(address: &Address, tls: Option<Arc<ClientConfig>>, name: &str, progress: Progress) -> lapin::Result<Connection> {
    let addresses = resolve(address).await.map_err(|error| progress.break_off(error))?;
    let connector = match (address.is_encrypted(), tls) {
        (false, _) => None,
        (true, Some(tls)) => Some(RustlsConnector::from(tls)),
        (true, None) => return Err(progress.break_off(io::Error::other("no trusted certificates are configured"))),
    };
    let host = address.host().to_owned();
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let opening = Connection::connector(
        address.uri(),
        default_runtime()?,
        async move |_, runtime| {
            progress.begin(Step::Connect);
            let stream = AsyncTcpStream::connect(&runtime, addresses.clone()).await;
            let stream = stream.map_err(|error| progress.break_off(error))?;
            if let AsyncTcpStream::Plain(socket) = &stream {
                progress.lock().socket = socket.get_ref().as_fd().try_clone_to_owned().ok().map(TcpStream::from);
            }
            let stream = match &connector {
                Some(connector) => {
                    progress.begin(Step::Tls);
                    stream.into_rustls(connector, &host).await.map_err(|error| progress.break_off(error))?
                }
                None => stream,
            };
            progress.begin(Step::LogIn);
            Ok(stream)
        },
        properties,
    );
    opening.await
}

async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((address.host(), address.port())).await?.collect();
    if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    async fn fault(url: String, tls: Option<Arc<ClientConfig>>) -> (Step, Fault) {
        let (address, progress) = (Address::parse(&url.into()).unwrap(), Progress::default());
        let fault = connect(&address, tls, "test", &progress).await.err().unwrap();
        (progress.step(), fault)
    }

    #[tokio::test]
    async fn the_failed_step_is_reported_with_its_cause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let (step, error) = fault(format!("amqp://127.0.0.1:{port}"), None).await;
        assert_eq!(step, Step::Connect);
        assert!(error.to_string().contains("connecting: Connection refused"), "{error}");
        let (step, error) = fault("amqp://no.such.host.invalid".to_owned(), None).await;
        assert!(step == Step::Name && matches!(error, Fault::Before { step: Step::Name, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_peer_without_tls_fails_the_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1]).await;
        });
        let tls = Arc::new(crate::Trust::Anybody.client_config().unwrap());
        let (step, error) = fault(format!("amqps://127.0.0.1:{port}"), Some(tls)).await;
        assert!(step == Step::Tls && matches!(error, Fault::Before { step: Step::Tls, .. }), "{error}");
    }
}
