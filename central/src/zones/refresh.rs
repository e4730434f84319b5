//! Keeping zones up to date: files when they change, transfers by the timers of the SOA (RFC 1035 section 3.3.13), NOTIFY,
//! or on demand.

use super::import::apex;
use super::loading::Progress;
use super::source::{self, Fetched, Remembered};
use super::{Imported, Zones};
use crate::Error;
use crate::time::now_ms;
use std::collections::HashMap;
use std::fs::{self, File};
use std::future::Future;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zonepulse_catalogue::Zone as Contents;
use zonepulse_model::ZoneId;
use zonepulse_store::{Actor, Error as StoreError};
use zonepulse_store::{Source, Summary, Zone, ZoneState};

/// Maximum number of zones that are refreshed at the same time, and of those with the same primary, so that one that is
/// slow keeps no other waiting.
const AT_ONCE: usize = 64;
const AT_ONCE_OF_PRIMARY: usize = 2;
/// How often zone files are looked at.
const LOOK_AT_FILES: Duration = Duration::from_secs(30);
/// Bounds of the timers of a SOA: nobody asks a primary more often, or trusts a zone unasked for longer.
const LEAST_TIMER_S: u64 = 10;
const MOST_TIMER_S: u64 = 86_400;
/// Least time between two looks at a zone's source, milliseconds, whoever asks for them.
pub(super) const LEAST_PAUSE_MS: u64 = 1000;
/// When to try again to load a zone that never was.
const FIRST_RETRY_S: u64 = 60;

/// Refreshes zones until it is told to stop.
pub struct Refresher {
    zones: Arc<Zones>,
    places: Arc<Semaphore>,
    running: JoinSet<()>,
    /// The zones that are being refreshed.
    busy: HashMap<tokio::task::Id, Busy>,
    /// Before when its timers do not make a zone due again, Unix milliseconds: what became of the last refresh could not
    /// always be stored.
    rests_until_ms: HashMap<ZoneId, u64>,
}

struct Busy {
    zone: ZoneId,
    primary: String,
}

impl Refresher {
    /// For these zones.
    pub fn new(zones: Arc<Zones>) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Refresher { zones, places, running: JoinSet::new(), busy: HashMap::new(), rests_until_ms: HashMap::new() }
    }

    /// Runs until `end`. What is being imported is finished, transfers are given up.
    pub async fn run(mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            let wait = self.begin_due();
            tokio::select! {
                () = &mut end => break,
                () = self.zones.due.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(done) = self.running.join_next_with_id(), if !self.running.is_empty() => {
                    let task = done.map_or_else(|error| error.id(), |(task, ())| task);
                    if let Some(Busy { zone, .. }) = self.busy.remove(&task) {
                        self.rests_until_ms.insert(zone, now_ms() + LEAST_TIMER_S * 1000);
                    }
                }
            }
        }
        self.zones.ending.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }

    /// Starts what is due. Returns when to look again.
    fn begin_due(&mut self) -> Duration {
        let now_ms = now_ms();
        let wanted = std::mem::take(&mut *self.zones.wanted.lock());
        let mut next_ms = now_ms + LOOK_AT_FILES.as_millis() as u64;
        for loaded in &self.zones.current().zones {
            let row = &loaded.row;
            if row.source == Source::Upload {
                continue;
            }
            let is_wanted = wanted.contains(&row.id);
            let primary = primary_of(row);
            let of_primary = self.busy.values().filter(|busy| busy.primary == primary).count();
            let is_busy = self.busy.values().any(|busy| busy.zone == row.id);
            if is_busy || !primary.is_empty() && of_primary >= AT_ONCE_OF_PRIMARY {
                if is_wanted {
                    // Its turn comes when a refresh ends.
                    self.zones.wanted.lock().push(row.id);
                }
                continue;
            }
            let earliest_ms = row.checked_ms.map_or(0, |checked_ms| checked_ms + LEAST_PAUSE_MS).min(now_ms + LEAST_PAUSE_MS);
            if is_wanted && earliest_ms > now_ms {
                self.zones.wanted.lock().push(row.id);
                next_ms = next_ms.min(earliest_ms);
                continue;
            }
            let rests_until_ms = self.rests_until_ms.get(&row.id).copied().unwrap_or_default();
            let due_ms = due_ms(row, &loaded.contents.zone).max(rests_until_ms.min(now_ms + LEAST_TIMER_S * 1000));
            if due_ms > now_ms && !is_wanted {
                next_ms = next_ms.min(due_ms);
                continue;
            }
            let (zones, places, id) = (self.zones.clone(), self.places.clone(), row.id);
            let task = self.running.spawn(async move {
                let _place = places.acquire().await;
                if let Err(error) = zones.refresh(id, false).await {
                    tracing::warn!(zone_id = id.get(), %error, "the zone could not be refreshed");
                }
            });
            self.busy.insert(task.id(), Busy { zone: id, primary });
        }
        self.rests_until_ms.retain(|_, until_ms| (now_ms..=now_ms + LEAST_TIMER_S * 1000).contains(until_ms));
        Duration::from_millis(next_ms.saturating_sub(now_ms).max(10))
    }
}

