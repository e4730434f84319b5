//! The protobuf message in a data frame.
//!
//! Of dnstap's schema (`dnstap.proto`), counting needs the message's type, octets and time; all
//! other fields are skipped. A field is a number (field number and wire type) followed by a value:
//! a variable-length number, four or eight octets, or a length and that many octets.
//!
//! Message types come in pairs of query and response. A query's octets and time are in the query
//! fields, a response's in the response fields. A response may repeat the query fields to say which
//! query it answers, but that query is reported in a message of its own. So only the fields that
//! the type refers to are read, and each message counts once.

use crate::observe::{Frame, TOLD_BY_SERVER};

/// `Dnstap.message`.
const MESSAGE: u64 = 14;
/// `Dnstap.type`, and its value for a message.
const TYPE: u64 = 15;
const TYPE_MESSAGE: u64 = 1;

const NS_PER_S: u64 = 1_000_000_000;
/// Larger than any message type.
const UNKNOWN: u32 = 255;

/// The fields that counting needs.
#[derive(Debug, Clone, Copy, Default)]
struct Message<'a> {
    /// `Message.type`: 1 AUTH_QUERY, 2 AUTH_RESPONSE and so on, queries odd.
    message_type: u64,
    query: Side<'a>,
    response: Side<'a>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Side<'a> {
    octets: &'a [u8],
    time_s: Option<u64>,
    time_ns: u32,
}

/// Converts the message in a data frame to a frame of [`TOLD_BY_SERVER`] with the message's octets,
/// or none if there are none. A message without a time gets `fallback_ns`, Unix nanoseconds.
///
/// Anything other than a dnstap message becomes a frame of type 0.
#[inline]
pub(crate) fn frame(data: &[u8], fallback_ns: u64) -> Frame<'_> {
    let message = read(data).unwrap_or_default();
    let is_query = message.message_type % 2 == 1;
    let (own, other) = if is_query { (message.query, message.response) } else { (message.response, message.query) };
    let time_ns = own.time().or_else(|| if is_query { None } else { other.time() }).unwrap_or(fallback_ns);
    let number = u32::try_from(message.message_type).map_or(UNKNOWN, |number| number.min(UNKNOWN));
    Frame { time_ns, link_type: TOLD_BY_SERVER + number, data: own.octets, length_on_wire: own.octets.len() as u32 }
}

/// Reads a message. `None` if the bytes are not protobuf, or not a message.
fn read(data: &[u8]) -> Option<Message<'_>> {
    let mut message = Message::default();
    let (mut is_message, mut found) = (false, false);
    let mut fields = Fields { rest: data };
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (TYPE, Value::Number(value)) => is_message = value == TYPE_MESSAGE,
            (MESSAGE, Value::Octets(octets)) => {
                found = true;
                // If the field is repeated, the messages are merged, and later fields win.
                message.read(octets)?;
            }
            _ => {}
        }
    }
    // The type has no default, and 0 is not a valid type.
    (is_message && found && message.message_type > 0).then_some(message)
}

impl<'a> Message<'a> {
    #[inline]
    fn read(&mut self, octets: &'a [u8]) -> Option<()> {
        let mut fields = Fields { rest: octets };
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Number(value)) => self.message_type = value,
                (8, Value::Number(value)) => self.query.time_s = Some(value),
                (9, Value::Four(value)) => self.query.time_ns = value,
                (10, Value::Octets(value)) => self.query.octets = value,
                (12, Value::Number(value)) => self.response.time_s = Some(value),
                (13, Value::Four(value)) => self.response.time_ns = value,
                (14, Value::Octets(value)) => self.response.octets = value,
                _ => {}
            }
        }
        Some(())
    }
}

impl Side<'_> {
    fn time(&self) -> Option<u64> {
        let second_ns = self.time_s?.saturating_mul(NS_PER_S);
        Some(second_ns.saturating_add(u64::from(self.time_ns)))
    }
}

/// Iterates over fields.
struct Fields<'a> {
    rest: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Four(u32),
    Eight,
    Octets(&'a [u8]),
}

impl<'a> Fields<'a> {
    /// The next field: `Some(None)` at the end, `None` if the bytes are malformed.
    #[inline]
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => {
                self.take(8)?;
                Value::Eight
            }
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Octets(self.take(length)?)
            }
            5 => {
                let (octets, rest) = self.rest.split_first_chunk()?;
                self.rest = rest;
                Value::Four(u32::from_le_bytes(*octets))
            }
            // Groups, which dnstap does not use, and undefined wire types.
            _ => return None,
        };
        Some(Some((key >> 3, value)))
    }

    /// Reads a varint: seven bits per octet, least significant first. Bits beyond 64 are discarded,
    /// as protobuf specifies.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (&octet, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(octet & 0x7f).checked_shl(shift).unwrap_or(0);
            if octet < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(octets)
    }
}
