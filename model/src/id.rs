//! Ids of servers, records and series.
//!
//! Each has its own type, so that they cannot be confused.

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
            /// The lowest id.
            pub const MIN: $name = $name(0);

            /// The highest id.
            pub const MAX: $name = $name(u32::MAX);

            /// The id with this number.
            #[inline]
            pub const fn new(number: u32) -> Self {
                $name(number)
            }

            /// The id as a number.
            #[inline]
            pub const fn get(self) -> u32 {
                self.0
            }

            /// The id in big-endian order, so that byte order equals id order.
            #[inline]
            pub const fn to_be_bytes(self) -> [u8; 4] {
                self.0.to_be_bytes()
            }

            /// The next id.
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

        /// Prints only the number: the field's name says what it identifies.
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
    /// A server, numbered from 1 by the central. The id of a removed server is never reused.
    ServerId;
    /// A record (a name and a type), numbered from 0 by the store. The id of a swept record is never reused.
    RecordId;
    /// A series of metrics (a metric and a label), numbered from 0 by the store.
    SeriesId;
    /// A zone of the catalogue, numbered from 1 by the central. The id of a removed zone is never reused.
    ZoneId;
    /// An RRset of a zone, numbered from 1 by the store. It survives changes of data, removal and return, and is never
    /// reused.
    ResourceId;
    /// A retirement plan, numbered from 1 by the central. The id of a removed plan is never reused.
    RetirementId;
}

impl RecordId {
    /// Stands for everything that could not be distinguished.
    pub const OTHER: RecordId = RecordId(0);
}

impl ResourceId {
    /// Stands for what the catalogue does not have.
    pub const NONE: ResourceId = ResourceId(0);

    /// Whether this is [`ResourceId::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
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
