//! Listening sockets as listed by the kernel (proc(5)): which exist, and which belong to a process.
//!
//! A list covers the network namespace of the process under whose ID it is read. Anyone may read
//! it. Only those who may trace a process (ptrace(2)) can see its open sockets: a probe that runs
//! as another user than the server cannot, and a root probe without capabilities only if the server
//! has none either.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;

/// Maximum number of sockets read from a list; a resolver has one UDP socket per outstanding query.
const MAX_SOCKETS: usize = 32_768;
/// Maximum number of open files examined in one look.
pub(super) const MAX_FILES: usize = 16_384;
/// Maximum length of a line, bytes; actual lines have 150.
const MAX_LINE: u64 = 512;
/// `TCP_LISTEN` (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// The transport of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// An unconnected UDP socket, or a listening TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) protocol: Protocol,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// The owner.
    pub(super) user: u32,
    inode: u64,
}

/// The sockets of a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) sockets: Vec<Socket>,
    /// Whether the list is complete.
    is_whole: bool,
}

/// Identifies a process's network namespace: each has separate files below `/proc/PID/net`. Unlike
/// the link `/proc/PID/ns/net`, anyone may stat them.
pub(super) fn namespace(process: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/net/udp")).ok().map(|metadata| metadata.ino())
}

/// The sockets of a process's network namespace; `None` if they cannot all be read.
pub(super) fn sockets(process: &str) -> Option<Vec<Socket>> {
    let mut all = Listing { sockets: Vec::new(), is_whole: true };
    for (list, protocol) in [("udp", Protocol::Udp), ("udp6", Protocol::Udp), ("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp)] {
        match File::open(format!("/proc/{process}/net/{list}")) {
            Ok(file) => all.read(BufReader::new(file), protocol).ok()?,
            // The kernel has no IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && list.ends_with('6') => {}
            Err(_) => return None,
        }
    }
    all.is_whole.then_some(all.sockets)
}

impl Listing {
    fn read(&mut self, list: impl BufRead, protocol: Protocol) -> io::Result<()> {
        let mut list = list;
        let mut line = Vec::new();
        for at in 0.. {
            line.clear();
            if io::Read::take(&mut list, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if at >= MAX_SOCKETS {
                self.is_whole = false;
                break;
            }
            // The first line contains the column names.
            let Some(row) = str::from_utf8(&line).ok().and_then(Row::of) else { continue };
            match protocol {
                // Listening sockets come first, and there may be very many others.
                Protocol::Tcp if row.state != LISTEN => break,
                Protocol::Udp if row.is_connected => {}
                Protocol::Tcp | Protocol::Udp => self.sockets.push(row.socket(protocol)),
            }
        }
        Ok(())
    }
}

/// A line of a list.
struct Row<'a> {
    address: IpAddr,
    port: u16,
    is_connected: bool,
    state: &'a str,
    user: u32,
    inode: u64,
}

impl Row<'_> {
    /// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`
    fn of(line: &str) -> Option<Row<'_>> {
        let mut fields = line.split_ascii_whitespace();
        let (address, port) = endpoint(fields.nth(1)?)?;
        let (_, remote_port) = endpoint(fields.next()?)?;
        let state = fields.next()?;
        let user = fields.nth(3)?.parse().ok()?;
        let inode = fields.nth(1)?.parse().ok()?;
        Some(Row { address, port, is_connected: remote_port != 0, state, user, inode })
    }

    fn socket(self, protocol: Protocol) -> Socket {
        let Row { address, port, user, inode, .. } = self;
        Socket { protocol, address, port, user, inode }
    }
}

/// `0100007F:0035`: the address in words of 32 bits, each in the machine's byte order.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(address)?)),
        32 => {
            let mut octets = [0; 16];
            for (at, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(address.get(8 * at..8 * at + 8)?)?);
            }
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

/// The sockets that a process has open; `None` if its files cannot all be examined, or there are
/// more than `files_left`.
pub(super) fn open_in(process: u32, sockets: &[Socket], files_left: &mut usize) -> Option<Vec<Socket>> {
    let by_inode: HashMap<u64, &Socket> = sockets.iter().map(|socket| (socket.inode, socket)).collect();
    let mut open = Vec::new();
    for file in fs::read_dir(format!("/proc/{process}/fd")).ok()? {
        *files_left = files_left.checked_sub(1)?;
        let target = match fs::read_link(file.ok()?.path()) {
            Ok(target) => target,
            // Closed in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        open.extend(inode.and_then(|inode| by_inode.get(&inode).map(|socket| **socket)));
    }
    Some(open)
}

/// The users that a process has or may become: real, effective, saved, file system.
pub(super) fn users(process: u32) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().map(|user| user.parse().ok()).collect()
}

#[cfg(test)]
#[path = "proc_tests.rs"]
mod tests;
