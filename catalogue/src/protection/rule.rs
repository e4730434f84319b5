//! One rule of protection.

use crate::zone::RrsetRef;
use crate::{Error, Name, rdata};
use std::borrow::Cow;
use std::fmt;
use zonepulse_dns::RecordType;

/// Which RRsets are protected, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A short name, for settings and filters.
    pub id: String,
    /// The owners.
    pub owner: Labels,
    /// The types; none means all.
    pub types: Vec<RecordType>,
    /// What at least one of the records must contain.
    pub data: Data,
    /// Why, in words that follow "protected: ".
    pub reason: String,
    /// An RFC, or the manual of a vendor.
    pub source: String,
}

/// A condition on a record's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// None.
    Any,
    /// The strings of a TXT record, joined, begin with this text, in any case. A `*` at its beginning stands for a word
    /// of letters, digits, `-`, `_` and `.`.
    Text(String),
    /// The RDATA ends with a name at or below this one (CNAME, MX, SRV, NS, PTR).
    Target(Name),
    /// The host of an MX or SRV is the root: the service is declared absent (RFC 7505, RFC 2782).
    Nothing,
}

/// A pattern of owners, label by label from the left.
///
/// A `*` in a label stands for any octets, `**` as the first label for any number of labels. What follows to the right is
/// free, unless the pattern ends with a dot: `_dmarc`, `*._domainkey`, `_*-challenge`, `**._msdcs`, `**.in-addr.arpa.`.
/// An empty pattern matches every owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    floating: bool,
    labels: Vec<String>,
    to_the_end: bool,
}

impl Labels {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |reason| Error::BadRule { field: "owner", value: text.to_owned(), reason };
        let lower = text.to_ascii_lowercase();
        let (pattern, to_the_end) = lower.strip_suffix('.').map_or((lower.as_str(), false), |rest| (rest, true));
        if pattern.is_empty() {
            return Ok(Labels::default());
        }
        let mut labels: Vec<String> = pattern.split('.').map(str::to_owned).collect();
        let floating = labels.first().is_some_and(|label| label == "**");
        if floating {
            labels.remove(0);
        }
        if labels.iter().any(|label| label.is_empty() || label.len() > 63) || labels.len() > 127 {
            return Err(bad("a label has 1 to 63 characters"));
        }
        if labels.iter().any(|label| label.matches('*').count() > 1) {
            return Err(bad("a label has one `*` at most, and `**` is allowed as the first label"));
        }
        Ok(Labels { floating, labels, to_the_end })
    }

    /// Whether an owner matches.
    pub fn matches(&self, owner: &Name) -> bool {
        let owner: Vec<&[u8]> = owner.labels().collect();
        let last = owner.len().checked_sub(self.labels.len());
        let Some(last) = last else { return false };
        let starts = if self.floating { 0..=last } else { 0..=0 };
        let mut starts = starts.filter(|start| !self.to_the_end || *start == last);
        starts.any(|start| {
            let pairs = self.labels.iter().zip(owner.iter().skip(start));
            pairs.into_iter().all(|(pattern, label)| matches_label(pattern, label))
        })
    }

    /// A label that every matching owner has, and few others: one with an underscore, if there is any.
    pub(super) fn rarest_label(&self) -> Option<&[u8]> {
        let whole = || self.labels.iter().filter(|label| !label.contains('*'));
        let underscored = whole().find(|label| label.starts_with('_'));
        underscored.or_else(|| whole().next()).map(|label| label.as_bytes())
    }
}

fn matches_label(pattern: &str, label: &[u8]) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            let long_enough = label.len() >= before.len() + after.len();
            long_enough && label.starts_with(before.as_bytes()) && label.ends_with(after.as_bytes())
        }
        None => label == pattern.as_bytes(),
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let floating = self.floating.then_some("**").into_iter();
        let labels: Vec<&str> = floating.chain(self.labels.iter().map(String::as_str)).collect();
        f.write_str(&labels.join("."))?;
        f.write_str(if self.to_the_end { "." } else { "" })
    }
}

