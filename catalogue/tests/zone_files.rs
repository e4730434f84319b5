//! Zone files of other projects, read as `named` and Knot read them.
//!
//! BIND is the judge of RDATA: what it prints for a file must be what it prints for our records of the same file, which
//! it gets as octets (RFC 3597). Records that BIND 9.18 does not know are left out of both, and counted.
//!
//! The files are in `zones` of the directory `ZONEPULSE_CORPUS`, or of `shared` next to the repository.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zonepulse_catalogue::file::checks::Records;
use zonepulse_catalogue::file::{self, Options, Reader};
use zonepulse_catalogue::{Name, rdata};

/// Options of named-compilezone that switch off what is no matter of reading.
const READ_ONLY: &str = "-i none -k ignore -n ignore -m ignore -M ignore -r ignore -S ignore -T ignore -W ignore";

/// Files that are made to be refused, and why we take them.
const TAKEN: &[(&str, &str)] = &[
    ("bad-_dns-svcb1.db", "BIND 9.18 loads it: a resolver at _dns without ALPN is of no use, but nothing forbids it"),
    ("bad-_dns-svcb2.db", "the same"),
    ("bad-_dns-svcb3.db", "the same, without dohpath"),
    ("bad-_dns-svcb4.db", "the same"),
    ("bad-_dns-svcb5.db", "the same"),
    ("bad-_dns-svcb6.db", "the same"),
    ("bad-dns-sd-reverse.db", "the targets of PTR are any names (RFC 6763 section 4.1); good-dns-sd-reverse.db has them too"),
    ("bad-ds-2.db", "DS without NS is a SHOULD NOT (RFC 4035 section 2.4); a warning"),
    ("bad-rpz-prefix.db", "a name like any other unless the zone is used as a response policy zone"),
    ("bad-svcb-servername.db", "the target of SVCB is any name (RFC 9460 section 2.3)"),
];

/// Files that are no zone files, but RDATA alone.
const RDATA_ONLY: [&str; 2] = ["dnspython__svcb_test_vectors.text", "dnspython__svcb_test_vectors.generic"];

