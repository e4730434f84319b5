//! Turns frames into hits: the only code that parses packets and DNS messages.
//!
//! A [`Frame`] is unwrapped layer by layer: the link layer, IP with reassembly of fragments, then
//! UDP, or TCP with reassembly of streams. The result are DNS messages. A message that belongs to
//! the server according to the [`Scope`] becomes a [`Hit`]; one that cannot count is counted under
//! its reason. Both go to a [`Sink`]. Messages of other hosts are ignored.
//!
//! An [`Observer`] keeps only what later frames may complete (fragments, partial streams), bounded
//! in number, size and age. Frames that need none of that, which is nearly all of them, are read in
//! place, without a copy or an allocation.

#[cfg(test)]
mod accounting_tests;
mod authority;
mod elsewhere;
mod fragment;
#[cfg(test)]
mod fragment_tests;
mod ip;
mod link;
mod message;
#[cfg(test)]
mod odd_tests;
mod own;
mod recent;
mod scope;
mod stream;
#[cfg(test)]
mod stream_tests;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod told;
mod tunnel;

pub use own::OwnQuestions;
pub use scope::{Addresses, Scope};
pub use told::TOLD_BY_SERVER;

use elsewhere::Elsewhere;
use fragment::{Fragments, Joined};
use ip::{Fragment, Packet, Payload, Transport};
use link::Unread;
use message::Message;
use recent::{Identity, Recent};
use scope::{Ends, Side, Watched};
use std::sync::Arc;
use streams::{Segment, Streams};
use told::Told;
use tunnel::Tunnel;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_wire::Counter;

/// A captured frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Capture time, Unix nanoseconds.
    pub time_ns: u64,
    /// The type of the link-layer header, a LINKTYPE_* number of the pcap registry; or
    /// [`TOLD_BY_SERVER`] for a DNS message without headers.
    pub link_type: u32,
    /// The captured octets, starting with the link-layer header.
    pub data: &'a [u8],
    /// Length before truncation by the snap length, octets.
    pub length_on_wire: u32,
}

/// One message of the server that counts.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// QNAME: uncompressed wire format, in the original case.
    pub name: &'a [u8],
    /// QTYPE.
    pub record_type: RecordType,
    /// Request, or response with its RCODE.
    pub kind: MessageKind,
    /// When it was complete, Unix milliseconds.
    pub time_ms: u64,
    /// The whole message; its header and question are known to be well-formed.
    pub message: &'a [u8],
}

/// Receives what an observer finds.
///
/// Every message is passed to exactly one of [`Sink::hit`] and [`Sink::uncounted`], so the number
/// of messages is the sum of both.
pub trait Sink {
    /// A message that counts.
    fn hit(&mut self, hit: &Hit<'_>);
    /// A message that does not count, for one of the reasons in [`Counter::NOT_COUNTED`]; seen at
    /// this time, Unix milliseconds.
    fn uncounted(&mut self, reason: Counter, time_ms: u64);
    /// Every raw message, before it is passed to one of the above; for sinks that do their own
    /// parsing.
    #[inline]
    fn message(&mut self, octets: &[u8]) {
        let _ = octets;
    }
    /// Counts packets, fragments and octets: everything except messages.
    fn add(&mut self, counter: Counter, count: u64);
}

/// Reads frames in the order of capture.
#[derive(Debug)]
pub struct Observer {
    reader: Reader,
    told: Told,
    /// None if not requested.
    elsewhere: Option<Elsewhere>,
    fragments: Fragments,
    streams: Streams,
    recent: Recent,
    /// Unsupported link types, with the number of frames of each.
    unread_link_types: Vec<(u32, u64)>,
    /// Number of frames with an unsupported link type.
    unread_frames: u64,
    /// Next time to expire old state, nanoseconds.
    expire_at_ns: u64,
}

/// How often to expire old state, nanoseconds.
const EXPIRE_EVERY_NS: u64 = 1_000_000_000;
/// Maximum nesting of tunnels: more than real networks use, and cheap enough.
const MAX_TUNNELS: u8 = 4;
const NS_PER_MS: u64 = 1_000_000;
/// Maximum number of unsupported link types counted separately.
const MAX_UNREAD_LINK_TYPES: usize = 16;

impl Observer {
    /// Creates an observer of these endpoints.
    pub fn new(scope: &Scope) -> Self {
        Observer {
            reader: Reader { watched: Watched::new(scope), own: Arc::default() },
            told: Told::new(scope),
            elsewhere: None,
            fragments: Fragments::new(),
            streams: Streams::new(),
            recent: Recent::new(),
            unread_link_types: Vec::new(),
            unread_frames: 0,
            expire_at_ns: EXPIRE_EVERY_NS,
        }
    }

