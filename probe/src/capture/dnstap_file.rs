//! dnstap files: a frame stream whose data frames are dnstap messages.

use super::bytes::Bytes;
use super::found::Stop;
use crate::dnstap::{self, Event, Fault, Step, Stream};
use crate::observe::Frame;
use crate::times::BEYOND_NS;

/// A frame stream whose START frame was read.
pub(super) struct Dnstap {
    stream: Stream,
    /// The time of the last message that had a time, Unix nanoseconds.
    last_ns: u64,
}

impl Dnstap {
    /// Reads up to the first data frame. Returns the reason if the stream has another content type.
    pub(super) fn open(bytes: &mut Bytes) -> Result<Result<Self, String>, Stop> {
        let mut stream = Stream::default();
        while !stream.is_started() {
            match stream.step(bytes.rest()) {
                Ok(Step { event: Event::Part(wanted), .. }) => {
                    if !bytes.want(wanted)? {
                        return Err(Stop::Truncated("the first control frame"));
                    }
                }
                Ok(Step { taken, .. }) => drop(bytes.take(taken, 0)),
                Err(fault @ Fault::ContentType) => return Ok(Err(fault.to_string())),
                Err(fault) => return Err(Stop::Damage(fault.to_string())),
            }
        }
        Ok(Ok(Dnstap { stream, last_ns: 0 }))
    }

    /// Finds the next data frame; returns the length of its content, and the number of bytes to
    /// consume so that the content ends there. A stream without a STOP frame ends with the file:
    /// its writer was killed.
    #[inline]
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Option<(usize, usize)>, Stop> {
        loop {
            match self.stream.step(bytes.rest()) {
                Ok(Step { event: Event::Data(data), taken }) => return Ok(Some((data.len(), taken))),
                Ok(Step { event: Event::Part(wanted), .. }) => {
                    if !bytes.want(wanted)? {
                        return if bytes.rest().is_empty() { Ok(None) } else { Err(Stop::Truncated("a frame")) };
                    }
                }
                Ok(Step { taken, .. }) => drop(bytes.take(taken, 0)),
                Err(fault) => return Err(Stop::Damage(fault.to_string())),
            }
        }
    }

    /// The message in a data frame.
    #[inline]
    pub(super) fn frame<'a>(&mut self, data: &'a [u8]) -> Frame<'a> {
        let frame = dnstap::frame(data, self.last_ns);
        if frame.time_ns != BEYOND_NS {
            self.last_ns = frame.time_ns;
        }
        frame
    }
}
