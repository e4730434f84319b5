//! `zonepulse-probe`: arguments, a command, an exit code.

use clap::Parser;
use std::process::ExitCode;
use zonepulse_probe::Error;
use zonepulse_probe::command::{LogArgs, doctor, enroll, replay, resend, run, tally};

/// Counts DNS queries and responses of this server by record, and sends the totals to Zonepulse.
#[derive(Debug, Parser)]
#[command(name = "zonepulse-probe", version)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(run::Args),
    Enroll(enroll::Args),
    Tally(tally::Args),
    Replay(replay::Args),
    Resend(resend::Args),
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    zonepulse_private::set_umask();
    zonepulse_probe::memory::restrain_allocator();
    zonepulse_net::tls::install_provider();
    let cli = Cli::parse();
    match dispatch(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("zonepulse-probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Error> {
    match &cli.command {
        Command::Run(args) => run::run(args, cli.log),
        Command::Replay(args) => replay::run(args, cli.log),
        Command::Resend(args) => resend::run(args, cli.log),
        Command::Doctor(args) => doctor::run(args, cli.log),
        Command::Enroll(args) => {
            cli.log.start(&Default::default());
            enroll::run(args)
        }
        Command::Tally(args) => {
            cli.log.start(&Default::default());
            tally::run(args)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_from_1_to_65535() {
        let tally = |port: &str| Cli::try_parse_from(["zonepulse-probe", "tally", "--port", port, "-"]);
        for port in ["0", "65536", "dns"] {
            let said = tally(port).unwrap_err().to_string();
            assert!(said.contains(&format!("'{port}'")) && said.contains("--port"), "{said}");
        }
        assert!(tally("1").is_ok() && tally("65535").is_ok());
    }
}