    /// Limits what is kept for later frames to complete, bytes: two thirds for TCP streams, one
    /// third for fragments.
    pub fn within(mut self, max_bytes: usize) -> Self {
        self.fragments.set_max_bytes(max_bytes / 3);
        self.streams.set_max_bytes(max_bytes / 3 * 2);
        self
    }

    /// Also looks for messages on unwatched ports; see [`Self::other_ports`].
    pub fn noting_other_ports(mut self) -> Self {
        self.elsewhere = Some(Elsewhere::default());
        self
    }

    /// The same, but only for requests to the server's addresses.
    pub fn noting_requests_to_other_ports(mut self) -> Self {
        self.elsewhere = Some(Elsewhere::of_requests());
        self
    }

    /// Excludes the probe's own queries, which are not hits.
    pub fn knowing(mut self, own: Arc<OwnQuestions>) -> Self {
        self.reader.own = own;
        self
    }

    /// Reads a frame, and passes what it completes to `sink`.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>, sink: &mut impl Sink) {
        if frame.link_type >= TOLD_BY_SERVER {
            return self.told.read(frame, &self.reader, sink);
        }
        sink.add(Counter::PacketsSeen, 1);
        if frame.time_ns >= self.expire_at_ns {
            self.expire(frame.time_ns, sink);
        }
        let cut = frame.length_on_wire as usize > frame.data.len();
        match link::network(frame.link_type, frame.data) {
            Ok(Some(octets)) => {
                let device = link::device(frame.link_type, frame.data);
                self.packet(octets, At { time_ns: frame.time_ns, cut, depth: 0, device }, sink);
            }
            Ok(None) => sink.add(Counter::NoIpPacket, 1),
            Err(reason) => self.unread(reason, sink),
        }
    }

    /// Watches other endpoints from the next frame on. Incomplete fragments and streams are kept.
    pub fn set_scope(&mut self, scope: &Scope) {
        (self.reader.watched, self.told) = (Watched::new(scope), Told::new(scope));
    }

    /// Unsupported link types (LINKTYPE_* numbers), with the number of frames of each; only the
    /// first few if there are many.
    pub fn unread_link_types(&self) -> &[(u32, u64)] {
        &self.unread_link_types
    }

    /// Number of frames with an unsupported link type.
    pub fn unread_frames(&self) -> u64 {
        self.unread_frames
    }

    /// The few unwatched ports with the most messages that look like DNS, and their number. None
    /// without [`Self::noting_other_ports`].
    pub fn other_ports(&self) -> Vec<(u16, u32)> {
        self.elsewhere.as_ref().map(Elsewhere::most).unwrap_or_default()
    }

    /// The same, since the last call.
    pub fn take_other_ports(&mut self) -> Vec<(u16, u32)> {
        self.elsewhere.as_mut().map(Elsewhere::take).unwrap_or_default()
    }

    #[cold]
    fn unread(&mut self, reason: Unread, sink: &mut impl Sink) {
        let Unread::LinkType(link_type) = reason else { return sink.add(Counter::UnreadableFrames, 1) };
        sink.add(Counter::UnknownLinkType, 1);
        self.unread_frames += 1;
        if let Some((_, frames)) = self.unread_link_types.iter_mut().find(|(known, _)| *known == link_type) {
            *frames += 1;
        } else if self.unread_link_types.len() < MAX_UNREAD_LINK_TYPES {
            self.unread_link_types.push((link_type, 1));
        }
    }

    /// Whether a capture of all devices has just shown this packet on another device.
    #[inline]
    fn is_again(&mut self, packet: &Identity<'_>, at: At) -> bool {
        at.device.is_some_and(|device| self.recent.is_again(packet, device, at.time_ns))
    }

