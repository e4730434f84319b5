//! A column of integers, encoded in as few bits as possible.
//!
//! ```text
//! mode u8       bits 0, 1: coder · bits 2, 3: predictor · bits 4 to 6: tag of the caller · bit 7: has a step
//! base          zigzag: the minimum (level), or the first number
//! step          with bit 7: every difference is a multiple of it
//! bytes, coded  unless all numbers are the same
//! ```
//!
//! A **predictor** turns large numbers into small ones. *Level* takes the difference to the minimum, for noise without
//! a trend. *Difference* takes the difference to the previous number. *Mean* takes the difference to a mean of the
//! preceding numbers in which the last one has a weight of one quarter, for noise on top of a trend. Many values move
//! in steps (4,096-byte pages, clock ticks), so the residuals are divided by their greatest common step.
//!
//! A **coder** writes the residuals. *Rice* works in chunks of 64, each with its own number of low bits, and writes the
//! rest in unary; it comes close to the entropy of noise and needs no table. *Zstandard* over LEB128 suits repetitive
//! data. All sensible combinations are tried, and the shortest result is kept.

use crate::system::bits::{BitReader, BitWriter};
use std::io;
use zonepulse_codec::decimal::{unzigzag, zigzag};
use zonepulse_codec::{Malformed, Reader, put};

/// Number of distinct tags that a caller may store in a column's mode.
pub(crate) const TAGS: u8 = 8;

const CONSTANT: u8 = 0;
const RICE: u8 = 1;
const ZSTD: u8 = 2;
const STEP: u8 = 1 << 7;

/// Number of values that share the same count of low bits.
const CHUNK: usize = 64;
/// After this many ones, all 64 bits follow.
const MOST_ONES: u32 = 20;
const WIDTH_BITS: u32 = 6;
/// With fewer numbers than this, the overhead of tables and frames exceeds their benefit.
const LEAST_FOR_ZSTD: usize = 64;
const LEVEL: i32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Predictor {
    Level,
    Difference,
    Mean,
}

const PREDICTORS: [Predictor; 3] = [Predictor::Level, Predictor::Difference, Predictor::Mean];

/// Encodes columns.
pub(crate) struct Encoder {
    packer: zstd::bulk::Compressor<'static>,
}

/// Decodes columns.
pub(crate) struct Decoder {
    unpacker: zstd::bulk::Decompressor<'static>,
}

/// The residuals of a column after prediction.
struct Left {
    predictor: Predictor,
    base: i64,
    step: u64,
    symbols: Vec<u64>,
}

impl Encoder {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Encoder { packer: zstd::bulk::Compressor::new(LEVEL)? })
    }

    /// Appends a column of at least one number.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, tag: u8, values: &[i64]) {
        let first = values.first().copied().unwrap_or_default();
        let tag = (tag % TAGS) << 4;
        if values.iter().all(|value| *value == first) {
            out.push(CONSTANT | tag);
            put(out, zigzag(first));
            return;
        }
        let lefts = PREDICTORS.map(|predictor| Left::new(predictor, values));
        let Some(best) = lefts.iter().min_by_key(|left| left.rice_bits()) else { return };
        let (mut coder, mut left, mut coded) = (RICE, best, best.rice());
        if values.len() >= LEAST_FOR_ZSTD {
            for other in &lefts {
                let packed = self.packer.compress(&other.numbers()).unwrap_or_default();
                if !packed.is_empty() && packed.len() < coded.len() {
                    (coder, left, coded) = (ZSTD, other, packed);
                }
            }
        }
        out.push(coder | (left.predictor as u8) << 2 | tag | if left.step > 1 { STEP } else { 0 });
        put(out, zigzag(left.base));
        if left.step > 1 {
            put(out, left.step);
        }
        put(out, coded.len() as u64);
        out.extend_from_slice(&coded);
    }
}

