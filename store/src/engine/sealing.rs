//! Sealing: the open blocks of an hour and server become sealed values and roll-ups.
//!
//! One step reads as many open blocks of one hour and server as its limit allows and merges them with the existing
//! sealed values. It then performs a single atomic write that contains the sealed values of all affected groups, their
//! roll-ups, and the removal of exactly the blocks it read. Blocks that arrive in the meantime stay open until the next
//! step.
//!
//! Roll-ups are recomputed from the raw points that exist after the step, never updated in place. The only exception is
//! when the raw points have already been removed from disk: the open points are then added to the remaining roll-ups.
//! The blocks are removed in the same write, so no point can be added twice.
//!
//! The write is not synced. It precedes every later batch in the log, so no acknowledged data can outlive it, and if it
//! is lost, the blocks still exist.

use super::Engine;
use crate::database::key;
use crate::retention::Horizon;
use crate::waiting::Pair;
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use zonepulse_codec::Malformed;

/// The result of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub blocks: u64,
    pub points: u64,
}

/// The parts of sealing that differ between kinds of points.
pub(crate) trait Sealer {
    /// Points extracted from blocks.
    type Points: Default;
    /// Where points of this kind are stored.
    const ENGINE: &'static Engine;
    /// A step reads no further blocks once it has this many points.
    const STEP_POINTS: u64;
    /// Whether hours are sealed early when the raw horizon is about to pass them.
    const BEFORE_HORIZON: bool;

    /// Adds the points of a block that starts at this time, in Unix seconds. Returns the number of points.
    fn take(&mut self, start_s: u64, block: &[u8], points: &mut Self::Points) -> Result<u64, Malformed>;

    /// Adds all groups with new points to a batch: the raw points and, where they are kept, the roll-ups.
    fn seal(&mut self, work: &mut Work<'_>, points: Self::Points) -> Result<(), Error>;

    /// Adds open points to the roll-ups when the raw points no longer exist.
    fn add_to_roll_ups(&mut self, work: &mut Work<'_>, points: Self::Points) -> Result<(), Error>;

    /// Writes the batch and anything else that must be part of the write. The caller holds the writer's lock.
    fn write(&mut self, work: Work<'_>, _last_commit: u64) -> Result<(), Error> {
        // Readers see both families either before or after this write, never in between.
        let _moving = work.inner.expiry.write();
        work.inner.database.write(work.batch, false)
    }
}

/// The pending write of a step.
pub(crate) struct Work<'a> {
    pub inner: &'a Inner,
    pub batch: WriteBatch,
    /// The hour and server whose points are sealed.
    pub pair: Pair,
    /// The server's horizon.
    pub horizon: Horizon,
}

/// Seals blocks of an hour and server.
pub(crate) fn step<S: Sealer>(sealer: &mut S, inner: &Inner, pair: Pair) -> Result<Sealed, Error> {
    let (hour, server_id) = pair;
    let waiting = S::ENGINE.waiting(inner);
    let arrived = {
        // With this lock held, no block is announced but not yet written.
        let _alone = inner.writer.lock();
        waiting.lock().count(pair)
    };
    let taken = take_blocks(sealer, inner, pair)?;
    let sealed = Sealed { blocks: taken.keys.len() as u64, points: taken.count };
    let horizon = inner.expiry.read().horizon(server_id);
    let mut work = Work { inner, batch: WriteBatch::default(), pair, horizon };
    if hour >= horizon.raw_hour {
        sealer.seal(&mut work, taken.points)?;
    } else if hour >= horizon.aggregate_hour {
        sealer.add_to_roll_ups(&mut work, taken.points)?;
    }
    for block in &taken.keys {
        work.batch.delete_cf(inner.database.family(S::ENGINE.open), block);
    }
    let writer = inner.writer.lock();
    if !taken.keys.is_empty() {
        sealer.write(work, writer.last_commit())?;
    }
    if taken.all {
        waiting.lock().taken(pair, arrived);
    }
    Ok(sealed)
}

/// The blocks read by a step.
struct Taken<P> {
    keys: Vec<[u8; key::OPEN_BYTES]>,
    points: P,
    /// Number of points.
    count: u64,
    /// Whether these were all blocks of the hour and server.
    all: bool,
}

fn take_blocks<S: Sealer>(sealer: &mut S, inner: &Inner, pair: Pair) -> Result<Taken<S::Points>, Error> {
    let mut taken = Taken { keys: Vec::new(), points: S::Points::default(), count: 0, all: true };
    inner.database.visit(S::ENGINE.open, &key::open_prefix(pair.0, pair.1, 0), |found, block| {
        let (hour, identity, start_s) = key::parse_open(found).ok_or_else(|| Error::damaged("block", found))?;
        if (hour, identity.server_id) != pair {
            return Ok(false);
        }
        if taken.count >= S::STEP_POINTS {
            taken.all = false;
            return Ok(false);
        }
        let points = sealer.take(start_s, block, &mut taken.points);
        taken.count += points.map_err(|Malformed(what)| Error::damaged(what, found))?;
        taken.keys.push(*found.first_chunk().ok_or_else(|| Error::damaged("block", found))?);
        Ok(true)
    })?;
    Ok(taken)
}
