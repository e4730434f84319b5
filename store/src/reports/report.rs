//! A report and its encoding on disk.
//!
//! A report of a DNS batch is `version u8 = 3 · interval_s · covered from and until, milliseconds after the start · hits ·
//! counters · reasons · folded zones`, then the evictions, if any.
//!
//! Batches of metrics have reports with a version of their own, so that every committed batch has a report.

use super::listened::Listened;
use crate::intake::Intake;
use crate::ledger::reasons::{Loss, Reasons, Unobserved};
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::name::MAX_TEXT;
use zonepulse_model::{Evicted, Identity, ServerId};

const VERSION: u8 = 3;
const SYSTEM_VERSION: u8 = 2;
/// Without losses: what was lost follows from the counters.
const OLD_VERSION: u8 = 1;

/// What a probe reported about one interval, or, with a batch of metrics, about evictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The server.
    pub server_id: ServerId,
    /// The probe's epoch.
    pub epoch: u64,
    /// The batch's sequence number within that epoch.
    pub seq: u64,
    /// Start of the interval, Unix seconds.
    pub start_s: u64,
    /// Length of the interval, seconds.
    pub interval_s: u32,
    /// When the probe started listening, Unix milliseconds.
    pub covered_from_ms: u64,
    /// When it stopped listening, Unix milliseconds.
    pub covered_until_ms: u64,
    /// Hits of all rows of the batch.
    pub hits: u64,
    /// Its other counters, by counter number in the wire format.
    pub counters: Vec<(u16, u64)>,
    /// What the batch may have missed of the time that it covers.
    pub loss: Loss,
    /// What it evicted before this batch, DNS or metrics.
    pub evicted: Option<Evicted>,
    /// Whether the report belongs to a batch of metrics. If so, it covers no time and reports only evictions.
    pub of_metrics: bool,
}

/// The report of a batch of metrics: `version u8 = 2 · interval_s · slots · points`, then the evictions, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SystemReport {
    pub interval_s: u32,
    pub slots: u32,
    pub points: u64,
    pub evicted: Option<Evicted>,
}

impl SystemReport {
    /// Whether the report belongs to a batch of metrics.
    pub(crate) fn is(value: &[u8]) -> bool {
        value.first() == Some(&SYSTEM_VERSION)
    }

