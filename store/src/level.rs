//! The resolution of points: raw, or aggregated into the buckets of a roll-up.

/// Raw points, or the buckets of a roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As summed by the probes.
    Raw,
    /// 5-minute buckets.
    M5,
    /// 15-minute buckets.
    M15,
    /// 30-minute buckets.
    M30,
    /// 1-hour buckets.
    H1,
}

impl Level {
    /// The roll-ups, finest first.
    pub const ROLL_UPS: [Level; 4] = [Level::M5, Level::M15, Level::M30, Level::H1];
    /// Raw and the roll-ups, finest first.
    pub const ALL: [Level; 5] = [Level::Raw, Level::M5, Level::M15, Level::M30, Level::H1];

    /// Bucket length, seconds; the length of raw points depends on the probe's configuration.
    pub const fn bucket_s(self) -> Option<u32> {
        match self {
            Level::Raw => None,
            Level::M5 => Some(300),
            Level::M15 => Some(900),
            Level::M30 => Some(1800),
            Level::H1 => Some(3600),
        }
    }

    /// The byte that encodes the level in a key: minutes per bucket, 0 for raw.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Level::Raw => 0,
            Level::M5 => 5,
            Level::M15 => 15,
            Level::M30 => 30,
            Level::H1 => 60,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Level::ALL.into_iter().find(|level| level.byte() == byte)
    }
}
