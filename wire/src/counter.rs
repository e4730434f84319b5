//! What a probe counts besides hits.

/// A counter of a batch. Its number is part of the format: numbers are never reused, and a reader
/// keeps counters with unknown numbers.
///
/// In every batch, all messages seen are accounted for: `messages_seen = hits of all rows + the
/// counters of` [`Counter::NOT_COUNTED`]. Whatever the probe could not recognise as a message
/// (packets dropped by the kernel, fragments and stream octets that never became complete) has
/// counters besides that sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Counter {
    /// Packets captured.
    PacketsSeen = 1,
    /// DNS messages recognised on the observed ports and addresses.
    MessagesSeen = 2,

    /// Messages with opcode NOTIFY (RFC 1996).
    OpcodeNotify = 10,
    /// Messages with opcode UPDATE (RFC 2136).
    OpcodeUpdate = 11,
    /// Messages with opcode DSO (RFC 8490).
    OpcodeDso = 12,
    /// Messages with any other opcode except QUERY.
    OpcodeOther = 13,
    /// Messages of opcode QUERY without a question.
    NoQuestion = 14,
    /// Messages of opcode QUERY with more than one question.
    SeveralQuestions = 15,
    /// Messages in the wrong direction: a query that left the server's port, or a response sent to
    /// it. Not this server's own.
    WrongDirection = 16,
    /// Messages shorter than the header of 12 octets.
    ShortHeader = 20,
    /// Messages that end inside the question.
    ShortQuestion = 21,
    /// Messages whose question has an invalid name.
    BadName = 22,
    /// Messages truncated by the capture's snap length before the end of the question.
    CutBySnapLength = 23,
    /// Questions of class CH (RFC 1035), and their responses: mostly queries for a server's
    /// version.
    ClassChaos = 24,
    /// Questions of class HS (RFC 1035), and their responses.
    ClassHesiod = 25,
    /// Questions of class NONE (RFC 2136), and their responses.
    ClassNone = 26,
    /// Questions of class ANY (RFC 1035), and their responses.
    ClassAny = 27,
    /// Questions of any other class except IN, and their responses.
    ClassOther = 28,
    /// The probe's own queries to the server (RFC 4892), and the responses.
    OwnMessages = 29,
    /// Messages in a capture file with a time in the future.
    TimeInFuture = 30,
    /// Messages in a capture file before the configured earliest time.
    TimeTooEarly = 31,

    /// Packets that the kernel dropped because the probe was too slow.
    KernelDropped = 40,
    /// Packets that the network interface or its driver dropped.
    InterfaceDropped = 41,
    /// Frames that could not be parsed down to UDP or TCP.
    UnreadableFrames = 42,
    /// Frames with an unsupported link type.
    UnknownLinkType = 43,
    /// IP fragments whose datagram never became complete, unless the first one contained the whole
    /// question.
    FragmentsLost = 44,
    /// Octets of TCP streams that could not be read as messages, because others are missing.
    StreamBytesSkipped = 45,
    /// TCP streams evicted to stay within limits.
    StreamsEvicted = 46,
    /// Packets on an observed port between addresses other than the server's: a resolver's upstream
    /// queries, multicast DNS, another server's traffic.
    OtherAddresses = 47,
    /// Frames and tunnels without an IP packet: ARP, spanning tree, keep-alives.
    NoIpPacket = 48,
    /// IP packets with neither UDP, TCP nor a supported tunnel: ICMP, ESP.
    OtherProtocols = 49,
    /// UDP datagrams and TCP segments between other ports.
    OtherPorts = 50,
    /// Fragments between addresses other than the server's.
    OtherFragments = 51,
    /// Repeated packets: a capture of all devices shows them once per device, and a fragment may be
    /// sent twice.
    PacketsRepeated = 52,
    /// Fragments whose packet was completed by a later one; only that one counts as the packet.
    FragmentsJoined = 53,
    /// UDP datagrams to and from the server, with one message each.
    UdpDatagrams = 54,
    /// TCP segments to and from the server, with or without messages.
    TcpSegments = 55,
    /// Captured packets whose time was far from the probe's clock, and was replaced by their time
    /// of arrival.
    PacketTimesReplaced = 56,
    /// Times the probe's clock was set while it was listening.
    ClockSteps = 57,
    /// Octets at the end of TCP streams that their senders never completed to a message, so that no server has
    /// read one: scanners and broken connections.
    StreamBytesUnfinished = 58,

    /// Messages counted under `<other>` because the table was full.
    MessagesFolded = 60,
    /// Batches that the central refused for good. They are kept in the spool, and the probe reports
    /// them; those sent through a broker are in its dead-letter queue, and added by the central.
    BatchesRefused = 61,
    /// Records evicted from the table because it was full. Their hits were reported; if they come
    /// back, they need a new place.
    RecordsForgotten = 62,
    /// New names that the central counted under `<other>`, because the server had used up its share
    /// of names there. Added by the central, not by a probe.
    NamesFoldedByCentral = 63,
    /// Hits that the central counted under `<other>` for that reason, or because there was no room
    /// for more totals of the server.
    HitsFoldedByCentral = 64,
    /// Milliseconds of the coverage that another run of a probe of the same server covers as well:
    /// messages seen by both count twice. Added by the central, not by a probe.
    OverlapMs = 65,
    /// Milliseconds of the coverage in which the probe had reason to believe that it was missing
    /// messages of the DNS server ([`Blindness`](crate::Blindness)). That time is covered, but not
    /// observed.
    BlindMs = 66,

    /// Truncated responses (TC): they served nothing, and the client asks again over TCP.
    ServedTruncated = 70,
    /// Responses whose records could not be read, so that it is not known what they served. Their hits count.
    ServedUnreadable = 71,
    /// What was served of records for which there was no room in the probe's table. The hits count.
    ServedFolded = 72,

    /// dnstap data frames read.
    DnstapFramesSeen = 80,
    /// dnstap messages that are not between the server and its clients: a resolver's or forwarder's
    /// queries to other servers (RESOLVER, FORWARDER), or a program's own queries (STUB, TOOL).
    NotTheServersOwn = 81,
    /// dnstap messages without octets.
    NoMessage = 82,
    /// Data frames that could not be read as a dnstap message.
    DnstapFramesUnreadable = 83,
    /// dnstap connections refused at a limit.
    DnstapConnectionsRefused = 84,
    /// dnstap connections that failed, stalled, or violated the protocol.
    DnstapConnectionsBroken = 85,
    /// dnstap messages whose time was far from the probe's clock, and was replaced by it.
    DnstapTimesReplaced = 86,

    /// If capture and dnstap both run, one is counted and compared with the other: messages that
    /// the other one would have counted.
    OtherSourceHits = 90,
    /// Minimum number of messages seen only by the counted source: the positive differences per
    /// record, action and response code, summed. Includes messages at the edge of the interval,
    /// where the two clocks differ, and those that the other source lost.
    OnlyCountedSource = 91,
    /// The same for messages seen only by the other source.
    OnlyOtherSource = 92,
    /// Number of intervals compared: 1 in a batch whose interval both sources covered completely.
    IntervalsCompared = 93,
    /// Packets lost according to the other source, if that is a capture.
    OtherSourceDropped = 94,
}

