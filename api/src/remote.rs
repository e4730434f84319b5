//! Whom commands trust when they connect to a central that is running.

use crate::Error;
use std::path::Path;
use zonepulse_net::tls::Authorities;
use zonepulse_net::{Trust, http};

/// Whom to trust at an address: with `https://`, the authorities of a file, or without one those of this machine.
///
/// Without TLS the file need not exist.
pub fn trust_at(url: &str, ca_file: Option<&Path>) -> Result<Trust, Error> {
    if http::is_https(url) { trust(ca_file) } else { Ok(Trust::System) }
}

/// The authorities of a file, or without one those that this machine trusts.
pub fn trust(ca_file: Option<&Path>) -> Result<Trust, Error> {
    Ok(ca_file.map(Authorities::read).transpose()?.map_or(Trust::System, Trust::Own))
}
