//! `zonepulse-probe enroll`.

use crate::Error;
use crate::enroll::{self, Order, Outcome};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_net::tls::Fingerprint;
use zonepulse_private::Secret;

/// Register this machine with a central, using a one-time enrolment token, and write the
/// configuration and tokens that it returns.
///
/// It prompts for the token, or reads it from standard input or a file: as an argument, every user
/// of this machine could see it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The central's URL, as in https://central.example:8053.
    url: String,
    /// `-`, or nothing, to prompt for the enrolment token or read it from standard input. Passing
    /// the token itself is deprecated.
    #[arg(conflicts_with = "token_file")]
    token: Option<Secret>,
    /// Read the enrolment token from the first line of this file, which only its owner may read;
    /// `-` is standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The configuration file to write; token files go next to it.
    #[arg(long, value_name = "FILE", default_value = "/etc/zonepulse-probe/probe.toml")]
    config: PathBuf,
    /// Trust only these certificate authorities (PEM) instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// SHA-256 fingerprint of the only certificate authority to trust. The central then sends that
    /// authority with its certificate, and it is saved next to the configuration. `openssl x509 -in
    /// ca.pem -noout -fingerprint -sha256` prints it.
    #[arg(long, value_name = "HEX", conflicts_with = "ca_file")]
    ca_sha256: Option<Fingerprint>,
    /// Directory for batches that wait for delivery.
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Replace the credentials of another enrolment. The configuration keeps its comments and all
    /// other settings.
    #[arg(long)]
    force: bool,
}

/// Enrols this machine, and prints what was written and what to do next.
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
    println!("Review the configuration (especially [capture]), give the files to the user that the probe runs as, and then:");
    println!("  zonepulse-probe run --config {config} --check-config");
    println!("  zonepulse-probe run --config {config}");
    if outcome.is_renewed {
        println!("If the probe is already running, reload its configuration instead:");
        println!("  kill -HUP \"$(pidof zonepulse-probe)\"");
    }
}

fn token(args: &Args) -> Result<Secret, Error> {
    let given = match (&args.token, &args.token_file) {
        (Some(token), _) if token.reveal() != "-" => {
            tracing::warn!(
                "every user of this machine can see the enrolment token in the arguments: omit it to be prompted, \
                 or use standard input or --token-file; the next release will reject it as an argument"
            );
            token.clone()
        }
        (None, Some(file)) if file != Path::new("-") => zonepulse_private::secret_from_file(file)?,
        _ => zonepulse_private::secret_from_stdin("Enrolment token")?,
    };
    match given.reveal().trim() {
        "" => Err(Error::Config { place: "the enrolment token".into(), detail: "is empty; create one at the central".into() }),
        token => Ok(Secret::new(token)),
    }
}
