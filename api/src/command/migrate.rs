//! `zonepulse migrate`: brings a store of an earlier format up to date, or says beforehand what that takes.
//!
//! `serve` does the same when it starts. This is for those who want to know first, or to do it at a time of their choice.

use super::{Overlay, Place};
use crate::data::STORE;
use crate::{Error, describe};
use clap::Args;
use serde_json::json;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use zonepulse_store::{Disk, Estimate, FORMAT, OLDEST_FORMAT, Survey};

/// Brings the store up to date.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Say what would be done and whether anything stands in the way, without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Something that keeps a store from being brought up to date.
#[derive(Debug)]
struct Obstacle {
    /// A word for programs.
    id: &'static str,
    /// What it is, and what to do about it.
    what: String,
}

/// What was found.
struct Found {
    /// `None` if the store cannot be read.
    survey: Option<Survey>,
    disk: Option<Disk>,
    obstacles: Vec<Obstacle>,
}

impl Migrate {
    /// Exit code 1 if something stands in the way.
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = self.place.settings()?;
        overlay.start(&settings);
        super::store_is_there(&settings.data)?;
        let found = Found::of(&settings.data);
        let migrates = !self.dry_run && found.has_steps() && found.obstacles.is_empty();
        if migrates {
            crate::data::open(&settings.data, &settings.store.into())?.close()?;
        }
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{:#}", found.json(&settings.data, migrates))?,
            false => self.tell(&mut out, &settings.data, &found, migrates)?,
        }
        Ok(if found.obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn tell(&self, out: &mut impl Write, data: &Path, found: &Found, migrated: bool) -> io::Result<()> {
        if let Some(survey) = &found.survey {
            let format = survey.format.map_or_else(|| "no format yet".to_owned(), |format| format!("format {format}"));
            let writer =
                survey.written_by.as_ref().map_or_else(String::new, |version| format!(", written by zonepulse {version}"));
            writeln!(out, "{}: {format}{writer}", data.display())?;
            writeln!(
                out,
                "This is zonepulse {}, which reads formats {OLDEST_FORMAT} to {FORMAT} and writes {FORMAT}.",
                Survey::VERSION
            )?;
            if survey.refusal.is_none() && survey.steps.is_empty() {
                writeln!(out, "There is nothing to do.")?;
            }
            for step in &survey.steps {
                writeln!(out, "step {}: {}", step.as_str(), step.what())?;
            }
            if let Some(Estimate { seconds, space_bytes }) = survey.estimate {
                let free = found.disk.map_or_else(String::new, |disk| format!("; {} bytes are free", disk.free_bytes));
                writeln!(
                    out,
                    "estimated from the size of what is read: {seconds} s, and at most {space_bytes} bytes in addition to the {} of the store{free}",
                    survey.size_bytes
                )?;
            }
        }
        for obstacle in &found.obstacles {
            writeln!(out, "obstacle {}: {}", obstacle.id, obstacle.what)?;
        }
        match (migrated, self.dry_run) {
            (true, _) => writeln!(out, "The store has format {FORMAT} now."),
            (false, true) => writeln!(out, "Dry run: nothing was changed."),
            (false, false) => writeln!(out, "Nothing was changed."),
        }
    }
}

impl Found {
    fn of(data: &Path) -> Self {
        let store = data.join(STORE);
        let mut obstacles = Vec::new();
        let mut add = |id, what: String| obstacles.push(Obstacle { id, what });
        for directory in [data, &store] {
            if let Err(error) = zonepulse_private::check_owner_of(directory) {
                add("owner", error.to_string());
            }
        }
        let disk = Disk::of(&store);
        let survey = match Survey::of(&store) {
            Ok(survey) => Some(survey),
            Err(error) => {
                add("unreadable", describe(&error));
                None
            }
        };
        if let Some(survey) = &survey {
            if let Some(refusal) = &survey.refusal {
                add("format", refusal.clone());
            }
            if survey.in_use {
                add("in_use", Error::InUse(data.to_owned()).to_string());
            }
            if !survey.is_writable {
                add("read_only", format!("{}: this user cannot write to it, or the file system is read-only", store.display()));
            }
            let needed = survey.estimate.map_or(0, |estimate| estimate.space_bytes);
            if let Some(disk) = disk.filter(|disk| disk.free_bytes < needed) {
                add(
                    "no_space",
                    format!(
                        "{} bytes are free on the disk of {}, and up to {needed} are needed",
                        disk.free_bytes,
                        store.display()
                    ),
                );
            }
        }
        Found { survey, disk, obstacles }
    }

    fn has_steps(&self) -> bool {
        self.survey.as_ref().is_some_and(|survey| !survey.steps.is_empty())
    }

    fn json(&self, data: &Path, migrated: bool) -> serde_json::Value {
        let survey = self.survey.as_ref();
        let steps = survey.into_iter().flat_map(|survey| &survey.steps);
        let steps: Vec<_> = steps.map(|step| json!({ "id": step.as_str(), "what": step.what() })).collect();
        let obstacles = self.obstacles.iter().map(|obstacle| json!({ "id": obstacle.id, "what": obstacle.what }));
        let estimate = survey.and_then(|survey| survey.estimate);
        json!({
            "data": data.to_string_lossy(),
            "format": survey.and_then(|survey| survey.format),
            "current_format": FORMAT,
            "oldest_format": OLDEST_FORMAT,
            "written_by": survey.and_then(|survey| survey.written_by.as_deref()),
            "program": Survey::VERSION,
            "steps": steps,
            "estimate": estimate.map(|Estimate { seconds, space_bytes }| json!({ "seconds": seconds, "space_bytes": space_bytes })),
            "store_bytes": survey.map(|survey| survey.size_bytes),
            "free_bytes": self.disk.map(|disk| disk.free_bytes),
            "obstacles": obstacles.collect::<Vec<_>>(),
            "migrated": migrated,
        })
    }
}
