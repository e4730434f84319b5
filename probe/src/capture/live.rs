//! Live devices through libpcap.
//!
//! The kernel filters packets by port before it copies anything, and hands them
//! over through a ring in shared memory, a block at a time. Fragments have no
//! ports, and IPv6 extension headers and inner VLAN tags hide them, so the filter
//! lets those through and the observer decides.
//!
//! The pseudo-device `any` listens on all devices at once, and a packet may pass
//! several: a VLAN over a bond over a card, a bridge and its port. On `any` a packet
//! that was just seen on another device is left out (`recent.rs`). On the loopback
//! device libpcap itself leaves out the outgoing half.

use super::recent::Recent;
use crate::Error;
use crate::observe::Frame;
use pcap::{Active, Capture, Linktype, Precision};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// What to capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// The device's name, or `any`.
    pub device: String,
    /// The ports that the kernel's filter lets through.
    pub ports: Vec<u16>,
    /// The ring between kernel and probe, bytes.
    pub buffer_bytes: usize,
}

/// A device that is being listened to.
pub struct LiveCapture {
    capture: Capture<Active>,
    device: String,
    link_type: u32,
    /// Whether the ring was empty when it was last looked into.
    drained: bool,
    any: Option<Any>,
    statistics: Statistics,
    /// What libpcap said last, which wraps around.
    counted: (u32, u32, u32),
}

/// What only `any` needs.
struct Any {
    recent: Recent,
    packet: Vec<u8>,
}

/// What a device gave.
#[derive(Debug)]
pub enum Next<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// No frame is waiting; the next call waits for one, about 100 ms at most.
    Idle,
    /// The capture has ended.
    End,
}

/// What the kernel counted since the capture was opened, packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Passed the filter.
    pub received: u64,
    /// Did not fit in the ring because the probe did not keep up.
    pub kernel_dropped: u64,
    /// Dropped by the interface or its driver, whether or not they would have passed the filter.
    pub interface_dropped: u64,
}

/// The pseudo-device of all devices.
const ANY: &str = "any";
/// How long to wait for a frame, and for a block of the ring to fill, milliseconds.
const TIMEOUT_MS: i32 = 100;
/// Segments of TCP that the network card or the loopback device would cut have up to
/// 64 KiB, and more with headers; this is libpcap's own bound.
const SNAP_LENGTH: i32 = 262_144;
/// LINKTYPE_ETHERNET.
const ETHERNET: i32 = 1;
/// LINKTYPE_LINUX_SLL2: unlike its predecessor it says which device a packet passed.
const LINUX_SLL2: i32 = 276;

impl LiveCapture {
    /// Begins to listen, not promiscuously.
    ///
    /// Fails with [`Error::CaptureRight`] when the process may not, and with
    /// [`Error::Device`] when the device is not there, is down or does not carry IP.
    pub fn open(settings: &LiveSettings) -> Result<Self, Error> {
        let device = settings.device.as_str();
        let failed = |error| open_error(device, error);
        let mut capture = Capture::from_device(device)
            .map_err(failed)?
            .snaplen(SNAP_LENGTH)
            .promisc(false)
            .immediate_mode(false)
            .timeout(TIMEOUT_MS)
            .buffer_size(i32::try_from(settings.buffer_bytes).unwrap_or(i32::MAX))
            .precision(Precision::Nano)
            .open()
            .map_err(failed)?;
        if device == ANY {
            // Before libpcap 1.10 there is only the first version: duplicates cannot be told then.
            let _ = capture.set_datalink(Linktype(LINUX_SLL2));
        }
        let link_type = capture.get_datalink().0;
        capture.filter(&filter(&settings.ports, link_type), true).map_err(failed)?;
        let capture = capture.setnonblock().map_err(failed)?;
        let any = (link_type == LINUX_SLL2).then(|| Any { recent: Recent::new(), packet: Vec::new() });
        Ok(LiveCapture {
            capture,
            device: device.to_owned(),
            link_type: link_type as u32,
            drained: true,
            any,
            statistics: Statistics::default(),
            counted: (0, 0, 0),
        })
    }

    /// The next frame, if one comes within about 100 ms. Once there is none,
    /// [`Next::Idle`] is given at once, and the call after it waits.
    ///
    /// Fails with [`Error::Device`] when the device is gone or went down.
    #[expect(clippy::should_implement_trait, reason = "it lends the frame, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Next<'_>, Error> {
        if self.drained && !wait_for_frames(&self.capture) {
            return Ok(Next::Idle);
        }
        self.drained = false;
        let link_type = self.link_type;
        let frame =
            |header: &pcap::PacketHeader, data| Frame { time_ns: time_ns(header), link_type, data, length_on_wire: header.len };
        let ended = match &mut self.any {
            None => match self.capture.next_packet() {
                Ok(packet) => return Ok(Next::Frame(frame(packet.header, packet.data))),
                Err(error) => error,
            },
            Some(any) => loop {
                let packet = match self.capture.next_packet() {
                    Ok(packet) => packet,
                    Err(error) => break error,
                };
                if any.recent.is_new(packet.data, time_ns(packet.header)) {
                    // Copied, because libpcap's buffer cannot be lent out of a loop.
                    any.packet.clear();
                    any.packet.extend_from_slice(packet.data);
                    return Ok(Next::Frame(frame(packet.header, &any.packet)));
                }
            },
        };
        match ended {
            pcap::Error::TimeoutExpired => {
                self.drained = true;
                Ok(Next::Idle)
            }
            pcap::Error::NoMorePackets => Ok(Next::End),
            error => Err(Error::Device { device: self.device.clone(), detail: error.to_string() }),
        }
    }

    /// What the kernel counted so far.
    ///
    /// Fails with [`Error::Device`] when the device is gone.
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        let now =
            self.capture.stats().map_err(|error| Error::Device { device: self.device.clone(), detail: error.to_string() })?;
        let Statistics { received, kernel_dropped, interface_dropped } = &mut self.statistics;
        let (received_before, dropped_before, interface_before) = self.counted;
        *received += u64::from(now.received.wrapping_sub(received_before));
        *kernel_dropped += u64::from(now.dropped.wrapping_sub(dropped_before));
        *interface_dropped += u64::from(now.if_dropped.wrapping_sub(interface_before));
        self.counted = (now.received, now.dropped, now.if_dropped);
        Ok(self.statistics)
    }
}

