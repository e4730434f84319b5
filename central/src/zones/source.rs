//! Reading a zone from where it comes from.

use super::change;
use super::loading::Progress;
use crate::Error;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Display;
use std::io::BufRead;
use std::path::Path;
use zonepulse_catalogue::file::Severity;
use zonepulse_catalogue::transfer::{self, Change, Full, Outcome, Primary};
use zonepulse_catalogue::{Builder, Name, Record, Zone, file};
use zonepulse_dns::RecordType;
use zonepulse_store::{Tsig, Zone as Row};

/// Maximum number of faults of a zone file that an error lists.
const MOST_FAULTS: usize = 20;
/// Maximum number of remembered changes.
const MOST_CHANGES: usize = 64;

/// What the central remembers of a zone between refreshes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// When the zone was first loaded, Unix milliseconds.
    pub first_loaded_ms: Option<u64>,
    /// When it last changed, oldest first, Unix milliseconds.
    pub changes_ms: Vec<u64>,
    /// When its primary last answered, Unix milliseconds.
    pub confirmed_ms: Option<u64>,
    /// The primary that its contents came from.
    pub primary: Option<String>,
}

impl Remembered {
    /// What is remembered of a zone.
    pub fn of(row: &Row) -> Self {
        serde_json::from_value(row.refresh.clone()).unwrap_or_default()
    }

    /// Notes an import.
    pub(super) fn imported(&mut self, now_ms: u64, changed: bool) {
        if self.first_loaded_ms.is_none() {
            self.first_loaded_ms = Some(now_ms);
        } else if changed {
            self.changes_ms.push(now_ms);
            let surplus = self.changes_ms.len().saturating_sub(MOST_CHANGES);
            self.changes_ms.drain(..surplus);
        }
    }

    /// Stores it with the zone.
    pub(super) fn keep(&self, row: &mut Row) {
        row.refresh = serde_json::to_value(self).unwrap_or_default();
    }
}

/// The serial of a zone at its primary, from a query that is signed like a transfer; the error says why there is none.
pub async fn serial_of_primary(apex: &str, address: &str, tsig: Option<&Tsig>) -> Result<u32, String> {
    let apex = Name::from_text(apex).map_err(|error| error.to_string())?;
    let primary = primary(address, tsig).map_err(|error| error.to_string())?;
    transfer::soa(&primary, &apex).await.map_err(|error| error.to_string())
}

/// What a primary has.
pub(super) enum Fetched {
    /// Nothing newer.
    Current,
    /// This zone.
    Zone(Zone),
}

/// Reads a zone file. `include_root` is where it may include files from.
pub(super) fn read(
    apex: &Name,
    input: &mut dyn BufRead,
    name: &str,
    include_root: Option<&Path>,
    progress: &Progress,
) -> Result<Zone, Error> {
    let options =
        file::Options { origin: Some(apex.clone()), include_root: include_root.map(Into::into), ..file::Options::default() };
    let mut builder = Builder::new(apex.clone());
    let mut faults = Faults::default();
    for read in file::Reader::new(input, name, options) {
        match read {
            Ok(located) => {
                progress.add();
                builder.add(located.record).unwrap_or_else(|error| faults.add(&error));
            }
            Err(problem) if problem.severity == Severity::Error => faults.add(&problem),
            Err(_) => {}
        }
    }
    faults.none()?;
    let zone = builder.finish().map_err(|error| Error::bad_value("zone file", error))?;
    check(&zone)?;
    Ok(zone)
}

/// Rejects what no server would load: it cannot be what is served.
fn check(zone: &Zone) -> Result<(), Error> {
    let mut faults = Faults::default();
    for rrset in zone.iter().filter(|rrset| [RecordType::CNAME, RecordType::DNAME, RecordType::SOA].contains(&rrset.rtype())) {
        let (rtype, owner) = (rrset.rtype(), rrset.owner());
        let others = || zone.at(&owner).filter(|other| !BESIDE_CNAME.contains(&other.rtype().value())).count();
        if rtype == RecordType::CNAME && others() > 0 {
            faults.add(&format_args!("{owner}: other data beside a CNAME (RFC 1034 section 3.6.2)"));
        }
        if rrset.rdatas().nth(1).is_some() {
            faults.add(&format_args!("{owner}: more than one {rtype}"));
        }
        if rtype == RecordType::SOA && owner != *zone.apex() {
            faults.add(&format_args!("{owner}: a SOA below the apex"));
        }
    }
    faults.none()
}

/// CNAME itself, and what DNSSEC adds: SIG, KEY, NXT, RRSIG, NSEC (RFC 4034 section 3, RFC 4035 section 2.5).
const BESIDE_CNAME: [u16; 6] = [5, 24, 25, 30, 46, 47];

