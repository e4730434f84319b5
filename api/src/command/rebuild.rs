//! `zonepulse rebuild`.

use super::{Overlay, Place};
use crate::Error;
use crate::time::read_ms;
use clap::Args;
use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;
use zonepulse_central::accounts;
use zonepulse_central::time::{self, text};
use zonepulse_dns::{Action, RecordType, Served};
use zonepulse_model::{IdSet, RecordId};
use zonepulse_query::HostPattern;
use zonepulse_store::{Rebuild as Request, Rebuilt, Server, Store, Total};

const DAY_MS: u64 = 86_400_000;

/// Recalculates totals from the points that are kept.
#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// Only the totals of this name [default: all records]
    host: Option<String>,
    /// Only those of this type, such as AAAA
    #[arg(value_name = "TYPE", value_parser = record_type)]
    record_type: Option<RecordType>,
    /// Only those of this server, by name or id [default: all servers]
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Remove all points of whole hours before this time: RFC 3339, a date (UTC), Unix seconds, or relative as in -30d
    #[arg(long, value_name = "TIME", value_parser = read_ms, allow_hyphen_values = true, conflicts_with = "host")]
    drop_before: Option<u64>,
    /// Remove all points of whole hours after this time, in the same formats
    #[arg(long, value_name = "TIME", value_parser = read_ms, allow_hyphen_values = true, conflicts_with = "host")]
    drop_after: Option<u64>,
    /// Show what would change, without changing anything
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

/// Parses a record type as the API does.
fn record_type(text: &str) -> Result<RecordType, String> {
    text.parse().map_err(|error: zonepulse_dns::Error| error.to_string())
}

impl Rebuild {
    pub(super) fn run(&self, overlay: Overlay) -> Result<ExitCode, Error> {
        let settings = self.place.settings()?;
        overlay.start(&settings);
        super::store_is_there(&settings.data)?;
        let believed_ms = self.believed_ms(&settings.ingest, time::now_ms())?;
        let store = crate::data::open(&settings.data, &settings.store.into())?;
        let records = self.records(&store)?;
        let servers = match &self.server {
            Some(server) => vec![accounts::find_server(&store, server)?],
            None => store.registry().servers()?,
        };
        let mut out = io::stdout().lock();
        writeln!(out, "server\thost\ttype\taction\trcode\twas\tis")?;
        for server in servers {
            let request = Request {
                server_id: server.id,
                records: records.clone(),
                drop_before_s: self.drop_before.map(|ms| ms / 1000),
                drop_from_s: self.drop_after.map(|ms| ms.div_ceil(1000)),
                believed_ms: believed_ms.clone(),
                dry_run: self.dry_run,
            };
            let rebuilt = accounts::here(&store).rebuild_totals(&request)?;
            tell(&mut out, &store, &server, &rebuilt)?;
            self.summarize(&mut out, &server, &rebuilt)?;
        }
        store.close()?;
        Ok(ExitCode::SUCCESS)
    }

    /// First and last accesses outside of this range, which the central would refuse today or which are being removed, are
    /// believed only if points confirm them.
    fn believed_ms(&self, ingest: &crate::config::Ingest, now_ms: u64) -> Result<Range<u64>, Error> {
        let oldest = now_ms.saturating_sub(u64::from(ingest.max_age_days).saturating_mul(DAY_MS));
        let newest = now_ms.saturating_add(ingest.max_ahead_s.saturating_mul(1000));
        let range = self.drop_before.unwrap_or(oldest)..self.drop_after.unwrap_or(newest);
        if range.is_empty() {
            let detail = format!("nothing would be left: {} does not lie before {}", text(range.start), text(range.end));
            return Err(Error::Argument(detail));
        }
        Ok(range)
    }

