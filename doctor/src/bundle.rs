//! A report with files that help to understand it, as probes send it and people download it.
//!
//! Between programs it is JSON, compressed with zstd; for people it is a tar archive, compressed with gzip. Every part is
//! bounded, by the writer and by the reader.

use crate::{Check, Report, Secrets, text};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::io::{self, Read};
use std::net::IpAddr;

/// Maximum size of an encoded bundle, bytes.
pub const MAX_BUNDLE_BYTES: usize = 2 << 20;
/// Maximum size of what is in it, bytes.
const MAX_DECODED_BYTES: usize = 8 << 20;
/// Maximum number of files.
const MAX_FILES: usize = 32;
/// Maximum size of a file, bytes.
const MAX_FILE_BYTES: usize = 512 << 10;
/// Maximum length of a file's name, bytes.
const MAX_NAME_BYTES: usize = 64;
/// Maximum number of checks.
const MAX_CHECKS: usize = 128;
/// Maximum length of a text of a check, bytes.
const MAX_TEXT_BYTES: usize = 16 << 10;
/// Names of the files with the report.
const REPORTS: [&str; 2] = ["report.txt", "report.json"];
const LEVEL: i32 = 3;
/// Maximum window of a frame, bytes as a power of two: 8 MiB.
const WINDOW_LOG: u32 = 23;

/// A report and files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The report.
    pub report: Report,
    /// The files, without secrets.
    pub files: Vec<File>,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name: lower-case letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// Its contents.
    pub text: String,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is larger than allowed.
    #[error("{what} has more than {most} bytes")]
    TooLarge {
        /// Which part of it.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// It is not one.
    #[error("not a bundle: {0}")]
    Malformed(String),
}

impl Bundle {
    /// A report without files.
    pub fn new(report: Report) -> Bundle {
        Bundle { report, files: Vec::new() }
    }

    /// Adds a file without secrets. Of a text that is too long, the end is kept, since logs end with what is new.
    pub fn add(&mut self, name: &str, text: &str, secrets: &Secrets) {
        let text = secrets.hide(text);
        let surplus = text.len().saturating_sub(MAX_FILE_BYTES);
        let start = (surplus..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let kept = text.get(start..).unwrap_or_default();
        let text = if surplus > 0 { format!("(the first {start} bytes are left out)\n{kept}") } else { text };
        self.files.push(File { name: name.to_owned(), text });
    }

    /// Adds a log, in which only those addresses are shown that other parts of the bundle contain: those of the machine and of
    /// peers in its configuration.
    pub fn add_log(&mut self, name: &str, text: &str, secrets: &Secrets) {
        let known: String =
            self.files.iter().map(|file| file.text.as_str()).chain([crate::text(&self.report).as_str()]).collect();
        self.add(name, &without_addresses(text, &known), secrets);
    }

    /// As it is sent.
    pub fn encode(&self) -> Result<Vec<u8>, BundleError> {
        let json = serde_json::to_vec(self).map_err(|error| BundleError::Malformed(error.to_string()))?;
        let bytes = zstd::encode_all(&*json, LEVEL).map_err(|error| BundleError::Malformed(error.to_string()))?;
        match json.len() > MAX_DECODED_BYTES || bytes.len() > MAX_BUNDLE_BYTES {
            true => Err(BundleError::TooLarge { what: "the bundle", most: MAX_BUNDLE_BYTES }),
            false => Ok(bytes),
        }
    }

    /// Reads what was sent.
    pub fn decode(bytes: &[u8]) -> Result<Bundle, BundleError> {
        let malformed = |error: io::Error| BundleError::Malformed(error.to_string());
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge { what: "the bundle", most: MAX_BUNDLE_BYTES });
        }
        let mut json = Vec::new();
        let mut reader = zstd::Decoder::with_buffer(bytes).map_err(malformed)?;
        // What a frame may make the reader allocate.
        reader.window_log_max(WINDOW_LOG).map_err(malformed)?;
        reader.take(MAX_DECODED_BYTES as u64 + 1).read_to_end(&mut json).map_err(malformed)?;
        if json.len() > MAX_DECODED_BYTES {
            return Err(BundleError::TooLarge { what: "the contents of the bundle", most: MAX_DECODED_BYTES });
        }
        let bundle: Bundle = serde_json::from_slice(&json).map_err(|error| BundleError::Malformed(error.to_string()))?;
        bundle.check()?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), BundleError> {
        let malformed = |what: String| Err(BundleError::Malformed(what));
        if self.files.len() > MAX_FILES || self.report.checks.len() > MAX_CHECKS {
            return malformed(format!("more than {MAX_FILES} files or {MAX_CHECKS} checks"));
        }
        for (at, file) in self.files.iter().enumerate() {
            let is_twice = self.files.iter().take(at).any(|other| other.name == file.name);
            if !is_name(&file.name) || is_twice || REPORTS.contains(&&*file.name) {
                return malformed(format!("the name of file {at} is not allowed"));
            }
            // A shortened file says so.
            if file.text.len() > MAX_FILE_BYTES + 100 {
                return Err(BundleError::TooLarge { what: "a file", most: MAX_FILE_BYTES });
            }
        }
        let is_long = |check: &Check| {
            let Check { id, checked, found, advice, .. } = check;
            [&**id, &**checked, found].into_iter().chain(advice.as_deref()).any(|text| text.len() > MAX_TEXT_BYTES)
        };
        match self.report.checks.iter().any(is_long) {
            true => Err(BundleError::TooLarge { what: "a text of a check", most: MAX_TEXT_BYTES }),
            false => Ok(()),
        }
    }

    /// A tar archive (gzip) with everything in a directory of this name, dated with this time.
    pub fn archive(&self, directory: &str, now_s: u64) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec_pretty(&self.report)?;
        let report = text(&self.report).into_bytes();
        let reports = REPORTS.into_iter().zip([report.as_slice(), json.as_slice()]);
        let files = self.files.iter().map(|file| (&*file.name, file.text.as_bytes()));
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, contents) in reports.chain(files) {
            let mut header = tar::Header::new_ustar();
            header.set_size(contents.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(now_s);
            archive.append_data(&mut header, format!("{directory}/{name}"), contents)?;
        }
        archive.into_inner()?.finish()
    }
}

