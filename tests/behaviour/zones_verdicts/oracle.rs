//! What a plain Python program says of the records, from the zone and the query log.

use super::world::World;
use super::{APEX, Phase};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::Duration;
use zonepulse_tests::api::{Row, text, time_ms};
use zonepulse_tests::process::succeed;
use zonepulse_tests::unix_ms;

/// What the Python program says of an RRset.
pub(super) struct Expected {
    pub verdict: String,
    /// Owner and type of what leads to it; `-` for nothing.
    referrer: (String, String),
    /// The beginning of the phase in which it was last used, Unix milliseconds; `-` for none.
    last_use: String,
}

impl Expected {
    /// How a row differs.
    pub fn difference(&self, row: &Row, phases: &[Phase]) -> Option<String> {
        let (verdict, reasons) = (text(row, "verdict"), text(row, "reasons"));
        if verdict != self.verdict {
            return Some(format!("{verdict} instead of {}", self.verdict));
        }
        let (owner, rtype) = &self.referrer;
        if owner != "-" && !reasons.starts_with(&format!("{rtype} of {owner} leads here")) {
            return Some(format!("{rtype} of {owner} leads to it"));
        }
        // A negative answer is no access to the SOA in rows, but a use in the Python program.
        if text(row, "type") == "SOA" {
            return None;
        }
        let is_right = match text(row, "last_access") {
            "-" => self.last_use == "-",
            _ => phases
                .iter()
                .any(|phase| self.last_use == phase.start().to_string() && phase.contains(&time_ms(row, "last_access"))),
        };
        (!is_right).then(|| format!("last access at {} instead of after {}", text(row, "last_access"), self.last_use))
    }
}

/// What the Python program says, by owner and type. `gap` is when queries may have been missed.
pub(super) fn oracle(
    python: &OsStr,
    world: &World,
    start_ms: u64,
    phases: &[(&Phase, &[String])],
    gap: Option<(u64, u64)>,
) -> BTreeMap<String, Expected> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("a test's folder is writable");
    let now_ms = unix_ms();
    write("first.zone", &world.first);
    write("second.zone", &world.second());
    let version = |from_ms: u64, file: &str| format!("{from_ms}\tdefault\t{APEX}\t{file}\tns1\t0\t0\n");
    write("zones.tsv", &(version(0, "first.zone") + &version(start_ms, "second.zone")));
    let mut queries = String::new();
    for (phase, questions) in phases {
        for question in *questions {
            // Writing to a string cannot fail.
            let _ = writeln!(queries, "{}\tns1\t{}", phase.start(), question.replace(' ', "\t"));
        }
    }
    write("queries.tsv", &queries);
    write("servers.tsv", &format!("ns1\t{now_ms}\n"));
    write("missing.tsv", &gap.map(|(from_ms, to_ms)| format!("-\t-\tns1\t{from_ms}\t{to_ms}\n")).unwrap_or_default());
    let created = world.created.iter().map(|(owner, rtype)| format!("default\t{APEX}\t{owner}.{APEX}\t{rtype}\t{start_ms}\t0\n"));
    write("facts.tsv", &created.collect::<String>());
    // As documented; the zone has no records that other rules protect.
    write("rules.tsv", "\tSRV\t\n\tCAA\t\n\tMX\tnothing\n\tTXT\ttext:v=spf1\n_dmarc\t\t\n");
    let (length_ms, week_s) = (now_ms - start_ms, 7 * 86_400);
    let window = format!(
        "now_ms\t{now_ms}\nlength_ms\t{length_ms}\ngrace_ms\t{week_s}000\nmargin_ms\t0\nttl_cap_s\t{week_s}\nlag_ms\t600000\n"
    );
    write("window.tsv", &window);
    let script = zonepulse_fixtures::project().join("catalogue/tests/verdicts_oracle.py");
    let output = succeed(Command::new(python).arg(script).arg(folder.path()), Duration::from_secs(600));
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, _, owner, rtype, verdict, _, referrer, last_use] = fields[..] else { panic!("{line:?} has other columns") };
        let (by, by_type) = referrer.split_once(' ').unwrap_or((referrer, referrer));
        let referrer = (by.to_owned(), by_type.to_owned());
        (format!("{owner} {rtype}"), Expected { verdict: verdict.to_owned(), referrer, last_use: last_use.to_owned() })
    };
    output.lines().map(row).collect()
}
