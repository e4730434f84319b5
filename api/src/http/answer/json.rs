//! Fast JSON for times and texts.
//!
//! Most of an answer is times and names. Arrow converts and formats every time anew, and writes texts character by
//! character. Here consecutive rows share the formatted day, and a text that needs no escaping is copied. Everything
//! else is left to Arrow, which would produce the same bytes.

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::json::writer::NullableEncoder;
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use jiff::Span;
use jiff::civil::Date;

const DAY_MS: i64 = 86_400_000;
/// The end of the year 9999: later years have a sign.
const LAST_MS: i64 = 253_402_300_800_000;

/// Encodes the simple types.
#[derive(Debug)]
pub struct Plain;

impl EncoderFactory for Plain {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) if &**zone == "+00:00" => {
                let times = array.as_primitive::<TimestampMillisecondType>().values();
                if !times.iter().all(|ms| (0..LAST_MS).contains(ms)) {
                    return Ok(None);
                }
                Box::new(Times { times, day: -1, text: *b"\"0000-00-00T" })
            }
            DataType::Utf8 => Box::new(Texts(array.as_string())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Times in the years 1970 to 9999.
struct Times<'a> {
    times: &'a [i64],
    /// The day of the last time, in days since 1970, and its text.
    day: i64,
    text: [u8; 12],
}

impl Encoder for Times<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) {
        let ms = self.times.get(at).copied().unwrap_or_default();
        let (day, of_day) = (ms / DAY_MS, ms % DAY_MS);
        if day != self.day {
            self.day = day;
            self.text = date(day);
        }
        out.extend_from_slice(&self.text);
        let (seconds, ms) = (of_day / 1000, of_day % 1000);
        let [h, m, s] = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(two_digits);
        out.extend_from_slice(&[h[0], h[1], b':', m[0], m[1], b':', s[0], s[1]]);
        if ms > 0 {
            let [tens, ones] = two_digits(ms % 100);
            out.extend_from_slice(&[b'.', digit(ms / 100), tens, ones]);
        }
        out.extend_from_slice(b"Z\"");
    }
}

/// `"2026-01-31T` for a day since 1970, up to the year 9999.
fn date(day: i64) -> [u8; 12] {
    let date = Date::constant(1970, 1, 1).saturating_add(Span::new().days(day));
    let [c, y] = [date.year() / 100, date.year() % 100].map(|number| two_digits(number.into()));
    let [m, d] = [date.month(), date.day()].map(|number| two_digits(number.into()));
    [b'"', c[0], c[1], y[0], y[1], b'-', m[0], m[1], b'-', d[0], d[1], b'T']
}

/// The digits of a number below 100.
fn two_digits(number: i64) -> [u8; 2] {
    [digit(number / 10), digit(number % 10)]
}

fn digit(number: i64) -> u8 {
    b'0' + number as u8
}

struct Texts<'a>(&'a StringArray);

impl Encoder for Texts<'_> {
    fn encode(&mut self, at: usize, out: &mut Vec<u8>) {
        let text = self.0.value(at);
        if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            // Writing to memory cannot fail, and neither can serializing a string.
            let _ = serde_json::to_writer(out, text);
            return;
        }
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
    use arrow::json::WriterBuilder;
    use arrow::json::writer::JsonArray;
    use std::sync::Arc;

    fn written(builder: WriterBuilder, array: ArrayRef) -> String {
        let mut writer = builder.with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        writer.write(&RecordBatch::try_from_iter_with_nullable([("a", array, true)]).unwrap()).unwrap();
        writer.finish().unwrap();
        String::from_utf8(writer.into_inner()).unwrap()
    }

    /// Checks that the output is the same as Arrow's.
    fn same(array: ArrayRef) {
        let ours = WriterBuilder::new().with_encoder_factory(Arc::new(Plain));
        assert_eq!(written(ours, array.clone()), written(WriterBuilder::new(), array));
    }

    fn same_times(times: Vec<Option<i64>>) {
        same(Arc::new(TimestampMillisecondArray::from(times).with_timezone("+00:00")));
    }

    #[test]
    fn every_day_of_an_era_is_the_same() {
        let days = (0..146_097 + 400).map(|day| Some(day * DAY_MS + day % DAY_MS));
        same_times(days.collect());
    }

    #[test]
    fn the_ends_of_what_is_written_here_and_what_is_beyond_are_the_same() {
        same_times(vec![Some(0), None, Some(LAST_MS - 1), Some(LAST_MS - 1000)]);
        same_times(vec![Some(LAST_MS), Some(-1), None, Some(5)]);
    }

    #[test]
    fn times_within_days_are_the_same() {
        same_times((0..20_000).map(|number| Some(number * 12_345_677)).collect());
    }

    #[test]
    fn texts_with_and_without_escapes_are_the_same() {
        let plain = ["", "www.example.com.", "ä", "\u{7f}", "日本", "a\"b", "a\\b", "\n", "\t\r\u{8}\u{c}", "a/b", "\u{2028}"];
        let control = (0..0x20u8).map(|byte| char::from(byte).to_string());
        let texts = plain.into_iter().map(str::to_owned).chain(control).map(Some).chain([None]);
        same(Arc::new(StringArray::from_iter(texts)));
    }
}