impl Counter {
    /// All counters.
    pub const ALL: &[Counter] = &[
        Counter::PacketsSeen,
        Counter::MessagesSeen,
        Counter::OpcodeNotify,
        Counter::OpcodeUpdate,
        Counter::OpcodeDso,
        Counter::OpcodeOther,
        Counter::NoQuestion,
        Counter::SeveralQuestions,
        Counter::WrongDirection,
        Counter::ShortHeader,
        Counter::ShortQuestion,
        Counter::BadName,
        Counter::CutBySnapLength,
        Counter::ClassChaos,
        Counter::ClassHesiod,
        Counter::ClassNone,
        Counter::ClassAny,
        Counter::ClassOther,
        Counter::OwnMessages,
        Counter::TimeInFuture,
        Counter::TimeTooEarly,
        Counter::KernelDropped,
        Counter::InterfaceDropped,
        Counter::UnreadableFrames,
        Counter::UnknownLinkType,
        Counter::FragmentsLost,
        Counter::StreamBytesSkipped,
        Counter::StreamsEvicted,
        Counter::OtherAddresses,
        Counter::NoIpPacket,
        Counter::OtherProtocols,
        Counter::OtherPorts,
        Counter::OtherFragments,
        Counter::PacketsRepeated,
        Counter::FragmentsJoined,
        Counter::UdpDatagrams,
        Counter::TcpSegments,
        Counter::PacketTimesReplaced,
        Counter::ClockSteps,
        Counter::StreamBytesUnfinished,
        Counter::MessagesFolded,
        Counter::BatchesRefused,
        Counter::RecordsForgotten,
        Counter::NamesFoldedByCentral,
        Counter::HitsFoldedByCentral,
        Counter::OverlapMs,
        Counter::BlindMs,
        Counter::ServedTruncated,
        Counter::ServedUnreadable,
        Counter::ServedFolded,
        Counter::DnstapFramesSeen,
        Counter::NotTheServersOwn,
        Counter::NoMessage,
        Counter::DnstapFramesUnreadable,
        Counter::DnstapConnectionsRefused,
        Counter::DnstapConnectionsBroken,
        Counter::DnstapTimesReplaced,
        Counter::OtherSourceHits,
        Counter::OnlyCountedSource,
        Counter::OnlyOtherSource,
        Counter::IntervalsCompared,
        Counter::OtherSourceDropped,
    ];

