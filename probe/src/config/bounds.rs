//! What values have to be. A refusal names the key, the value, and what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;

/// More memory and disk than any machine has, bytes.
pub(super) const MOST_BYTES: u64 = 1 << 50;
/// The longest path of a Unix socket, bytes.
const LONGEST_SOCKET: usize = 107;
/// The longest name of a process or device, bytes.
const LONGEST_NAME: usize = 255;

/// A number has to be in a range.
pub(super) fn within(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("{key}: must be from {} to {}, not {value}", range.start(), range.end()))
}

/// A length has to divide the five minutes of a roll-up.
pub(super) fn divides_300(key: &str, value: u32) -> Result<(), String> {
    if value != 0 && 300u32.is_multiple_of(value) {
        return Ok(());
    }
    Err(format!("{key}: must divide 300 (such as 5, 10, 30, 60 or 300), so that sums of 5 minutes stay exact, not {value}"))
}

/// An address to listen at, or to ask, has to have a port.
pub(super) fn has_port(key: &str, address: Option<&SocketAddr>) -> Result<(), String> {
    match address {
        Some(address) if address.port() == 0 => Err(format!("{key}: {address} has no port; give one from 1 to 65535")),
        _ => Ok(()),
    }
}

/// A Unix socket has to have an absolute path that fits.
pub(super) fn socket(key: &str, path: Option<&Path>) -> Result<(), String> {
    absolute(key, path)?;
    match path {
        Some(path) if path.as_os_str().len() > LONGEST_SOCKET => Err(format!(
            "{key}: must have at most {LONGEST_SOCKET} bytes, not {}, as every socket's path",
            path.as_os_str().len()
        )),
        _ => Ok(()),
    }
}

/// A path has to be absolute.
pub(super) fn absolute(key: &str, path: Option<&Path>) -> Result<(), String> {
    match path {
        Some(path) if !path.is_absolute() => Err(format!(
            "{key}: must be an absolute path, not {:?}: it would depend on the current directory",
            path.display().to_string()
        )),
        _ => Ok(()),
    }
}

/// A name has to be one word.
pub(super) fn name(key: &str, name: Option<&str>) -> Result<(), String> {
    let is_name =
        |name: &&str| (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control());
    match name {
        Some(text) if !is_name(&text) => {
            Err(format!("{key}: must have 1 to {LONGEST_NAME} bytes and no spaces, not {text:?}; leave it out for none"))
        }
        _ => Ok(()),
    }
}

/// A broker's queue. Names that begin with `amq.` are the broker's own, and the central adds up to nine bytes for its others.
pub(super) fn queue(key: &str, name: &str) -> Result<(), String> {
    let is_queue = (1..=246).contains(&name.len()) && !name.chars().any(char::is_control) && !name.starts_with("amq.");
    if is_queue {
        return Ok(());
    }
    Err(format!("{key}: must have 1 to 246 bytes, no control characters, and not begin with amq., not {name:?}"))
}
