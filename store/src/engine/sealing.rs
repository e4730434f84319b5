//! Sealing: the open blocks of an hour and server become sealed values and roll-ups.
//!
//! One step takes the blocks of one hour and server, as many as its bound
//! allows, puts them together with what is sealed already, and writes in one
//! atomic write: the sealed values of the groups it touched, their roll-ups,
//! and the removal of exactly the blocks that it read. What arrives meanwhile
//! stays open, for the next step.
//!
//! Roll-ups are made of the raw points that are there after the step, never
//! added to. Only where the raw points have left the disk are the open ones
//! added to the roll-ups that are left; the blocks go in the same write, so no
//! point can be added twice.
//!
//! The write is not synced. It is in the log before every later batch, so
//! nothing that is acknowledged can outlive it, and when it is lost, the blocks
//! are still there.

use super::Engine;
use crate::database::key;
use crate::retention::Horizon;
use crate::waiting::Pair;
use crate::{Error, Inner};
use rocksdb::WriteBatch;
use zonepulse_codec::Malformed;

/// What a step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub blocks: u64,
    pub points: u64,
}

/// What differs between kinds of points when they are sealed.
pub(crate) trait Sealer {
    /// Points that were taken out of blocks.
    type Points: Default;
    /// Where they are stored.
    const ENGINE: &'static Engine;
    /// A step takes no further block once it has so many points.
    const STEP_POINTS: u64;
    /// Whether hours are sealed early if the raw horizon is about to pass them.
    const BEFORE_HORIZON: bool;

    /// Adds the points of a block that starts at this time, Unix seconds; gives how many.
    fn take(&mut self, start_s: u64, block: &[u8], points: &mut Self::Points) -> Result<u64, Malformed>;

    /// Adds to a batch the groups with new points, raw and, where they are kept, rolled up.
    fn seal(&mut self, work: &mut Work<'_>, points: Self::Points) -> Result<(), Error>;

    /// The raw points are not there any more: what is open is added to the roll-ups.
    fn add_to_roll_ups(&mut self, work: &mut Work<'_>, points: Self::Points) -> Result<(), Error>;

    /// Writes the batch and whatever else must be part of the write. Called with the writer's lock held.
    fn write(&mut self, work: Work<'_>, _last_commit: u64) -> Result<(), Error> {
        // Readers look at both families before or after this, not between.
        let _moving = work.inner.expiry.write();
        work.inner.database.write(work.batch, false)
    }
}

/// The write of a step.
pub(crate) struct Work<'a> {
    pub inner: &'a Inner,
    pub batch: WriteBatch,
    /// Whose points are sealed.
    pub pair: Pair,
    /// The server's horizon.
    pub horizon: Horizon,
}

/// Seals blocks of an hour and server.
pub(crate) fn step<S: Sealer>(sealer: &mut S, inner: &Inner, pair: Pair) -> Result<Sealed, Error> {
    let (hour, server_id) = pair;
    let waiting = S::ENGINE.waiting(inner);
    let arrived = {
        // With this, no block is under way that was announced and not written.
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

/// The blocks of a step.
struct Taken<P> {
    keys: Vec<[u8; key::OPEN_BYTES]>,
    points: P,
    /// How many points.
    count: u64,
    /// Whether that was all of them.
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
