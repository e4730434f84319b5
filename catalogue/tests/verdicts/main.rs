//! Verdicts on generated zones, compared name by name with those of a plain Python program.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod oracle;
mod random;
mod world;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use world::World;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let test = |what: &str, seeds: Range<u64>, size: usize| {
        let name = format!("verdicts_on_{what}_equal_those_of_a_plain_python_program");
        Trial::ignorable_test(name, move || compare(seeds, size))
    };
    let tests = vec![
        test("small_zones", 1..7, 500),
        // Minutes: for changes of lookups, references or verdicts.
        test("many_zones", 1000..1100, 300).with_ignored_flag(true),
        test("large_zones", 100..101, 50_000).with_ignored_flag(true),
    ];
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// Compares the worlds of some seeds.
fn compare(seeds: Range<u64>, size: usize) -> Result<Completion, Failed> {
    let python = match oracle::python() {
        Ok(python) => python,
        Err(reason) => return Ok(Completion::ignored_with(reason)),
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for seed in seeds {
        let world = World::new(seed, size);
        let folder = tempfile::tempdir()?;
        let expected = oracle::run(&python, &world, folder.path());
        let ours = world.verdicts();
        let different = difference(&expected, &ours);
        if !different.is_empty() {
            let kept = folder.keep();
            let first = different.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
            return Err(format!("seed {seed}: {} differ; see {}\n{first}", different.len(), kept.display()).into());
        }
        for row in ours.values() {
            let verdict = row.split('\t').next().unwrap_or_default();
            *counts.entry(verdict.to_owned()).or_default() += 1;
        }
    }
    println!("{counts:?}");
    if counts.len() < 7 && size < 50_000 {
        return Err(format!("not every verdict occurred: {counts:?}").into());
    }
    Ok(Completion::Completed)
}

/// The RRsets on which the two disagree.
fn difference(expected: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Vec<String> {
    let all = expected.keys().chain(ours.keys().filter(|key| !expected.contains_key(*key)));
    let row = |rows: &BTreeMap<String, String>, key| rows.get(key).map_or("missing".to_owned(), String::clone);
    let rows = all.map(|key| (key, row(expected, key), row(ours, key)));
    rows.filter(|(_, theirs, ours)| theirs != ours).map(|(key, a, b)| format!("{key}: {a}, but we say {b}")).collect()
}
