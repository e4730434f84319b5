//! Who may pull from the probe, and where.

use super::secrets::{check_token, token};
use super::{Config, bounds, wrong};
use crate::Error;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use zonepulse_net::tls::Certificate;
use zonepulse_private::Secret;

/// `[pull]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pull {
    /// Address for the central to connect to.
    pub listen: Option<SocketAddr>,
    /// The token that the central presents.
    pub token: Option<Secret>,
    /// A file that contains that token.
    pub token_file: Option<PathBuf>,
    /// The probe's certificate chain, PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Maximum number of connections.
    pub max_connections: usize,
}

/// Where to listen, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The token that the central presents.
    pub token: Secret,
    /// The probe's certificate; plain HTTP without one.
    pub certificate: Option<Certificate>,
    /// Maximum number of connections.
    pub max_connections: usize,
}

impl Pull {
    pub(super) fn check(&self) -> Result<(), String> {
        let Pull { token, token_file, certificate_file, key_file, max_connections, listen } = self;
        if token.is_some() && token_file.is_some() {
            return Err("pull.token, token_file: give only one of them".to_owned());
        }
        if certificate_file.is_some() != key_file.is_some() {
            return Err("pull.certificate_file, key_file: give both, or neither for plain HTTP".to_owned());
        }
        bounds::absolute("pull.token_file", token_file.as_deref())?;
        bounds::absolute("pull.certificate_file", certificate_file.as_deref())?;
        bounds::absolute("pull.key_file", key_file.as_deref())?;
        bounds::within("pull.max_connections", *max_connections as u64, 1..=64)?;
        bounds::has_port("pull.listen", listen.as_ref())
    }
}

impl Config {
    /// Settings for being pulled from with the central's token, or else the configured one; reads
    /// the token file and the certificate.
    pub fn pull(&self, given: Option<&Secret>) -> Result<Settings, Error> {
        let Pull { listen, token: secret, token_file, certificate_file, key_file, max_connections } = &self.pull;
        let listen = listen.ok_or_else(|| wrong("pull.listen", "is missing, so the central cannot pull"))?;
        let token = match given {
            Some(given) => check_token(given).map(|()| Some(given.clone())).map_err(|what| wrong("pull_token", what))?,
            None => token("pull.token", secret.as_ref(), token_file.as_ref())?,
        };
        let token = token.ok_or_else(|| wrong("pull.token", "is missing, and so is token_file: anyone could pull"))?;
        let certificate = match (certificate_file, key_file) {
            (Some(certificate), Some(key)) => {
                zonepulse_private::check_key(key)?;
                Some(Certificate::read(certificate, key, None)?)
            }
            _ => None,
        };
        Ok(Settings { listen, token, certificate, max_connections: *max_connections })
    }
}

impl Default for Pull {
    fn default() -> Self {
        Pull { listen: None, token: None, token_file: None, certificate_file: None, key_file: None, max_connections: 8 }
    }
}
