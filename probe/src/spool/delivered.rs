//! Batches that the central has confirmed, kept for a while in case it forgets them.
//!
//! A central that is restored from a backup has forgotten what arrived after the backup, and asks for it
//! ([`Resend`]). A batch counts once, however often it is sent, so the probe does not need to know which ones exactly: it
//! sends all those delivered since then. The time of a file is when it was delivered.
//!
//! The oldest go when there are too many, and all of them before a waiting batch is evicted for lack of disk space.

use super::names::{DELIVERED, RESENT};
use super::{Key, Spool, disk, lock};
use crate::Error;
use crate::spool::disk::Disk;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zonepulse_wire::Resend;

/// How far the clocks of central and probe may differ.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// The delivered batches, in the order of their delivery.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    batches: VecDeque<(Key, u64)>,
    disk_bytes: u64,
}

/// The last request that was followed, or is being followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Resent {
    restored_at_ms: u64,
    /// When it first arrived, Unix milliseconds, by this machine's clock: what is delivered later is not sent again.
    begun_at_ms: u64,
    is_done: bool,
}

impl Delivered {
    /// Reads the directory.
    pub(super) fn read(disk: &Disk) -> Result<Delivered, Error> {
        let dir = disk.dir().join(DELIVERED);
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::disk("read the directory", &dir))? {
            let entry = entry.map_err(Error::disk("read the directory", &dir))?;
            let Some(key) = entry.file_name().to_str().and_then(Key::from_file_name) else { continue };
            let metadata = entry.metadata().map_err(Error::disk("look at", entry.path()))?;
            found.push((metadata.modified().unwrap_or(UNIX_EPOCH), key, metadata.len()));
        }
        found.sort_unstable();
        let mut delivered = Delivered::default();
        found.into_iter().for_each(|(_, key, size_bytes)| delivered.add(key, size_bytes));
        Ok(delivered)
    }

    /// Disk space occupied, bytes.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    fn add(&mut self, key: Key, size_bytes: u64) {
        self.batches.push_back((key, size_bytes));
        self.disk_bytes += disk::occupied(size_bytes);
    }

    /// Removes the oldest until the rest occupies no more than this, bytes; returns whether there were any.
    fn bound(&mut self, disk: &Disk, max_bytes: u64) -> Result<bool, Error> {
        let before = self.batches.len();
        while self.disk_bytes > max_bytes
            && let Some((key, size_bytes)) = self.batches.pop_front()
        {
            self.disk_bytes = self.disk_bytes.saturating_sub(disk::occupied(size_bytes));
            disk.remove(&name(key))?;
        }
        Ok(self.batches.len() < before)
    }

    /// Removes all; returns whether there were any.
    pub(super) fn forget_all(&mut self, disk: &Disk) -> Result<bool, Error> {
        self.bound(disk, 0)
    }
}

impl Spool {
    /// Keeps or removes the file of a delivered batch that is not in the index any more.
    pub(super) fn retire(&self, key: Key, size_bytes: u64) -> Result<(), Error> {
        let max_bytes = self.settings.max_delivered_bytes;
        let is_scarce = || self.disk.free_bytes().is_ok_and(|free_bytes| free_bytes < self.settings.min_free_bytes);
        if max_bytes == 0 || is_scarce() {
            return self.disk.remove(&key.file_name());
        }
        let mut delivered = lock(&self.delivered);
        if self.disk.set_aside(&key.file_name(), &name(key)).is_err() {
            // It is delivered, so nothing is lost.
            return self.disk.remove(&key.file_name());
        }
        delivered.batches.retain(|(other, _)| *other != key);
        delivered.add(key, size_bytes);
        delivered.bound(&self.disk, max_bytes).map(|_| ())
    }

    /// Removes delivered batches as far as this many bytes would otherwise not fit on the disk.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), Error> {
        let mut delivered = lock(&self.delivered);
        if delivered.disk_bytes == 0 {
            return Ok(());
        }
        let lacking = (self.settings.min_free_bytes + bytes).saturating_sub(self.disk.free_bytes()?);
        let kept = delivered.disk_bytes.saturating_sub(lacking);
        delivered.bound(&self.disk, kept).map(|_| ())
    }

    /// Puts delivered batches that the central has forgotten back into the spool; returns their number. A request is
    /// followed once, also across restarts; if the spool has no room for all, the rest is sent when it has.
    pub fn resend(&self, request: &Resend) -> Result<u64, Error> {
        let known = self.disk.read_file(RESENT)?.and_then(|bytes| serde_json::from_slice::<Resent>(&bytes).ok());
        let mut resent = match known.filter(|known| known.restored_at_ms == request.restored_at_ms) {
            Some(Resent { is_done: true, .. }) => return Ok(0),
            Some(known) => known,
            None => {
                let begun_at_ms = since_epoch_ms(SystemTime::now());
                let begun = Resent { restored_at_ms: request.restored_at_ms, begun_at_ms, is_done: false };
                self.note_resent(&begun)?;
                begun
            }
        };
        let from_ms = request.delivered_since_ms.saturating_sub(CLOCKS_DIFFER.as_millis() as u64);
        let mut count = 0;
        let candidates: Vec<(Key, u64)> = lock(&self.delivered).batches.iter().copied().collect();
        for (key, size_bytes) in candidates {
            // One writer at a time.
            let _note = lock(&self.note);
            if self.shortage(size_bytes)? > 0 {
                tracing::info!(batches = count, "the spool has no room for more batches that the central wants again: they wait");
                return Ok(count);
            }
            count += u64::from(self.take_delivered(key, size_bytes, from_ms..resent.begun_at_ms)?);
        }
        resent.is_done = true;
        self.note_resent(&resent)?;
        if count > 0 {
            tracing::info!(batches = count, "the central was restored from a backup: batches will be sent again as it requested");
        }
        Ok(count)
    }

    /// Takes back a batch that was delivered within this range, Unix milliseconds.
    fn take_delivered(&self, key: Key, size_bytes: u64, range_ms: std::ops::Range<u64>) -> Result<bool, Error> {
        let mut delivered = lock(&self.delivered);
        let Some(at) = delivered.batches.iter().position(|(other, _)| *other == key) else { return Ok(false) };
        let metadata = fs::metadata(self.disk.dir().join(name(key)));
        let Some(delivered_at) = metadata.ok().and_then(|metadata| metadata.modified().ok()) else { return Ok(false) };
        if !range_ms.contains(&since_epoch_ms(delivered_at)) {
            return Ok(false);
        }
        self.disk.rename(&name(key), &key.file_name())?;
        delivered.batches.remove(at);
        delivered.disk_bytes = delivered.disk_bytes.saturating_sub(disk::occupied(size_bytes));
        lock(&self.index).add(key, size_bytes);
        self.changed.notify_one();
        self.arrivals.send_modify(|count| *count += 1);
        Ok(true)
    }

    fn note_resent(&self, resent: &Resent) -> Result<(), Error> {
        let text = serde_json::to_vec(resent).map_err(|error| Error::disk("encode", RESENT)(error.into()))?;
        self.disk.write(RESENT, &text)
    }
}

fn name(key: Key) -> String {
    format!("{DELIVERED}/{}", key.file_name())
}

fn since_epoch_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "delivered_tests.rs"]
mod tests;
