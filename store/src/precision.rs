//! The precision of last access times.
//!
//! The millisecond of a last access is noise: it takes two of a point's two and a half bytes and does not compress.
//! So points store whole seconds unless configured otherwise: knowing that a record was last requested at 12:00:07 is
//! as useful as knowing that it was 12:00:07.123. [Totals](crate::Total), which decide whether a record is in use,
//! are exact to the millisecond either way.

/// The precision at which points and roll-ups store last access times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Whole seconds.
    #[default]
    Seconds,
    /// Full milliseconds.
    Milliseconds,
}

impl Precision {
    /// The unit in which last access times are stored, milliseconds.
    pub(crate) const fn unit_ms(self) -> u32 {
        match self {
            Precision::Seconds => 1000,
            Precision::Milliseconds => 1,
        }
    }

    pub(crate) const fn of_unit_ms(unit_ms: u64) -> Option<Self> {
        match unit_ms {
            1000 => Some(Precision::Seconds),
            1 => Some(Precision::Milliseconds),
            _ => None,
        }
    }

    /// A time rounded as it is stored: Unix milliseconds, or milliseconds since the start of an hour.
    pub const fn kept(self, ms: u64) -> u64 {
        ms - ms % self.unit_ms() as u64
    }
}
