//! Knot DNS: the answer to `stats`, as `knotc` asks.
//!
//! The control protocol is spoken over a Unix socket and has not changed since Knot 2.2. Speaking it
//! needs neither `knotc` nor another process per sample. A message is a sequence of units, each with
//! items; a number before a text is its length, big endian:
//!
//! ```text
//! unit   code: 0 end, 1 data, 2 extra data, 3 end of block · for data: items
//! item   code: 16 + index · length (2 bytes) · text
//! ```
//!
//! The indices used here are 0 command, 2 error, 3 section, 4 item, 5 identifier and 10 data. A
//! counter is a unit of data: section `mod-stats`, item `request-protocol`, identifier `udp4`, data
//! `17`. Counters that are zero are absent.

use super::sample::TooMany;
use super::socket::{self, Bounded};
use super::{Problem, Sample};
use std::io::{BufReader, Read};
use std::path::Path;
use zonepulse_wire::{MAX_LABEL_BYTES, is_metric};

/// The command, the end of its block, and the end of the conversation, so that Knot is free for
/// other clients as soon as it has answered.
const QUESTION: &[u8] = b"\x01\x10\0\x05stats\x03\0";
/// Maximum length of an answer: more than [`super::sample::MAX_COUNTERS`] need.
const MAX_ANSWER_BYTES: usize = 1 << 20;

const END: u8 = 0;
const DATA: u8 = 1;
const EXTRA: u8 = 2;
const BLOCK: u8 = 3;
const ERROR: u8 = 16 + 2;
const SECTION: u8 = 16 + 3;
const ITEM: u8 = 16 + 4;
const IDENTIFIER: u8 = 16 + 5;
const VALUE: u8 = 16 + 10;
/// The first code that is not an item's, with some room for new ones.
const NO_ITEM: u8 = 32;

/// Asks a server.
pub(super) fn sample(path: &Path) -> Result<Sample, Problem> {
    parse(socket::ask(path, QUESTION)?)
}

/// Parses an answer.
pub fn parse(answer: impl Read) -> Result<Sample, Problem> {
    let mut reader = BufReader::new(Bounded::new(answer, MAX_ANSWER_BYTES));
    let (mut sample, mut unit) = (Sample::default(), Unit::default());
    loop {
        let [code] = bytes(&mut reader)?;
        match code {
            END | DATA | EXTRA | BLOCK => {
                unit.add_to(&mut sample)?;
                unit = Unit::default();
                if matches!(code, END | BLOCK) {
                    return Ok(sample);
                }
            }
            16..NO_ITEM => {
                let mut text = vec![0; usize::from(u16::from_be_bytes(bytes(&mut reader)?))];
                reader.read_exact(&mut text)?;
                unit.set(code, String::from_utf8_lossy(&text).into_owned());
            }
            _ => return Err(Problem::new("its answer is not that of Knot DNS")),
        }
    }
}

fn bytes<const LENGTH: usize>(reader: &mut impl Read) -> Result<[u8; LENGTH], Problem> {
    let mut bytes = [0; LENGTH];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A unit of data.
#[derive(Debug, Default)]
struct Unit {
    error: Option<String>,
    section: Option<String>,
    item: Option<String>,
    identifier: Option<String>,
    value: Option<String>,
}

impl Unit {
    fn set(&mut self, code: u8, text: String) {
        let place = match code {
            ERROR => &mut self.error,
            SECTION => &mut self.section,
            ITEM => &mut self.item,
            IDENTIFIER => &mut self.identifier,
            VALUE => &mut self.value,
            _ => return,
        };
        *place = Some(text);
    }

    /// Adds the counter that the unit tells of, if any.
    fn add_to(self, sample: &mut Sample) -> Result<(), Problem> {
        if let Some(error) = self.error {
            return Err(Problem::answered(&error));
        }
        let Unit { section: Some(section), item: Some(item), identifier, value: Some(value), .. } = self else { return Ok(()) };
        let Ok(value) = value.parse::<u64>() else { return Ok(()) };
        if (section.as_str(), item.as_str()) == ("server", "zone-count") {
            sample.gauge("knot_zones", "", value as f64);
            return Ok(());
        }
        let label = identifier.unwrap_or_default();
        match metric(&section, &item).filter(|_| is_label(&label)) {
            Some(metric) => {
                sample.count(metric, &label, value).map_err(|TooMany| Problem::new("its answer has too many counters"))
            }
            None => Ok(()),
        }
    }
}

/// The metric of a counter's rate: `knot_request_protocol_per_s`, or `knot_rrl_dropped_per_s` for
/// one that is not of mod-stats.
fn metric(section: &str, item: &str) -> Option<String> {
    let module = section.strip_prefix("mod-").unwrap_or(section);
    let name = if module == "stats" { item.to_owned() } else { format!("{module}_{item}") };
    Some(format!("knot_{}_per_s", name.replace('-', "_"))).filter(|metric| is_metric(metric))
}

fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "knot_tests.rs"]
mod tests;
