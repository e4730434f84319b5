use super::*;
use crate::services::sample::MAX_COUNTERS;

/// Of Knot DNS 3.2.6 with mod-stats, mod-cookies and mod-rrl, after five queries.
const ANSWER: &[u8] = include_bytes!("../../tests/answers/knot.bin");

fn item(code: u8, text: &str) -> Vec<u8> {
    [&[code][..], &(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A unit of data.
fn unit(items: &[(u8, &str)]) -> Vec<u8> {
    std::iter::once(vec![DATA]).chain(items.iter().map(|(code, text)| item(*code, text))).collect::<Vec<_>>().concat()
}

fn counter(section: &str, item: &str, label: &str, value: &str) -> Vec<u8> {
    unit(&[(SECTION, section), (ITEM, item), (IDENTIFIER, label), (VALUE, value)])
}

/// The counters of an answer of these units.
fn counters(units: &[Vec<u8>]) -> Vec<(String, String, u64)> {
    let sample = parse([units.concat(), vec![BLOCK]].concat().as_slice()).unwrap();
    sample.counters.into_iter().map(|((metric, label), total)| (metric.into_owned(), label, total)).collect()
}

#[test]
fn the_question_is_a_command_a_block_and_the_end() {
    assert_eq!(QUESTION, [&[DATA][..], &item(16, "stats"), &[BLOCK, END]].concat());
}

#[test]
fn counters_are_those_in_knot_s_answer() {
    let sample = parse(ANSWER).unwrap();
    let gauges: Vec<_> = sample.gauges.iter().map(|gauge| (gauge.metric.as_ref(), gauge.label.as_ref(), gauge.value)).collect();
    assert_eq!(gauges, [("knot_zones", "", 1.0)]);
    let told: Vec<_> = sample.counters.iter().map(|((metric, label), total)| (metric.as_ref(), label.as_str(), *total)).collect();
    let expected = [
        ("knot_cookies_dropped_per_s", "", 0),
        ("knot_cookies_presence_per_s", "", 0),
        ("knot_edns_presence_per_s", "request", 1),
        ("knot_edns_presence_per_s", "response", 1),
        ("knot_query_size_per_s", "16-31", 4),
        ("knot_query_size_per_s", "32-47", 1),
    ];
    assert_eq!(told.get(..6), Some(&expected[..]), "{told:?}");
    let expected = [
        ("knot_request_bytes_per_s", "query", 151),
        ("knot_request_protocol_per_s", "tcp4", 1),
        ("knot_request_protocol_per_s", "udp4", 4),
        ("knot_response_bytes_per_s", "reply", 320),
        ("knot_response_code_per_s", "NOERROR", 3),
        ("knot_response_code_per_s", "NXDOMAIN", 1),
        ("knot_response_code_per_s", "REFUSED", 1),
        ("knot_rrl_dropped_per_s", "", 0),
        ("knot_rrl_slipped_per_s", "", 0),
        ("knot_server_operation_per_s", "query", 5),
    ];
    for counter in expected {
        assert!(told.contains(&counter), "{counter:?} is not in {told:?}");
    }
    assert!(told.iter().all(|(metric, ..)| is_metric(metric)));
}

#[test]
fn an_answer_ends_with_its_block_although_the_connection_remains_open() {
    let mut answer = [ANSWER, b"more"].concat();
    assert_eq!(parse(answer.as_slice()), parse(ANSWER));
    answer.truncate(ANSWER.len() - 1);
    assert_eq!(parse(answer.as_slice()), Err(Problem::new("its answer is incomplete")));
}

#[test]
fn every_prefix_of_an_answer_is_incomplete() {
    for length in 0..ANSWER.len() {
        assert_eq!(parse(&ANSWER[..length]), Err(Problem::new("its answer is incomplete")), "{length}");
    }
}

#[test]
fn what_is_no_counter_is_left_out() {
    let units = [
        counter("mod-stats", "response-code", "NOERROR", "1"),
        counter("mod-stats", "response-code", "NOERROR", "2"),
        counter("mod-stats", "response-code", "a b", "1"),
        counter("mod-stats", "response-code", "NXDOMAIN", "-1"),
        counter("mod-stats", "response-code", "REFUSED", "18446744073709551616"),
        counter("mod-stats", "Response", "x", "1"),
        counter("mod-stats", &"x".repeat(80), "x", "1"),
        counter("mod-stats", "long", &"x".repeat(300), "1"),
        unit(&[(SECTION, "mod-stats"), (VALUE, "1")]),
        unit(&[(30, "of another version"), (SECTION, "xdp"), (ITEM, "tx"), (VALUE, "3")]),
        vec![DATA],
    ];
    let counter = |metric: &str, label: &str, total| (metric.to_owned(), label.to_owned(), total);
    assert_eq!(counters(&units), [counter("knot_response_code_per_s", "NOERROR", 1), counter("knot_xdp_tx_per_s", "", 3)]);
}

#[test]
fn an_answer_that_cannot_be_used_says_why() {
    let refused = |answer: &[u8]| parse(answer).unwrap_err().to_string();
    assert_eq!(refused(&[unit(&[(ERROR, "not\nallowed")]), vec![BLOCK]].concat()), "it refused: notallowed");
    assert_eq!(refused(b"{\"result\":0}"), "its answer is not that of Knot DNS");
}

#[test]
fn an_answer_is_bounded() {
    let many: Vec<_> = (0..=MAX_COUNTERS).map(|at| counter("m", "c", &at.to_string(), "1")).collect();
    assert_eq!(
        parse([many.concat(), vec![BLOCK]].concat().as_slice()).unwrap_err().to_string(),
        "its answer has too many counters"
    );
    let endless = std::io::repeat(DATA);
    assert_eq!(parse(endless).unwrap_err().to_string(), "its answer is too long");
}
