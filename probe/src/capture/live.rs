//! Live capture through libpcap.
//!
//! The kernel filters packets by port before copying them, and hands them over in blocks through a
//! ring in shared memory. Fragments have no ports, and IPv6 extension headers and inner VLAN tags
//! hide them, so the filter lets those through and the observer decides. It also passes UDP
//! requests to other ports. These do not count, but show that the server is queried on a port that
//! is not observed.
//!
//! The pseudo-device `any` listens on all devices at once, so a packet may appear on several of
//! them: its frames name the device, and the observer reads each packet once. On the loopback
//! device, libpcap itself drops the outgoing copy. Decapsulated packets appear on a tunnel device,
//! which `any` includes; when capturing on a single device, its filter passes tunnels, and the
//! observer looks into them.

use crate::Error;
use crate::observe::Frame;
use pcap::{Active, Capture, Linktype, Precision};
use std::io;
use std::os::fd::AsRawFd;

/// What to capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// The device's name, or `any`.
    pub device: String,
    /// The ports that the kernel's filter lets through.
    pub ports: Vec<u16>,
    /// Requests to other ports pass the filter as well, except to these.
    pub ignored_ports: Vec<u16>,
    /// Size of the ring between kernel and probe, bytes.
    pub buffer_bytes: usize,
}

/// An open capture device.
pub struct LiveCapture {
    capture: Capture<Active>,
    device: String,
    link_type: u32,
    /// Whether the ring was empty at the last read.
    drained: bool,
    statistics: Statistics,
    /// The last counters from libpcap, which wrap around.
    counted: (u32, u32, u32),
}

/// The result of waiting for a frame.
#[derive(Debug)]
pub enum Next<'a> {
    /// A captured frame.
    Frame(Frame<'a>),
    /// No frame is waiting; the next call waits for one, for about 100 ms.
    Idle,
    /// The capture has ended.
    End,
}

/// Packets counted by the kernel since the capture was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Passed the filter.
    pub received: u64,
    /// Did not fit in the ring because the probe was too slow.
    pub kernel_dropped: u64,
    /// Dropped by the interface or its driver, whether or not they would have passed the filter.
    pub interface_dropped: u64,
}

/// The pseudo-device that stands for all devices.
const ANY: &str = "any";
/// How long to wait for a frame, and for a block of the ring to fill, milliseconds.
const TIMEOUT_MS: i32 = 100;
/// TCP segments that the network card would split, or on the loopback device, are up to 64 KiB
/// long, plus headers. This is libpcap's own limit.
const SNAP_LENGTH: i32 = 262_144;
/// LINKTYPE_ETHERNET.
const ETHERNET: i32 = 1;
/// LINKTYPE_LINUX_SLL2, which, unlike its predecessor, names the device.
const LINUX_SLL2: i32 = 276;

impl LiveCapture {
    /// Opens the device, without promiscuous mode.
    ///
    /// Fails with [`Error::CaptureRight`] when the process lacks the privilege, and with
    /// [`Error::Device`] when the device does not exist, is down or does not carry IP.
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
            // libpcap before 1.10 has only the first version, which cannot tell duplicates.
            let _ = capture.set_datalink(Linktype(LINUX_SLL2));
        }
        let link_type = capture.get_datalink().0;
        capture.filter(&filter(&settings.ports, &settings.ignored_ports, link_type), true).map_err(failed)?;
        let capture = capture.setnonblock().map_err(failed)?;
        Ok(LiveCapture {
            capture,
            device: device.to_owned(),
            link_type: link_type as u32,
            drained: true,
            statistics: Statistics::default(),
            counted: (0, 0, 0),
        })
    }

    /// Waits about 100 ms for the next frame. When the ring runs empty, [`Next::Idle`] is returned
    /// at once, and only the following call waits.
    ///
    /// Fails with [`Error::Device`] when the device is gone or went down.
    #[expect(clippy::should_implement_trait, reason = "lends the frame, which an iterator cannot do")]
    pub fn next(&mut self) -> Result<Next<'_>, Error> {
        if self.drained && !wait_for_frames(&self.capture) {
            return Ok(Next::Idle);
        }
        self.drained = false;
        match self.capture.next_packet() {
            Ok(packet) => Ok(Next::Frame(Frame {
                time_ns: time_ns(packet.header),
                link_type: self.link_type,
                data: packet.data,
                length_on_wire: packet.header.len,
            })),
            Err(pcap::Error::TimeoutExpired) => {
                self.drained = true;
                Ok(Next::Idle)
            }
            Err(pcap::Error::NoMorePackets) => Ok(Next::End),
            Err(error) => Err(Error::Device { device: self.device.clone(), detail: error.to_string() }),
        }
    }

    /// The kernel's counters so far.
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