    /// Expires what has waited too long at this time, Unix nanoseconds. Frames trigger this
    /// themselves; a live capture calls it when there are none.
    pub fn expire(&mut self, now_ns: u64, sink: &mut impl Sink) {
        self.expire_at_ns = now_ns.saturating_add(EXPIRE_EVERY_NS);
        self.fragments.expire(now_ns, &self.reader, sink);
        self.streams.expire(now_ns, sink);
    }

    /// Adjusts the age of waiting data after the frames' clock was set by this much, nanoseconds.
    pub fn shift(&mut self, by_ns: i64) {
        self.expire_at_ns = self.expire_at_ns.saturating_add_signed(by_ns);
        self.fragments.shift(by_ns);
        self.streams.shift(by_ns);
    }

    /// Drops everything that waits; no more frames will follow.
    pub fn finish(&mut self, sink: &mut impl Sink) {
        self.fragments.finish(&self.reader, sink);
        self.streams.finish(sink);
    }

    #[inline(always)]
    fn packet(&mut self, octets: &[u8], at: At, sink: &mut impl Sink) {
        let Ok(Packet { source, destination, payload }) = ip::read(octets) else {
            return sink.add(Counter::UnreadableFrames, 1);
        };
        match payload {
            Payload::Whole(transport, octets, length) => {
                self.transport(transport, (source, destination), (octets, length), at, sink);
            }
            Payload::Fragment(fragment) => self.fragment((source, destination), &fragment, at, sink),
            Payload::Other => sink.add(Counter::OtherProtocols, 1),
        }
    }

    fn fragment(&mut self, (source, destination): (u128, u128), fragment: &Fragment<'_>, at: At, sink: &mut impl Sink) {
        let watched = &self.reader.watched;
        let carries_packets = matches!(fragment.transport, Transport::Tunnel(_));
        if !carries_packets && !watched.has_address(source) && !watched.has_address(destination) {
            return sink.add(Counter::OtherFragments, 1);
        }
        let part = (fragment.identification, fragment.offset);
        if self.is_again(&Identity { source, destination, part, octets: fragment.octets }, at) {
            return sink.add(Counter::PacketsRepeated, 1);
        }
        if let Some(Joined { octets, length }) = self.fragments.add((source, destination), fragment, at, &self.reader, sink) {
            let at = At { cut: octets.len() < length, ..at };
            self.transport(fragment.transport, (source, destination), (&octets, length), at, sink);
        }
    }

    #[inline(always)]
    fn transport(
        &mut self,
        transport: Transport,
        (source, destination): (u128, u128),
        (octets, length): (&[u8], usize),
        at: At,
        sink: &mut impl Sink,
    ) {
        match transport {
            Transport::Udp => {
                let Some(datagram) = ip::udp(octets) else { return sink.add(Counter::UnreadableFrames, 1) };
                let side = match self.reader.watched.side((source, datagram.source), (destination, datagram.destination)) {
                    Ends::Watched(side) => side,
                    Ends::OtherAddresses => return sink.add(Counter::OtherAddresses, 1),
                    Ends::OtherPorts => return self.datagram_elsewhere(&datagram, destination, at, sink),
                };
                if self.is_again(&Identity { source, destination, part: (0, 0), octets }, at) {
                    return sink.add(Counter::PacketsRepeated, 1);
                }
                let cut = at.cut && datagram.octets.len() < datagram.length;
                sink.add(Counter::UdpDatagrams, 1);
                self.reader.message(datagram.octets, side, cut, at.time_ns / NS_PER_MS, sink);
            }
            Transport::Tcp => {
                let Some(segment) = Segment::read((source, destination), (octets, length), at.time_ns) else {
                    return sink.add(Counter::UnreadableFrames, 1);
                };
                match self.reader.watched.side(segment.source(), segment.destination()) {
                    Ends::Watched(side) => {
                        sink.add(Counter::TcpSegments, 1);
                        self.streams.segment(&segment, side, sink);
                    }
                    Ends::OtherAddresses => sink.add(Counter::OtherAddresses, 1),
                    Ends::OtherPorts => {
                        if let Some(elsewhere) = &mut self.elsewhere
                            && !elsewhere.only_requests
                        {
                            elsewhere.segment((segment.source().1, segment.destination().1), segment.octets());
                        }
                        sink.add(Counter::OtherPorts, 1);
                    }
                }
            }
            Transport::Tunnel(tunnel) => self.tunnel(tunnel, octets, at, sink),
        }
    }

