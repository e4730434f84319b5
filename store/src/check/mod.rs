//! Checking the integrity of the whole store.
//!
//! The following is checked: every file against its checksums; every batch's marker against its block and report;
//! roll-ups of DNS and metrics against raw points, or the coarse ones against the finest where raw points are gone;
//! reports against the hits of their hour; the observation ledger against the reports; totals against the sums of all
//! points; zones and resources against the dictionary, their ids, notes and usage. Where points have been removed from
//! disk, totals must not be less than the remaining points.

mod ledger;
mod metrics;

use crate::database::key::{self, GROUP};
use crate::dns::block::Sections;
use crate::dns::parts::{Parts, read_parts, roll_up};
use crate::dns::value::{self, Decoder};
use crate::reports::report::{Report, SystemReport};
use crate::retention::Expiry;
use crate::totals::Group;
use crate::waiting::Pair;
use crate::write::epochs::Forgotten;
use crate::write::marker::{Marker, Number};
use crate::{Error, Inner, Level, Precision, catalogue, rebuild};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use zonepulse_codec::Malformed;
use zonepulse_dns::MessageKind;
use zonepulse_model::{Identity, RecordId, ServerId};

/// Results of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Records in the dictionary.
    pub records: u64,
    /// Open blocks of points.
    pub blocks: u64,
    /// Sealed values of raw points.
    pub sealed: u64,
    /// Raw points, open and sealed.
    pub points: u64,
    /// Messages counted in them.
    pub hits: u64,
    /// Points of metrics, open and sealed.
    pub system_points: u64,
    /// Zones of the catalogue.
    pub zones: u64,
    /// Resources in them, including removed ones.
    pub resources: u64,
    /// Reports on intervals.
    pub reports: u64,
    /// Batches committed.
    pub batches: u64,
    /// The faults, one sentence each, at most [`Check::MAX_FAULTS`]; empty if the store is sound.
    pub faults: Vec<String>,
}

impl Check {
    /// Maximum number of faults reported.
    pub const MAX_FAULTS: usize = 100;

    fn fault(&mut self, text: String) {
        if self.faults.len() < Self::MAX_FAULTS {
            self.faults.push(text);
        }
    }
}

/// Hits, and the bounds of the last access, Unix milliseconds: points may have kept only the second.
type HitsAndLast = (u64, u64, u64);

struct Walk<'a> {
    inner: &'a Inner,
    expiry: Arc<Expiry>,
    check: Check,
    /// Every record's number is below this.
    numbers: u64,
    markers: HashMap<(ServerId, u64), Marker>,
    /// Servers with forgotten markers, with their floors, and markers that cannot be read: what these recorded is
    /// unknown.
    forgotten: BTreeMap<ServerId, u64>,
    unreadable: BTreeSet<(ServerId, u64)>,
    /// Sums of all points in roll-ups and open blocks, per server, kind and record.
    sums: BTreeMap<(ServerId, u16, RecordId), HitsAndLast>,
    /// Hits of each open block, by batch and start: a forgotten batch's number can occur again.
    block_hits: HashMap<(Identity, u64), u64>,
    /// Hits of each hour and server, open and sealed.
    hour_hits: BTreeMap<Pair, u64>,
}

