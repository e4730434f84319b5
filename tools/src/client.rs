//! HTTP clients for a central.

use crate::Error;
use reqwest::Client;
use std::time::Duration;
use zonepulse_net::{Trust, http};

/// The time in which a central accepts a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is shown of an answer that is an error, bytes at most.
pub const PROBLEM_BYTES: usize = 16 << 10;

/// A client for the central at this address, which may be silent for so long.
pub fn client(url: &str, trust: &Trust, silence: Duration) -> Result<Client, Error> {
    Ok(http::build(http::client(url, trust)?.connect_timeout(CONNECT_TIMEOUT).read_timeout(silence))?)
}
