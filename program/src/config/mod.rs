//! The configuration of a program: a file, above it the environment, above both what the command line says.
//!
//! Each source is read by itself, and what it calls by a name of an earlier release gets its present one, so that a source
//! stands above another whichever name each uses. Whatever is wrong is told with its place: the file and the line, the
//! variable, or the argument, and the key as it is written there. An unknown key is an error; one that is like it is suggested.
//!
//! A variable of the environment is called like its key, with a prefix: `ZONEPULSE_LOG__LEVEL` is `log.level`.

mod argument;
mod file;
mod sources;
pub mod values;

pub use argument::Argument;
pub use file::{check_writers, has_secret, read_file};
pub use sources::{Sources, environment};

use zonepulse_renamed::{Renamed, current};

/// What is particular to one program.
#[derive(Debug)]
pub struct Schema {
    /// What the names of its variables begin with, as in `ZONEPULSE_`.
    pub prefix: &'static str,
    /// Whether a variable is the program's, by its name without the prefix in lower case.
    pub is_variable: fn(&str) -> bool,
    /// Keys whose value must not be shown, and is text whatever it looks like.
    pub secrets: &'static [&'static str],
    /// Keys whose value is a path. On the command line it may start from the current directory.
    pub paths: &'static [&'static str],
    /// What had another name in an earlier release.
    pub renamed: &'static [Renamed],
}

impl Schema {
    /// Whether a key, under whichever name, is a secret.
    fn is_secret(&self, key: &str) -> bool {
        self.secrets.contains(&current(key, self.renamed).as_str())
    }

    /// Whether a key, under whichever name, is a path.
    fn is_path(&self, key: &str) -> bool {
        self.paths.contains(&current(key, self.renamed).as_str())
    }

    /// A key as a variable.
    fn variable(&self, key: &str) -> String {
        format!("{}{}", self.prefix, key.to_uppercase().replace('.', "__"))
    }
}
