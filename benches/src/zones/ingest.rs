//! The same batches, into a central without zones and into one where half of their names are
//! resources, in turn.

use super::contents;
use super::subject::Subject;
use crate::dataset::START_S;
use crate::peers::{pin, settle};
use crate::workload::{Shape, Workload};
use std::collections::HashSet;
use std::ops::Range;
use std::thread;
use zonepulse_tests::central::Server;

const SERVERS: u32 = Shape::STANDARD.servers;
const ROUNDS: u64 = 4;
/// Minutes of a round with a million resources.
const MINUTES: u64 = 120;

/// The encoded batches of a round, by server.
struct Part {
    batches: Vec<Vec<Vec<u8>>>,
    points: u64,
    /// Points of records that are resources.
    known: u64,
}

/// Sends to each in turn. One core each.
pub fn run(resources: u64) {
    let (without, with) = (Subject::start(SERVERS), Subject::start(SERVERS));
    let ids = |subject: &Subject| -> Vec<u32> { subject.central.servers.iter().map(|server| server.id).collect() };
    let servers = ids(&with);
    assert_eq!(servers, ids(&without), "both take the same batches");
    let each = resources / u64::from(SERVERS);
    with.load_each(servers.iter().map(|id| (u64::from(*id), contents::file_with_known(*id, each))), each);
    let known: HashSet<String> = servers.iter().flat_map(|id| contents::known(*id)).map(|(name, _)| name).collect();
    [&without, &with].into_iter().for_each(|subject| pin(subject.central.pid()));

    println!("ingest: without zones, and with {SERVERS} zones of {each} resources; CPU s of the central from HTTP to sealed\n");
    println!("| round | without zones: CPU s per M points | with zones | with by without |\n| --- | --- | --- | --- |");
    let minutes = MINUTES * resources / super::RESOURCES;
    let mut workload = Workload::new(1, Shape::STANDARD);
    let (mut points, mut known_points, mut all) = (0, 0, [0.0; 2]);
    for round in 0..ROUNDS {
        let part = part(&mut workload, &with.central.servers, round * minutes..(round + 1) * minutes, &known);
        let used = [&without, &with].map(|subject| send(subject, &part.batches));
        row(&(round + 1).to_string(), used, part.points);
        points += part.points;
        known_points += part.known;
        all = [all[0] + used[0], all[1] + used[1]];
    }
    row("all", all, points);
    let found = [&without, &with].map(resources_asked);
    assert_eq!(found[0], 0, "without zones there are no resources");
    assert!(found[1] > 0, "names in zones are resources");
    println!(
        "\n{points} points, {:.1} % of them of resources, {} of which were asked for.\n",
        known_points as f64 / points as f64 * 100.0,
        found[1]
    );
}

fn row(name: &str, cpu_s: [f64; 2], points: u64) {
    let [without, with] = cpu_s.map(|cpu_s| cpu_s * 1e6 / points as f64);
    println!("| {name} | {without:.3} | {with:.3} | {:.3} |", with / without);
}

fn part(workload: &mut Workload, servers: &[Server], minutes: Range<u64>, known: &HashSet<String>) -> Part {
    let mut part = Part { batches: vec![Vec::new(); servers.len()], points: 0, known: 0 };
    for minute in minutes {
        for (server, batches) in servers.iter().zip(&mut part.batches) {
            let batch = workload.batch(server.id, minute, START_S + 60 * minute);
            let is_known: Vec<bool> = batch.records.iter().map(|(name, _)| known.contains(name)).collect();
            part.points += batch.rows.len() as u64;
            part.known += batch.rows.iter().filter(|row| is_known[row.record as usize]).count() as u64;
            batches.push(batch.encode().expect("within the bounds of the format"));
        }
    }
    part
}

/// CPU seconds until everything is acknowledged and sealed. All servers send at a time.
fn send(subject: &Subject, batches: &[Vec<Vec<u8>>]) -> f64 {
    let used = subject.central.cpu_seconds();
    thread::scope(|scope| {
        for (number, batches) in batches.iter().enumerate() {
            let api = subject.central.api_of_server(number);
            scope.spawn(move || {
                for batch in batches {
                    let response = api.post_batch(batch.clone());
                    assert_eq!(response.status, 204, "{}", response.text());
                }
            });
        }
    });
    settle(&subject.central);
    subject.central.cpu_seconds() - used
}

/// How many records that were asked for are resources.
fn resources_asked(subject: &Subject) -> u64 {
    let text = "SELECT count(*) AS n FROM requests_total WHERE resource_id > 0";
    let answer = subject.api.sql(text, "application/json").json();
    answer[0]["n"].as_u64().expect("a number")
}
