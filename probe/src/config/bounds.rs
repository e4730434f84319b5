//! Validation of values. An error names the key, the value, and what is allowed.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use zonepulse_model::Interval;
use zonepulse_program::config::values;

/// More memory or disk than any machine has, bytes.
pub(super) const MOST_BYTES: u64 = 1 << 50;
/// Maximum length of a Unix socket's path, bytes.
const LONGEST_SOCKET: usize = 107;
/// Maximum length of a network device's name, bytes.
const LONGEST_DEVICE: usize = 15;
/// Maximum length of a process or group name, bytes.
const LONGEST_NAME: usize = 255;

/// Puts the key before an error.
fn of(key: &str) -> impl Fn(String) -> String {
    move |what| format!("{key}: {what}")
}

/// Requires a number in a range.
pub(super) fn within(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    values::within(value, &range).map_err(of(key))
}

/// A length has to be that of an interval.
pub(super) fn interval(key: &str, seconds: u32) -> Result<(), String> {
    Interval::new(seconds).map(|_| ()).map_err(|error| format!("{key}: {error}"))
}

/// Requires an address of a single machine, with a port.
pub(super) fn has_port(key: &str, address: Option<&SocketAddr>) -> Result<(), String> {
    address.map_or(Ok(()), values::with_port).map_err(of(key))
}

/// Requires a valid name of a Linux network device.
pub(super) fn device(key: &str, name: &str) -> Result<(), String> {
    let is_device =
        (1..=LONGEST_DEVICE).contains(&name.len()) && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/');
    if is_device {
        return Ok(());
    }
    Err(format!("{key}: must have 1 to {LONGEST_DEVICE} bytes, no spaces and no slash, not {name:?}"))
}

/// Requires an absolute path that fits a Unix socket.
pub(super) fn socket(key: &str, path: Option<&Path>) -> Result<(), String> {
    absolute(key, path)?;
    match path {
        Some(path) if path.as_os_str().len() > LONGEST_SOCKET => Err(format!(
            "{key}: must have at most {LONGEST_SOCKET} bytes, not {}: a socket's path cannot be longer",
            path.as_os_str().len()
        )),
        _ => Ok(()),
    }
}

/// Requires an absolute path.
pub(super) fn absolute(key: &str, path: Option<&Path>) -> Result<(), String> {
    path.map_or(Ok(()), values::absolute).map_err(of(key))
}

/// Requires a name that is a single word.
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
