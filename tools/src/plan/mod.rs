//! How large a machine must be, from what was measured.
//!
//! Everything follows from points and values: a batch of an interval has a point for each active record, once
//! for its requests and once for its responses; a machine has a value for each of its series every
//! [`METRICS_INTERVAL_S`]. What a point and a value cost was measured ([`Constants`]).
//!
//! Every result shows its formula. The margin is said and added at the end, nowhere else.

mod around;
mod constants;
mod running;
mod text;

pub use around::Bounds;
pub use constants::Constants;
pub use running::{Observed, Running};

use crate::popularity::Popularity;
use serde::Serialize;

const DAY_S: f64 = 86_400.0;
/// Requests, and responses with one code.
const KINDS: f64 = 2.0;
/// How often a machine is measured unless told otherwise, seconds.
const METRICS_INTERVAL_S: f64 = 5.0;
/// And how often what was measured is sent, seconds.
const METRICS_BATCH_S: f64 = 60.0;
/// What is recommended is so much more than what was calculated.
pub const MARGIN: f64 = 0.3;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// What a fleet is, and how long its points are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wanted {
    /// Servers.
    pub servers: u32,
    /// Records of each.
    pub records: u32,
    /// How many of them are asked for in an interval.
    pub active: u32,
    /// The length of an interval, seconds.
    pub interval_s: u32,
    /// Series of metrics of each server.
    pub metrics: u32,
    /// How long raw points are kept, minutes.
    pub raw_retention_minutes: u32,
    /// How long roll-ups and reports are kept, days.
    pub aggregated_retention_days: u32,
}

/// What was not asked for, and has to be assumed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumed {
    /// Where the number of active records is from.
    pub active_from: String,
    /// It is a guess: all records may be active as well.
    pub active_estimated: bool,
    /// Requests a second of each server, where that is known.
    pub requests_per_s: Option<f64>,
    /// Of how much time that is, where it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// Bounds of the central.
    pub bounds: Bounds,
    /// Where they are from.
    pub bounds_from: String,
}

/// A share of the records is active in a minute: that of the workload of docs/BENCHMARKS.md, 1,939 points of requests
/// and responses of 2,500 records.
pub const ACTIVE_SHARE: f64 = 1_939.0 / KINDS / 2_500.0;

impl Assumed {
    /// How many records are active, where nobody says: by requests, or as in what was measured.
    pub fn active(records: u32, interval_s: u32, requests_per_s: Option<f64>) -> (u32, String) {
        let (active, from) = match requests_per_s {
            Some(requests) => (
                Popularity::of_requests(records, requests * f64::from(interval_s)).active_in(1.0),
                format!(
                    "estimated from {requests} requests/s, the n-th most popular record being asked for 1/n as often as the first"
                ),
            ),
            None => {
                let of_minute = (f64::from(records) * ACTIVE_SHARE).max(1.0) as u32;
                let active = Popularity::new(records, of_minute).active_in(f64::from(interval_s) / 60.0);
                (active, "estimated: 39 % of the records in a minute, as in the workload of docs/BENCHMARKS.md; yours may differ much, so say --active, --requests or --from-running".to_owned())
            }
        };
        ((active.round() as u32).clamp(1, records), from)
    }
}

/// What a fleet needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Of what.
    pub wanted: Wanted,
    /// By what.
    pub constants: Constants,
    /// Where that is from.
    pub constants_from: String,
    /// What was added to what is recommended: 0.3 is 30 %.
    pub margin: f64,
    /// What follows, in the order in which each follows from those before it.
    pub figures: Vec<Figure>,
    /// Machine, disk and network in a line each.
    pub summary: [String; 3],
    /// What is assumed.
    pub assumed: Assumed,
    /// What that means, what does not fit, and why some figures are small.
    pub notes: Vec<String>,
    /// With all records active, where it is a guess how many are.
    #[serde(skip)]
    widest: Option<Box<Plan>>,
}

/// A number of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Of what: bytes, bytes/s, points, cores …
    pub unit: &'static str,
    /// How it is calculated, in names of this plan.
    pub formula: &'static str,
}

/// Figures that are being calculated.
struct Figures(Vec<Figure>);

impl Figures {
    fn put(&mut self, name: &'static str, unit: &'static str, formula: &'static str, value: f64) -> f64 {
        self.0.push(Figure { name, value, unit, formula });
        value
    }
}

/// A roll-up, and how its figures are called.
struct Level {
    minutes: f64,
    active: &'static str,
    points: &'static str,
    formula: &'static str,
}

const LEVELS: [Level; 4] = [
    Level { minutes: 5.0, active: "active_5m", points: "points_5m", formula: "servers × 288 × 2 × active_5m, a day" },
    Level { minutes: 15.0, active: "active_15m", points: "points_15m", formula: "servers × 96 × 2 × active_15m, a day" },
    Level { minutes: 30.0, active: "active_30m", points: "points_30m", formula: "servers × 48 × 2 × active_30m, a day" },
    Level { minutes: 60.0, active: "active_1h", points: "points_1h", formula: "servers × 24 × 2 × active_1h, a day" },
];

