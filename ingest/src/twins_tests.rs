use super::*;
use crate::translate;
use zonepulse_model::{Identity, ServerId, SettingsOverride};
use zonepulse_store::Options;
use zonepulse_wire::{Counters, Records};

const MINUTE_MS: u64 = 60_000;
/// The one that began first.
const FIRST: u64 = 100;
const SECOND: u64 = 200;

struct Central {
    store: Store,
    twins: Twins,
    _dir: tempfile::TempDir,
}

impl Central {
    fn new(policy: OverlappingProbes) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        store.registry().add_server("ns1", false, None, 0).unwrap();
        let set = |over: &mut SettingsOverride| {
            over.overlapping_probes = Some(policy);
            Ok::<_, zonepulse_store::Error>(())
        };
        store.registry().change_global(set).unwrap();
        Central { store, twins: Twins::default(), _dir: dir }
    }

    /// A batch of a minute that arrives at this time; gives how much of it another one covers, or which run counts.
    fn take(&self, batch: Batch, now_ms: u64) -> Result<u64, u64> {
        let (mut write, mut pending) = (self.store.begin(), Pending::default());
        let admitted = self.twins.admit(&batch, &self.store, &mut write, &mut pending, now_ms);
        if let Ok(overlap_ms) = &admitted {
            translate::add(zonepulse_wire::Message::Dns(batch), *overlap_ms, &mut write).unwrap();
        }
        write.commit().unwrap();
        self.twins.adopt(pending, now_ms);
        admitted.map_err(|error| match error {
            Error::Overlaps { first, .. } => first,
            other => panic!("{other}"),
        })
    }

    /// A batch that arrives a second after its minute.
    fn send(&self, epoch: u64, minute: u64) -> Result<u64, u64> {
        self.take(batch(epoch, minute, 0, MINUTE_MS), (minute + 1) * MINUTE_MS + 1000)
    }

    fn overlaps(&self, minute: u64) -> Overlaps {
        self.twins.of(ServerId::new(1), (minute + 1) * MINUTE_MS + 2000)
    }

    fn is_live(&self, minute: u64) -> bool {
        self.overlaps(minute).live.is_some()
    }

    /// What the reports say of overlaps, in the order of time.
    fn told_ms(&self) -> Vec<u64> {
        let mut told = Vec::new();
        let counter = zonepulse_wire::Counter::OverlapMs.number();
        let each = &mut |report: &zonepulse_store::Report| {
            let found = report.counters.iter().find(|(number, _)| *number == counter);
            told.push(found.map_or(0, |(_, value)| *value));
            std::ops::ControlFlow::Continue(())
        };
        self.store.coverage(None, 0, u64::MAX, 0, each).unwrap();
        told
    }
}

fn batch(epoch: u64, minute: u64, from_ms: u64, until_ms: u64) -> Batch {
    let start_ms = minute * MINUTE_MS;
    Batch {
        identity: Identity { server_id: ServerId::new(1), epoch, seq: minute },
        start_s: minute * 60,
        interval_s: 60,
        coverage: Coverage { from_ms: start_ms + from_ms, until_ms: start_ms + until_ms },
        counters: Counters::new(),
        evicted: None,
        records: Records::new(),
        rows: Vec::new(),
    }
}

#[test]
fn two_live_probes_are_told_and_both_count_unless_it_is_set() {
    let central = Central::new(OverlappingProbes::Count);
    for minute in 100..105 {
        assert_eq!(central.send(FIRST, minute), Ok(0));
        assert_eq!(central.send(SECOND, minute), Ok(MINUTE_MS));
        assert_eq!(central.is_live(minute), minute >= 102, "{minute}");
    }
    let Overlaps { counted, refused, live } = central.overlaps(104);
    assert_eq!((counted, refused, live.map(|live| live.epochs)), (5, 0, Some([FIRST, SECOND])));
    assert_eq!(central.told_ms(), [0, MINUTE_MS].repeat(5));
}

#[test]
fn they_are_told_in_whatever_order_their_batches_come() {
    let central = Central::new(OverlappingProbes::Count);
    for minute in 100..104 {
        let order = if minute % 2 == 0 { [FIRST, SECOND] } else { [SECOND, FIRST] };
        for epoch in order {
            central.send(epoch, minute).unwrap();
        }
    }
    assert!(central.is_live(103));
}

#[test]
fn they_are_two_no_more_when_one_has_ended() {
    let central = Central::new(OverlappingProbes::Count);
    (100..104).for_each(|minute| _ = [FIRST, SECOND].map(|epoch| central.send(epoch, minute)));
    assert!(central.is_live(104) && !central.is_live(108));
}

