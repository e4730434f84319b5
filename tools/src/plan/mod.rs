//! Sizing a machine from measured costs.
//!
//! Everything follows from points and values. The batch of an interval has one point for the requests of each active
//! record, and one for their responses. A machine has one value for each of its series every 5 s. The costs of points
//! and values were measured ([`Constants`]).
//!
//! Every figure shows its formula. A margin is added once, to the recommended figures, and the plan states it.
//!
//! ```text
//! running ─▶ input ─▶ load ─▶ resources, network, probe ─▶ recommended ─▶ summary, notes
//! ```

mod constants;
mod figures;
mod input;
mod load;
mod network;
mod notes;
mod probe;
mod resources;
mod running;
mod summary;
#[cfg(test)]
mod tests;

pub use constants::Constants;
pub use figures::Figure;
pub use input::{Assumed, Bounds, Wanted};
pub use running::{Observed, Running};

use figures::{Figures, readable};
use load::{Load, METRICS_INTERVAL_S};
use network::Network;
use notes::notes;
use resources::{Extra, Steady};
use serde::Serialize;
use std::fmt::Write;
use summary::summary;

/// The margin of the recommended figures, as a fraction.
const MARGIN: f64 = 0.3;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// The resources that a fleet needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The fleet.
    pub wanted: Wanted,
    /// The costs it was calculated from.
    pub constants: Constants,
    /// Where the constants come from.
    pub constants_from: String,
    /// The margin added to the recommended figures: 0.3 is 30 %.
    pub margin: f64,
    /// All figures. Each follows from those before it.
    pub figures: Vec<Figure>,
    /// One line each for machine, disk and network.
    pub summary: [String; 3],
    /// The assumptions.
    pub assumed: Assumed,
    /// What the assumptions mean, what does not fit, and why some figures are small.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan of a fleet.
    pub fn new(wanted: Wanted, assumed: Assumed, constants: Constants, constants_from: String) -> Plan {
        let Calculation { figures, load, cores } = Calculation::new(&wanted, &assumed, &constants);
        // If the number of active records is a guess, all of them may be active.
        let widest = Wanted { active: wanted.records, ..wanted };
        let widest = assumed.active_estimated.then(|| Calculation::new(&widest, &assumed, &constants).figures);
        let summary = summary(&figures, widest.as_ref());
        let notes = notes(&wanted, &assumed, &load, cores, &constants);
        Plan { wanted, constants, constants_from, margin: MARGIN, figures: figures.all(), summary, assumed, notes }
    }

    /// The plan as text: three lines, their assumptions, every figure with its formula, and the constants.
    pub fn text(&self) -> String {
        let Wanted { servers, records, active, interval_s, metrics, raw_retention_minutes, aggregated_retention_days } =
            self.wanted;
        let mut text = self.summary.join("\n");
        // Writing to memory cannot fail.
        let _ = write!(
            text,
            "\n\n{servers} servers of {records} records, {active} of them active in every {interval_s} s; {metrics} metrics every {METRICS_INTERVAL_S} s;\n\
             raw points kept for {raw_retention_minutes} min, roll-ups for {aggregated_retention_days} days\n\n"
        );
        for note in &self.notes {
            let _ = writeln!(text, "* {note}");
        }
        text.push('\n');
        for Figure { name, value, unit, formula } in &self.figures {
            let _ = writeln!(text, "{name:<24} {:>20}   = {formula}", readable(*value, unit));
        }
        let _ = writeln!(
            text,
            "\nwith a margin of {:.0} % where it says recommended; measured ({}):",
            MARGIN * 100.0,
            self.constants_from
        );
        for (name, value) in self.constants.all() {
            let _ = writeln!(text, "  {name:<32} {value}");
        }
        text
    }
}

struct Calculation {
    figures: Figures,
    load: Load,
    /// For the load alone.
    cores: f64,
}

impl Calculation {
    fn new(wanted: &Wanted, assumed: &Assumed, c: &Constants) -> Self {
        let (mut figures, bounds) = (Figures::default(), &assumed.bounds);
        let load = Load::new(&mut figures, wanted);
        let steady = Steady::new(&mut figures, &load, wanted, c);
        let network = Network::new(&mut figures, &load, c);
        probe::probe(&mut figures, wanted, assumed.requests_per_s, c, network);
        let extra = resources::extra_memory(&mut figures, &load, bounds, c);
        let names = resources::flood(&mut figures, &load, wanted, bounds, c);
        recommend_disk(&mut figures, &steady, bounds, names);
        recommend_memory(&mut figures, &steady, &extra);
        let margin = 1.0 + MARGIN;
        figures.put("recommended_network", "bytes/s", "1.3 × network", margin * network.total);
        let cores = (margin * steady.cores).ceil() + 1.0;
        figures.put("recommended_cores", "cores", "1.3 × cores, rounded up, + 1 for questions", cores);
        Calculation { figures, load, cores: steady.cores }
    }
}

fn recommend_disk(figures: &mut Figures, steady: &Steady, bounds: &Bounds, names: f64) {
    let disk = figures.put(
        "recommended_disk",
        "bytes",
        "1.3 × disk_steady + store.min_free_bytes, which is held back + 512 MiB of log and of files being rewritten",
        (1.0 + MARGIN) * steady.disk + bounds.min_free_bytes as f64 + 0.5 * GIB,
    );
    figures.put("most_disk", "bytes", "recommended_disk + flood_disk", disk + names);
}

fn recommend_memory(figures: &mut Figures, steady: &Steady, extra: &Extra) {
    let memory = (1.0 + MARGIN) * steady.memory;
    let least = "1.3 × memory + sql_idle_memory; little is asked";
    figures.put("least_memory", "bytes", least, memory + extra.idle);
    let recommended = figures.put(
        "recommended_memory",
        "bytes",
        "1.3 × memory + query_memory + answers_memory + sql_memory; all that may be asked at once",
        memory + extra.asked,
    );
    figures.put("most_memory", "bytes", "recommended_memory + flood_memory", recommended + extra.flood);
}
