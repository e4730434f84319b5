//! A key and its value from the command line.

use super::SCHEMA;
use std::str::FromStr;
use zonepulse_program::config;

/// `KEY=VALUE`, as in `capture.device=eth0`; overrides the file and the environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument(pub(super) config::Argument);

impl FromStr for Argument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        config::Argument::parse(text, &SCHEMA).map(Argument)
    }
}
