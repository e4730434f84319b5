//! Stores of earlier formats: what bringing one up to date takes, and doing it.
//!
//! [`Store::open`](crate::Store::open) migrates a store when it opens one. [`Survey`] says beforehand which steps that takes and
//! what they cost, without changing a file.

use crate::database::format::{FORMAT, Header, VERSION, open_to_read};
use crate::database::{Database, key};
use crate::{Error, ledger};
use rocksdb::{DB, properties};
use rustix::fs::{Access, FlockOperation, access, fcntl_lock};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The name of the file that RocksDB locks.
const LOCK: &str = "LOCK";
/// Bytes of reports that are read in a second when the ledger is built: a cautious guess, which the test
/// `how_long_it_takes_to_build_a_ledger` compares with this machine.
const REPORT_BYTES_PER_S: u64 = 8_000_000;

/// More than what RocksDB writes of its own when it opens a small database: manifest, options, and what was in the log of
/// writes, as sorted files. Bytes.
const OPENING_BYTES: u64 = 8 << 20;

/// A step of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationStep {
    /// From format 1: past hours become sealed hours. Upkeep does this while the store is in use.
    Sealing,
    /// From formats 1 and 2: families for metrics are created.
    Metrics,
    /// From formats 1 to 3: the observation ledger is built from the reports.
    Ledger,
    /// From formats 1 to 3: families for zones are created.
    Catalogue,
    /// From formats 1 to 4: points may also count what was served.
    Served,
}

/// The steps, each with the format that it leads to.
const STEPS: [(u32, MigrationStep); 5] = [
    (2, MigrationStep::Sealing),
    (3, MigrationStep::Metrics),
    (4, MigrationStep::Ledger),
    (4, MigrationStep::Catalogue),
    (5, MigrationStep::Served),
];

impl MigrationStep {
    /// The steps from this format to the current one.
    fn from(format: u32) -> Vec<Self> {
        STEPS.into_iter().filter(|(to, _)| format < *to).map(|(_, step)| step).collect()
    }

    /// A word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::Metrics => "metrics",
            Self::Ledger => "ledger",
            Self::Catalogue => "catalogue",
            Self::Served => "served",
        }
    }

    /// What it does, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Sealing => "nothing now: past hours are sealed while the central runs",
            Self::Metrics => "create the families for metrics, empty",
            Self::Ledger => "build the observation ledger from the coverage reports",
            Self::Catalogue => "create the families for zones, empty",
            Self::Served => "nothing now: what is served is counted from now on",
        }
    }
}

/// A store, and what opening it with this version would do.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Its format; `None` if the store is empty.
    pub format: Option<u32>,
    /// The version that last wrote it; `None` if that was before versions recorded themselves.
    pub written_by: Option<String>,
    /// Why this version cannot read it, if it cannot.
    pub refusal: Option<String>,
    /// Whether another process has it open.
    pub in_use: bool,
    /// Whether this process may write to its directory.
    pub is_writable: bool,
    /// What brings it up to date.
    pub steps: Vec<MigrationStep>,
    /// Size of its files, bytes.
    pub size_bytes: u64,
    /// How long the steps take, and the space that they need, estimated; `None` if there are no steps.
    pub estimate: Option<Estimate>,
}

/// What a migration costs, estimated from the size of what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Seconds.
    pub seconds: u64,
    /// Additional space, bytes: a ledger takes no more than the reports that it is built from, and opening takes some.
    pub space_bytes: u64,
}

impl Survey {
    /// Reads what a store says of itself. Changes no file, and works while another process has the store open.
    ///
    /// Must not be called by a process that has the same store open: looking at the lock would release it.
    pub fn of(path: &Path) -> Result<Survey, Error> {
        Self::read(path).map_err(|error| error.while_opening(path))
    }

    fn read(path: &Path) -> Result<Survey, Error> {
        let in_use = is_locked(path).map_err(|error| Error::unreadable(path, format!("{LOCK}: {error}")))?;
        let sizes = Sizes::of(path).map_err(|error| Error::unreadable(path, error.to_string()))?;
        let header = Header::read(path)?.ok_or_else(|| Error::unreadable(path, "there is no database in it".to_owned()))?;
        let refusal = header.check(path).err().map(|error| error.to_string());
        let steps = match (&refusal, header.format) {
            (None, Some(format)) => MigrationStep::from(format),
            _ => Vec::new(),
        };
        let estimate = match steps.contains(&MigrationStep::Ledger) {
            true => Some(estimate(report_bytes(&open_to_read(path, &[key::REPORTS])?), &sizes)),
            false => (!steps.is_empty()).then_some(Estimate { seconds: 1, space_bytes: OPENING_BYTES }),
        };
        let is_writable = access(path, Access::WRITE_OK).is_ok();
        let Header { format, written_by } = header;
        Ok(Survey { format, written_by, refusal, in_use, is_writable, steps, size_bytes: sizes.all_bytes, estimate })
    }

    /// The version of this program.
    pub const VERSION: &'static str = VERSION;
}

/// Brings a store up to date that has an earlier format. If the process ends before this returns, the next one begins again.
pub(crate) fn run(database: &Database) -> Result<(), Error> {
    let header = database.header()?;
    if let Some(format) = header.format.filter(|format| *format < FORMAT) {
        tracing::info!(from = format, to = FORMAT, "bringing the store up to date");
        // Missing families were created when the database was opened, and upkeep seals.
        if MigrationStep::from(format).contains(&MigrationStep::Ledger) {
            ledger::building::build(database)?;
        }
    }
    // The format is written last.
    if header.is_of_this_version() { Ok(()) } else { database.put_header() }
}

/// Whether another process has locked the database. RocksDB locks a file while it has a database open for writing; a file that
/// is not there is locked by nobody.
fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
        Err(error) if [rustix::io::Errno::AGAIN, rustix::io::Errno::ACCESS].contains(&error) => Ok(true),
        locked => Ok(locked.map(|()| false)?),
    }
}

/// Sizes of files.
struct Sizes {
    all_bytes: u64,
    /// Of the log of writes, which is not in sorted files yet.
    log_bytes: u64,
}

impl Sizes {
    fn of(path: &Path) -> io::Result<Self> {
        let mut sizes = Sizes { all_bytes: 0, log_bytes: 0 };
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // A running process removes files.
            let bytes = entry.metadata().map_or(0, |about| about.len());
            sizes.all_bytes = sizes.all_bytes.saturating_add(bytes);
            if entry.path().extension().is_some_and(|kind| kind == "log") {
                sizes.log_bytes = sizes.log_bytes.saturating_add(bytes);
            }
        }
        Ok(sizes)
    }
}

/// Size of the reports in sorted files, bytes.
fn report_bytes(database: &DB) -> u64 {
    let reports = database.cf_handle(key::REPORTS);
    let bytes = reports.map(|reports| database.property_int_value_cf(reports, properties::TOTAL_SST_FILES_SIZE));
    bytes.and_then(Result::ok).flatten().unwrap_or_default()
}

/// Any part of the log may be reports.
fn estimate(report_bytes: u64, sizes: &Sizes) -> Estimate {
    let read_bytes = report_bytes.saturating_add(sizes.log_bytes);
    let seconds = (read_bytes / REPORT_BYTES_PER_S).saturating_add(1);
    Estimate { seconds, space_bytes: read_bytes.saturating_add(OPENING_BYTES) }
}
