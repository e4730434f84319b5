//! `zonepulse-probe enroll`.

use crate::enroll::{self, Order, Outcome};
use crate::{Error, Secret};
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

/// The longest token that is read from standard input, bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// Makes this machine known to a central: asks it with a token that is good for once, and writes
/// the configuration and the tokens that it gives.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The central's address, as in https://central.example:8053.
    url: String,
    /// The enrolment token; `-` reads it from standard input.
    token: String,
    /// The configuration to write; the tokens go into files beside it.
    #[arg(long, value_name = "FILE", default_value = "/etc/zonepulse-probe/probe.toml")]
    config: PathBuf,
    /// The only authorities to trust (PEM), instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Where batches are to wait until they are delivered.
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Overwrite another enrolment.
    #[arg(long)]
    force: bool,
}

/// Enrols, and says what was done and what is next.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let token = if args.token == "-" { read_token()? } else { args.token.clone() };
    let order = Order {
        url: args.url.clone(),
        token: Secret::new(token.trim()),
        config: args.config.clone(),
        ca_file: args.ca_file.clone(),
        spool: args.spool.clone(),
        force: args.force,
    };
    match enroll::enroll(&order) {
        Ok(outcome) => {
            print(&outcome);
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => {
            eprintln!("zonepulse-probe: {refusal}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn print(outcome: &Outcome) {
    println!("Enrolled as server {}, {}. Written:", outcome.server_id, outcome.server);
    for file in &outcome.files {
        println!("  {}", file.display());
    }
    let config = outcome.files.last().map(|file| file.display().to_string()).unwrap_or_default();
    println!(
        "Look through the configuration (what is captured: [capture]), give the files to the user that the probe runs as, and then:"
    );
    println!("  zonepulse-probe run --config {config} --check-config");
    println!("  zonepulse-probe run --config {config}");
}

fn read_token() -> Result<String, Error> {
    let mut token = String::new();
    std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut token).map_err(Error::disk("read", "standard input"))?;
    Ok(token)
}
