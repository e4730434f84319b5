//! Reasons over time in heartbeats and batches, with made-up results of looking at sockets.

use super::*;
use look::Server;
use zonepulse_dns::RecordType;
use zonepulse_model::{Identity, ServerId};
use zonepulse_wire::{Counters, Coverage, Records, Row};

const INTERVAL_S: u32 = 60;
/// The start of an interval.
const START_MS: u64 = 1_767_225_600_000;

/// A `Sight`, its clock, and the counts so far.
struct Play {
    sight: Sight,
    began: Instant,
    after_ms: u64,
    totals: Totals,
    elsewhere: Vec<(u16, u32)>,
}

impl Play {
    fn new(source: Counted) -> Play {
        let config = Config { server_id: 1, source: Some(source), ..Config::default() };
        let sight = Sight::default();
        sight.observe(Settings::of(&config));
        let play = Play { sight, began: Instant::now(), after_ms: 0, totals: Totals::default(), elsewhere: Vec::new() };
        play.sight.begin(play.now());
        play
    }

    fn now(&self) -> Moment {
        Moment { steady: self.began + Duration::from_millis(self.after_ms), wall_ms: Some(START_MS + self.after_ms) }
    }

    /// Advances second by second, with this many requests and responses in each.
    fn go_on(&mut self, seconds: u64, (requests, responses): (u64, u64)) {
        for _ in 0..seconds {
            self.after_ms += 1000;
            self.totals.requests += requests;
            self.totals.responses += responses;
            self.sight.turn(self.now(), INTERVAL_S, self.totals, || self.elsewhere.clone());
        }
    }

    fn reasons(&self) -> Vec<BlindReason> {
        self.sight.blind().into_iter().map(|blindness| blindness.reason).collect()
    }

    fn detail(&self) -> String {
        self.sight.blind().first().map(|blindness| blindness.detail.clone()).unwrap_or_default()
    }

    /// Blind milliseconds of a batch with this coverage, milliseconds since the start, and these
    /// messages.
    fn blind_ms(&self, (from_ms, until_ms): (u64, u64), (requests, responses): (u64, u64)) -> u64 {
        let mut records = Records::new();
        let record = records.push("www.example.", RecordType::A);
        let row = |number, hits| {
            let kind = MessageKind::from_number(number).unwrap();
            (hits > 0).then_some(Row { record, kind, hits, first_ms: 0, last_ms: 0 })
        };
        let rows = [row(0, requests), row(1, responses)].into_iter().flatten().collect();
        let mut counters = Counters::new();
        counters.add(Counter::MessagesSeen, requests + responses);
        let coverage = Coverage { from_ms: START_MS + from_ms, until_ms: START_MS + until_ms };
        let identity = Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 };
        let (start_s, interval_s) = (coverage.from_ms / 60_000 * 60, INTERVAL_S);
        let mut batch = Batch { identity, start_s, interval_s, coverage, counters, evicted: None, records, rows };
        self.sight.complete(&mut batch);
        batch.counters.get(Counter::BlindMs)
    }

    fn looked(&self, mismatch: Option<&str>, may_be_redirected: bool) {
        let mismatch = mismatch.map(|detail| Mismatch { detail: detail.into(), may_be_redirected, is_partial: false });
        self.sight.looked(Some((Found::default(), mismatch)), self.now());
    }
}

const MINUTE: (u64, u64) = (0, 60_000);
const SECOND_MINUTE: (u64, u64) = (60_000, 120_000);

#[test]
fn a_probe_that_sees_both_directions_has_no_reason_to_doubt() {
    let mut play = Play::new(Counted::Capture);
    play.looked(None, false);
    play.go_on(61, (10, 10));
    assert_eq!((play.reasons(), play.blind_ms(MINUTE, (600, 600))), (vec![], 0));
}

#[test]
fn without_a_message_for_an_interval_there_is_a_reason_and_the_first_batch_has_it_already() {
    let mut play = Play::new(Counted::Capture);
    play.go_on(59, (0, 0));
    assert_eq!(play.reasons(), []);
    play.go_on(6, (0, 0));
    assert_eq!(play.reasons(), [BlindReason::NoMessage]);
    assert!(play.detail().contains("since listening began at 2026-01-01T00:00:00Z"), "{}", play.detail());
    assert_eq!(play.blind_ms(MINUTE, (0, 0)), 60_000);
    // The first message ends it at once; the interval is blind until then.
    play.go_on(10, (0, 0));
    play.go_on(1, (1, 1));
    assert_eq!(play.reasons(), []);
    assert_eq!(play.blind_ms(SECOND_MINUTE, (1, 1)), 16_000);
    play.go_on(200, (0, 0));
    assert_eq!(play.blind_ms((240_000, 300_000), (0, 0)), 0, "a quiet interval after the first message is blind");
}

#[test]
fn a_look_before_anything_was_counted_finds_no_silence() {
    let play = Play::new(Counted::Capture);
    play.looked(Some("knotd listens on port 5353"), false);
    assert_eq!(play.reasons(), [BlindReason::OtherSockets]);
}

