//! Kea's DHCP servers: the answer to `statistic-get-all`.
//!
//! The command and its answer are JSON objects. Each statistic is a list of its last values, the
//! latest first, with their times:
//!
//! ```text
//! { "arguments": { "pkt4-received": [ [ 5, "2026-11-28 05:12:36.163051" ], … ], … }, "result": 0 }
//! ```
//!
//! There are several statistics per subnet, so an answer may have megabytes. It is read as it
//! arrives, and only what becomes a reading is kept. Whatever is missing or of another type is
//! left out.

use super::sample::TooMany;
use super::socket::{self, Bounded};
use super::{Problem, Sample};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zonepulse_wire::MAX_LABEL_BYTES;

const QUESTION: &[u8] = br#"{"command":"statistic-get-all"}"#;
/// Maximum length of an answer: thousands of subnets with 20 values of each statistic.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Maximum length of a text in it.
const MAX_TEXT_BYTES: usize = 1024;
/// Maximum number of statistics of the server itself; there are a few dozen.
const MAX_STATISTICS: usize = 512;
/// Maximum number of subnets with series of their own: those with the lowest ids. All of them are
/// counted and included in the totals.
const MAX_SUBNETS: usize = 128;

/// The label of sums over all subnets, types or reasons.
const TOTAL: &str = "total";

/// DHCPv4 or DHCPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// DHCPv4.
    V4,
    /// DHCPv6.
    V6,
}

/// The metrics of a family.
struct Metrics {
    /// Prefix of Kea's statistics of packets.
    packets: &'static str,
    /// Prefix of its statistics of allocation failures.
    failures: &'static str,
    received_per_s: &'static str,
    sent_per_s: &'static str,
    dropped_per_s: &'static str,
    failures_per_s: &'static str,
    subnets: &'static str,
    /// In the order of [`Quantity`].
    of_subnets: [&'static str; QUANTITIES],
}

const V4: Metrics = Metrics {
    packets: "pkt4-",
    failures: "v4-allocation-fail",
    received_per_s: "dhcp4_packets_received_per_s",
    sent_per_s: "dhcp4_packets_sent_per_s",
    dropped_per_s: "dhcp4_packets_dropped_per_s",
    failures_per_s: "dhcp4_allocation_failures_per_s",
    subnets: "dhcp4_subnets",
    of_subnets: [
        "dhcp4_total_addresses",
        "dhcp4_assigned_addresses",
        "dhcp4_declined_addresses",
        // DHCPv4 delegates no prefixes, so these never occur.
        "dhcp4_total_prefixes",
        "dhcp4_assigned_prefixes",
    ],
};

const V6: Metrics = Metrics {
    packets: "pkt6-",
    failures: "v6-allocation-fail",
    received_per_s: "dhcp6_packets_received_per_s",
    sent_per_s: "dhcp6_packets_sent_per_s",
    dropped_per_s: "dhcp6_packets_dropped_per_s",
    failures_per_s: "dhcp6_allocation_failures_per_s",
    subnets: "dhcp6_subnets",
    of_subnets: [
        "dhcp6_total_addresses",
        "dhcp6_assigned_addresses",
        "dhcp6_declined_addresses",
        "dhcp6_total_prefixes",
        "dhcp6_assigned_prefixes",
    ],
};

/// What is counted per subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    TotalAddresses,
    AssignedAddresses,
    DeclinedAddresses,
    TotalPrefixes,
    AssignedPrefixes,
}

const QUANTITIES: usize = 5;

/// Asks a server.
pub(super) fn sample(path: &Path, family: Family) -> Result<Sample, Problem> {
    parse(BufReader::new(socket::ask(path, QUESTION)?), family)
}

/// Parses an answer.
pub fn parse(answer: impl Read, family: Family) -> Result<Sample, Problem> {
    let reader = BufReader::new(ShortTexts::new(Bounded::new(answer, MAX_ANSWER_BYTES)));
    let answer = Answer::deserialize(&mut serde_json::Deserializer::from_reader(reader));
    let Answer { result, text, arguments } = answer.map_err(|error| match error.classify() {
        Category::Io | Category::Eof => Problem::from(io::Error::from(error)),
        Category::Syntax | Category::Data => Problem::new("its answer is not that of Kea"),
    })?;
    if result == 0 { arguments.into_sample(family) } else { Err(Problem::answered(&text)) }
}