    /// A datagram between unwatched ports.
    #[inline]
    fn datagram_elsewhere(&mut self, datagram: &ip::Datagram<'_>, destination: u128, at: At, sink: &mut impl Sink) {
        if let Some(tunnel) = Tunnel::at_port(datagram.destination) {
            return self.tunnel(tunnel, datagram.octets, at, sink);
        }
        if let Some(elsewhere) = &mut self.elsewhere
            && !scope::is_multicast(destination)
            && (!elsewhere.only_requests || self.reader.watched.has_address(destination))
        {
            elsewhere.datagram((datagram.source, datagram.destination), datagram.octets, datagram.length);
        }
        sink.add(Counter::OtherPorts, 1);
    }

    fn tunnel(&mut self, tunnel: Tunnel, octets: &[u8], at: At, sink: &mut impl Sink) {
        if at.depth == MAX_TUNNELS {
            return sink.add(Counter::UnreadableFrames, 1);
        }
        match tunnel::network(tunnel, octets) {
            Ok(Some(octets)) => self.packet(octets, At { depth: at.depth + 1, ..at }, sink),
            Ok(None) => sink.add(Counter::NoIpPacket, 1),
            Err(reason) => self.unread(reason, sink),
        }
    }
}

/// What a packet inherits from its frame.
#[derive(Debug, Clone, Copy)]
struct At {
    time_ns: u64,
    /// Whether the snap length truncated the frame.
    cut: bool,
    /// Number of tunnels around the packet.
    depth: u8,
    /// The device, in a capture of all devices.
    device: Option<u32>,
}

/// Reads messages of watched endpoints.
#[derive(Debug)]
struct Reader {
    watched: Watched,
    own: Arc<OwnQuestions>,
}

impl Reader {
    /// Reads a DNS message from a datagram or from dnstap.
    #[inline]
    fn message(&self, octets: &[u8], side: Side, cut: bool, time_ms: u64, sink: &mut impl Sink) {
        read_message(octets, side, cut, time_ms, Some(&self.own), sink);
    }

    /// Reads the message in the first fragment of an incomplete packet, as if the snap length had
    /// truncated it; returns false if there is none, or its question is incomplete.
    #[cold]
    fn first_fragment(&self, (source, destination): (u128, u128), octets: &[u8], time_ns: u64, sink: &mut impl Sink) -> bool {
        let Some(datagram) = ip::udp(octets) else { return false };
        let ends = self.watched.side((source, datagram.source), (destination, datagram.destination));
        let (Ends::Watched(side), Some(message)) = (ends, Message::new(datagram.octets)) else { return false };
        if matches!(message.read(true), Err(Counter::CutBySnapLength)) {
            return false;
        }
        sink.add(Counter::UdpDatagrams, 1);
        self.message(datagram.octets, side, true, time_ns / NS_PER_MS, sink);
        true
    }
}

/// Reads a DNS message from a stream. The probe's own queries never use TCP.
#[inline]
fn message(octets: &[u8], side: Side, cut: bool, time_ms: u64, sink: &mut impl Sink) {
    read_message(octets, side, cut, time_ms, None, sink);
}

#[inline]
fn read_message(octets: &[u8], side: Side, cut: bool, time_ms: u64, own: Option<&OwnQuestions>, sink: &mut impl Sink) {
    sink.message(octets);
    let Some(message) = Message::new(octets) else {
        let reason = if cut { Counter::CutBySnapLength } else { Counter::ShortHeader };
        return sink.uncounted(reason, time_ms);
    };
    if !side.expected().allows(message.is_response()) {
        return sink.uncounted(Counter::WrongDirection, time_ms);
    }
    match message.read(cut) {
        Ok((question, kind)) => {
            sink.hit(&Hit { name: question.name, record_type: question.record_type, kind, time_ms, message: octets })
        }
        Err(reason) => sink.uncounted(own.map_or(reason, |own| own.reason(&message, reason)), time_ms),
    }
}