impl Rule {
    /// Reads a rule. `types` are mnemonics separated by spaces, and `data` is empty, `text:` and the beginning of a TXT
    /// record, `target:` and a name, or `nothing`.
    pub fn parse(id: &str, owner: &str, types: &str, data: &str, reason: &str, source: &str) -> Result<Self, Error> {
        let bad = |field, value: &str, reason| Error::BadRule { field, value: value.to_owned(), reason };
        let types = types.split_whitespace().map(str::parse).collect::<Result<Vec<RecordType>, _>>();
        let types = types.map_err(|error| bad("types", &error.to_string(), "use mnemonics such as TXT"))?;
        let data = match data.split_once(':') {
            None if data.is_empty() => Data::Any,
            None if data == "nothing" => Data::Nothing,
            Some(("text", text)) if !text.is_empty() => Data::Text(text.to_owned()),
            Some(("target", name)) => {
                let name = Name::from_text(name).map_err(|_| bad("data", name, "the target is not a domain name"))?;
                Data::Target(name)
            }
            _ => return Err(bad("data", data, "use `text:` and the beginning of a TXT, `target:` and a name, or `nothing`")),
        };
        let owner = Labels::parse(owner)?;
        if owner == Labels::default() && types.is_empty() && data == Data::Any {
            return Err(bad("owner", "", "a rule without owner, types and data would protect everything"));
        }
        Ok(Rule { id: id.to_owned(), owner, types, data, reason: reason.to_owned(), source: source.to_owned() })
    }

    /// Whether an RRset is one that the rule protects. One matching record is enough.
    pub(super) fn matches(&self, owner: &Name, rrset: RrsetRef<'_>) -> bool {
        (self.types.is_empty() || self.types.contains(&rrset.rtype()))
            && self.owner.matches(owner)
            && (self.data == Data::Any || rrset.rdatas().any(|rdata| self.data.matches(rrset.rtype(), rdata)))
    }
}

impl Data {
    fn matches(&self, rtype: RecordType, rdata: &[u8]) -> bool {
        match self {
            Data::Any => true,
            Data::Text(prefix) => rtype.value() == 16 && begins_with(rdata, prefix.as_bytes()),
            Data::Target(name) => target(rtype, rdata).is_some_and(|target| target.is_at_or_below(name)),
            Data::Nothing => target(rtype, rdata).is_some_and(|target| target.is_root()),
        }
    }
}

/// The name that a record of a type that has one refers to.
fn target(rtype: RecordType, rdata: &[u8]) -> Option<Name> {
    // NS, CNAME, PTR, MX, SRV, DNAME
    let has_target = matches!(rtype.value(), 2 | 5 | 12 | 15 | 33 | 39);
    has_target.then(|| rdata::names(rtype, rdata).pop())?
}

/// Whether the joined strings of a TXT record begin with a text.
fn begins_with(rdata: &[u8], pattern: &[u8]) -> bool {
    let text = joined(rdata);
    let starts = |text: &[u8], prefix: &[u8]| text.get(..prefix.len()).is_some_and(|text| text.eq_ignore_ascii_case(prefix));
    let Some(suffix) = pattern.strip_prefix(b"*") else { return starts(&text, pattern) };
    let is_word = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    let word = text.iter().take_while(|octet| is_word(octet)).count();
    (1..=word).any(|start| text.get(start..).is_some_and(|text| starts(text, suffix)))
}

/// The strings of a TXT record, joined. Most records have just one.
fn joined(rdata: &[u8]) -> Cow<'_, [u8]> {
    let mut text = Cow::Borrowed(&[][..]);
    let mut rest = rdata;
    while let Some((&length, after)) = rest.split_first() {
        let Some((string, next)) = after.split_at_checked(usize::from(length)) else { break };
        if text.is_empty() {
            text = Cow::Borrowed(string);
        } else {
            text.to_mut().extend_from_slice(string);
        }
        rest = next;
    }
    text
}
