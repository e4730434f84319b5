//! The DNS message, as far as counting needs it.
//!
//! A message begins with a header of 12 octets (RFC 1035 section 4.1.1): an ID, flags, and the
//! number of entries in each of the four sections. The question follows: QNAME, QTYPE and QCLASS.
//! They identify the record, so nothing after them is read, with one exception: RCODEs have 12
//! bits, and the upper eight are in an OPT record in the additional section (RFC 6891 section
//! 6.1.3). They are read if the answer and authority sections are empty, which is how responses
//! that need them (BADVERS, BADCOOKIE) are built; otherwise they are taken to be zero.
//!
//! Everything borrows from the captured octets; nothing here allocates, and no octet is examined
//! more than twice.

use zonepulse_dns::{MessageKind, Opcode, RecordType, ResponseCode, name};
use zonepulse_wire::Counter;

/// Length of the header.
pub(crate) const HEADER_OCTETS: usize = 12;
/// The shortest question: the root's name, a type and a class.
const MIN_QUESTION_OCTETS: usize = 5;
/// The shortest resource record: the root's name, type, class, TTL and length.
const MIN_RECORD_OCTETS: usize = 11;

/// A message with a complete header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    header: [u8; HEADER_OCTETS],
    body: &'a [u8],
}

/// The question of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// Uncompressed wire format, in the original case.
    pub(crate) name: &'a [u8],
    pub(crate) record_type: RecordType,
    class: u16,
    /// The octets after the question.
    rest: &'a [u8],
}

/// Why there is no valid question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoQuestion {
    /// It is truncated.
    Short,
    /// Its name is invalid.
    BadName,
}

impl<'a> Message<'a> {
    /// Returns `None` if the header is truncated.
    #[inline]
    pub(crate) fn new(octets: &'a [u8]) -> Option<Self> {
        let (header, body) = octets.split_first_chunk()?;
        Some(Message { header: *header, body })
    }

    /// Whether it is a response (QR).
    #[inline]
    pub(crate) fn is_response(&self) -> bool {
        let [_, _, flags, ..] = self.header;
        flags & 0x80 != 0
    }

    /// The message ID.
    pub(super) fn id(&self) -> u16 {
        let [high, low, ..] = self.header;
        u16::from_be_bytes([high, low])
    }

    /// The octets after the header.
    pub(super) fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Reads the question and the kind of message; fails with the counter for the reason why it
    /// does not count. `cut` says whether the snap length truncated it.
    #[inline]
    pub(crate) fn read(&self, cut: bool) -> Result<(Question<'a>, MessageKind), Counter> {
        self.check_opcode()?;
        let [_, _, _, _, questions_high, questions_low, ..] = self.header;
        match u16::from_be_bytes([questions_high, questions_low]) {
            1 => {}
            0 => return Err(Counter::NoQuestion),
            _ => return Err(Counter::SeveralQuestions),
        }
        let question = read_question(self.body).map_err(|reason| match reason {
            NoQuestion::BadName => Counter::BadName,
            NoQuestion::Short if cut => Counter::CutBySnapLength,
            NoQuestion::Short => Counter::ShortQuestion,
        })?;
        check_class(question.class)?;
        let kind = match self.is_response() {
            true => MessageKind::response(self.response_code(&question)),
            false => MessageKind::REQUEST,
        };
        Ok((question, kind))
    }

    #[inline]
    fn opcode(&self) -> Opcode {
        let [_, _, flags, ..] = self.header;
        Opcode::from_masked(flags >> 3)
    }

    #[inline]
    fn check_opcode(&self) -> Result<(), Counter> {
        match self.opcode() {
            Opcode::QUERY => Ok(()),
            Opcode::NOTIFY => Err(Counter::OpcodeNotify),
            Opcode::UPDATE => Err(Counter::OpcodeUpdate),
            Opcode::DSO => Err(Counter::OpcodeDso),
            _ => Err(Counter::OpcodeOther),
        }
    }

    #[inline]
    fn response_code(&self, question: &Question<'_>) -> ResponseCode {
        let [_, _, _, flags, _, _, sections @ ..] = self.header;
        let low = u16::from(flags & 0x0f);
        let [0, 0, 0, 0, additional_high, additional_low] = sections else { return ResponseCode::from_masked(low) };
        let additional = u16::from_be_bytes([additional_high, additional_low]);
        let high = extended_code(question.rest, additional).unwrap_or(0);
        ResponseCode::from_masked(u16::from(high) << 4 | low)
    }
}

/// Only class IN counts.
#[inline]
fn check_class(class: u16) -> Result<(), Counter> {
    match class {
        1 => Ok(()),
        3 => Err(Counter::ClassChaos),
        4 => Err(Counter::ClassHesiod),
        254 => Err(Counter::ClassNone),
        255 => Err(Counter::ClassAny),
        _ => Err(Counter::ClassOther),
    }
}

/// The upper eight bits of the RCODE, if there is an OPT record.
fn extended_code(mut records: &[u8], count: u16) -> Option<u8> {
    for _ in 0..count {
        let (is_root, rest) = skip_name(records)?;
        let (fixed, rest) = rest.split_first_chunk::<10>()?;
        let [type_high, type_low, _, _, extended, _, _, _, length_high, length_low] = *fixed;
        if is_root && u16::from_be_bytes([type_high, type_low]) == RecordType::OPT.value() {
            return Some(extended);
        }
        records = rest.get(usize::from(u16::from_be_bytes([length_high, length_low]))..)?;
    }
    None
}

