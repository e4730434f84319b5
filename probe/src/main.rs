//! `zonepulse-probe`: arguments, a command, an exit code.

use clap::Parser;
use std::process::ExitCode;
use zonepulse_probe::command::Arguments;

fn main() -> ExitCode {
    zonepulse_private::set_umask();
    zonepulse_probe::memory::restrain_allocator();
    zonepulse_net::tls::install_provider();
    Arguments::parse().run().unwrap_or_else(|error| {
        eprintln!("zonepulse-probe: {error}");
        ExitCode::FAILURE
    })
}
