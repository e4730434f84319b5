//! A wall clock that a test can set, for one process.

use super::process::succeed;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A clock with an adjustable offset.
pub struct FalseClock {
    library: PathBuf,
    offset: PathBuf,
}

impl FalseClock {
    /// A clock that is right until it is set. Requires a C compiler, as the build does.
    pub fn new(folder: &Path) -> Self {
        let (source, library) = (folder.join("false_clock.c"), folder.join("false_clock.so"));
        fs::write(&source, include_str!("false_clock.c")).expect("a test's folder is writable");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        succeed(&mut compile, Duration::from_secs(60));
        let clock = FalseClock { library, offset: folder.join("false_clock") };
        clock.set(0);
        clock
    }

    /// Makes the process of this command use the clock.
    pub fn for_command(&self, mut command: Command) -> Command {
        command.envs(self.environment());
        command
    }

    /// Environment variables that make a process use the clock.
    pub fn environment(&self) -> [(&'static str, &str); 2] {
        [("LD_PRELOAD", text(&self.library)), ("FALSE_CLOCK", text(&self.offset))]
    }

    /// Sets how far it is ahead, seconds; negative for behind.
    pub fn set(&self, ahead_s: i64) {
        // Atomically: a partly written file would be yet another time.
        let new = self.offset.with_extension("new");
        fs::write(&new, ahead_s.to_string()).expect("a test's folder is writable");
        fs::rename(&new, &self.offset).expect("a test's folder is writable");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a test's folder has a name in UTF-8")
}
