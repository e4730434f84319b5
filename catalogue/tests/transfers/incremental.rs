//! Incremental transfers.

use super::full::{records, sum_of_kdig};
use super::server::{Kind, Server, apex};
use super::zone::{Sum, line, zone};
use super::{run, test_with};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use zonepulse_catalogue::Record;
use zonepulse_catalogue::transfer::{self, Change, Outcome, Primary};
use zonepulse_dns::RecordType;

const KINDS: [(Kind, &str); 3] = [(Kind::Knot, "knot"), (Kind::Nsd, "nsd"), (Kind::Bind, "bind")];

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (kind, name) in KINDS {
        trials.push(test_with(format!("nothing_newer_at_{name}_is_current"), move || kind.need(), move |()| current(kind)));
        trials.push(test_with(
            format!("{name}_sends_the_full_zone_if_it_does_not_know_the_serial"),
            move || kind.need(),
            move |()| unknown_serial(kind),
        ));
    }
    for (kind, name, options) in [
        (Kind::Knot, "knot", ""),
        (Kind::Bind, "bind", ""),
        (Kind::Bind, "bind_in_messages_of_one_record", "transfer-format one-answer;"),
    ] {
        trials.push(test_with(
            format!("changes_over_many_messages_of_{name}_lead_to_what_kdig_says"),
            move || kind.need(),
            move |()| changes(kind, options),
        ));
        trials.push(test_with(
            format!("a_serial_that_wraps_around_at_{name}_is_newer"),
            move || kind.need(),
            move |()| wrap(kind, options),
        ));
    }
    trials
}

async fn full(primary: &Primary) -> (u32, BTreeSet<Record>) {
    let mut full = transfer::axfr(primary, &apex()).await.unwrap();
    let mut records = BTreeSet::new();
    while let Some(record) = full.next().await.unwrap() {
        records.insert(record);
    }
    (full.serial(), records)
}

/// Applies changes, and counts versions; each must fit what is there.
async fn apply(outcome: Outcome, records: &mut BTreeSet<Record>) -> usize {
    let Outcome::Incremental(mut changes) = outcome else { panic!("{outcome:?} is not incremental") };
    let mut versions = 0;
    while let Some(change) = changes.next().await.unwrap() {
        match change {
            Change::Removed(record) => assert!(records.remove(&record), "{record:?} was not there"),
            Change::Added(record) => {
                versions += usize::from(record.rtype == RecordType::SOA);
                assert!(records.insert(record.clone()), "{record:?} was there");
            }
        }
    }
    versions
}

fn sum(records: &BTreeSet<Record>) -> Sum {
    let mut sum = Sum::default();
    records.iter().for_each(|record| sum.add(&line(record)));
    sum
}

fn changes(kind: Kind, options: &str) {
    let server = Server::start_with(kind, &zone(1_000, 7), options);
    let primary = server.primary();
    let (serial, mut mine) = run(full(&primary));
    assert_eq!(serial, 7);
    let per_version = 250;
    let versions = records().min(100_000) / per_version / 2;
    let groups: Vec<Vec<String>> = (0..versions).map(|version| group(version, per_version)).collect();
    server.update(&groups);
    let applied = run(async { apply(transfer::ixfr(&primary, &apex(), serial).await.unwrap(), &mut mine).await });
    // Knot combines versions if a later one undoes an earlier.
    assert!(applied > 1 && applied <= versions, "{applied} of {versions}");
    assert_eq!(sum(&mine), sum_of_kdig(&server));
}

/// Adds records of the version, and removes half of those that the version before added.
fn group(version: usize, count: usize) -> Vec<String> {
    let added = (0..count).map(|number| format!("add v{version}-{number}.example. 300 TXT \"version {version}\""));
    let before = version.checked_sub(1);
    let removed = (0..count).step_by(2).filter_map(|number| Some(format!("del v{}-{number}.example. TXT", before?)));
    added.chain(removed).collect()
}

fn wrap(kind: Kind, options: &str) {
    let server = Server::start_with(kind, &zone(100, u32::MAX - 1), options);
    let primary = server.primary();
    let (serial, mut mine) = run(full(&primary));
    assert_eq!(serial, u32::MAX - 1);
    let groups: Vec<Vec<String>> = (0..4).map(|version| group(version, 3)).collect();
    server.update(&groups);
    let now = run(transfer::soa(&primary, &apex())).unwrap();
    assert!(now < 10 && transfer::serial::is_newer(now, serial), "{now}");
    run(async { apply(transfer::ixfr(&primary, &apex(), serial).await.unwrap(), &mut mine).await });
    assert_eq!(sum(&mine), sum_of_kdig(&server));
}

fn current(kind: Kind) {
    let server = Server::start(kind, &zone(100, 7));
    let primary = server.primary();
    for ours in [7, 8] {
        let outcome = run(transfer::ixfr(&primary, &apex(), ours)).unwrap();
        assert!(matches!(outcome, Outcome::Current { serial: 7 }), "{outcome:?}");
    }
    assert_eq!(run(transfer::soa(&primary, &apex())).unwrap(), 7);
}

fn unknown_serial(kind: Kind) {
    let server = Server::start(kind, &zone(2_000, 7));
    let found = run(async {
        let outcome = transfer::ixfr(&server.primary(), &apex(), 3).await.unwrap();
        let Outcome::Full(mut full) = outcome else { panic!("{outcome:?} is not full") };
        let mut found = Sum::default();
        while let Some(record) = full.next().await.unwrap() {
            found.add(&line(&record));
        }
        found
    });
    assert_eq!(found, sum_of_kdig(&server));
}
