//! 1,380,000 messages through all real components: each of 33,787 sums is right.

use libtest_mimic::Trial;
use std::time::Duration;
use zonepulse_fixtures::Corpus;
use zonepulse_tests::api::{ALL_TIME, number, text};
use zonepulse_tests::needs::{corpus, test_with};
use zonepulse_tests::probe::{Settings, tally};
use zonepulse_tests::sums::{self, Sums, assert_equal, truth};
use zonepulse_tests::{Api, Central, Probe, RabbitMq, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("a_whole_capture_through_rabbitmq_gives_the_true_sums", corpus, through_rabbitmq),
        test_with("a_whole_capture_over_http_gives_the_true_sums", corpus, over_http),
        test_with("tally_of_a_whole_capture_gives_the_true_sums", corpus, by_tally),
    ]
}

fn sums_of_api(api: &Api) -> Sums {
    let rows = api.all_rows("dns/aggregate", &[("by", "action"), ("sort", "host,type,action")]);
    let key = |row: &_| (text(row, "host").to_owned(), text(row, "type").to_owned(), text(row, "action").to_owned());
    let sums: Sums = rows.iter().map(|row| (key(row), number(row, "hits"))).collect();
    assert_eq!(sums.len(), rows.len(), "a record is in the answer twice");
    sums
}

/// Checks that every message that the probe saw is in a row or in a counter, and nothing was lost.
fn assert_nothing_lost(api: &Api) {
    let mut hits = 0;
    for row in api.all_rows("dns/coverage", &[ALL_TIME]) {
        assert_eq!(number(&row, "messages_seen"), number(&row, "hits") + number(&row, "not_counted"), "{row:?}");
        assert_eq!((number(&row, "not_counted"), number(&row, "batches_evicted")), (0, 0), "{row:?}");
        hits += number(&row, "hits");
    }
    assert_eq!(hits, 1_380_000);
}

fn through_rabbitmq(corpus: Corpus) {
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&["whole"], &broker.url(), "whole");
    let probe = Probe::new(&Settings { port: 5533, ..Settings::amqp(&central, 0, &broker, "whole") });
    probe.replay(&corpus.queries_5533());
    let api = central.api();
    eventually("every batch is committed", Duration::from_secs(60), || {
        let hits: u64 = api.all_rows("dns/coverage", &[ALL_TIME]).iter().map(|row| number(row, "hits")).sum();
        (hits >= 1_380_000).then_some(())
    });
    assert_equal(&sums_of_api(&api), &truth(&corpus));
    assert_nothing_lost(&api);
}

fn over_http(corpus: Corpus) {
    let central = Central::start(&["whole"]);
    let probe = Probe::new(&Settings { port: 5533, ..Settings::http(&central, 0) });
    probe.replay(&corpus.queries_5533());
    let api = central.api();
    assert_equal(&sums_of_api(&api), &truth(&corpus));
    assert_nothing_lost(&api);
}

fn by_tally(corpus: Corpus) {
    let output = tally(&["--port".as_ref(), "5533".as_ref(), corpus.queries_5533().as_ref()], Duration::from_secs(120));
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_equal(&sums::of_tally(&output.out), &truth(&corpus));
}
