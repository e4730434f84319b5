//! Answers as rows, whatever their format.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType, UInt64Type};
use arrow::ipc::reader::StreamReader;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zonepulse_tests::Response;
use zonepulse_tests::api::rfc3339_ms;

/// A value in a row. Ordered as answers are sorted: nulls come last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Times are Unix milliseconds.
    Number(i128),
    Text(Arc<str>),
    Null,
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Cell::Number(number.into())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.into())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Number(number) => number.fmt(f),
            Cell::Text(text) => text.fmt(f),
            Cell::Null => f.write_str("null"),
        }
    }
}

/// Values in the order of the requested columns.
pub type Row = Vec<Cell>;

/// A format with its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
    Arrow,
}

impl Format {
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Csv => "text/csv",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// The kind of a column's values, by the names used in the API and in the statements of this test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Time,
    Text,
    Rate,
    Flag,
    Number,
}

fn content(column: &str) -> Content {
    match column {
        "time" | "hour" | "bucket" | "earliest" | "latest" => Content::Time,
        "first_seen" | "last_access" | "covered_from" | "covered_until" => Content::Time,
        "server" | "host" | "type" | "action" | "rcode" | "epoch" => Content::Text,
        "rps" => Content::Rate,
        "open" => Content::Flag,
        _ => Content::Number,
    }
}

/// The rows of an answer with these columns, ignoring others. Rates are represented by the bits of
/// the number: they sort the same way, and formats and model agree exactly.
pub fn rows(response: &Response, format: Format, columns: &[String]) -> Result<Vec<Row>, String> {
    let media_type = response.header("content-type").unwrap_or_default();
    if !media_type.starts_with(format.media_type()) {
        return Err(format!("asked for {}, got {media_type}", format.media_type()));
    }
    let reading = Reading { columns };
    match format {
        Format::Json => reading.json(&response.body),
        Format::Csv => reading.csv(&response.text()),
        Format::Arrow => reading.arrow(&response.body),
    }
}

struct Reading<'a> {
    columns: &'a [String],
}

