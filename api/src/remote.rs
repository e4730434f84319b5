//! How commands reach a central that is running.

use crate::Error;
use reqwest::Client;
use std::path::Path;
use std::time::Duration;
use zonepulse_net::tls::Authorities;
use zonepulse_net::{Trust, http};

/// A central that is there answers a connection in this time.
const CONNECT: Duration = Duration::from_secs(10);

/// A client for a central at this address. With `https://` it believes the authorities of a file, or without one those
/// that this machine trusts. A request may be silent for so long.
pub fn client(url: &str, ca_file: Option<&Path>, silence: Duration) -> Result<Client, Error> {
    // What is not used needs no file to be there.
    let trust = if http::is_https(url) { trust(ca_file)? } else { Trust::System };
    Ok(http::build(http::client(url, &trust)?.connect_timeout(CONNECT).read_timeout(silence))?)
}

/// The authorities of a file, or without one those that this machine trusts.
pub fn trust(ca_file: Option<&Path>) -> Result<Trust, Error> {
    Ok(ca_file.map(Authorities::read).transpose()?.map_or(Trust::System, Trust::Own))
}
