//! A plan for people: what is needed in three lines, what that assumes, and every formula.

use super::{Figure, MARGIN, METRICS_INTERVAL_S, Plan, Wanted};
use std::fmt::Write;

impl Plan {
    /// Machine, disk and network, with ranges.
    pub(super) fn summarize(&self) -> [String; 3] {
        let told = |name: &str| self.told(name);
        // Where it is a guess how many records are active, all of them may be.
        let (disk, network) = match &self.widest {
            Some(widest) => (
                format!("{} with all records active and", widest.told("most_disk")),
                format!("up to {} with all records active, and ", widest.told("recommended_network")),
            ),
            None => (format!("{} with", told("most_disk")), String::new()),
        };
        [
            format!(
                "machine  {}, {} of memory ({} while little is asked, up to {} in a flood of random names)",
                told("recommended_cores"),
                told("recommended_memory"),
                told("least_memory"),
                told("most_memory")
            ),
            format!(
                "disk     {} ({} of it data; up to {disk} the names of a flood)",
                told("recommended_disk"),
                told("disk_steady")
            ),
            format!(
                "network  {} ({} in batches; {network}{} more for each server that is flooded)",
                told("recommended_network"),
                told("payload"),
                told("flood_network")
            ),
        ]
    }

    fn told(&self, name: &str) -> String {
        let found = self.figures.iter().find(|figure| figure.name == name);
        found.map_or_else(String::new, |figure| readable(figure.value, figure.unit))
    }

    /// For people: three lines, what they assume, every result with its formula, and then what it was calculated from.
    pub fn text(&self) -> String {
        let Wanted { servers, records, active, interval_s, metrics, raw_retention_minutes, aggregated_retention_days } =
            self.wanted;
        let mut text = self.summary.join("\n");
        // Writing into memory cannot fail.
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

/// A number with its unit, bytes in the largest that fits.
pub(super) fn readable(value: f64, unit: &str) -> String {
    let Some(rest) = unit.strip_prefix("bytes") else {
        let digits = match value {
            value if value.fract() == 0.0 || value >= 10.0 => 0,
            value if value < 0.001 => 6,
            _ => 3,
        };
        return format!("{value:.digits$} {unit}");
    };
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let (name, size) = units.into_iter().find(|(_, size)| value >= *size).unwrap_or(("B", 1.0));
    format!("{:.2} {name}{rest}", value / size)
}