impl Reading<'_> {
    fn json(&self, body: &[u8]) -> Result<Vec<Row>, String> {
        let rows: Vec<BTreeMap<String, Value>> = serde_json::from_slice(body).map_err(|error| format!("no list: {error}"))?;
        // By default, the parser may be off by a bit.
        let text = String::from_utf8_lossy(body);
        let rates =
            text.split("\"rps\":").skip(1).map(|rest| rest.split([',', '}']).next().and_then(|number| number.parse().ok()));
        let rates: Vec<Option<f64>> = rates.collect();
        let row = |(at, row): (usize, &BTreeMap<String, Value>)| -> Result<Row, String> {
            let exact = rates.get(at).copied().flatten();
            self.columns.iter().map(|column| self.json_cell(column, row, exact)).collect()
        };
        rows.iter().enumerate().map(row).collect()
    }

    fn json_cell(&self, column: &str, row: &BTreeMap<String, Value>, exact: Option<f64>) -> Result<Cell, String> {
        let value = row.get(column).ok_or_else(|| format!("no column {column} in {row:?}"))?;
        let cell = match (value, content(column)) {
            (Value::Null, _) => Some(Cell::Null),
            (Value::String(text), Content::Text) => Some(Cell::from(text.as_str())),
            (Value::String(text), Content::Time) => Some(Cell::from(rfc3339_ms(text))),
            (Value::Bool(flag), Content::Flag) => Some(Cell::from(u64::from(*flag))),
            (Value::Number(_), Content::Rate) => exact.map(rate),
            (Value::Number(number), Content::Number) => number.to_string().parse().ok().map(Cell::Number),
            _ => None,
        };
        cell.ok_or_else(|| format!("{column} is {value}"))
    }

    fn csv(&self, text: &str) -> Result<Vec<Row>, String> {
        let mut lines = csv_lines(text).into_iter();
        let names = lines.next().ok_or("no header")?;
        let place = |column: &String| names.iter().position(|name| name == column).ok_or(format!("no column {column}"));
        let places: Vec<usize> = self.columns.iter().map(place).collect::<Result<_, _>>()?;
        let row = |fields: Vec<String>| {
            let cell = |(column, at): (&String, &usize)| {
                let field = fields.get(*at).ok_or_else(|| format!("a line is too short: {fields:?}"))?;
                self.csv_cell(column, field).ok_or_else(|| format!("{column} is {field:?}"))
            };
            self.columns.iter().zip(&places).map(cell).collect()
        };
        lines.map(row).collect()
    }

    fn csv_cell(&self, column: &str, field: &str) -> Option<Cell> {
        if field.is_empty() {
            return Some(Cell::Null);
        }
        match content(column) {
            Content::Text => Some(Cell::from(field)),
            Content::Time => Some(Cell::from(rfc3339_ms(field))),
            Content::Rate => field.parse().ok().map(rate),
            Content::Flag => field.parse().ok().map(|flag: bool| Cell::from(u64::from(flag))),
            Content::Number => field.parse().ok().map(Cell::Number),
        }
    }

    fn arrow(&self, body: &[u8]) -> Result<Vec<Row>, String> {
        let reader = StreamReader::try_new(body, None).map_err(|error| format!("no Arrow stream: {error}"))?;
        let mut rows: Vec<Row> = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|error| format!("no whole Arrow stream: {error}"))?;
            let begin = rows.len();
            rows.resize(begin + batch.num_rows(), Row::new());
            for column in self.columns {
                let array = batch.column_by_name(column).ok_or_else(|| format!("no column {column}"))?;
                let cells = self.arrow_cells(column, array).map_err(|error| format!("{column}: {error}"))?;
                rows[begin..].iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
            }
        }
        Ok(rows)
    }

    fn arrow_cells(&self, column: &str, array: &dyn Array) -> Result<Vec<Cell>, arrow::error::ArrowError> {
        let or_null = |cell: Option<Cell>| cell.unwrap_or(Cell::Null);
        Ok(match (content(column), array.data_type()) {
            (Content::Text, _) => {
                let texts = cast(array, &DataType::Utf8)?;
                texts.as_string::<i32>().iter().map(|text| or_null(text.map(Cell::from))).collect()
            }
            (Content::Time, _) => {
                let times = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                let times = times.as_primitive::<TimestampMillisecondType>();
                times.iter().map(|time| or_null(time.map(|ms| Cell::Number(ms.into())))).collect()
            }
            (Content::Rate, _) => array.as_primitive::<Float64Type>().iter().map(|number| or_null(number.map(rate))).collect(),
            (Content::Flag, _) => {
                array.as_boolean().iter().map(|flag| or_null(flag.map(|flag| Cell::from(u64::from(flag))))).collect()
            }
            // Sums of hits exceed signed numbers only where they are unsigned.
            (Content::Number, DataType::UInt64) => {
                let numbers = array.as_primitive::<UInt64Type>().iter();
                numbers.map(|number| or_null(number.map(Cell::from))).collect()
            }
            (Content::Number, _) => {
                let numbers = cast(array, &DataType::Int64)?;
                let numbers = numbers.as_primitive::<Int64Type>();
                numbers.iter().map(|number| or_null(number.map(|number| Cell::Number(number.into())))).collect()
            }
        })
    }
}

/// A rate, which is not negative.
pub fn rate(rate: f64) -> Cell {
    Cell::from(rate.to_bits())
}

/// The fields of CSV (RFC 4180), line by line.
fn csv_lines(text: &str) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let (mut line, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => field.extend(characters.next()),
            ('"', _) => quoted = !quoted,
            (',', false) => line.push(std::mem::take(&mut field)),
            ('\n', false) => {
                line.push(std::mem::take(&mut field));
                lines.push(std::mem::take(&mut line));
            }
            ('\r', false) => {}
            _ => field.push(character),
        }
    }
    lines
}
