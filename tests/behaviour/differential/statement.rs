//! What random SQL statements have in common: rows, groups, sums, and an order.

use super::answer::{Cell, Row};
use super::compare::Expected;
use super::conditions::Condition;
use super::model::{Model, Point};
use super::question::{Ask, Question};
use super::random::Random;
use std::collections::BTreeMap;

pub fn asked(text: String, expected: Expected) -> Question {
    Question { ask: Ask::Sql(text), expected: Some(expected) }
}

/// A table, a condition on its rows, and the rows for which it is true.
pub fn some_rows<'a>(random: &mut Random, model: &'a Model, tables: &[&'static str]) -> (&'static str, String, Vec<&'a Point>) {
    let table = *random.of(tables);
    let condition = Condition::random(random, model, table);
    let rows = model.table(table).iter().filter(|point| condition.takes(point)).collect();
    (table, condition.text, rows)
}

/// Groups points by the values of columns.
pub fn groups<'a>(rows: &[&'a Point], keys: &[&str]) -> BTreeMap<Row, Vec<&'a Point>> {
    let mut groups: BTreeMap<Row, Vec<&Point>> = BTreeMap::new();
    for point in rows {
        groups.entry(keys.iter().map(|key| key_cell(point, key)).collect()).or_default().push(point);
    }
    groups
}

const BUCKET_MS: u64 = 1_200_000;

fn key_cell(point: &Point, key: &str) -> Cell {
    match key {
        "bucket" => Cell::from(point.start_s * 1000 / BUCKET_MS * BUCKET_MS),
        column => point.cell(column),
    }
}

/// How a key is written in the column list, and in GROUP BY.
pub fn key_text(key: &str) -> (String, String) {
    match key {
        "bucket" => {
            let text = "date_bin(INTERVAL '20 minutes', time)";
            (format!("{text} AS bucket"), text.to_owned())
        }
        column => (column.to_owned(), column.to_owned()),
    }
}

/// The sum of hits; null without points.
pub fn hits<'a>(points: impl IntoIterator<Item = &'a &'a Point>) -> Cell {
    let sum = points.into_iter().map(|point| point.hits as i128).reduce(|a, b| a + b);
    sum.map_or(Cell::Null, Cell::Number)
}

/// Subtracts the second from the first; null if either is.
pub fn difference(of: &Cell, from: &Cell) -> Cell {
    match (of, from) {
        (Cell::Number(of), Cell::Number(from)) => Cell::Number(from - of),
        _ => Cell::Null,
    }
}

/// Adds an order, and sometimes a page, to a statement and its answer.
pub fn ordered(random: &mut Random, mut text: String, mut expected: Expected) -> Question {
    if random.one_in(2) {
        let columns = random.some(&expected.columns, 3);
        expected.order = columns.into_iter().map(|column| (column, random.one_in(2))).collect();
        let keys =
            expected.order.iter().map(|(column, down)| format!("{column} {} NULLS LAST", if *down { "DESC" } else { "ASC" }));
        text += &format!(" ORDER BY {}", keys.collect::<Vec<_>>().join(", "));
    }
    if random.one_in(3) {
        expected.page = (0, 1 + random.below(expected.rows.len() as u64 + 10) as usize);
        text += &format!(" LIMIT {}", expected.page.1);
        if random.one_in(2) {
            expected.page.0 = random.below(expected.rows.len() as u64 + 10) as usize;
            text += &format!(" OFFSET {}", expected.page.0);
        }
    }
    asked(text, expected)
}