/// The kernel's filter, in the syntax of pcap-filter(7).
fn filter(ports: &[u16], ignored_ports: &[u16], link_type: i32) -> String {
    let requests = requests(ignored_ports);
    let ports: Vec<String> = ports.iter().map(|port| format!("port {port}")).collect();
    let ports = if ports.is_empty() { "less 0".to_owned() } else { ports.join(" or ") };
    // Later fragments, and IPv6 packets whose first header is an extension: hop-by-hop, routing,
    // fragment, authentication, destination options.
    let packets = format!(
        "({ports} or (ip[6:2] & 0x1fff != 0) or (ip6 and (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60)) or ({requests}))"
    );
    let tunnels = "ip proto 4 or ip proto 41 or ip proto 47 or ip6 proto 4 or ip6 proto 41 or ip6 proto 47";
    match link_type {
        ETHERNET => {
            let packets = format!("{packets} or {tunnels}");
            format!("{packets} or (vlan and ({packets} or (vlan and ({packets}))))")
        }
        // Cooked packets come without their outer tag; this matches an inner one.
        LINUX_SLL2 => format!("({packets} or ether proto 0x8100 or ether proto 0x88a8){}", no_echo()),
        _ => format!("{packets} or {tunnels} or ether proto 0x8100 or ether proto 0x88a8"),
    }
}

/// UDP requests: opcode QUERY, one question, no answer, no authority (RFC 1035 section 4.1.1). The
/// filter compares 48 bits, which rarely match by chance in other protocols.
fn requests(ignored_ports: &[u16]) -> String {
    let udp = "udp[10] & 0xf8 = 0 and udp[12:4] = 0x10000 and udp[16:2] = 0";
    let udp6 = "ip6[6] = 17 and ip6[50] & 0xf8 = 0 and ip6[52:4] = 0x10000 and ip6[56:2] = 0";
    let ignored: String = ignored_ports.iter().map(|port| format!(" and not port {port}")).collect();
    format!("(({udp}) or ({udp6})){ignored}")
}

/// A packet on the loopback device is seen twice, outgoing and incoming. libpcap drops the outgoing
/// copy; on `any`, the kernel can drop it before it takes up space in the ring. (It cannot when
/// capturing on the loopback device alone: libpcap filters the first block of the ring itself,
/// where it does not know the direction of packets of an Ethernet device.)
fn no_echo() -> String {
    // SAFETY: a string that ends with a zero byte.
    match unsafe { libc::if_nametoindex(c"lo".as_ptr()) } {
        0 => String::new(),
        number => format!(" and not (outbound and ifindex {number})"),
    }
}

/// Waits a while for frames in the ring; returns whether to read it.
fn wait_for_frames(capture: &Capture<Active>) -> bool {
    let mut poll = libc::pollfd { fd: capture.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd, and its count.
    let ready = unsafe { libc::poll(&raw mut poll, 1, TIMEOUT_MS) };
    // After a signal or an error, reading the ring does no harm and reports the problem.
    ready != 0
}

fn time_ns(header: &pcap::PacketHeader) -> u64 {
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or(0);
    // Nanoseconds, as requested.
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

/// Whether the process may open a packet socket, which libpcap needs. Its error message alone does
/// not say so reliably.
pub(crate) fn may_capture() -> bool {
    // SAFETY: plain system calls; the descriptor is opened and closed here.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        if socket >= 0 {
            libc::close(socket);
            return true;
        }
    }
    !matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_understood_for_every_kind_of_device() {
        for link_type in [ETHERNET, 0, 12, 113, LINUX_SLL2] {
            for ports in [&[53][..], &[53, 5353, 65_535], &[]] {
                let capture = Capture::dead(Linktype(link_type)).unwrap();
                let program = capture.compile(&filter(ports, &[5300, 5301], link_type), true);
                assert!(program.is_ok(), "{link_type} {ports:?}: {:?}", program.err());
            }
        }
    }

    #[test]
    fn requests_to_other_ports_pass_the_filter_and_nothing_else_does() {
        use crate::observe::testing::{ethernet, ipv4, query, response, udp, udp_to_server};
        let capture = Capture::dead(Linktype(ETHERNET)).unwrap();
        let program = capture.compile(&filter(&[53], &[5300], ETHERNET), true).unwrap();
        let passes = |port: u16, octets: &[u8]| program.filter(&ethernet(0x0800, &ipv4(17, 1, 53, &udp(40_000, port, octets))));
        let (asked, answered) = (query("www.example."), response("www.example.", 0));
        assert!(passes(5353, &asked) && program.filter(&udp_to_server(&asked)));
        assert!(!passes(5300, &asked), "requests to an ignored port pass");
        assert!(!passes(5353, &answered) && passes(53, &answered));
        assert!(!passes(5353, &[0; 48]) && !passes(5353, &[0xff; 48]) && !passes(5353, b"GET"));
        let mut v6 = vec![0x60, 0, 0, 0];
        v6.extend((8 + asked.len() as u16).to_be_bytes());
        v6.extend([17, 64]);
        v6.extend([0x20; 32]);
        v6.extend(udp(40_000, 5353, &asked));
        assert!(program.filter(&ethernet(0x86dd, &v6)));
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let settings = LiveSettings {
            device: "nosuchdevice0".to_owned(),
            ports: vec![53],
            ignored_ports: Vec::new(),
            buffer_bytes: 1 << 20,
        };
        let error = LiveCapture::open(&settings).err().unwrap().to_string();
        assert!(error.contains("nosuchdevice0"), "{error}");
    }
}
