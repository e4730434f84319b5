//! What an operator runs.

use super::Retirements;
use super::plan::{Stage, prepared};
use crate::Error;
use std::net::SocketAddr;
use zonepulse_catalogue::retirement::{self, Client};
use zonepulse_model::ResourceId;
use zonepulse_store::Source;

/// How a plan is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// DNS UPDATE commands for BIND's nsupdate.
    Nsupdate,
    /// DNS UPDATE commands for Knot's knsupdate.
    Knsupdate,
    /// A shell script that calls knotc.
    Knotc,
    /// The lines of the zone that change.
    Diff,
    /// A list.
    Csv,
}

impl ExportFormat {
    /// All of them, with their names.
    pub const ALL: [(&'static str, ExportFormat); 5] = [
        ("nsupdate", ExportFormat::Nsupdate),
        ("knsupdate", ExportFormat::Knsupdate),
        ("knotc", ExportFormat::Knotc),
        ("diff", ExportFormat::Diff),
        ("csv", ExportFormat::Csv),
    ];
}

/// What brings resources to a stage, and what takes them back from it; a list has no way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Brings them there.
    pub apply: String,
    /// Takes them back.
    pub undo: Option<String>,
}

impl Retirements {
    /// Exports a plan for a stage. All its resources are in it, whatever stage they are at: the script checks what it finds.
    pub fn export(&self, id: u32, format: ExportFormat, stage: Stage, server: Option<SocketAddr>) -> Result<Exported, Error> {
        let plan = self.find(id)?;
        let catalogue = self.store.catalogue();
        let label = |id: u32| catalogue.note(ResourceId::new(id)).ok().map(|note| note.label).filter(|label| !label.is_empty());
        let prepared = prepared(&plan, &label)?;
        let server = server.or_else(|| self.primary(plan.zone_id));
        let stage = stage.exported();
        let both = |export: retirement::Export| Exported { apply: export.apply, undo: Some(export.undo) };
        let exported = match format {
            ExportFormat::Nsupdate => retirement::nsupdate(&prepared, stage, Client::Nsupdate, server).map(both),
            ExportFormat::Knsupdate => retirement::nsupdate(&prepared, stage, Client::Knsupdate, server).map(both),
            ExportFormat::Knotc => retirement::knotc(&prepared, stage).map(both),
            ExportFormat::Diff => return Ok(both(retirement::diff(&prepared, stage))),
            ExportFormat::Csv => return Ok(Exported { apply: retirement::csv(&prepared, stage), undo: None }),
        };
        exported.map_err(|error| Error::bad_value("format", error))
    }

    /// Where updates of a zone go, if it comes from there.
    fn primary(&self, zone_id: u32) -> Option<SocketAddr> {
        match self.zones.find(zone_id).ok()?.source {
            Source::Transfer { primary, .. } => primary.parse().ok(),
            _ => None,
        }
    }
}
