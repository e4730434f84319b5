//! What was served according to the response, compared with a lookup in the zone by an independent program: cases on whose
//! RCODE and answer section BIND, Knot DNS, NSD and PowerDNS agree (dns-groot/FerretDataset).
//!
//! `ZONEPULSE_TESTS_CASES` names another file of cases.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use zonepulse_dns::{MessageKind, RecordType, ResponseCode, name};
use zonepulse_fixtures::project;
use zonepulse_probe::observe::Hit;
use zonepulse_probe::served::{Names, Outcome, Reader, Zones};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let need = || Ok::<_, String>((cases()?, python()?));
    let test = Trial::ignorable_test("what_responses_served_is_what_a_lookup_in_the_zone_serves", move || match need() {
        Ok((cases, python)) => every_case_agrees(&cases, &python).map(|()| Completion::Completed),
        Err(reason) => Ok(Completion::ignored_with(reason)),
    });
    libtest_mimic::run(&arguments, vec![test]).exit_code()
}

/// The file of cases, one JSON object a line, compressed with zstd.
fn cases() -> Result<PathBuf, String> {
    let corpus = std::env::var_os("ZONEPULSE_CORPUS").map_or_else(|| project().join("../shared"), PathBuf::from);
    let path = std::env::var_os("ZONEPULSE_TESTS_CASES").map_or_else(|| corpus.join("zones/ferret.jsonl.zst"), PathBuf::from);
    if path.is_file() { Ok(path) } else { Err(format!("no cases in {}: set ZONEPULSE_CORPUS", path.display())) }
}

/// The Python that `scripts/test.sh` sets, or that of the system.
fn python() -> Result<OsString, String> {
    let set = std::env::var_os("ZONEPULSE_TESTS_PYTHON");
    let has_dnspython = |python: &OsString| {
        let status = Command::new(python).args(["-c", "import dns.zonefile"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = set.into_iter().chain([OsString::from("python3")]).find(has_dnspython);
    found.ok_or_else(|| "there is no Python with dnspython: scripts/test.sh installs it".to_owned())
}

fn every_case_agrees(cases: &Path, python: &OsString) -> Result<(), Failed> {
    let mut text = Command::new("zstd").arg("-dcq").arg(cases).stdout(Stdio::piped()).spawn()?;
    let input = text.stdout.take().ok_or("no output")?;
    let script = project().join("tests/served/lookup.py");
    let output = Command::new(python).arg(script).stdin(input).stderr(Stdio::inherit()).output()?;
    if !text.wait()?.success() || !output.status.success() {
        return Err(format!("the lookups fail: {}", output.status).into());
    }
    let cases = std::str::from_utf8(&output.stdout)?.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let different: Vec<String> = cases.iter().filter_map(difference).collect();
    println!(
        "{} cases, {} RRsets served",
        cases.len(),
        cases.iter().map(|case| case["served"].as_array().unwrap().len()).sum::<usize>()
    );
    // Servers that all depart from the RFC in the same way are possible, but rare.
    let conflicts: Vec<String> =
        cases.iter().filter_map(|case| Some(format!("case {}: {}", case["id"], case["conflict"].as_str()?))).collect();
    conflicts.iter().for_each(|conflict| println!("{conflict}"));
    if conflicts.len() > cases.len() / 200 {
        return Err(format!("{} of {} responses are not what a lookup gives", conflicts.len(), cases.len()).into());
    }
    if cases.is_empty() || !different.is_empty() {
        let first = different.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        return Err(format!("{} of {} cases differ:\n{first}", different.len(), cases.len()).into());
    }
    Ok(())
}

/// How a case differs from what the lookup says.
fn difference(case: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let wire = |value: &Value| name::to_wire(&text(value)).unwrap();
    let owners: Vec<_> = list(&case["owners"]).iter().map(wire).collect();
    let mut zones = Zones::any();
    zones.add_named(Names::new(&wire(&case["apex"]), owners.iter().map(Vec::as_slice)));
    let mut reader = Reader::new(zones);
    let expected: Vec<String> =
        list(&case["served"]).iter().map(|rrset| list(rrset).iter().map(text).collect::<Vec<_>>().join(" ")).collect();
    let (qname, qtype) = (wire(&case["question"][0]), case["question"][1].as_u64().unwrap() as u16);
    for message in list(&case["messages"]) {
        let octets = from_hexadecimal(&text(&message));
        let found = served(&mut reader, &qname, RecordType::new(qtype), &octets);
        if found != expected {
            return Some(format!("case {}: served {found:?} instead of {expected:?}", case["id"]));
        }
    }
    None
}

fn from_hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Owner, type and class of each RRset served.
fn served(reader: &mut Reader, qname: &[u8], record_type: RecordType, octets: &[u8]) -> Vec<String> {
    let name = &octets[12..12 + qname.len()];
    assert!(name.eq_ignore_ascii_case(qname));
    let kind = MessageKind::response(ResponseCode::from_masked(u16::from(octets[3] & 15)));
    let mut found = Vec::new();
    let outcome = reader.read(&Hit { name, record_type, kind, time_ms: 0, message: octets }, |credit| {
        let mut text = String::new();
        assert!(name::push_text(credit.owner, &mut text));
        assert!(!credit.may_be_wildcard, "the names of the zone are known: {text}");
        found.push(format!("{text} {} {}", credit.record_type, credit.class.as_str()));
    });
    assert_eq!(outcome, Outcome::Read);
    found.sort();
    found
}
