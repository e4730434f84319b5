//! Requests per second: one row per step, and null where nothing was observed.

use super::answer::{self, Cell, Row};
use super::filters::{Filter, Parameters};
use super::model::{Model, Told};
use super::observed;
use super::question::{Ask, By, Question, moment, paged, spelt, sums};
use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use zonepulse_dns::Action;

/// Maximum number of rows in an answer; two steps with everything have fewer.
const MOST_ROWS: u64 = 50_000;

fn least_common_multiple(a: u64, b: u64) -> u64 {
    (1..=b).map(|factor| a * factor).find(|multiple| multiple.is_multiple_of(b)).unwrap_or(a * b)
}

/// Reports of the servers that a question is about.
struct Reports<'a> {
    model: &'a Model,
    of: Vec<&'a Told>,
}

impl<'a> Reports<'a> {
    fn new(model: &'a Model, filter: &Filter) -> Self {
        let kept = model.told.iter().filter(|told| told.start_s >= model.rolled_up_from_s());
        Reports { model, of: kept.filter(|told| filter.is_of_server(told.server_id)).collect() }
    }

    /// Reports that overlap a time range, Unix milliseconds.
    fn within(&self, from_ms: u64, until_ms: u64) -> impl Iterator<Item = &'a Told> {
        let (from_s, until_s) = (from_ms / 1000, until_ms.div_ceil(1000));
        self.of.iter().copied().filter(move |told| told.start_s < until_s && told.end_s() > from_s)
    }

    /// The unit of all steps, and the default step.
    fn steps(&self, from_ms: u64, until_ms: u64) -> (u64, u64) {
        let lengths: BTreeSet<u64> = self.within(from_ms, until_ms).map(|told| told.interval_s).collect();
        let common = lengths.iter().copied().reduce(least_common_multiple);
        let expired = self.within(from_ms, until_ms).any(|told| told.start_s < self.model.raw_from_s());
        let own = common.unwrap_or(60);
        (common.unwrap_or(1), if expired { least_common_multiple(own, 300) } else { own })
    }
}

/// Two moments within about a day.
fn stretch(random: &mut Random, model: &Model) -> (u64, u64) {
    loop {
        let (a, b) = (moment(random, model), moment(random, model));
        if a.abs_diff(b) < 20 * 3_600_000 || random.one_in(20) {
            return (a.min(b), a.max(b));
        }
    }
}

pub fn random(random: &mut Random, model: &Model) -> Question {
    let mut parameters = Parameters::new();
    let filter = Filter::random(random, model, &mut parameters);
    let by = By::random(random, &mut parameters);
    let (mut from_ms, until_ms) = stretch(random, model);
    let reports = Reports::new(model, &filter);
    if random.one_in(10) {
        from_ms = until_ms - 86_400_000;
    } else {
        parameters.push(("date_from", spelt(random, from_ms)));
    }
    parameters.push(("date_to", spelt(random, until_ms)));

    let (unit_s, own_s) = reports.steps(from_ms, until_ms);
    let length_s = (until_ms - from_ms) / 1000 + 1;
    let mut step_s = if random.one_in(4) {
        own_s
    } else {
        let word_s = *random.of(&[unit_s, unit_s * 2, unit_s * 7, 300, 900, 1800, 3600, 7200, 86_400]);
        least_common_multiple(word_s, unit_s)
    };
    let mut rows = of_steps(model, &filter, by, &reports, (from_ms, until_ms), step_s);
    let mut asked = step_s != own_s || random.one_in(2);
    while rows.is_none() {
        step_s = least_common_multiple(step_s * 2, length_s.div_ceil(1000).next_multiple_of(3600));
        asked = true;
        rows = of_steps(model, &filter, by, &reports, (from_ms, until_ms), step_s);
    }
    if random.one_in(30) && unit_s > 1 {
        parameters.push(("step", (step_s + 1).to_string()));
        return Question { ask: Ask::Get { call: "dns/rps", parameters }, expected: None };
    }
    if asked {
        parameters.push(("step", step_s.to_string()));
    }
    let marks: &[_] = if is_over(model, until_ms, step_s) { &observed::MARKS } else { &[] };
    let columns = [&["time", "rps", "hits"], &by.columns()[..], marks].concat();
    let rows = rows.unwrap_or_default();
    paged(random, "dns/rps", parameters, &columns, rows, &[("time", false)])
}

/// Whether all steps up to that one are complete.
fn is_over(model: &Model, until_ms: u64, step_s: u64) -> bool {
    observed::is_over(model, until_ms.div_ceil(step_s * 1000) * step_s)
}

