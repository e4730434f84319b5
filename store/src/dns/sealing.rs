//! Sealing DNS points: turning blocks into columns, group by group. See [`engine::sealing`](crate::engine::sealing).
//!
//! Totals that exist on disk only in a block are written in the same write that removes the block.

use crate::database::key;
use crate::dns::block::{Row, Sections};
use crate::dns::cell::{self, Cell, Groups};
use crate::dns::parts::{Parts, arrange, read_parts, roll_up, take_group};
use crate::dns::value::{Decoder, Encoder};
use crate::engine::sealing::{self, Work};
use crate::engine::{DNS, Engine};
use crate::retention::Horizon;
use crate::{Error, Inner, Level, Precision, totals};
use std::collections::BTreeSet;
use std::sync::Arc;
use zonepulse_codec::Malformed;

/// State kept between sealing steps.
pub(crate) struct Sealer {
    encoder: Encoder,
    decoder: Decoder,
    scratch: Vec<Cell>,
    rows: Vec<Row>,
}

impl Sealer {
    pub(crate) fn new(precision: Precision) -> Result<Self, Error> {
        let encoder = Encoder::new(precision).map_err(Error::Compression)?;
        let decoder = Decoder::new().map_err(Error::Compression)?;
        Ok(Sealer { encoder, decoder, scratch: Vec::new(), rows: Vec::new() })
    }

    fn encode(&mut self, parts: &Parts) -> Vec<u8> {
        self.encoder.encode(parts.iter().map(|(series, cells)| (*series, cells.as_slice())))
    }

    fn read(&mut self, inner: &Inner, place: &[u8]) -> Result<Parts, Error> {
        let mut found = Parts::new();
        if let Some(value) = inner.database.get(key::SEALED, place)? {
            read_parts(&mut self.decoder, &value, &mut found).map_err(|Malformed(what)| Error::damaged(what, place))?;
        }
        Ok(found)
    }
}

impl sealing::Sealer for Sealer {
    type Points = Groups;
    const ENGINE: &'static Engine = &DNS;
    const STEP_POINTS: u64 = if cfg!(test) { 40 } else { 2 << 20 };
    const BEFORE_HORIZON: bool = false;

    fn take(&mut self, start_s: u64, block: &[u8], groups: &mut Groups) -> Result<u64, Malformed> {
        let mut sections = Sections::new(block, start_s)?;
        let interval_s = sections.interval_s;
        if !3600u32.is_multiple_of(interval_s) || !start_s.is_multiple_of(u64::from(interval_s)) {
            return Err(Malformed("interval"));
        }
        let in_hour_s = start_s % 3600;
        let (slot, hour_ms) = ((in_hour_s / u64::from(interval_s)) as u16, (start_s - in_hour_s) * 1000);
        let mut points = 0;
        while let Some(section) = sections.next()? {
            self.rows.clear();
            section.rows(&mut self.rows)?;
            cell::gather(groups, (interval_s, section.kind.number()), slot, hour_ms, &self.rows);
            points += self.rows.len() as u64;
        }
        Ok(points)
    }

    fn seal(&mut self, work: &mut Work<'_>, mut groups: Groups) -> Result<(), Error> {
        let (hour, server_id) = work.pair;
        let family = work.inner.database.family(key::SEALED);
        let touched: BTreeSet<u32> = groups.keys().map(|(group, _)| *group).collect();
        for group in touched {
            let place = key::sealed(Level::Raw, hour, server_id, group);
            let mut parts = self.read(work.inner, &place)?;
            take_group(&mut groups, group, &mut parts);
            arrange(&mut parts, &mut self.scratch);
            work.batch.put_cf(family, place, self.encode(&parts));
            if hour < work.horizon.aggregate_hour {
                continue;
            }
            // Each level is built from the previous one, as coarser levels have fewer points to sum.
            for level in Level::ROLL_UPS {
                parts = roll_up(&parts, level, &mut self.scratch);
                work.batch.put_cf(family, key::sealed(level, hour, server_id, group), self.encode(&parts));
            }
        }
        Ok(())
    }

    fn add_to_roll_ups(&mut self, work: &mut Work<'_>, mut groups: Groups) -> Result<(), Error> {
        let (hour, server_id) = work.pair;
        let family = work.inner.database.family(key::SEALED);
        let touched: BTreeSet<u32> = groups.keys().map(|(group, _)| *group).collect();
        for group in touched {
            let mut parts = Parts::new();
            take_group(&mut groups, group, &mut parts);
            arrange(&mut parts, &mut self.scratch);
            for level in Level::ROLL_UPS {
                let place = key::sealed(level, hour, server_id, group);
                let mut buckets = self.read(work.inner, &place)?;
                parts = roll_up(&parts, level, &mut self.scratch);
                for (series, more) in &parts {
                    buckets.entry(*series).or_default().extend_from_slice(more);
                }
                arrange(&mut buckets, &mut self.scratch);
                work.batch.put_cf(family, place, self.encode(&buckets));
            }
        }
        Ok(())
    }

    /// Also writes the server's totals that are not on disk yet.
    fn write(&mut self, work: Work<'_>, last_commit: u64) -> Result<(), Error> {
        let Work { inner, mut batch, pair: (_, server_id), horizon } = work;
        let written = totals::disk::put_of_server(inner, &mut batch, server_id, last_commit);
        let horizon = Horizon { as_of: last_commit, ..horizon };
        batch.put(key::horizon(server_id), horizon.encode());
        // Readers see both families either before or after this write, never in between.
        let mut expiry = inner.expiry.write();
        inner.database.write(batch, false)?;
        Arc::make_mut(&mut expiry).horizons.insert(server_id, horizon);
        drop(expiry);
        totals::disk::are_written(inner, &written, last_commit);
        Ok(())
    }
}
