//! Variable-length integers, and a reader for untrusted bytes.
//!
//! Batches on the wire and blocks on disk are columns of small integers. Both encode them with
//! seven bits per byte, least significant first (LEB128): [`put`] appends one, [`Reader`] reads
//! them back. A reader never panics, and never allocates more than the size of the input justifies;
//! invalid input is [`Malformed`], with the name of the field being read. Measured values are
//! converted to integers first ([`decimal`]).

pub mod decimal;

/// A field of the input has an invalid value; the caller must reject the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub &'static str);

/// Appends an integer, which takes one to ten bytes.
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads integers and bytes from front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Reads the next integer. `what` names the field in the error.
    #[inline]
    pub fn number(&mut self, what: &'static str) -> Result<u64, Malformed> {
        // Most integers are small.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        self.long_number(what)
    }

    /// An integer of several bytes.
    #[inline]
    fn long_number(&mut self, what: &'static str) -> Result<u64, Malformed> {
        const LAST: u64 = 0x8080_8080_8080_8080;
        if let Some(chunk) = self.rest.first_chunk() {
            let word = u64::from_le_bytes(*chunk);
            let lasts = !word & LAST;
            if lasts != 0 {
                // Avoid a branch per byte: the length is practically random.
                let last_bit = lasts.trailing_zeros();
                let word = word & (u64::MAX >> (63 - last_bit)) & !LAST;
                let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
                let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
                self.rest = self.rest.get(last_bit as usize / 8 + 1..).unwrap_or_default();
                return Ok((word & 0x0fff_ffff) | (word >> 32 << 28));
            }
        }
        self.number_byte_by_byte(what)
    }

    #[cold]
    fn number_byte_by_byte(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed(what))?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed(what))
    }

    /// Skips the next `count` integers, and returns a reader for them, so that consecutive columns
    /// can be read side by side.
    pub fn column(&mut self, count: usize, what: &'static str) -> Result<Reader<'a>, Malformed> {
        const STRIDE: usize = 32;
        let (mut left, mut length) = (count, 0);
        let lasts = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(u8::from(*byte < 0x80))) as usize;
        for chunk in self.rest.chunks_exact(STRIDE) {
            let found = lasts(chunk);
            if found >= left {
                break;
            }
            left -= found;
            length += STRIDE;
        }
        for byte in self.rest.get(length..).unwrap_or_default() {
            if left == 0 {
                break;
            }
            left -= usize::from(*byte < 0x80);
            length += 1;
        }
        if left > 0 {
            return Err(Malformed(what));
        }
        self.bytes(length, what).map(Reader::new)
    }

    /// Reads the next integer, which must be less than `bound`.
    #[inline]
    pub fn below(&mut self, bound: u64, what: &'static str) -> Result<u64, Malformed> {
        self.number(what).and_then(|value| if value < bound { Ok(value) } else { Err(Malformed(what)) })
    }

    /// Reads the number of items that follow: at most `bound`, and at least one byte each, so that
    /// a false count cannot cause an allocation larger than the input.
    pub fn count(&mut self, bound: usize, what: &'static str) -> Result<usize, Malformed> {
        let count = self.below((bound as u64).saturating_add(1), what)? as usize;
        if count > self.rest.len() { Err(Malformed(what)) } else { Ok(count) }
    }

    /// Reads the next `count` bytes.
    pub fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed(what))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The bytes not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_put(values in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| put(&mut bytes, *value));
            let mut reader = Reader::new(&bytes);
            for value in values {
                prop_assert_eq!(reader.number("value"), Ok(value));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn a_column_holds_the_next_numbers(values in prop::collection::vec(any::<u64>().prop_flat_map(|value| (0..64u32).prop_map(move |shift| value >> shift)), 0..200), count in 0usize..220) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| put(&mut bytes, *value));
            let mut reader = Reader::new(&bytes);
            match reader.column(count, "column") {
                Ok(mut column) => {
                    for value in values.iter().take(count) {
                        prop_assert_eq!(column.number("value"), Ok(*value));
                    }
                    prop_assert!(column.is_empty());
                    for value in values.iter().skip(count) {
                        prop_assert_eq!(reader.number("value"), Ok(*value));
                    }
                }
                Err(error) => prop_assert!(count > values.len(), "{error}"),
            }
        }

        #[test]
        fn a_number_is_read_alike_with_and_without_bytes_behind_it(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let read = |bytes: &[u8]| Reader::new(bytes).number("value");
            let longer = [&bytes[..], &[0; 8]].concat();
            if bytes.iter().any(|byte| *byte < 0x80) {
                prop_assert_eq!(read(&bytes), read(&longer));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = Reader::new(&bytes);
            while reader.number("value").is_ok() {}
        }
    }

    #[test]
    fn a_number_past_64_bits_is_refused() {
        let mut bytes = vec![0xff; 9];
        bytes.push(2);
        assert_eq!(Reader::new(&bytes).number("value"), Err(Malformed("value")));
    }

    #[test]
    fn a_count_past_what_follows_is_refused() {
        assert_eq!(Reader::new(&[3, 0, 0]).count(10, "items"), Err(Malformed("items")));
        assert_eq!(Reader::new(&[2, 0, 0]).count(10, "items"), Ok(2));
        assert_eq!(Reader::new(&[2, 0, 0]).count(1, "items"), Err(Malformed("items")));
    }
}
