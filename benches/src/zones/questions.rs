//! Questions for verdicts.

use super::subject::Subject;
use crate::measure;
use std::collections::BTreeMap;
use std::time::Instant;
use zonepulse_tests::Response;

/// Questions of a kind, after one that is not counted.
pub const ROUNDS: usize = 20;

/// An answer, and what it cost.
pub struct Asked {
    pub answer: Response,
    pub wall_ms: f64,
    pub cpu_ms: f64,
}

/// The cost of [`ROUNDS`] equal questions, milliseconds.
pub struct Repeated {
    pub wall: Spread,
    pub cpu: Spread,
    pub rows: usize,
    pub bytes: usize,
}

/// The median and the worst.
pub struct Spread {
    pub median: f64,
    pub worst: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Spread { median: values[values.len() / 2], worst: values[values.len() - 1] }
    }
}

/// Asks once.
pub fn ask(subject: &Subject, parameters: &[(&str, &str)], accept: &str) -> Asked {
    let pid = subject.central.pid();
    let (used, began) = (measure::cpu_seconds(pid), Instant::now());
    let answer = subject.api.get("/api/v2/monitoring/dns/verdicts", parameters, accept);
    let wall_ms = began.elapsed().as_secs_f64() * 1e3;
    let cpu_ms = (measure::cpu_seconds(pid) - used) * 1e3;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Asked { answer, wall_ms, cpu_ms }
}

/// Asks for a page in JSON again and again.
pub fn repeat(subject: &Subject, parameters: &[(&str, &str)]) -> Repeated {
    let first = ask(subject, parameters, "application/json").answer;
    let rows = rows(&first);
    assert!(rows > 0, "{parameters:?} has an answer");
    let asked: Vec<Asked> = (0..ROUNDS).map(|_| ask(subject, parameters, "application/json")).collect();
    Repeated {
        wall: Spread::of(asked.iter().map(|asked| asked.wall_ms).collect()),
        cpu: Spread::of(asked.iter().map(|asked| asked.cpu_ms).collect()),
        rows,
        bytes: first.body.len(),
    }
}

/// The number of rows of an answer in JSON.
pub fn rows(answer: &Response) -> usize {
    answer.json().as_array().expect("a list").len()
}

/// How many RRsets have which verdict, in an answer as CSV.
pub fn verdicts(csv: &[u8]) -> BTreeMap<&str, u64> {
    let mut lines = std::str::from_utf8(csv).expect("text").lines();
    let head = lines.next().expect("a header");
    // The columns before it are never quoted: none contains a comma.
    let column = head.split(',').position(|name| name == "verdict").expect("a column of verdicts");
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines {
        *counts.entry(line.split(',').nth(column).expect("a verdict")).or_default() += 1;
    }
    counts
}
