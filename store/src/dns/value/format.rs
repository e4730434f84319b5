//! The structure of a value: its undecoded parts.

use crate::Precision;
use crate::database::key::GROUP;
use crate::dns::cell::Series;
use zonepulse_codec::{Malformed, Reader};
use zonepulse_dns::MessageKind;

/// The version used for writing.
pub(super) const VERSION: u8 = 2;

/// An undecoded part.
#[derive(Debug, Clone)]
pub(crate) struct Part<'a> {
    pub interval_s: u32,
    pub kind: MessageKind,
    pub(super) precision: Precision,
    pub(super) bytes: &'a [u8],
}

impl Part<'_> {
    pub(crate) fn series(&self) -> Series {
        (self.interval_s, self.kind.number())
    }

    /// Returns the number of points, as stated in the part's header.
    #[inline]
    pub(crate) fn points(&self) -> Result<u64, Malformed> {
        let mut reader = Reader::new(self.bytes);
        let records = reader.below(u64::from(GROUP) + 1, "records")?;
        reader.below(records * slots(self.interval_s) as u64 + 1, "points")
    }
}

/// Returns an iterator over the parts of a value.
pub(crate) fn parts(value: &[u8]) -> Result<impl Iterator<Item = Result<Part<'_>, Malformed>>, Malformed> {
    let (precision, mut reader) = begin(value)?;
    Ok(std::iter::from_fn(move || (!reader.is_empty()).then(|| next_part(&mut reader, precision))).fuse())
}

/// Returns the precision of a value's last accesses.
pub(crate) fn precision(value: &[u8]) -> Result<Precision, Malformed> {
    begin(value).map(|(precision, _)| precision)
}

fn begin(value: &[u8]) -> Result<(Precision, Reader<'_>), Malformed> {
    let (&version, rest) = value.split_first().ok_or(Malformed("sealed version"))?;
    let mut reader = Reader::new(rest);
    match version {
        1 => Ok((Precision::Milliseconds, reader)),
        VERSION => {
            let precision = Precision::of_unit_ms(reader.number("unit")?).ok_or(Malformed("unit"))?;
            Ok((precision, reader))
        }
        _ => Err(Malformed("sealed version")),
    }
}

fn next_part<'a>(reader: &mut Reader<'a>, precision: Precision) -> Result<Part<'a>, Malformed> {
    let part = read_part(reader, precision);
    if part.is_err() {
        // The rest cannot be trusted.
        *reader = Reader::new(&[]);
    }
    part
}

fn read_part<'a>(reader: &mut Reader<'a>, precision: Precision) -> Result<Part<'a>, Malformed> {
    let interval_s = reader.below(3601, "interval")? as u32;
    if interval_s == 0 || !3600u32.is_multiple_of(interval_s) {
        return Err(Malformed("interval"));
    }
    let number = reader.below(u64::from(MessageKind::COUNT), "kind")? as u16;
    let kind = MessageKind::from_number(number).ok_or(Malformed("kind"))?;
    let length = reader.number("part")? as usize;
    Ok(Part { interval_s, kind, precision, bytes: reader.bytes(length, "part")? })
}

/// Number of slots in an hour.
#[inline]
pub(super) fn slots(interval_s: u32) -> usize {
    (3600 / interval_s.max(1)) as usize
}

/// The last unit of a slot, relative to the start of the hour.
#[inline]
pub(super) fn last_of_slot(interval_s: u32, slot: u16, unit_ms: u32) -> u32 {
    (u32::from(slot) + 1) * (interval_s * 1000 / unit_ms.max(1)) - 1
}

/// Size of an age, in bytes.
#[inline]
pub(super) fn age_bytes(interval_s: u32, unit_ms: u32) -> u32 {
    match interval_s * 1000 / unit_ms.max(1) {
        0..=1 => 0,
        2..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 3,
    }
}
