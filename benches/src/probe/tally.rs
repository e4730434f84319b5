//! `zonepulse-probe tally`, run on the corpus's port, and what it prints.

use std::path::Path;
use std::process::Command;
use zonepulse_tests::process::program_command;
use zonepulse_tests::sums;

pub const PORT: u16 = 5533;

/// `tally` of a file, on the corpus's port.
pub fn tally(file: &Path) -> impl Fn() -> Command + 'static {
    let file = file.to_owned();
    move || {
        let mut command = program_command("zonepulse-probe");
        command.args(["tally", "--port", &PORT.to_string()]).arg(&file);
        command
    }
}

/// Sum of the hits in a tally.
pub fn hits(tally: &str) -> u64 {
    sums::of_tally(tally).values().sum()
}
