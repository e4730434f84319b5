//! A program's configuration: a file, overridden by the environment, and both by the command line.
//!
//! Each source is read separately, and names from an earlier release are replaced by the present
//! ones, so that precedence does not depend on which names the sources use. Errors give the
//! location: the file and line, the variable, or the argument, with the key as written there. An
//! unknown key is an error, which suggests a similar one.
//!
//! Environment variables are named after keys, with a prefix: `ZONEPULSE_LOG__LEVEL` is
//! `log.level`.

mod argument;
mod file;
mod sources;
pub mod values;

pub use argument::Argument;
pub use file::{check_writers, has_secret, read_file};
pub use sources::{Sources, environment};

use zonepulse_renamed::{Renamed, current};

/// What is specific to a program.
#[derive(Debug)]
pub struct Schema {
    /// The prefix of its environment variables, as in `ZONEPULSE_`.
    pub prefix: &'static str,
    /// Whether a variable belongs to the program, given its lower-case name without the prefix.
    pub is_variable: fn(&str) -> bool,
    /// Keys whose values must not be shown, and are always text.
    pub secrets: &'static [&'static str],
    /// Keys whose values are paths. On the command line they may be relative to the current
    /// directory.
    pub paths: &'static [&'static str],
    /// What was renamed since an earlier release.
    pub renamed: &'static [Renamed],
}

impl Schema {
    /// Whether a key, by old or new name, is a secret.
    fn is_secret(&self, key: &str) -> bool {
        self.secrets.contains(&current(key, self.renamed).as_str())
    }

    /// Whether a key, by old or new name, is a path.
    fn is_path(&self, key: &str) -> bool {
        self.paths.contains(&current(key, self.renamed).as_str())
    }

    /// The environment variable of a key.
    fn variable(&self, key: &str) -> String {
        format!("{}{}", self.prefix, key.to_uppercase().replace('.', "__"))
    }
}
