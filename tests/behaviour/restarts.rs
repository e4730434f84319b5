//! A restart of the central preserves its knowledge.

use libtest_mimic::Trial;
use std::time::Duration;
use zonepulse_tests::api::Row;
use zonepulse_tests::batches::{REQUEST, batch, point, response, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::process::{program_command, run};
use zonepulse_tests::{Api, Central, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("after_a_clean_end_every_answer_is_the_same", || same_answers(Central::stop)),
        test("after_sigkill_every_answer_is_the_same", || same_answers(Central::kill)),
        test("a_folder_has_one_central_at_a_time", one_at_a_time),
        test("an_address_that_is_taken_is_named", address_taken),
    ]
}

fn answers(api: &Api) -> Vec<Vec<Row>> {
    let sort = ("sort", "server_id,host,type,action");
    vec![
        api.rows("dns/raw", &[("sort", "time,server_id,host,type,action,rcode")]),
        api.rows("dns/aggregate", &[("by", "server,action"), sort]),
        api.rows("dns/aggregate", &[("interval", "5m"), ("by", "record"), ("sort", "time,host,type")]),
        api.rows("dns/coverage", &[("sort", "time,server_id,seq")]),
    ]
}

fn same_answers(end: fn(&mut Central)) {
    let mut central = Central::start(&["one", "two"]);
    let start_s = unix_ms() / 60_000 * 60 - 1200;
    for (n, server) in central.servers.iter().enumerate() {
        for seq in 0..10 {
            let points = [
                point("www.example.", "A", REQUEST, 3 + seq, 1_000),
                point("www.example.", "A", response("NOERROR"), 2, 2_000),
                point(&format!("host-{seq}.example."), "AAAA", response("NXDOMAIN"), 1, 59_999),
            ];
            send(&central.api_of_server(n), &batch(server.id, 1, seq, start_s + 60 * seq, &points));
        }
    }
    let before = answers(&central.api());
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>()[0], 60, "two servers, ten minutes, three points");
    end(&mut central);
    central.start_again();
    assert_eq!(answers(&central.api()), before);
    central.stop();
    central.check();
}

fn one_at_a_time() {
    let central = Central::start(&[]);
    let mut second = program_command("zonepulse");
    second.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(central.data());
    let output = run(&mut second, Duration::from_secs(30));
    assert_ne!(output.code, Some(0));
    assert!(output.err.contains(&central.data().display().to_string()), "the folder is named: {}", output.err);
    assert!(!output.err.contains("panicked"), "{}", output.err);
    assert!(central.api().healthy());
}

fn address_taken() {
    let central = Central::start(&[]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let address = central.url().trim_start_matches("http://").to_owned();
    let mut second = program_command("zonepulse");
    second.args(["serve", "--listen", &address, "--data"]).arg(folder.path());
    let output = run(&mut second, Duration::from_secs(30));
    assert_ne!(output.code, Some(0));
    assert!(output.err.contains(&address), "the address is named: {}", output.err);
}