impl Decoder {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Decoder { unpacker: zstd::bulk::Decompressor::new()? })
    }

    /// Appends `count` numbers of a column to `values`. Returns the caller's tag.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>, count: usize, values: &mut Vec<i64>) -> Result<u8, Malformed> {
        let [mode] = *reader.bytes(1, "column")? else { return Err(Malformed("column")) };
        let tag = (mode >> 4) % TAGS;
        let base = unzigzag(reader.number("base")?);
        let predictor = match (mode >> 2) & 3 {
            0 => Predictor::Level,
            1 => Predictor::Difference,
            2 => Predictor::Mean,
            _ => return Err(Malformed("predictor")),
        };
        if mode & 3 == CONSTANT {
            values.resize(values.len() + count, base);
            return Ok(tag);
        }
        let step = if mode & STEP == 0 { 1 } else { reader.number("step")? };
        let length = reader.number("column")? as usize;
        let coded = reader.bytes(length, "column")?;
        let mut numbers = Undo { predictor, base, step: step as i64, before: base, mean: 0 };
        let symbols = if predictor == Predictor::Level { count } else { count.saturating_sub(1) };
        if symbols < count {
            values.push(base);
        }
        match mode & 3 {
            RICE => read_rice(coded, symbols, |symbol| values.push(numbers.number(symbol)))?,
            ZSTD => {
                let unpacked = self.unpacker.decompress(coded, symbols * 10).map_err(|_| Malformed("column"))?;
                let mut reader = Reader::new(&unpacked);
                for _ in 0..symbols {
                    values.push(numbers.number(reader.number("column")?));
                }
            }
            _ => return Err(Malformed("coder")),
        }
        Ok(tag)
    }
}

impl Left {
    fn new(predictor: Predictor, values: &[i64]) -> Self {
        let first = values.first().copied().unwrap_or_default();
        if predictor == Predictor::Level {
            let base = values.iter().copied().min().unwrap_or_default();
            let above = || values.iter().map(|value| value.wrapping_sub(base) as u64);
            let step = common_step(above());
            return Left { predictor, base, step, symbols: above().map(|above| above / step).collect() };
        }
        let differences = || values.windows(2).map(|pair| pair.last().zip(pair.first()).map_or(0, |(b, a)| b.wrapping_sub(*a)));
        let step = common_step(differences().map(i64::unsigned_abs));
        let steps = differences().map(|difference| difference / step as i64);
        let mut mean = 0i64;
        let mut at = 0i64;
        let symbols = steps.map(|steps| match predictor {
            Predictor::Mean => {
                at = at.wrapping_add(steps);
                let left = at.wrapping_sub(mean >> 4);
                mean = mean.wrapping_add(left.wrapping_mul(4));
                zigzag(left)
            }
            _ => zigzag(steps),
        });
        Left { predictor, base: first, step, symbols: symbols.collect() }
    }

    fn numbers(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.symbols.len() * 2);
        self.symbols.iter().for_each(|symbol| put(&mut out, *symbol));
        out
    }

    fn rice_bits(&self) -> u64 {
        self.symbols.chunks(CHUNK).map(|chunk| u64::from(WIDTH_BITS) + cost(chunk, width(chunk))).sum()
    }

    fn rice(&self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        for chunk in self.symbols.chunks(CHUNK) {
            let width = width(chunk);
            bits.put(u64::from(width), WIDTH_BITS);
            for symbol in chunk {
                let ones = symbol >> width;
                if ones >= u64::from(MOST_ONES) {
                    bits.put(u64::MAX, MOST_ONES);
                    bits.put_long(*symbol, 64);
                } else {
                    bits.put((1 << ones) - 1, ones as u32 + 1);
                    bits.put_long(*symbol, width);
                }
            }
        }
        bits.finish()
    }
}

/// Reverses a predictor.
struct Undo {
    predictor: Predictor,
    base: i64,
    step: i64,
    before: i64,
    mean: i64,
}

impl Undo {
    #[inline]
    fn number(&mut self, symbol: u64) -> i64 {
        match self.predictor {
            Predictor::Level => self.base.wrapping_add((symbol as i64).wrapping_mul(self.step)),
            Predictor::Difference => {
                self.before = self.before.wrapping_add(unzigzag(symbol).wrapping_mul(self.step));
                self.before
            }
            Predictor::Mean => {
                let left = unzigzag(symbol);
                let at = left.wrapping_add(self.mean >> 4);
                self.mean = self.mean.wrapping_add(left.wrapping_mul(4));
                self.base.wrapping_add(at.wrapping_mul(self.step))
            }
        }
    }
}