/// The address of a zone's primary; empty for another source.
fn primary_of(row: &Zone) -> String {
    match &row.source {
        Source::Transfer { primary, .. } => primary.clone(),
        _ => String::new(),
    }
}

/// When a zone is to be looked at again, Unix milliseconds.
fn due_ms(row: &Zone, contents: &Contents) -> u64 {
    let Some(checked_ms) = row.checked_ms else { return 0 };
    match row.source {
        Source::Upload => u64::MAX,
        Source::File { .. } => checked_ms + LOOK_AT_FILES.as_millis() as u64,
        Source::Transfer { .. } => {
            let timers = Timers::of(contents);
            let is_fine = matches!(row.state, ZoneState::Loaded | ZoneState::Waiting);
            let wait_s = match timers {
                Some(timers) if is_fine => timers.refresh_s,
                Some(timers) => timers.retry_s,
                None => FIRST_RETRY_S,
            };
            checked_ms + wait_s * 1000
        }
    }
}

/// The timers of a zone's SOA, seconds.
struct Timers {
    refresh_s: u64,
    retry_s: u64,
    expire_s: u64,
}

impl Timers {
    fn of(zone: &Contents) -> Option<Timers> {
        let soa = zone.soa()?.rdatas().next()?;
        let numbers = soa.last_chunk::<20>()?;
        let number = |at: usize| {
            numbers
                .get(at..at + 4)
                .and_then(|octets| octets.first_chunk())
                .map_or(0, |octets| u64::from(u32::from_be_bytes(*octets)))
        };
        let bounded = |timer_s: u64| timer_s.clamp(LEAST_TIMER_S, MOST_TIMER_S);
        Some(Timers { refresh_s: bounded(number(4)), retry_s: bounded(number(8)), expire_s: number(12) })
    }
}

impl Zones {
    /// Loads a zone from its source now. `None` if it is up to date. `confirmed` lets it remove much of the zone.
    pub async fn refresh(self: &Arc<Self>, id: ZoneId, confirmed: bool) -> Result<Option<Imported>, Error> {
        let turns = self.turns_of(id);
        let _turn = turns.lock().await;
        let current = self.current();
        let (_, loaded) = current.zone(id).ok_or_else(|| Error::Missing(format!("there is no zone {id}")))?;
        let row = loaded.row.clone();
        let progress = self.loadings.begin(id, now_ms());
        let (done, progress) = match &row.source {
            Source::Upload => {
                return Err(Error::bad_value("source", "this zone is loaded from files that are uploaded: upload one"));
            }
            Source::File { path } => {
                let (zones, path, row) = (self.clone(), path.clone(), row.clone());
                let read = tokio::task::spawn_blocking(move || (zones.read_file(&row, &path, &progress), progress));
                read.await.map_err(|error| Error::Fault(error.to_string()))?
            }
            Source::Transfer { primary: address, tsig } => {
                let (primary, apex) = (source::primary(address, tsig.as_ref())?, apex(&row)?);
                // Serials of another source mean nothing here.
                let is_from_there = Remembered::of(&row).primary.as_deref() == Some(address);
                let before = is_from_there.then(|| loaded.contents.zone.clone());
                let mut ending = self.ending.subscribe();
                let ended = async { _ = ending.wait_for(|ending| *ending).await };
                let fetched = tokio::select! {
                    fetched = source::fetch(&primary, &apex, before.as_deref(), &progress) => fetched,
                    () = ended => return Err(Error::bad_value("primary", "this central is being stopped")),
                };
                (fetched.map_err(|error| Error::bad_value("primary", error)), progress)
            }
        };
        let zones = self.clone();
        let finished = tokio::task::spawn_blocking(move || zones.finish(&row, done, confirmed, &progress));
        finished.await.map_err(|error| Error::Fault(error.to_string()))?
    }

