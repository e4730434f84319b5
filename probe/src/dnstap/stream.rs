//! Frame Streams, the framing of dnstap.
//!
//! Every frame begins with its length, four octets in network order. A length of 0 marks a control
//! frame: its own length follows, then its type and fields, each with a type, a length and a value.
//! The only known field is a content type. A writer either begins at once (START, data frames,
//! STOP), as in a file, or negotiates: it sends READY, waits for ACCEPT, continues with START, and
//! after STOP waits for FINISH. (The reference is fstrm's `fstrm/control.h` and `fstrm.h`.)

/// The content type of dnstap.
const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";
/// Maximum length of a data frame, bytes: a query and its response of 64 KiB each, and room for the
/// rest.
pub(crate) const MAX_DATA_BYTES: usize = 1 << 18;
/// Maximum length of a control frame, bytes; the same as in fstrm.
const MAX_CONTROL_BYTES: usize = 512;
const LENGTH_BYTES: usize = 4;

const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;
const FIELD_CONTENT_TYPE: u32 = 1;

/// The state of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    state: State,
    /// Whether the writer sent READY and thus waits for replies.
    asked: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing received yet.
    #[default]
    New,
    /// READY received; START may follow.
    Asked,
    /// START received; data frames may follow.
    Started,
    /// STOP received.
    Stopped,
}

/// What was found at the start of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    pub(crate) event: Event<'a>,
    /// Length consumed; borrowed content is at its end.
    pub(crate) taken: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// An incomplete frame: this many bytes are needed to read on.
    Part(usize),
    /// The content of a data frame.
    Data(&'a [u8]),
    /// READY: the writer asks to send. [`accept`] is the reply.
    Asked,
    /// START: data frames follow.
    Started,
    /// STOP. [`finish`] is the reply if the writer sent READY.
    Stopped,
}

/// A violation of Frame Streams by the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a data frame of {0} bytes exceeds the limit of {MAX_DATA_BYTES}")]
    LongData(u32),
    #[error("a control frame of {0} bytes: the length must be from 4 to {MAX_CONTROL_BYTES}")]
    ControlLength(u32),
    #[error("a control frame whose fields do not fit in it")]
    ControlFields,
    #[error("a control frame of type {0}, which a writer does not send")]
    ControlType(u32),
    #[error("a frame stream with a content type that is not dnstap")]
    ContentType,
    #[error("{0} in the wrong place")]
    Order(&'static str),
}

impl Stream {
    /// Reads the frame at the start of these bytes.
    ///
    /// Fails if they violate Frame Streams or dnstap. Nothing that follows can be trusted then.
    #[inline]
    pub(crate) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Fault> {
        let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(Step::part(LENGTH_BYTES)) };
        let length = u32::from_be_bytes(*length);
        if length == 0 {
            return self.control(rest);
        }
        if self.state != State::Started {
            return Err(Fault::Order("a data frame"));
        }
        if length as usize > MAX_DATA_BYTES {
            return Err(Fault::LongData(length));
        }
        let taken = LENGTH_BYTES + length as usize;
        Ok(match rest.get(..length as usize) {
            Some(data) => Step { event: Event::Data(data), taken },
            None => Step::part(taken),
        })
    }

    /// Whether the writer waits for replies.
    pub(crate) fn asked(&self) -> bool {
        self.asked
    }

    /// Whether data frames may come.
    pub(crate) fn is_started(&self) -> bool {
        self.state == State::Started
    }

    fn control(&mut self, bytes: &[u8]) -> Result<Step<'static>, Fault> {
        let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(Step::part(2 * LENGTH_BYTES)) };
        let length = u32::from_be_bytes(*length);
        if !(4..=MAX_CONTROL_BYTES).contains(&(length as usize)) {
            return Err(Fault::ControlLength(length));
        }
        let taken = 2 * LENGTH_BYTES + length as usize;
        let Some((number, fields)) = rest.get(..length as usize).and_then(|control| control.split_first_chunk()) else {
            return Ok(Step::part(taken));
        };
        let is_dnstap = offers_dnstap(fields).ok_or(Fault::ControlFields)?;
        let event = match (u32::from_be_bytes(*number), self.state) {
            (READY | START, _) if !is_dnstap => return Err(Fault::ContentType),
            (READY, State::New) => {
                (self.state, self.asked) = (State::Asked, true);
                Event::Asked
            }
            // START after STOP: concatenated files.
            (START, State::New | State::Asked | State::Stopped) => {
                self.state = State::Started;
                Event::Started
            }
            (STOP, State::Started) => {
                self.state = State::Stopped;
                Event::Stopped
            }
            (READY, _) => return Err(Fault::Order("READY")),
            (START, _) => return Err(Fault::Order("START")),
            (STOP, _) => return Err(Fault::Order("STOP")),
            (other, _) => return Err(Fault::ControlType(other)),
        };
        Ok(Step { event, taken })
    }
}

impl Step<'_> {
    fn part(wanted: usize) -> Step<'static> {
        Step { event: Event::Part(wanted), taken: 0 }
    }
}

/// Whether these bytes look like Frame Streams: a control frame that a reader or writer sends
/// first.
pub(crate) fn is_stream(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0, 0, 0, 0, _, _, 0, 0, 0, number, ..] if [ACCEPT, START, READY].contains(&u32::from(*number)))
}

/// The reply to READY.
pub(crate) fn accept() -> Vec<u8> {
    let field = [&FIELD_CONTENT_TYPE.to_be_bytes()[..], &(CONTENT_TYPE.len() as u32).to_be_bytes(), CONTENT_TYPE].concat();
    control(ACCEPT, &field)
}

/// The reply to STOP.
pub(crate) fn finish() -> Vec<u8> {
    control(FINISH, &[])
}

fn control(number: u32, fields: &[u8]) -> Vec<u8> {
    let length = LENGTH_BYTES as u32 + fields.len() as u32;
    [&[0; LENGTH_BYTES][..], &length.to_be_bytes(), &number.to_be_bytes(), fields].concat()
}

/// Whether dnstap is among the content types. No content type means any. `None` if the fields do
/// not fit.
fn offers_dnstap(mut fields: &[u8]) -> Option<bool> {
    let (mut any, mut dnstap) = (true, false);
    while !fields.is_empty() {
        let (number, rest) = fields.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if u32::from_be_bytes(*number) == FIELD_CONTENT_TYPE {
            any = false;
            dnstap |= value == CONTENT_TYPE;
        }
        fields = rest;
    }
    Some(any || dnstap)
}
