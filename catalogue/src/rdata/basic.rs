//! Octets that many fields consist of.

use super::Error;
use super::mnemonic::{self, number_of};
use super::text::{decimal, shown};
use super::words::{Word, Words};

/// An address.
pub(super) fn address<T: std::str::FromStr>(words: &mut Words<'_>, expected: &'static str) -> Result<T, Error> {
    let word = words.plain(expected)?;
    let parsed = std::str::from_utf8(word.text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Error::unexpected(expected, word.shown()))
}

/// Appends a number of so many octets.
pub(super) fn push_number(words: &mut Words<'_>, octets: usize, expected: &'static str, out: &mut Vec<u8>) -> Result<(), Error> {
    let word = words.plain(expected)?;
    let fits = |value: &u64| octets == 8 || value >> (8 * octets) == 0;
    let value = decimal(word.text).filter(fits).ok_or_else(|| Error::unexpected(expected, word.shown()))?;
    out.extend_from_slice(value.to_be_bytes().get(8 - octets..).unwrap_or_default());
    Ok(())
}

/// Sets the length octet at this position to what follows it.
pub(super) fn set_length(word: &Word<'_>, length_at: usize, out: &mut [u8]) -> Result<(), Error> {
    let length = out.len().saturating_sub(length_at + 1);
    let too_long = |_| Error::unexpected("at most 255 octets", format!("{} in {}", length, shown(word.text)));
    let length = u8::try_from(length).map_err(too_long)?;
    if let Some(slot) = out.get_mut(length_at) {
        *slot = length;
    }
    Ok(())
}

/// A number, or its mnemonic.
pub(super) fn named<T: TryFrom<u64>>(
    words: &mut Words<'_>,
    table: &'static [(u16, &'static str)],
    expected: &'static str,
) -> Result<T, Error> {
    let word = words.plain(expected)?;
    let value = decimal(word.text).or_else(|| number_of(table, word.text).map(u64::from));
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| Error::unexpected(expected, word.shown()))
}

/// Appends the number of an algorithm of DNSSEC.
pub(super) fn push_algorithm(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    out.push(named(words, mnemonic::ALGORITHMS, "an algorithm: a number up to 255 or a mnemonic")?);
    Ok(())
}