fn corpus() -> Option<PathBuf> {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let zones = std::env::var_os("ZONEPULSE_CORPUS").map_or_else(shared, PathBuf::from).join("zones");
    let found = zones.join("INDEX.tsv").is_file();
    if !found {
        eprintln!("skipped: no zone files in {}: set ZONEPULSE_CORPUS", zones.display());
    }
    found.then_some(zones)
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("-v").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Names of files with what INDEX.tsv says of their validity.
fn files(zones: &Path, valid: &str) -> Vec<String> {
    let index = fs::read_to_string(zones.join("INDEX.tsv")).unwrap();
    let lines = index.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    lines.filter(|fields| fields[5] == valid).map(|fields| fields[0].to_owned()).collect()
}

fn origin_of(name: &str) -> Name {
    Name::from_text(if name.starts_with("ldns") { "jelte.nlnetlabs.nl." } else { "example." }).unwrap()
}

fn options(origin: &Name) -> Options {
    Options { origin: Some(origin.clone()), ..Options::default() }
}

/// Our records of a file: the line of each, and its text with RDATA as octets.
fn ours(bytes: &[u8], origin: &Name) -> Vec<(u64, String)> {
    let records = Records::new(Reader::new(bytes, "zone", options(origin)).filter_map(Result::ok));
    let generic = |item: &file::checks::Item| {
        let record = item.record();
        let mut text = format!("{} {} IN TYPE{} ", record.owner, record.ttl, record.rtype.value());
        rdata::push_generic(&record.rdata, &mut text);
        (item.line, text)
    };
    records.iter().map(generic).collect()
}

/// What named-compilezone prints, or the lines it refuses.
fn compiled(bytes: &[u8], origin: &Name) -> Result<BTreeSet<String>, (BTreeSet<u64>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judged.db");
    fs::write(&path, bytes).unwrap();
    let mut command = Command::new("named-compilezone");
    command.args(READ_ONLY.split(' ')).args(["-o", "-", &origin.to_string()]).arg(&path);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    if !output.status.success() {
        let refused =
            said.lines().filter(|line| !line.contains("ignoring out-of-zone") && !line.contains("signature has expired"));
        let numbers = refused.filter_map(|line| line.split("judged.db:").nth(1)?.split(':').next()?.parse().ok());
        return Err((numbers.collect(), said));
    }
    let lines = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
    let lines = lines.lines().filter(|line| !line.starts_with(';'));
    Ok(lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

/// The file without the entries that begin at these lines. Every entry ends where the next one of ours begins.
fn without(bytes: &[u8], refused: &BTreeSet<u64>, starts: &BTreeSet<u64>) -> Vec<u8> {
    let mut lines: BTreeMap<u64, &[u8]> = (1..).zip(bytes.split_inclusive(|octet| *octet == b'\n')).collect();
    for line in refused {
        let start = starts.range(..=line).next_back().copied().unwrap_or(*line);
        let end = starts.range(line + 1..).next().copied().unwrap_or(line + 1);
        lines.iter_mut().filter(|(number, _)| (start..end).contains(number)).for_each(|(_, text)| *text = b"\n");
    }
    lines.into_values().flatten().copied().collect()
}

/// Compares with BIND, and returns how many records BIND does not know.
fn assert_same_as_named(name: &str, bytes: &[u8], origin: &Name) -> usize {
    let all = ours(bytes, origin);
    let read = Reader::new(bytes, "zone", options(origin));
    let starts: BTreeSet<u64> = read.map(|read| read.map_or_else(|problem| problem.line, |located| located.line)).collect();
    let mut refused = BTreeSet::new();
    let theirs = loop {
        match compiled(&without(bytes, &refused, &starts), origin) {
            Ok(lines) => break lines,
            Err((more, said)) => {
                let more: BTreeSet<u64> = more.iter().map(|line| *starts.range(..=*line).next_back().unwrap_or(line)).collect();
                assert!(!more.is_subset(&refused), "{name}: {said}");
                refused.extend(more);
            }
        }
    };
    let mut kept = String::new();
    for (_, text) in all.iter().filter(|(line, _)| !refused.contains(line)) {
        writeln!(kept, "{text}").unwrap();
    }
    let same = compiled(kept.as_bytes(), origin).map_err(|(_, said)| said).unwrap();
    let (missing, extra): (Vec<_>, Vec<_>) = (theirs.difference(&same).collect(), same.difference(&theirs).collect());
    assert!(missing.is_empty() && extra.is_empty(), "{name}: missing {missing:#?}, not theirs {extra:#?}");
    refused.len()
}

#[test]
fn valid_files_give_the_records_of_named() {
    let Some(zones) = corpus().filter(|_| has("named-compilezone")) else { return };
    let mut unknown = BTreeMap::new();
    for name in files(&zones, "yes").into_iter().filter(|name| !RDATA_ONLY.contains(&name.as_str())) {
        let bytes = fs::read(zones.join("files").join(&name)).unwrap();
        let mut problems = Vec::new();
        let summary = file::check_bytes(&bytes, &name, options(&origin_of(&name)), &mut problems, None).unwrap();
        assert_eq!(summary.errors, 0, "{}", String::from_utf8_lossy(&problems));
        unknown.insert(name.clone(), assert_same_as_named(&name, &bytes, &origin_of(&name)));
    }
    unknown.retain(|_, count| *count > 0);
    eprintln!("records that named does not read: {unknown:?}");
    assert!(unknown.values().all(|count| *count <= 20), "{unknown:?}");
}

#[test]
fn invalid_files_are_refused_unless_there_is_a_reason() {
    let Some(zones) = corpus() else { return };
    for name in files(&zones, "no") {
        let bytes = fs::read(zones.join("files").join(&name)).unwrap();
        let summary = file::check_bytes(&bytes, &name, options(&origin_of(&name)), &mut Vec::new(), None).unwrap();
        let reason = TAKEN.iter().find(|(taken, _)| name.ends_with(&format!("_{taken}")));
        assert_eq!(summary.errors == 0, reason.is_some(), "{name}");
    }
}

/// A line that Knot cannot read is one with an error of ours, in the files that are made to be refused.
#[test]
fn lines_that_knot_refuses_are_reported() {
    let Some(zones) = corpus().filter(|_| has("kzonecheck")) else { return };
    // Knot has no $GENERATE, ATMA, GPOS, NSAP and EID.
    let unknown = ["generate", "atma", "gpos", "nsap", "eid", "bad2", "bad3", "bad4", "include"];
    for name in files(&zones, "no") {
        let taken = TAKEN.iter().any(|(taken, _)| name.ends_with(&format!("_{taken}")));
        if taken || unknown.iter().any(|word| name.contains(word)) {
            continue;
        }
        let path = zones.join("files").join(&name);
        let output = Command::new("kzonecheck").args(["-v", "-o", "example."]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = said.lines().filter_map(|line| line.split(", line ").nth(1)?.split(' ').next()?.parse::<u64>().ok());
        let reader = Reader::new(&*fs::read(&path).unwrap(), "zone", options(&origin_of(&name))).collect::<Vec<_>>();
        let mut reported: BTreeSet<u64> = reader.into_iter().filter_map(|read| read.err().map(|problem| problem.line)).collect();
        let mut problems = Vec::new();
        file::check(&path, options(&origin_of(&name)), &mut problems, None).unwrap();
        let problems = String::from_utf8(problems).unwrap();
        reported.extend(problems.lines().filter_map(|line| line.split(".db:").nth(1)?.split(':').next()?.parse::<u64>().ok()));
        for line in lines {
            assert!(reported.contains(&line), "{name}: line {line} in\n{said}\nbut not in\n{problems}");
        }
    }
}

/// The files of RDATA alone: every text is the octets of the other file.
#[test]
fn svcb_texts_are_their_octets() {
    let Some(zones) = corpus() else { return };
    let entries = |name: &str| {
        let text = fs::read_to_string(zones.join("files").join(name)).unwrap();
        let mut entries: Vec<String> = Vec::new();
        let mut open = false;
        for line in text.lines().map(|line| line.split(';').next().unwrap_or_default()).filter(|line| !line.trim().is_empty()) {
            match entries.last_mut().filter(|_| open) {
                Some(entry) => *entry += &format!("\n{line}"),
                None => entries.push(line.to_owned()),
            }
            open = (open || line.contains('(')) && !line.contains(')');
        }
        let svcb = "SVCB".parse().unwrap();
        entries.iter().map(|entry| rdata::from_text(svcb, entry, None).unwrap()).collect::<Vec<_>>()
    };
    let texts = entries(RDATA_ONLY[0]);
    assert_eq!(texts.len(), 10);
    assert_eq!(texts, entries(RDATA_ONLY[1]));
}

/// One in 200 of the 4,201 zones whose answers are the ground truth of lookups.
#[test]
fn zones_of_ferret_give_the_records_of_named() {
    let Some(zones) = corpus().filter(|_| has("named-compilezone") && has("zstdcat")) else { return };
    let output = Command::new("zstdcat").arg(zones.join("ferret.jsonl.zst")).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut read = 0;
    for line in lines.lines().step_by(200) {
        // The texts have no escapes but these.
        let text = line.split("\"zone\": \"").nth(1).unwrap().split("\", \"query\"").next().unwrap();
        let text = text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\"").replace("\\\\", "\\");
        let mut reader = Reader::new(text.as_bytes(), "zone", Options { origin: None, ..Options::default() });
        let errors: Vec<_> = reader.by_ref().filter_map(Result::err).collect();
        let apex = reader.apex().unwrap_or_else(|| panic!("{text}: {errors:?}")).clone();
        assert_same_as_named(&text, text.as_bytes(), &apex);
        read += 1;
    }
    assert!(read > 20);
}
