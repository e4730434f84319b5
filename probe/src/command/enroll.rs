//! `zonepulse-probe enroll`.

use crate::Error;
use crate::enroll::{self, Order, Outcome};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_net::tls::Fingerprint;
use zonepulse_private::Secret;

/// Makes this machine known to a central: asks it with a token that is good for once, and writes
/// the configuration and the tokens that it gives.
///
/// It prompts for the token, or reads it from standard input or a file. Every user of this machine could
/// see it as an argument.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The central's address, as in https://central.example:8053.
    url: String,
    /// `-`, or nothing, to prompt for the enrolment token or read it from standard input. The token itself
    /// is deprecated here.
    #[arg(conflicts_with = "token_file")]
    token: Option<Secret>,
    /// Read the enrolment token from the first line of this file, which only its owner may read; `-` is
    /// standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The configuration to write; the tokens go into files beside it.
    #[arg(long, value_name = "FILE", default_value = "/etc/zonepulse-probe/probe.toml")]
    config: PathBuf,
    /// The only authorities to trust (PEM), instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The SHA-256 of the only authority to trust, which the central then sends with its certificate; it is kept
    /// beside the configuration. Printed by `openssl x509 -in ca.pem -noout -fingerprint -sha256`.
    #[arg(long, value_name = "HEX", conflicts_with = "ca_file")]
    ca_sha256: Option<Fingerprint>,
    /// Where batches are to wait until they are delivered.
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Replace the credentials of another enrolment. The configuration keeps its comments and all other settings.
    #[arg(long)]
    force: bool,
}

/// Enrols, and says what was done and what is next.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let token = token(args)?;
    let order = Order {
        url: args.url.clone(),
        token,
        config: args.config.clone(),
        ca_file: args.ca_file.clone(),
        ca_sha256: args.ca_sha256,
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
    if outcome.is_renewed {
        println!("Where the probe is running, have it read the configuration again instead:");
        println!("  kill -HUP \"$(pidof zonepulse-probe)\"");
    }
}

fn token(args: &Args) -> Result<Secret, Error> {
    let given = match (&args.token, &args.token_file) {
        (Some(token), _) if token.reveal() != "-" => {
            tracing::warn!(
                "every user of this machine can see the enrolment token in the arguments: leave it out to be prompted, \
                 or use standard input or --token-file; the next release will refuse it here"
            );
            token.clone()
        }
        (None, Some(file)) if file != Path::new("-") => zonepulse_private::secret_from_file(file)?,
        _ => zonepulse_private::secret_from_stdin("Enrolment token")?,
    };
    match given.reveal().trim() {
        "" => Err(Error::Config { place: "the enrolment token".into(), detail: "is empty: the central gives one".into() }),
        token => Ok(Secret::new(token)),
    }
}
