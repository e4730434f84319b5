//! What sums are split by, as columns.

use crate::By;

/// The groups of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups(pub(crate) By);

impl Groups {
    /// The columns that tell groups apart, as numbers.
    pub(crate) fn numbers(self) -> Vec<&'static str> {
        let By { record, server, action } = self.0;
        [(server, "server_id"), (action, "kind"), (record, "record_id")]
            .into_iter()
            .filter_map(|(wanted, column)| wanted.then_some(column))
            .collect()
    }

    /// The columns of an answer whose rows are about steps: as [`Groups::after`], and what is said of the step.
    pub(crate) fn of_steps(self, own: &[&'static str]) -> Vec<&'static str> {
        [&self.after(own)[..], &["observed_servers", "servers", "open"]].concat()
    }

    /// An answer's columns: its own, and then those that tell groups apart.
    pub(crate) fn after(self, own: &[&'static str]) -> Vec<&'static str> {
        let By { record, server, action } = self.0;
        let record: &[_] = if record { &["resource_id", "host", "type", "folded"] } else { &[] };
        let server: &[_] = if server { &["server_id", "server"] } else { &[] };
        let action: &[_] = if action { &["action"] } else { &[] };
        [own, record, server, action].concat()
    }
}
