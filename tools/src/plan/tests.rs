//! Plans of made-up fleets, by round numbers.

use super::*;
use expect_test::{expect, expect_file};

fn wanted() -> Wanted {
    Wanted {
        servers: 10,
        records: 5_000,
        active: 2_000,
        interval_s: 60,
        metrics: 50,
        raw_retention_minutes: 1440,
        aggregated_retention_days: 30,
    }
}

/// Round numbers, so that a measurement that is taken again changes no test.
fn constants() -> Constants {
    Constants {
        raw_bytes_per_point: 2.0,
        rollup_5m_bytes: 1.0,
        rollup_15m_bytes: 2.0,
        rollup_30m_bytes: 3.0,
        rollup_1h_bytes: 4.0,
        open_bytes_per_point: 4.0,
        report_bytes: 50.0,
        record_bytes: 100.0,
        system_raw_bytes_per_point: 0.5,
        system_rollup_bytes_per_point: 0.25,
        cpu_s_per_million_points: 0.25,
        system_cpu_s_per_million_points: 0.5,
        memory_base_bytes: 3e8,
        memory_bytes_per_record: 200.0,
        batch_bytes_per_point: 6.0,
        batch_overhead_bytes: 60.0,
        system_batch_bytes_per_point: 2.0,
        http_bytes: 400.0,
        amqp_bytes: 100.0,
        sql_worker_bytes: 5e6,
        probe_cpu_s_per_million_messages: 0.25,
        probe_idle_cores: 0.001,
    }
}

fn assumed() -> Assumed {
    let bounds = Bounds {
        query_memory_bytes: 200_000_000,
        sql_memory_bytes: 100_000_000,
        sql_max_concurrent: 4,
        max_records: 1_050_000,
        max_series: 1_000,
        min_free_bytes: 1 << 30,
    };
    let (active_from, bounds_from) = ("given".to_owned(), "a test".to_owned());
    Assumed { active_from, active_estimated: false, requests_per_s: Some(100.0), observed: None, bounds, bounds_from }
}

fn plan(wanted: Wanted) -> Plan {
    Plan::new(wanted, assumed(), constants(), "a test".to_owned())
}

fn value(plan: &Plan, name: &str) -> f64 {
    plan.figures.iter().find(|figure| figure.name == name).unwrap().value
}

#[test]
fn the_text_shows_every_formula_and_what_was_measured() {
    expect_file!["plan.golden.txt"].assert_eq(&plan(wanted()).text());
}

#[test]
fn the_json_has_the_same_numbers() {
    expect_file!["plan.golden.json"].assert_eq(&(serde_json::to_string_pretty(&plan(wanted())).unwrap() + "\n"));
}

#[test]
fn a_plan_is_what_one_calculates_by_hand() {
    let plan = plan(wanted());
    let (points, values) = (10.0 * 1440.0 * 4000.0, 10.0 * 50.0 * 17_280.0);
    assert_eq!((value(&plan, "points_per_day"), value(&plan, "values_per_day")), (points, values));
    let raw = 2.0 * points + 0.5 * values;
    assert_eq!(value(&plan, "disk_raw_per_day"), raw);
    let active = ["active_5m", "active_15m", "active_30m", "active_1h"].map(|name| value(&plan, name));
    assert!(active.is_sorted() && active[0] > 2_000.0 && active[3] <= 5_000.0, "{active:?}");
    let [of_5m, of_15m, of_30m, of_1h] = active;
    let rolled = 10.0 * 2.0 * (288.0 * of_5m + 96.0 * 2.0 * of_15m + 48.0 * 3.0 * of_30m + 24.0 * 4.0 * of_1h) + 0.25 * values;
    assert!((value(&plan, "disk_rollups_per_day") - rolled).abs() < 1.0);
    let open = (4.0 * points + 2.0 * values) / 12.0;
    let kept = 25.0 / 24.0 * raw + (30.0 + 1.0 / 24.0) * (rolled + 28_800.0 * 50.0) + 5_000_000.0 + open;
    assert!((value(&plan, "disk_steady") - kept).abs() < 1.0);
    // A batch of each kind a minute from each of ten servers.
    let payload = 10.0 * (60.0 + 24_000.0 + 600.0 * 2.0) / 60.0;
    assert!((value(&plan, "network") - (payload + 20.0 * 400.0 / 60.0)).abs() < 1e-6);
    assert!((value(&plan, "broker") - (payload + 20.0 * 100.0 / 60.0)).abs() < 1e-6);
    assert_eq!(value(&plan, "messages"), 20.0 / 60.0);
}

#[test]
fn questions_answers_and_statements_count_at_their_bounds() {
    let plan = plan(wanted());
    assert_eq!(value(&plan, "sql_idle_memory"), 20e6);
    assert_eq!(value(&plan, "sql_memory"), 520e6);
    assert_eq!((value(&plan, "query_memory"), value(&plan, "answers_memory")), (200e6, 200e6));
    let memory = 1.3 * 310e6;
    assert!((value(&plan, "least_memory") - (memory + 20e6)).abs() < 1.0);
    assert!((value(&plan, "recommended_memory") - (memory + 920e6)).abs() < 1.0);
}

