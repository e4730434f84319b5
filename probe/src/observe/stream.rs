//! One direction of a TCP connection as a sequence of DNS messages.
//!
//! In a stream, each message is preceded by its length in two octets (RFC 1035 section 4.2.2), so
//! once one message boundary is known, all are, as long as no octet is missing. A [`Stream`]
//! accepts segments in any order, holds those that arrive early, and reads messages from the front.
//! If octets are missing for good, or the capture started in the middle, it searches:
//! [`message_start`] recognises the start of a message, and the octets skipped are counted. A message
//! that its sender did not finish is no loss: the server cannot have read it, either.

use super::message::{Expected, Message, Start, message_start};
use super::scope::Side;
use super::{Sink, message};
use std::collections::VecDeque;
use std::mem;
use zonepulse_wire::Counter;

/// How long a gap stays open while the receiver has not acknowledged the missing octets,
/// nanoseconds. Retransmissions back off to a few seconds.
const GAP_NS: u64 = 10_000_000_000;
/// How long it stays open once the receiver has: then the capture lost the segment or reordered it.
const CONFIRMED_GAP_NS: u64 = 100_000_000;
/// Limits on early segments of one stream, octets and segments.
const MAX_HELD_BYTES: usize = 256 << 10;
const MAX_HELD: usize = 256;
/// Allocator overhead per segment.
const HELD_BYTES: usize = 16;
/// A segment further away than this belongs to another connection between the same ports.
const MAX_BEHIND: i32 = -(1 << 20);
const MAX_AHEAD: i32 = 1 << 24;
/// A buffer that grew beyond this for a long message is not reused.
const KEEP_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Stream {
    /// Sequence number of the next octet to read.
    next: u32,
    place: Place,
    /// Whether message boundaries are known from the start of the stream, rather than from a
    /// search.
    certain: bool,
    /// Octets read that do not form a whole message yet, starting with its two length octets.
    pending: Vec<u8>,
    /// Early segments, in order of sequence numbers.
    held: VecDeque<Held>,
    held_bytes: usize,
    /// When the gap before the held segments appeared.
    gap_since_ns: u64,
    gap_confirmed: bool,
    finished: bool,
}

/// Where the next octet lies with respect to messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After the pending octets: at the start of a message or inside it.
    Following,
    /// Inside a message that is being skipped; `counted` says whether it was counted as a message.
    Inside { remaining: usize, counted: bool },
    /// Unknown: searching.
    Lost,
}

#[derive(Debug)]
struct Held {
    sequence: u32,
    time_ns: u64,
    octets: Box<[u8]>,
    missing: usize,
    last: bool,
}

/// The parts of a TCP segment that a stream needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) sequence: u32,
    pub(super) time_ns: u64,
    pub(super) octets: &'a [u8],
    /// Number of octets that the snap length truncated.
    pub(super) missing: usize,
    /// Whether the sender has finished (FIN).
    pub(super) last: bool,
}

impl Stream {
    /// A stream that continues at this sequence number; `certain` if a message begins there.
    pub(super) fn new(next: u32, certain: bool) -> Self {
        Stream {
            next,
            place: if certain { Place::Following } else { Place::Lost },
            certain,
            pending: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            gap_since_ns: 0,
            gap_confirmed: false,
            finished: false,
        }
    }

