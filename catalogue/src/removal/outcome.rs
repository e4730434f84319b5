//! What a client gets.

use crate::lookup::{Answer, View, lookup};
use crate::{Name, Zone};
use std::fmt;
use zonepulse_dns::{RecordType, ResponseCode};

/// The kind of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Response {
    /// Data of the type in question.
    Data,
    /// An alias that leads out of the zone.
    Alias,
    /// A referral to the name servers of a delegated zone.
    Referral,
    /// The name exists, but has nothing of the type in question (NODATA, RFC 2308 section 2.2).
    NoData,
    /// The name does not exist (RFC 2308 section 2.1).
    NameError,
    /// Another RCODE, such as YXDOMAIN (RFC 6672 section 2.2).
    Failure,
}

/// A response of an authoritative server, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// RCODE.
    pub rcode: ResponseCode,
    /// Kind of response.
    pub response: Response,
    /// Which name answers: the owner of the last RRset in the answer section, the wildcard if one was expanded, the
    /// DNAME if a CNAME was synthesised; in a referral, the owner of the NS RRset. `None` if nothing answers.
    pub answered_by: Option<Name>,
    /// Lowest TTL of the RRsets in the answer section, seconds: how long a resolver keeps the answer.
    pub ttl: Option<u32>,
    /// Where an alias leaves the zone.
    pub next: Option<Name>,
    /// The closest encloser of a name that does not exist (RFC 4592 section 3.3.1).
    pub closest_encloser: Option<Name>,
    /// Whether the name exists only because of names below it.
    pub empty_non_terminal: bool,
}

impl Outcome {
    /// The outcome of a query in a view of a zone.
    pub fn new(view: &View<'_>, name: &Name, rtype: RecordType) -> Self {
        let zone = view.zone();
        let answer = lookup(view, name, rtype);
        let sources: Vec<_> = answer.answer.iter().filter_map(|answered| zone.rrset(answered.index)).collect();
        let answered_by = answer.cut.and_then(|index| zone.rrset(index)).or(sources.last().copied());
        Outcome {
            rcode: answer.rcode,
            response: response(zone, &answer, rtype),
            answered_by: answered_by.map(|rrset| rrset.owner()),
            ttl: sources.iter().map(|rrset| rrset.ttl()).min(),
            next: answer.next,
            closest_encloser: answer.closest_encloser,
            empty_non_terminal: answer.empty_non_terminal,
        }
    }

    /// Whether the client gets something to go on with.
    pub fn is_useful(&self) -> bool {
        matches!(self.response, Response::Data | Response::Alias | Response::Referral)
    }
}

fn response(zone: &Zone, answer: &Answer, rtype: RecordType) -> Response {
    let is_data = answer.answer.last().is_some_and(|last| {
        let found =
            if last.synthesised.is_some() { Some(RecordType::CNAME) } else { zone.rrset(last.index).map(|rrset| rrset.rtype()) };
        rtype == RecordType::ANY || found == Some(rtype)
    });
    if answer.cut.is_some() {
        Response::Referral
    } else if answer.rcode == ResponseCode::NXDOMAIN {
        Response::NameError
    } else if answer.rcode != ResponseCode::NOERROR {
        Response::Failure
    } else if is_data {
        Response::Data
    } else if answer.next.is_some() {
        Response::Alias
    } else {
        Response::NoData
    }
}

/// The responses to a query in two views of a zone.
pub fn predict(before: &View<'_>, after: &View<'_>, name: &Name, rtype: RecordType) -> (Outcome, Outcome) {
    (Outcome::new(before, name, rtype), Outcome::new(after, name, rtype))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.response {
            Response::Data => f.write_str("data")?,
            Response::Alias => f.write_str("an alias")?,
            Response::Referral => f.write_str("a referral")?,
            Response::NoData if self.empty_non_terminal => f.write_str("no data (NOERROR; an empty non-terminal)")?,
            Response::NoData => f.write_str("no data (NOERROR)")?,
            Response::NameError | Response::Failure => write!(f, "{}", self.rcode)?,
        }
        if let Some(next) = self.next.as_ref().filter(|_| self.response == Response::Alias) {
            write!(f, " to {next}")?;
        }
        match &self.answered_by {
            Some(name) if self.response == Response::Referral => write!(f, " to the name servers of {name}"),
            Some(name) if !self.is_useful() => write!(f, " after the alias {name}"),
            Some(name) if name.is_wildcard() => write!(f, " from the wildcard {name}"),
            Some(name) => write!(f, " from {name}"),
            None => Ok(()),
        }
    }
}
