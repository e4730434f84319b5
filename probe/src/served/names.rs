//! Names within a message: read, compared and copied where they are.
//!
//! A name is a sequence of labels that may end with a pointer to labels earlier in the message (RFC
//! 1035 section 4.1.4). A [`Name`] is the offset of its first label, so that names whose compression
//! leads to the same place, as nearly all do, are equal without being looked at.
//!
//! Reading a name checks all of it: each pointer goes back, behind the header and before the labels
//! that led to it, so that none can loop; there are at most [`MAX_POINTERS`], and at most 255
//! octets. Everything else relies on that.

use zonepulse_dns::name::{MAX_LABEL, MAX_WIRE};

/// Maximum number of pointers in a name: more than it can have labels, so that only names made of
/// pointers to pointers exceed it.
const MAX_POINTERS: usize = 128;
/// Length of a message's header: no name begins in it.
const HEADER_OCTETS: usize = 12;
const POINTER: u8 = 0xc0;

/// A name in a message: the offset of its first label, or of the root's octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(u16);

impl Name {
    /// The name in the question.
    pub(super) const QUESTION: Name = Name(HEADER_OCTETS as u16);

    /// Reads the name at this offset; returns it and the offset of what follows. `None` if it is
    /// malformed.
    #[inline]
    pub(super) fn read(message: &[u8], at: usize) -> Option<(Name, usize)> {
        // The usual case: a pointer to the question, which is known to be well-formed.
        if message.get(at..at + 2) == Some(&[POINTER, HEADER_OCTETS as u8]) && at > HEADER_OCTETS {
            return Some((Name::QUESTION, at + 2));
        }
        Name::read_any(message, at)
    }

    fn read_any(message: &[u8], at: usize) -> Option<(Name, usize)> {
        let (mut position, mut before) = (at, at);
        let (mut first, mut end) = (None, None);
        let (mut length, mut pointers) = (0, 0);
        loop {
            let octet = *message.get(position)?;
            match usize::from(octet) {
                0 => {
                    let first = u16::try_from(first.unwrap_or(position)).ok()?;
                    return Some((Name(first), end.unwrap_or(position + 1)));
                }
                octets @ 1..=MAX_LABEL => {
                    first = first.or(Some(position));
                    length += 1 + octets;
                    position += 1 + octets;
                    // The root's octet is still to come.
                    if length >= MAX_WIRE {
                        return None;
                    }
                }
                _ if octet & POINTER == POINTER => {
                    let low = *message.get(position + 1)?;
                    let target = usize::from(octet & !POINTER) << 8 | usize::from(low);
                    end = end.or(Some(position + 2));
                    pointers += 1;
                    if !(HEADER_OCTETS..before).contains(&target) || pointers > MAX_POINTERS {
                        return None;
                    }
                    (position, before) = (target, target);
                }
                _ => return None,
            }
        }
    }

    /// Its labels, leftmost first, without the root's.
    pub(super) fn labels(self, message: &[u8]) -> Labels<'_> {
        Labels { message, at: usize::from(self.0) }
    }

    /// The number of its labels without the root's.
    pub(super) fn label_count(self, message: &[u8]) -> usize {
        self.labels(message).count()
    }

    /// Whether it is the root.
    pub(super) fn is_root(self, message: &[u8]) -> bool {
        message.get(usize::from(self.0)) == Some(&0)
    }

    /// Whether two names are equal, in any case (RFC 4343).
    #[inline]
    pub(super) fn is(self, other: Name, message: &[u8]) -> bool {
        self == other || self.labels(message).is(other.labels(message))
    }

    /// Whether it is this name, or below it.
    pub(super) fn is_within(self, ancestor: Name, message: &[u8]) -> bool {
        self.depth_below(ancestor, message).is_some()
    }

    /// How many labels it has more than a name that it is equal to or below; otherwise `None`.
    pub(super) fn depth_below(self, ancestor: Name, message: &[u8]) -> Option<usize> {
        let depth = self.label_count(message).checked_sub(ancestor.label_count(message))?;
        self.labels(message).without(depth).is(ancestor.labels(message)).then_some(depth)
    }

    /// The name in wire format, in the case of the message: in place if it is written out there,
    /// otherwise copied into `room`.
    #[inline]
    pub(super) fn wire<'a>(self, message: &'a [u8], room: &'a mut [u8; MAX_WIRE]) -> &'a [u8] {
        let from = usize::from(self.0);
        let mut at = from;
        loop {
            match message.get(at) {
                Some(0) => return message.get(from..=at).unwrap_or_default(),
                Some(octets @ 1..=63) => at += 1 + usize::from(*octets),
                _ => return self.labels(message).wire(room),
            }
        }
    }
}