    /// One refresh of a zone at a time.
    fn turns_of(&self, id: ZoneId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock();
        turns.retain(|_, turns| Arc::strong_count(turns) > 1);
        turns.entry(id).or_default().clone()
    }

    fn read_file(&self, row: &Zone, path: &str, progress: &Progress) -> Result<Fetched, Error> {
        let path = self.file(path)?;
        let open = |error| Error::bad_value("file", format_args!("{}: {error}", path.display()));
        // Looked at before it is opened: opening a pipe would wait for somebody to write to it.
        if !fs::metadata(&path).map_err(open)?.is_file() {
            return Err(Error::bad_value("file", format_args!("{} is not a regular file", path.display())));
        }
        let root = self.options.directory.as_deref().map(Path::canonicalize).transpose().map_err(open)?;
        if root.is_some_and(|root| path.canonicalize().is_ok_and(|path| !path.starts_with(root))) {
            return Err(Error::bad_value("file", format_args!("{} leads out of zones.directory", path.display())));
        }
        let file = File::open(&path).map_err(open)?;
        let name = path.display().to_string();
        let root = self.options.directory.as_deref();
        source::read(&apex(row)?, &mut BufReader::new(file), &name, root, progress).map(Fetched::Zone)
    }

    fn finish(
        &self,
        row: &Zone,
        done: Result<Fetched, Error>,
        confirmed: bool,
        progress: &Progress,
    ) -> Result<Option<Imported>, Error> {
        let now_ms = now_ms();
        let failed = |error: &Error, state| {
            let text = error.to_string();
            self.note(row.id, |row| (row.state, row.error, row.checked_ms) = (state, Some(text.clone()), Some(now_ms)))
        };
        if self.find(row.id.get())?.source != row.source {
            return Err(Error::bad_value("source", "the zone was given another source meanwhile: refresh it again"));
        }
        match done {
            Ok(Fetched::Current) => {
                self.note(row.id, |row| {
                    let mut remembered = Remembered::of(row);
                    remembered.confirmed_ms = Some(now_ms);
                    remembered.keep(row);
                    (row.state, row.error, row.checked_ms) = (ZoneState::Loaded, None, Some(now_ms));
                })?;
                Ok(None)
            }
            Ok(Fetched::Zone(zone)) => {
                let actor = Actor { who: "the central".to_owned(), from: "refresh".to_owned(), now_ms };
                match self.import(row.id, &Arc::new(zone), confirmed, actor, progress) {
                    Ok(imported) if imported.summary == unchanged(&imported.summary) => Ok(None),
                    Ok(imported) => Ok(Some(imported)),
                    Err(error) => {
                        let waits = matches!(error, Error::Store(StoreError::MassRemoval { .. }));
                        failed(&error, if waits { ZoneState::Waiting } else { ZoneState::Failed })?;
                        Err(error)
                    }
                }
            }
            Err(error) => {
                let current = self.current();
                let timers = current.zone(row.id).and_then(|(_, loaded)| Timers::of(&loaded.contents.zone));
                let expired = matches!(row.source, Source::Transfer { .. })
                    && timers
                        .zip(Remembered::of(row).confirmed_ms)
                        .is_some_and(|(timers, confirmed_ms)| now_ms.saturating_sub(confirmed_ms) > timers.expire_s * 1000);
                failed(&error, if expired { ZoneState::Expired } else { ZoneState::Failed })?;
                Err(error)
            }
        }
    }
}

/// The same summary, of an import that changed nothing.
fn unchanged(summary: &Summary) -> Summary {
    Summary { unchanged: summary.unchanged, ..Summary::default() }
}
