//! CSV that is safe to open in a spreadsheet.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line break for a formula, whatever its
//! source: names come from anyone who sends a DNS query. So such a text is prefixed with `'`, which spreadsheets read
//! as "what follows is text" (OWASP, "CSV injection"). Where the list separator is a semicolon, spreadsheets split a
//! cell after each semicolon or tab, so text following one of these is treated like the beginning of a cell. Numbers
//! and times are unchanged.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::sync::Arc;

/// Marks a cell as text.
const TEXT: char = '\'';

/// The same rows, with no text or column name that could be a formula.
pub fn escaped(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let column = if is_text(column.data_type()) { texts(column)? } else { column.clone() };
        fields.push(Field::new(cell(field.name()), column.data_type().clone(), field.is_nullable()));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let column = arrow::compute::cast(column, &DataType::Utf8)?;
    let plain = |text: Option<&str>| text.is_none_or(|text| matches!(cell(text), Cow::Borrowed(_)));
    let texts = column.as_string::<i32>();
    if texts.iter().all(plain) {
        return Ok(column);
    }
    Ok(Arc::new(texts.iter().map(|text| text.map(cell)).collect::<StringArray>()))
}

/// A text as a cell.
fn cell(text: &str) -> Cow<'_, str> {
    let mut begins = true;
    let mut escaped = None;
    for (at, letter) in text.char_indices() {
        if begins && is_formula(letter) {
            escaped.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_owned()).push(TEXT);
        }
        escaped.iter_mut().for_each(|escaped: &mut String| escaped.push(letter));
        // A quotation mark or a space before a formula does not make it text in every spreadsheet.
        begins = matches!(letter, ';' | '\t' | '\r' | '\n') || begins && matches!(letter, '"' | ' ');
    }
    escaped.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Whether a cell that begins with this letter is a formula. The last four are the full-width forms of East Asian
/// keyboards.
fn is_formula(letter: char) -> bool {
    matches!(letter, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Float64Array, Int64Array, LargeStringArray};
    use arrow::datatypes::Int8Type;

    #[test]
    fn a_text_that_would_be_a_formula_is_marked_as_text() {
        for (text, expected) in [
            ("=cmd|' /C calc'!A0.", "'=cmd|' /C calc'!A0."),
            ("+1.example.", "'+1.example."),
            ("-1.example.", "'-1.example."),
            ("@SUM(1).example.", "'@SUM(1).example."),
            ("\tx", "'\tx"),
            ("\r=1", "'\r'=1"),
            ("\n=1", "'\n'=1"),
            ("＝1", "'＝1"),
            ("a\\;=1.example.", "a\\;'=1.example."),
            ("a;\"=1", "a;\"'=1"),
            ("\"=1", "\"'=1"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_other_text_is_left_as_it_is() {
        for text in ["", "www.example.", "a-b+c=d@e.example.", "_sip._tcp.example.", "*.example.", "<other> example.", "ä;b"] {
            assert!(matches!(cell(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    #[test]
    fn numbers_stay_numbers_and_texts_of_every_type_are_looked_at() {
        let columns: [(&str, ArrayRef); 6] = [
            ("hits", Arc::new(Int64Array::from(vec![Some(-5), None]))),
            ("rps", Arc::new(Float64Array::from(vec![-0.5, 1.0]))),
            ("host", Arc::new(StringArray::from(vec![Some("=a"), None]))),
            ("long", Arc::new(LargeStringArray::from(vec!["-a", "b"]))),
            ("word", Arc::new(["+a", "b"].into_iter().collect::<DictionaryArray<Int8Type>>())),
            ("=1+1", Arc::new(StringArray::from(vec!["a", "b"]))),
        ];
        let batch =
            escaped(&RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap());
        let mut csv = Vec::new();
        arrow::csv::WriterBuilder::new().build(&mut csv).write(&batch.unwrap()).unwrap();
        assert_eq!(String::from_utf8(csv).unwrap(), "hits,rps,host,long,word,'=1+1\n-5,-0.5,'=a,'-a,'+a,a\n,1.0,,b,b,b\n");
    }

    /// Tests every short text of these letters.
    #[test]
    fn no_cell_is_a_formula_wherever_a_line_is_cut() {
        let letters = ['=', '-', ';', '\t', '\n', '"', '\'', 'a'];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer = texts.iter().flat_map(|text| letters.map(|letter| format!("{text}{letter}"))).collect();
            texts = longer;
            for text in &texts {
                let cell = cell(text);
                for piece in cell.split([';', '\t', '\r', '\n']) {
                    let piece = piece.trim_start_matches(['"', ' ']);
                    assert!(!piece.starts_with(['=', '+', '-', '@']), "{cell:?}");
                }
                assert_eq!(cell.replace(TEXT, ""), text.replace(TEXT, ""));
            }
        }
    }
}