/// The remaining labels of a name, without the root's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Labels<'m> {
    /// The rest after this many labels.
    pub(super) fn without(mut self, count: usize) -> Self {
        self.by_ref().take(count).for_each(drop);
        self
    }

    /// Whether the remaining labels are equal, in any case.
    pub(super) fn is(mut self, mut other: Labels<'_>) -> bool {
        loop {
            if self.at == other.at {
                return true;
            }
            match (self.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }

    /// Copies the name that the remaining labels make, in wire format.
    pub(super) fn wire(self, room: &mut [u8; MAX_WIRE]) -> &[u8] {
        let length = push(room, 0, self);
        room.get(..length).unwrap_or_default()
    }

    /// The same with the label `*` before it. Returns nothing if that is too long for a name.
    pub(super) fn wildcard_wire(self, room: &mut [u8; MAX_WIRE]) -> &[u8] {
        const ASTERISK: [u8; 2] = [1, b'*'];
        if let Some(start) = room.first_chunk_mut() {
            *start = ASTERISK;
        }
        let length = push(room, ASTERISK.len(), self);
        room.get(..length).unwrap_or_default()
    }
}

/// Writes labels and the root at this offset; returns where the name ends, or 0 if it has no room.
fn push(room: &mut [u8; MAX_WIRE], mut at: usize, labels: Labels<'_>) -> usize {
    for label in labels {
        let Some(target) = room.get_mut(at..at + 1 + label.len()) else { return 0 };
        if let Some((length, octets)) = target.split_first_mut() {
            *length = label.len() as u8;
            octets.copy_from_slice(label);
        }
        at += 1 + label.len();
    }
    let Some(root) = room.get_mut(at) else { return 0 };
    *root = 0;
    at + 1
}

impl<'m> Iterator for Labels<'m> {
    type Item = &'m [u8];

    #[inline]
    fn next(&mut self) -> Option<&'m [u8]> {
        loop {
            let octet = *self.message.get(self.at)?;
            if octet & POINTER == POINTER {
                let low = *self.message.get(self.at + 1)?;
                self.at = usize::from(octet & !POINTER) << 8 | usize::from(low);
                continue;
            }
            let octets = usize::from(octet);
            let label = self.message.get(self.at + 1..self.at + 1 + octets).filter(|label| !label.is_empty())?;
            self.at += 1 + octets;
            return Some(label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and these octets.
    fn message(body: &[u8]) -> Vec<u8> {
        [&[0; 12], body].concat()
    }

    fn read(body: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
        let message = message(body);
        let (name, end) = Name::read(&message, at)?;
        Some((name.wire(&message, &mut [0; MAX_WIRE]).to_vec(), end))
    }

    #[test]
    fn a_name_may_continue_elsewhere() {
        let body = b"\x01a\x07Example\x00\x03www\xc0\x0e\xc0\x17\xc0\x1d";
        assert_eq!(read(body, 12), Some((b"\x01a\x07Example\x00".to_vec(), 23)));
        assert_eq!(read(body, 23), Some((b"\x03www\x07Example\x00".to_vec(), 29)), "labels and a pointer");
        assert_eq!(read(body, 29), Some((b"\x03www\x07Example\x00".to_vec(), 31)), "a pointer to such a name");
        assert_eq!(read(body, 31), Some((b"\x03www\x07Example\x00".to_vec(), 33)), "a pointer to a pointer");
        assert_eq!(read(body, 22), Some((b"\x00".to_vec(), 23)), "the root");
    }

    #[test]
    fn pointers_that_do_not_go_back_are_refused() {
        for pointer in [[0xc0, 13], [0xc0, 14], [0xc0, 15], [0xc0, 17], [0xff, 0xff], [0xc0, 11], [0xc0, 0]] {
            let body = [&b"\x00\x01a"[..], &pointer, &[0; 4]].concat();
            assert_eq!(read(&body, 13), None, "{pointer:?}");
        }
        assert!(read(b"\x00\x01a\xc0\x0c", 13).is_some());
    }

    #[test]
    fn truncated_names_and_unknown_labels_are_refused() {
        for body in [&b""[..], b"\x01", b"\x01a", b"\xc0", b"\x41a\x00", b"\x80a\x00", &[63; 63]] {
            assert_eq!(read(body, 12), None, "{body:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_octets_however_it_is_composed() {
        let mut body = b"\x3d".to_vec();
        body.extend([b'a'; 61]);
        body.extend([0; 1]);
        let mut last = 12;
        for _ in 0..2 {
            let at = 12 + body.len();
            body.push(63);
            body.extend([b'b'; 63]);
            body.extend([0xc0, last as u8]);
            last = at;
        }
        let longest = 12 + body.len();
        body.extend([62]);
        body.extend([b'c'; 62]);
        body.extend([0xc0 | (last >> 8) as u8, last as u8]);
        assert_eq!(read(&body, longest).map(|(name, _)| name.len()), Some(254));
        let longer = 12 + body.len();
        body.extend([1, b'd', 0xc0 | (longest >> 8) as u8, longest as u8]);
        assert_eq!(read(&body, longer), None, "256 octets");
    }

    #[test]
    fn pointers_to_pointers_have_an_end() {
        let mut body = vec![0];
        for target in std::iter::once(12).chain((13..).step_by(2)).take(400) {
            body.extend([0xc0 | (target >> 8) as u8, target as u8]);
        }
        assert!(read(&body, 13 + 2 * (MAX_POINTERS - 1)).is_some());
        assert_eq!(read(&body, 13 + 2 * MAX_POINTERS), None);
    }

    #[test]
    fn names_are_compared_by_label_and_in_any_case() {
        let message = message(b"\x03wWw\x07example\x00\x03www\x07Example\x00\x07example\x00\x03ww\x00\x00");
        let name = |at: usize| Name::read(&message, at).unwrap().0;
        let [www, again, apex, other] = [12, 25, 38, 47].map(name);
        assert!(www.is(again, &message) && !www.is(apex, &message));
        assert_eq!(www.depth_below(apex, &message), Some(1));
        assert_eq!(again.depth_below(www, &message), Some(0));
        assert_eq!(apex.depth_below(www, &message), None);
        assert!(!www.is(other, &message) && !other.is_within(apex, &message));
        let mut room = [0; MAX_WIRE];
        assert_eq!(www.labels(&message).without(1).wildcard_wire(&mut room), b"\x01*\x07example\x00");
    }
}
