//! Tests broker credentials and reports precisely what fails.
//!
//! Everything a probe does to deliver its first batch is done here step by step: resolve the name, connect, TLS, log
//! in, open the virtual host. Failures of different steps are distinguished because different people fix them: the
//! network's administrator, whoever issued the certificates, the broker's administrator.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use rustls::CertificateError;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use zonepulse_net::Trust;
use zonepulse_net::amqp::{Address, Fault, Progress, Step, connect};
use zonepulse_private::Secret;

/// The broker's address and the credentials to test.
#[derive(Debug)]
pub struct Attempt {
    /// A name or an address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The virtual host.
    pub virtual_host: String,
    /// Which certificates to trust; `None` for no TLS.
    pub trust: Option<Trust>,
    /// Timeout for the whole test.
    pub timeout: Duration,
}

/// The outcome of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// A probe could send there.
    Success,
    /// The name does not resolve.
    NameNotFound,
    /// Nothing is listening on the port.
    ConnectionRefused,
    /// There is no route to the address.
    Unreachable,
    /// There was no answer in time.
    TimedOut,
    /// The peer does not speak TLS.
    NotTls,
    /// The certificate was not issued by a trusted authority.
    UnknownIssuer,
    /// The certificate has expired or is not valid yet.
    CertificateExpired,
    /// The certificate is for other names.
    WrongName,
    /// Any other TLS failure.
    TlsFailed,
    /// The peer does not speak AMQP 0.9.1 on this port.
    NotAmqp,
    /// The user or the password is wrong, or the user may not log in from here.
    AccessRefused,
    /// The virtual host does not exist.
    VirtualHostNotFound,
    /// The user may not use the virtual host.
    VirtualHostRefused,
    /// The broker refuses for another reason.
    Refused,
}

impl Finding {
    /// Every outcome, in the order of the steps.
    pub const ALL: [Finding; 15] = [
        Finding::Success,
        Finding::NameNotFound,
        Finding::ConnectionRefused,
        Finding::Unreachable,
        Finding::TimedOut,
        Finding::NotTls,
        Finding::UnknownIssuer,
        Finding::CertificateExpired,
        Finding::WrongName,
        Finding::TlsFailed,
        Finding::NotAmqp,
        Finding::AccessRefused,
        Finding::VirtualHostNotFound,
        Finding::VirtualHostRefused,
        Finding::Refused,
    ];

    /// The name used in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Finding::Success => "success",
            Finding::NameNotFound => "name_not_found",
            Finding::ConnectionRefused => "connection_refused",
            Finding::Unreachable => "unreachable",
            Finding::TimedOut => "timed_out",
            Finding::NotTls => "not_tls",
            Finding::UnknownIssuer => "unknown_issuer",
            Finding::CertificateExpired => "certificate_expired",
            Finding::WrongName => "wrong_name",
            Finding::TlsFailed => "tls_failed",
            Finding::NotAmqp => "not_amqp",
            Finding::AccessRefused => "access_refused",
            Finding::VirtualHostNotFound => "virtual_host_not_found",
            Finding::VirtualHostRefused => "virtual_host_refused",
            Finding::Refused => "refused",
        }
    }
}

/// The outcome of a test, with an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub finding: Finding,
    /// An explanation, with what to do about it.
    pub detail: String,
}

impl Attempt {
    /// Runs the test. It sends nothing except what logging in requires. Fails if the trusted certificates cannot be read.
    pub async fn run(self) -> Result<Verdict, zonepulse_net::Error> {
        let tls = self.trust.as_ref().map(Trust::client_config).transpose()?.map(Arc::new);
        let Attempt { address, port, user, password, virtual_host, .. } = &self;
        let address = Address::new(address, *port, self.trust.is_some(), virtual_host, user, password);
        let progress = Progress::default();
        let trying = async {
            let connection = connect(&address, tls, "zonepulse trial", &progress).await?;
            // A broker that closes the connection first has still admitted the user.
            let _ = connection.close(200, "it works".into()).await;
            Ok(())
        };
        let outcome = tokio::time::timeout(self.timeout, trying).await;
        progress.abort();
        Ok(match outcome {
            Err(_) => self.timed_out(progress.step()),
            Ok(Ok(())) => verdict(Finding::Success, format_args!("{} takes what this user sends", self.place())),
            Ok(Err(Fault::Before { step, error })) => self.before_amqp(step, &error),
            Ok(Err(Fault::Broker(error))) => self.in_amqp(&error),
        })
    }

    fn place(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    fn timed_out(&self, step: Step) -> Verdict {
        let (place, ms) = (self.place(), self.timeout.as_millis());
        verdict(Finding::TimedOut, format_args!("{place}: {} was not over after {ms} ms", step.as_str()))
    }

    /// Classifies a failure before the AMQP handshake.
    fn before_amqp(&self, step: Step, error: &io::Error) -> Verdict {
        let place = self.place();
        match step {
            Step::Name => verdict(Finding::NameNotFound, format_args!("no address is known for {:?}: {error}", self.address)),
            Step::Tls => self.in_tls(error),
            Step::Connect | Step::LogIn => match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    verdict(Finding::ConnectionRefused, format_args!("{place}: nobody listens there, or a firewall refuses"))
                }
                io::ErrorKind::TimedOut => self.timed_out(step),
                _ => verdict(Finding::Unreachable, format_args!("{place} cannot be reached: {error}")),
            },
        }
    }

    fn in_tls(&self, error: &io::Error) -> Verdict {
        let place = self.place();
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
            let detail =
                format_args!("{place} ends the connection in the TLS handshake ({error}): it may not speak TLS at this port");
            return verdict(Finding::NotTls, detail);
        };
        let finding = match error {
            rustls::Error::InvalidMessage(_) => {
                return verdict(
                    Finding::NotTls,
                    format_args!("{place} does not speak TLS; RabbitMQ's port for it is usually 5671"),
                );
            }
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                CertificateError::UnknownIssuer => Finding::UnknownIssuer,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Finding::CertificateExpired,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Finding::WrongName,
                _ => Finding::TlsFailed,
            },
            _ => Finding::TlsFailed,
        };
        verdict(finding, format_args!("{place}: {error}"))
    }

    fn in_amqp(&self, error: &lapin::Error) -> Verdict {
        let place = self.place();
        match error.kind() {
            ErrorKind::ProtocolError(said) => {
                let text = said.get_message().as_str();
                let finding = match said.kind() {
                    AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Finding::AccessRefused,
                    AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if text.contains("not found") => Finding::VirtualHostNotFound,
                    AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if text.contains("access to vhost") => {
                        Finding::VirtualHostRefused
                    }
                    _ => Finding::Refused,
                };
                verdict(finding, format_args!("{place}: {text}"))
            }
            ErrorKind::IOError(_) | ErrorKind::ParsingError(_) | ErrorKind::InvalidProtocolVersion(_) => {
                let hint = if self.trust.is_none() { "; it may want TLS at this port" } else { "" };
                verdict(Finding::NotAmqp, format_args!("{place} does not speak AMQP 0.9.1{hint}: {error}"))
            }
            _ => verdict(Finding::Refused, format_args!("{place}: {error}")),
        }
    }
}

fn verdict(finding: Finding, detail: impl std::fmt::Display) -> Verdict {
    Verdict { finding, detail: detail.to_string() }
}
