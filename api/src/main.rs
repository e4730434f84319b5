//! `zonepulse`: the central of Zonepulse.

use clap::Parser;
use std::process::ExitCode;
use zonepulse_api::command::Command;

fn main() -> anyhow::Result<ExitCode> {
    Ok(Command::parse().run()?)
}
