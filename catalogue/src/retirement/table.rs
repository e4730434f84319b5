//! A stage as lines of the zone, and as rows of a table.

use super::{Direction, Export, Plan, Stage, export, purpose, text};
use std::convert::Infallible;
use std::fmt::Write;

/// The lines of the zone that a stage takes away (`-`) and adds (`+`), in presentation format.
pub fn diff(plan: &Plan, stage: Stage) -> Export {
    let Ok(export) = export::<Infallible>(plan, stage, |changes, direction| {
        let (from, to) = match direction {
            Direction::Apply => ("before", stage.as_str()),
            Direction::Undo => (stage.as_str(), "undone"),
        };
        let mut out = format!("# {}\n", purpose(plan, stage, direction, changes));
        if changes.iter().any(|change| change.is_change()) {
            let _ = writeln!(out, "--- {zone} ({from})\n+++ {zone} ({to})", zone = plan.zone);
        }
        for change in changes.iter().filter(|change| change.is_change()) {
            for (sign, ttl) in [('-', change.before), ('+', change.after)] {
                let Some(ttl) = ttl else { continue };
                for value in text::values(change.rrset) {
                    let (owner, rtype) = (&change.rrset.owner, change.rrset.rtype);
                    let _ = writeln!(out, "{sign}{owner} {ttl} IN {rtype} {value}");
                }
            }
        }
        Ok(out)
    });
    export
}

/// One record of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Id of its RRset.
    pub resource_id: u64,
    /// The operator's label.
    pub label: String,
    /// Apex of the zone.
    pub zone: String,
    /// Owner name.
    pub host: String,
    /// Type.
    pub rtype: String,
    /// Original TTL, seconds.
    pub ttl: u32,
    /// TTL at this stage; `None` where the RRset is absent.
    pub stage_ttl: Option<u32>,
    /// RDATA in presentation format.
    pub data: String,
    /// The stage.
    pub stage: &'static str,
}

/// The records of a plan at a stage, one row for each value.
pub fn rows(plan: &Plan, stage: Stage) -> impl Iterator<Item = Row> {
    plan.rrsets.iter().flat_map(move |rrset| {
        let stage_ttl = plan.change(rrset, stage).map_or(Some(rrset.ttl), |change| change.after);
        text::values(rrset).map(move |data| Row {
            resource_id: rrset.resource_id,
            label: rrset.label.clone().unwrap_or_default(),
            zone: plan.zone.to_string(),
            host: rrset.owner.to_string(),
            rtype: rrset.rtype.to_string(),
            ttl: rrset.ttl,
            stage_ttl,
            data,
            stage: stage.as_str(),
        })
    })
}

/// [`rows`] as CSV (RFC 4180) with a header line. Texts are exact: who opens the file in a spreadsheet must mark those
/// that look like formulas first.
pub fn csv(plan: &Plan, stage: Stage) -> String {
    let mut out = String::from("resource_id,label,zone,host,type,ttl,stage_ttl,data,stage\r\n");
    for row in rows(plan, stage) {
        let stage_ttl = row.stage_ttl.map(|ttl| ttl.to_string()).unwrap_or_default();
        let [id, ttl] = [row.resource_id.to_string(), row.ttl.to_string()];
        let cells = [&id, &row.label, &row.zone, &row.host, &row.rtype, &ttl, &stage_ttl, &row.data, row.stage];
        let line: Vec<_> = cells.into_iter().map(cell).collect();
        let _ = write!(out, "{}\r\n", line.join(","));
    }
    out
}

/// A cell, in quotation marks where it needs them.
fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
