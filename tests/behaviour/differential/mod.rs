//! Random batches and random questions against a plain model: the central's answers over HTTP must
//! equal loops over everything that it was sent.
//!
//! Batches arrive late, twice, out of order, from clocks that were set, from probes restarted
//! within an interval, for hours of which raw points or everything except totals has expired, with
//! names and numbers at the limits of the format. Between rounds the central is restarted cleanly,
//! and once it is killed in the middle of a round. Hours are sealed while questions are asked: raw
//! points, totals, series, rates, coverage, SQL, page by page, in every format.
//!
//! `ZONEPULSE_TESTS_SEED` sets the seed (random by default), `ZONEPULSE_TESTS_QUESTIONS` the number
//! of questions (3,000). A failing run prints its seed. Times are relative to the hour in which the
//! test starts, so the same seed asks the same questions an hour later, except for batches of the
//! last minutes.

mod answer;
mod batches;
mod compare;
mod conditions;
mod filters;
mod model;
mod observed;
mod question;
mod questions;
mod random;
mod rates;
mod sql;
mod statement;
mod windows;

use answer::{Format, Row};
use batches::{Delivery, Fleet};
use libtest_mimic::Trial;
use model::{AGGREGATED_RETENTION_DAYS, Model, RAW_RETENTION_MINUTES};
use question::{Ask, Question};
use random::Random;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use zonepulse_tests::needs::test;
use zonepulse_tests::{Api, Central, Response, unix_ms};

/// Number of questions about the batches of one central; beyond that, another one is used.
const QUESTIONS: u64 = 3000;
/// Number of rounds of batches followed by questions.
const ROUNDS: u64 = 12;
/// Number of questions asked concurrently.
const CONNECTIONS: u64 = 3;
/// After this many wrong answers, no more questions are asked.
const MOST_FAULTS: usize = 3;

const SERVERS: [&str; 3] = ["alpha", "beta", "gamma"];

pub fn trials() -> Vec<Trial> {
    vec![test("random_questions_are_answered_as_a_plain_model_answers_them", differential)]
}

fn differential() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("ZONEPULSE_TESTS_SEED").unwrap_or_else(unix_ms);
    let mut left = number("ZONEPULSE_TESTS_QUESTIONS").unwrap_or(QUESTIONS);
    for seed in seed.. {
        let count = left.min(QUESTIONS);
        left -= count;
        Run::start(seed).go(count);
        if left == 0 {
            break;
        }
    }
}

/// A central, and its expected contents.
struct Run {
    seed: u64,
    central: Central,
    model: Model,
    fleet: Fleet,
    known: BTreeSet<(u32, u64, u64)>,
    asked: u64,
    /// Number of answers that had rows.
    with_rows: u64,
}

/// Prints the seed however the run fails.
impl Drop for Run {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("ZONEPULSE_TESTS_SEED={} fails after {} questions", self.seed, self.asked);
        }
    }
}

impl Run {
    fn start(seed: u64) -> Self {
        let (unit_ms, precision) = if seed.is_multiple_of(2) { (1, "ms") } else { (1000, "s") };
        let environment = [
            ("ZONEPULSE_STORE__RAW_RETENTION_MINUTES", &*RAW_RETENTION_MINUTES.to_string()),
            ("ZONEPULSE_STORE__AGGREGATED_RETENTION_DAYS", &*AGGREGATED_RETENTION_DAYS.to_string()),
            ("ZONEPULSE_STORE__RAW_LAST_ACCESS", precision),
        ];
        let central = Central::start_on(&std::env::temp_dir(), &SERVERS, &environment);
        let servers: Vec<(u32, &str)> = central.servers.iter().zip(SERVERS).map(|(server, name)| (server.id, name)).collect();
        let now_s = unix_ms() / 1000;
        let fleet = Fleet::new(seed, &servers, now_s);
        Run { seed, central, model: Model::new(servers, now_s, unit_ms), fleet, known: BTreeSet::new(), asked: 0, with_rows: 0 }
    }

    fn go(mut self, questions: u64) {
        for round in 0..ROUNDS {
            let deliveries = self.fleet.round();
            match round {
                4 => self.central.stop(),
                8 => {
                    // Batches acknowledged before the kill are delivered again.
                    self.deliver(&deliveries[..deliveries.len() / 2]);
                    self.central.kill();
                }
                _ => {}
            }
            if [4, 8].contains(&round) {
                self.central.start_again();
            }
            self.deliver(&deliveries);
            self.ask(round, questions * (round + 1) / ROUNDS - questions * round / ROUNDS);
        }
        self.central.stop();
        self.central.check();
        let Run { seed, model, asked, with_rows, .. } = &self;
        let (batches, points) = (model.told.len(), model.told_points().count());
        println!(
            "ZONEPULSE_TESTS_SEED={seed}: {batches} batches, {points} points, {asked} questions, {with_rows} answers with rows"
        );
        assert!(*asked < 100 || 2 * with_rows > *asked, "most questions are about nothing");
    }