    /// The evictions as a report, if there were any.
    pub(crate) fn of_loss(&self, identity: &Identity, start_s: u64) -> Option<Report> {
        let Identity { server_id, epoch, seq } = *identity;
        let start_ms = start_s.saturating_mul(1000);
        self.evicted.map(|evicted| Report {
            server_id,
            epoch,
            seq,
            start_s,
            interval_s: self.interval_s,
            covered_from_ms: start_ms,
            covered_until_ms: start_ms,
            hits: 0,
            counters: Vec::new(),
            loss: Loss::default(),
            evicted: Some(evicted),
            of_metrics: true,
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![SYSTEM_VERSION];
        put(&mut out, u64::from(self.interval_s));
        put(&mut out, u64::from(self.slots));
        put(&mut out, self.points);
        put_evicted(&mut out, self.evicted);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let Some((&SYSTEM_VERSION, rest)) = value.split_first() else { return Err(Malformed("report version")) };
        let mut reader = Reader::new(rest);
        let interval_s = reader.below(3601, "interval")? as u32;
        let slots = reader.below(1 << 32, "slots")? as u32;
        let points = reader.number("points")?;
        Ok(SystemReport { interval_s, slots, points, evicted: read_evicted(&mut reader)? })
    }
}

/// Appends the evictions to a report: nothing, or three numbers.
fn put_evicted(out: &mut Vec<u8>, evicted: Option<Evicted>) {
    if let Some(evicted) = evicted {
        put(out, evicted.batches);
        put(out, evicted.from_s);
        put(out, evicted.until_s);
    }
}

fn read_evicted(reader: &mut Reader<'_>) -> Result<Option<Evicted>, Malformed> {
    if reader.is_empty() {
        return Ok(None);
    }
    let (batches, from_s) = (reader.number("evicted")?, reader.number("evicted")?);
    Ok(Some(Evicted { batches, from_s, until_s: reader.number("evicted")? }))
}

/// Appends the reasons, then the zones: their number, and for each its length and name.
fn put_loss(out: &mut Vec<u8>, loss: &Loss) {
    put(out, u64::from(loss.why.bits()));
    put(out, loss.folded.len() as u64);
    for zone in &loss.folded {
        put(out, zone.len() as u64);
        out.extend_from_slice(zone.as_bytes());
    }
}

fn read_loss(reader: &mut Reader<'_>) -> Result<Loss, Malformed> {
    let why = Reasons::from_bits(reader.below(1 << 32, "reasons")? as u32);
    let mut folded = Vec::new();
    for _ in 0..reader.count(Loss::MAX_ZONES, "folded zones")? {
        let length = reader.below(MAX_TEXT as u64 + 1, "folded zones")? as usize;
        let zone = reader.bytes(length, "folded zones")?;
        folded.push(std::str::from_utf8(zone).map_err(|_| Malformed("folded zones"))?.to_owned());
    }
    let loss = Loss { why, folded };
    if loss.is_good() { Ok(loss) } else { Err(Malformed("folded zones")) }
}

/// The loss that a counter of an old report implies.
fn implied((counter, value): &(u16, u64)) -> Option<Unobserved> {
    Unobserved::of_old_counter(*counter).filter(|_| *value > 0)
}

impl Report {
    /// Encodes the report for an intake.
    pub(crate) fn encode(intake: &Intake) -> Vec<u8> {
        let start_ms = intake.start_s * 1000;
        let mut out = vec![VERSION];
        put(&mut out, u64::from(intake.interval_s));
        put(&mut out, intake.covered_from_ms - start_ms);
        put(&mut out, intake.covered_until_ms - start_ms);
        put(&mut out, intake.hits());
        put(&mut out, intake.counters.len() as u64);
        for (number, value) in &intake.counters {
            put(&mut out, u64::from(*number));
            put(&mut out, *value);
        }
        put_loss(&mut out, &intake.loss);
        put_evicted(&mut out, intake.evicted);
        out
    }

    /// The version, the length of the interval, and the rest.
    fn begin(value: &[u8]) -> Result<(u8, u32, Reader<'_>), Malformed> {
        let (&version, rest) = value.split_first().ok_or(Malformed("report version"))?;
        if ![VERSION, OLD_VERSION].contains(&version) {
            return Err(Malformed("report version"));
        }
        let mut reader = Reader::new(rest);
        Ok((version, reader.below(3601, "interval")? as u32, reader))
    }

    /// Decodes only when the probe listened. Does not allocate: a query may read a million reports.
    pub(crate) fn listened(server_id: ServerId, start_s: u64, value: &[u8], counter: Option<u16>) -> Result<Listened, Malformed> {
        let (_, interval_s, mut reader) = Self::begin(value)?;
        let (covered_from_ms, covered_until_ms) = covered(start_s, &mut reader)?;
        let hits = reader.number("hits")?;
        let mut counted = 0;
        if let Some(counter) = counter.map(u64::from) {
            for _ in 0..reader.count(usize::from(u16::MAX), "counters")? {
                let (number, value) = (reader.below(1 << 16, "counters")?, reader.number("counters")?);
                // Counters are in ascending order.
                if number >= counter {
                    counted = if number == counter { value } else { 0 };
                    break;
                }
            }
        }
        let end_s = start_s + u64::from(interval_s);
        Ok(Listened { server_id, start_s, end_s, interval_s, covered_from_ms, covered_until_ms, hits, counted })
    }

    pub(crate) fn decode(identity: &Identity, start_s: u64, value: &[u8]) -> Result<Self, Malformed> {
        let (version, interval_s, mut reader) = Self::begin(value)?;
        let (covered_from_ms, covered_until_ms) = covered(start_s, &mut reader)?;
        let hits = reader.number("hits")?;
        let mut counters = Vec::new();
        for _ in 0..reader.count(usize::from(u16::MAX), "counters")? {
            counters.push((reader.below(1 << 16, "counters")? as u16, reader.number("counters")?));
        }
        let loss = match version {
            OLD_VERSION => Loss { why: counters.iter().filter_map(implied).collect(), folded: Vec::new() },
            _ => read_loss(&mut reader)?,
        };
        let evicted = read_evicted(&mut reader)?;
        let Identity { server_id, epoch, seq } = *identity;
        Ok(Report {
            server_id,
            epoch,
            seq,
            start_s,
            interval_s,
            covered_from_ms,
            covered_until_ms,
            hits,
            counters,
            loss,
            evicted,
            of_metrics: false,
        })
    }
}

/// When the probe started and stopped listening, Unix milliseconds.
fn covered(start_s: u64, reader: &mut Reader<'_>) -> Result<(u64, u64), Malformed> {
    if start_s >= 1 << 40 {
        return Err(Malformed("report start"));
    }
    let from_ms = start_s * 1000 + reader.below(1 << 32, "coverage")?;
    Ok((from_ms, start_s * 1000 + reader.below(1 << 32, "coverage")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::IntakeRow;
    use proptest::prelude::*;
    use zonepulse_dns::MessageKind;
    use zonepulse_fixtures::extremes::{from_one_to, up_to};
    use zonepulse_model::RecordId;

    #[test]
    fn version_2_of_a_report_stays_as_it_is_byte_for_byte() {
        let evicted = Some(Evicted { batches: 2, from_s: 300, until_s: 600 });
        let report = SystemReport { interval_s: 5, slots: 12, points: 600, evicted };
        assert_eq!(report.encode(), [2, 5, 12, 216, 4, 2, 172, 2, 216, 4]);
        assert_eq!(SystemReport::decode(&report.encode()), Ok(report));
        let whole = SystemReport { evicted: None, ..report };
        assert_eq!(SystemReport::decode(&whole.encode()), Ok(whole));
        assert!(
            SystemReport::is(&report.encode())
                && Report::decode(&Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 }, 0, &report.encode()).is_err()
        );
    }

    fn any_evicted() -> impl Strategy<Value = Option<Evicted>> {
        let numbers = (up_to(u64::MAX), up_to(u64::MAX), up_to(u64::MAX));
        prop::option::of(numbers.prop_map(|(batches, from_s, until_s)| Evicted { batches, from_s, until_s }))
    }

    fn any_intake() -> impl Strategy<Value = Intake> {
        let rows = prop::collection::vec(from_one_to(u64::MAX), 0..5);
        let counters = prop::collection::btree_map(any::<u16>(), from_one_to(u64::MAX), 0..9);
        let covered = (up_to(300_000), up_to(300_000));
        // Earlier versions accepted times up to the year 36812.
        let zones = prop::collection::vec(prop::sample::select(vec![".", "a.", "b\\.c.d."]), 0..4);
        let loss = (0..1u32 << 11, zones).prop_map(|(bits, zones)| Loss {
            why: Reasons::from_bits(bits),
            folded: zones.into_iter().map(str::to_owned).collect(),
        });
        let of = (up_to((1 << 40) / 300 - 1), covered, counters, loss, any_evicted(), rows);
        of.prop_map(|(at, (a, b), counters, loss, evicted, rows)| {
            let (start_s, start_ms) = (at * 300, at * 300_000);
            let row = |hits| IntakeRow {
                record_id: RecordId::OTHER,
                kind: MessageKind::REQUEST,
                hits,
                first_ms: start_ms,
                last_ms: start_ms,
            };
            Intake {
                identity: Identity { server_id: ServerId::new(1), epoch: u64::MAX, seq: u64::MAX },
                start_s,
                interval_s: 300,
                covered_from_ms: start_ms + a.min(b),
                covered_until_ms: start_ms + a.max(b),
                counters: counters.into_iter().collect(),
                loss,
                evicted,
                rows: rows.into_iter().map(row).collect(),
            }
        })
    }

    proptest! {
        #[test]
        fn any_report_says_what_its_intake_said(intake in any_intake()) {
            prop_assert_eq!(intake.broken_promise(), None);
            let report = Report::decode(&intake.identity, intake.start_s, &Report::encode(&intake)).unwrap();
            let hits = intake.rows.iter().map(|row| u128::from(row.hits)).sum::<u128>().min(u128::from(u64::MAX));
            prop_assert_eq!(u128::from(report.hits), hits);
            prop_assert_eq!((report.covered_from_ms, report.covered_until_ms), (intake.covered_from_ms, intake.covered_until_ms));
            // The short form agrees on every counter.
            for counter in intake.counters.iter().map(|(number, _)| *number).chain([0, 66, u16::MAX]) {
                let listened = Report::listened(ServerId::new(1), intake.start_s, &Report::encode(&intake), Some(counter)).unwrap();
                let counted = report.counters.iter().find(|(number, _)| *number == counter).map_or(0, |(_, value)| *value);
                let Report { interval_s, covered_from_ms, covered_until_ms, hits, .. } = report;
                let (start_s, end_s) = (intake.start_s, intake.start_s + u64::from(interval_s));
                let expected = Listened { server_id: ServerId::new(1), start_s, end_s, interval_s, covered_from_ms, covered_until_ms, hits, counted };
                prop_assert_eq!(listened, expected);
            }
            prop_assert_eq!((report.counters, report.loss, report.evicted, report.start_s), (intake.counters, intake.loss, intake.evicted, intake.start_s));
        }

        #[test]
        fn any_report_of_metrics_survives_its_bytes(interval_s in up_to(3600), slots in up_to(u64::from(u32::MAX)), points in up_to(u64::MAX), evicted in any_evicted()) {
            let report = SystemReport { interval_s: interval_s as u32, slots: slots as u32, points, evicted };
            prop_assert_eq!(SystemReport::decode(&report.encode()), Ok(report));
        }

        #[test]
        fn bytes_of_any_kind_never_panic(version in 0..5u8, bytes in prop::collection::vec(any::<u8>(), 0..60), start_s in up_to(u64::MAX)) {
            let value = [&[version][..], &bytes].concat();
            let _ = Report::decode(&Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 }, start_s, &value);
            let _ = Report::listened(ServerId::new(1), start_s, &value, Some(66));
            if let Ok(report) = SystemReport::decode(&value) {
                let _ = report.of_loss(&Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 }, start_s);
            }
        }
    }
}
