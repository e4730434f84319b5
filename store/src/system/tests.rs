use crate::system::value;
use crate::*;
use std::ops::ControlFlow;
use zonepulse_model::{Identity, SeriesId, ServerId};

const HOUR_S: u64 = 3600;
const START_S: u64 = 490_000 * HOUR_S;

fn open(dir: &tempfile::TempDir, max_series: usize) -> Store {
    let options = Options { max_series, retention: Retention::FOREVER, min_free_bytes: 0, ..Options::default() };
    Store::open(dir.path(), &options).unwrap()
}

fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open(&dir, 200), dir)
}

fn add(store: &Store, seq: u64, start_s: u64, series: &[(&str, &str, &[Option<f64>])]) -> Outcome {
    add_of(store, 1, seq, start_s, series)
}

fn add_of(store: &Store, server_id: u32, seq: u64, start_s: u64, series: &[(&str, &str, &[Option<f64>])]) -> Outcome {
    let mut write = store.begin();
    let ids = write.series_ids(ServerId::new(server_id), series.iter().map(|(metric, label, _)| (*metric, *label)));
    let slots = series.first().map_or(1, |(.., values)| values.len() as u32);
    let intake = SystemIntake {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
        start_s,
        interval_s: 5,
        slots,
        evicted: None,
        series: ids
            .into_iter()
            .zip(series)
            .map(|(series_id, (.., values))| SeriesIntake { series_id, values: values.to_vec() })
            .collect(),
    };
    let outcome = write.add_system(&intake).unwrap();
    write.commit().unwrap();
    outcome
}

fn settle(store: &Store) {
    for round in 0..3 {
        while store.upkeep(START_S + 100 * HOUR_S + 100 * round).unwrap() != Step::Idle {}
    }
}

/// Start in the hour, least, greatest, mean, last and count, or a raw value in all.
type Told = (u64, [f64; 4], u32);

fn told(store: &Store, level: Level) -> Vec<Told> {
    let mut told = Vec::new();
    let each = &mut |points: &SystemPoints| {
        for (at, start_s) in points.starts_s.iter().enumerate() {
            told.push(match points.buckets.get(at) {
                Some(b) => (start_s - START_S, [b.min, b.max, b.avg(), b.last], b.count),
                None => (start_s - START_S, [points.values[at]; 4], 1),
            });
        }
        ControlFlow::Continue(())
    };
    store.system(level, START_S + HOUR_S, &SystemSelection::all(), each).unwrap();
    assert_eq!(store.system_count(level, START_S + HOUR_S, &SystemSelection::all()).unwrap(), told.len() as u64);
    told
}

#[test]
fn points_are_told_before_and_after_they_are_sealed() {
    let (store, dir) = store();
    add(&store, 1, START_S + 290, &[("load_1m", "", &[Some(1.0), Some(0.25), None, Some(3.5)])]);
    let raw = [(290, [1.0; 4], 1), (295, [0.25; 4], 1), (305, [3.5; 4], 1)];
    let five = [(0, [0.25, 1.0, 0.625, 0.25], 2), (300, [3.5; 4], 1)];
    let hour = [(0, [0.25, 3.5, 4.75 / 3.0, 3.5], 3)];
    let all = |store: &Store| [Level::Raw, Level::M5, Level::H1].map(|level| told(store, level));
    assert_eq!(all(&store), [raw.to_vec(), five.to_vec(), hour.to_vec()]);
    settle(&store);
    assert_eq!(store.check().unwrap().blocks, 0);
    assert_eq!(all(&store), [raw.to_vec(), five.to_vec(), hour.to_vec()]);
    drop(store);
    assert_eq!(all(&open(&dir, 100)), [raw.to_vec(), five.to_vec(), hour.to_vec()]);
}