/// What comes in.
struct Load {
    batches: f64,
    of_batch: f64,
    points: f64,
    /// By day, of 5, 15, 30 and 60 minutes.
    rolled: [f64; 4],
    values: f64,
    value_batches: f64,
    records: f64,
}

impl Plan {
    /// Of a fleet, by constants from somewhere.
    pub fn new(wanted: Wanted, assumed: Assumed, constants: Constants, constants_from: String) -> Plan {
        let mut figures = Figures(Vec::new());
        let load = load(&mut figures, &wanted);
        let disk = disk(&mut figures, &load, &wanted, &constants);
        let memory = figures.put(
            "memory",
            "bytes",
            "memory_base_bytes + records_known × memory_bytes_per_record",
            constants.memory_base_bytes + load.records * constants.memory_bytes_per_record,
        );
        let cores = figures.put(
            "cores",
            "cores",
            "(points_per_day × cpu_s_per_million_points + values_per_day × system_cpu_s_per_million_points) / 86400 / 1000000; to take in, seal and roll up, without questions",
            (load.points * constants.cpu_s_per_million_points + load.values * constants.system_cpu_s_per_million_points)
                / DAY_S
                / 1e6,
        );
        let bounds = assumed.bounds;
        let [network, payload] = transport(&mut figures, &load, &constants);
        around::probe(&mut figures, &wanted, assumed.requests_per_s, &constants, [network, payload]);
        let around::Memory { asked, idle, flood } = around::memory(&mut figures, &load, &bounds, &constants);
        let names = around::flood(&mut figures, &load, &wanted, &bounds, &constants);
        let margin = 1.0 + MARGIN;
        let disk = figures.put(
            "recommended_disk",
            "bytes",
            "1.3 × disk_steady + store.min_free_bytes, which is held back + 512 MiB of log and of files being rewritten",
            margin * disk + bounds.min_free_bytes as f64 + 0.5 * GIB,
        );
        figures.put("most_disk", "bytes", "recommended_disk + flood_disk", disk + names);
        let least = "1.3 × memory + sql_idle_memory; little is asked";
        figures.put("least_memory", "bytes", least, margin * memory + idle);
        let memory = figures.put(
            "recommended_memory",
            "bytes",
            "1.3 × memory + query_memory + answers_memory + sql_memory; all that may be asked at once",
            margin * memory + asked,
        );
        figures.put("most_memory", "bytes", "recommended_memory + flood_memory", memory + flood);
        figures.put("recommended_network", "bytes/s", "1.3 × network", margin * network);
        figures.put("recommended_cores", "cores", "1.3 × cores, rounded up, + 1 for questions", (margin * cores).ceil() + 1.0);
        let mut notes = Vec::new();
        around::too_much(&wanted, &bounds, &mut notes);
        notes.extend(assumed.observed.and_then(|observed| observed.too_short()).map(|short| format!("WARNING: {short}")));
        notes.push(format!("active records: {}", assumed.active_from));
        notes.extend(assumed.observed.map(|observed| observed.told()));
        notes.push(format!("bounds of questions, SQL and the store: {}; probes: their defaults", assumed.bounds_from));
        if cores < 0.5 {
            notes.push(around::explained(&load, cores, &constants));
        }
        let widest = assumed.active_estimated.then(|| {
            let assumed = Assumed { active_estimated: false, ..assumed.clone() };
            let wanted = Wanted { active: wanted.records, ..wanted };
            Box::new(Plan::new(wanted, assumed, constants, constants_from.clone()))
        });
        let summary = Default::default();
        let mut plan =
            Plan { wanted, constants, constants_from, margin: MARGIN, figures: figures.0, summary, assumed, notes, widest };
        plan.summary = plan.summarize();
        plan
    }
}

fn load(figures: &mut Figures, wanted: &Wanted) -> Load {
    let [servers, records, active, metrics] = [wanted.servers, wanted.records, wanted.active, wanted.metrics].map(f64::from);
    let batches = servers * DAY_S / f64::from(wanted.interval_s);
    let batches = figures.put("batches_per_day", "batches", "servers × 86400 / interval_s", batches);
    let of_batch = figures.put("points_per_batch", "points", "2 × active", KINDS * active);
    let points = figures.put("points_per_day", "points", "batches_per_day × points_per_batch", batches * of_batch);
    let popularity = Popularity::new(wanted.records, wanted.active);
    let rolled = LEVELS.map(|level| {
        let active = popularity.active_in(level.minutes * 60.0 / f64::from(wanted.interval_s));
        figures.put(
            level.active,
            "records",
            "how many records are asked for at least once in that time, if the n-th most popular is asked for 1/n as often as the first",
            active,
        );
        let a_day = 1440.0 / level.minutes;
        figures.put(level.points, "points", level.formula, servers * a_day * KINDS * active)
    });
    let values = servers * metrics * DAY_S / METRICS_INTERVAL_S;
    let values = figures.put("values_per_day", "values", "servers × metrics × 86400 / 5", values);
    let value_batches = if wanted.metrics == 0 { 0.0 } else { servers * DAY_S / METRICS_BATCH_S };
    let formula = "servers × 86400 / 60 (0 without metrics)";
    let value_batches = figures.put("value_batches_per_day", "batches", formula, value_batches);
    let records = figures.put("records_known", "records", "servers × records", servers * records);
    Load { batches, of_batch, points, rolled, values, value_batches, records }
}

