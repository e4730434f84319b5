//! What values have to be. A refusal names the key, the value, and what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use zonepulse_program::config::values;

/// More memory and disk than any machine has, bytes.
pub(super) const MOST_BYTES: u64 = 1 << 50;
/// The longest path of a Unix socket, bytes.
const LONGEST_SOCKET: usize = 107;
/// The longest name of a network device, bytes.
const LONGEST_DEVICE: usize = 15;
/// The longest name of a process or group, bytes.
const LONGEST_NAME: usize = 255;

/// What is wrong, with the key in front.
fn of(key: &str) -> impl Fn(String) -> String {
    move |what| format!("{key}: {what}")
}

/// A number has to be in a range.
pub(super) fn within(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    values::within(value, &range).map_err(of(key))
}

/// A length has to divide the five minutes of a roll-up.
pub(super) fn divides_300(key: &str, value: u32) -> Result<(), String> {
    if value != 0 && 300u32.is_multiple_of(value) {
        return Ok(());
    }
    Err(format!("{key}: must divide 300 (such as 5, 10, 30, 60 or 300), so that sums of 5 minutes stay exact, not {value}"))
}

/// An address to listen at, or to ask, has to be one machine's and to have a port.
pub(super) fn has_port(key: &str, address: Option<&SocketAddr>) -> Result<(), String> {
    address.map_or(Ok(()), values::with_port).map_err(of(key))
}

/// A Linux network device's name has to be one.
pub(super) fn device(key: &str, name: &str) -> Result<(), String> {
    let is_device =
        (1..=LONGEST_DEVICE).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/');
    if is_device {
        return Ok(());
    }
    Err(format!("{key}: must have 1 to {LONGEST_DEVICE} bytes, no spaces and no slash, not {name:?}"))
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
    path.map_or(Ok(()), values::absolute).map_err(of(key))
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