#[derive(Deserialize)]
struct Answer {
    result: i64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    arguments: Statistics,
}

/// What is kept of an answer.
#[derive(Debug, Default)]
struct Statistics {
    /// Statistics of the server, by name.
    server: BTreeMap<String, f64>,
    has_too_many: bool,
    /// The subnets with the lowest ids.
    subnets: BTreeMap<u32, [Option<f64>; QUANTITIES]>,
    /// Number of all subnets.
    count: u64,
    sums: [Sum; QUANTITIES],
}

/// A sum over all subnets.
#[derive(Debug, Clone, Copy, Default)]
enum Sum {
    /// Nothing was added.
    #[default]
    Empty,
    Known(f64),
    /// It is unknown for one of the subnets.
    Unknown,
}

impl Statistics {
    fn add(&mut self, name: String, value: Option<f64>) {
        if let Some((subnet, quantity)) = of_subnet(&name) {
            self.add_subnet(subnet, quantity, value);
        } else if let Some(value) = value.filter(|_| name.len() <= MAX_LABEL_BYTES && !name.contains('[')) {
            self.has_too_many |= self.server.len() >= MAX_STATISTICS;
            if !self.has_too_many {
                self.server.insert(name, value);
            }
        }
    }

    fn add_subnet(&mut self, subnet: u32, quantity: Quantity, value: Option<f64>) {
        // Kea 2.2 says -1 if there are more addresses than it can count.
        let value = value.filter(|value| *value >= 0.0);
        if quantity == Quantity::TotalAddresses {
            // Every subnet has this one.
            self.count += 1;
        }
        if let Some(sum) = self.sums.get_mut(quantity as usize) {
            *sum = match (*sum, value) {
                (Sum::Empty, Some(value)) => Sum::Known(value),
                (Sum::Known(sum), Some(value)) => Sum::Known(sum + value),
                _ => Sum::Unknown,
            };
        }
        if let Some(place) = self.subnets.entry(subnet).or_default().get_mut(quantity as usize) {
            *place = value;
        }
        // The last one has enough others before it, so it cannot be among the lowest in the end.
        if self.subnets.len() > MAX_SUBNETS {
            self.subnets.pop_last();
        }
    }

    fn into_sample(self, family: Family) -> Result<Sample, Problem> {
        let metrics = match family {
            Family::V4 => &V4,
            Family::V6 => &V6,
        };
        if self.has_too_many {
            return Err(Problem::new("its answer has too many statistics"));
        }
        if !self.server.keys().any(|name| name.starts_with(metrics.packets)) {
            return Err(Problem::new("its answer has no packets of this family: is this the socket of another server?"));
        }
        let mut sample = Sample::default();
        sample.gauge(metrics.subnets, "", self.count as f64);
        for (at, metric) in metrics.of_subnets.into_iter().enumerate() {
            if let Some(Sum::Known(sum)) = self.sums.get(at) {
                sample.gauge(metric, TOTAL, *sum);
            }
            for (subnet, values) in &self.subnets {
                if let Some(value) = values.get(at).copied().flatten() {
                    sample.gauge(metric, subnet.to_string(), value);
                }
            }
        }
        for (name, value) in &self.server {
            count(&mut sample, metrics, name, *value).map_err(|TooMany| Problem::new("its answer has too many statistics"))?;
        }
        Ok(sample)
    }
}

