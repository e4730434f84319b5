//! The program's subcommands.

pub mod tally;
