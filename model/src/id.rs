//! Numbers that stand for servers, records and series.
//!
//! Each has a type of its own, so that none is taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[repr(transparent)]
        pub struct $name(u32);

        impl $name {
            /// No id is lower.
            pub const MIN: $name = $name(0);

            /// No id is higher.
            pub const MAX: $name = $name(u32::MAX);

            /// The id with this number.
            #[inline]
            pub const fn new(number: u32) -> Self {
                $name(number)
            }

            /// Its number.
            #[inline]
            pub const fn get(self) -> u32 {
                self.0
            }

            /// Its number in big endian, so that byte order is the order of ids.
            #[inline]
            pub const fn to_be_bytes(self) -> [u8; 4] {
                self.0.to_be_bytes()
            }

            /// The id after this one.
            #[inline]
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(number) => Some($name(number)),
                    None => None,
                }
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                $name(number)
            }
        }

        impl From<$name> for u32 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        /// As its number: the name of what has it says what it is.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A server, as the central numbers it from 1 on. The number of one that is removed is not used again.
    ServerId;
    /// A record (a name and a type), as the store numbers it from 0 on. The number of one that is swept is not used again.
    RecordId;
    /// A series of metrics (a metric and a label), as the store numbers it from 0 on.
    SeriesId;
}

impl RecordId {
    /// What could not be told apart.
    pub const OTHER: RecordId = RecordId(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_its_number() {
        let id = ServerId::new(7);
        assert_eq!((id.to_string(), serde_json::to_string(&id).unwrap()), ("7".to_owned(), "7".to_owned()));
        assert_eq!(serde_json::from_str::<ServerId>("7").unwrap(), id);
        assert_eq!((id.next(), ServerId::MAX.next()), (Some(ServerId::new(8)), None));
    }
}
