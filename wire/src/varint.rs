//! Numbers of variable length: seven bits a byte, least first (LEB128).

use crate::Error;

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads from a slice, front to back.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, Error> {
        // Most numbers of a batch are small.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(byte));
        }
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Error::Malformed(what))?;
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
        Err(Error::Malformed(what))
    }

    /// A number up to a bound.
    pub(crate) fn below(&mut self, bound: u64, what: &'static str) -> Result<u64, Error> {
        self.number(what).and_then(|value| if value < bound { Ok(value) } else { Err(Error::Malformed(what)) })
    }

    /// How many items follow, each at least one byte long, so that a lie
    /// cannot make the reader allocate more than was sent.
    pub(crate) fn count(&mut self, bound: usize, what: &'static str) -> Result<usize, Error> {
        let count = self.below(bound as u64 + 1, what)? as usize;
        if count > self.rest.len() { Err(Error::Malformed(what)) } else { Ok(count) }
    }

    pub(crate) fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Error::Malformed(what))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}