/// A text without the addresses that do not occur in another.
fn without_addresses(text: &str, known: &str) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        let address = address_in(word);
        match address.filter(|(address, _)| !address.is_loopback() && !address.is_unspecified()) {
            Some((_, written)) if !known.contains(written) => shown.push_str(&word.replacen(written, "(address)", 1)),
            _ => shown.push_str(word),
        }
        let other = after.find(is_part).unwrap_or(after.len());
        let (between, after) = after.split_at(other);
        shown.push_str(between);
        rest = after;
    }
    shown
}

/// The address in a word, and how it is written there: it may be followed by a port or a punctuation mark.
fn address_in(word: &str) -> Option<(IpAddr, &str)> {
    let word = word.trim_end_matches('.');
    let without_port = word.rsplit_once(':').map(|(address, _)| address);
    let candidates = [Some(word), without_port].into_iter().flatten();
    candidates.filter_map(|text| Some((text.parse().ok()?, text))).next()
}

fn is_name(name: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"._-".contains(&octet);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{Topic, report};

    fn bundle() -> Bundle {
        let mut bundle = Bundle::new(report(vec![Check::error(Topic::Clock, "hush-hush is late", "set it")]));
        bundle.add("log.txt", "one\nhush-hush\n", &Secrets::of(["hush-hush"]));
        bundle
    }

    fn refused(change: impl FnOnce(&mut Bundle)) -> String {
        let mut bundle = bundle();
        change(&mut bundle);
        let json = serde_json::to_vec(&bundle).unwrap();
        Bundle::decode(&zstd::encode_all(&*json, LEVEL).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_bundle_reads_as_it_was_written() {
        let bundle = bundle();
        assert_eq!(bundle.files[0].text, "one\n(secret)\n");
        assert_eq!(Bundle::decode(&bundle.encode().unwrap()).unwrap(), bundle);
    }

    #[test]
    fn names_lead_nowhere_else_and_occur_once() {
        for name in ["", "../a", "/a", "a/b", ".a", "A", "report.txt", "ä", &"x".repeat(65)] {
            let said = refused(|bundle| bundle.files[0].name = name.to_owned());
            assert!(said.contains("the name of file 0"), "{name}: {said}");
        }
        assert!(refused(|bundle| bundle.files.push(bundle.files[0].clone())).contains("the name of file 1"));
    }

    #[test]
    fn every_part_is_bounded() {
        let file = |number: usize| File { name: format!("{number}"), text: String::new() };
        assert!(refused(|bundle| bundle.files = (0..33).map(file).collect()).contains("more than 32 files"));
        assert!(refused(|bundle| bundle.files[0].text = "x".repeat(MAX_FILE_BYTES + 101)).contains("a file has more than"));
        assert!(refused(|bundle| bundle.report.checks[0].found = "x".repeat(MAX_TEXT_BYTES + 1)).contains("a text of a check"));
        let bomb = zstd::encode_all(io::repeat(b' ').take(1 << 30), 1).unwrap();
        assert!(bomb.len() < MAX_BUNDLE_BYTES);
        assert!(matches!(Bundle::decode(&bomb), Err(BundleError::TooLarge { .. })));
        assert!(matches!(Bundle::decode(&vec![0; MAX_BUNDLE_BYTES + 1]), Err(BundleError::TooLarge { .. })));
        assert!(matches!(Bundle::decode(b"rubbish"), Err(BundleError::Malformed(_))));
    }

    #[test]
    fn of_a_long_text_the_end_is_kept() {
        let mut bundle = bundle();
        bundle.add("long.txt", &format!("{}end", "ä".repeat(MAX_FILE_BYTES)), &Secrets::default());
        let text = &bundle.files[1].text;
        assert!(text.starts_with("(the first ") && text.ends_with("äend") && text.len() < MAX_FILE_BYTES + 100);
        assert!(Bundle::decode(&bundle.encode().unwrap()).is_ok());
    }

    #[test]
    fn a_log_shows_only_addresses_that_are_known_anyway() {
        let mut bundle = bundle();
        bundle.add("configuration.toml", "url = \"https://192.0.2.1:8053\"\n", &Secrets::default());
        let text = "2026-11-28T09:18:44.123456Z central 192.0.2.1:8053 of 192.0.2.77:40000, [2001:db8::5]:53, 2001:db8::5.\n\
                    listening on 127.0.0.1:53 and [::]:53, version 0.1.0, deadbeef: 10.0.0.9\n";
        bundle.add_log("other.txt", text, &Secrets::default());
        let expected = "2026-11-28T09:18:44.123456Z central 192.0.2.1:8053 of (address):40000, [(address)]:53, (address).\n\
                        listening on 127.0.0.1:53 and [::]:53, version 0.1.0, deadbeef: (address)\n";
        assert_eq!(bundle.files.last().unwrap().text, expected);
    }

    #[test]
    fn an_archive_has_the_report_and_the_files() {
        let archive = bundle().archive("debug-1", 1_700_000_000).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*archive));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["debug-1/report.txt", "debug-1/report.json", "debug-1/log.txt"]);
        assert!(found[0].1.contains("error    clock") && found[1].1.contains("\"id\": \"clock\""));
        assert_eq!(found[2].1, "one\n(secret)\n");
    }
}