/// The rows, unless there are too many.
fn of_steps(
    model: &Model,
    filter: &Filter,
    by: By,
    reports: &Reports<'_>,
    (from_ms, until_ms): (u64, u64),
    step_s: u64,
) -> Option<Vec<Row>> {
    let (first, end) = (from_ms / 1000 / step_s, until_ms.div_ceil(step_s * 1000));
    let end = if from_ms < until_ms { end } else { first };
    if end - first > MOST_ROWS {
        return None;
    }
    // Steps that are not buckets are summed from raw points.
    let is_raw = !step_s.is_multiple_of(300);
    let kept_s = if is_raw { model.raw_from_s() } else { model.rolled_up_from_s() };
    let counted = model.told_points().filter(|point| (first * step_s..end * step_s).contains(&point.start_s));
    let counted = counted.filter(|point| point.start_s >= kept_s && filter.counts(point, by.action));
    let split = by.columns();
    let series = |point: &super::model::Point| split.iter().map(|column| point.cell(column)).collect::<Row>();
    let sums = sums(counted, |point| (point.start_s / step_s, series(point), point.server_id));

    let mut all: BTreeSet<Row> = sums.keys().map(|(_, series, _)| series.clone()).collect();
    if !by.record {
        all.extend(known_series(model, filter, by));
    }
    if (end - first) * all.len() as u64 > MOST_ROWS {
        return None;
    }
    // Where there was a report; elsewhere nothing was covered.
    let mut reported: BTreeSet<u64> = BTreeSet::new();
    for told in reports.within(first * step_s * 1000, end * step_s * 1000) {
        reported.extend(told.start_s / step_s..told.end_s().div_ceil(step_s));
    }
    let place = split.iter().position(|column| *column == "server_id");
    let marked = is_over(model, until_ms, step_s);
    let mut rows = Vec::new();
    for step in first..end {
        let time = step * step_s * 1000..(step + 1) * step_s * 1000;
        let seen = if reported.contains(&step) { observed::seen(model, filter, &time) } else { Vec::new() };
        for series in &all {
            let of_series = |id: u32| place.is_none_or(|at| series[at] == Cell::from(u64::from(id)));
            let covered = seen.iter().filter(|seen| seen.covered_ms > 0 && of_series(seen.server_id));
            // Hits with the same observed time are added before dividing.
            let mut shares: BTreeMap<u64, u128> = BTreeMap::new();
            for seen in covered {
                let hits = sums.get(&(step, series.clone(), seen.server_id)).map_or(0, |(hits, _, _)| *hits);
                *shares.entry(seen.covered_ms).or_default() += hits;
            }
            let has_expired = is_raw && step * step_s < model.raw_from_s();
            let is_known = !shares.is_empty() && !has_expired;
            let rate: f64 = shares.iter().map(|(covered_ms, hits)| *hits as f64 / (*covered_ms as f64 / 1000.0)).sum();
            let hits = Cell::Number(shares.values().sum::<u128>() as i128);
            let cells = if is_known { [answer::rate(rate), hits] } else { [Cell::Null, Cell::Null] };
            let marks = if marked { observed::marks(&seen, place.map(|at| &series[at])) } else { Vec::new() };
            rows.push([vec![Cell::from(time.start)], cells.to_vec(), series.clone(), marks].concat());
        }
    }
    Some(rows)
}

/// All known series, whether or not they have a hit.
fn known_series(model: &Model, filter: &Filter, by: By) -> Vec<Row> {
    let servers: Vec<Row> = match by.server {
        true => {
            let meant = model.servers.iter().filter(|(id, _)| filter.is_of_server(*id));
            meant.map(|(id, name)| vec![Cell::from(u64::from(*id)), Cell::from(*name)]).collect()
        }
        false => vec![Row::new()],
    };
    let may_be = |action: Action| match action {
        Action::Request => filter.action != Some(Action::Response) && filter.rcodes.is_empty(),
        Action::Response => filter.action != Some(Action::Request),
    };
    let actions: Vec<Row> = match by.action {
        true => {
            let actions = [Action::Request, Action::Response].into_iter().filter(|action| may_be(*action));
            actions.map(|action| vec![Cell::from(action.as_str())]).collect()
        }
        false => vec![Row::new()],
    };
    servers.iter().flat_map(|server| actions.iter().map(|action| [server.clone(), action.clone()].concat())).collect()
}
