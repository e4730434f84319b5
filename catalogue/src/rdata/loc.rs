//! LOC (RFC 1876): a place on Earth, with the precision with which it is known.

use super::Error;
use super::text::decimal;
use super::words::Words;
use super::writing::push;

/// Thousandths of a second of arc at the equator and the prime meridian.
const ZERO: u32 = 1 << 31;
/// Centimetres of the lowest altitude below the reference spheroid.
const BASE: u64 = 10_000_000;
/// Nine times ten to the power of nine, the largest that two digits hold.
const MAX_PRECISION: u64 = 9_000_000_000;
/// One metre, ten kilometres and ten metres, as mantissa and exponent of centimetres.
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

pub(in crate::rdata) fn parse_loc(words: &mut Words<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let latitude = angle(words, 90, [b'N', b'S'], "a latitude: degrees, minutes and seconds if needed, and N or S")?;
    let longitude = angle(words, 180, [b'E', b'W'], "a longitude: degrees, minutes and seconds if needed, and E or W")?;
    let altitude = altitude(words)?;
    let mut precisions = DEFAULTS;
    for precision in &mut precisions {
        if words.is_done() {
            break;
        }
        const EXPECTED: &str = "a length in metres up to 90000000.00";
        let word = words.plain(EXPECTED)?;
        *precision = centimetres(word.text)
            .filter(|length| *length <= MAX_PRECISION)
            .and_then(encode)
            .ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))?;
    }
    out.push(0);
    out.extend_from_slice(&precisions);
    for value in [latitude, longitude, altitude] {
        out.extend_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

/// Degrees, then perhaps minutes and seconds, then a hemisphere: of the two, the first is positive.
fn angle(words: &mut Words<'_>, degrees_max: u64, hemispheres: [u8; 2], expected: &'static str) -> Result<u32, Error> {
    let mut thousandths = 0;
    // Units of the parts in thousandths of a second, and the limit of each.
    for (index, (unit, limit)) in [(3_600_000, degrees_max + 1), (60_000, 60), (1_000, 60)].into_iter().enumerate() {
        let word = words.plain(expected)?;
        if index > 0
            && let Some(positive) = hemisphere(word.text, hemispheres)
        {
            return signed(thousandths, degrees_max, positive).ok_or_else(|| Error::unexpected(expected, word.shown()));
        }
        let decimals = if index == 2 { 3 } else { 0 };
        let value = fraction(word.text, decimals).filter(|value| value / 10u64.pow(decimals) < limit);
        let value = value.ok_or_else(|| Error::unexpected(expected, word.shown()))?;
        thousandths += value * unit / 10u64.pow(decimals);
    }
    let word = words.plain(expected)?;
    let positive = hemisphere(word.text, hemispheres);
    positive
        .and_then(|positive| signed(thousandths, degrees_max, positive))
        .ok_or_else(|| Error::unexpected(expected, word.shown()))
}

fn hemisphere(text: &[u8], [positive, negative]: [u8; 2]) -> Option<bool> {
    match text {
        [letter] if *letter == positive => Some(true),
        [letter] if *letter == negative => Some(false),
        _ => None,
    }
}

fn signed(thousandths: u64, degrees_max: u64, positive: bool) -> Option<u32> {
    let value = u32::try_from(thousandths).ok().filter(|_| thousandths <= degrees_max * 3_600_000)?;
    if positive { ZERO.checked_add(value) } else { ZERO.checked_sub(value) }
}

fn altitude(words: &mut Words<'_>) -> Result<u32, Error> {
    const EXPECTED: &str = "an altitude in metres from -100000.00 to 42849672.95";
    let word = words.plain(EXPECTED)?;
    let parsed = match word.text {
        [b'-', below @ ..] => centimetres(below).and_then(|below| BASE.checked_sub(below)),
        [b'+', above @ ..] | above => centimetres(above).and_then(|above| above.checked_add(BASE)),
    };
    parsed.and_then(|value| u32::try_from(value).ok()).ok_or_else(|| Error::unexpected(EXPECTED, word.shown()))
}

/// Metres with at most two decimals and perhaps an `m`, in centimetres.
fn centimetres(text: &[u8]) -> Option<u64> {
    let number = text.strip_suffix(b"m").or_else(|| text.strip_suffix(b"M")).unwrap_or(text);
    fraction(number, 2)
}

/// A number with at most so many decimals, multiplied by that power of ten.
fn fraction(text: &[u8], decimals: u32) -> Option<u64> {
    let mut parts = text.splitn(2, |octet| *octet == b'.');
    let whole = decimal(parts.next()?)?;
    let digits = parts.next().unwrap_or_default();
    let count = u32::try_from(digits.len()).ok().filter(|count| *count <= decimals)?;
    let part = if digits.is_empty() { 0 } else { decimal(digits)? };
    whole.checked_mul(10u64.pow(decimals))?.checked_add(part * 10u64.pow(decimals - count))
}

/// A length as one digit and the power of ten that it is multiplied with.
fn encode(centimetres: u64) -> Option<u8> {
    let exponent = centimetres.checked_ilog10().unwrap_or(0);
    (exponent <= 9).then(|| (centimetres / 10u64.pow(exponent)) as u8 * 16 + exponent as u8)
}

fn decode(octet: u8) -> Option<u64> {
    let (mantissa, exponent) = (octet >> 4, octet & 15);
    // Nought with an exponent is nought, but would be read back as other octets.
    (mantissa <= 9 && exponent <= 9 && (mantissa > 0 || exponent == 0))
        .then(|| u64::from(mantissa) * 10u64.pow(u32::from(exponent)))
}

pub(in crate::rdata) fn print_loc(octets: &[u8], out: &mut String) -> Option<()> {
    let [0, size, horizontal, vertical, rest @ ..] = octets else { return None };
    let (numbers, _) = rest.as_chunks::<4>();
    let [latitude, longitude, altitude] = numbers else { return None };
    print_angle(u32::from_be_bytes(*latitude), 90, ["N", "S"], out)?;
    print_angle(u32::from_be_bytes(*longitude), 180, ["E", "W"], out)?;
    let altitude = u64::from(u32::from_be_bytes(*altitude));
    let sign = if altitude < BASE { "-" } else { "" };
    let distance = altitude.abs_diff(BASE);
    push(out, format_args!("{sign}{}.{:02}m", distance / 100, distance % 100));
    for precision in [size, horizontal, vertical] {
        let length = decode(*precision)?;
        push(out, format_args!(" {}.{:02}m", length / 100, length % 100));
    }
    Some(())
}

fn print_angle(value: u32, degrees_max: u32, [positive, negative]: [&str; 2], out: &mut String) -> Option<()> {
    let hemisphere = if value >= ZERO { positive } else { negative };
    let value = value.abs_diff(ZERO);
    if value > degrees_max * 3_600_000 {
        return None;
    }
    let (degrees, minutes) = (value / 3_600_000, value / 60_000 % 60);
    push(out, format_args!("{degrees} {minutes} {}.{:03} {hemisphere} ", value / 1_000 % 60, value % 1_000));
    Some(())
}
