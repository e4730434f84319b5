//! Checking the integrity of metrics: they can be read, and roll-ups agree with raw points.

use crate::database::key;
use crate::retention::Expiry;
use crate::system::points::{read_raw, read_rolled_up, roll_up};
use crate::system::value::GROUP;
use crate::system::value::{self, Buckets, Decoder, Encoder, Raw, RolledUp};
use crate::{Error, Inner, Level};
use zonepulse_codec::Malformed;
use zonepulse_model::{Identity, SeriesId, ServerId};

/// Results of checking metrics.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) blocks: u64,
    pub(crate) points: u64,
    pub(crate) faults: Vec<String>,
}

struct Walk<'a> {
    inner: &'a Inner,
    expiry: &'a Expiry,
    /// Whether each number belongs to a series.
    series: Vec<bool>,
    encoder: Encoder,
    decoder: Decoder,
    found: Found,
}

/// Whether a batch with this start was committed, as far as that is known.
type HasMarker<'a> = &'a dyn Fn(&Identity, u64) -> bool;

/// Checks all metrics.
pub(crate) fn check(inner: &Inner, expiry: &Expiry, has_marker: HasMarker<'_>) -> Result<Found, Error> {
    let series = {
        let known = inner.system.series.read();
        (0..known.end() as u32).map(|number| known.get(SeriesId::new(number)).is_some()).collect()
    };
    let (encoder, decoder) = (Encoder::new()?, Decoder::new()?);
    let mut walk = Walk { inner, expiry, series, encoder, decoder, found: Found::default() };
    inner.database.visit(key::SYSTEM_OPEN, &[], |found, value| {
        if let Err(Malformed(what)) = walk.block(found, value, has_marker) {
            walk.found.faults.push(Error::damaged(what, found).to_string());
        }
        Ok(true)
    })?;
    inner.database.visit(key::SYSTEM, &[], |found, value| {
        if let Err(Malformed(what)) = walk.sealed(found, value) {
            walk.found.faults.push(Error::damaged(what, found).to_string());
        }
        Ok(true)
    })?;
    Ok(walk.found)
}

impl Walk<'_> {
    fn block(&mut self, found: &[u8], value: &[u8], has_marker: HasMarker<'_>) -> Result<(), Malformed> {
        let (hour, identity, start_s) = key::parse_open(found).ok_or(Malformed("block"))?;
        self.found.blocks += 1;
        // Points at the start of an hour may be the rest of a batch that started earlier, at a time that only its
        // report records.
        let not_before_s = if start_s == u64::from(hour) * 3600 { 0 } else { start_s };
        if !has_marker(&identity, not_before_s) {
            self.found.faults.push(format!("metrics of batch {identity:?} are there, its marker is not"));
        }
        let waiting =
            self.inner.system.waiting.lock().within(hour..hour.saturating_add(1)).any(|pair| pair.1 == identity.server_id);
        if !waiting {
            self.found.faults.push(format!("the metrics of batch {identity:?} are not known to wait"));
        }
        let mut list = value::list(value, 0)?;
        while let Some(part) = list.next()? {
            self.known(part.place.0)?;
            self.found.points += self.decoder.raw(&part)?.len() as u64;
        }
        Ok(())
    }

    fn known(&self, series: SeriesId) -> Result<(), Malformed> {
        if self.series.get(series.get() as usize) == Some(&true) { Ok(()) } else { Err(Malformed("series id")) }
    }

    fn sealed(&mut self, found: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let (level, hour, server_id, group) = key::parse_sealed(found).ok_or(Malformed("system value"))?;
        let horizon = self.expiry.horizon(server_id);
        let of = format!("of metrics of hour {hour}, server {server_id}, group {group}");
        if hour < horizon.hour(level) {
            self.found.faults.push(format!("{level:?} {of} is there, and lies behind the horizon"));
        }
        let finest = horizon.finest(hour);
        if level != finest && !self.is_there(finest, (hour, server_id, group)) {
            self.found.faults.push(format!("{level:?} {of} has no {finest:?}"));
        }
        if level != Level::Raw {
            let buckets = self.rolled_up(value, group)?;
            if level == finest {
                self.compare((hour, server_id, group), Level::M5, &|coarse| coarsened(&buckets, coarse))?;
            }
            return Ok(());
        }
        let mut raw = Raw::new();
        read_raw(&mut self.decoder, value, group * GROUP, &|_| true, &mut raw)?;
        for ((series, _), values) in &raw {
            self.known(*series)?;
            self.found.points += values.len() as u64;
        }
        if hour >= horizon.aggregate_hour {
            self.compare((hour, server_id, group), Level::Raw, &|coarse| roll_up(&raw, coarse))?;
        }
        Ok(())
    }

    fn is_there(&self, level: Level, (hour, server_id, group): (u32, ServerId, u32)) -> bool {
        matches!(self.inner.database.get(key::SYSTEM, &key::sealed(level, hour, server_id, group)), Ok(Some(_)))
    }

    fn rolled_up(&mut self, value: &[u8], group: u32) -> Result<RolledUp, Malformed> {
        let mut all = RolledUp::new();
        read_rolled_up(&mut self.decoder, value, group * GROUP, &|_| true, &mut all)?;
        all.keys().try_for_each(|(series, _)| self.known(*series))?;
        Ok(all)
    }

    /// Checks that every coarser roll-up agrees with the finest one available.
    fn compare(
        &mut self,
        (hour, server_id, group): (u32, ServerId, u32),
        finest: Level,
        expected: &dyn Fn(Level) -> RolledUp,
    ) -> Result<(), Malformed> {
        for coarse in Level::ROLL_UPS.into_iter().filter(|coarse| *coarse > finest) {
            let place = key::sealed(coarse, hour, server_id, group);
            let there = self.inner.database.get(key::SYSTEM, &place).ok().flatten();
            let there = there.map(|value| self.rolled_up(&value, group)).transpose()?.unwrap_or_default();
            // Encoded and decoded, as they would be read: sums too large to be kept exactly are stored as doubles.
            let expected = self.encoder.rolled_up(group * GROUP, &expected(coarse));
            let expected = self.rolled_up(&expected, group)?;
            if !agree(&there, &expected) {
                let of = format!("of metrics of hour {hour}, server {server_id}, group {group}");
                self.found.faults.push(format!("{coarse:?} {of} does not say what its {finest:?} points say"));
            }
        }
        Ok(())
    }
}

/// Whether two roll-ups agree. Sums of doubles depend on the order of addition.
fn agree(a: &RolledUp, b: &RolledUp) -> bool {
    let same = |a: &Buckets, b: &Buckets| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.agrees(&b.1));
    a.len() == b.len() && a.iter().zip(b).all(|((place, a), (other, b))| place == other && same(a, b))
}

fn coarsened(buckets: &RolledUp, level: Level) -> RolledUp {
    let coarse_s = level.bucket_s().unwrap_or(3600);
    let mut all = RolledUp::new();
    for ((series, bucket_s), buckets) in buckets {
        let mut coarse = Buckets::new();
        for (slot, bucket) in buckets {
            let at = (u32::from(*slot) * bucket_s / coarse_s) as u16;
            match coarse.last_mut() {
                Some((slot, merged)) if *slot == at => merged.merge(bucket),
                _ => coarse.push((at, *bucket)),
            }
        }
        all.insert((*series, coarse_s), coarse);
    }
    all
}