#[test]
fn a_batch_that_comes_again_changes_nothing() {
    let (store, _dir) = store();
    assert_eq!(add(&store, 1, START_S, &[("load_1m", "", &[Some(1.0)])]), Outcome::Committed);
    assert_eq!(add(&store, 1, START_S, &[("load_5m", "", &[Some(2.0)])]), Outcome::Duplicate);
    assert_eq!(told(&store, Level::Raw), [(0, [1.0; 4], 1)]);
}

#[test]
fn servers_may_be_asked_for_in_any_order() {
    let (store, _dir) = store();
    for server_id in 1..=4 {
        add_of(&store, server_id, 1, START_S, &[("load_1m", "", &[Some(f64::from(server_id))])]);
    }
    let selection = SystemSelection {
        servers: Some([ServerId::new(4), ServerId::new(1), ServerId::new(3)].into()),
        ..SystemSelection::all()
    };
    let servers = |level| {
        let mut servers = Vec::new();
        let each = &mut |points: &SystemPoints| {
            servers.push(points.server_id.get());
            ControlFlow::Continue(())
        };
        store.system(level, START_S + HOUR_S, &selection, each).unwrap();
        servers
    };
    assert_eq!([Level::Raw, Level::H1].map(servers), [[1, 3, 4]; 2], "open");
    settle(&store);
    assert_eq!([Level::Raw, Level::H1].map(servers), [[1, 3, 4]; 2], "sealed");
}

#[test]
fn a_batch_may_lie_across_hours() {
    let (store, _dir) = store();
    add(&store, 1, START_S + HOUR_S - 10, &[("load_1m", "", &[Some(1.0), Some(2.0), Some(3.0)])]);
    let raw = [(3590, [1.0; 4], 1), (3595, [2.0; 4], 1), (3600, [3.0; 4], 1)];
    assert_eq!(told(&store, Level::Raw), raw);
    assert_eq!(store.check().unwrap().blocks, 2);
    settle(&store);
    assert_eq!(told(&store, Level::Raw), raw);
    assert_eq!(told(&store, Level::H1), [(0, [1.0, 2.0, 1.5, 2.0], 2), (3600, [3.0; 4], 1)]);
}

#[test]
fn of_a_slot_that_is_told_twice_the_greater_value_counts_open_sealed_and_late() {
    let (store, _dir) = store();
    let expected = [(0, [1.0, 9.0, 5.0, 9.0], 2)];
    add(&store, 1, START_S, &[("load_1m", "", &[Some(1.0), Some(4.0)])]);
    add(&store, 2, START_S + 5, &[("load_1m", "", &[Some(9.0)])]);
    assert_eq!(told(&store, Level::H1), expected, "open");
    settle(&store);
    assert_eq!(told(&store, Level::H1), expected, "sealed");
    add(&store, 3, START_S, &[("load_1m", "", &[Some(0.5), Some(8.0)])]);
    assert_eq!(told(&store, Level::H1), expected, "late");
    settle(&store);
    assert_eq!(told(&store, Level::H1), expected, "sealed again");
    assert_eq!(told(&store, Level::Raw).len(), 2);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn series_past_the_bound_are_refused_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, 2);
    let values = [Some(1.0), None, Some(2.0)];
    add(&store, 1, START_S, &[("a", "", &values), ("b", "x", &values), ("b", "y", &values)]);
    add(&store, 2, START_S + 60, &[("b", "x", &values), ("c", "", &values)]);
    let statistics = store.statistics();
    assert_eq!((statistics.series, statistics.refused_points), (2, 4));
    assert_eq!(told(&store, Level::Raw).len(), 6);
    drop(store);
    let store = open(&dir, 2);
    assert_eq!(store.series().iter().collect::<Vec<_>>(), [(SeriesId::new(0), "a", ""), (SeriesId::new(1), "b", "x")]);
}

