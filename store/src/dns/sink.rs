//! What a walk gives its points to.

use crate::dns::value::Columns;
use std::ops::ControlFlow;
use zonepulse_dns::MessageKind;

/// Whose points come next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of {
    pub server_id: u32,
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
    /// A part that is selected whole has so many points: whether that is all that there is to know.
    fn counted(&mut self, _points: u64) -> bool {
        false
    }
    /// Where the hits of a part may be added to, of which each record has one point, if that is all that there is to do
    /// with it.
    fn single(&mut self, _of: &Of, _group: u32) -> ControlFlow<(), Option<&mut [(u64, u64)]>> {
        ControlFlow::Continue(None)
    }
    /// All points of a part: whether that is all that there is to do with them.
    fn part(&mut self, _of: &Of, _group: u32, _columns: &Columns) -> bool {
        false
    }
    /// Points of one record, at least one, rising by slot. Last accesses are
    /// milliseconds after the hour's start, or none at all.
    fn record(&mut self, of: &Of, record_id: u32, slots: &[u16], hits: &[u64], last_ms: &[u32]);
}
