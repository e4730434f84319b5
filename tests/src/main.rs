//! Everything that crosses a crate, tested on the real parts: the two programs
//! as they are built, RabbitMQ, Knot, dnsperf, libpcap.
//!
//! One module of [`behaviour`] per behaviour; [`harness`] starts the parts on
//! private ports and in folders of their own, and stops them whatever happens.
//! A test that needs what this machine does not have (the corpus, the right to
//! capture) is reported as ignored, with the reason.

mod behaviour;
mod harness;

use libtest_mimic::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = harness::supervisor::supervise() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Most of these tests wait for others: for a broker to start, an interval to end.
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, behaviour::all()).exit_code()
}
