//! A question with the model's answer, and what random ones have in common.

use super::answer::Row;
use super::compare::Expected;
use super::filters::Parameters;
use super::model::{Model, Point};
use super::random::Random;
use std::collections::BTreeMap;
use zonepulse_tests::api::rfc3339;

pub struct Question {
    pub ask: Ask,
    /// `None` if it must be rejected as a bad request.
    pub expected: Option<Expected>,
}

/// How it is asked.
pub enum Ask {
    /// A monitoring call.
    Get { call: &'static str, parameters: Parameters },
    /// The same, page by page with this many rows each.
    Pages { call: &'static str, parameters: Parameters, limit: usize },
    /// An SQL statement.
    Sql(String),
}

/// How sums are split.
#[derive(Debug, Clone, Copy, Default)]
pub struct By {
    pub record: bool,
    pub server: bool,
    pub action: bool,
}

impl By {
    pub fn random(random: &mut Random, parameters: &mut Parameters) -> By {
        if random.one_in(3) {
            return By::default();
        }
        let words = random.some(&["record", "server", "action"], 3);
        let by = By { record: words.contains(&"record"), server: words.contains(&"server"), action: words.contains(&"action") };
        parameters.push(("by", words.join(",")));
        by
    }

    pub fn columns(self) -> Vec<&'static str> {
        let record: &[_] = if self.record { &["resource_id", "host", "type"] } else { &[] };
        let server: &[_] = if self.server { &["server_id", "server"] } else { &[] };
        let action: &[_] = if self.action { &["action"] } else { &[] };
        [record, server, action].concat()
    }
}

/// A time at which something begins or ends, or close to it, Unix milliseconds.
pub fn moment(random: &mut Random, model: &Model) -> u64 {
    let told = random.of(&model.told);
    let at_ms = match random.below(6) {
        0 => told.start_s * 1000,
        1 => told.end_s() * 1000,
        2 => told.start_s / 3600 * 3_600_000,
        3 => told.start_s / 300 * 300_000,
        4 => told.points.first().map_or(told.start_s * 1000, |point| point.last_ms),
        _ => told.start_s * 1000 + random.below(7_200_000) - 3_600_000,
    };
    match random.below(8) {
        0 => at_ms + 1,
        1 => at_ms - 1,
        _ => at_ms,
    }
}

/// One of the spellings of a time.
pub fn spelt(random: &mut Random, ms: u64) -> String {
    match random.below(4) {
        0 if ms.is_multiple_of(1000) => (ms / 1000).to_string(),
        0 | 1 => format!("{}.{:03}", ms / 1000, ms % 1000),
        // In another time zone.
        2 => rfc3339(ms + 7_200_000).replace('Z', "+02:00"),
        _ => rfc3339(ms),
    }
}

/// Turns the complete answer into a question with an order, and sometimes a single page.
pub fn paged(
    random: &mut Random,
    call: &'static str,
    mut parameters: Parameters,
    columns: &[&str],
    rows: Vec<Row>,
    own_order: &[(&str, bool)],
) -> Question {
    let mut expected = Expected::all(columns, rows);
    expected.order = own_order.iter().map(|(column, descending)| ((*column).to_owned(), *descending)).collect();
    if random.one_in(3) {
        let mut keys = random.some(columns, 3);
        keys.dedup();
        expected.order = keys.into_iter().map(|column| (column.to_owned(), random.one_in(2))).collect();
        let sign = |descending: bool| if descending { "-" } else { "" };
        let words: Vec<String> = expected.order.iter().map(|(column, down)| format!("{}{column}", sign(*down))).collect();
        parameters.push(("sort", words.join(",")));
    }
    let count = expected.rows.len();
    let ask = match random.below(20) {
        // The default number of rows.
        0 | 1 => {
            expected.page.1 = 1000;
            Ask::Get { call, parameters }
        }
        2..7 => {
            expected.page = (random.below(count as u64 + 10) as usize, random.below(count as u64 + 10) as usize);
            parameters.push(("offset", expected.page.0.to_string()));
            parameters.push(("limit", expected.page.1.to_string()));
            Ask::Get { call, parameters }
        }
        7 if count < 3000 => Ask::Pages { call, parameters, limit: 1 + count / (1 + random.below(6) as usize) },
        _ => {
            parameters.push(("limit", "100000".to_owned()));
            expected.page.1 = 100_000;
            Ask::Get { call, parameters }
        }
    };
    Question { ask, expected: Some(expected) }
}

/// Hits, first and last access.
pub type Sum = (u128, u64, u64);

/// Sums of points by any key.
pub fn sums<'a, K: Ord>(points: impl Iterator<Item = &'a Point>, key: impl Fn(&Point) -> K) -> BTreeMap<K, Sum> {
    let mut sums = BTreeMap::new();
    for point in points {
        let sum = sums.entry(key(point)).or_insert((0, u64::MAX, 0));
        *sum = (sum.0 + point.hits, sum.1.min(point.first_ms), sum.2.max(point.last_ms));
    }
    sums
}
