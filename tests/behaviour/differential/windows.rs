//! Random statements with window functions over time.

use super::answer::{Cell, Row};
use super::compare::Expected;
use super::model::Model;
use super::question::Question;
use super::random::Random;
use super::statement::{difference, groups, hits, ordered, some_rows};
use std::collections::BTreeMap;

const TABLES: &[&str] = &["dns_raw", "dns_5m", "dns_5m", "dns_15m", "dns_30m", "dns_1h"];

/// Sums per time, with the value of a window function for each.
pub fn random(random: &mut Random, model: &Model) -> Question {
    let (table, condition, rows) = some_rows(random, model, TABLES);
    let choices: [&[&str]; 4] = [&["host", "type"], &["server_id"], &["server", "action"], &[]];
    let keys = *random.of(&choices);
    let all: Vec<&str> = keys.iter().copied().chain(["time"]).collect();
    let mut series: BTreeMap<Row, Vec<(Cell, Cell)>> = BTreeMap::new();
    for (mut key, points) in groups(&rows, &all) {
        let time = key.pop().expect("the time is the last key");
        series.entry(key).or_default().push((time, hits(&points)));
    }
    let by = if keys.is_empty() { String::new() } else { format!("PARTITION BY {} ", keys.join(", ")) };
    let (call, value) = window(random, &by);
    let list = all.join(", ");
    let text = if random.one_in(3) {
        // The sum itself in the window.
        let call = call.replace("hits", "sum(hits)");
        format!("SELECT {list}, sum(hits) AS hits, {call} AS w FROM {table} WHERE {condition} GROUP BY {list}")
    } else {
        let sums = format!("SELECT {list}, sum(hits) AS hits FROM {table} WHERE {condition} GROUP BY {list}");
        format!("SELECT {list}, hits, {call} AS w FROM ({sums})")
    };
    let mut expected = Vec::new();
    for (key, points) in series {
        let of_time: Vec<Cell> = points.iter().map(|(_, hits)| hits.clone()).collect();
        for (at, (time, hits)) in points.into_iter().enumerate() {
            expected.push([key.clone(), vec![time, hits, value(&of_time, at)]].concat());
        }
    }
    let columns: Vec<&str> = all.iter().copied().chain(["hits", "w"]).collect();
    ordered(random, text, Expected::all(&columns, expected))
}

/// The value of a window function at an index of a series.
type Value = Box<dyn Fn(&[Cell], usize) -> Cell>;

fn sum(cells: &[Cell]) -> Cell {
    let numbers = cells.iter().map(|cell| if let Cell::Number(number) = cell { *number } else { 0 });
    Cell::Number(numbers.sum())
}

fn window(random: &mut Random, by: &str) -> (String, Value) {
    let count = 1 + random.below(4) as usize;
    match random.below(6) {
        0 | 1 => {
            let text = format!("hits - lag(hits) OVER ({by}ORDER BY time)");
            let before = |all: &[Cell], at: usize| at.checked_sub(1).map_or(Cell::Null, |before| all[before].clone());
            (text, Box::new(move |all, at| difference(&before(all, at), &all[at])))
        }
        2 => {
            let text = format!("sum(hits) OVER ({by}ORDER BY time ROWS BETWEEN {count} PRECEDING AND CURRENT ROW)");
            (text, Box::new(move |all, at| sum(&all[at.saturating_sub(count)..=at])))
        }
        3 => (format!("sum(hits) OVER ({by})").replace(" )", ")"), Box::new(|all, _| sum(all))),
        4 => (format!("row_number() OVER ({by}ORDER BY time)"), Box::new(|_, at| Cell::from(at as u64 + 1))),
        _ => {
            let text = format!("lead(hits, {count}) OVER ({by}ORDER BY time)");
            (text, Box::new(move |all, at| all.get(at + count).cloned().unwrap_or(Cell::Null)))
        }
    }
}
