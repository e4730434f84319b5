//! The numbers of a plan, each with its formula.

use serde::Serialize;

/// A number of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit: bytes, bytes/s, points, cores …
    pub unit: &'static str,
    /// How it is calculated from other names of this plan, and what it is for.
    pub formula: &'static str,
}

/// The numbers calculated so far.
#[derive(Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure and returns its value, for figures that depend on it.
    pub fn put(&mut self, name: &'static str, unit: &'static str, formula: &'static str, value: f64) -> f64 {
        self.0.push(Figure { name, value, unit, formula });
        value
    }

    /// A figure as text.
    pub fn told(&self, name: &str) -> String {
        let found = self.0.iter().find(|figure| figure.name == name);
        found.map_or_else(String::new, |figure| readable(figure.value, figure.unit))
    }

    /// All figures, in the order in which they were added.
    pub fn all(self) -> Vec<Figure> {
        self.0
    }
}

/// Formats a number with its unit. Bytes are converted to the largest unit that fits.
pub fn readable(value: f64, unit: &str) -> String {
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