    fn records(&self, store: &Store) -> Result<Option<IdSet<RecordId>>, Error> {
        let Some(host) = &self.host else { return Ok(None) };
        let pattern: HostPattern = host.parse().map_err(|error: zonepulse_query::Error| Error::Argument(error.to_string()))?;
        let name = pattern.exact().ok_or_else(|| Error::Argument(format!("{host:?}: name one record, without stars")))?;
        let dictionary = store.dictionary();
        let found: IdSet<RecordId> = match self.record_type {
            Some(record_type) => dictionary.find(name, record_type).into_iter().collect(),
            None => dictionary.iter().filter(|(_, known, _)| *known == name).map(|(record_id, ..)| record_id).collect(),
        };
        if found.is_empty() {
            let of_type = self.record_type.map_or(String::new(), |record_type| format!(" of type {record_type}"));
            return Err(Error::Argument(format!("no server has ever counted a record {name:?}{of_type}")));
        }
        Ok(Some(found))
    }

    fn summarize(&self, out: &mut impl Write, server: &Server, rebuilt: &Rebuilt) -> Result<(), Error> {
        let Rebuilt { totals, changed, removed, unbelieved, dropped_batches, dropped_hits, dropped_metric_hours, .. } = rebuilt;
        let would = if self.dry_run { " (dry run: nothing was written)" } else { "" };
        writeln!(
            out,
            "{}: totals {totals}, changed {changed}, removed {removed}, batches removed {dropped_batches}, hits removed {dropped_hits}, hours of metrics removed {dropped_metric_hours}{would}",
            server.name
        )?;
        if *unbelieved > 0 {
            writeln!(
                out,
                "{}: {unbelieved} totals still have points with times that the central would refuse today: --drop-before and --drop-after remove those",
                server.name
            )?;
        }
        Ok(())
    }
}

/// The totals that changed.
fn tell(out: &mut impl Write, store: &Store, server: &Server, rebuilt: &Rebuilt) -> Result<(), Error> {
    let dictionary = store.dictionary();
    for (before, after) in &rebuilt.changes {
        let Some(total) = before.or(*after) else { continue };
        let (host, record_type) = dictionary.get(total.record_id).unwrap_or(("-", RecordType::new(0)));
        let action = total.kind.action().map_or("served", Action::as_str);
        let class = total.kind.class().map_or("-", Served::as_str);
        let code = total.kind.response_code().map_or_else(|| class.to_owned(), |code| code.to_string());
        let [was, is] = [before, after].map(|total| total.map_or_else(|| "-".to_owned(), shown));
        writeln!(out, "{}\t{host}\t{record_type}\t{action}\t{code}\t{was}\t{is}", server.name)?;
    }
    let more = (rebuilt.changed + rebuilt.removed).saturating_sub(rebuilt.changes.len() as u64);
    if more > 0 {
        writeln!(out, "{}: and {more} more", server.name)?;
    }
    Ok(())
}

fn shown(total: Total) -> String {
    format!("{} hits, {} to {}", total.hits, text(total.first_ms), text(total.last_ms))
}

#[cfg(test)]
mod tests {
    use crate::command::Command;
    use clap::Parser;

    fn arguments(text: &[&str]) -> Result<Command, clap::Error> {
        Command::try_parse_from(["zonepulse", "rebuild"].iter().chain(text))
    }

    #[test]
    fn points_are_removed_of_all_records_or_not_at_all() {
        assert!(arguments(&["www.example.", "AAAA", "--server", "ns1", "--dry-run"]).is_ok());
        assert!(arguments(&["--drop-before", "2001-01-01T00:00:00Z", "--drop-after", "1800000000"]).is_ok());
        let refused = arguments(&["www.example.", "--drop-after", "1800000000"]).unwrap_err().to_string();
        assert!(refused.contains("cannot be used with"), "{refused}");
    }

    #[test]
    fn a_time_may_be_counted_from_now() {
        for arguments_given in [["--drop-before", "-30d"], ["--drop-after", "-1h"], ["--drop-after", "2026-11-26"]] {
            assert!(arguments(&arguments_given).is_ok(), "{arguments_given:?}");
        }
    }

    #[test]
    fn an_argument_that_cannot_be_read_is_named() {
        for (given, named) in [(&["www.example.", "AAAAA"][..], "AAAAA"), (&["--drop-after", "soon"], "soon")] {
            let refused = arguments(given).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
