//! Random questions to the monitoring API, each with the model's answer.

use super::answer::{Cell, Row};
use super::filters::{Filter, Parameters};
use super::model::{Model, Point};
use super::observed;
use super::question::{By, Question, moment, paged, spelt, sums};
use super::random::Random;
use super::rates;
use super::sql;
use std::collections::BTreeMap;

pub fn random(random: &mut Random, model: &Model) -> Question {
    match random.below(100) {
        0..18 => raw(random, model),
        18..40 => totals(random, model),
        40..58 => series(random, model),
        58..72 => rates::random(random, model),
        72..76 => coverage(random, model),
        _ => sql::random(random, model),
    }
}

/// Two moments, either of which may be omitted.
fn range(random: &mut Random, model: &Model, parameters: &mut Parameters) -> (Option<u64>, Option<u64>) {
    let (a, b) = (moment(random, model), moment(random, model));
    let from = (!random.one_in(4)).then_some(a.min(b));
    let until = (!random.one_in(3)).then_some(a.max(b));
    parameters.extend(from.map(|ms| ("date_from", spelt(random, ms))));
    parameters.extend(until.map(|ms| ("date_to", spelt(random, ms))));
    (from, until)
}

/// Both ends of a range, which is a day if one is omitted. No points are close to now, or to a day
/// ago.
fn day(model: &Model, (from, until): (Option<u64>, Option<u64>)) -> (u64, u64) {
    let end = until.unwrap_or(u64::MAX / 2);
    let begin = from.unwrap_or_else(|| until.unwrap_or(model.now_s * 1000) - 86_400_000);
    (begin, end)
}

fn raw(random: &mut Random, model: &Model) -> Question {
    let columns =
        ["time", "interval_s", "server_id", "server", "resource_id", "host", "type", "action", "rcode", "hits", "last_access"];
    let mut parameters = Parameters::new();
    let filter = Filter::random(random, model, &mut parameters);
    let asked = range(random, model, &mut parameters);
    let (from, until) = day(model, asked);
    let points = model.table("dns_raw").iter().filter(|point| (from..until).contains(&(point.start_s * 1000)));
    let rows = points.filter(|point| filter.takes(point)).map(|point| row(point, &columns)).collect();
    paged(random, "dns/raw", parameters, &columns, rows, &[("time", false), ("server_id", false), ("action", false)])
}

fn row(point: &Point, columns: &[&str]) -> Row {
    columns.iter().map(|column| point.cell(column)).collect()
}

fn totals(random: &mut Random, model: &Model) -> Question {
    let mut parameters = Parameters::new();
    let filter = Filter::random(random, model, &mut parameters);
    let by = By { record: true, ..By::random(random, &mut parameters) };
    let (from, until) = if random.one_in(2) { range(random, model, &mut parameters) } else { (None, None) };
    let split = By { record: false, ..by }.columns();
    let columns = [&["resource_id", "host", "type", "hits", "first_seen", "last_access"], &split[..]].concat();
    let counted = model.told_points().filter(|point| filter.counts(point, by.action));
    let sums = sums(counted, |point| (row(point, &["resource_id", "host", "type"]), row(point, &split)));
    let within = |last: u64| from.is_none_or(|from| last >= from) && until.is_none_or(|until| last < until);
    let rows = sums.into_iter().filter(|(_, (_, _, last))| within(*last)).map(|((record, split), (hits, first, last))| {
        [record, vec![Cell::Number(hits as i128), Cell::from(first), Cell::from(last)], split].concat()
    });
    let own = [("hits", true), ("host", false), ("type", false)];
    paged(random, "dns/aggregate", parameters, &columns, rows.collect(), &own)
}

fn series(random: &mut Random, model: &Model) -> Question {
    let mut parameters = Parameters::new();
    let filter = Filter::random(random, model, &mut parameters);
    let by = By::random(random, &mut parameters);
    let (word, bucket_s) = *random.of(&[("5m", 300), ("15m", 900), ("30m", 1800), ("1h", 3600)]);
    parameters.push(("interval", word.to_owned()));
    let asked = range(random, model, &mut parameters);
    let (mut from_ms, until_ms) = day(model, asked);
    if asked.0.is_none() {
        from_ms -= from_ms % (bucket_s * 1000);
    }
    let (mut from_s, mut until_s) = (from_ms.div_ceil(1000), until_ms.div_ceil(1000));
    // Where raw points have expired, an end must be that of a five-minute bucket.
    if from_s < model.raw_from_s() {
        from_s -= from_s % 300;
    }
    if until_s < model.raw_from_s() {
        until_s = until_s.next_multiple_of(300);
    }
    let within = from_s * 1000..until_s.saturating_mul(1000);
    let from_s = from_s.max(model.rolled_up_from_s());
    let split = by.columns();
    let counted = model.told_points().filter(|point| (from_s..until_s).contains(&point.start_s));
    let counted = counted.filter(|point| filter.counts(point, by.action));
    let sums = sums(counted, |point| (point.start_s / bucket_s * bucket_s, row(point, &split)));
    let last_s = sums.last_key_value().map_or(0, |((time_s, _), _)| time_s + bucket_s);
    let marked = observed::is_over(model, last_s);
    let marks: &[_] = if marked { &observed::MARKS } else { &[] };
    let columns = [&["time", "hits", "last_access"], &split[..], marks].concat();
    let place = split.iter().position(|column| *column == "server_id");
    let mut known: BTreeMap<u64, Vec<observed::Seen>> = BTreeMap::new();
    let rows = sums.into_iter().map(|((time_s, split), (hits, _, last_ms))| {
        let step = within.start.max(time_s * 1000)..within.end.min((time_s + bucket_s) * 1000);
        let seen = known.entry(time_s).or_insert_with(|| observed::seen(model, &filter, &step));
        let marks = if marked { observed::marks(seen, place.map(|at| &split[at])) } else { Vec::new() };
        let own = vec![Cell::from(time_s * 1000), Cell::Number(hits as i128), Cell::from(model.kept_ms(last_ms))];
        [own, split, marks].concat()
    });
    paged(random, "dns/aggregate", parameters, &columns, rows.collect(), &[("time", false)])
}

fn coverage(random: &mut Random, model: &Model) -> Question {
    let columns =
        ["time", "interval_s", "server_id", "server", "epoch", "seq", "covered_from", "covered_until", "hits", "messages_seen"];
    let mut parameters = Parameters::new();
    let mut servers: Vec<u32> = model.servers.iter().map(|(id, _)| *id).collect();
    if random.one_in(2) {
        servers = random.some(&servers, 2);
        parameters.extend(servers.iter().map(|id| ("server_id", id.to_string())));
    }
    let asked = range(random, model, &mut parameters);
    let (from, until) = day(model, asked);
    let told = model.told.iter().filter(|told| servers.contains(&told.server_id) && told.start_s >= model.rolled_up_from_s());
    let rows = told.filter(|told| (from..until).contains(&(told.start_s * 1000))).map(|told| {
        let hits: u128 = told.points.iter().map(|point| point.hits).sum();
        vec![
            Cell::from(told.start_s * 1000),
            Cell::from(told.interval_s),
            Cell::from(u64::from(told.server_id)),
            Cell::from(told.server),
            Cell::Text(format!("{:016x}", told.epoch).into()),
            Cell::from(told.seq),
            Cell::from(told.covered_ms.0),
            Cell::from(told.covered_ms.1),
            Cell::Number(hits as i128),
            Cell::from(told.messages_seen),
        ]
    });
    paged(random, "dns/coverage", parameters, &columns, rows.collect(), &[("time", false), ("server_id", false)])
}
