//! Numbers of a few bits each, least significant bit first.

use zonepulse_codec::Malformed;

/// Appends bits.
#[derive(Default)]
pub(crate) struct BitWriter {
    out: Vec<u8>,
    word: u64,
    used: u32,
}

impl BitWriter {
    /// Appends the lowest `count` bits of a number; at most 32.
    #[inline]
    pub(crate) fn put(&mut self, value: u64, count: u32) {
        self.word |= (value & ((1 << count) - 1)) << self.used;
        self.used += count;
        while self.used >= 8 {
            self.out.push(self.word as u8);
            self.word >>= 8;
            self.used -= 8;
        }
    }

    /// Appends the lowest `count` bits of a number; at most 64.
    #[inline]
    pub(crate) fn put_long(&mut self, value: u64, count: u32) {
        self.put(value, count.min(32));
        self.put(value >> 32, count.saturating_sub(32));
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.used > 0 {
            self.out.push(self.word as u8);
        }
        self.out
    }
}

/// Reads bits.
pub(crate) struct BitReader<'a> {
    rest: &'a [u8],
    word: u64,
    held: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        BitReader { rest: bytes, word: 0, held: 0 }
    }

    /// Fills the buffer with all available bits, at least 57 unless the end is near.
    #[inline]
    fn fill(&mut self) {
        while self.held <= 56 {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            self.word |= u64::from(byte) << self.held;
            self.held += 8;
            self.rest = rest;
        }
    }

    /// Returns the next `count` bits; at most 32.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Result<u64, Malformed> {
        self.fill();
        if self.held < count {
            return Err(Malformed("bits"));
        }
        let value = self.word & ((1 << count) - 1);
        self.word >>= count;
        self.held -= count;
        Ok(value)
    }

    /// Returns the next `count` bits; at most 64.
    #[inline]
    pub(crate) fn take_long(&mut self, count: u32) -> Result<u64, Malformed> {
        let low = self.take(count.min(32))?;
        Ok(low | self.take(count.saturating_sub(32))? << 32)
    }

    /// Returns the number of ones before the next zero, up to `most`; after that many ones, no zero follows.
    #[inline]
    pub(crate) fn ones(&mut self, most: u32) -> Result<u32, Malformed> {
        self.fill();
        let ones = self.word.trailing_ones().min(most);
        let taken = if ones == most { ones } else { ones + 1 };
        self.take(taken)?;
        Ok(ones)
    }
}