/// Returns the greatest common step of the numbers, or 1 if there is none.
fn common_step(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut step = 0;
    for number in numbers {
        let (mut a, mut b) = (step, number);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        step = a;
        if step == 1 {
            break;
        }
    }
    if step == 0 || step > i64::MAX as u64 { 1 } else { step }
}

/// Returns the number of low bits that makes a chunk shortest.
fn width(chunk: &[u64]) -> u32 {
    let mean = chunk.iter().fold(0u64, |sum, symbol| sum.saturating_add(*symbol)) / chunk.len().max(1) as u64;
    let about = 64 - mean.leading_zeros();
    let widths = about.saturating_sub(3)..=about.min(63);
    widths.min_by_key(|width| cost(chunk, *width)).unwrap_or_default()
}

fn cost(chunk: &[u64], width: u32) -> u64 {
    let one = |symbol: &u64| match symbol >> width {
        ones if ones >= u64::from(MOST_ONES) => u64::from(MOST_ONES) + 64,
        ones => ones + 1 + u64::from(width),
    };
    chunk.iter().map(one).sum()
}

fn read_rice(coded: &[u8], count: usize, mut each: impl FnMut(u64)) -> Result<(), Malformed> {
    let mut bits = BitReader::new(coded);
    let mut left = count;
    while left > 0 {
        let width = bits.take(WIDTH_BITS)? as u32;
        for _ in 0..left.min(CHUNK) {
            let ones = bits.ones(MOST_ONES)?;
            if ones == MOST_ONES {
                each(bits.take_long(64)?);
            } else {
                each(u64::from(ones) << width | bits.take_long(width)?);
            }
        }
        left = left.saturating_sub(CHUNK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coded(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new().unwrap().put(&mut out, 5, values);
        out
    }

    fn decoded(bytes: &[u8], count: usize) -> Result<(Vec<i64>, u8, bool), Malformed> {
        let mut reader = Reader::new(bytes);
        let mut values = Vec::new();
        let tag = Decoder::new().unwrap().read(&mut reader, count, &mut values)?;
        Ok((values, tag, reader.is_empty()))
    }

    #[test]
    fn columns_stay_as_they_are_byte_for_byte() {
        assert_eq!(coded(&[7, 7, 7]), [0x50, 14]);
        assert_eq!(coded(&[4096, 0, 8192, 4096]), [0xd1, 0, 128, 32, 2, 0x40, 0x16]);
    }

    #[test]
    fn what_never_changes_takes_two_bytes_and_steps_cost_nothing() {
        assert_eq!(coded(&[0; 720]).len(), 2);
        let ones: Vec<i64> = (0..720).map(|at| at * at % 7).collect();
        let pages: Vec<i64> = ones.iter().map(|value| value * 4096).collect();
        assert!(coded(&pages).len() <= coded(&ones).len() + 2);
    }

    fn any_column() -> impl Strategy<Value = Vec<i64>> {
        let extreme = prop::sample::select(vec![0, 1, -1, i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1, 1 << 53, -(1 << 53)]);
        prop_oneof![
            prop::collection::vec(any::<i64>(), 1..200),
            prop::collection::vec(extreme, 1..200),
            prop::collection::vec(0i64..1000, 1..800),
            prop::collection::vec(prop_oneof![9 => Just(0i64), 1 => -5i64..5], 1..800).prop_map(|steps| steps
                .iter()
                .scan(1 << 40, |at, step| {
                    *at += step * 4096;
                    Some(*at)
                })
                .collect()),
        ]
    }

    proptest! {
        #[test]
        fn a_column_comes_back(values in any_column()) {
            let count = values.len();
            prop_assert_eq!(decoded(&coded(&values), count), Ok((values, 5, true)));
        }

        #[test]
        fn damaged_columns_never_panic(values in any_column(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = coded(&values);
            *at.get_mut(&mut bytes) = byte;
            let _ = decoded(&bytes, values.len());
            let _ = decoded(&bytes, values.len() + 1);
        }
    }
}
