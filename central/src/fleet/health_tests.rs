//! Each health from its beginning to its end, with time passed in.

use super::*;
use crate::fleet::Fleet;
use crate::fleet::tests::heartbeat;
use zonepulse_ingest::{PutAside, Refused};
use zonepulse_store::{Options, Store};
use zonepulse_wire::{CaptureState, Components, Heartbeat, SpoolState};

const BEGAN_S: u64 = 1_800_000_000;

/// One server as its heartbeats tell of it. Seconds count from the start of central and probe.
struct Story {
    _dir: tempfile::TempDir,
    store: Store,
    fleet: Fleet,
    evidence: Evidence,
}

fn at_ms(s: u64) -> u64 {
    (BEGAN_S + s) * 1000
}

impl Story {
    fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        store.registry().add_server("ns1", false, None, 0).unwrap();
        Story { fleet: Fleet::new(store.clone(), at_ms(0)).unwrap(), evidence: Evidence::default(), store, _dir: dir }
    }

    /// The central ends, and begins again at this second.
    fn restart_central(&mut self, s: u64) {
        self.fleet.write_all().unwrap();
        self.fleet = Fleet::new(self.store.clone(), at_ms(s)).unwrap();
        self.evidence.delivery = Delivery::default();
    }

    /// Heartbeats at these seconds of the probe that began at 0.
    fn hear(&self, seconds: impl IntoIterator<Item = u64>, change: impl Fn(&mut Heartbeat)) {
        for s in seconds {
            let spool = SpoolState { batches: 0, size_bytes: 0 };
            let mut heartbeat = Heartbeat { uptime_s: s, spool, ..heartbeat(at_ms(s)) };
            change(&mut heartbeat);
            self.fleet.hear(1, heartbeat, None, at_ms(s)).unwrap();
        }
    }

    /// As all is well for three minutes.
    fn well() -> Self {
        let mut story = Story::begin();
        story.hear((0..=180).step_by(30), |_| {});
        story.evidence.delivery.accepted_ms = Some(at_ms(250));
        story
    }

    fn reasons(&mut self, s: u64) -> Vec<Reason> {
        self.evidence.pulse = self.fleet.pulse(1, at_ms(s));
        judge(&self.evidence, at_ms(s))
    }

    fn health(&mut self, s: u64) -> ServerHealth {
        self.reasons(s)[0].health
    }

    /// The text of the worst, which has to be this one.
    fn text(&mut self, s: u64, health: ServerHealth) -> String {
        let reason = self.reasons(s).remove(0);
        assert_eq!(reason.health, health, "{reason:?}");
        reason.text
    }
}

#[test]
fn a_server_is_new_until_its_probe_is_heard() {
    let mut story = Story::begin();
    assert!(story.text(5000, ServerHealth::New).contains("enrol one; make it an enrolment token"));
    story.evidence.enrollment_expires_ms = Some(at_ms(6000));
    assert!(story.text(5000, ServerHealth::New).contains("can be used until 2027-01-15T09:40:00Z"));
    story.hear([5001], |heartbeat| heartbeat.uptime_s = 0);
    assert_eq!(story.health(5002), ServerHealth::Starting);
}

#[test]
fn a_probe_is_starting_until_all_heartbeats_can_have_come_and_is_ok_then() {
    let mut story = Story::begin();
    story.hear([0], |_| {});
    assert!(story.text(1, ServerHealth::Starting).contains("began 1 s ago; heartbeats until now: 1 of 1 that can have come"));
    story.hear([30, 60, 90, 120], |_| {});
    assert_eq!((story.health(121), story.health(126)), (ServerHealth::Starting, ServerHealth::Ok));
}

#[test]
fn a_central_that_has_just_begun_says_that_nothing_was_heard_yet() {
    let mut story = Story::well();
    story.restart_central(600);
    let said = story.text(605, ServerHealth::Starting);
    assert!(
        said.starts_with(
            "the central began 5 s ago, and no heartbeat has come since; the last one before came at 2027-01-15T08:03:00Z"
        ),
        "{said}"
    );
    story.hear([610], |_| {});
    let said = story.text(611, ServerHealth::Starting);
    assert!(said.starts_with("the central began 11 s ago; heartbeats until now: 1 of 1 that can have come"), "{said}");
}

#[test]
fn a_probe_that_has_just_begun_is_told_from_a_central_that_has() {
    let mut story = Story::begin();
    story.hear([5000], |heartbeat| heartbeat.uptime_s = 0);
    assert!(story.text(5003, ServerHealth::Starting).starts_with("its probe began 3 s ago; "));
}

