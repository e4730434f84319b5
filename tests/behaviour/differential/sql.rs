//! Random SQL statements from a small grammar, each with the result of loops over the model's
//! points.

use super::answer::{Cell, Row};
use super::compare::Expected;
use super::conditions::Condition;
use super::model::{Model, Point};
use super::question::Question;
use super::random::Random;
use super::statement::{asked, difference, groups, hits, key_text, ordered, some_rows};
use super::windows;
use std::collections::BTreeSet;
use zonepulse_wire::MAX_HITS;

const TABLES: &[&str] = &["dns_raw", "dns_raw", "dns_5m", "dns_15m", "dns_30m", "dns_1h", "records", "records"];

pub fn random(random: &mut Random, model: &Model) -> Question {
    match random.below(150) {
        0..60 => grouped(random, model),
        60..85 => joined(random, model),
        85..110 => windows::random(random, model),
        110..125 => listed(random, model),
        125..137 => of_names(random, model),
        137..149 => with_servers(random, model),
        _ => past_the_end(random, model),
    }
}

/// A measure of a group: a column name, its expression, and its value.
type Measure = (&'static str, String, Box<dyn Fn(&[&Point]) -> Cell>);

fn measure(random: &mut Random, model: &Model, table: &str) -> Measure {
    let of_all = |pick: fn(&Point) -> u64, best: fn(u64, u64) -> u64| {
        move |points: &[&Point]| points.iter().map(|point| pick(point)).reduce(best).map_or(Cell::Null, Cell::from)
    };
    match random.below(12) {
        0..3 => ("hits", "sum(hits)".to_owned(), Box::new(|points| hits(points))),
        3 => ("n", "count(*)".to_owned(), Box::new(|points| Cell::from(points.len() as u64))),
        4 => ("smallest", "min(hits)".to_owned(), Box::new(of_all(|point| point.hits as u64, u64::min))),
        5 => ("largest", "max(hits)".to_owned(), Box::new(of_all(|point| point.hits as u64, u64::max))),
        6 => ("latest", "max(last_access)".to_owned(), Box::new(of_all(|point| point.last_ms, u64::max))),
        7 if table == "records" => ("earliest", "min(first_seen)".to_owned(), Box::new(of_all(|point| point.first_ms, u64::min))),
        7 => ("earliest", "min(time)".to_owned(), Box::new(of_all(|point| point.start_s * 1000, u64::min))),
        8 => {
            let hosts = |points: &[&Point]| points.iter().map(|point| point.host.clone()).collect::<BTreeSet<_>>().len();
            ("hosts", "count(DISTINCT host)".to_owned(), Box::new(move |points| Cell::from(hosts(points) as u64)))
        }
        9 => {
            let condition = Condition::random(random, model, table);
            let text = format!("count(*) FILTER (WHERE {})", condition.text);
            let count = move |points: &[&Point]| points.iter().filter(|point| condition.takes(point)).count() as u64;
            ("chosen", text, Box::new(move |points| Cell::from(count(points))))
        }
        _ => {
            let (a, b) = (Condition::random(random, model, table), Condition::random(random, model, table));
            let text = format!("sum(hits) FILTER (WHERE {}) - sum(hits) FILTER (WHERE {})", b.text, a.text);
            let value = move |points: &[&Point]| {
                let sum = |condition: &Condition| hits(points.iter().filter(|point| condition.takes(point)));
                difference(&sum(&a), &sum(&b))
            };
            ("difference", text, Box::new(value))
        }
    }
}

fn grouped(random: &mut Random, model: &Model) -> Question {
    let (table, condition, rows) = some_rows(random, model, TABLES);
    let possible: &[&'static str] = match table {
        "records" => &["server_id", "server", "host", "type", "action", "rcode"],
        _ => &["server_id", "server", "host", "type", "action", "rcode", "time", "hour", "bucket", "interval_s"],
    };
    let keys = if random.one_in(6) { Vec::new() } else { random.some(possible, 3) };
    let mut measures: Vec<Measure> = Vec::new();
    for _ in 0..1 + random.below(3) {
        let measure = measure(random, model, table);
        if measures.iter().all(|(name, _, _)| *name != measure.0) {
            measures.push(measure);
        }
    }
    let mut groups = groups(&rows, &keys);
    if keys.is_empty() {
        groups.entry(Row::new()).or_default();
    }
    let mut having = String::new();
    if random.one_in(5) && !keys.is_empty() {
        let least = *random.of(&[1, 2, 5, 20]);
        having = format!(" HAVING count(*) >= {least}");
        groups.retain(|_, points| points.len() >= least);
    }
    let listed = keys.iter().map(|key| key_text(key).0).chain(measures.iter().map(|(name, text, _)| format!("{text} AS {name}")));
    let mut text = format!("SELECT {} FROM {table} WHERE {condition}", listed.collect::<Vec<_>>().join(", "));
    if !keys.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| key_text(key).1).collect();
        text += &format!(" GROUP BY {}{having}", keys.join(", "));
    }
    let columns: Vec<&str> = keys.iter().copied().chain(measures.iter().map(|(name, _, _)| *name)).collect();
    let row = |(key, points): (Row, Vec<&Point>)| {
        let values: Row = measures.iter().map(|(_, _, value)| value(&points)).collect();
        [key, values].concat()
    };
    let expected = Expected::all(&columns, groups.into_iter().map(row).collect());
    ordered(random, text, expected)
}

