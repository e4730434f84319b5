//! The addresses of this machine, and notification of changes.

use crate::Error;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often to reread the addresses even without a notification: the kernel drops notifications
/// that are not read in time.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// A network device of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Whether it was switched on.
    pub is_up: bool,
    /// Whether it can pass packets: also needs a link.
    pub is_running: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The addresses of this machine's interfaces, including loopback, without duplicates.
///
/// Fails with [`Error::Disk`] when the system cannot list them.
pub fn local_addresses() -> Result<Vec<IpAddr>, Error> {
    let mut addresses: Vec<IpAddr> = devices()?.into_iter().flat_map(|device| device.addresses).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// The network devices of this machine, including loopback, by name.
///
/// Fails with [`Error::Disk`] when the system cannot list them.
pub fn devices() -> Result<Vec<Device>, Error> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs fills the list, which is freed below and not used afterwards.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(Error::disk("list", "this machine's addresses")(io::Error::last_os_error()));
    }
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    let mut next = first;
    // SAFETY: every entry is valid until the list is freed, or null at its end.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: the entry's name is a string that ends with a zero byte.
        let label = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy();
        // An address may have a label of its own, as in `eth0:1`.
        let name = label.split(':').next().unwrap_or_default();
        let has = |flag: i32| entry.ifa_flags & flag.unsigned_abs() != 0;
        let device = devices.entry(name.to_owned()).or_insert_with(|| Device {
            name: name.to_owned(),
            is_up: has(libc::IFF_UP),
            is_running: has(libc::IFF_RUNNING),
            addresses: Vec::new(),
        });
        // SAFETY: the entry's address is null or valid.
        device.addresses.extend(unsafe { address(entry.ifa_addr) });
        next = entry.ifa_next;
    }
    // SAFETY: `first` came from getifaddrs and is freed exactly once.
    unsafe { libc::freeifaddrs(first) };
    Ok(devices.into_values().collect())
}

/// # Safety
///
/// `socket_address` is null, or points to an address as long as its family requires.
unsafe fn address(socket_address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: null or valid, as the caller guarantees.
    let family = i32::from(unsafe { socket_address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: an AF_INET address has this length; its alignment may be smaller.
            let address = unsafe { socket_address.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { socket_address.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)))
        }
        _ => None,
    }
}

/// Reports that this machine's addresses may have changed (rtnetlink(7)).
#[derive(Debug)]
pub struct AddressNews {
    /// Receives the kernel's notifications; without it, only the timer applies.
    socket: Option<OwnedFd>,
    read: Instant,
}

impl AddressNews {
    /// Subscribes to changes from now on.
    pub fn subscribe() -> Self {
        AddressNews { socket: socket().ok(), read: Instant::now() }
    }

    /// Whether to reread the addresses: at once after a notification, and periodically in any case.
    pub fn is_due(&mut self) -> bool {
        let due = self.take_news() || self.read.elapsed() >= READ_AGAIN;
        if due {
            self.read = Instant::now();
        }
        due
    }

    /// Drains the kernel's notifications; returns whether addresses changed.
    fn take_news(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut news = false;
        let mut buffer = [0u8; 4096];
        loop {
            // SAFETY: the length passed is that of the buffer.
            let read = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) };
            match read {
                1.. => news = true,
                // Notifications overflowed the socket's buffer.
                _ if read < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS) => news = true,
                _ => return news,
            }
        }
    }
}

/// A socket that receives notifications of added and removed addresses.
fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call without pointers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all fields are plain numbers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = (libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the length passed is that of the address.
    match unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } {
        0 => Ok(socket),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_one_of_this_machines() {
        assert!(local_addresses().unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn the_loopback_device_is_up_and_has_the_loopback_address() {
        let devices = devices().unwrap();
        let lo = devices.iter().find(|device| device.name == "lo").unwrap();
        assert!(lo.is_up && lo.is_running && lo.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{lo:?}");
    }

    #[test]
    fn without_a_change_there_is_no_notification() {
        let mut news = AddressNews::subscribe();
        assert!(news.socket.is_some());
        assert!(!news.is_due());
        news.read -= READ_AGAIN;
        assert!(news.is_due() && !news.is_due(), "the timer does not fire once");
    }
}
