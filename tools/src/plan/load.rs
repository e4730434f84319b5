//! The load from a fleet: points, metric values, and batches.

use super::figures::Figures;
use super::input::{KINDS, Wanted};
use crate::popularity::Popularity;

/// Seconds per day.
pub const DAY_S: f64 = 86_400.0;
/// Seconds between two measurements of a machine, the default for probes.
pub const METRICS_INTERVAL_S: f64 = 5.0;
/// Seconds between two batches of metrics.
const METRICS_BATCH_S: f64 = 60.0;

/// What arrives at the central per day.
pub struct Load {
    /// DNS batches.
    pub batches: f64,
    /// Points in each of them.
    pub of_batch: f64,
    /// Points in all of them.
    pub points: f64,
    /// Points of the roll-ups of 5, 15, 30 and 60 minutes.
    pub rolled: [f64; 4],
    /// Metric values.
    pub values: f64,
    /// Batches of metrics.
    pub value_batches: f64,
    /// All records of the fleet, not per day.
    pub records: f64,
}

impl Load {
    /// The load of a fleet.
    pub fn new(figures: &mut Figures, wanted: &Wanted) -> Self {
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
}

/// A roll-up, and the names of its figures.
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
