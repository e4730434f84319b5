//! `zonepulse check`.

use super::Overlay;
use crate::Error;
use crate::config::Settings;
use clap::Args;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks the whole store.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The central's data directory
    #[arg(value_name = "DIR")]
    data: PathBuf,
}

impl Check {
    /// Exit code 1 if the store is inconsistent.
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = Settings::read(None)?;
        overlay.start(&settings);
        super::store_is_there(&self.data)?;
        let store = crate::data::open(&self.data, &settings.store.into())?;
        let found = store.check()?;
        let zonepulse_store::Check { records, blocks, sealed, points, hits, system_points, reports, batches, .. } = found;
        let zonepulse_store::Check { zones, resources, faults, .. } = found;
        let mut out = io::stdout().lock();
        for fault in &faults {
            writeln!(out, "fault: {fault}")?;
        }
        writeln!(
            out,
            "records {records}, batches {batches}, reports {reports}, open blocks {blocks}, sealed values {sealed}, points {points}, hits {hits}, points of metrics {system_points}, zones {zones}, resources {resources}"
        )?;
        if !faults.is_empty() {
            let at_least = if faults.len() >= zonepulse_store::Check::MAX_FAULTS { "at least " } else { "" };
            writeln!(out, "the store is not sound: {at_least}{} faults", faults.len())?;
            writeln!(
                out,
                "Keep a copy of it. `zonepulse export` writes what can still be read of it; a restored copy, or an empty"
            )?;
            writeln!(out, "directory, takes its place. Batches that probes have not delivered come by themselves.")?;
            return Ok(ExitCode::FAILURE);
        }
        writeln!(out, "the store is sound")?;
        Ok(ExitCode::SUCCESS)
    }
}