#[test]
fn a_flood_fills_what_the_fleet_leaves_free() {
    let plan = plan(wanted());
    // A million names.
    assert_eq!((value(&plan, "flood_memory"), value(&plan, "flood_disk")), (200e6, 100e6));
    assert_eq!(value(&plan, "flood_network"), (60.0 + 80_000.0 * 6.0) / 60.0);
    assert_eq!(value(&plan, "flood_disk_per_hour"), 60.0 * 80_000.0 * 4.0);
    assert!((value(&plan, "most_memory") - value(&plan, "recommended_memory") - 200e6).abs() < 1.0);
}

/// What the text and the JSON of a plan have to say of so many minutes.
fn notes_of(minutes: u64) -> Vec<String> {
    let observed = Some(Observed { minutes, servers: 1, reported: 2, not_throughout: 1 });
    let plan = Plan::new(wanted(), Assumed { observed, ..assumed() }, constants(), "a test".to_owned());
    let text = plan.text();
    assert!(plan.notes.iter().all(|note| text.contains(note)), "{text}");
    plan.notes
}

#[test]
fn a_plan_of_a_fleet_says_how_much_of_it_was_observed() {
    let notes = notes_of(4);
    let said = |note: &String| note.contains("from 4 minutes of 1 server;") && note.contains("1 of the 2 that reported not");
    assert!(notes.iter().any(said), "{notes:?}");
}

#[test]
fn less_than_an_hour_of_a_fleet_is_warned_of() {
    let warned = |minutes| notes_of(minutes).iter().any(|note| note.starts_with("WARNING") && note.contains("too few"));
    assert_eq!([4, 59, 60].map(warned), [true, true, false]);
}

#[test]
fn the_probes_are_planned_too() {
    let plan = plan(wanted());
    // 200 messages a second.
    assert!((value(&plan, "probe_cores") - 0.00105).abs() < 1e-9);
    assert_eq!(value(&plan, "probe_memory"), 64.0 * 1024.0 * 1024.0);
    assert!((value(&plan, "probe_network") - value(&plan, "network") / 10.0).abs() < 1e-9);
    assert!((value(&plan, "probe_spool_per_hour") - 360.0 * value(&plan, "payload")).abs() < 1e-6);
}

#[test]
fn what_exceeds_a_bound_is_warned_of() {
    let large = plan(Wanted { servers: 100, records: 50_000, active: 45_000, ..wanted() });
    let warnings: Vec<&String> = large.notes.iter().filter(|note| note.starts_with("WARNING")).collect();
    let names = ["store.max_records", "store.max_series", "memory.max_bytes"];
    assert!(warnings.len() == 3 && names.iter().zip(&warnings).all(|(name, note)| note.contains(name)), "{warnings:?}");
    assert!(plan(wanted()).notes.iter().all(|note| !note.starts_with("WARNING")));
}

#[test]
fn an_estimate_of_active_records_has_all_of_them_as_its_end() {
    let (active, from) = Assumed::active(5_000, 60, None);
    assert!((1_930..=1_945).contains(&active) && from.starts_with("estimated"), "{active} {from}");
    let guess = Assumed { active_from: from, active_estimated: true, ..assumed() };
    let guess = Plan::new(Wanted { active, ..wanted() }, guess, constants(), "a test".to_owned());
    let [_, disk, network] = &guess.summary;
    assert!(disk.contains("with all records active") && network.contains("with all records active"), "{disk} {network}");
    assert!(guess.text().contains("active records: estimated"));
    assert_eq!(Assumed::active(1, 1, None).0, 1);
}

#[test]
fn more_requests_mean_more_active_records() {
    let active = [0.01, 1.0, 100.0].map(|requests| Assumed::active(5_000, 60, Some(requests)).0);
    assert!(active.is_sorted() && active[0] < 5 && active[2] > 1_000, "{active:?}");
}

#[test]
fn what_is_not_measured_costs_nothing() {
    let plan = plan(Wanted { metrics: 0, ..wanted() });
    assert_eq!((value(&plan, "values_per_day"), value(&plan, "messages")), (0.0, 10.0 / 60.0));
}

#[test]
fn bytes_are_told_in_the_largest_unit_that_fits() {
    let told =
        [(12.0, "bytes"), (12_345.0, "bytes/s"), (2e9, "bytes"), (0.0142, "cores"), (0.000217, "cores"), (14_400.0, "batches")];
    let told: Vec<String> = told.into_iter().map(|(value, unit)| readable(value, unit)).collect();
    expect!["12.00 B, 12.35 kB/s, 2.00 GB, 0.014 cores, 0.000217 cores, 14400 batches"].assert_eq(&told.join(", "));
}
