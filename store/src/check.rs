//! Walking the whole store to see whether it is sound.

use crate::block::Sections;
use crate::intake::Identity;
use crate::key::GROUP;
use crate::marker::Runs;
use crate::report::Report;
use crate::totals::Group;
use crate::{Error, Inner, key};
use std::collections::{BTreeMap, HashMap};
use zonepulse_codec::Malformed;

/// What a walk through the store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Records in the dictionary.
    pub records: u64,
    /// Blocks of points.
    pub blocks: u64,
    /// Points in them.
    pub points: u64,
    /// Hits in them.
    pub hits: u64,
    /// Reports of intervals.
    pub reports: u64,
    /// Batches that were committed.
    pub batches: u64,
    /// What is wrong, a sentence each, at most [`Check::MAX_FAULTS`]; empty when the store is sound.
    pub faults: Vec<String>,
}

impl Check {
    /// No more faults than these are told.
    pub const MAX_FAULTS: usize = 100;

    fn fault(&mut self, text: String) {
        if self.faults.len() < Self::MAX_FAULTS {
            self.faults.push(text);
        }
    }
}

/// Hits and last access per server, kind and record.
type Sums = BTreeMap<(u32, u16, u32), (u64, u64)>;

pub(crate) fn check(inner: &Inner) -> Result<Check, Error> {
    let mut check = Check { records: inner.dictionary.read().len() as u64, ..Check::default() };
    // No commit between the families: what belongs together is compared.
    let _alone = inner.writer.lock();
    if let Err(error) = inner.database.verify_checksums() {
        check.fault(format!("{}: {error}", inner.database.path().display()));
    }
    let markers = read_markers(inner, &mut check)?;
    let block_hits = check_blocks(inner, &markers, &mut check)?;
    check_reports(inner, &markers, block_hits, &mut check)?;
    Ok(check)
}

fn read_markers(inner: &Inner, check: &mut Check) -> Result<HashMap<(u32, u64), Runs>, Error> {
    let mut markers = HashMap::new();
    inner.database.visit(key::MARKERS, &[], |key, value| {
        match (key::u32_at(key, 0), key::u64_at(key, 4), Runs::decode(value)) {
            (Some(server), Some(epoch), Ok(runs)) => {
                check.batches += runs.len();
                markers.insert((server, epoch), runs);
            }
            _ => check.fault(Error::damaged("marker", key).to_string()),
        }
        Ok(true)
    })?;
    Ok(markers)
}

/// Every block can be read, has its marker, and adds up to the totals.
fn check_blocks(inner: &Inner, markers: &HashMap<(u32, u64), Runs>, check: &mut Check) -> Result<HashMap<Identity, u64>, Error> {
    let mut sums = Sums::new();
    let mut block_hits = HashMap::new();
    inner.database.visit(key::OPEN, &[], |key, value| {
        check.blocks += 1;
        let Some((_, identity, start_s)) = key::parse_open(key) else {
            check.fault(Error::damaged("block", key).to_string());
            return Ok(true);
        };
        if !has_marker(markers, &identity) {
            check.fault(format!("a block of batch {identity:?} is there, its marker is not"));
        }
        match sum_block(&identity, start_s, value, check, &mut sums) {
            Ok(hits) => {
                block_hits.insert(identity, hits);
            }
            Err(Malformed(what)) => check.fault(Error::damaged(what, key).to_string()),
        }
        Ok(true)
    })?;
    let mut totals: Sums = BTreeMap::new();
    inner.totals.read().visit(None, &mut |total| {
        totals.insert((total.server_id, total.kind.number(), total.record_id), (total.hits, total.last_ms));
    });
    for (of, (hits, last_ms)) in &sums {
        match totals.get(of) {
            Some(total) if total.0 == *hits && total.1 == *last_ms => {}
            found => check.fault(format!("server, kind, record {of:?}: points say ({hits}, {last_ms}), totals {found:?}")),
        }
    }
    check_groups(inner, check)?;
    Ok(block_hits)
}

fn sum_block(identity: &Identity, start_s: u64, value: &[u8], check: &mut Check, sums: &mut Sums) -> Result<u64, Malformed> {
    let mut sections = Sections::new(value, start_s)?;
    let mut rows = Vec::new();
    let mut hits = 0u64;
    while let Some(section) = sections.next()? {
        rows.clear();
        section.rows(&mut rows)?;
        check.points += rows.len() as u64;
        for row in &rows {
            if u64::from(row.record_id) >= check.records {
                return Err(Malformed("record id"));
            }
            hits = hits.saturating_add(row.hits);
            let sum = sums.entry((identity.server_id, section.kind.number(), row.record_id)).or_default();
            sum.0 = sum.0.saturating_add(row.hits);
            sum.1 = sum.1.max(row.last_ms);
        }
    }
    check.hits = check.hits.saturating_add(hits);
    Ok(hits)
}

fn check_groups(inner: &Inner, check: &mut Check) -> Result<(), Error> {
    inner.database.visit(key::TOTALS, &[], |key, value| {
        let number = key::parse_total(key).map(|(_, _, number)| u64::from(number) * u64::from(GROUP));
        if Group::decode(value).is_err() || number.is_none_or(|first| first >= check.records) {
            check.fault(Error::damaged("totals", key).to_string());
        }
        Ok(true)
    })
}

/// Every committed batch has one report, and the report's hits are its block's.
fn check_reports(
    inner: &Inner,
    markers: &HashMap<(u32, u64), Runs>,
    mut block_hits: HashMap<Identity, u64>,
    check: &mut Check,
) -> Result<(), Error> {
    inner.database.visit(key::REPORTS, &[], |key, value| {
        check.reports += 1;
        let parsed = key::parse_report(key).map(|(identity, start_s)| (identity, Report::decode(&identity, start_s, value)));
        let Some((identity, Ok(report))) = parsed else {
            check.fault(Error::damaged("report", key).to_string());
            return Ok(true);
        };
        if !has_marker(markers, &identity) {
            check.fault(format!("a report of batch {identity:?} is there, its marker is not"));
        }
        let hits = block_hits.remove(&identity).unwrap_or(0);
        if hits != report.hits {
            check.fault(format!("batch {identity:?}: the report says {} hits, the block {hits}", report.hits));
        }
        Ok(true)
    })?;
    if check.reports != check.batches {
        check.fault(format!("{} batches were committed, {} reports are there", check.batches, check.reports));
    }
    Ok(())
}

fn has_marker(markers: &HashMap<(u32, u64), Runs>, identity: &Identity) -> bool {
    markers.get(&(identity.server_id, identity.epoch)).is_some_and(|runs| runs.contains(identity.seq))
}
