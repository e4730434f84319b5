//! Opening a connection step by step: find the name, connect, TLS, log in and open the virtual host.

use super::Address;
use lapin::runtime::default_runtime;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::{Connection, ConnectionProperties};
use rustls::ClientConfig;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far an attempt went. Each step is mended by somebody else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step {
    /// Finding the address of a name.
    #[default]
    Name,
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// What the broker is asked.
    LogIn,
}

impl Step {
    /// In words.
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
    /// A step failed before the broker was spoken to.
    #[error("{}: {error}", .step.as_str())]
    Before {
        /// Which one.
        step: Step,
        /// Why.
        error: io::Error,
    },
    /// The broker refuses, or what answers is none.
    #[error(transparent)]
    Broker(lapin::Error),
}

/// How far an attempt has come, for whoever watches it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    step: Step,
    /// What broke a step before AMQP began: the library keeps only its kind.
    broken: Option<io::Error>,
    /// To end a connection that nobody waits for any more.
    socket: Option<TcpStream>,
}

impl Progress {
    /// The step that is, or was, under way.
    pub fn step(&self) -> Step {
        self.lock().step
    }

    /// Ends whatever is left of the attempt.
    pub fn abort(&self) {
        if let Some(socket) = self.lock().socket.take() {
            // It may be gone already.
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

/// Opens a connection with this name. `tls` is needed for an address that is encrypted, and not used for others.
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
        (true, None) => return Err(progress.break_off(io::Error::other("there is nobody to trust"))),
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
    async fn the_step_that_failed_is_told_with_its_reason() {
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
    async fn what_speaks_no_tls_breaks_the_handshake() {
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
