//! HTTP clients for a central.

use crate::Error;
use reqwest::Client;
use std::time::Duration;
use zonepulse_net::{Trust, http};

/// Timeout for connecting to a central.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum bytes shown of an error response.
pub const PROBLEM_BYTES: usize = 16 << 10;

/// A client for the central at this address, which may be silent for up to `silence`.
pub fn client(url: &str, trust: &Trust, silence: Duration) -> Result<Client, Error> {
    Ok(http::build(http::client(url, trust)?.connect_timeout(CONNECT_TIMEOUT).read_timeout(silence))?)
}
