//! Whether a batch is already stored, and whose coverage it overlaps.

use super::Write;
use super::marker::{Marker, Number};
use super::overlap::{Covered, Overlap, Shared, read};
use crate::Error;
use crate::database::key;
use zonepulse_codec::Malformed;
use zonepulse_model::Identity;

impl Write<'_> {
    /// Whether a batch with this identity and start, Unix seconds, is stored or part of this write.
    ///
    /// Fails with [`Error::TooLate`] if that is no longer known.
    pub fn is_known(&mut self, identity: &Identity, start_s: u64) -> Result<bool, Error> {
        let floor_s = self.writer.epochs.floor_s(identity.server_id);
        let Identity { epoch, seq, .. } = *identity;
        match self.marker(identity)?.map(|marker| marker.look_up(seq, start_s)) {
            Some(Number::Taken) => Ok(true),
            Some(Number::Free) => Ok(false),
            Some(Number::Settled) => Err(Error::TooLate { epoch, seq }),
            None if start_s < floor_s => Err(Error::TooLate { epoch, seq }),
            None => Ok(false),
        }
    }

    /// Marks a batch as stored; returns `false` if it already was.
    pub(crate) fn mark(&mut self, identity: &Identity, start_s: u64) -> Result<bool, Error> {
        if self.is_known(identity, start_s)? {
            return Ok(false);
        }
        let of_epoch = (identity.server_id, identity.epoch);
        let floor_s = self.writer.epochs.floor_s(identity.server_id);
        let marker = self.markers.entry(of_epoch).or_insert_with(|| {
            self.begun.insert(of_epoch);
            // The epoch may be one whose marker was forgotten.
            Marker::new(floor_s)
        });
        marker.take(identity.seq, start_s);
        Ok(true)
    }

    /// The marker of an epoch, if there is one.
    pub(crate) fn marker(&mut self, identity: &Identity) -> Result<Option<&Marker>, Error> {
        let of_epoch = (identity.server_id, identity.epoch);
        if !self.markers.contains_key(&of_epoch) {
            let marker = match self.writer.markers.get(&of_epoch) {
                Some(marker) => Some(marker.clone()),
                None => {
                    let key = key::marker(identity.server_id, identity.epoch);
                    let value = self.inner.database.get(key::MARKERS, &key)?;
                    let read = value.map(|value| Marker::decode(&value)).transpose();
                    read.map_err(|Malformed(what)| Error::damaged(what, &key))?
                }
            };
            if let Some(marker) = marker {
                self.markers.insert(of_epoch, marker);
            }
        }
        Ok(self.markers.get(&of_epoch))
    }

    /// How much of a batch's coverage, Unix milliseconds, overlaps another epoch of the same server, stored or part
    /// of this write. Overlaps of up to `tolerance_ms` are ignored.
    pub fn overlap(
        &mut self,
        identity: &Identity,
        from_ms: u64,
        until_ms: u64,
        tolerance_ms: u64,
    ) -> Result<Option<Overlap>, Error> {
        let Identity { server_id, epoch, .. } = *identity;
        let batch = Covered { server_id, epoch, from_ms, until_ms };
        let mut shared = Shared::default();
        let others_until_ms = self.writer.reaches.others_until_ms(server_id, epoch);
        if others_until_ms.is_none_or(|others_ms| others_ms > from_ms.saturating_add(tolerance_ms)) {
            let learnt = read(&self.inner.database, &batch, others_until_ms.is_none(), &mut shared)?;
            if let Some(reach) = learnt {
                self.writer.reaches.learn(server_id, reach);
            }
        }
        self.covered.iter().for_each(|other| shared.add(&batch, other));
        Ok(shared.most().filter(|overlap| overlap.ms > tolerance_ms))
    }
}
