//! `zonepulse-probe`: arguments, a command, an exit code.

use clap::Parser;
use std::process::ExitCode;
use zonepulse_probe::Error;
use zonepulse_probe::command::{LogArgs, enroll, replay, resend, run, tally};

/// Counts who asks this server for which DNS record, and sends the sums to Zonepulse.
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
}

fn main() -> ExitCode {
    zonepulse_private::set_umask();
    zonepulse_probe::memory::restrain_allocator();
    zonepulse_probe::tls::install_provider();
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
