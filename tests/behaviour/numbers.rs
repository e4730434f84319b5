//! Numbers that no probe can have counted, and times that no correct clock shows: whoever sends
//! them harms no one else, and themselves only briefly.

use libtest_mimic::Trial;
use zonepulse_tests::api::{ALL_TIME, number, text};
use zonepulse_tests::batches::{REQUEST, batch, encode, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Central, unix_ms};
use zonepulse_wire::{Batch, Counters, Coverage};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_number_past_its_bound_is_refused_by_name_and_spoils_nothing", past_bounds),
        test("a_batch_of_the_future_is_kept_by_its_bringer_until_its_time_has_come", of_the_future),
        test("gaps_and_epochs_that_a_probe_makes_up_cost_no_other_server_anything", made_up),
    ]
}

const EPOCH: u64 = 7;

fn minute_s() -> u64 {
    unix_ms() / 60_000 * 60
}

fn one_hit(id: u32, seq: u64, start_s: u64) -> Batch {
    batch(id, EPOCH, seq, start_s, &[point("a.example.", "A", REQUEST, 1, 0)])
}

fn at(batch: Batch, start_s: u64) -> Batch {
    let coverage = Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 };
    Batch { start_s, coverage, ..batch }
}

fn past_bounds() {
    let mut central = Central::start(&["absurd", "small"]);
    let (absurd, id) = (central.api_of_server(0), central.servers[0].id);
    let start_s = minute_s() - 120;
    send(&absurd, &one_hit(id, 0, start_s));
    send(&central.api_of_server(1), &batch(central.servers[1].id, 1, 0, start_s, &[point("a.example.", "A", REQUEST, 4, 0)]));
    let refused: [(&str, Batch); 5] = [
        ("sequence number", one_hit(id, u64::MAX, start_s)),
        ("hits", batch(id, EPOCH, 1, start_s, &[point("a.example.", "A", REQUEST, u64::MAX, 0)])),
        ("hits", batch(id, EPOCH, 1, start_s, &[point("a.example.", "A", REQUEST, 1 << 41, 0)])),
        ("start", at(one_hit(id, 1, 0), 1_099_511_627_760)),
        ("start", at(one_hit(id, 1, 0), 253_402_300_800)),
    ];
    for (what, mut batch) in refused {
        batch.counters = Counters::new();
        let response = absurd.post_batch(encode(&batch));
        assert_eq!(response.status, 400, "{what}: {}", response.text());
        assert!(response.problem("detail").contains(what), "{what}: {}", response.text());
    }
    central.stop();
    central.check();
    central.start_again();
    // The epoch continues after the restart, and the other server's hits are unchanged.
    send(&central.api_of_server(0), &one_hit(id, 1, start_s));
    let rows = central.api().rows("dns/aggregate", &[]);
    assert_eq!(rows.iter().map(|row| number(row, "hits")).collect::<Vec<_>>(), [6]);
    assert_eq!(central.api().rows("dns/coverage", &[ALL_TIME]).len(), 3);
}

fn of_the_future() {
    let central = Central::start(&["ahead"]);
    let (api, id) = (central.api_of_server(0), central.servers[0].id);
    let now_s = minute_s();
    for ahead_s in [3600, 86_400, 86_400 * 365 * 70] {
        let response = api.post_batch(encode(&at(one_hit(id, 1, 0), now_s + ahead_s)));
        assert_eq!(response.status, 503, "{}", response.text());
        assert!(response.header("retry-after").is_some());
        assert!(response.problem("detail").contains("ahead of the central's clock"), "{}", response.text());
    }
    // Within the tolerance, and with the number that was refused before.
    send(&api, &at(one_hit(id, 1, 0), now_s + 300));
    send(&api, &one_hit(id, 2, now_s - 60));
    assert_eq!(number(&central.api().rows("dns/aggregate", &[])[0], "hits"), 2);
    let answers = central.api().rows("dns/coverage", &[ALL_TIME, ("date_to", "253402300799")]);
    assert!(answers.iter().all(|row| text(row, "time").starts_with("20")), "{answers:?}");
}

fn made_up() {
    let mut central = Central::start(&["hostile", "honest"]);
    let (hostile, id) = (central.api_of_server(0), central.servers[0].id);
    let (honest, other) = (central.api_of_server(1), central.servers[1].id);
    let start_s = minute_s() - 600;
    send(&honest, &one_hit(other, 0, start_s));
    // A gap with every batch: more than a marker can store.
    let numbers: Vec<u64> = (0..400u64).map(|number| number << 40).collect();
    numbers.iter().for_each(|seq| send(&hostile, &one_hit(id, *seq, start_s)));
    central.stop();
    central.check();
    central.start_again();
    let (hostile, honest) = (central.api_of_server(0), central.api_of_server(1));
    for seq in &numbers {
        let status = hostile.post_batch(encode(&one_hit(id, *seq, start_s))).status;
        assert!([204, 400].contains(&status), "{status}");
    }
    // A potential copy is refused for good, with a reason.
    let response = hostile.post_batch(encode(&one_hit(id, 1, start_s)));
    assert_eq!(response.status, 400, "{}", response.text());
    assert!(response.problem("detail").contains("comes too late"), "{}", response.text());
    // Another server's copies are recognised, and its batches are accepted.
    send(&honest, &one_hit(other, 0, start_s));
    send(&honest, &one_hit(other, 1, start_s));
    let by_server = central.api().rows("dns/aggregate", &[("by", "server"), ("sort", "server_id")]);
    assert_eq!(by_server.iter().map(|row| number(row, "hits")).collect::<Vec<_>>(), [400, 2]);
}
