//! The columns that sums are split by.

use crate::By;
use crate::columns::{Column, Dimension};
use crate::time::Stretches;
use zonepulse_store::{Split, SplitKind};

/// The columns about the step of a row.
pub(crate) const MARKS: [Column; 3] = [Column::ObservedServers, Column::Servers, Column::Open];

/// The groups of a question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups(pub(crate) By);

impl Groups {
    /// The columns that identify a group, as numbers.
    pub(crate) fn numbers(self) -> Vec<Column> {
        let By { record, server, action } = self.0;
        [(server, Column::ServerId), (action, Column::Kind), (record, Column::RecordId)]
            .into_iter()
            .filter_map(|(wanted, column)| wanted.then_some(column))
            .collect()
    }

    /// The same for sums over steps.
    pub(crate) fn numbers_in_steps(self) -> Vec<Column> {
        [vec![Column::Time], self.numbers()].concat()
    }

    /// The columns of an answer whose rows are about steps: [`Groups::after`], and then [`MARKS`].
    pub(crate) fn of_steps(self, own: &[Column]) -> Vec<Column> {
        [&self.after(own)[..], &MARKS].concat()
    }

    /// The columns of an answer: its own, and then those that identify a group.
    pub(crate) fn after(self, own: &[Column]) -> Vec<Column> {
        let By { record, server, action } = self.0;
        let record = if record { Dimension::Record.columns() } else { &[] };
        let server = if server { Dimension::Server.columns() } else { &[] };
        let action: &[_] = if action { &[Column::Action] } else { &[] };
        [own, record, server, action].concat()
    }

    /// How a scan adds up by these groups and by stretches of time.
    pub(crate) fn split(self, Stretches { length_s, shift_s }: Stretches) -> Split {
        let By { record, server, action } = self.0;
        let kind = if action { SplitKind::ByAction } else { SplitKind::Together };
        Split { server, record, kind, length_s: Some(length_s), shift_s }
    }
}
