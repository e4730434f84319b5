//! JSON, CSV and Arrow contain the same data.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType, UInt32Type};
use arrow::ipc::reader::StreamReader;
use libtest_mimic::Trial;
use serde_json::Value;
use zonepulse_tests::api::{Response, Row, rfc3339_ms};
use zonepulse_tests::needs::test;
use zonepulse_tests::small_store::SmallStore;

pub fn trials() -> Vec<Trial> {
    vec![test("json_csv_and_arrow_say_the_same", same), test("an_empty_answer_has_its_columns_in_every_format", empty)]
}

const ARROW: &str = "application/vnd.apache.arrow.stream";

fn calls(store: &SmallStore) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let (from, to) = (store.begin_s.to_string(), (store.begin_s + 3600).to_string());
    let range = || vec![("date_from", from.clone()), ("date_to", to.clone())];
    let with = |more: &[(&'static str, &str)]| {
        let mut all = range();
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all
    };
    vec![
        ("dns/raw", with(&[("sort", "time,server_id,host,type,action,rcode"), ("limit", "100000")])),
        ("dns/aggregate", vec![("by", "server,action".to_owned()), ("sort", "host,type,server_id,action".to_owned())]),
        ("dns/aggregate", with(&[("interval", "5m"), ("by", "record"), ("sort", "time,host,type")])),
        ("dns/rps", with(&[("step", "60")])),
        ("dns/coverage", with(&[("sort", "time,server_id")])),
    ]
}

fn get(store: &SmallStore, call: &str, parameters: &[(&str, String)], accept: &str) -> Response {
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let response = store.central.api().get(&format!("/api/v2/monitoring/{call}"), &parameters, accept);
    assert_eq!(response.status, 200, "{call} {parameters:?}: {}", response.text());
    let media_type = response.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with(accept), "{call}: asked for {accept}, got {media_type}");
    response
}

fn same() {
    let store = SmallStore::start();
    for (call, parameters) in calls(&store) {
        let Value::Array(json) = get(&store, call, &parameters, "application/json").json() else { panic!("{call}: no list") };
        let json: Vec<Row> = json.into_iter().filter_map(|row| row.as_object().cloned()).collect();
        assert!(!json.is_empty(), "{call} {parameters:?}");

        let csv = get(&store, call, &parameters, "text/csv").text();
        let mut lines = csv.lines();
        let columns: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        // Nothing in this store contains a comma or a quotation mark.
        let lines: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), json.len(), "{call} {parameters:?}");
        for (line, row) in lines.iter().zip(&json) {
            assert_eq!(line.len(), row.len(), "{call}: {line:?} and {row:?}");
            for (column, text) in columns.iter().zip(line) {
                assert!(same_text(text, &row[*column]), "{call}: {column} is {text:?} in CSV and {} in JSON", row[*column]);
            }
        }

        let body = get(&store, call, &parameters, ARROW).body;
        let reader = StreamReader::try_new(&body[..], None).expect("an Arrow stream");
        let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("a whole Arrow stream")).collect();
        let mut rows = json.iter();
        for batch in &batches {
            let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
            assert_eq!(names, columns, "{call}: the order of the columns");
            for at in 0..batch.num_rows() {
                let row = rows.next().unwrap_or_else(|| panic!("{call}: Arrow has more rows than JSON"));
                for (name, column) in names.iter().zip(batch.columns()) {
                    let cell = cell(column, at);
                    assert!(same_value(&cell, &row[name]), "{call}: {name} is {cell} in Arrow and {} in JSON", row[name]);
                }
            }
        }
        assert_eq!(rows.count(), 0, "{call}: JSON has more rows than Arrow");
    }
}

fn empty() {
    let store = SmallStore::start();
    for (call, mut parameters) in calls(&store) {
        parameters.retain(|(name, _)| *name != "limit");
        parameters.push(("limit", "0".to_owned()));
        assert_eq!(get(&store, call, &parameters, "application/json").text().trim(), "[]");
        let csv = get(&store, call, &parameters, "text/csv").text();
        assert_eq!(csv.lines().count(), 1, "{call}: {csv}");
        let body = get(&store, call, &parameters, ARROW).body;
        let reader = StreamReader::try_new(&body[..], None).expect("an Arrow stream");
        let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names.join(","), csv.trim_end(), "{call}");
    }
}

/// A cell as in JSON, with times in Unix milliseconds.
fn cell(column: &dyn Array, at: usize) -> Value {
    if column.is_null(at) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(at).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(at).into(),
        DataType::Boolean => column.as_boolean().value(at).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(at).into(),
        DataType::Utf8 => column.as_string::<i32>().value(at).into(),
        DataType::Timestamp(TimeUnit::Millisecond, Some(zone)) if &**zone == "UTC" => {
            column.as_primitive::<TimestampMillisecondType>().value(at).into()
        }
        other => panic!("a column of {other}"),
    }
}

fn same_value(arrow: &Value, json: &Value) -> bool {
    match (arrow, json) {
        (Value::Number(ms), Value::String(time)) => ms.as_u64() == Some(rfc3339_ms(time)),
        (Value::Number(arrow), Value::Number(json)) => same_number(arrow.as_f64(), json.as_f64()),
        (arrow, json) => arrow == json,
    }
}

fn same_text(csv: &str, json: &Value) -> bool {
    match json {
        Value::Null => csv.is_empty(),
        Value::String(text) => csv == text,
        Value::Number(number) => same_number(csv.parse().ok(), number.as_f64()),
        Value::Bool(value) => csv.parse() == Ok(*value),
        _ => false,
    }
}

/// Equal except for the last digits: this test's JSON reader rounds differently.
fn same_number(one: Option<f64>, other: Option<f64>) -> bool {
    one.zip(other).is_some_and(|(one, other)| (one - other).abs() <= one.abs() * 1e-15)
}
