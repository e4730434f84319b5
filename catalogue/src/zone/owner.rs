//! Owners as a zone keeps them.

/// An owner: in an arena, the position of its first RRset in four octets, the length of its key in two, and the key.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Position of its first RRset.
    pub first: usize,
    /// Its key, relative to the apex.
    pub key: &'a [u8],
    /// What follows in the arena: the next owner.
    pub rest: &'a [u8],
}

impl<'a> Owner<'a> {
    /// The owner at an offset of the arena.
    pub fn at(arena: &'a [u8], at: u32) -> Option<Self> {
        arena.get(at as usize..).and_then(Owner::read)
    }

    /// The owner at the beginning.
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let (first, rest) = octets.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        Some(Owner { first: u32::from_le_bytes(*first) as usize, key, rest })
    }

    /// Appends an owner. Keys are no longer than 510 octets.
    pub fn write(arena: &mut Vec<u8>, first: u32, key: &[u8]) {
        arena.extend_from_slice(&first.to_le_bytes());
        arena.extend_from_slice(&(key.len() as u16).to_le_bytes());
        arena.extend_from_slice(key);
    }
}
