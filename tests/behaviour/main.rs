//! The behaviour of all of Zonepulse with real components: the two programs as built, RabbitMQ,
//! Knot, dnsperf, libpcap. One module per behaviour.
//!
//! A test that needs something this machine lacks (the corpus, permission to capture) is reported
//! as ignored, with the reason.

mod attack;
mod backups;
mod blind;
mod broker;
mod broker_credentials;
mod captures;
mod chaos;
mod clocks;
mod components;
mod compression;
mod crashes;
mod credentials;
mod days;
mod devices;
mod differential;
mod dnstap;
mod doctor;
mod door;
mod encrypted;
mod enrolled;
mod exactly_once;
mod exports;
mod filters;
mod first_steps;
mod fleet;
mod formats;
mod full_disk;
mod hostile_sql;
mod idle;
mod large_questions;
mod live;
mod measures;
mod names;
mod numbers;
mod observed;
mod overload;
mod page;
mod parameters;
mod plans;
mod privileges;
mod proxies;
mod public_captures;
mod readme;
mod refusals;
mod replays;
mod restarts;
mod secrets;
mod services;
mod setup;
mod sql;
mod states;
mod system;
mod times;
mod twins;
mod warnings;
mod whole_capture;
mod zones;
mod zones_observation;
mod zones_transfer;
mod zones_verdicts;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = zonepulse_tests::supervisor::supervise() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Most of these tests wait: for a broker to start, or for an interval to end.
    arguments.test_threads.get_or_insert(4);
    libtest_mimic::run(&arguments, all()).exit_code()
}

/// All tests, the longest first so that the others run in parallel.
fn all() -> Vec<Trial> {
    [
        fleet::trials(),
        attack::trials(),
        large_questions::trials(),
        differential::trials(),
        chaos::trials(),
        backups::trials(),
        dnstap::trials(),
        crashes::trials(),
        blind::trials(),
        live::trials(),
        page::trials(),
        observed::trials(),
        zones_verdicts::trials(),
        zones_observation::trials(),
        zones_transfer::trials(),
        twins::trials(),
        devices::trials(),
        states::trials(),
        clocks::trials(),
        privileges::trials(),
        door::trials(),
        doctor::trials(),
        overload::trials(),
        plans::trials(),
        full_disk::trials(),
        broker::trials(),
        hostile_sql::trials(),
        whole_capture::trials(),
        zones::trials(),
        exactly_once::trials(),
        encrypted::trials(),
        components::trials(),
        services::trials(),
        compression::trials(),
        days::trials(),
        proxies::trials(),
        broker_credentials::trials(),
        refusals::trials(),
        replays::trials(),
        restarts::trials(),
        secrets::trials(),
        setup::trials(),
        enrolled::trials(),
        idle::trials(),
        readme::trials(),
        warnings::trials(),
        first_steps::trials(),
        filters::trials(),
        measures::trials(),
        names::trials(),
        numbers::trials(),
        exports::trials(),
        formats::trials(),
        sql::trials(),
        system::trials(),
        times::trials(),
        parameters::trials(),
        credentials::trials(),
        captures::trials(),
        public_captures::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
