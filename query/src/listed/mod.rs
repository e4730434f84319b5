//! Tables whose rows are not points: zones, resources, verdicts, and what was observed.
//!
//! They are few rows, or computed anew from the newest data each time, by the part of the program that has the catalogue. This
//! crate gives them names, columns and a place in plans, and asks a [`Catalogue`] for the rows. Like every scan, a
//! request for them is a plain value, so that SQL workers can ask.

mod table;

pub(crate) use table::CatalogueTable;

use crate::columns::Column;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Why rows could not be had.
pub type CatalogueError = Box<dyn Error + Send + Sync>;

/// What has the rows.
pub trait Catalogue: Send + Sync {
    /// Gives all rows of a table as of a moment (Unix milliseconds), in batches of these columns with the types and
    /// nullability of [`Listed::schema_of`], until told to stop.
    fn rows(
        &self,
        table: Listed,
        columns: &[Column],
        now_ms: u64,
        each: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), CatalogueError>;
}

/// A table of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The zones.
    Zones,
    /// The RRsets of zones, present and removed.
    Resources,
    /// What can be said of deleting each present RRset, for the default window.
    Verdicts,
    /// Which time of each server was observed, and why not.
    Observation,
}

const ZONES: &[Column] = &[
    Column::ZoneId,
    Column::Zone,
    Column::View,
    Column::Source,
    Column::Primary,
    Column::Serial,
    Column::Resources,
    Column::OthersServeIt,
    Column::LoadedAt,
    Column::CheckedAt,
    Column::State,
    Column::Error,
];

const RESOURCES: &[Column] = &[
    Column::ResourceId,
    Column::Label,
    Column::ZoneId,
    Column::Zone,
    Column::View,
    Column::Host,
    Column::Type,
    Column::Ttl,
    Column::Data,
    Column::Created,
    Column::Removed,
    Column::Protection,
    Column::Note,
];

const VERDICTS: &[Column] = &[
    Column::ResourceId,
    Column::Label,
    Column::ZoneId,
    Column::Zone,
    Column::View,
    Column::Host,
    Column::Type,
    Column::Ttl,
    Column::Verdict,
    Column::Reasons,
    Column::Asked,
    Column::FirstSeen,
    Column::LastAccess,
    Column::QuietForS,
    Column::ObservedShare,
    Column::RulesOut,
    Column::Evidence,
];

const OBSERVATION: &[Column] = &[Column::ServerId, Column::Server, Column::From, Column::To, Column::Observed, Column::Why];

impl Listed {
    /// All of them.
    pub const ALL: [Listed; 4] = [Listed::Zones, Listed::Resources, Listed::Verdicts, Listed::Observation];

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Listed::Zones => "zones",
            Listed::Resources => "resources",
            Listed::Verdicts => "verdicts",
            Listed::Observation => "observation",
        }
    }

    /// Its columns, in order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Listed::Zones => ZONES,
            Listed::Resources => RESOURCES,
            Listed::Verdicts => VERDICTS,
            Listed::Observation => OBSERVATION,
        }
    }

    /// Whether a row can be without a value in a column. That a record was accessed is certain of a point, but not of a
    /// resource.
    pub fn has_nulls(self, column: Column) -> bool {
        column.has_nulls() || matches!(column, Column::FirstSeen | Column::LastAccess)
    }

    /// Columns of it as Arrow describes them.
    pub fn schema_of(self, columns: &[Column]) -> SchemaRef {
        let field = |column: &Column| -> Field { column.field().with_nullable(self.has_nulls(*column)) };
        Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
    }
}