#[test]
fn a_first_interval_without_a_message_is_blind_before_it_is_reported() {
    let mut play = Play::new(Counted::Capture);
    play.go_on(20, (0, 0));
    assert_eq!((play.reasons(), play.blind_ms((0, 20_000), (0, 0))), (vec![], 20_000));
    // The batch contains a message that has not been reported yet.
    assert_eq!(play.blind_ms((20_000, 40_000), (1, 0)), 0);
}

#[test]
fn messages_of_others_and_the_probe_s_own_are_no_message() {
    let play = Play::new(Counted::Capture);
    let blind_ms = |counter| {
        let mut counters = Counters::new();
        counters.add(Counter::MessagesSeen, 2);
        counters.add(counter, 2);
        let coverage = Coverage { from_ms: START_MS, until_ms: START_MS + 60_000 };
        let identity = Identity { server_id: ServerId::new(1), epoch: 1, seq: 0 };
        let (start_s, records) = (START_MS / 1000, Records::new());
        let mut batch = Batch { identity, start_s, interval_s: 60, coverage, counters, evicted: None, records, rows: Vec::new() };
        play.sight.complete(&mut batch);
        batch.counters.get(Counter::BlindMs)
    };
    assert_eq!(NOT_THE_SERVER_S.map(blind_ms), [60_000; 4]);
    assert_eq!(blind_ms(Counter::OpcodeNotify), 0, "a message, although it does not count");
}

#[test]
fn requests_without_responses_are_a_reason_until_there_is_a_response() {
    let mut play = Play::new(Counted::Capture);
    play.go_on(30, (10, 10));
    play.go_on(120, (10, 0));
    assert_eq!(play.reasons(), [BlindReason::NoResponses]);
    assert!(play.detail().starts_with("600 requests in the last minute and no response"), "{}", play.detail());
    // In the minute in which it was detected, it applies since the start of the window.
    assert_eq!(play.blind_ms(SECOND_MINUTE, (600, 0)), 60_000);
    play.go_on(5, (10, 1));
    assert_eq!(play.reasons(), []);
}

#[test]
fn responses_without_requests_are_a_reason() {
    let mut play = Play::new(Counted::Capture);
    play.go_on(11, (0, 10));
    assert_eq!(play.reasons(), [BlindReason::NoRequests]);
    assert_eq!(play.blind_ms(MINUTE, (0, 110)), 60_000);
}

#[test]
fn dnstap_with_only_queries_gets_advice() {
    let mut play = Play::new(Counted::Dnstap);
    play.go_on(15, (10, 0));
    assert_eq!(play.reasons(), [BlindReason::NoResponses]);
    assert!(play.detail().contains("log-responses: on"), "{}", play.detail());
}

#[test]
fn a_batch_with_only_one_direction_is_blind_even_if_unnoticed() {
    let mut play = Play::new(Counted::Capture);
    play.go_on(30, (1, 1));
    for (messages, expected_ms) in [((20, 0), 60_000), ((0, 20), 60_000), ((19, 0), 0), ((2000, 1), 0)] {
        assert_eq!(play.blind_ms(MINUTE, messages), expected_ms, "{messages:?}");
    }
    // Requested just before the interval ended: the responses are in the next one.
    assert_eq!(play.blind_ms((0, 500), (20, 0)), 0);
}

#[test]
fn another_port_is_a_reason_while_it_is_asked() {
    let mut play = Play::new(Counted::Capture);
    play.elsewhere = vec![(5353, 10)];
    play.go_on(10, (1, 1));
    assert_eq!(play.reasons(), [BlindReason::OtherPorts]);
    assert!(play.detail().contains("in the last minute to 5353 (20)"), "{}", play.detail());
    assert!(play.detail().contains("capture.ignored_ports"), "{}", play.detail());
    play.elsewhere.clear();
    play.go_on(65, (1, 1));
    assert_eq!(play.reasons(), []);
}

#[test]
fn another_program_s_port_is_no_reason() {
    let mut play = Play::new(Counted::Capture);
    let server = Server { name: "knotd".into(), certain: Vec::new(), possible: Vec::new() };
    let found = Found { servers: vec![server], independent: 1, are_here: true, here: Vec::new() };
    play.sight.looked(Some((found, None)), play.now());
    play.elsewhere = vec![(5353, 10)];
    play.go_on(10, (1, 1));
    assert_eq!(play.reasons(), []);
}

#[test]
fn with_any_address_a_port_without_a_local_listener_is_a_reason() {
    let mut play = Play::new(Counted::Capture);
    play.elsewhere = vec![(5353, 10)];
    play.looked(None, false);
    play.go_on(10, (1, 1));
    assert_eq!(play.reasons(), [], "nothing listens there");
    let mut config = Config { server_id: 1, ..Config::default() };
    config.capture.addresses = ServerAddresses::Any;
    play.sight.observe(Settings::of(&config));
    play.go_on(5, (1, 1));
    assert_eq!(play.reasons(), [BlindReason::OtherPorts]);
}

