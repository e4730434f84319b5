//! Sends captures through the whole pipeline as if they were live.
//!
//! The epoch of a replay is a hash of what it counts (`replay/content.rs`): replaying the same
//! messages as a whole delivers the same batches again, which count once, whatever the files they
//! come from and however much memory is available. A subset or superset of the messages is a
//! different replay and counts in addition. What is counted depends on the server, the interval,
//! the ports and the addresses, so changing any of these makes a different replay, too. So does
//! moving its time to now (`end_now`), every time, and counting more messages because more of their
//! times are possible (`[times]`, or because the future has come).
//!
//! A replay has its own spool per server, `replay-SERVER` inside the agent's spool: both may run at
//! once, but only one replay per server at a time. It never evicts: reading waits for space.
//! Whatever an interrupted replay left there is delivered by the next replay for that server.

mod content;

use crate::Error;
use crate::capture::file::CaptureFile;
use crate::capture::{messages_elsewhere, unread_link_type};
use crate::clock::Reading;
use crate::config::Config;
use crate::deliver::{self, Counts};
use crate::memory::Budget;
use crate::meter::{Meter, MeterSettings, Source};
use crate::observe::{Frame, Scope};
use crate::spool::{self, Spool};
use crate::times::{BEYOND_NS, Possible};
use content::Content;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{oneshot, watch};
use zonepulse_wire::{Counter, Counters};

const POLL: Duration = Duration::from_millis(20);

/// Parameters of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The captures, in this order.
    pub files: Vec<PathBuf>,
    /// Whether to shift times so that the newest frame of all is dated now.
    pub end_now: bool,
    /// Whether to send which records responses served, too.
    pub served: bool,
    /// How long to wait for the central once everything is spooled; forever if none.
    pub timeout: Option<Duration>,
}

/// The outcome of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was read.
    pub read: Totals,
    /// Batches left by an earlier replay.
    pub found: u64,
    /// Batches that the central confirmed, including earlier ones.
    pub delivered: u64,
    /// Of these, batches of which the central keeps roll-ups but no longer raw points.
    pub without_raw: u64,
    /// Of these, batches of which it keeps no points at all: they count in totals.
    pub without_points: u64,
    /// Batches that the central refused for good.
    pub refused: u64,
    /// Batches still waiting at the timeout.
    pub waiting: u64,
    /// The directory where they wait.
    pub dir: PathBuf,
}

/// What was read from captures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames.
    pub frames: u64,
    /// Batches spooled.
    pub batches: u64,
    /// Their hits.
    pub hits: u64,
    /// Everything else that was seen or lost.
    pub counters: Counters,
    /// Why captures could not be read completely, one line each.
    pub damages: Vec<String>,
}

impl Outcome {
    /// Whether everything was read and delivered.
    pub fn is_complete(&self) -> bool {
        self.read.damages.is_empty() && self.refused == 0 && self.waiting == 0
    }
}