/// Checks one kind of keys.
type Part = fn(&mut Walk<'_>) -> Result<(), Error>;

pub(crate) fn check(inner: &Inner) -> Result<Check, Error> {
    // Nothing may be committed, sealed or dropped between families, because they are compared with each other.
    let _importing = inner.importing.lock();
    let _keeper = inner.keeper.lock();
    let _alone = inner.writer.lock();
    let expiry = inner.expiry.read().clone();
    let (numbers, records) = {
        let dictionary = inner.dictionary.read();
        (dictionary.len() as u64, dictionary.count() as u64)
    };
    let check = Check { records, ..Check::default() };
    let mut walk = Walk {
        inner,
        numbers,
        expiry,
        check,
        markers: HashMap::new(),
        forgotten: BTreeMap::new(),
        unreadable: BTreeSet::new(),
        sums: BTreeMap::new(),
        block_hits: HashMap::new(),
        hour_hits: BTreeMap::new(),
    };
    let path = inner.database.path().display();
    inner.database.verify_checksums().into_iter().for_each(|wrong| walk.check.fault(format!("{path}: {wrong}")));
    let parts: [Part; 8] = [
        |walk| walk.markers(),
        |walk| walk.blocks(),
        |walk| walk.sealed(),
        |walk| walk.totals(),
        |walk| walk.reports(),
        |walk| walk.ledger(),
        |walk| walk.system(),
        |walk| walk.catalogue(),
    ];
    for part in parts {
        match part(&mut walk) {
            Ok(()) => {}
            // Unreadable values were reported above; the other parts can still report their own faults.
            Err(Error::Database(error)) => walk.check.fault(format!("{path}: {error}")),
            Err(error) => return Err(error),
        }
    }
    Ok(walk.check)
}

impl Walk<'_> {
    fn markers(&mut self) -> Result<(), Error> {
        self.inner.database.visit(key::MARKERS, &[], |key, value| {
            match (key::parse_marker(key), key::parse_floor(key)) {
                (Some((server, epoch)), _) => match Marker::decode(value) {
                    Ok(marker) => {
                        self.check.batches = self.check.batches.saturating_add(marker.batches());
                        self.markers.insert((server, epoch), marker);
                    }
                    Err(Malformed(what)) => {
                        self.unreadable.insert((server, epoch));
                        let damaged = Error::damaged(what, key);
                        self.check.fault(format!("the marker of server {server}, epoch {epoch:016x}: {damaged}"));
                    }
                },
                (None, Some(server)) => match Forgotten::decode(value) {
                    Ok(forgotten) => {
                        self.check.batches = self.check.batches.saturating_add(forgotten.batches);
                        self.forgotten.insert(server, forgotten.floor_s);
                    }
                    Err(Malformed(what)) => self.check.fault(Error::damaged(what, key).to_string()),
                },
                (None, None) => self.check.fault(Error::damaged("marker", key).to_string()),
            }
            Ok(true)
        })
    }

    /// Whether a batch with this start was stored, or may have been, according to the markers.
    fn has_marker(&self, identity: &Identity, start_s: u64) -> bool {
        let of_epoch = (identity.server_id, identity.epoch);
        match self.markers.get(&of_epoch) {
            Some(marker) => marker.look_up(identity.seq, start_s) != Number::Free,
            None => {
                let floor_s = self.forgotten.get(&identity.server_id).copied().unwrap_or_default();
                start_s < floor_s || self.unreadable.contains(&of_epoch)
            }
        }
    }

    /// Checks that every block can be read and has its marker.
    fn blocks(&mut self) -> Result<(), Error> {
        let inner = self.inner;
        inner.database.visit(key::OPEN, &[], |key, value| {
            self.check.blocks += 1;
            let Some((hour, identity, start_s)) = key::parse_open(key) else {
                self.check.fault(Error::damaged("block", key).to_string());
                return Ok(true);
            };
            if !self.has_marker(&identity, start_s) {
                self.check.fault(format!("a block of batch {identity:?} is there, its marker is not"));
            }
            if inner.waiting.lock().within(hour..hour.saturating_add(1)).all(|pair| pair.1 != identity.server_id) {
                self.check.fault(format!("the block of batch {identity:?} is not known to wait"));
            }
            match self.sum_block(&identity, start_s, value) {
                Ok(hits) => {
                    self.block_hits.insert((identity, start_s), hits);
                    self.add_hits(hour, identity.server_id, hits);
                }
                Err(Malformed(what)) => {
                    self.check.fault(format!("the block of batch {identity:?}, hour {hour}: {}", Error::damaged(what, key)));
                }
            }
            Ok(true)
        })
    }

    fn sum_block(&mut self, identity: &Identity, start_s: u64, value: &[u8]) -> Result<u64, Malformed> {
        let mut sections = Sections::new(value, start_s)?;
        let mut rows = Vec::new();
        let mut hits = 0u64;
        while let Some(section) = sections.next()? {
            rows.clear();
            section.rows(&mut rows)?;
            self.check.points += rows.len() as u64;
            for row in &rows {
                if section.kind.is_message() {
                    hits = hits.saturating_add(row.hits);
                }
                let of = (identity.server_id, section.kind.number(), row.record_id);
                self.add_sum(of, row.hits, row.last_ms, Precision::Milliseconds)?;
            }
        }
        self.check.hits = self.check.hits.saturating_add(hits);
        Ok(hits)
    }

    fn add_sum(&mut self, of: (ServerId, u16, RecordId), hits: u64, last_ms: u64, kept: Precision) -> Result<(), Malformed> {
        if u64::from(of.2.get()) >= self.numbers {
            return Err(Malformed("record id"));
        }
        let sum = self.sums.entry(of).or_default();
        sum.0 = sum.0.saturating_add(hits);
        sum.1 = sum.1.max(last_ms);
        sum.2 = sum.2.max(last_ms + u64::from(kept.unit_ms() - 1));
        Ok(())
    }

    fn add_hits(&mut self, hour: u32, server_id: ServerId, hits: u64) {
        let sum = self.hour_hits.entry((hour, server_id)).or_default();
        *sum = sum.saturating_add(hits);
    }

    /// Checks that every sealed value can be read, and that the coarse ones agree with the finest.
    fn sealed(&mut self) -> Result<(), Error> {
        let inner = self.inner;
        let mut decoder = Decoder::new().map_err(Error::Compression)?;
        inner.database.visit(key::SEALED, &[], |key, value| {
            let Some((level, hour, server_id, group)) = key::parse_sealed(key) else {
                self.check.fault(Error::damaged("sealed value", key).to_string());
                return Ok(true);
            };
            let mut parts = Parts::new();
            let found = read_parts(&mut decoder, value, &mut parts)
                .and_then(|()| self.sealed_value((level, hour, server_id, group), value, &parts, &mut decoder));
            if let Err(Malformed(what)) = found {
                let damaged = Error::damaged(what, key);
                self.check.fault(format!("{level:?} of hour {hour}, server {server_id}, group {group}: {damaged}"));
            }
            Ok(true)
        })
    }

    fn sealed_value(
        &mut self,
        place: (Level, u32, ServerId, u32),
        value: &[u8],
        parts: &Parts,
        decoder: &mut Decoder,
    ) -> Result<(), Malformed> {
        let (level, hour, server_id, group) = place;
        let horizon = self.expiry.horizon(server_id);
        if hour < horizon.hour(level) {
            self.check.fault(format!("{level:?} of hour {hour}, server {server_id} is there, and lies behind the horizon"));
        }
        let cells = || parts.iter().flat_map(|((_, kind), cells)| cells.iter().map(move |cell| (*kind, cell)));
        if level == Level::Raw {
            self.check.sealed += 1;
            self.check.points += cells().count() as u64;
            let messages = cells().filter(|(kind, _)| is_message(*kind));
            self.check.hits = messages.fold(self.check.hits, |hits, (_, cell)| hits.saturating_add(cell.hits));
        }
        if level == Level::H1 {
            let mut sum = 0u64;
            let kept = value::precision(value)?;
            for (kind, cell) in cells() {
                let last_ms = u64::from(hour) * 3_600_000 + u64::from(cell.last_ms);
                self.add_sum((server_id, kind, key::record_in(group, cell.low)), cell.hits, last_ms, kept)?;
                if is_message(kind) {
                    sum = sum.saturating_add(cell.hits);
                }
            }
            self.add_hits(hour, server_id, sum);
        }
        let finest = horizon.finest(hour);
        if level != finest {
            // Already compared with the finest; only check that the finest exists.
            let there = self.inner.database.get(key::SEALED, &key::sealed(finest, hour, server_id, group));
            if !matches!(there, Ok(Some(_))) {
                self.check.fault(format!("{level:?} of hour {hour}, server {server_id}, group {group} has no {finest:?}"));
            }
            return Ok(());
        }
        for coarse in Level::ROLL_UPS.into_iter().filter(|coarse| *coarse > level && hour >= horizon.aggregate_hour) {
            let mut found = Parts::new();
            if let Ok(Some(value)) = self.inner.database.get(key::SEALED, &key::sealed(coarse, hour, server_id, group)) {
                read_parts(decoder, &value, &mut found)?;
            }
            if found != roll_up(parts, coarse, &mut Vec::new()) {
                self.check.fault(format!(
                    "{coarse:?} of hour {hour}, server {server_id}, group {group} is not the sum of its {level:?} points"
                ));
            }
        }
        Ok(())
    }

    /// Checks that metrics have their markers, and that their roll-ups agree.
    fn system(&mut self) -> Result<(), Error> {
        let found = metrics::check(self.inner, &self.expiry, &|identity, start_s| self.has_marker(identity, start_s))?;
        self.check.blocks += found.blocks;
        self.check.system_points = found.points;
        found.faults.into_iter().for_each(|text| self.check.fault(text));
        Ok(())
    }

    /// Checks zones and resources, what is said about them, and their usage.
    fn catalogue(&mut self) -> Result<(), Error> {
        let found = catalogue::verify::verify(self.inner, Check::MAX_FAULTS)?;
        (self.check.zones, self.check.resources) = (found.zones, found.resources);
        found.faults.into_iter().for_each(|text| self.check.fault(text));
        Ok(())
    }

    /// Checks that totals are the sums of all points, and can be read from disk.
    fn totals(&mut self) -> Result<(), Error> {
        let mut totals: BTreeMap<(ServerId, u16, RecordId), (u64, u64)> = BTreeMap::new();
        self.inner.totals.read().visit(None, &mut |total| {
            totals.insert((total.server_id, total.kind.number(), total.record_id), (total.hits, total.last_ms));
        });
        for (of, sum) in &self.sums {
            if !totals.contains_key(of) {
                self.check.fault(format!("server, kind, record {of:?}: points say {sum:?}, there is no total"));
            }
        }
        for (of, total) in &totals {
            let sum = self.sums.get(of).copied().unwrap_or_default();
            let complete = self.expiry.horizon(of.0).aggregate_hour == 0;
            let (hits, at_least_ms, at_most_ms) = sum;
            let agree = if complete {
                hits == total.0 && (at_least_ms..=at_most_ms).contains(&total.1)
            } else {
                hits <= total.0 && at_least_ms <= total.1
            };
            if !agree {
                self.check.fault(format!("server, kind, record {of:?}: points say {sum:?}, totals {total:?}"));
            }
        }
        let records = self.numbers;
        self.inner.database.visit(key::TOTALS, &[], |key, value| {
            let number = key::parse_total(key).map(|(_, _, number)| u64::from(number) * u64::from(GROUP));
            if Group::decode(value).is_err() || number.is_none_or(|first| first >= records) {
                self.check.fault(Error::damaged("totals", key).to_string());
            }
            Ok(true)
        })
    }

    /// Checks that every committed batch has one report, and that the reports' hits match their blocks and hours.
    fn reports(&mut self) -> Result<(), Error> {
        let mut reported: BTreeMap<Pair, u64> = BTreeMap::new();
        self.inner.database.visit(key::REPORTS, &[], |key, value| {
            self.check.reports += 1;
            if SystemReport::is(value) {
                self.system_report(key, value);
                return Ok(true);
            }
            let decode = |(identity, start_s)| (identity, start_s, Report::decode(&identity, start_s, value));
            let Some((identity, start_s, Ok(report))) = key::parse_report(key).map(decode) else {
                self.check.fault(Error::damaged("report", key).to_string());
                return Ok(true);
            };
            if !self.has_marker(&identity, start_s) {
                self.check.fault(format!("a report of batch {identity:?} is there, its marker is not"));
            }
            let sum = reported.entry((key::hour(report.start_s), identity.server_id)).or_default();
            *sum = sum.saturating_add(report.hits);
            if let Some(hits) = self.block_hits.remove(&(identity, start_s))
                && hits != report.hits
            {
                self.check.fault(format!("batch {identity:?}: the report says {} hits, the block {hits}", report.hits));
            }
            Ok(true)
        })?;
        let kept = |hour: u32, server_id: ServerId| hour >= self.expiry.horizon(server_id).aggregate_hour;
        let hours = reported.keys().chain(self.hour_hits.keys()).filter(|(hour, server_id)| kept(*hour, *server_id));
        let differ: Vec<String> = hours
            .map(|pair| (pair, reported.get(pair).copied().unwrap_or(0), self.hour_hits.get(pair).copied().unwrap_or(0)))
            .filter(|(_, reported, hits)| reported != hits)
            .map(|((hour, server_id), reported, hits)| {
                format!("hour {hour}, server {server_id}: reports say {reported} hits, points {hits}")
            })
            .collect();
        differ.into_iter().for_each(|text| self.check.fault(text));
        let all_there = self.expiry.horizons.values().all(|horizon| horizon.aggregate_hour == 0);
        let dropped = rebuild::dropped_reports(self.inner)?;
        let reports = self.check.reports.saturating_add(dropped);
        let differ = reports > self.check.batches || (all_there && reports != self.check.batches);
        if differ && self.unreadable.is_empty() {
            self.check.fault(format!(
                "{} batches were committed, {} reports are there, and {dropped} were removed because of their times",
                self.check.batches, self.check.reports
            ));
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// Checks that the ledger agrees with the reports.
    fn ledger(&mut self) -> Result<(), Error> {
        ledger::check(self.inner, &self.expiry)?.into_iter().for_each(|text| self.check.fault(text));
        Ok(())
    }

    fn system_report(&mut self, key: &[u8], value: &[u8]) {
        match (key::parse_report(key), SystemReport::decode(value)) {
            (Some((identity, start_s)), Ok(_)) if self.has_marker(&identity, start_s) => {}
            (Some((identity, _)), Ok(_)) => {
                self.check.fault(format!("a report of batch {identity:?} is there, its marker is not"));
            }
            _ => self.check.fault(Error::damaged("report", key).to_string()),
        }
    }
}

fn is_message(kind: u16) -> bool {
    kind < MessageKind::MESSAGES
}
