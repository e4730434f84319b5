//! A dnstap file: a frame stream whose data frames are messages of dnstap.

use super::bytes::Bytes;
use super::file::Stop;
use crate::dnstap::{self, Event, Fault, Step, Stream};
use crate::observe::Frame;
use crate::times::BEYOND_NS;

/// A stream whose START was read.
pub(super) struct Dnstap {
    stream: Stream,
    /// The time of the last message that had one, Unix nanoseconds.
    last_ns: u64,
}

impl Dnstap {
    /// Reads up to the first data frame; the reason when the stream is another's.
    pub(super) fn open(bytes: &mut Bytes) -> Result<Result<Self, String>, Stop> {
        let mut stream = Stream::default();
        while !stream.is_started() {
            match stream.step(bytes.rest()) {
                Ok(Step { event: Event::Part(wanted), .. }) => {
                    if !bytes.want(wanted)? {
                        return Err(Stop::Truncated("its first control frame"));
                    }
                }
                Ok(Step { taken, .. }) => drop(bytes.take(taken, 0)),
                Err(fault @ Fault::ContentType) => return Ok(Err(fault.to_string())),
                Err(fault) => return Err(Stop::Damage(fault.to_string())),
            }
        }
        Ok(Ok(Dnstap { stream, last_ns: 0 }))
    }

    /// Finds the next data frame: how long its content is, and how many bytes to pass
    /// over so that the content was the last of them. A stream that was not stopped
    /// ends where the file does: whoever wrote it was killed.
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