#[test]
fn a_selection_reads_its_servers_series_and_time() {
    let (store, _dir) = store();
    let names: Vec<String> = (0..90).map(|number| format!("m{number}")).collect();
    let values = [Some(1.0); 3];
    let all: Vec<(&str, &str, &[Option<f64>])> = names.iter().map(|name| (name.as_str(), "", &values[..])).collect();
    add(&store, 1, START_S, &all);
    settle(&store);
    let mut found = Vec::new();
    let selection = SystemSelection {
        servers: Some([ServerId::new(1)].into()),
        from_s: START_S + 5,
        until_s: START_S + 10,
        series: Some([3, 70, 89].map(SeriesId::new).into()),
    };
    let each = &mut |points: &SystemPoints| {
        found.push((points.series_id.get(), points.starts_s.clone()));
        ControlFlow::Continue(())
    };
    store.system(Level::Raw, START_S, &selection, each).unwrap();
    assert_eq!(found, [3, 70, 89].map(|series| (series, vec![START_S + 5])));
    let nobody = SystemSelection { servers: Some([ServerId::new(2)].into()), ..SystemSelection::all() };
    assert_eq!(store.system_count(Level::Raw, START_S, &nobody).unwrap(), 0);
}

#[test]
fn a_server_that_is_purged_takes_its_metrics_along() {
    let (store, _dir) = store();
    store.registry().add_server("one", false, None, 0).unwrap();
    add(&store, 1, START_S, &[("load_1m", "", &[Some(1.0)])]);
    settle(&store);
    add(&store, 2, START_S + 5, &[("load_1m", "", &[Some(1.0)])]);
    assert_eq!(told(&store, Level::Raw).len(), 2);
    store.registry().remove_server(ServerId::new(1), 0, true).unwrap();
    assert_eq!(told(&store, Level::Raw), []);
    let check = store.check().unwrap();
    assert_eq!((check.system_points, check.blocks, check.faults), (0, 0, Vec::new()));
}

#[test]
fn what_breaks_a_promise_is_refused() {
    let (store, _dir) = store();
    let mut write = store.begin();
    let good = SystemIntake {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 },
        start_s: START_S,
        interval_s: 5,
        slots: 1,
        evicted: None,
        series: vec![SeriesIntake { series_id: Some(SeriesId::new(0)), values: vec![Some(1.0)] }],
    };
    let twice = [good.series.clone(), good.series.clone()].concat();
    let infinite = vec![SeriesIntake { series_id: Some(SeriesId::new(0)), values: vec![Some(f64::INFINITY)] }];
    for (what, bad) in [
        ("interval_s", SystemIntake { interval_s: 7, ..good.clone() }),
        ("start_s", SystemIntake { start_s: START_S + 1, ..good.clone() }),
        ("slots", SystemIntake { slots: 0, ..good.clone() }),
        ("values", SystemIntake { slots: 2, ..good.clone() }),
        ("values", SystemIntake { series: infinite, ..good.clone() }),
        ("series_id", SystemIntake { series: twice, ..good.clone() }),
    ] {
        let error = write.add_system(&bad).unwrap_err();
        assert!(matches!(error, Error::BadIntake(field) if field == what), "{error}");
    }
    assert_eq!(write.add_system(&good).unwrap(), Outcome::Committed);
}

/// Changes a sealed store's content below everything that keeps it consistent.
fn faults(change: impl FnOnce(&Inner, &mut rocksdb::WriteBatch)) -> Vec<String> {
    let (store, _dir) = store();
    add(&store, 1, START_S, &[("load_1m", "", &[Some(1.0), Some(2.0)])]);
    add(&store, 2, START_S + HOUR_S, &[("load_1m", "", &[Some(1.0), Some(4.0)])]);
    settle(&store);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let mut batch = rocksdb::WriteBatch::default();
    change(&store.inner, &mut batch);
    store.inner.database.write(batch, true).unwrap();
    store.check().unwrap().faults
}

const HOUR: u32 = (START_S / HOUR_S) as u32;

