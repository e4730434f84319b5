//! Sockets that wait for what comes, as the kernel lists them (proc(5)): which there are, and which are a process's.
//!
//! A list is of a network namespace, that of the process under whose number it is read. Anyone may read it. Which
//! sockets a process has open only those may see who could trace it (ptrace(2)): a probe that runs as another user than
//! the server cannot, and a probe of root without capabilities only if the server has none either.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;

/// No more of a list is read, sockets; a resolver has one of UDP for each question that it asks at the moment.
const MAX_SOCKETS: usize = 32_768;
/// Open files of processes that are looked at in one look.
pub(super) const MAX_FILES: usize = 16_384;
/// The longest line that a list has, bytes; they have 150.
const MAX_LINE: u64 = 512;
/// `TCP_LISTEN` (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// How a socket is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// A socket of UDP that is not connected, or of TCP that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) protocol: Protocol,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// Who made it.
    pub(super) user: u32,
    inode: u64,
}

/// Those of a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) sockets: Vec<Socket>,
    /// Whether these are all.
    is_whole: bool,
}

/// What tells a process's network namespace from others: each has files of its own below `/proc/PID/net`. Unlike the
/// link `/proc/PID/ns/net` anyone may look at them.
pub(super) fn namespace(process: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/net/udp")).ok().map(|metadata| metadata.ino())
}

/// The sockets of a process's network namespace; `None` where they cannot all be read.
pub(super) fn sockets(process: &str) -> Option<Vec<Socket>> {
    let mut all = Listing { sockets: Vec::new(), is_whole: true };
    for (list, protocol) in [("udp", Protocol::Udp), ("udp6", Protocol::Udp), ("tcp", Protocol::Tcp), ("tcp6", Protocol::Tcp)] {
        match File::open(format!("/proc/{process}/net/{list}")) {
            Ok(file) => all.read(BufReader::new(file), protocol).ok()?,
            // A kernel without IPv6.
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
            // The first line names the columns.
            let Some(row) = str::from_utf8(&line).ok().and_then(Row::of) else { continue };
            match protocol {
                // Those that listen come first, and there may be very many others.
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

/// `0100007F:0035`: the address in words of 32 bits, each in the machine's own order of octets.
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

/// Those of these sockets that a process has open; `None` where its files cannot all be looked at, or are more than are
/// left to look at.
pub(super) fn open_in(process: u32, sockets: &[Socket], files_left: &mut usize) -> Option<Vec<Socket>> {
    let by_inode: HashMap<u64, &Socket> = sockets.iter().map(|socket| (socket.inode, socket)).collect();
    let mut open = Vec::new();
    for file in fs::read_dir(format!("/proc/{process}/fd")).ok()? {
        *files_left = files_left.checked_sub(1)?;
        let target = match fs::read_link(file.ok()?.path()) {
            Ok(target) => target,
            // It was closed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(_) => return None,
        };
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        open.extend(inode.and_then(|inode| by_inode.get(&inode).map(|socket| **socket)));
    }
    Some(open)
}

/// The users that a process is or may become: real, effective, saved, for files.
pub(super) fn users(process: u32) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().map(|user| user.parse().ok()).collect()
}

#[cfg(test)]
#[path = "proc_tests.rs"]
mod tests;
