//! What a walk gives its points to.

use crate::dns::value::{Columns, Decoder, Part, Wanted};
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;
use zonepulse_model::{RecordId, ServerId};

/// Whose points come next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of {
    pub server_id: ServerId,
    pub hour_s: u64,
    pub interval_s: u32,
    pub kind: MessageKind,
}

/// Where points go.
pub(crate) trait Sink {
    /// Whether hits are looked at; without them reading is cheaper, and they are none.
    const HITS: bool = true;
    /// Called before the points of each group or block; may end the walk.
    fn begin(&mut self, of: &Of) -> ControlFlow<()>;
    /// Offered every sealed part whose slots are all asked for, before it is read. Returns whether it was consumed; if
    /// not, its points follow as usual. Called instead of [`Sink::begin`].
    fn sealed(&mut self, _of: &Of, _part: &mut Unread<'_>) -> Result<ControlFlow<(), bool>, Malformed> {
        Ok(ControlFlow::Continue(false))
    }
    /// Points of one record, at least one, rising by slot. Last accesses are
    /// milliseconds after the hour's start, or none at all.
    fn record(&mut self, of: &Of, record_id: RecordId, slots: &[u16], hits: &[u64], last_ms: &[u32]);
}

/// A part of a sealed value that is not read yet.
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

    /// How many points it has; `None` if not all its records are asked for.
    pub(crate) fn points(&self) -> Result<Option<u64>, Malformed> {
        self.wanted.lows.is_none().then(|| self.part.points()).transpose()
    }

    /// Whether it has one point per record, and all its records are asked for.
    pub(crate) fn is_single(&self) -> bool {
        self.wanted.lows.is_none() && self.part.interval_s == 3600
    }

    /// Adds the hits of such a part to sums by the records' low bytes.
    pub(crate) fn add_single(&mut self, sums: &mut [(u64, u64)]) -> Result<(), Malformed> {
        self.decoder.add_single(self.part, sums)
    }

    /// Reads what is asked for.
    pub(crate) fn read(&mut self) -> Result<&Columns, Malformed> {
        self.decoder.read(self.part, &self.wanted)?;
        Ok(&self.decoder.columns)
    }
}