    /// Memory used by what it holds, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pending.capacity() + self.held_bytes + self.held.capacity() * size_of::<Held>() + self.held.len() * HELD_BYTES
    }

    pub(super) fn has_gap(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether everything up to the sender's last octet was read.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether a connection that begins at this sequence number is this one.
    pub(super) fn begins_at(&self, next: u32) -> bool {
        self.next == next
    }

    /// Whether a segment with this sequence number can belong to this stream.
    pub(super) fn is_near(&self, sequence: u32) -> bool {
        (MAX_BEHIND..=MAX_AHEAD).contains(&distance(self.next, sequence))
    }

    /// Adds a segment, and reads everything that becomes readable.
    #[inline]
    pub(super) fn part(&mut self, part: &Part<'_>, side: Side, sink: &mut impl Sink) {
        if part.sequence == self.next && self.held.is_empty() {
            return self.take(part, part.time_ns, side, sink);
        }
        if distance(self.next, part.sequence) > 0 {
            self.hold(part);
        } else {
            self.take(part, part.time_ns, side, sink);
            self.take_held(Some(part.time_ns), side, sink);
        }
        self.close_overdue_gap(part.time_ns, side, sink);
    }

    /// The receiver has acknowledged everything before this sequence number.
    pub(super) fn confirmed(&mut self, before: u32, now_ns: u64, side: Side, sink: &mut impl Sink) {
        if self.has_gap() && distance(self.next, before) > 0 {
            self.gap_confirmed = true;
            self.close_overdue_gap(now_ns, side, sink);
        }
    }

    /// Skips a gap that has been open for too long, or holds back too much.
    pub(super) fn close_overdue_gap(&mut self, now_ns: u64, side: Side, sink: &mut impl Sink) {
        while self.has_gap() {
            let patience_ns = if self.gap_confirmed { CONFIRMED_GAP_NS } else { GAP_NS };
            let overdue = now_ns.saturating_sub(self.gap_since_ns) >= patience_ns;
            if !overdue && self.held.len() <= MAX_HELD && self.held_bytes <= MAX_HELD_BYTES {
                return;
            }
            self.skip_gap(side, sink);
        }
    }

    /// Shifts held segments to the new time after the clock was set.
    pub(super) fn shift(&mut self, by_ns: i64) {
        self.gap_since_ns = self.gap_since_ns.saturating_add_signed(by_ns);
        for held in &mut self.held {
            held.time_ns = held.time_ns.saturating_add_signed(by_ns);
        }
    }

    /// Reads what can still be read and counts the rest; no more segments will come.
    pub(super) fn close(&mut self, side: Side, sink: &mut impl Sink) {
        while self.has_gap() {
            self.skip_gap(side, sink);
        }
        if self.certain && self.place == Place::Following && !self.pending.is_empty() {
            sink.add(Counter::StreamBytesUnfinished, self.pending.len() as u64);
            self.clear_pending();
        }
        self.pass_over_pending(sink);
    }

    fn hold(&mut self, part: &Part<'_>) {
        let ahead = |held: &Held| distance(part.sequence, held.sequence);
        let at = self.held.partition_point(|held| ahead(held) < 0);
        if self
            .held
            .get(at)
            .is_some_and(|held| ahead(held) == 0 && held.octets.len() >= part.octets.len() && held.last == part.last)
        {
            return;
        }
        if self.held.is_empty() {
            self.gap_since_ns = part.time_ns;
            self.gap_confirmed = false;
        }
        self.held_bytes += part.octets.len();
        let Part { sequence, time_ns, octets, missing, last } = *part;
        self.held.insert(at, Held { sequence, time_ns, octets: octets.into(), missing, last });
    }

    /// Processes held segments that are next in sequence, at the given time or at their own.
    fn take_held(&mut self, time_ns: Option<u64>, side: Side, sink: &mut impl Sink) {
        while let Some(held) = self.held.pop_front() {
            if distance(self.next, held.sequence) > 0 {
                // The next gap.
                self.gap_since_ns = held.time_ns;
                self.gap_confirmed = false;
                self.held.push_front(held);
                return;
            }
            self.held_bytes -= held.octets.len();
            let Held { sequence, octets, missing, last, .. } = &held;
            let part = Part { sequence: *sequence, time_ns: held.time_ns, octets, missing: *missing, last: *last };
            self.take(&part, time_ns.unwrap_or(held.time_ns), side, sink);
        }
    }

    fn skip_gap(&mut self, side: Side, sink: &mut impl Sink) {
        let Some(first) = self.held.front() else { return };
        let missing = usize::try_from(distance(self.next, first.sequence)).unwrap_or(0);
        let time_ns = first.time_ns;
        self.lose(missing, false, time_ns, side, sink);
        self.take_held(None, side, sink);
    }

    /// Processes a segment that begins at or before the next octet.
    #[inline]
    fn take(&mut self, part: &Part<'_>, time_ns: u64, side: Side, sink: &mut impl Sink) {
        let known = usize::try_from(distance(part.sequence, self.next)).unwrap_or(0);
        let missing = match part.octets.get(known..) {
            Some(octets) => {
                self.next = self.next.wrapping_add(octets.len() as u32);
                self.read(octets, time_ns, side, sink);
                part.missing
            }
            None => (part.octets.len() + part.missing).saturating_sub(known),
        };
        if missing > 0 {
            self.lose(missing, true, time_ns, side, sink);
        }
        self.finished |= part.last && known <= part.octets.len() + part.missing;
    }

    #[inline]
    fn read(&mut self, mut octets: &[u8], time_ns: u64, side: Side, sink: &mut impl Sink) {
        let mut out = Out { time_ms: time_ns / super::NS_PER_MS, side, sink };
        while !octets.is_empty() {
            octets = match self.place {
                Place::Following if self.certain && self.pending.is_empty() => self.whole_messages(octets, &mut out),
                Place::Following => self.follow(octets, &mut out),
                Place::Inside { remaining, counted } => {
                    let (inside, rest) = octets.split_at(remaining.min(octets.len()));
                    if !counted {
                        out.passed_over(inside.len());
                    }
                    self.place = Place::inside(remaining - inside.len(), counted);
                    rest
                }
                Place::Lost => {
                    self.search(octets, &mut out);
                    return;
                }
            };
        }
    }

    /// The usual case: reads whole messages in place, and keeps a partial one at the end.
    #[inline]
    fn whole_messages<'a>(&mut self, mut octets: &'a [u8], out: &mut Out<'_, impl Sink>) -> &'a [u8] {
        while let Some((length, rest)) = octets.split_first_chunk()
            && let Some((octets_of_message, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        {
            out.message(octets_of_message);
            octets = rest;
        }
        self.pending.extend_from_slice(octets);
        &[]
    }

    /// Completes the pending message, reads it when whole, and returns what follows.
    fn follow<'a>(&mut self, octets: &'a [u8], out: &mut Out<'_, impl Sink>) -> &'a [u8] {
        let wanted = self.pending_wants();
        let (taken, rest) = octets.split_at(wanted.min(octets.len()));
        self.pending.extend_from_slice(taken);
        if !self.certain && message_start(&self.pending, out.side.expected()) == Start::Nothing {
            // What looked like a message was none: search all of it again.
            self.place = Place::Lost;
            return rest;
        }
        if self.pending.len() >= 2 && self.pending_wants() == 0 {
            out.message(self.pending.get(2..).unwrap_or_default());
            self.clear_pending();
        }
        rest
    }

    /// Number of octets missing from the pending message, or from its length at first.
    fn pending_wants(&self) -> usize {
        match self.pending.first_chunk() {
            Some(length) => (2 + usize::from(u16::from_be_bytes(*length))).saturating_sub(self.pending.len()),
            None => 2 - self.pending.len(),
        }
    }

    fn clear_pending(&mut self) {
        self.pending.clear();
        if self.pending.capacity() > KEEP_BYTES {
            self.pending = Vec::new();
        }
    }

    /// Searches for the start of a message and reads on from there; keeps what cannot be decided
    /// yet.
    fn search(&mut self, octets: &[u8], out: &mut Out<'_, impl Sink>) {
        let mut buffer = mem::take(&mut self.pending);
        buffer.extend_from_slice(octets);
        let mut rest = buffer.as_slice();
        while !rest.is_empty() {
            match self.place {
                Place::Lost => {
                    let (passed, found) = find_start(rest, out.side.expected());
                    out.passed_over(passed);
                    rest = rest.get(passed..).unwrap_or_default();
                    if !found {
                        self.pending.extend_from_slice(rest);
                        return;
                    }
                    self.place = Place::Following;
                    self.certain = false;
                }
                _ => {
                    rest = self.follow(rest, out);
                    if self.place == Place::Lost {
                        // There is no message at the first octet: move on by one.
                        out.passed_over(1);
                        let again = mem::take(&mut self.pending);
                        let start = buffer.len() - rest.len() - again.len() + 1;
                        rest = buffer.get(start..).unwrap_or_default();
                    }
                }
            }
        }
    }

    /// Skips octets that will never arrive; `cut` if the snap length truncated them.
    fn lose(&mut self, missing: usize, cut: bool, time_ns: u64, side: Side, sink: &mut impl Sink) {
        self.next = self.next.wrapping_add(missing as u32);
        sink.add(Counter::StreamBytesSkipped, missing as u64);
        let remaining = match self.place {
            Place::Inside { remaining, .. } => remaining,
            Place::Following if self.pending.len() >= 2 => self.pending_wants(),
            Place::Following | Place::Lost => 0,
        };
        let counted = match self.place {
            Place::Inside { counted, .. } => counted,
            _ => self.count_pending(cut, time_ns, side, sink),
        };
        self.place = if missing <= remaining { Place::inside(remaining - missing, counted) } else { Place::Lost };
    }

    /// Counts an incomplete message if its beginning suffices to identify it.
    fn count_pending(&mut self, cut: bool, time_ns: u64, side: Side, sink: &mut impl Sink) -> bool {
        let whole_question = |octets: &[u8]| Message::new(octets).is_some_and(|message| message.read(true).is_ok());
        let octets = self.pending.get(2..).unwrap_or_default();
        let counts = self.place == Place::Following && !octets.is_empty() && (cut || whole_question(octets));
        if counts {
            message(octets, side, true, time_ns / super::NS_PER_MS, sink);
            self.clear_pending();
        } else {
            self.pass_over_pending(sink);
        }
        counts
    }

    fn pass_over_pending(&mut self, sink: &mut impl Sink) {
        if !self.pending.is_empty() {
            sink.add(Counter::StreamBytesSkipped, self.pending.len() as u64);
            self.clear_pending();
        }
    }
}

impl Place {
    fn inside(remaining: usize, counted: bool) -> Self {
        if remaining == 0 { Place::Following } else { Place::Inside { remaining, counted } }
    }
}

/// Where the messages of a segment go.
struct Out<'s, S: Sink> {
    time_ms: u64,
    side: Side,
    sink: &'s mut S,
}

impl<S: Sink> Out<'_, S> {
    #[inline]
    fn message(&mut self, octets: &[u8]) {
        message(octets, self.side, false, self.time_ms, self.sink);
    }

    fn passed_over(&mut self, count: usize) {
        if count > 0 {
            self.sink.add(Counter::StreamBytesSkipped, count as u64);
        }
    }
}

/// The number of octets before the first message, and whether there is one. If not, what remains
/// may still turn out to be its beginning.
fn find_start(octets: &[u8], expected: Expected) -> (usize, bool) {
    for at in 0..octets.len() {
        let rest = octets.get(at..).unwrap_or_default();
        match message_start(rest, expected) {
            Start::Nothing => {}
            Start::Undecided => return (at, false),
            Start::Message(length) => {
                // If another message follows, it must be plausible, too.
                let following = rest.get(length..).unwrap_or_default();
                if following.is_empty() || message_start(following, expected) != Start::Nothing {
                    return (at, true);
                }
            }
        }
    }
    (octets.len(), false)
}

/// The signed distance between sequence numbers, which wrap around (RFC 9293 section 3.4).
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}