    /// Messages seen that are in no row.
    pub const NOT_COUNTED: &[Counter] = &[
        Counter::OpcodeNotify,
        Counter::OpcodeUpdate,
        Counter::OpcodeDso,
        Counter::OpcodeOther,
        Counter::NoQuestion,
        Counter::SeveralQuestions,
        Counter::WrongDirection,
        Counter::ShortHeader,
        Counter::ShortQuestion,
        Counter::BadName,
        Counter::CutBySnapLength,
        Counter::ClassChaos,
        Counter::ClassHesiod,
        Counter::ClassNone,
        Counter::ClassAny,
        Counter::ClassOther,
        Counter::OwnMessages,
        Counter::TimeInFuture,
        Counter::TimeTooEarly,
        Counter::NotTheServersOwn,
        Counter::NoMessage,
    ];

    /// The final counters of packets: each packet is in one of them, and their sum is
    /// [`Counter::PacketsSeen`] as soon as no fragment waits for another.
    pub const PACKETS: &[Counter] = &[
        Counter::UdpDatagrams,
        Counter::TcpSegments,
        Counter::UnreadableFrames,
        Counter::UnknownLinkType,
        Counter::NoIpPacket,
        Counter::OtherProtocols,
        Counter::OtherPorts,
        Counter::OtherAddresses,
        Counter::OtherFragments,
        Counter::PacketsRepeated,
        Counter::FragmentsJoined,
        Counter::FragmentsLost,
    ];

    /// Counters of what was read, or was nothing to read: not a loss.
    pub const NO_LOSS: &[Counter] = &[
        Counter::PacketsSeen,
        Counter::MessagesSeen,
        Counter::DnstapFramesSeen,
        Counter::UdpDatagrams,
        Counter::TcpSegments,
        Counter::NoIpPacket,
        Counter::OtherProtocols,
        Counter::OtherPorts,
        Counter::OtherFragments,
        Counter::PacketsRepeated,
        Counter::FragmentsJoined,
        Counter::StreamBytesUnfinished,
    ];

    /// Upper bound on counter numbers.
    pub const NUMBERS: usize = 128;

    /// The number in the format.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The counter with this number, if this version knows it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|counter| counter.number() == number)
    }

    /// The name in answers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Counter::PacketsSeen => "packets_seen",
            Counter::MessagesSeen => "messages_seen",
            Counter::OpcodeNotify => "opcode_notify",
            Counter::OpcodeUpdate => "opcode_update",
            Counter::OpcodeDso => "opcode_dso",
            Counter::OpcodeOther => "opcode_other",
            Counter::NoQuestion => "no_question",
            Counter::SeveralQuestions => "several_questions",
            Counter::WrongDirection => "wrong_direction",
            Counter::ShortHeader => "short_header",
            Counter::ShortQuestion => "short_question",
            Counter::BadName => "bad_name",
            Counter::CutBySnapLength => "cut_by_snap_length",
            Counter::ClassChaos => "class_ch",
            Counter::ClassHesiod => "class_hs",
            Counter::ClassNone => "class_none",
            Counter::ClassAny => "class_any",
            Counter::ClassOther => "class_other",
            Counter::OwnMessages => "own_messages",
            Counter::TimeInFuture => "time_in_future",
            Counter::TimeTooEarly => "time_too_early",
            Counter::KernelDropped => "kernel_dropped",
            Counter::InterfaceDropped => "interface_dropped",
            Counter::UnreadableFrames => "unreadable_frames",
            Counter::UnknownLinkType => "unknown_link_type",
            Counter::FragmentsLost => "fragments_lost",
            Counter::StreamBytesSkipped => "stream_bytes_skipped",
            Counter::StreamsEvicted => "streams_evicted",
            Counter::StreamBytesUnfinished => "stream_bytes_unfinished",
            Counter::OtherAddresses => "other_addresses",
            Counter::NoIpPacket => "no_ip_packet",
            Counter::OtherProtocols => "other_protocols",
            Counter::OtherPorts => "other_ports",
            Counter::OtherFragments => "other_fragments",
            Counter::PacketsRepeated => "packets_repeated",
            Counter::FragmentsJoined => "fragments_joined",
            Counter::UdpDatagrams => "udp_datagrams",
            Counter::TcpSegments => "tcp_segments",
            Counter::PacketTimesReplaced => "packet_times_replaced",
            Counter::ClockSteps => "clock_steps",
            Counter::MessagesFolded => "messages_folded",
            Counter::BatchesRefused => "batches_refused",
            Counter::RecordsForgotten => "records_forgotten",
            Counter::NamesFoldedByCentral => "names_folded_by_central",
            Counter::HitsFoldedByCentral => "hits_folded_by_central",
            Counter::OverlapMs => "overlap_ms",
            Counter::BlindMs => "blind_ms",
            Counter::ServedTruncated => "served_truncated",
            Counter::ServedUnreadable => "served_unreadable",
            Counter::ServedFolded => "served_folded",
            Counter::DnstapFramesSeen => "dnstap_frames_seen",
            Counter::NotTheServersOwn => "not_the_servers_own",
            Counter::NoMessage => "no_message",
            Counter::DnstapFramesUnreadable => "dnstap_frames_unreadable",
            Counter::DnstapConnectionsRefused => "dnstap_connections_refused",
            Counter::DnstapConnectionsBroken => "dnstap_connections_broken",
            Counter::DnstapTimesReplaced => "dnstap_times_replaced",
            Counter::OtherSourceHits => "other_source_hits",
            Counter::OnlyCountedSource => "only_counted_source",
            Counter::OnlyOtherSource => "only_other_source",
            Counter::IntervalsCompared => "intervals_compared",
            Counter::OtherSourceDropped => "other_source_dropped",
        }
    }
}

