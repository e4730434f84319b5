//! Programs side by side: the same work, in turn, several times.

use crate::measure::{self, Memory};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Number of runs of a program.
pub const ROUNDS: usize = 7;
/// Number of runs of a program that takes long.
pub const FEW_ROUNDS: usize = 3;

/// A program and its work.
pub struct Contestant {
    /// Its name in the table.
    pub name: &'static str,
    /// Creates the command. Its output is captured, or written to the directory it is given.
    pub command: Box<dyn Fn(&Path) -> Command>,
    /// The number of messages found, from its output and what it wrote to the directory; `None` if
    /// it does not count.
    pub found: fn(&str, &Path) -> Option<u64>,
    /// The number of messages in its input.
    pub messages: u64,
    /// The number of runs.
    pub rounds: usize,
}

/// The measurements of a program.
pub struct Row {
    name: &'static str,
    messages: u64,
    found: Option<u64>,
    memory: Memory,
    /// CPU seconds, in ascending order.
    cpu_s: Vec<f64>,
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    folders.any(|folder| folder.join(program).is_file())
}

/// Runs each program once to check its result and memory, and then all of them in turn, so that
/// other load on the machine affects each of them.
pub fn compare(contestants: &[Contestant], folder: &Path) -> Vec<Row> {
    let mut rows: Vec<Row> = contestants.iter().map(|contestant| contestant.first_row(folder)).collect();
    let most = contestants.iter().map(|contestant| contestant.rounds).max().unwrap_or(0);
    for round in 0..most {
        for (contestant, row) in contestants.iter().zip(&mut rows).filter(|(contestant, _)| round < contestant.rounds) {
            row.cpu_s.push(measure::run((contestant.command)(folder)).cpu_s);
        }
    }
    rows.iter_mut().for_each(|row| row.cpu_s.sort_by(f64::total_cmp));
    rows
}

/// Prints rows as a Markdown table; the first is the reference for the others.
pub fn print(rows: &[Row]) {
    println!(
        "| program | k messages per CPU second | CPU seconds: best, median, worst of | ratio | RSS MiB | of it RssAnon | messages found |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let ours = rows.first().map_or(0.0, Row::rate);
    for row in rows {
        let found = match row.found {
            None => "-".to_owned(),
            Some(found) if found == row.messages => format!("all {found}"),
            Some(found) => format!("{found} of {}", row.messages),
        };
        println!(
            "| {} | {:.0} | {:.3}, {:.3}, {:.3} of {} | {:.2} | {:.1} | {:.1} | {found} |",
            row.name,
            row.rate() / 1000.0,
            row.best_s(),
            row.cpu_s.get(row.cpu_s.len() / 2).unwrap_or(&f64::NAN),
            row.cpu_s.last().unwrap_or(&f64::NAN),
            row.cpu_s.len(),
            ours / row.rate(),
            row.memory.resident_kib as f64 / 1024.0,
            row.memory.anonymous_kib as f64 / 1024.0,
        );
    }
    println!();
}

impl Contestant {
    fn first_row(&self, folder: &Path) -> Row {
        let output = folder.join("output");
        let memory = measure::run_and_look((self.command)(folder), &output);
        let text = fs::read(&output).expect("its output is there");
        let found = (self.found)(&String::from_utf8_lossy(&text), folder);
        Row { name: self.name, messages: self.messages, found, memory, cpu_s: Vec::new() }
    }
}

impl Row {
    fn best_s(&self) -> f64 {
        self.cpu_s.first().copied().unwrap_or(f64::NAN)
    }

    /// Messages per CPU second of the best run, since longer times are caused by other programs.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.best_s()
    }
}
