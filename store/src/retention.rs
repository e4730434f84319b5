//! How long points are returned, and how long they stay on disk.
//!
//! What a query returns is decided when it runs, by the settings at that moment: a point whose interval began longer
//! ago than the retention is not returned, whether or not it is still on disk. Space is reclaimed later, in whole
//! hours; a server's [`Horizon`] records up to which hour. It only moves forward, so extending the retention brings
//! back exactly the points that are not yet behind a horizon.

use crate::Level;
use crate::database::key;
use std::collections::BTreeMap;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_model::{IdSet, ServerId, Settings};

const VERSION: u8 = 1;

/// How long points are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Retention {
    /// Raw points, minutes.
    pub raw_minutes: u32,
    /// Roll-ups and reports, days.
    pub aggregated_days: u32,
}

impl Retention {
    /// Nothing ever expires.
    pub const FOREVER: Retention = Retention { raw_minutes: u32::MAX, aggregated_days: u32::MAX };

    /// The default settings with this retention.
    pub(crate) fn defaults(self) -> Settings {
        let Retention { raw_minutes, aggregated_days } = self;
        Settings { raw_retention_minutes: raw_minutes, aggregated_retention_days: aggregated_days, ..Settings::default() }
    }

    /// The earliest start that is still returned, Unix seconds.
    pub fn kept_from_s(&self, level: Level, now_s: u64) -> u64 {
        let (count, unit_s) = match level {
            Level::Raw => (self.raw_minutes, 60),
            _ => (self.aggregated_days, 86_400),
        };
        if count == u32::MAX { 0 } else { now_s.saturating_sub(u64::from(count) * unit_s) }
    }
}

impl From<&Settings> for Retention {
    fn from(settings: &Settings) -> Self {
        Retention { raw_minutes: settings.raw_retention_minutes, aggregated_days: settings.aggregated_retention_days }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Retention::from(&Settings::default())
    }
}

/// How far a server's points have been removed from the open blocks and from disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Horizon {
    /// All totals of the server were on disk up to this commit when one of its blocks was last removed: blocks of
    /// commits up to it may be gone.
    pub as_of: u64,
    /// Hours before this one have no raw points.
    pub raw_hour: u32,
    /// Hours before this one have no roll-ups and no reports.
    pub aggregate_hour: u32,
}

impl Horizon {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.as_of);
        put(&mut out, u64::from(self.raw_hour));
        put(&mut out, u64::from(self.aggregate_hour));
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("horizon version"))?;
        if version != VERSION {
            return Err(Malformed("horizon version"));
        }
        let mut reader = Reader::new(rest);
        let as_of = reader.number("as of")?;
        let raw_hour = reader.below(1 << 32, "raw horizon")? as u32;
        let aggregate_hour = reader.below(1 << 32, "aggregate horizon")? as u32;
        if reader.is_empty() { Ok(Horizon { as_of, raw_hour, aggregate_hour }) } else { Err(Malformed("horizon")) }
    }

    /// The finest level at which an hour's points still exist.
    pub(crate) fn finest(&self, hour: u32) -> Level {
        if hour >= self.raw_hour { Level::Raw } else { Level::M5 }
    }

    /// Hours before this one have no points of this level.
    pub(crate) fn hour(&self, level: Level) -> u32 {
        if level == Level::Raw { self.raw_hour } else { self.aggregate_hour }
    }
}

/// The settings and horizons of all servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expiry {
    pub default: Retention,
    pub of_server: BTreeMap<ServerId, Retention>,
    pub horizons: BTreeMap<ServerId, Horizon>,
}

impl Expiry {
    pub(crate) fn retention(&self, server_id: ServerId) -> Retention {
        self.of_server.get(&server_id).copied().unwrap_or(self.default)
    }

    pub(crate) fn horizon(&self, server_id: ServerId) -> Horizon {
        self.horizons.get(&server_id).copied().unwrap_or_default()
    }

    /// The earliest start that is returned for this server, Unix seconds.
    pub(crate) fn kept_from_s(&self, server_id: ServerId, level: Level, now_s: u64) -> u64 {
        let gone_s = u64::from(self.horizon(server_id).hour(level)) * 3600;
        self.retention(server_id).kept_from_s(level, now_s).max(gone_s)
    }

    /// No server has any points to return before this start, Unix seconds.
    pub(crate) fn earliest_s(&self, level: Level, now_s: u64) -> u64 {
        let settings = self.of_server.values().chain([&self.default]);
        settings.map(|retention| retention.kept_from_s(level, now_s)).min().unwrap_or(0)
    }

    /// All points of these servers are returned from this start on, Unix seconds.
    pub(crate) fn all_kept_from_s(&self, servers: Option<&IdSet<ServerId>>, level: Level, now_s: u64) -> u64 {
        match servers {
            Some(servers) => servers.iter().map(|id| self.kept_from_s(*id, level, now_s)).max().unwrap_or(0),
            None => {
                let settings = self.of_server.values().chain([&self.default]).map(|set| set.kept_from_s(level, now_s));
                let gone = self.horizons.values().map(|horizon| u64::from(horizon.hour(level)) * 3600);
                settings.chain(gone).max().unwrap_or(0)
            }
        }
    }

    /// How far a server's horizon may move: over hours that are no longer returned.
    pub(crate) fn due(&self, server_id: ServerId, now_s: u64) -> Horizon {
        let horizon = self.horizon(server_id);
        let hour = |level| key::hour(self.retention(server_id).kept_from_s(level, now_s)).max(horizon.hour(level));
        Horizon { raw_hour: hour(Level::Raw), aggregate_hour: hour(Level::H1), ..horizon }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_of_a_horizon_stays_as_it_is_byte_for_byte() {
        let horizon = Horizon { as_of: 300, raw_hour: 7, aggregate_hour: 0 };
        assert_eq!(horizon.encode(), [1, 172, 2, 7, 0]);
        assert_eq!(Horizon::decode(&horizon.encode()), Ok(horizon));
    }

    #[test]
    fn a_point_is_answered_up_to_the_second_in_which_it_expires() {
        let retention = Retention::default();
        assert_eq!(retention.kept_from_s(Level::Raw, 1_000_000), 1_000_000 - 86_400);
        assert_eq!(retention.kept_from_s(Level::H1, 10_000_000), 10_000_000 - 30 * 86_400);
        assert_eq!(Retention::FOREVER.kept_from_s(Level::Raw, u64::MAX), 0);
    }

    #[test]
    fn a_longer_retention_brings_back_only_what_lies_behind_no_horizon() {
        let mut expiry = Expiry { default: Retention { raw_minutes: 60, aggregated_days: 1 }, ..Expiry::default() };
        let now_s = 100 * 3600;
        assert_eq!(expiry.due(ServerId::new(1), now_s), Horizon { as_of: 0, raw_hour: 99, aggregate_hour: 76 });
        expiry.horizons.insert(ServerId::new(1), Horizon { as_of: 0, raw_hour: 90, aggregate_hour: 0 });
        expiry.of_server.insert(ServerId::new(1), Retention { raw_minutes: 60 * 50, aggregated_days: 1 });
        assert_eq!(expiry.kept_from_s(ServerId::new(1), Level::Raw, now_s), 90 * 3600);
        assert_eq!(expiry.kept_from_s(ServerId::new(2), Level::Raw, now_s), 99 * 3600);
    }
}