/// Replays, and returns when everything is delivered or at the timeout.
///
/// Fails when nothing can be done: no spool, no way to deliver, a missing file. A damaged capture
/// is replayed up to the damage.
pub fn run(config: &Config, settings: &Settings) -> Result<Outcome, Error> {
    let delivery = config.delivery()?;
    if delivery == deliver::Settings::Pull {
        let detail = "is \"pull\", but a replay must push: set it to \"http\" or \"rabbitmq\"";
        return Err(Error::Config { place: "deliver.communication".into(), detail: detail.into() });
    }
    let plan = Plan::new(config, settings)?;
    let in_flight_bytes = plan.budget.in_flight_bytes;
    let name = format!("replay-{}", config.server_id);
    let own = spool::Settings { dir: config.spool.dir.join(name), max_delivered_bytes: 0, ..config.spool() };
    // The agent's spool contains this one.
    spool::restrict(&config.spool.dir)?;
    let spool = Arc::new(Spool::open(own)?);
    let found = spool.len() as u64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::System)?;
    let counts = Arc::new(Counts::default());
    let read = runtime.block_on(async {
        let (_keep, settings_of_delivery) = watch::channel(delivery);
        // A replay sends no heartbeats, so it cannot learn that the token is rejected.
        let (_nobody, refused) = watch::channel(None);
        tokio::select! {
            ended = deliver::run(spool.clone(), settings_of_delivery, refused, counts.clone(), in_flight_bytes) => ended.map(|()| Totals::default()),
            read = read_and_wait(plan, spool.clone(), settings.timeout) => read,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(Outcome {
        read: read?,
        found,
        delivered: counts.delivered(),
        without_raw: counts.without_raw(),
        without_points: counts.without_points(),
        refused: counts.refused(),
        waiting: spool.len() as u64,
        dir: spool.dir().to_owned(),
    })
}

/// Rejects unreadable files, and files named twice, whose messages would count twice.
fn check_files(files: &[PathBuf]) -> Result<(), Error> {
    let mut known = Vec::new();
    for path in files {
        let file = File::open(path).and_then(|file| file.metadata()).map_err(Error::disk("read", path))?;
        // Links of any name lead to the same file.
        let file = (file.dev(), file.ino());
        if known.contains(&file) {
            let detail = "is named twice and would count twice".to_owned();
            return Err(Error::Config { place: path.display().to_string(), detail });
        }
        known.push(file);
    }
    Ok(())
}

/// Reads on a separate thread, and then waits until the spool is empty.
async fn read_and_wait(plan: Plan, spool: Arc<Spool>, timeout: Option<Duration>) -> Result<Totals, Error> {
    let (give, totals) = oneshot::channel();
    let stop = StopAtEnd::default();
    let (stopped, target) = (stop.0.clone(), spool.clone());
    let read = move || drop(give.send(plan.read(&target, &stopped)));
    std::thread::Builder::new().name("replay".into()).spawn(read).map_err(Error::System)?;
    let totals = totals.await.map_err(|_| Error::Thread("replay"))??;
    let empty = async {
        while !spool.is_empty() {
            tokio::time::sleep(POLL).await;
        }
    };
    match timeout {
        // The spool shows what is still waiting then.
        Some(timeout) => drop(tokio::time::timeout(timeout, empty).await),
        None => empty.await,
    }
    Ok(totals)
}

/// Tells the reading thread that nobody waits for it any more.
#[derive(Default)]
struct StopAtEnd(Arc<AtomicBool>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Everything that determines the batches.
struct Plan {
    files: Vec<PathBuf>,
    shift_ms: i64,
    server_id: u32,
    interval_s: u32,
    served: bool,
    budget: Budget,
    scope: Scope,
    possible: Possible,
    epoch: u64,
}

impl Plan {
    fn new(config: &Config, settings: &Settings) -> Result<Plan, Error> {
        check_files(&settings.files)?;
        let now_ms = Reading::now().wall_ms;
        let mut plan = Plan {
            files: settings.files.clone(),
            shift_ms: 0,
            server_id: config.server_id,
            interval_s: config.interval_s,
            served: settings.served,
            budget: Budget::of_replay(config.memory.max_bytes),
            scope: config.scope()?,
            possible: config.bounds().of_files(now_ms),
            epoch: 0,
        };
        let mut content = Content::new(&plan.scope, &plan.budget, plan.possible);
        for path in &plan.files {
            // Damage is reported in the second pass.
            read_frames(path, |frame| {
                content.frame(&frame);
                Ok(())
            })?;
        }
        if settings.end_now {
            plan.shift_ms = content.shift_to(now_ms);
        }
        plan.epoch = content.epoch(plan.server_id, plan.interval_s, settings.end_now.then(nonce));
        Ok(plan)
    }

    fn read(&self, spool: &Spool, stop: &AtomicBool) -> Result<Totals, Error> {
        let mut meter = Meter::new(MeterSettings {
            server_id: self.server_id,
            epoch: self.epoch,
            interval_s: self.interval_s,
            scope: self.scope.clone(),
            budget: self.budget,
            served: self.served,
            source: Source::Replay(self.possible),
        });
        let mut totals = Totals::default();
        for path in &self.files {
            let (frames, unread) = (totals.frames, Unread::of(&meter));
            let damage = read_frames(path, |frame| {
                totals.frames += 1;
                meter.frame(&Frame { time_ns: shifted(frame.time_ns, self.shift_ms), ..frame });
                spool_closed(&mut meter, spool, &mut totals, stop)
            })?;
            let damage = damage.or_else(|| unread.all_of(&meter, path, totals.frames - frames));
            if let Some(damage) = damage {
                tracing::error!(error = damage, "a capture is replayed only partially");
                totals.damages.push(damage);
            }
        }
        meter.finish(0);
        spool_closed(&mut meter, spool, &mut totals, stop)?;
        totals.counters.merge(&meter.take_early());
        for (link_type, frames) in meter.unread_link_types() {
            tracing::warn!(frames, "{}", unread_link_type(*link_type));
        }
        let (future, early) = (totals.counters.get(Counter::TimeInFuture), totals.counters.get(Counter::TimeTooEarly));
        if future + early > 0 {
            tracing::warn!(
                time_in_future = future,
                time_too_early = early,
                "messages have impossible times and were not counted; [times] in the configuration sets the limits, \
                 and --end-now shifts a whole capture; a replay that counts more of them is another one, and counts in addition"
            );
        }
        let elsewhere = meter.other_ports();
        if !elsewhere.is_empty() {
            tracing::warn!(
                counted = totals.hits,
                "{}; add the ports to capture.ports to count them",
                messages_elsewhere(&elsewhere)
            );
        }
        let others = totals.counters.get(Counter::OtherAddresses);
        if others > 0 {
            tracing::warn!(
                packets = others,
                counted = totals.hits,
                "packets on the watched ports belong to other addresses and were not counted; to count a capture of another machine, \
                 set capture.addresses to its server's addresses, or to \"any\""
            );
        }
        Ok(totals)
    }
}

/// Number of frames with unsupported link types, before a file.
struct Unread {
    frames: u64,
    link_types: Vec<(u32, u64)>,
}

impl Unread {
    fn of(meter: &Meter) -> Self {
        Unread { frames: meter.unread_frames(), link_types: meter.unread_link_types().to_vec() }
    }

    /// Why nothing of a file was read, if all its frames have unsupported link types.
    fn all_of(&self, meter: &Meter, path: &Path, frames: u64) -> Option<String> {
        let unread = meter.unread_frames() - self.frames;
        if frames == 0 || unread < frames {
            return None;
        }
        let known = meter.unread_link_types().iter().filter(|link_type| !self.link_types.contains(link_type));
        let names: Vec<String> = known.map(|(link_type, _)| unread_link_type(*link_type)).collect();
        Some(format!("{}: none of its frames could be read: {}", path.display(), names.join(", ")))
    }
}

/// Reads a capture to its end, or up to damage, which it returns. Fails when `each` fails.
fn read_frames(path: &Path, mut each: impl FnMut(Frame<'_>) -> Result<(), Error>) -> Result<Option<String>, Error> {
    let mut file = match CaptureFile::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Some(error.to_string())),
    };
    loop {
        match file.next_frame() {
            Ok(Some(frame)) => each(frame)?,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
}

fn spool_closed(meter: &mut Meter, spool: &Spool, totals: &mut Totals, stop: &AtomicBool) -> Result<(), Error> {
    while let Some(batch) = meter.take_closed() {
        wait_for_room(spool, stop)?;
        let (hits, counters) = (batch.hits(), batch.counters.clone());
        spool.put(&batch.into())?;
        totals.batches += 1;
        totals.hits = totals.hits.saturating_add(hits);
        totals.counters.merge(&counters);
    }
    Ok(())
}

/// A replay can wait, unlike a live capture.
fn wait_for_room(spool: &Spool, stop: &AtomicBool) -> Result<(), Error> {
    while !spool.has_room()? && !stop.load(Ordering::Relaxed) {
        if spool.is_empty() {
            let detail = "spool.min_free_bytes, spool.max_bytes: leave no space for a batch on this disk";
            return Err(Error::Config { place: spool.dir().display().to_string(), detail: detail.into() });
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// A time shifted by this many milliseconds.
fn shifted(time_ns: u64, shift_ms: i64) -> u64 {
    // Times beyond the range stay there.
    if time_ns == BEYOND_NS { time_ns } else { time_ns.saturating_add_signed(shift_ms.saturating_mul(1_000_000)) }
}

/// A random number that makes a replay unique.
fn nonce() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) ^ u64::from(std::process::id()).rotate_right(16)
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "replay_unread_tests.rs"]
mod unread_tests;
