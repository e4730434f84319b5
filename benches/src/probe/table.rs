//! Programs side by side: the same work, in turn, several times.

use crate::measure::{self, Memory};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program and the work it is given.
pub struct Contestant {
    /// How the table calls it.
    pub name: &'static str,
    /// Makes the command; its output is printed, or stands in the folder it is given.
    pub command: Box<dyn Fn(&Path) -> Command>,
    /// How many messages it found, by its output and what it wrote into the folder; `None` for a program that looks for none.
    pub found: fn(&str, &Path) -> Option<u64>,
    /// How many messages it is given.
    pub messages: u64,
    /// How often it runs.
    pub rounds: usize,
}

/// What a program took.
pub struct Row {
    name: &'static str,
    messages: u64,
    found: Option<u64>,
    memory: Memory,
    /// CPU seconds, least first.
    cpu_s: Vec<f64>,
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    folders.any(|folder| folder.join(program).is_file())
}

/// Runs every program once to look at what it finds and takes of memory, and then all of them in turn,
/// so that whatever else the machine does meets each of them.
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

/// Prints rows as a table of Markdown; the first is the one that the others are held against.
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

    /// Messages per CPU second: of the best run, because what another takes longer is somebody else's doing.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.best_s()
    }
}