fn disk(figures: &mut Figures, load: &Load, wanted: &Wanted, c: &Constants) -> f64 {
    let raw_day = figures.put(
        "disk_raw_per_day",
        "bytes",
        "points_per_day × raw_bytes_per_point + values_per_day × system_raw_bytes_per_point",
        load.points * c.raw_bytes_per_point + load.values * c.system_raw_bytes_per_point,
    );
    let each = [c.rollup_5m_bytes, c.rollup_15m_bytes, c.rollup_30m_bytes, c.rollup_1h_bytes];
    let rolled_day = figures.put(
        "disk_rollups_per_day",
        "bytes",
        "points_5m × rollup_5m_bytes + points_15m × rollup_15m_bytes + points_30m × rollup_30m_bytes + points_1h × rollup_1h_bytes + values_per_day × system_rollup_bytes_per_point",
        load.rolled.iter().zip(each).map(|(points, bytes)| points * bytes).sum::<f64>()
            + load.values * c.system_rollup_bytes_per_point,
    );
    let reports_day = figures.put(
        "disk_reports_per_day",
        "bytes",
        "(batches_per_day + value_batches_per_day) × report_bytes",
        (load.batches + load.value_batches) * c.report_bytes,
    );
    let records = figures.put("disk_records", "bytes", "records_known × record_bytes", load.records * c.record_bytes);
    let open = figures.put(
        "disk_open",
        "bytes",
        "2 / 24 × (points_per_day × open_bytes_per_point + values_per_day × system_batch_bytes_per_point); the hour that runs, and the one before it until its space is given back",
        2.0 / 24.0 * (load.points * c.open_bytes_per_point + load.values * c.system_batch_bytes_per_point),
    );
    let (raw_days, days) = (f64::from(wanted.raw_retention_minutes) / 1440.0, f64::from(wanted.aggregated_retention_days));
    figures.put(
        "disk_steady",
        "bytes",
        "(raw_retention_minutes / 1440 + 1/24) × disk_raw_per_day + (aggregated_retention_days + 1/24) × (disk_rollups_per_day + disk_reports_per_day) + disk_records + disk_open; what expires leaves by whole hours",
        (raw_days + 1.0 / 24.0) * raw_day + (days + 1.0 / 24.0) * (rolled_day + reports_day) + records + open,
    )
}

/// Network and broker: bytes on the network, and those of batches.
fn transport(figures: &mut Figures, load: &Load, c: &Constants) -> [f64; 2] {
    let payload = figures.put(
        "payload",
        "bytes/s",
        "(batches_per_day × (batch_overhead_bytes + points_per_batch × batch_bytes_per_point) + values_per_day × system_batch_bytes_per_point) / 86400",
        (load.batches * (c.batch_overhead_bytes + load.of_batch * c.batch_bytes_per_point)
            + load.values * c.system_batch_bytes_per_point)
            / DAY_S,
    );
    let messages = (load.batches + load.value_batches) / DAY_S;
    let messages = figures.put("messages", "messages/s", "(batches_per_day + value_batches_per_day) / 86400", messages);
    let network = figures.put(
        "network",
        "bytes/s",
        "payload + messages × http_bytes; over HTTP, both ways, without TLS, TCP and IP",
        payload + messages * c.http_bytes,
    );
    let broker = figures.put(
        "broker",
        "bytes/s",
        "payload + messages × amqp_bytes; through RabbitMQ instead: into it, and as much out of it",
        payload + messages * c.amqp_bytes,
    );
    figures.put(
        "backlog_per_hour",
        "bytes",
        "3600 × broker; what waits in the broker, or in the probes, while the central is away",
        3600.0 * broker,
    );
    [network, payload]
}

#[cfg(test)]
mod tests {
    use super::text::readable;
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
        let rolled =
            10.0 * 2.0 * (288.0 * of_5m + 96.0 * 2.0 * of_15m + 48.0 * 3.0 * of_30m + 24.0 * 4.0 * of_1h) + 0.25 * values;
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
        let told = [
            (12.0, "bytes"),
            (12_345.0, "bytes/s"),
            (2e9, "bytes"),
            (0.0142, "cores"),
            (0.000217, "cores"),
            (14_400.0, "batches"),
        ];
        let told: Vec<String> = told.into_iter().map(|(value, unit)| readable(value, unit)).collect();
        expect!["12.00 B, 12.35 kB/s, 2.00 GB, 0.014 cores, 0.000217 cores, 14400 batches"].assert_eq(&told.join(", "));
    }
}
