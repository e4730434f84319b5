//! Sealing metrics: turning blocks into columns and roll-ups, group by group. See
//! [`engine::sealing`](crate::engine::sealing).

use crate::database::key;
use crate::engine::sealing::{self, Work};
use crate::engine::{Engine, METRICS};
use crate::system::points::{add, merge, points_of, read_raw, read_rolled_up, roll_up};
use crate::system::value::GROUP;
use crate::system::value::{Decoder, Encoder, Raw, RolledUp};
use crate::{Error, Level};
use std::collections::BTreeMap;
use zonepulse_codec::Malformed;

/// State kept between sealing steps.
pub(crate) struct Sealer {
    encoder: Encoder,
    decoder: Decoder,
}

impl Sealer {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Sealer { encoder: Encoder::new()?, decoder: Decoder::new()? })
    }

    fn read<T: Default>(
        &mut self,
        work: &Work<'_>,
        place: &[u8],
        read: impl FnOnce(&mut Decoder, &[u8], &mut T) -> Result<(), Malformed>,
    ) -> Result<T, Error> {
        let mut found = T::default();
        if let Some(value) = work.inner.database.get(key::SYSTEM, place)? {
            read(&mut self.decoder, &value, &mut found).map_err(|Malformed(what)| Error::damaged(what, place))?;
        }
        Ok(found)
    }
}

impl sealing::Sealer for Sealer {
    type Points = Raw;
    const ENGINE: &'static Engine = &METRICS;
    const STEP_POINTS: u64 = if cfg!(test) { 60 } else { 2 << 20 };
    // Past the horizon, a slot that is reported twice can no longer be compared with what was sealed.
    const BEFORE_HORIZON: bool = true;

    fn take(&mut self, _: u64, block: &[u8], raw: &mut Raw) -> Result<u64, Malformed> {
        let points = points_of(block)?;
        read_raw(&mut self.decoder, block, 0, &|_| true, raw)?;
        Ok(points)
    }

    fn seal(&mut self, work: &mut Work<'_>, new: Raw) -> Result<(), Error> {
        let (hour, server_id) = work.pair;
        let family = work.inner.database.family(key::SYSTEM);
        for (group, new) in by_group(new) {
            let first = group * GROUP;
            let place = key::sealed(Level::Raw, hour, server_id, group);
            let mut raw: Raw = self.read(work, &place, |decoder, value, raw| read_raw(decoder, value, first, &|_| true, raw))?;
            add(&mut raw, new);
            work.batch.put_cf(family, place, self.encoder.raw(first, &raw));
            if hour < work.horizon.aggregate_hour {
                continue;
            }
            for level in Level::ROLL_UPS {
                let value = self.encoder.rolled_up(first, &roll_up(&raw, level));
                work.batch.put_cf(family, key::sealed(level, hour, server_id, group), value);
            }
        }
        Ok(())
    }

    fn add_to_roll_ups(&mut self, work: &mut Work<'_>, new: Raw) -> Result<(), Error> {
        let (hour, server_id) = work.pair;
        let family = work.inner.database.family(key::SYSTEM);
        for (group, new) in by_group(new) {
            let first = group * GROUP;
            for level in Level::ROLL_UPS {
                let place = key::sealed(level, hour, server_id, group);
                let mut all: RolledUp =
                    self.read(work, &place, |decoder, value, all| read_rolled_up(decoder, value, first, &|_| true, all))?;
                merge(&mut all, roll_up(&new, level));
                work.batch.put_cf(family, place, self.encoder.rolled_up(first, &all));
            }
        }
        Ok(())
    }
}

/// Groups points by the groups of their series.
fn by_group(raw: Raw) -> BTreeMap<u32, Raw> {
    let mut groups = BTreeMap::<u32, Raw>::new();
    for (place, values) in raw {
        groups.entry(place.0.get() / GROUP).or_default().insert(place, values);
    }
    groups
}
