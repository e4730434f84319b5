//! `zonepulse`: the central of Zonepulse.

use std::process::ExitCode;
use zonepulse_api::command::Command;
use zonepulse_api::describe;

fn main() -> ExitCode {
    zonepulse_private::set_umask();
    // One TLS provider for the whole program, whatever a library would choose.
    zonepulse_net::tls::install_provider();
    Command::of_arguments().run().unwrap_or_else(|error| {
        eprintln!("zonepulse: {}", describe(&error));
        ExitCode::FAILURE
    })
}
