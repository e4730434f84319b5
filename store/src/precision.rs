//! How finely points say when the last access was.
//!
//! The millisecond of a last access is noise: two bytes of it in a point of two
//! and a half, which no compression finds a pattern in. So points keep whole seconds
//! unless they are told otherwise: an answer that a record was last asked for at
//! 12:00:07 serves whoever reads it as well as 12:00:07.123. [Totals](crate::Total),
//! which decide whether a record is in use, are exact to the millisecond either way.

/// What points and roll-ups keep of a last access.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// The second in which it was.
    #[default]
    Seconds,
    /// All of it.
    Milliseconds,
}

impl Precision {
    /// The unit that last accesses are kept in, milliseconds.
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

    /// A time as it is kept, Unix milliseconds or milliseconds after an hour's start.
    pub const fn kept(self, ms: u64) -> u64 {
        ms - ms % self.unit_ms() as u64
    }
}