/// What is wrong with a zone file: the first faults, and how many there are.
#[derive(Default)]
struct Faults {
    first: Vec<String>,
    count: usize,
}

impl Faults {
    fn add(&mut self, fault: &dyn Display) {
        self.count += 1;
        if self.first.len() < MOST_FAULTS {
            self.first.push(fault.to_string());
        }
    }

    fn none(self) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        let more = self.count - self.first.len();
        let more = if more > 0 { format!("\n… and {more} more") } else { String::new() };
        Err(Error::bad_value("zone file", format_args!("{}{more}", self.first.join("\n"))))
    }
}

/// The primary of a zone.
pub(super) fn primary(address: &str, tsig: Option<&Tsig>) -> Result<Primary, Error> {
    let address =
        address.parse().map_err(|_| Error::bad_value("primary", format_args!("{address} is not an address and port")))?;
    let tsig = tsig.map(|tsig| change::key(&tsig.name, &tsig.algorithm, &tsig.secret)).transpose()?;
    Ok(Primary::new(address, tsig))
}

/// Transfers a zone, incrementally if there is one already.
pub(super) async fn fetch(
    primary: &Primary,
    apex: &Name,
    before: Option<&Zone>,
    progress: &Progress,
) -> Result<Fetched, transfer::Error> {
    let Some((before, serial)) = before.and_then(|before| Some((before, before.serial()?))) else {
        return full(transfer::axfr(primary, apex).await?, apex, progress).await;
    };
    match transfer::ixfr(primary, apex, serial).await? {
        Outcome::Current { .. } => Ok(Fetched::Current),
        Outcome::Full(transferred) => full(transferred, apex, progress).await,
        Outcome::Incremental(changes) => match apply(before, changes, progress).await {
            Ok(Some(zone)) => Ok(Fetched::Zone(zone)),
            Err(error) if !error.calls_for_full_transfer() => Err(error),
            // The changes are not for what is loaded, or have a gap.
            Ok(None) | Err(_) => full(transfer::axfr(primary, apex).await?, apex, progress).await,
        },
    }
}

async fn full(mut full: Full, apex: &Name, progress: &Progress) -> Result<Fetched, transfer::Error> {
    let mut building = Building::new(apex);
    while let Some(record) = full.next().await? {
        progress.add();
        building.add(record);
    }
    building.finish().map(Fetched::Zone)
}

/// A record without its TTL.
type Place = (Name, RecordType, Box<[u8]>);

/// A zone with changes; `None` if they do not fit.
async fn apply(before: &Zone, mut changes: transfer::Incremental, progress: &Progress) -> Result<Option<Zone>, transfer::Error> {
    // For each record that changes, its TTL after all changes, or that it is gone. It may come and go several times.
    let mut after: HashMap<Place, Option<u32>> = HashMap::new();
    while let Some(change) = changes.next().await? {
        progress.add();
        let (record, there) = match change {
            Change::Added(record) => (record, true),
            Change::Removed(record) => (record, false),
        };
        let place = (record.owner, record.rtype, record.rdata);
        let is_known = match after.get(&place) {
            Some(ttl) => ttl.is_some(),
            None => has(before, &place),
        };
        if !there && !is_known {
            return Ok(None);
        }
        after.insert(place, there.then_some(record.ttl));
    }
    let mut building = Building::new(before.apex());
    for rrset in before.iter() {
        for rdata in rrset.rdatas() {
            let place: Place = (rrset.owner(), rrset.rtype(), rdata.into());
            if !after.contains_key(&place) {
                let (owner, rtype, rdata) = place;
                building.add(Record { owner, rtype, ttl: rrset.ttl(), rdata });
            }
        }
    }
    for ((owner, rtype, rdata), ttl) in after {
        if let Some(ttl) = ttl {
            building.add(Record { owner, rtype, ttl, rdata });
        }
    }
    building.finish().map(Some)
}

fn has(zone: &Zone, (owner, rtype, rdata): &Place) -> bool {
    zone.find(owner, *rtype).is_some_and(|rrset| rrset.rdatas().any(|other| *other == **rdata))
}

/// A zone that is being built of a transfer.
struct Building {
    builder: Builder,
    failed: Option<zonepulse_catalogue::Error>,
}

impl Building {
    fn new(apex: &Name) -> Self {
        Building { builder: Builder::new(apex.clone()), failed: None }
    }

    fn add(&mut self, record: Record) {
        if let Err(error) = self.builder.add(record) {
            self.failed.get_or_insert(error);
        }
    }

    fn finish(self) -> Result<Zone, transfer::Error> {
        match self.failed {
            Some(error) => Err(transfer::Error::Unusable(error.to_string())),
            None => self.builder.finish().map_err(|error| transfer::Error::Unusable(error.to_string())),
        }
    }
}
