//! Tests whether a probe could deliver batches through RabbitMQ: the central does what a probe would do, and reports
//! which step fails.
//!
//! The central connects to an arbitrary address, so this is for administrators only. A stored password is sent only to
//! the stored address, and only over a connection at least as safe as the stored settings.

use crate::{Central, Error};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use zonepulse_ingest::amqp::trial::{Attempt, Finding, Verdict};
use zonepulse_model::{ServerId, Settings};
use zonepulse_net::Trust;
use zonepulse_net::tls::Authorities;
use zonepulse_private::Secret;

/// Maximum number of concurrent attempts: each holds a connection and a waiting caller.
static ATTEMPTS: Semaphore = Semaphore::const_new(4);
/// How long to wait when other attempts are running.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Allowed range for the timeout, milliseconds.
const TIMEOUT_MS: RangeInclusive<u64> = 10..=30_000;

/// Stored settings that apply before the caller says what to try.
#[derive(Debug)]
pub struct Known {
    /// Settings for all servers.
    settings: Settings,
    /// Settings of the named server, if one was named.
    pub stored: Option<Settings>,
}

/// A broker to try.
#[derive(Debug)]
pub struct Broker {
    /// Its FQDN or IP address.
    pub address: String,
    /// Its port; defaults to 5672, or 5671 with TLS.
    pub port: Option<u16>,
    /// The user to log in as.
    pub user: String,
    /// The password to log in with.
    pub password: Secret,
    /// The virtual host; defaults to `/`.
    pub virtual_host: Option<String>,
    /// Whether to use TLS.
    pub tls: bool,
    /// Whether the certificate is verified.
    pub verify_ca: bool,
    /// The trusted certificate authorities, in PEM.
    pub authority: Option<String>,
}

/// Result of an attempt.
#[derive(Debug)]
pub struct Tried {
    /// The outcome.
    pub finding: Finding,
    /// The outcome in words, including the broker's message.
    pub detail: String,
    /// How long the attempt took.
    pub took: Duration,
}

/// Reads the stored settings, for all servers and for a named one.
pub fn known(central: &Central, server_id: Option<u32>) -> Result<Known, Error> {
    let registry = central.store().registry();
    let stored = server_id.map(|id| match registry.server(ServerId::new(id))? {
        Some(server) if !server.is_removed() => Ok(registry.effective_settings(ServerId::new(id))?),
        _ => Err(Error::bad_value("server_id", format_args!("there is no server {id}"))),
    });
    Ok(Known { settings: registry.global_settings()?, stored: stored.transpose()? })
}

impl Known {
    /// The timeout of an attempt; by default `api_timeout_ms` from the settings for all servers.
    pub fn timeout(&self, given_ms: Option<u64>) -> Result<Duration, Error> {
        let timeout_ms = given_ms.unwrap_or(self.settings.api_timeout_ms.into());
        if !TIMEOUT_MS.contains(&timeout_ms) {
            let (least, most) = TIMEOUT_MS.into_inner();
            return Err(Error::bad_value("timeout_ms", format_args!("it has to be from {least} to {most}")));
        }
        Ok(Duration::from_millis(timeout_ms))
    }
}

/// An attempt with the stored settings of a server. The caller may enter a password to replace the stored one; without
/// one, the certificate authority cannot be replaced, so that the stored password is not disclosed to a broker that
/// another authority vouches for.
pub fn as_stored(
    stored: Settings,
    password: Option<Secret>,
    authority: Option<String>,
    timeout: Duration,
) -> Result<Attempt, Error> {
    let password = password.map(|password| checked_secret("rabbitmq_password", password)).transpose()?;
    if authority.is_some() && password.is_none() {
        return Err(Error::bad_value("ca", "with server_id it needs rabbitmq_password in the same request"));
    }
    if stored.rabbitmq_address.is_empty() {
        return Err(Error::bad_value("server_id", "no broker is set for it: rabbitmq_address is empty"));
    }
    Ok(Attempt {
        address: stored.rabbitmq_address,
        port: stored.rabbitmq_port,
        user: stored.rabbitmq_user,
        password: password.unwrap_or(stored.rabbitmq_password.into()),
        virtual_host: stored.rabbitmq_virtual_host,
        trust: stored.rabbitmq_tls.then(|| trust(stored.verify_ca, authority)).transpose()?,
        timeout,
    })
}

/// An attempt with the given values.
pub fn as_given(broker: Broker, timeout: Duration) -> Result<Attempt, Error> {
    let Broker { address, port, user, password, virtual_host, tls, verify_ca, authority } = broker;
    Ok(Attempt {
        address,
        port: port.unwrap_or(if tls { 5671 } else { 5672 }),
        user,
        password,
        virtual_host: virtual_host.unwrap_or_else(|| "/".to_owned()),
        trust: tls.then(|| trust(verify_ca, authority)).transpose()?,
        timeout,
    })
}

/// Does what a probe would do. A failed connection is a finding, not an error.
pub async fn run(attempt: Attempt) -> Result<Tried, Error> {
    let busy = |_| Error::Busy { what: "other credentials are being tried", wait: BUSY_WAIT };
    let _turn = ATTEMPTS.try_acquire().map_err(busy)?;
    let began = Instant::now();
    let Verdict { finding, detail } = attempt.run().await.map_err(|why| Error::bad_value("ca", why))?;
    Ok(Tried { finding, detail, took: began.elapsed() })
}

/// Checks that a text can be sent to the broker.
pub fn checked(name: &'static str, text: String) -> Result<String, Error> {
    match text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        true => Err(Error::bad_value(name, "it has 1 to 255 bytes and no control characters")),
        false => Ok(text),
    }
}

/// Like [`checked`], for a secret.
pub fn checked_secret(name: &'static str, secret: Secret) -> Result<Secret, Error> {
    checked(name, secret.reveal().to_owned()).map(Secret::from)
}

fn trust(verify: bool, authority: Option<String>) -> Result<Trust, Error> {
    let own = |pem: String| Authorities::from_pem(pem.as_bytes()).map_err(|why| Error::bad_value("ca", why));
    match authority {
        _ if !verify => Ok(Trust::Anybody),
        Some(pem) => own(pem).map(Trust::Own),
        None => Ok(Trust::System),
    }
}