/// The kernel's filter, in the language of pcap-filter(7).
fn filter(ports: &[u16], link_type: i32) -> String {
    let ports: Vec<String> = ports.iter().map(|port| format!("port {port}")).collect();
    let ports = if ports.is_empty() { "less 0".to_owned() } else { ports.join(" or ") };
    // Later fragments; and IPv6 packets whose first header is an extension: hop-by-hop,
    // routing, fragment, authentication, destination options.
    let packets = format!(
        "({ports} or (ip[6:2] & 0x1fff != 0) or (ip6 and (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60)))"
    );
    match link_type {
        ETHERNET => format!("{packets} or (vlan and ({packets} or (vlan and {packets})))"),
        // Cooked packets come without their first tag; this is a second one.
        LINUX_SLL2 => format!("({packets} or ether proto 0x8100 or ether proto 0x88a8){}", no_echo()),
        _ => format!("{packets} or ether proto 0x8100 or ether proto 0x88a8"),
    }
}

/// What passes the loopback device goes out and comes in. libpcap leaves out the half
/// that goes out; on `any` the kernel can do so before it takes room in the ring. (On
/// the loopback device alone it cannot: libpcap filters the first block of the ring
/// itself, and does not know there which way a packet of an Ethernet device went.)
fn no_echo() -> String {
    // SAFETY: a text that ends with a zero.
    match unsafe { libc::if_nametoindex(c"lo".as_ptr()) } {
        0 => String::new(),
        number => format!(" and not (outbound and ifindex {number})"),
    }
}

/// Waits until the ring has frames, or for a while: whether it is worth a look.
fn wait_for_frames(capture: &Capture<Active>) -> bool {
    let mut poll = libc::pollfd { fd: capture.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd, and its number.
    let ready = unsafe { libc::poll(&raw mut poll, 1, TIMEOUT_MS) };
    // After a signal or an error a look does no harm, and tells what is wrong.
    ready != 0
}

fn time_ns(header: &pcap::PacketHeader) -> u64 {
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or(0);
    // Nanoseconds, as asked for.
    let fraction = u64::try_from(header.ts.tv_usec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(fraction)
}

fn open_error(device: &str, error: pcap::Error) -> Error {
    if may_capture() {
        return Error::Device { device: device.to_owned(), detail: error.to_string() };
    }
    let program = std::env::current_exe().map_or_else(|_| "PROGRAM".to_owned(), |path| path.display().to_string());
    Error::CaptureRight { device: device.to_owned(), program }
}

/// Whether the system lets this process open a packet socket: what libpcap needs, and
/// what its message alone would not say for sure.
fn may_capture() -> bool {
    // SAFETY: plain system calls; the descriptor is closed by whoever opened it, here.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        if socket >= 0 {
            libc::close(socket);
            return true;
        }
    }
    !matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// The addresses of this machine's interfaces, loopback included, each once.
///
/// Fails with [`Error::Disk`] when the system does not list them.
pub fn local_addresses() -> Result<Vec<IpAddr>, Error> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the system fills the list, which is freed below and not used after.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(Error::disk("list", "the addresses of this machine")(io::Error::last_os_error()));
    }
    let mut addresses = Vec::new();
    let mut next = first;
    // SAFETY: every entry of the list is valid until it is freed, or null at its end.
    while let Some(entry) = unsafe { next.as_ref() } {
        // SAFETY: the entry's address is null or valid.
        addresses.extend(unsafe { address(entry.ifa_addr) });
        next = entry.ifa_next;
    }
    // SAFETY: what getifaddrs gave, once.
    unsafe { libc::freeifaddrs(first) };
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// # Safety
///
/// `socket_address` is null, or points to an address that is as long as its family demands.
unsafe fn address(socket_address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: null or valid, by the caller's promise.
    let family = i32::from(unsafe { socket_address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: of this family it is as long as this; it may be less aligned.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_understood_for_every_kind_of_device() {
        for link_type in [ETHERNET, 0, 12, 113, LINUX_SLL2] {
            for ports in [&[53][..], &[53, 5353, 65_535], &[]] {
                let capture = Capture::dead(Linktype(link_type)).unwrap();
                let program = capture.compile(&filter(ports, link_type), true);
                assert!(program.is_ok(), "{link_type} {ports:?}: {:?}", program.err());
            }
        }
    }

    #[test]
    fn the_loopback_address_is_one_of_this_machines() {
        assert!(local_addresses().unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let settings = LiveSettings { device: "nosuchdevice0".to_owned(), ports: vec![53], buffer_bytes: 1 << 20 };
        let error = LiveCapture::open(&settings).err().unwrap().to_string();
        assert!(error.contains("nosuchdevice0"), "{error}");
    }
}
