//! What a probe counts besides hits.

/// A counter of a batch. Its number is part of the format: numbers are never
/// reused, and a reader keeps a number that it does not know.
///
/// In every batch, the messages seen are all accounted for:
/// `messages_seen = hits of all rows + the counters of` [`Counter::NOT_COUNTED`].
/// What the probe could not even recognise as a message (packets that the
/// kernel dropped, fragments and stream bytes that never became whole) has
/// counters of its own beside that sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Counter {
    /// Packets that capture handed to the probe.
    PacketsSeen = 1,
    /// DNS messages recognised on the observed ports and addresses.
    MessagesSeen = 2,

    /// Messages with opcode NOTIFY (RFC 1996).
    OpcodeNotify = 10,
    /// Messages with opcode UPDATE (RFC 2136).
    OpcodeUpdate = 11,
    /// Messages with opcode DSO (RFC 8490).
    OpcodeDso = 12,
    /// Messages with any other opcode than QUERY.
    OpcodeOther = 13,
    /// Messages of opcode QUERY without a question.
    NoQuestion = 14,
    /// Messages of opcode QUERY with more than one question.
    SeveralQuestions = 15,
    /// Messages that went the wrong way: a query that left the server's port, or a
    /// response that came to it. Not this server's work.
    WrongDirection = 16,
    /// Messages shorter than the header of 12 octets.
    ShortHeader = 20,
    /// Messages that end inside the question.
    ShortQuestion = 21,
    /// Messages whose question has a malformed name.
    BadName = 22,
    /// Messages cut by the capture's snap length before the question's end.
    CutBySnapLength = 23,
    /// Questions of class CH (RFC 1035), and their responses: mostly what version a server has.
    ClassChaos = 24,
    /// Questions of class HS (RFC 1035), and their responses.
    ClassHesiod = 25,
    /// Questions of class NONE (RFC 2136), and their responses.
    ClassNone = 26,
    /// Questions of class ANY (RFC 1035), and their responses.
    ClassAny = 27,
    /// Questions of any other class than IN, and their responses.
    ClassOther = 28,
    /// What the probe itself asked the server (RFC 4892), and the responses.
    OwnMessages = 29,
    /// Messages of a capture file whose time is later than now.
    TimeInFuture = 30,
    /// Messages of a capture file whose time is before the earliest that the configuration takes for possible.
    TimeTooEarly = 31,

    /// Packets that the kernel dropped because the probe did not keep up.
    KernelDropped = 40,
    /// Packets that the network interface or its driver dropped.
    InterfaceDropped = 41,
    /// Frames that could not be read down to UDP or TCP.
    UnreadableFrames = 42,
    /// Frames of a link type that the probe does not read.
    UnknownLinkType = 43,
    /// IP fragments whose datagram never became whole, unless the first one had the whole question.
    FragmentsLost = 44,
    /// Octets of TCP streams that could not be read as messages.
    StreamBytesSkipped = 45,
    /// TCP streams that were given up to stay within bounds.
    StreamsEvicted = 46,
    /// Packets to or from an observed port between other addresses than the server's:
    /// what a resolver asks upstream, multicast DNS, another server's traffic.
    OtherAddresses = 47,
    /// Frames and tunnels without an IP packet: ARP, spanning tree, keep-alives.
    NoIpPacket = 48,
    /// IP packets that carry neither UDP, TCP nor a tunnel that is read: ICMP, ESP.
    OtherProtocols = 49,
    /// UDP datagrams and TCP segments between other ports.
    OtherPorts = 50,
    /// Fragments between other addresses than the server's.
    OtherFragments = 51,
    /// Packets that came again: a capture of all devices shows them once for each device, and a
    /// fragment may be sent twice.
    PacketsRepeated = 52,
    /// Fragments whose packet became whole with a later one; that one counts as the packet does.
    FragmentsJoined = 53,
    /// UDP datagrams to and from the server: a message each.
    UdpDatagrams = 54,
    /// TCP segments to and from the server, with or without messages.
    TcpSegments = 55,
    /// Captured packets whose time was far from the probe's clock, and was replaced by the time of their arrival.
    PacketTimesReplaced = 56,
    /// How often the probe's clock was set while it was listening.
    ClockSteps = 57,

    /// Messages that were counted under `<other>` because the table was full.
    MessagesFolded = 60,
    /// Batches that the central refused for good. The spool keeps them aside, and its probe tells of them; those that came
    /// through a broker are in its dead-letter queue, and the central adds them.
    BatchesRefused = 61,
    /// Records that gave up their places in the table, because it was full. What they
    /// had counted was reported; should they come again, they need a place again.
    RecordsForgotten = 62,
    /// New names that the central counted under `<other>`, because the server had used up its share of
    /// names there. The central adds this, no probe.
    NamesFoldedByCentral = 63,
    /// Hits that the central counted under `<other>` for that reason, or because the server had no room for more totals.
    HitsFoldedByCentral = 64,
    /// Milliseconds of the coverage that another run of a probe of the same server covers, too: what both saw counts twice.
    /// The central adds this, no probe.
    OverlapMs = 65,
    /// Milliseconds of the covered time in which the probe had reason to believe that it did not see all of the DNS server's
    /// messages ([`Blindness`](crate::Blindness)). That time is covered, and yet not observed.
    BlindMs = 66,

    /// Data frames of dnstap that were read.
    DnstapFramesSeen = 80,
    /// Messages of dnstap that are not between the server and its clients: what a
    /// resolver or forwarder asks others (RESOLVER, FORWARDER), or a program's own
    /// questions (STUB, TOOL).
    NotTheServersOwn = 81,
    /// Messages that dnstap tells of without their octets.
    NoMessage = 82,
    /// Data frames of dnstap that could not be read as a message of it.
    DnstapFramesUnreadable = 83,
    /// Connections for dnstap that found no place.
    DnstapConnectionsRefused = 84,
    /// Connections for dnstap that broke off, stalled, or sent what is not dnstap.
    DnstapConnectionsBroken = 85,
    /// Messages of dnstap whose time was far from the probe's, and was replaced by it.
    DnstapTimesReplaced = 86,

    /// Where capture and dnstap both run, one is counted and the other compared: the
    /// messages that the other one would have counted.
    OtherSourceHits = 90,
    /// Messages that only the source that is counted saw, at least: per record, action
    /// and response code what it saw more of, summed. Both that are of the interval's
    /// edge, where the two sources' clocks differ, and those that the one lost are in it.
    OnlyCountedSource = 91,
    /// Messages that only the other source saw, at least: likewise.
    OnlyOtherSource = 92,
    /// Intervals that were compared: 1 in a batch whose interval both sources covered whole.
    IntervalsCompared = 93,
    /// Packets that the other source, a capture, says itself it lost.
    OtherSourceDropped = 94,
}