#[test]
fn a_server_is_silent_when_two_heartbeats_are_missing_until_they_are_regular_again() {
    let mut story = Story::well();
    assert_eq!(story.health(214), ServerHealth::Ok, "one may be late");
    let said = story.text(216, ServerHealth::Silent);
    assert!(said.starts_with("3 instead of 5 heartbeats came in 2 minutes, the last one at 2027-01-15T08:03:00Z"), "{said}");
    let said = story.text(400, ServerHealth::Silent);
    assert!(said.starts_with("no heartbeat for 220 s, the last one at ") && said.contains("zonepulse-probe runs"), "{said}");
    story.hear([410, 440, 470], |_| {});
    assert_eq!(story.health(471), ServerHealth::Silent);
    story.hear([500], |_| {});
    assert_eq!(story.health(501), ServerHealth::Ok);
}

#[test]
fn a_silent_server_s_reason_says_what_is_known_of_it() {
    let mut story = Story::well();
    let detail = "this token is unknown, revoked or expired".to_owned();
    let recent = Recent { since_ms: at_ms(200), last_ms: at_ms(390), count: 12, detail };
    let address = IpAddr::from([192, 0, 2, 7]);
    story.evidence.unauthenticated = Some(Unauthenticated { address, is_shared: false, recent });
    let said = story.text(511, ServerHealth::Silent);
    for part in [
        "requests of a probe at its address 192.0.2.7 are refused (the last one at 2027-01-15T08:06:30Z)",
        "unknown, revoked or expired",
        "give that probe",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    story.evidence.pull_failure = Some("connection refused".to_owned());
    assert!(story.text(400, ServerHealth::Silent).contains("cannot collect from it: connection refused"));
}

/// Requests at an address of the server that are refused, the last one at this second.
fn unauthenticated(last_s: u64, is_shared: bool) -> Option<Unauthenticated> {
    let detail = "this token is unknown, revoked or expired".to_owned();
    let recent = Recent { since_ms: at_ms(5), last_ms: at_ms(last_s), count: 13, detail };
    Some(Unauthenticated { address: IpAddr::from([192, 0, 2, 7]), is_shared, recent })
}

#[test]
fn a_server_whose_token_is_refused_is_refused_and_not_silent() {
    let mut story = Story::well();
    story.evidence.unauthenticated = unauthenticated(390, false);
    let reasons = story.reasons(400);
    let [Reason { health: ServerHealth::Refused, since_ms: None, text, .. }] = &reasons[..] else { panic!("{reasons:?}") };
    let said = "requests of a probe at its address 192.0.2.7 are refused (the last one at 2027-01-15T08:06:30Z; nothing of this server was taken since 2027-01-15T08:04:10Z): this token is unknown";
    assert!(text.starts_with(said), "{text}");
}

#[test]
fn a_probe_whose_token_is_refused_and_that_is_no_longer_there_is_silent() {
    let mut story = Story::well();
    story.evidence.unauthenticated = unauthenticated(390, false);
    assert_eq!(story.health(390 + 119), ServerHealth::Refused);
    assert_eq!(story.health(390 + 120), ServerHealth::Silent);
}

#[test]
fn a_server_is_not_ok_from_the_first_refusal_at_its_address_on() {
    let mut story = Story::well();
    story.evidence.delivery.accepted_ms = Some(at_ms(181));
    assert_eq!(story.health(190), ServerHealth::Ok);
    story.evidence.unauthenticated = unauthenticated(190, false);
    assert_eq!(story.health(190), ServerHealth::Refused);
    story.hear([210], |_| {});
    assert_eq!(story.health(211), ServerHealth::Ok, "its token is taken again");
}

#[test]
fn since_when_a_token_is_refused_is_known_when_nothing_was_taken_before() {
    let mut story = Story::begin();
    story.evidence.unauthenticated = unauthenticated(390, false);
    let reason = story.reasons(400).remove(0);
    assert_eq!((reason.health, reason.since_ms), (ServerHealth::Refused, Some(at_ms(5))));
}

#[test]
fn a_refusal_at_an_address_of_several_servers_is_told_only_of_a_silent_one() {
    let mut story = Story::well();
    story.evidence.delivery.accepted_ms = Some(at_ms(181));
    story.evidence.unauthenticated = unauthenticated(190, true);
    assert_eq!(story.health(190), ServerHealth::Ok);
    story.evidence.unauthenticated = unauthenticated(390, true);
    let said = story.text(400, ServerHealth::Silent);
    assert!(said.contains("are refused") && said.contains("several servers have that address: if it is this one's"), "{said}");
}

#[test]
fn a_server_that_was_never_heard_is_new_whatever_is_refused_at_an_address_of_several() {
    let mut story = Story::begin();
    story.evidence.unauthenticated = unauthenticated(390, true);
    assert_eq!(story.health(400), ServerHealth::New);
}

#[test]
fn refusals_at_an_address_are_forgotten_when_a_heartbeat_was_taken_after_them() {
    let mut story = Story::well();
    story.evidence.delivery.accepted_ms = Some(at_ms(20));
    story.evidence.unauthenticated = unauthenticated(179, false);
    let said = story.text(400, ServerHealth::Silent);
    assert!(said.contains("see there whether zonepulse-probe runs") && !said.contains("refused"), "{said}");
}

#[test]
fn refusals_at_an_address_are_forgotten_when_a_batch_was_taken_after_them() {
    let mut story = Story::well();
    story.evidence.unauthenticated = unauthenticated(249, false);
    let said = story.text(400, ServerHealth::Silent);
    assert!(!said.contains("refused"), "{said}");
}

#[test]
fn what_a_probe_sends_when_it_ends_is_no_sign_that_its_batches_arrive() {
    let mut story = Story::well();
    for (accepted_s, arrive) in [(182, false), (215, false), (216, true)] {
        story.evidence.delivery.accepted_ms = Some(at_ms(accepted_s));
        let said = story.text(239, ServerHealth::Silent);
        assert_eq!(said.contains("while its batches arrive"), arrive, "{accepted_s}: {said}");
    }
}

#[test]
fn batches_without_any_heartbeat_are_no_new_server() {
    let mut story = Story::begin();
    story.evidence.delivery.accepted_ms = Some(at_ms(395));
    assert!(story.text(400, ServerHealth::Silent).starts_with("no heartbeat was ever heard, while its batches arrive"));
}

fn refused() -> Refused {
    Refused {
        since_ms: at_ms(100),
        last_ms: at_ms(170),
        count: 2,
        cause: "interval",
        detail: "an interval of 7 s does not divide 300 s".to_owned(),
        of_central: false,
    }
}

#[test]
fn a_server_is_refused_while_its_batches_are_and_says_why() {
    let mut story = Story::well();
    story.evidence.delivery.refused = Some(refused());
    let reason = story.reasons(181).remove(0);
    assert_eq!((reason.health, reason.since_ms), (ServerHealth::Refused, Some(at_ms(100))));
    assert_eq!(reason.text, "its batches are refused (interval, 2 until now): an interval of 7 s does not divide 300 s");
    story.evidence.delivery.refused = None;
    assert_eq!(story.health(182), ServerHealth::Ok);
}

#[test]
fn a_server_is_refused_while_its_heartbeats_are() {
    let mut story = Story::well();
    let detail = "body: hostname is missing".to_owned();
    story.evidence.heartbeats = Some(Recent { since_ms: at_ms(200), last_ms: at_ms(390), count: 7, detail });
    let said: Vec<String> = story.reasons(400).into_iter().map(|reason| format!("{:?} {}", reason.health, reason.text)).collect();
    assert!(
        said[0].starts_with("Silent ") && said[1].starts_with("Refused its heartbeats are refused (7 until now)"),
        "{said:?}"
    );
}

#[test]
fn a_server_is_blind_while_its_probe_says_so() {
    let mut story = Story::well();
    let detail = "knotd listens on port 5353 (UDP, TCP); the probe counts port 53: set capture.ports".to_owned();
    let blind = vec![
        Blindness { reason: BlindReason::OtherSockets, detail: detail.clone() },
        Blindness { reason: BlindReason::NoMessage, detail: String::new() },
    ];
    story.hear([210], |heartbeat| heartbeat.capture.blind.clone_from(&blind));
    let reasons = story.reasons(211);
    assert!(reasons.iter().all(|reason| reason.health == ServerHealth::Blind) && reasons.len() == 2, "{reasons:?}");
    assert_eq!(reasons[0].text, detail);
    assert!(reasons[1].text.contains("no DNS message was seen since the probe began"), "{reasons:?}");
    story.hear([240], |_| {});
    assert_eq!(story.health(241), ServerHealth::Ok);
}

fn stopped(heartbeat: &mut Heartbeat) {
    heartbeat.capture = CaptureState { state: State::Stopped, detail: Some("no such device".to_owned()), blind: Vec::new() };
}

#[test]
fn a_server_whose_dns_messages_are_not_counted_is_blind() {
    let mut story = Story::well();
    story.hear([210], stopped);
    assert_eq!(story.text(211, ServerHealth::Blind), "DNS messages are not being counted: no such device");
    story.hear([240], |_| {});
    assert_eq!(story.health(241), ServerHealth::Ok);
}

#[test]
fn a_probe_that_has_just_begun_and_one_that_shall_not_capture_are_not_blind() {
    let mut story = Story::begin();
    story.hear([1], stopped);
    assert_eq!(story.health(2), ServerHealth::Starting);
    let mut story = Story::well();
    story.evidence.settings.dns_monitoring = false;
    story.hear([210], stopped);
    assert_eq!(story.health(211), ServerHealth::Ok);
}

/// What is waiting at one heartbeat after the other, after three minutes without any.
fn waiting(batches: &[u64]) -> (Story, u64) {
    let story = Story::well();
    let times = (210..).step_by(30);
    let last = times.zip(batches).fold(180, |_, (s, batches)| {
        story.hear([s], |heartbeat| heartbeat.spool = SpoolState { batches: *batches, size_bytes: batches * 100 });
        s
    });
    (story, last + 1)
}

#[test]
fn a_server_is_behind_while_its_waiting_batches_get_more() {
    let (mut story, now_s) = waiting(&[2, 2]);
    assert_eq!(story.health(now_s), ServerHealth::Ok);
    let (mut story, now_s) = waiting(&[2, 2, 4]);
    let reason = story.reasons(now_s).remove(0);
    assert_eq!((reason.health, reason.since_ms), (ServerHealth::Behind, Some(at_ms(210))));
    assert!(reason.text.starts_with("4 batches (400 bytes) wait at its probe, 2 more than at "), "{}", reason.text);
    let (mut story, now_s) = waiting(&[2, 2, 4, 1]);
    assert_eq!(story.health(now_s), ServerHealth::Ok, "they are taken again");
}

#[test]
fn batches_on_their_way_are_no_backlog() {
    for batches in [&[1, 0, 2, 0, 1, 2][..], &[1, 1, 1, 1, 1, 1], &[1, 1, 2], &[0, 0, 2], &[6, 6]] {
        let (mut story, now_s) = waiting(batches);
        assert_eq!(story.health(now_s), ServerHealth::Ok, "{batches:?}");
    }
    // Of an interval of a second some always are.
    let (mut story, now_s) = waiting(&[1, 2, 5]);
    assert_eq!(story.health(now_s), ServerHealth::Behind);
    story.evidence.settings.dns_interval_s = 1;
    assert_eq!(story.health(now_s), ServerHealth::Ok);
}

#[test]
fn a_backlog_that_gets_less_is_behind_until_it_is_small() {
    let (mut story, now_s) = waiting(&[500]);
    assert_eq!(story.health(now_s), ServerHealth::Ok, "it may be gone in a moment");
    let (mut story, now_s) = waiting(&[500, 300]);
    assert!(story.text(now_s, ServerHealth::Behind).starts_with("300 batches (30000 bytes) wait at its probe, and get fewer: "));
    let (mut story, now_s) = waiting(&[500, 300, 5]);
    assert_eq!(story.health(now_s), ServerHealth::Ok);
}

#[test]
fn heartbeats_without_batches_are_behind_until_one_is_taken() {
    let mut story = Story::well();
    story.hear((210..=600).step_by(30), |_| {});
    assert_eq!(story.health(549), ServerHealth::Ok);
    let said = story.text(550, ServerHealth::Behind);
    assert!(said.starts_with("no batch has arrived since 2027-01-15T08:04:10Z, though heartbeats come: its log says"), "{said}");
    story.evidence.settings.communication = Communication::Rabbitmq;
    assert!(story.text(550, ServerHealth::Behind).contains("/readyz"));
    story.evidence.delivery.accepted_ms = Some(at_ms(551));
    assert_eq!(story.health(552), ServerHealth::Ok);
    // A probe that has nothing to send sends nothing.
    story.evidence.delivery.accepted_ms = Some(at_ms(250));
    (story.evidence.settings.dns_monitoring, story.evidence.settings.system_monitoring) = (false, false);
    assert_eq!(story.health(553), ServerHealth::Ok);
}

#[test]
fn a_full_spool_stays_behind() {
    let (mut story, now_s) = waiting(&[900; 30]);
    assert!(story.text(now_s, ServerHealth::Behind).contains("more than 6 since "));
}

#[test]
fn what_was_lost_is_told_with_its_time_and_what_to_do() {
    let mut story = Story::well();
    story.evidence.delivery.put_aside = Some(PutAside { batches: 3, first_ms: at_ms(10), last_ms: at_ms(20) });
    let said = story.text(181, ServerHealth::Lost);
    assert!(said.starts_with("3 of its batches were refused for good") && said.contains("zonepulse-probe resend"), "{said}");
}

#[test]
fn messages_that_claim_to_be_of_a_server_and_were_refused_for_good_are_told_as_claims() {
    let mut story = Story::well();
    story.evidence.delivery.unproven = Some(PutAside { batches: 7, first_ms: at_ms(10), last_ms: at_ms(20) });
    let reason = story.reasons(181).remove(0);
    assert_eq!((reason.health, reason.since_ms), (ServerHealth::Lost, Some(at_ms(10))));
    let said = "7 messages through RabbitMQ that claim to be of this server, and do not prove it, were refused for good, the last one at 2027-01-15T08:00:20Z: they are in the dead-letter queue";
    assert!(reason.text.starts_with(said), "{}", reason.text);
}

#[test]
fn a_probe_that_begins_again_and_again_is_not_starting() {
    let mut story = Story::begin();
    for (epoch, s) in [(1, 0), (2, 20), (3, 40)] {
        story.hear([s], |heartbeat| (heartbeat.epoch, heartbeat.uptime_s) = (epoch, 0));
    }
    assert!(story.text(41, ServerHealth::Restarting).starts_with("3 runs of its probe were heard in 2 minutes"));
    story.hear([70, 100, 130, 160], |heartbeat| (heartbeat.epoch, heartbeat.uptime_s) = (3, 30));
    assert_eq!(story.health(161), ServerHealth::Starting);
}

#[test]
fn a_component_that_is_not_there_is_nothing_to_speak_of_and_a_dns_server_that_is_stopped_is() {
    let mut story = Story::well();
    story.hear([210], |heartbeat| heartbeat.components = Components::default());
    assert_eq!(story.health(211), ServerHealth::Ok);
    story.hear([240], |heartbeat| {
        let dns = heartbeat.components.dns.as_mut().unwrap();
        dns.state = State::Stopped;
    });
    assert!(story.text(241, ServerHealth::DnsStopped).starts_with("knotd does not run"));
}

#[test]
fn settings_that_are_not_followed_are_told_with_the_reason() {
    let mut story = Story::well();
    story.hear([210], |heartbeat| heartbeat.settings_refused = Some("api_url: https://evil is no pinned host".to_owned()));
    assert!(
        story.text(211, ServerHealth::SettingsRefused).contains("api_url: https://evil is no pinned host; change the setting")
    );
    story.hear([240], |_| {});
    assert_eq!(story.health(241), ServerHealth::Ok);
}

#[test]
fn everything_that_holds_is_told_the_worst_first() {
    let mut story = Story::well();
    story.hear([210], |heartbeat| {
        stopped(heartbeat);
        heartbeat.settings_refused = Some("pin".to_owned());
    });
    story.evidence.delivery.refused = Some(refused());
    story.evidence.twins = Some(LiveProbes { epochs: [1, 2], since_ms: at_ms(50) });
    let healths: Vec<ServerHealth> = story.reasons(211).iter().map(|reason| reason.health).collect();
    let expected = [ServerHealth::Refused, ServerHealth::Conflict, ServerHealth::Blind, ServerHealth::SettingsRefused];
    assert_eq!(healths, expected);
}

#[test]
fn what_an_old_heartbeat_said_is_not_held_to_be_so_still() {
    let mut story = Story::well();
    story.hear([210], stopped);
    let healths: Vec<ServerHealth> = story.reasons(400).iter().map(|reason| reason.health).collect();
    assert_eq!(healths, [ServerHealth::Silent]);
}

#[test]
fn the_list_of_healths_is_whole_and_in_order() {
    assert!(ServerHealth::ALL.is_sorted());
    let fine: Vec<&str> = ServerHealth::ALL.iter().filter(|health| !health.is_trouble()).map(|health| health.as_str()).collect();
    assert_eq!(fine, ["new", "starting", "ok"]);
}