/// Adds a statistic of the server, if it is a counter with a metric.
fn count(sample: &mut Sample, metrics: &Metrics, name: &str, value: f64) -> Result<(), TooMany> {
    let (metric, label) = if let Some(packets) = name.strip_prefix(metrics.packets) {
        match packets {
            "received" => (metrics.received_per_s, TOTAL),
            "sent" => (metrics.sent_per_s, TOTAL),
            "receive-drop" => (metrics.dropped_per_s, TOTAL),
            _ => match (packets.strip_suffix("-received"), packets.strip_suffix("-sent")) {
                (Some(kind), _) => (metrics.received_per_s, kind),
                (None, Some(kind)) => (metrics.sent_per_s, kind),
                // Whatever else Kea counts of packets is a reason for dropping them, such as parse-failed.
                (None, None) => (metrics.dropped_per_s, packets),
            },
        }
    } else if let Some(reason) = name.strip_prefix(metrics.failures) {
        (metrics.failures_per_s, if reason.is_empty() { TOTAL } else { reason.trim_start_matches('-') })
    } else {
        return Ok(());
    };
    // A counter is a whole number, and none comes near the limit of doubles.
    if value >= 0.0 { sample.count(metric, label, value as u64) } else { Ok(()) }
}

/// The subnet and the quantity of a statistic such as `subnet[7].assigned-addresses`. Those of its
/// pools are left out.
fn of_subnet(name: &str) -> Option<(u32, Quantity)> {
    let (subnet, name) = name.strip_prefix("subnet[")?.split_once("].")?;
    let quantity = match name {
        "total-addresses" | "total-nas" => Quantity::TotalAddresses,
        "assigned-addresses" | "assigned-nas" => Quantity::AssignedAddresses,
        "declined-addresses" => Quantity::DeclinedAddresses,
        "total-pds" => Quantity::TotalPrefixes,
        "assigned-pds" => Quantity::AssignedPrefixes,
        _ => return None,
    };
    Some((subnet.parse().ok()?, quantity))
}

impl<'de> Deserialize<'de> for Statistics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Statistics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("statistics by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Statistics, A::Error> {
                let mut statistics = Statistics::default();
                while let Some((name, Latest(value))) = entries.next_entry()? {
                    statistics.add(name, value);
                }
                Ok(statistics)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// The latest value of a statistic, the first in its list of lists; none if it is not a number.
struct Latest(Option<f64>);

impl<'de> Deserialize<'de> for Latest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;

        impl<'de> Visitor<'de> for First {
            type Value = Latest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Latest, A::Error> {
                let latest = values.next_element()?;
                while values.next_element::<IgnoredAny>()?.is_some() {}
                Ok(latest.unwrap_or(Latest(None)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Latest, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Latest(None))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Latest, E> {
                Ok(Latest(Some(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Latest, E> {
                Ok(Latest(Some(value as f64)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Latest, E> {
                Ok(Latest(Some(value as f64)))
            }

            fn visit_str<E>(self, _: &str) -> Result<Latest, E> {
                Ok(Latest(None))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Latest, E> {
                Ok(Latest(None))
            }

            fn visit_unit<E>(self) -> Result<Latest, E> {
                Ok(Latest(None))
            }
        }

        deserializer.deserialize_any(First)
    }
}

/// A reader of JSON that fails at a text longer than [`MAX_TEXT_BYTES`], which the parser would
/// otherwise keep in memory.
#[derive(Debug)]
struct ShortTexts<R> {
    reader: R,
    /// Length of the present text so far; none outside of texts.
    length: Option<usize>,
    is_escaped: bool,
}

impl<R: Read> ShortTexts<R> {
    fn new(reader: R) -> ShortTexts<R> {
        ShortTexts { reader, length: None, is_escaped: false }
    }
}

impl<R: Read> Read for ShortTexts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        for byte in buffer.iter().take(length) {
            self.length = match (self.length, byte) {
                (None, b'"') => Some(0),
                (Some(_), b'"') if !self.is_escaped => None,
                (Some(MAX_TEXT_BYTES), _) => return Err(io::Error::other("its answer has a text that is too long")),
                (length, _) => length.map(|length| length + 1),
            };
            self.is_escaped = self.length.is_some() && *byte == b'\\' && !self.is_escaped;
        }
        Ok(length)
    }
}

#[cfg(test)]
#[path = "kea_tests.rs"]
mod tests;