/// Skips a possibly compressed name; returns whether it is the root, and what follows.
pub(super) fn skip_name(octets: &[u8]) -> Option<(bool, &[u8])> {
    let mut rest = octets;
    loop {
        let (&length, after) = rest.split_first()?;
        match length {
            0 => return Some((octets.len() - rest.len() == 0, after)),
            1..=63 => rest = after.get(usize::from(length)..)?,
            192.. => return Some((false, after.get(1..)?)),
            _ => return None,
        }
    }
}

/// Reads the question at the start of these octets. Its name cannot be compressed, since there is
/// no earlier name for a pointer to refer to.
#[inline]
fn read_question(body: &[u8]) -> Result<Question<'_>, NoQuestion> {
    let mut end = 0;
    loop {
        let Some(&length) = body.get(end) else { return Err(NoQuestion::Short) };
        let length = usize::from(length);
        if length > name::MAX_LABEL {
            return Err(NoQuestion::BadName);
        }
        end += 1 + length;
        if end > name::MAX_WIRE {
            return Err(NoQuestion::BadName);
        }
        if length == 0 {
            break;
        }
    }
    let (name, rest) = body.split_at_checked(end).ok_or(NoQuestion::Short)?;
    let ([type_high, type_low, class_high, class_low], rest) = rest.split_first_chunk().ok_or(NoQuestion::Short)?;
    let record_type = RecordType::new(u16::from_be_bytes([*type_high, *type_low]));
    Ok(Question { name, record_type, class: u16::from_be_bytes([*class_high, *class_low]), rest })
}

/// Whether a message begins at a position in a TCP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Yes, beyond reasonable doubt; it takes this many octets, including its two length octets.
    Message(usize),
    /// Possibly; more octets are needed to decide.
    Undecided,
    /// No.
    Nothing,
}

/// Whether the payload between two ports looks like a DNS message, and if so, whether like a
/// response. `length` is its length on the wire.
pub(super) fn resembles(octets: &[u8], length: usize) -> Option<bool> {
    let message = Message::new(octets)?;
    let any = Expected { requests: true, responses: true };
    if length < HEADER_OCTETS + MIN_QUESTION_OCTETS || !message.is_plausible_header(length, any) {
        return None;
    }
    let question = read_question(message.body).ok()?;
    is_known_class(question.class).then(|| message.is_response())
}

#[inline]
fn is_known_class(class: u16) -> bool {
    matches!(class, 1 | 3 | 4 | 254 | 255)
}

/// Which messages a TCP stream may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) requests: bool,
    pub(crate) responses: bool,
}

/// Whether a message with its two length octets begins at the start of these octets of a stream
/// (RFC 1035 section 4.2.2). Only a message of opcode QUERY with one well-formed question in a
/// known class is recognised. By chance, that happens at one position in some 10^12, so a reader
/// that lost its place in the stream may continue from there.
pub(crate) fn message_start(octets: &[u8], expected: Expected) -> Start {
    let Some(([length_high, length_low], message)) = octets.split_first_chunk() else { return Start::Undecided };
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    if length < HEADER_OCTETS + MIN_QUESTION_OCTETS {
        return Start::Nothing;
    }
    let message = message.get(..length).unwrap_or(message);
    let Some(message) = Message::new(message) else {
        // Check the flags early, so that little is buffered in vain.
        let fits = message.get(2).is_none_or(|flags| flags & 0x78 == 0 && expected.allows(flags & 0x80 != 0));
        return if fits { Start::Undecided } else { Start::Nothing };
    };
    if !message.is_plausible_header(length, expected) {
        return Start::Nothing;
    }
    match read_question(message.body) {
        Ok(question) if is_known_class(question.class) => Start::Message(2 + length),
        Ok(_) | Err(NoQuestion::BadName) => Start::Nothing,
        Err(NoQuestion::Short) if message.body.len() + HEADER_OCTETS < length => Start::Undecided,
        Err(NoQuestion::Short) => Start::Nothing,
    }
}

impl Expected {
    #[inline]
    pub(crate) fn allows(self, response: bool) -> bool {
        if response { self.responses } else { self.requests }
    }
}

impl Message<'_> {
    fn is_plausible_header(&self, length: usize, expected: Expected) -> bool {
        let [_, _, _, flags, questions @ .., _, _, _, _, _, _] = self.header;
        let [.., a, b, c, d, e, f] = self.header;
        let answers = usize::from(u16::from_be_bytes([a, b]));
        let others = usize::from(u16::from_be_bytes([c, d])) + usize::from(u16::from_be_bytes([e, f]));
        let room = (length - HEADER_OCTETS - MIN_QUESTION_OCTETS) / MIN_RECORD_OCTETS;
        self.opcode() == Opcode::QUERY
            && questions == [0, 1]
            // The one bit that is still reserved (RFC 1035 section 4.1.1, RFC 2535).
            && flags & 0x40 == 0
            && expected.allows(self.is_response())
            && (self.is_response() || answers == 0)
            && answers + others <= room
    }
}
