//! Rows as JSON, CSV or Arrow.
//!
//! Answers arrive as Arrow record batches and are written by Arrow's own writers, whole or in pieces: no row is ever
//! built. In JSON every column is present, `null` if it has no value; in CSV such a field is empty. Times are RFC 3339
//! in UTC with `Z`, with milliseconds unless they are zero.

use super::json::Plain;
use super::negotiate::{Format, Output};
use super::spreadsheet;
use crate::http::question::values::Escape;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use std::sync::Arc;

/// Time zone for times written as text. Arrow writes it as `Z`, and parses it without a time zone database, unlike
/// `UTC`.
const UTC: &str = "+00:00";

/// Number of values that take less time to write than handing them to another thread and back.
const FEW_VALUES: usize = 16_384;

/// Whether writing the rows takes negligible time.
pub fn is_small(batch: &RecordBatch) -> bool {
    batch.num_rows().saturating_mul(batch.num_columns()) <= FEW_VALUES
}

/// Renders a complete answer.
pub fn render(output: Output, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut encoder = Encoder::new(output, schema)?;
    for batch in batches {
        encoder.write(batch)?;
    }
    encoder.finish()
}

/// Writes an answer in pieces.
pub struct Encoder {
    writer: Writer,
}

enum Writer {
    Json(Box<arrow::json::Writer<Vec<u8>, JsonArray>>),
    Csv(Vec<u8>, Escape),
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    /// An encoder for an answer with these columns.
    pub fn new(output: Output, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let writer = match output.format {
            Format::Json => {
                let builder = WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Plain));
                Writer::Json(Box::new(builder.build(Vec::new())))
            }
            Format::Csv => {
                let mut bytes = Vec::new();
                // The header line is written with the first batch, so that it is there even without rows.
                write_csv(&mut bytes, output.escape, true, &RecordBatch::new_empty(schema.clone()))?;
                Writer::Csv(bytes, output.escape)
            }
            Format::Arrow => Writer::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)),
        };
        Ok(Encoder { writer })
    }

    /// Adds rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match &mut self.writer {
            Writer::Json(writer) => writer.write(&with_readable_times(batch)?),
            Writer::Csv(bytes, escape) => write_csv(bytes, *escape, false, batch),
            Writer::Arrow(writer) => writer.write(batch),
        }
    }

    /// The bytes written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(match &mut self.writer {
            Writer::Json(writer) => writer.get_mut(),
            Writer::Csv(bytes, _) => bytes,
            Writer::Arrow(writer) => writer.get_mut(),
        })
    }

    /// The last bytes, without which an answer is incomplete.
    pub fn finish(self) -> Result<Vec<u8>, ArrowError> {
        match self.writer {
            Writer::Json(mut writer) => {
                writer.finish()?;
                Ok(writer.into_inner())
            }
            Writer::Csv(bytes, _) => Ok(bytes),
            Writer::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        }
    }
}

fn write_csv(bytes: &mut Vec<u8>, escape: Escape, header: bool, batch: &RecordBatch) -> Result<(), ArrowError> {
    let batch = with_readable_times(batch)?;
    let batch = if escape == Escape::Spreadsheet { spreadsheet::escaped(&batch)? } else { batch };
    arrow::csv::WriterBuilder::new().with_header(header).build(bytes).write(&batch)
}

/// The same batch with its times labelled as [`UTC`], without copying.
fn with_readable_times(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let readable = |data_type: &DataType| match data_type {
        DataType::Timestamp(unit, Some(zone)) if &**zone != UTC => Some(DataType::Timestamp(*unit, Some(UTC.into()))),
        _ => None,
    };
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| match readable(column.data_type()) {
            None => Ok((field.as_ref().clone(), column.clone())),
            // Instants are the same in every zone.
            Some(data_type) => {
                let column = arrow::compute::cast(column, &data_type)?;
                Ok((field.as_ref().clone().with_data_type(data_type), column))
            }
        })
        .collect::<Result<Vec<_>, ArrowError>>()?
        .into_iter()
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
    use arrow::ipc::reader::StreamReader;
    use expect_test::expect;

    fn example() -> RecordBatch {
        let times = TimestampMillisecondArray::from(vec![1_700_000_000_000, 1_700_000_000_007, 0]).with_timezone("UTC");
        RecordBatch::try_from_iter_with_nullable([
            ("time", Arc::new(times) as ArrayRef, false),
            ("host", Arc::new(StringArray::from(vec!["www.example.com.", "a,\\\"b.", "."])), false),
            ("rcode", Arc::new(StringArray::from(vec![None, Some("NXDOMAIN"), Some("NOERROR")])), true),
            ("hits", Arc::new(Int64Array::from(vec![1, 0, i64::MAX])), false),
            ("rps", Arc::new(Float64Array::from(vec![None, Some(0.0), Some(1.5)])), true),
        ])
        .unwrap()
    }

    fn text(format: Format, batches: &[RecordBatch]) -> String {
        String::from_utf8(render(format.into(), &example().schema(), batches).unwrap()).unwrap().replace("},{", "},\n{")
    }

    #[test]
    fn json_is_a_bare_array_with_nulls_and_readable_times() {
        expect![[r#"
            [{"time":"2023-11-14T22:13:20Z","host":"www.example.com.","rcode":null,"hits":1,"rps":null},
            {"time":"2023-11-14T22:13:20.007Z","host":"a,\\\"b.","rcode":"NXDOMAIN","hits":0,"rps":0.0},
            {"time":"1970-01-01T00:00:00Z","host":".","rcode":"NOERROR","hits":9223372036854775807,"rps":1.5}]"#]]
        .assert_eq(&text(Format::Json, &[example()]));
    }

    #[test]
    fn csv_has_a_header_and_empty_fields() {
        expect![[r#"
            time,host,rcode,hits,rps
            2023-11-14T22:13:20Z,www.example.com.,,1,
            2023-11-14T22:13:20.007Z,"a,\""b.",NXDOMAIN,0,0.0
            1970-01-01T00:00:00Z,.,NOERROR,9223372036854775807,1.5
        "#]]
        .assert_eq(&text(Format::Csv, &[example()]));
    }

    #[test]
    fn csv_for_a_spreadsheet_has_no_formula_in_any_batch() {
        let hosts: ArrayRef = Arc::new(StringArray::from(vec!["=1+1.", "+a.", "-a.", "@a."]));
        let changes: ArrayRef = Arc::new(Int64Array::from(vec![-1, -2, 3, 4]));
        let batch = RecordBatch::try_from_iter([("host", hosts), ("change", changes)]).unwrap();
        let batches = [batch.slice(0, 2), batch.slice(2, 2)];
        let written = |escape| {
            let output = Output { format: Format::Csv, escape };
            String::from_utf8(render(output, &batch.schema(), &batches).unwrap()).unwrap()
        };
        assert_eq!(written(Escape::Spreadsheet), "host,change\n'=1+1.,-1\n'+a.,-2\n'-a.,3\n'@a.,4\n");
        assert_eq!(written(Escape::None), "host,change\n=1+1.,-1\n+a.,-2\n-a.,3\n@a.,4\n");
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
            let bytes = render(Format::Arrow.into(), &example().schema(), &batches).unwrap();
            let reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
            assert_eq!(reader.schema(), example().schema());
            assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), batches);
        }
    }
}