#[test]
fn other_sockets_are_a_reason_since_the_last_look_without_a_mismatch() {
    let mut play = Play::new(Counted::Capture);
    play.looked(None, false);
    play.go_on(30, (1, 1));
    play.looked(None, false);
    play.go_on(30, (1, 1));
    play.looked(Some("knotd listens on port 5353"), false);
    assert_eq!((play.reasons(), play.detail()), (vec![BlindReason::OtherSockets], "knotd listens on port 5353".into()));
    assert_eq!(play.blind_ms(MINUTE, (60, 60)), 30_000);
    assert_eq!(play.blind_ms(SECOND_MINUTE, (60, 60)), 60_000, "it still applies");
    play.go_on(10, (1, 1));
    play.looked(None, false);
    assert_eq!(play.reasons(), []);
    assert_eq!(play.blind_ms(SECOND_MINUTE, (60, 60)), 10_000);
}

#[test]
fn ports_that_are_redirected_to_the_server_s_are_no_reason_where_both_directions_are_seen() {
    let mut play = Play::new(Counted::Capture);
    play.looked(Some("knotd listens on port 5353"), true);
    play.go_on(5, (0, 0));
    assert_eq!(play.reasons(), [BlindReason::OtherSockets]);
    play.go_on(5, (1, 1));
    assert_eq!(play.reasons(), []);
}

#[test]
fn reasons_end_with_listening_and_a_new_beginning_has_its_own() {
    let mut play = Play::new(Counted::Dnstap);
    play.go_on(65, (0, 0));
    assert_eq!(play.reasons(), [BlindReason::NoMessage]);
    play.sight.end(play.now());
    assert_eq!(play.reasons(), []);
    assert_eq!(play.blind_ms(SECOND_MINUTE, (0, 0)), 60_000, "a batch that closes later was blind");
    // The same meter continues, and reports messages although the source has stopped.
    play.go_on(3, (5, 5));
    play.sight.begin(play.now());
    play.go_on(65, (0, 0));
    assert_eq!(play.reasons(), [BlindReason::NoMessage]);
}

#[test]
fn after_a_step_present_reasons_count_for_the_whole_interval() {
    let mut play = Play::new(Counted::Capture);
    play.go_on(1, (1, 1));
    play.looked(Some("elsewhere"), false);
    play.go_on(65, (1, 1));
    play.sight.stepped();
    assert_eq!(play.blind_ms(MINUTE, (60, 60)), 60_000);
}

#[test]
fn a_batch_that_covers_nothing_is_never_blind() {
    let play = Play::new(Counted::Capture);
    assert_eq!(play.blind_ms((5000, 5000), (0, 0)), 0);
}

#[test]
fn a_long_detail_is_cut_to_fit_a_heartbeat() {
    let mut play = Play::new(Counted::Capture);
    play.looked(Some(&"é".repeat(2000)), false);
    play.go_on(5, (1, 1));
    assert_eq!(play.detail().len(), 1024);
}

/// The advice for only requests, only responses, or nothing at all, with this device and these
/// addresses.
fn advice(device: &str, addresses: ServerAddresses) -> [String; 3] {
    [(30, 0), (0, 30), (0, 0)].map(|messages| {
        let mut play = Play::new(Counted::Capture);
        let mut config = Config { server_id: 1, ..Config::default() };
        config.capture.device = device.into();
        config.capture.addresses = addresses.clone();
        play.sight.observe(Settings::of(&config));
        play.go_on(65, messages);
        play.detail()
    })
}

#[test]
fn advice_omits_settings_already_in_place() {
    for detail in advice("any", ServerAddresses::Any) {
        assert!(!detail.is_empty() && !detail.contains("capture.device") && !detail.contains("capture.addresses"), "{detail}");
    }
    for detail in advice("any", ServerAddresses::Local) {
        assert!(!detail.contains("capture.device") && detail.contains("capture.addresses"), "{detail}");
    }
    for detail in advice("eth0", ServerAddresses::Any) {
        assert!(detail.contains("capture.device") && !detail.contains("capture.addresses"), "{detail}");
    }
    for detail in advice("eth0", ServerAddresses::Local) {
        assert!(detail.contains("capture.device") && detail.contains("capture.addresses"), "{detail}");
    }
}

#[test]
fn without_responses_the_server_is_doubted_first() {
    for (device, rest) in [
        ("any", "? Or do responses leave from an address that is not in capture.addresses?"),
        (
            "eth0",
            "? Or do responses leave through another device than eth0 (set capture.device = \"any\"), or from an address that is \
             not in capture.addresses?",
        ),
    ] {
        let [detail, ..] = advice(device, ServerAddresses::Local);
        let (first, more) = detail.split_at(detail.find('?').unwrap());
        assert!(first.ends_with("and no response: does the server not answer"), "{detail}");
        assert_eq!(more, rest);
    }
}