#[test]
fn a_roll_up_of_metrics_that_is_not_that_of_its_points_is_told_of() {
    let faults = faults(|inner, batch| {
        let other = inner.database.get(key::SYSTEM, &key::sealed(Level::M15, HOUR + 1, ServerId::new(1), 0)).unwrap().unwrap();
        batch.put_cf(inner.database.family(key::SYSTEM), key::sealed(Level::M15, HOUR, ServerId::new(1), 0), other);
    });
    assert!(faults.len() == 1 && faults[0].contains("does not say what its Raw points say"), "{faults:?}");
}

#[test]
fn metrics_that_are_missing_or_unreadable_are_told_of() {
    let missing = faults(|inner, batch| {
        batch.delete_cf(inner.database.family(key::SYSTEM), key::sealed(Level::Raw, HOUR, ServerId::new(1), 0));
    });
    assert!(missing.iter().any(|fault| fault.contains("has no Raw")), "{missing:?}");
    let unreadable = faults(|inner, batch| {
        batch.put_cf(inner.database.family(key::SYSTEM), key::sealed(Level::Raw, HOUR, ServerId::new(1), 0), [9, 9]);
    });
    assert!(unreadable.iter().any(|fault| fault.contains("system version")), "{unreadable:?}");
    let unknown = faults(|inner, batch| {
        let raw = value::Raw::from([((SeriesId::new(7), 5), vec![(0, 1.0)])]);
        let value = value::Encoder::new().unwrap().raw(0, &raw);
        batch.put_cf(
            inner.database.family(key::SYSTEM_OPEN),
            key::open(&Identity { server_id: ServerId::new(1), epoch: 1, seq: 9 }, START_S),
            value,
        );
    });
    for what in ["its marker is not", "not known to wait", "series id"] {
        assert!(unknown.iter().any(|fault| fault.contains(what)), "{what}: {unknown:?}");
    }
}

#[test]
fn a_series_of_which_nothing_is_left_is_swept_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention { raw_minutes: 24 * 60, aggregated_days: 4 };
    let open =
        || Store::open(dir.path(), &Options { retention, max_series: 6, min_free_bytes: 0, ..Options::default() }).unwrap();
    let store = open();
    store.registry().add_server("one", false, None, 0).unwrap();
    const DAY_S: u64 = 24 * HOUR_S;
    let disk = |label| ("disk_free_bytes", label, &[Some(1.0)][..]);
    let known = |store: &Store| store.series().iter().map(|(id, _, label)| (id, label.to_owned())).collect::<Vec<_>>();
    let keep = |store: &Store, now_s| {
        let mut swept = 0;
        loop {
            match store.upkeep(now_s).unwrap() {
                Step::Idle => return swept,
                Step::SweptSeries { series } => swept += series,
                _ => {}
            }
        }
    };
    add(&store, 1, START_S, &["/", "/gone", "/open"].map(disk));
    for day in 0..4 {
        add(&store, 10 + day, START_S + day * DAY_S, &[disk("/")]);
        assert_eq!(keep(&store, START_S + day * DAY_S + 2 * HOUR_S), 0, "roll-ups are left");
    }
    add(&store, 2, START_S + 5 * DAY_S, &[disk("/open")]);
    assert_eq!(keep(&store, START_S + 5 * DAY_S + 60), 1);
    assert_eq!(known(&store), [(SeriesId::new(0), "/".to_owned()), (SeriesId::new(2), "/open".to_owned())]);
    // There is room for three others, whatever numbers they get, and what was swept may come again.
    add(&store, 3, START_S + 5 * DAY_S, &["/a", "/gone", "/z"].map(disk));
    let labels = |store: &Store| known(store).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
    assert_eq!(labels(&store), ["/", "/open", "/a", "/gone", "/z"]);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let before = known(&store);
    drop(store);
    let store = open();
    assert_eq!(known(&store), before);
    assert_eq!(keep(&store, START_S + 20 * DAY_S), 5);
    assert_eq!(known(&store), []);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