/// Sums of two selections side by side, and their difference.
fn joined(random: &mut Random, model: &Model) -> Question {
    let choices: [&[&str]; 4] = [&["host", "type"], &["host"], &["server_id", "host"], &["server", "type", "action"]];
    let keys = *random.of(&choices);
    let halves = [some_rows(random, model, TABLES), some_rows(random, model, TABLES)];
    let list = keys.join(", ");
    let [a, b] = halves.each_ref().map(|(table, condition, _)| {
        format!("(SELECT {list}, sum(hits) AS hits FROM {table} WHERE {condition} GROUP BY {list})")
    });
    let [left, right] = halves.each_ref().map(|(_, _, rows)| groups(rows, keys));
    let (join, keeps_left, keeps_right) =
        *random.of(&[("JOIN", false, false), ("LEFT JOIN", true, false), ("RIGHT JOIN", false, true), ("FULL JOIN", true, true)]);
    let on = keys.iter().map(|key| format!("a.{key} = b.{key}")).collect::<Vec<_>>().join(" AND ");
    let listed = keys.iter().map(|key| format!("coalesce(a.{key}, b.{key}) AS {key}")).collect::<Vec<_>>().join(", ");
    let text =
        format!("SELECT {listed}, a.hits AS x, b.hits AS y, b.hits - a.hits AS difference FROM {a} a {join} {b} b ON {on}");

    let all: BTreeSet<&Row> = left.keys().chain(right.keys()).collect();
    let mut rows = Vec::new();
    for key in all {
        let (x, y) = (left.get(key), right.get(key));
        if (y.is_some() || keeps_left) && (x.is_some() || keeps_right) {
            let [x, y] = [x, y].map(|points| hits(points.into_iter().flatten()));
            let d = difference(&x, &y);
            rows.push([key.clone(), vec![x, y, d]].concat());
        }
    }
    let columns = [keys, &["x", "y", "difference"]].concat();
    ordered(random, text, Expected::all(&columns, rows))
}

/// Individual points.
fn listed(random: &mut Random, model: &Model) -> Question {
    let (table, condition, rows) = some_rows(random, model, TABLES);
    let possible: &[&str] = match table {
        "records" => {
            &["server_id", "server", "host", "type", "action", "rcode", "hits", "first_seen", "last_access", "resource_id"]
        }
        _ => &["time", "hour", "interval_s", "server_id", "server", "host", "type", "action", "rcode", "hits", "last_access"],
    };
    let columns = random.some(possible, possible.len());
    let text = format!("SELECT {} FROM {table} WHERE {condition}", columns.join(", "));
    let rows = rows.iter().map(|point| columns.iter().map(|column| point.cell(column)).collect()).collect();
    ordered(random, text, Expected::all(&columns, rows))
}

/// Records whose names are in, or not in, a subquery.
fn of_names(random: &mut Random, model: &Model) -> Question {
    let (table, condition, rows) = some_rows(random, model, TABLES);
    let (other, other_condition, others) = some_rows(random, model, TABLES);
    let among = random.one_in(2);
    let word = if among { "IN" } else { "NOT IN" };
    let text = format!(
        "SELECT host, type, sum(hits) AS hits FROM {table} WHERE {condition} \
         AND host {word} (SELECT host FROM {other} WHERE {other_condition}) GROUP BY host, type"
    );
    let names: BTreeSet<&str> = others.iter().map(|point| &*point.host).collect();
    let rows: Vec<&Point> = rows.into_iter().filter(|point| names.contains(&*point.host) == among).collect();
    let row = |(key, points): (Row, Vec<&Point>)| [key, vec![hits(&points)]].concat();
    let rows = groups(&rows, &["host", "type"]).into_iter().map(row).collect();
    ordered(random, text, Expected::all(&["host", "type", "hits"], rows))
}

/// Points joined with other tables on their numbers.
fn with_servers(random: &mut Random, model: &Model) -> Question {
    let (table, condition, rows) = some_rows(random, model, TABLES);
    let text = format!(
        "SELECT s.server AS server, n.host AS host, count(*) AS n, sum(p.hits) AS hits \
         FROM (SELECT server_id, record_id, hits FROM {table} WHERE {condition}) p \
         JOIN servers s ON s.server_id = p.server_id JOIN names n ON n.record_id = p.record_id GROUP BY s.server, n.host"
    );
    let row = |(key, points): (Row, Vec<&Point>)| [key, vec![Cell::from(points.len() as u64), hits(&points)]].concat();
    let rows = groups(&rows, &["server", "host"]).into_iter().map(row).collect();
    ordered(random, text, Expected::all(&["server", "host", "n", "hits"], rows))
}

/// A sum that exceeds the largest possible number.
fn past_the_end(random: &mut Random, model: &Model) -> Question {
    let least = u128::from(MAX_HITS) - 1;
    let rows: Vec<&Point> = model.table("dns_raw").iter().filter(|point| point.hits >= least).collect();
    let times = *random.of(&[1, 9_000_000, 18_000_000]) / (rows.len() as u64).max(1) + 1;
    let text = format!(
        "SELECT sum(p.hits) AS hits FROM (SELECT hits FROM dns_raw WHERE hits >= {least}) p CROSS JOIN generate_series(1, {times})"
    );
    let sum = match hits(&rows) {
        Cell::Number(sum) => Cell::Number(sum * i128::from(times)),
        other => other,
    };
    // Sums saturate, at the largest signed or unsigned number.
    let expected = Expected { most: i64::MAX.into(), ..Expected::all(&["hits"], vec![vec![sum]]) };
    asked(text, expected)
}