#[test]
fn a_restart_within_an_interval_is_no_overlap() {
    for policy in [OverlappingProbes::Count, OverlappingProbes::Refuse] {
        let central = Central::new(policy);
        for minute in 100..106 {
            let now_ms = (minute + 1) * MINUTE_MS;
            assert_eq!(central.take(batch(minute, minute, 0, 20_000), now_ms), Ok(0));
            assert_eq!(central.take(batch(minute + 1, minute, 21_000, MINUTE_MS), now_ms), Ok(0));
        }
        assert_eq!(central.overlaps(105), Overlaps::default());
    }
}

#[test]
fn late_batches_of_an_earlier_run_are_no_overlap() {
    let central = Central::new(OverlappingProbes::Refuse);
    assert_eq!(central.send(SECOND, 110), Ok(0));
    let late_ms = 111 * MINUTE_MS;
    (100..110).for_each(|minute| assert_eq!(central.take(batch(FIRST, minute, 0, MINUTE_MS), late_ms), Ok(0)));
    assert_eq!(central.send(SECOND, 111), Ok(0));
}

#[test]
fn a_replay_of_time_that_was_observed_is_told_and_is_no_live_probe() {
    let central = Central::new(OverlappingProbes::Count);
    (0..60).for_each(|minute| _ = central.send(FIRST, minute));
    // All at once, up to the present, as with `--end-now`.
    let now_ms = 60 * MINUTE_MS + 2000;
    (0..60).for_each(|minute| assert_eq!(central.take(batch(SECOND, minute, 0, MINUTE_MS), now_ms), Ok(MINUTE_MS)));
    (60..64).for_each(|minute| assert_eq!(central.send(FIRST, minute), Ok(0)));
    let Overlaps { counted, live, .. } = central.overlaps(63);
    assert_eq!((counted, live), (60, None));
}

