//! Zones and the ledger as rows, and all tables of the catalogue for SQL.

use super::Zones;
use super::columns::{batch, flags, ids, instants, numbers, of_zones, texts};
use crate::Error;
use crate::verdicts::Verdicts;
use arrow::record_batch::RecordBatch;
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_model::ServerId;
use zonepulse_query::{Answer, Catalogue, CatalogueError, Column, Listed};
use zonepulse_store::Period;
use zonepulse_store::Store;
use zonepulse_store::{Source, Zone, ZoneState};

/// Maximum number of rows of a batch.
const BATCH_ROWS: usize = 4096;
/// How far back the table `observation` goes: the default window of verdicts.
const DEFAULT_RANGE_MS: u64 = crate::verdicts::DEFAULT_WINDOW_MS;

/// The tables of the catalogue.
pub struct Tables {
    /// The zones.
    pub zones: Arc<Zones>,
    /// The verdicts.
    pub verdicts: Arc<Verdicts>,
}

impl Catalogue for Tables {
    fn rows(
        &self,
        table: Listed,
        columns: &[Column],
        now_ms: u64,
        each: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), CatalogueError> {
        let done = match table {
            Listed::Zones => self.zones.list().and_then(|rows| zones(columns, &rows)).map(|batch| {
                let _ = each(batch);
            }),
            Listed::Resources => self.zones.all_resources(columns, each),
            Listed::Verdicts => self.verdicts.all_rows(columns, now_ms, each),
            Listed::Observation => {
                let range_ms = (now_ms.saturating_sub(DEFAULT_RANGE_MS), now_ms);
                observation(&self.zones.store, &[], range_ms).and_then(|rows| {
                    for rows in rows.chunks(BATCH_ROWS) {
                        if each(periods(columns, rows)?).is_break() {
                            break;
                        }
                    }
                    Ok(())
                })
            }
        };
        done.map_err(CatalogueError::from)
    }
}

fn zones(columns: &[Column], rows: &[Zone]) -> Result<RecordBatch, Error> {
    let instant = |at_ms: Option<u64>| at_ms.map(|at_ms| at_ms as i64);
    batch(Listed::Zones, columns, rows.len(), |column| {
        Some(match column {
            Column::ZoneId | Column::Zone | Column::View => of_zones(column, rows.iter().map(Some))?,
            Column::Source => texts(rows.iter().map(|row| Some(source(&row.source).to_owned()))),
            Column::Primary => texts(rows.iter().map(|row| match &row.source {
                Source::Transfer { primary, .. } => Some(primary.clone()),
                _ => None,
            })),
            Column::Serial => numbers(rows.iter().map(|row| row.serial.map(i64::from))),
            Column::Resources => numbers(rows.iter().map(|row| Some(row.resources as i64))),
            Column::OthersServeIt => flags(rows.iter().map(|row| row.others_serve_it)),
            Column::LoadedAt => instants(rows.iter().map(|row| instant(row.loaded_ms))),
            Column::CheckedAt => instants(rows.iter().map(|row| instant(row.checked_ms))),
            Column::State => texts(rows.iter().map(|row| Some(state(row.state).to_owned()))),
            Column::Error => texts(rows.iter().map(|row| row.error.clone())),
            _ => return None,
        })
    })
}

/// What a source is called.
pub fn source(source: &Source) -> &'static str {
    match source {
        Source::Upload => "upload",
        Source::File { .. } => "file",
        Source::Transfer { .. } => "transfer",
    }
}

/// The states of zones.
pub const STATES: [ZoneState; 5] =
    [ZoneState::Empty, ZoneState::Loaded, ZoneState::Waiting, ZoneState::Failed, ZoneState::Expired];

/// What a state is called.
pub fn state(state: ZoneState) -> &'static str {
    match state {
        ZoneState::Empty => "empty",
        ZoneState::Loaded => "loaded",
        ZoneState::Waiting => "waiting",
        ZoneState::Failed => "failed",
        ZoneState::Expired => "expired",
    }
}

/// A period of a server.
pub(crate) struct ServerPeriod {
    server_id: ServerId,
    server: Arc<str>,
    period: Period,
}

impl Zones {
    /// A page of the ledger of these servers, or of all: by server, then time.
    pub fn observation(&self, servers: &[u32], range_ms: (u64, u64), offset: u64, limit: u64) -> Result<Answer, Error> {
        let rows = observation(&self.store, servers, range_ms)?;
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let columns = Listed::Observation.columns();
        let page = rows.get(place(offset).min(rows.len())..).unwrap_or_default();
        let page = page.get(..place(limit).min(page.len())).unwrap_or_default();
        let batches = page.chunks(BATCH_ROWS).map(|rows| periods(columns, rows)).collect::<Result<_, _>>()?;
        Ok(Answer { batches, schema: Listed::Observation.schema_of(columns), total: rows.len() as u64 })
    }
}

fn observation(store: &Store, servers: &[u32], (from_ms, until_ms): (u64, u64)) -> Result<Vec<ServerPeriod>, Error> {
    let mut rows = Vec::new();
    let is_asked = |id: ServerId| servers.is_empty() || servers.contains(&id.get());
    for server in store.registry().servers()?.into_iter().filter(|server| is_asked(server.id)) {
        let name: Arc<str> = server.name.as_str().into();
        let periods = store.ledger(server.id, from_ms..until_ms, None)?;
        rows.extend(periods.into_iter().map(|period| ServerPeriod { server_id: server.id, server: name.clone(), period }));
    }
    Ok(rows)
}

fn periods(columns: &[Column], rows: &[ServerPeriod]) -> Result<RecordBatch, Error> {
    batch(Listed::Observation, columns, rows.len(), |column| {
        Some(match column {
            Column::ServerId => ids(rows.iter().map(|row| row.server_id.get())),
            Column::Server => texts(rows.iter().map(|row| Some(row.server.to_string()))),
            Column::From => instants(rows.iter().map(|row| Some(row.period.from_ms as i64))),
            Column::To => instants(rows.iter().map(|row| Some(row.period.until_ms as i64))),
            Column::Observed => flags(rows.iter().map(|row| row.period.why.is_empty())),
            Column::Why => texts(rows.iter().map(|row| {
                let why: Vec<&str> = row.period.why.iter().map(|reason| reason.as_str()).collect();
                (!why.is_empty()).then(|| why.join(" "))
            })),
            _ => return None,
        })
    })
}
