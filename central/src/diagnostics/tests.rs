//! Runs from their request to their end.

use super::*;
use crate::fleet::tests::heartbeat;
use bytes::Bytes;
use zonepulse_doctor::{About, Check, Report, Secrets, Subject};

#[derive(Clone, Copy)]
struct Anything;

impl Subject for Anything {
    fn all() -> Vec<Self> {
        vec![Anything]
    }

    fn id(self) -> &'static str {
        "anything"
    }

    fn title(self) -> &'static str {
        "anything is fine"
    }
}

fn encoded() -> Vec<u8> {
    let about = About { program: "zonepulse-probe".into(), version: "1".into(), config: "p.toml".into(), server_id: Some(1) };
    let mut bundle = Bundle::new(Report::new::<Anything>(about, vec![Check::ok(Anything, "it is")]));
    bundle.add("log.txt", "a line\n", &Secrets::default());
    bundle.encode().unwrap()
}

fn able(sent_at_ms: u64) -> Heartbeat {
    Heartbeat { diagnoses: true, ..heartbeat(sent_at_ms) }
}

fn begun(now_ms: u64) -> (Diagnostics, u64) {
    let diagnostics = Diagnostics::default();
    let run = diagnostics.begin(1, "admin", None, now_ms).unwrap();
    assert_eq!((run.state, run.by.as_str()), (State::Requested, "admin"));
    (diagnostics, run.id)
}

fn state(diagnostics: &Diagnostics, now_ms: u64) -> State {
    diagnostics.find(1, now_ms).unwrap().state
}

#[test]
fn an_order_is_repeated_until_its_result_arrives() {
    let (diagnostics, id) = begun(1000);
    assert_eq!(diagnostics.order(2, &able(0), 1001), None);
    for now_ms in [2000, 32_000] {
        assert_eq!(diagnostics.order(1, &able(0), now_ms), Some(id));
    }
    let run = diagnostics.find(1, 33_000).unwrap();
    assert_eq!((run.state, run.running_ms, run.probe_version.as_deref()), (State::Running, Some(2000), Some("0.1.0")));
    diagnostics.receive(1, id, &encoded(), 34_000).unwrap();
    let run = diagnostics.find(1, 35_000).unwrap();
    assert_eq!((run.state, run.ended_ms), (State::Done, Some(34_000)));
    assert_eq!(run.bundle.unwrap().files[0].text, "a line\n");
    assert_eq!(diagnostics.order(1, &able(0), 36_000), None);
}

#[test]
fn a_server_has_one_run_at_a_time() {
    let (diagnostics, id) = begun(1000);
    assert!(matches!(diagnostics.begin(1, "other", None, 2000), Err(Error::Conflict(_))));
    assert!(diagnostics.begin(2, "other", None, 2000).is_ok());
    diagnostics.receive(1, id, &encoded(), 3000).unwrap();
    assert!(diagnostics.begin(1, "other", None, 3000).unwrap().id > id);
}

#[test]
fn a_probe_that_does_not_know_the_order_is_unsupported_at_once_or_when_it_is_heard() {
    let diagnostics = Diagnostics::default();
    let run = diagnostics.begin(1, "admin", Some(heartbeat(0)), 1000).unwrap();
    assert_eq!((run.state, run.ended_ms), (State::Unsupported, Some(1000)));
    assert!(run.detail.unwrap().contains("version 0.1.0"));
    let (diagnostics, _) = begun(1000);
    assert_eq!(diagnostics.order(1, &heartbeat(0), 2000), None);
    assert_eq!(state(&diagnostics, 2000), State::Unsupported);
    assert!(diagnostics.begin(1, "admin", Some(able(0)), 3000).is_ok(), "it was updated");
    let (diagnostics, id) = begun(1000);
    diagnostics.pulled(1, id, Diagnosed::Unknown, 2000);
    assert_eq!((state(&diagnostics, 2000), diagnostics.to_pull(1, 2000)), (State::Unsupported, None));
}

#[test]
fn a_run_without_a_result_expires() {
    let (diagnostics, id) = begun(1000);
    assert_eq!(state(&diagnostics, 1000 + HEARD_WITHIN_MS), State::Requested);
    assert_eq!(state(&diagnostics, 1001 + HEARD_WITHIN_MS), State::Expired);
    assert!(matches!(diagnostics.receive(1, id, &encoded(), 200_000), Err(Unwanted::Run(_))));
    let (diagnostics, _) = begun(1000);
    diagnostics.order(1, &able(0), 100_000);
    assert_eq!(state(&diagnostics, 100_000 + DONE_WITHIN_MS), State::Running);
    assert_eq!(state(&diagnostics, 100_001 + DONE_WITHIN_MS), State::Expired);
}

#[test]
fn a_result_is_kept_for_a_day() {
    let (diagnostics, id) = begun(1000);
    diagnostics.receive(1, id, &encoded(), 2000).unwrap();
    assert!(diagnostics.find(1, 2000 + KEPT_MS).unwrap().bundle.is_some());
    let run = diagnostics.find(1, 2001 + KEPT_MS).unwrap();
    assert!(run.bundle.is_none() && run.state == State::Expired);
}

#[test]
fn only_what_was_ordered_and_can_be_read_is_accepted() {
    let (diagnostics, id) = begun(1000);
    assert!(matches!(diagnostics.receive(1, id + 1, &encoded(), 2000), Err(Unwanted::Run(_))));
    assert!(matches!(diagnostics.receive(2, id, &encoded(), 2000), Err(Unwanted::Run(_))));
    assert!(matches!(diagnostics.receive(1, id, b"rubbish", 2000), Err(Unwanted::Bundle(_))));
    assert_eq!(state(&diagnostics, 2000), State::Failed);
}

#[test]
fn a_probe_that_is_pulled_from_is_asked_until_it_has_a_result() {
    let (diagnostics, id) = begun(1000);
    assert_eq!(diagnostics.to_pull(1, 2000), Some(id));
    diagnostics.pulled(1, id, Diagnosed::Running, 2000);
    assert_eq!((state(&diagnostics, 2000), diagnostics.to_pull(1, 2000)), (State::Running, Some(id)));
    diagnostics.pulled(1, id, Diagnosed::Result(Bytes::from(encoded())), 3000);
    assert_eq!((state(&diagnostics, 3000), diagnostics.to_pull(1, 3000)), (State::Done, None));
}

#[test]
fn all_results_together_are_bounded() {
    let diagnostics = Diagnostics::default();
    for server_id in 1..=3 {
        let run = diagnostics.begin(server_id, "admin", None, 1000).unwrap();
        diagnostics.receive(server_id, run.id, &encoded(), 1000 + u64::from(server_id)).unwrap();
    }
    let mut runs = diagnostics.lock();
    runs.get_mut(&3).unwrap().size_bytes = MOST_BYTES - encoded().len();
    make_room(&mut runs, 3);
    let states: Vec<State> = runs.values().map(|run| run.state).collect();
    assert_eq!(states, [State::Expired, State::Done, State::Done]);
}
