//! Rows as JSON, CSV or Arrow.
//!
//! Answers arrive as Arrow record batches and are written by Arrow's own
//! writers: no row is ever built. In JSON every column is there, `null` where
//! it has no value; in CSV such a field is empty. Times are RFC 3339 in UTC
//! with `Z`, with milliseconds where there are some.

use crate::negotiate::Format;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use std::sync::Arc;

/// The zone of times while they are written as text. Arrow spells it `Z`, and
/// reads it without a table of zones, unlike `UTC`.
const UTC: &str = "+00:00";

/// An answer's bytes.
pub fn render(format: Format, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    match format {
        Format::Json => json(batches),
        Format::Csv => csv(schema, batches),
        Format::Arrow => arrow_stream(schema, batches),
    }
}

fn json(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer =
        arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::JsonArray>(Vec::new());
    for batch in batches {
        writer.write(&with_readable_times(batch)?)?;
    }
    writer.finish()?;
    Ok(writer.into_inner())
}

fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(Vec::new());
    // The header line comes with the first batch: there is one even when there are no rows.
    writer.write(&with_readable_times(&RecordBatch::new_empty(schema.clone()))?)?;
    for batch in batches {
        writer.write(&with_readable_times(batch)?)?;
    }
    Ok(writer.into_inner())
}

fn arrow_stream(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    writer.into_inner()
}

/// The same batch with its times labelled as [`UTC`]; nothing is copied.
fn with_readable_times(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let is_time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(TimeUnit::Millisecond, _));
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if !is_time(column.data_type()) {
                return (field.as_ref().clone(), column.clone());
            }
            let column: ArrayRef = Arc::new(column.as_primitive::<TimestampMillisecondType>().clone().with_timezone(UTC));
            (field.as_ref().clone().with_data_type(column.data_type().clone()), column)
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray, TimestampMillisecondArray, UInt64Array};
    use arrow::ipc::reader::StreamReader;
    use expect_test::expect;

    fn example() -> RecordBatch {
        let times = TimestampMillisecondArray::from(vec![1_700_000_000_000, 1_700_000_000_007, 0]).with_timezone("UTC");
        RecordBatch::try_from_iter_with_nullable([
            ("time", Arc::new(times) as ArrayRef, false),
            ("host", Arc::new(StringArray::from(vec!["www.example.com.", "a,\\\"b.", "."])), false),
            ("rcode", Arc::new(StringArray::from(vec![None, Some("NXDOMAIN"), Some("NOERROR")])), true),
            ("hits", Arc::new(UInt64Array::from(vec![1, 0, u64::MAX])), false),
            ("rps", Arc::new(Float64Array::from(vec![None, Some(0.0), Some(1.5)])), true),
        ])
        .unwrap()
    }

    fn text(format: Format, batches: &[RecordBatch]) -> String {
        String::from_utf8(render(format, &example().schema(), batches).unwrap()).unwrap().replace("},{", "},\n{")
    }

    #[test]
    fn json_is_a_bare_array_with_nulls_and_readable_times() {
        expect![[r#"
            [{"time":"2023-11-14T22:13:20Z","host":"www.example.com.","rcode":null,"hits":1,"rps":null},
            {"time":"2023-11-14T22:13:20.007Z","host":"a,\\\"b.","rcode":"NXDOMAIN","hits":0,"rps":0.0},
            {"time":"1970-01-01T00:00:00Z","host":".","rcode":"NOERROR","hits":18446744073709551615,"rps":1.5}]"#]]
        .assert_eq(&text(Format::Json, &[example()]));
    }

    #[test]
    fn csv_has_a_header_and_empty_fields() {
        expect![[r#"
            time,host,rcode,hits,rps
            2023-11-14T22:13:20Z,www.example.com.,,1,
            2023-11-14T22:13:20.007Z,"a,\""b.",NXDOMAIN,0,0.0
            1970-01-01T00:00:00Z,.,NOERROR,18446744073709551615,1.5
        "#]]
        .assert_eq(&text(Format::Csv, &[example()]));
    }

    #[test]
    fn several_batches_are_one_answer() {
        let (first, second) = (example().slice(0, 1), example().slice(1, 2));
        for format in [Format::Json, Format::Csv] {
            assert_eq!(text(format, &[first.clone(), second.clone()]), text(format, &[example()]));
        }
    }

    #[test]
    fn no_rows_are_an_empty_array_and_a_header_line() {
        assert_eq!(text(Format::Json, &[]), "[]");
        assert_eq!(text(Format::Csv, &[]), "time,host,rcode,hits,rps\n");
    }

    #[test]
    fn arrow_carries_the_schema_as_it_is() {
        for batches in [vec![], vec![example()]] {
            let bytes = render(Format::Arrow, &example().schema(), &batches).unwrap();
            let reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
            assert_eq!(reader.schema(), example().schema());
            assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), batches);
        }
    }
}