/// The nonzero counters of an interval, by number.
///
/// Keyed by number, so that counters of a newer probe pass through an older central unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(Vec<(u16, u64)>);

impl Counters {
    /// All counters zero.
    pub const fn new() -> Self {
        Counters(Vec::new())
    }

    /// Adds to a counter, saturating.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.add_number(counter.number(), count);
    }

    /// Adds to the counter with this number, known or not.
    pub fn add_number(&mut self, number: u16, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum = sum.saturating_add(count);
                }
            }
            Err(at) => self.0.insert(at, (number, count)),
        }
    }

    /// Resets a counter to zero, and returns its value.
    pub fn take(&mut self, counter: Counter) -> u64 {
        let at = self.0.binary_search_by_key(&counter.number(), |(number, _)| *number);
        at.map_or(0, |at| self.0.remove(at).1)
    }

    /// Adds all counters of another interval.
    pub fn merge(&mut self, other: &Counters) {
        for (number, count) in other.iter() {
            self.add_number(number, count);
        }
    }

    /// The value of a counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0
            .binary_search_by_key(&counter.number(), |(number, _)| *number)
            .ok()
            .and_then(|at| self.0.get(at))
            .map_or(0, |(_, count)| *count)
    }

    /// Number of messages seen that are in no row: the sum of [`Counter::NOT_COUNTED`].
    pub fn not_counted(&self) -> u64 {
        Counter::NOT_COUNTED.iter().map(|counter| self.get(*counter)).fold(0, u64::saturating_add)
    }

    /// The nonzero counters: number and value, by number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether all counters are zero.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_number_and_no_name_stands_for_two_counters() {
        let numbers: HashSet<_> = Counter::ALL.iter().map(|c| c.number()).collect();
        let names: HashSet<_> = Counter::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!((numbers.len(), names.len()), (Counter::ALL.len(), Counter::ALL.len()));
        assert!(numbers.iter().all(|number| usize::from(*number) < Counter::NUMBERS));
    }

    #[test]
    fn messages_and_packets_that_do_not_count_have_counters_that_are_known_and_apart() {
        for of in [Counter::NOT_COUNTED, Counter::PACKETS, Counter::NO_LOSS] {
            let distinct: HashSet<_> = of.iter().collect();
            assert_eq!(distinct.len(), of.len());
            assert!(of.iter().all(|counter| Counter::from_number(counter.number()) == Some(*counter)));
        }
        assert!(
            Counter::NOT_COUNTED.iter().all(|counter| !Counter::PACKETS.contains(counter) && !Counter::NO_LOSS.contains(counter))
        );
    }

    #[test]
    fn an_unknown_number_is_kept() {
        let mut counters = Counters::new();
        counters.add_number(9999, 3);
        counters.add(Counter::BadName, 1);
        counters.add_number(9999, 4);
        assert_eq!(counters.iter().collect::<Vec<_>>(), [(22, 1), (9999, 7)]);
        assert_eq!((counters.take(Counter::BadName), counters.take(Counter::BadName)), (1, 0));
        assert_eq!(counters.iter().collect::<Vec<_>>(), [(9999, 7)]);
    }
}
