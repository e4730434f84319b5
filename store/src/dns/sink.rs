//! The receiver of the points of a walk.

use crate::dns::value::{Columns, Decoder, Part, Wanted};
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;
use zonepulse_model::{RecordId, ServerId};

/// Origin of the points that follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of {
    pub server_id: ServerId,
    pub hour_s: u64,
    pub interval_s: u32,
    pub kind: MessageKind,
}

/// Receives points.
pub(crate) trait Sink {
    /// Whether hits are used. If not, reading is cheaper and the hits are empty.
    const HITS: bool = true;
    /// Called before the points of each group or block; may stop the walk.
    fn begin(&mut self, of: &Of) -> ControlFlow<()>;
    /// Called for every sealed part whose slots are all requested, before it is decoded and instead of [`Sink::begin`].
    /// Returns whether the part was consumed; if not, its points follow as usual.
    fn sealed(&mut self, _of: &Of, _part: &mut Unread<'_>) -> Result<ControlFlow<(), bool>, Malformed> {
        Ok(ControlFlow::Continue(false))
    }
    /// Receives at least one point of a record, in ascending order of slots. Last accesses are in milliseconds after
    /// the start of the hour, or empty.
    fn record(&mut self, of: &Of, record_id: RecordId, slots: &[u16], hits: &[u64], last_ms: &[u32]);
}

/// An undecoded part of a sealed value.
pub(crate) struct Unread<'a> {
    pub group: u32,
    part: &'a Part<'a>,
    wanted: Wanted<'a>,
    decoder: &'a mut Decoder,
}

impl<'a> Unread<'a> {
    pub(crate) fn new(group: u32, part: &'a Part<'a>, wanted: Wanted<'a>, decoder: &'a mut Decoder) -> Self {
        Unread { group, part, wanted, decoder }
    }

    /// Returns the number of points; `None` if only some of the records are requested.
    pub(crate) fn points(&self) -> Result<Option<u64>, Malformed> {
        self.wanted.lows.is_none().then(|| self.part.points()).transpose()
    }

    /// Whether the part has one point per record and all its records are requested.
    pub(crate) fn is_single(&self) -> bool {
        self.wanted.lows.is_none() && self.part.interval_s == 3600
    }

    /// Adds the hits of such a part to sums indexed by the records' low bytes.
    pub(crate) fn add_single(&mut self, sums: &mut [(u64, u64)]) -> Result<(), Malformed> {
        self.decoder.add_single(self.part, sums)
    }

    /// Decodes the requested contents.
    pub(crate) fn read(&mut self) -> Result<&Columns, Malformed> {
        self.decoder.read(self.part, &self.wanted)?;
        Ok(&self.decoder.columns)
    }
}
