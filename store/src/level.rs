//! How finely points are told: as they came, or summed to buckets of a roll-up.

/// Raw points, or the buckets of a roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As the probes summed them.
    Raw,
    /// Buckets of 5 minutes.
    M5,
    /// Buckets of 15 minutes.
    M15,
    /// Buckets of 30 minutes.
    M30,
    /// Buckets of an hour.
    H1,
}

impl Level {
    /// The roll-ups, the finest first.
    pub const ROLL_UPS: [Level; 4] = [Level::M5, Level::M15, Level::M30, Level::H1];
    /// Raw, and the roll-ups, the finest first.
    pub const ALL: [Level; 5] = [Level::Raw, Level::M5, Level::M15, Level::M30, Level::H1];

    /// The length of a bucket, seconds; raw points have the length that their probe was told.
    pub const fn bucket_s(self) -> Option<u32> {
        match self {
            Level::Raw => None,
            Level::M5 => Some(300),
            Level::M15 => Some(900),
            Level::M30 => Some(1800),
            Level::H1 => Some(3600),
        }
    }

    /// The level's byte in a key: minutes of a bucket, 0 for raw.
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