impl Counter {
    /// Every counter.
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
        Counter::MessagesFolded,
        Counter::BatchesRefused,
        Counter::RecordsForgotten,
        Counter::NamesFoldedByCentral,
        Counter::HitsFoldedByCentral,
        Counter::OverlapMs,
        Counter::BlindMs,
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

    /// The messages that were seen and are in no row.
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

    /// Where each packet ends: in one of these, which together are [`Counter::PacketsSeen`] as
    /// soon as no fragment waits for another.
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

    /// What only accounts for what was read, or was nothing to read: no loss.
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
    ];

    /// More than the largest number of a counter.
    pub const NUMBERS: usize = 128;

    /// Its number in the format.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The counter with this number, if this version knows it.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|counter| counter.number() == number)
    }

    /// Its name in answers and logs.
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

/// The counters of an interval: those that are not zero, by number.
///
/// Keyed by number, so that what a newer probe counts passes through an older
/// central unharmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(Vec<(u16, u64)>);

impl Counters {
    /// All zero.
    pub const fn new() -> Self {
        Counters(Vec::new())
    }

    /// Adds to a counter, stopping at the largest number there is.
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

    /// Sets a counter to zero, and gives what it was.
    pub fn take(&mut self, counter: Counter) -> u64 {
        let at = self.0.binary_search_by_key(&counter.number(), |(number, _)| *number);
        at.map_or(0, |at| self.0.remove(at).1)
    }

    /// Adds all of another's counters.
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

    /// The messages that were seen and are in no row: the sum of [`Counter::NOT_COUNTED`].
    pub fn not_counted(&self) -> u64 {
        Counter::NOT_COUNTED.iter().map(|counter| self.get(*counter)).fold(0, u64::saturating_add)
    }

    /// The counters that are not zero: number and value, by number.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether all are zero.
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
