//! Certificate authorities that commands trust when they connect to a running central.

use crate::Error;
use std::path::Path;
use zonepulse_net::tls::Authorities;
use zonepulse_net::{Trust, http};

/// What to trust at a URL: for `https://`, the certificate authorities in a file, or by default those of this machine.
///
/// Without TLS the file need not exist.
pub fn trust_at(url: &str, ca_file: Option<&Path>) -> Result<Trust, Error> {
    if http::is_https(url) { trust(ca_file) } else { Ok(Trust::System) }
}

/// The certificate authorities in a file, or by default those that this machine trusts.
pub fn trust(ca_file: Option<&Path>) -> Result<Trust, Error> {
    Ok(ca_file.map(Authorities::read).transpose()?.map_or(Trust::System, Trust::Own))
}
