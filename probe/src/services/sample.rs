//! What a service says about itself at one moment.

use crate::system::Reading;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Maximum number of counters in a sample.
pub(super) const MAX_COUNTERS: usize = 2048;

/// The metric of a counter's rate, and its label.
pub(super) type Key = (Cow<'static, str>, String);

/// What a service says about itself at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Present values.
    pub gauges: Vec<Reading>,
    /// Totals since the service started, by metric and label of their rates. A missing counter is 0.
    pub counters: BTreeMap<(Cow<'static, str>, String), u64>,
}

impl Sample {
    /// Adds a present value.
    pub(super) fn gauge(&mut self, metric: &'static str, label: impl Into<Cow<'static, str>>, value: f64) {
        self.gauges.push(Reading { metric: Cow::Borrowed(metric), label: label.into(), value });
    }

    /// Adds a total, unless there are too many.
    pub(super) fn count(&mut self, metric: impl Into<Cow<'static, str>>, label: &str, total: u64) -> Result<(), TooMany> {
        if self.counters.len() >= MAX_COUNTERS {
            return Err(TooMany);
        }
        // Of two counters with the same name, the first one counts.
        self.counters.entry((metric.into(), label.to_owned())).or_insert(total);
        Ok(())
    }
}

/// There are more than [`MAX_COUNTERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;