#[test]
fn a_slow_replay_of_time_long_past_is_no_live_probe() {
    let central = Central::new(OverlappingProbes::Count);
    (0..20).for_each(|minute| _ = central.send(FIRST, minute));
    for minute in 0..20 {
        let now_ms = (200 + minute) * MINUTE_MS;
        central.take(batch(SECOND, minute, 0, MINUTE_MS), now_ms).unwrap();
        central.take(batch(FIRST, 199 + minute, 0, MINUTE_MS), now_ms).unwrap();
    }
    assert!(!central.is_live(219));
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_is_no_second_probe() {
    let central = Central::new(OverlappingProbes::Count);
    (100..106).for_each(|minute| _ = central.send(FIRST, minute));
    // It was five minutes ahead.
    (101..110).for_each(|minute| _ = central.take(batch(SECOND, minute, 0, MINUTE_MS), (minute + 6) * MINUTE_MS));
    assert_eq!((central.overlaps(109).counted, central.overlaps(109).live), (5, None));
}

#[test]
fn when_one_counts_it_is_the_one_that_was_there_first() {
    let central = Central::new(OverlappingProbes::Refuse);
    for minute in 100..110 {
        assert_eq!(central.send(FIRST, minute), Ok(0));
        assert_eq!(central.send(SECOND, minute), Err(FIRST));
    }
    // The other one's come first from now on, and still do not count.
    for minute in 110..120 {
        assert_eq!(central.send(SECOND, minute), Err(FIRST), "{minute}");
        assert_eq!(central.send(FIRST, minute), Ok(0), "{minute}");
    }
    assert_eq!((central.overlaps(119).refused, central.overlaps(119).counted), (20, 0));
    assert!(central.is_live(119));
}

#[test]
fn each_interval_counts_once_before_it_is_known_which_was_first() {
    let central = Central::new(OverlappingProbes::Refuse);
    for minute in 100..110 {
        let taken = [SECOND, FIRST].map(|epoch| central.send(epoch, minute)).iter().filter(|taken| taken.is_ok()).count();
        assert_eq!(taken, 1, "{minute}");
    }
}

#[test]
fn when_the_first_one_ends_the_other_takes_over_at_the_boundary() {
    let central = Central::new(OverlappingProbes::Refuse);
    (100..105).for_each(|minute| _ = [FIRST, SECOND].map(|epoch| central.send(epoch, minute)));
    // The last batch of the one is lost with its machine.
    assert_eq!(central.send(SECOND, 105), Err(FIRST));
    (106..110).for_each(|minute| assert_eq!(central.send(SECOND, minute), Ok(0), "{minute}"));
    // It comes back as another run, and is the second now.
    let third = 300;
    for minute in 110..115 {
        assert_eq!(central.send(SECOND, minute), Ok(0));
        assert_eq!(central.send(third, minute), Err(SECOND));
    }
}

#[test]
fn a_server_of_its_own_setting_counts_once_while_others_count_all() {
    let central = Central::new(OverlappingProbes::Count);
    central.send(FIRST, 100).unwrap();
    let mut server = central.store.registry().server(ServerId::new(1)).unwrap().unwrap();
    server.overrides.overlapping_probes = Some(OverlappingProbes::Refuse);
    central.store.registry().put_server(&server).unwrap();
    assert_eq!(central.send(SECOND, 100), Err(FIRST));
}

#[test]
fn eight_clones_are_seen_to_be_live() {
    for policy in [OverlappingProbes::Count, OverlappingProbes::Refuse] {
        let central = Central::new(policy);
        for minute in 100..105 {
            (0..8).for_each(|clone| _ = central.send(FIRST + clone, minute));
            assert_eq!(central.is_live(minute), minute >= 102, "{minute}");
        }
        assert_eq!(central.overlaps(104).live.map(|live| live.epochs[0]), Some(FIRST));
    }
}

#[test]
fn pairs_that_are_over_make_room_for_those_that_are_not() {
    let central = Central::new(OverlappingProbes::Count);
    (100..103).for_each(|minute| (0..8).for_each(|clone| _ = central.send(FIRST + clone, minute)));
    assert!(central.is_live(102) && !central.is_live(110));
    (110..113).for_each(|minute| [FIRST + 6, FIRST + 7].iter().for_each(|epoch| _ = central.send(*epoch, minute)));
    assert_eq!(central.overlaps(112).live.map(|live| live.epochs), Some([FIRST + 6, FIRST + 7]));
}

#[test]
fn a_write_that_fails_leaves_no_trace() {
    for policy in [OverlappingProbes::Count, OverlappingProbes::Refuse] {
        let central = Central::new(policy);
        central.send(FIRST, 100).unwrap();
        for round in 0..5 {
            let now_ms = (101 + round) * MINUTE_MS;
            let (mut write, mut pending) = (central.store.begin(), Pending::default());
            let second = batch(SECOND, 100, 0, MINUTE_MS);
            let admitted = central.twins.admit(&second, &central.store, &mut write, &mut pending, now_ms);
            assert_eq!(admitted.is_ok(), policy == OverlappingProbes::Count);
            // It is dropped, as when there is no room on the disk.
            drop(write);
        }
        assert_eq!(central.overlaps(105), Overlaps::default());
    }
}

#[test]
fn batches_of_one_write_see_what_those_before_them_bring() {
    let central = Central::new(OverlappingProbes::Refuse);
    let now_ms = 104 * MINUTE_MS;
    let (mut write, mut pending) = (central.store.begin(), Pending::default());
    let mut admit = |epoch, minute| {
        let batch = batch(epoch, minute, 0, MINUTE_MS);
        let admitted = central.twins.admit(&batch, &central.store, &mut write, &mut pending, now_ms);
        if admitted.is_ok() {
            translate::add(zonepulse_wire::Message::Dns(batch), 0, &mut write).unwrap();
        }
        admitted.is_ok()
    };
    let taken = (100..103).map(|minute| [admit(FIRST, minute), admit(SECOND, minute)]).collect::<Vec<_>>();
    assert_eq!(taken, [[true, false]; 3]);
    assert_eq!(central.overlaps(103), Overlaps::default(), "it is not on disk yet");
    write.commit().unwrap();
    central.twins.adopt(pending, now_ms);
    assert_eq!((central.overlaps(103).refused, central.overlaps(103).counted), (3, 0));
}

/// What the setting's documentation says of it.
#[test]
fn a_clock_that_is_set_back_between_two_runs_has_the_time_that_it_covered_falsely_refused_where_a_time_counts_once() {
    let central = Central::new(OverlappingProbes::Refuse);
    // Ten minutes ahead: what it covers from minute 110 on is 100 in truth.
    (110..115).for_each(|minute| assert_eq!(central.take(batch(FIRST, minute, 0, MINUTE_MS), (minute - 9) * MINUTE_MS), Ok(0)));
    let taken: Vec<u64> = (105..120).filter(|minute| central.send(SECOND, *minute).is_ok()).collect();
    assert_eq!(taken, [105, 106, 107, 108, 109, 115, 116, 117, 118, 119]);
}
