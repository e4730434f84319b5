//! Frame Streams: the frames in which dnstap travels.
//!
//! Every frame begins with its length, four octets, most significant first. A
//! length of 0 announces a control frame: its own length follows, then its type and
//! its fields, each a type, a length and a value. The one known field is a content
//! type. A writer either begins at once (START, data frames, STOP), as in a file, or
//! asks first: it sends READY, waits for ACCEPT, goes on with START, and after STOP
//! waits for FINISH. (The reference is fstrm's `fstrm/control.h` and `fstrm.h`.)

/// The content type of dnstap.
const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";
/// No data frame is longer, bytes: a query and its response of 64 KiB each, and room for the rest.
pub(crate) const MAX_DATA_BYTES: usize = 1 << 18;
/// No control frame is longer, bytes; this is fstrm's own bound.
const MAX_CONTROL_BYTES: usize = 512;
const LENGTH_BYTES: usize = 4;

const ACCEPT: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const READY: u32 = 4;
const FINISH: u32 = 5;
const FIELD_CONTENT_TYPE: u32 = 1;

/// What a writer said so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stream {
    state: State,
    /// Whether it asked first, and so waits for answers.
    asked: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing yet.
    #[default]
    New,
    /// It asked, and may start.
    Asked,
    /// Data frames may come.
    Started,
    /// It has said that it is at its end.
    Stopped,
}

/// What stands at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    /// What it is.
    pub(crate) event: Event<'a>,
    /// How many bytes it takes; what it lends are the last of them.
    pub(crate) taken: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A part of a frame: it cannot be read before there are so many bytes.
    Part(usize),
    /// The content of a data frame.
    Data(&'a [u8]),
    /// The writer asks whether it may send; [`accept`] is the answer.
    Asked,
    /// Data frames follow.
    Started,
    /// The writer is at its end; when it asked first, [`finish`] is the answer.
    Stopped,
}

/// What no writer of Frame Streams sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a data frame of {0} bytes: none is longer than {MAX_DATA_BYTES}")]
    LongData(u32),
    #[error("a control frame of {0} bytes: they have from 4 to {MAX_CONTROL_BYTES}")]
    ControlLength(u32),
    #[error("a control frame whose fields do not fit in it")]
    ControlFields,
    #[error("a control frame of type {0}, which a writer does not send")]
    ControlType(u32),
    #[error("a frame stream, but not of dnstap: its content type is another")]
    ContentType,
    #[error("{0} where it may not stand")]
    Order(&'static str),
}

impl Stream {
    /// Reads the frame at the front of these bytes.
    ///
    /// Fails when there is none of a writer of dnstap; nothing that follows is
    /// to be trusted then.
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

    /// Whether the writer waits for answers.
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
            // After a STOP: files that were put together.
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

/// Whether these bytes begin as Frame Streams do: with a control frame that is a reader's or a writer's first.
pub(crate) fn is_stream(start: &[u8]) -> bool {
    matches!(start, [0, 0, 0, 0, 0, 0, _, _, 0, 0, 0, number, ..] if [ACCEPT, START, READY].contains(&u32::from(*number)))
}

/// The answer to READY.
pub(crate) fn accept() -> Vec<u8> {
    let field = [&FIELD_CONTENT_TYPE.to_be_bytes()[..], &(CONTENT_TYPE.len() as u32).to_be_bytes(), CONTENT_TYPE].concat();
    control(ACCEPT, &field)
}

/// The answer to STOP.
pub(crate) fn finish() -> Vec<u8> {
    control(FINISH, &[])
}

fn control(number: u32, fields: &[u8]) -> Vec<u8> {
    let length = LENGTH_BYTES as u32 + fields.len() as u32;
    [&[0; LENGTH_BYTES][..], &length.to_be_bytes(), &number.to_be_bytes(), fields].concat()
}

/// Whether dnstap is among the content types, or none is named, which stands for any;
/// `None` when the fields do not fit.
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