    /// Every server sends its batches in sequence.
    fn deliver(&mut self, deliveries: &[Delivery]) {
        let central = &self.central;
        thread::scope(|scope| {
            for server in 0..SERVERS.len() {
                scope.spawn(move || {
                    let api = central.api_of_server(server);
                    for delivery in deliveries.iter().filter(|delivery| delivery.server == server) {
                        let response = api.post_batch(delivery.bytes.to_vec());
                        assert_eq!(response.status, 204, "{:?}: {}", delivery.told, response.text());
                    }
                });
            }
        });
        for Delivery { told, .. } in deliveries {
            if self.known.insert((told.server_id, told.epoch, told.seq)) {
                self.model.told.push(told.as_ref().clone());
            }
        }
        self.model.settle();
    }

    fn ask(&mut self, round: u64, count: u64) {
        let (seed, model, api) = (self.seed, &self.model, self.central.api());
        let api = &api;
        let with_rows = AtomicU64::new(0);
        let faults: Vec<String> = thread::scope(|scope| {
            let asking = |connection: u64| {
                let mut faults = Vec::new();
                for number in (connection..count).step_by(CONNECTIONS as usize) {
                    let mut random = Random::new(seed, 1 + round * 1_000_000 + number);
                    let question = questions::random(&mut random, model);
                    if question.expected.as_ref().is_some_and(|expected| !expected.rows.is_empty()) {
                        with_rows.fetch_add(1, Ordering::Relaxed);
                    }
                    let format = match random.below(10) {
                        0 => Format::Csv,
                        1 => Format::Arrow,
                        _ => Format::Json,
                    };
                    if let Some(fault) = fault(api, &question, format) {
                        faults
                            .push(format!("question {number} of round {round}: {}\n{fault}", shown(api, &question.ask, format)));
                    }
                    if faults.len() == MOST_FAULTS {
                        break;
                    }
                }
                faults
            };
            let threads: Vec<_> = (0..CONNECTIONS).map(|connection| scope.spawn(move || asking(connection))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("every question is answered")).collect()
        });
        self.asked += count;
        self.with_rows += with_rows.into_inner();
        assert!(faults.is_empty(), "ZONEPULSE_TESTS_SEED={seed}\n{}", faults.join("\n"));
    }
}

/// The question in a form that can be repeated by hand.
fn shown(api: &Api, ask: &Ask, format: Format) -> String {
    let mut text = format!("{format:?} of ");
    let get = |call: &str, parameters: &[(&'static str, String)]| api.url(&path(call), &borrowed(parameters)).to_string();
    // Writing to a string cannot fail.
    let _ = match ask {
        Ask::Get { call, parameters } => write!(text, "GET {}", get(call, parameters)),
        Ask::Pages { call, parameters, limit } => write!(text, "GET {}, {limit} rows at a time", get(call, parameters)),
        Ask::Sql(statement) => write!(text, "{statement}"),
    };
    text
}

fn path(call: &str) -> String {
    format!("/api/v2/monitoring/{call}")
}

fn borrowed<'a>(parameters: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    parameters.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// What is wrong with the answer to a question.
fn fault(api: &Api, question: &Question, format: Format) -> Option<String> {
    let (status, found) = match found(api, question, format) {
        Ok(rows) => (200, Ok(rows)),
        Err((status, reason)) => (status, Err(reason)),
    };
    match (&question.expected, found) {
        (None, _) if status == 400 => None,
        (None, _) => Some(format!("  refused it must be, and the status is {status}")),
        (Some(_), Err(reason)) => Some(format!("  status {status}: {reason}")),
        (Some(expected), Ok(rows)) => expected.differs(&rows),
    }
}

/// The rows of the answer, or the status and what is wrong.
fn found(api: &Api, question: &Question, format: Format) -> Result<Vec<Row>, (u16, String)> {
    let columns = question.expected.as_ref().map_or(&[][..], |expected| &expected.columns);
    let total = question.expected.as_ref().map_or(0, |expected| expected.rows.len());
    let rows = |response: &Response| {
        if response.status != 200 {
            return Err((response.status, response.text()));
        }
        answer::rows(response, format, columns).map_err(|error| (200, error))
    };
    let get = |call: &str, parameters: &[(&str, &str)]| {
        let response = api.get(&path(call), parameters, format.media_type());
        let rows = rows(&response)?;
        match response.header("x-total-count") {
            Some(text) if text == total.to_string() => Ok(rows),
            other => Err((200, format!("there are {total} rows, and x-total-count is {other:?}"))),
        }
    };
    match &question.ask {
        Ask::Get { call, parameters } => get(call, &borrowed(parameters)),
        Ask::Sql(statement) => match api.post_sql(statement, format.media_type()) {
            Ok(response) => rows(&response),
            Err(error) => Err((0, error)),
        },
        Ask::Pages { call, parameters, limit } => {
            let mut all = Vec::new();
            for offset in (0..total.max(1)).step_by(*limit) {
                let (from, count) = (offset.to_string(), limit.to_string());
                let page = get(call, &[&borrowed(parameters)[..], &[("offset", &from), ("limit", &count)]].concat())?;
                if page.len() != (*limit).min(total - offset) {
                    return Err((200, format!("the page from row {offset} on has {} rows", page.len())));
                }
                all.extend(page);
            }
            Ok(all)
        }
    }
}
