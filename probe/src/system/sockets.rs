//! Sockets: TCP by state, IPv4 and IPv6 together, and UDP.
//!
//! The kernel lists TCP sockets over netlink (sock_diag(7)) without the formatting that makes
//! `/proc/net/tcp` slow, but each socket still takes time. Its totals cost nothing
//! (`/proc/net/sockstat`): above [`MAX_LISTED`], sockets are not listed, and only the two states
//! with totals of their own are reported, `established` and `time_wait`.

use super::numbers;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Above this, sockets are not listed: it would take some ten milliseconds each time.
const MAX_LISTED: u64 = 20_000;
/// How long to wait for the kernel, milliseconds; it answers at once.
const PATIENCE_MS: i64 = 500;
/// Maximum size of one answer from the kernel, bytes.
const ANSWER_BYTES: usize = 32 << 10;

/// include/net/tcp_states.h, starting at 1.
const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait_1",
    "fin_wait_2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    // A request that has no socket yet; ss also calls it syn_recv.
    "new_syn_recv",
];
const SYN_RECV: usize = 2;
const NEW_SYN_RECV: usize = 11;
/// A socket that is neither connected nor listening: not reported.
const CLOSE: usize = 6;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = 72;

/// Counts sockets; reuses the buffer for answers.
#[derive(Debug)]
pub(super) struct Sockets {
    buffer: Vec<u8>,
}

/// The kernel's totals.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    tcp: u64,
    time_wait: u64,
    udp: u64,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Sockets { buffer: vec![0; ANSWER_BYTES] }
    }

    /// Number of sockets per state; empty if it cannot be determined.
    pub(super) fn tcp(&mut self) -> Vec<(&'static str, u64)> {
        let totals = totals();
        if totals.tcp + totals.time_wait > MAX_LISTED {
            return established()
                .map(|count| ("established", count))
                .into_iter()
                .chain([("time_wait", totals.time_wait)])
                .collect();
        }
        let Ok(mut counts) = self.list() else { return Vec::new() };
        counts[SYN_RECV] += std::mem::take(&mut counts[NEW_SYN_RECV]);
        let told = STATES.into_iter().zip(counts).enumerate();
        told.filter(|(state, _)| ![CLOSE, NEW_SYN_RECV].contains(state)).map(|(_, told)| told).collect()
    }

    /// Number of bound UDP sockets.
    pub(super) fn udp(&self) -> Option<u64> {
        fs::exists("/proc/net/sockstat").unwrap_or_default().then(|| totals().udp)
    }

    fn list(&mut self) -> io::Result<[u64; STATES.len()]> {
        let socket = open()?;
        let mut counts = [0; STATES.len()];
        for family in [libc::AF_INET, libc::AF_INET6] {
            send(&socket, &request(family as u8))?;
            while !self.receive(&socket, &mut counts)? {}
        }
        Ok(counts)
    }

    /// Counts the sockets of one answer; returns whether it was the last.
    fn receive(&mut self, socket: &OwnedFd, counts: &mut [u64; STATES.len()]) -> io::Result<bool> {
        // SAFETY: the length passed is that of the buffer.
        let read = unsafe { libc::recv(socket.as_raw_fd(), self.buffer.as_mut_ptr().cast(), self.buffer.len(), 0) };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        tally(self.buffer.get(..read).unwrap_or_default(), counts)
    }
}

/// Counts the messages of an answer by state; returns whether the last one is among them.
fn tally(mut answer: &[u8], counts: &mut [u64; STATES.len()]) -> io::Result<bool> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    while !answer.is_empty() {
        let (header, _) = answer.split_first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
        let [l0, l1, l2, l3, t0, t1, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let message = answer.get(HEADER_BYTES..length).ok_or_else(malformed)?;
        match i32::from(u16::from_ne_bytes([t0, t1])) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => return Err(io::ErrorKind::Unsupported.into()),
            // inet_diag_msg: family, state, …
            _ => {
                let state = message.get(1).and_then(|state| usize::from(*state).checked_sub(1));
                if let Some(count) = state.and_then(|state| counts.get_mut(state)) {
                    *count += 1;
                }
            }
        }
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// nlmsghdr and inet_diag_req_v2: all TCP sockets of a family.
fn request(family: u8) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let parts: [(usize, &[u8]); 5] = [
        (0, &(REQUEST_BYTES as u32).to_ne_bytes()),
        (4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes()),
        (6, &flags.to_ne_bytes()),
        (16, &[family, libc::IPPROTO_TCP as u8]),
        // All states.
        (20, &u32::MAX.to_ne_bytes()),
    ];
    for (at, bytes) in parts {
        if let Some(room) = request.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }
    request
}

