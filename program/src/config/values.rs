//! Validation of values beyond their type. Errors say what is wrong and what is allowed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

/// Requires a number in a range.
pub fn within(value: u64, range: &RangeInclusive<u64>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(format!("must be from {} to {}, not {value}", range.start(), range.end()))
}

/// Requires an absolute path.
pub fn absolute(path: &Path) -> Result<(), String> {
    if path.is_absolute() {
        return Ok(());
    }
    let path = path.display().to_string();
    Err(format!("must be an absolute path, not {path:?}: it would depend on the current directory"))
}

/// Requires a path to a directory, or to one that can be created.
pub fn directory(path: &Path) -> Result<(), String> {
    for above in path.ancestors() {
        match fs::metadata(above) {
            Ok(metadata) if metadata.is_dir() => return Ok(()),
            Ok(_) => return Err(format!("{} is not a directory", above.display())),
            // It will be created, unless something above it prevents that.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Requires an address of a single machine.
pub fn one_machine(address: &SocketAddr) -> Result<(), String> {
    if is_of_many(address.ip()) {
        return Err(format!("{address} is a multicast or broadcast address; give one of this machine"));
    }
    Ok(())
}

/// The same, with a port.
pub fn with_port(address: &SocketAddr) -> Result<(), String> {
    if address.port() == 0 {
        return Err(format!("{address} has no port; give one from 1 to 65535"));
    }
    one_machine(address)
}

/// Whether it is a multicast or broadcast address, which belongs to no single machine.
pub fn is_of_many(address: IpAddr) -> bool {
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}
