//! The byte order of a capture file, as chosen by its writer.

/// Decodes integers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// Finds the order in which these bytes are one of the magic numbers; returns it with that
    /// number.
    pub(super) fn of(bytes: [u8; 4], magic: &[u32]) -> Option<(Self, u32)> {
        let orders = [ByteOrder::Little, ByteOrder::Big].into_iter();
        orders.map(|order| (order, order.u32(bytes))).find(|(_, number)| magic.contains(number))
    }

    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }
}