fn open() -> io::Result<OwnedFd> {
    // SAFETY: a system call with plain numbers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, libc::NETLINK_INET_DIAG) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let patience = libc::timeval { tv_sec: PATIENCE_MS / 1000, tv_usec: (PATIENCE_MS % 1000) * 1000 };
    let length = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the pointer outlives the call, and the length is that of the value.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const patience).cast(), length)
    };
    if set == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

fn send(socket: &OwnedFd, request: &[u8]) -> io::Result<()> {
    // SAFETY: the length passed is that of the request. An unconnected socket sends to the kernel.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if usize::try_from(sent) == Ok(request.len()) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn totals() -> Totals {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    Totals::default().add(&read("/proc/net/sockstat")).add(&read("/proc/net/sockstat6"))
}

impl Totals {
    /// Adds lines such as `TCP: inuse 9 orphan 0 tw 2 alloc 11 mem 1`.
    fn add(mut self, text: &str) -> Totals {
        for line in text.lines() {
            let Some((kind, rest)) = line.split_once(": ") else { continue };
            let value = |key: &str| {
                let mut words = rest.split(' ').skip_while(|word| *word != key);
                words.nth(1).and_then(|word| word.parse().ok()).unwrap_or(0u64)
            };
            match kind {
                "TCP" | "TCP6" => {
                    self.tcp += value("inuse");
                    self.time_wait += value("tw");
                }
                "UDP" | "UDP6" => self.udp += value("inuse"),
                _ => {}
            }
        }
        self
    }
}

/// Sockets in `ESTABLISHED` or `CLOSE_WAIT` (RFC 4022); in a flood of connections, nearly all are
/// in the former.
fn established() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/snmp").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let at = lines.next()?.split(' ').position(|name| name == "CurrEstab")?;
    numbers_with_signs(lines.next()?).nth(at)
}

/// `MaxConn` is -1.
fn numbers_with_signs(text: &str) -> impl Iterator<Item = u64> {
    text.split(' ').map(|word| numbers(word).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    /// Retries while other tests open and close sockets.
    #[track_caller]
    fn at_a_quiet_moment(mut attempt: impl FnMut() -> Result<(), String>) {
        let began = Instant::now();
        while let Err(what) = attempt() {
            assert!(began.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[test]
    fn sockets_are_counted_by_state_and_family() {
        let mut sockets = Sockets::new();
        at_a_quiet_moment(|| {
            let before = sockets.list().unwrap();
            let four = TcpListener::bind("127.0.0.1:0").unwrap();
            let _six = TcpListener::bind("[::1]:0").unwrap();
            let address = four.local_addr().unwrap();
            let _connections: Vec<_> = (0..50).map(|_| (TcpStream::connect(address).unwrap(), four.accept().unwrap())).collect();
            let after = sockets.list().unwrap();
            // Both ends of each connection, and a listener of each family.
            let more = [0, 9].map(|state| after[state].checked_sub(before[state]));
            if more == [Some(100), Some(2)] { Ok(()) } else { Err(format!("{before:?} {after:?}")) }
        });
    }

    #[test]
    fn listed_sockets_agree_with_the_kernel_s_totals() {
        let mut sockets = Sockets::new();
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        at_a_quiet_moment(|| {
            let told = sockets.tcp();
            assert_eq!(told.len(), 10);
            // CurrEstab includes both.
            let is_open = |state: &str| ["established", "close_wait"].contains(&state);
            let open: u64 = told.iter().filter(|(state, _)| is_open(state)).map(|(_, count)| count).sum();
            let expected = established().unwrap();
            if open == expected { Ok(()) } else { Err(format!("{told:?}, {expected} established")) }
        });
    }

    #[test]
    fn totals_are_of_both_families() {
        let four = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 6 mem 0\nUDP: inuse 2 mem 0\nUDPLITE: inuse 9\n";
        let six = "TCP6: inuse 4\nUDP6: inuse 1\nUDPLITE6: inuse 7\n";
        assert_eq!(Totals::default().add(four).add(six), Totals { tcp: 9, time_wait: 3, udp: 3 });
    }

    #[test]
    fn a_truncated_answer_of_the_kernel_is_no_panic() {
        let mut counts = [0; STATES.len()];
        for length in 0..40u32 {
            let mut answer = vec![0; 20];
            answer[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = tally(&answer, &mut counts);
        }
    }
}
