//! NOTIFY: a primary's hint that a zone has changed (RFC 1996).
//!
//! **A hint only.** Anyone can send one, and a source address is easily forged. Before acting, the caller checks that the
//! source is the zone's primary or that [`Notify::key`] is the key for it, and then asks the primary for the SOA; what the
//! NOTIFY itself says never enters a zone. A forged one causes at most one query.
//!
//! Functions here are pure: a listener passes in messages without the length that TCP puts before them, and the time.

use super::canonical::{Canonical, push_labels};
use super::key::TsigKey;
use super::sequence::serial_in;
use super::signature::time;
use crate::Name;
use domain::base::MessageBuilder;
use domain::base::iana::{Class, Opcode, Rcode, Rtype, TsigRcode};
use domain::base::message::Message;
use domain::base::name::{ParsedName, ToName};
use domain::rdata::Tsig;
use domain::tsig::{self, KeyStore, ServerTransaction};
use std::fmt;
use std::sync::Arc;
use zonepulse_dns::ResponseCode;

/// Maximum length of a NOTIFY, octets. A question, a SOA and a signature need less than half.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// A NOTIFY that is well formed, and correctly signed if it is signed.
pub struct Notify {
    /// The zone that may have changed.
    pub apex: Name,
    /// The serial that the primary claims to have.
    pub serial: Option<u32>,
    /// Name of the key that it is signed with; the signature has been verified.
    pub key: Option<Name>,
    request: Vec<u8>,
    transaction: Option<ServerTransaction<Arc<tsig::Key>>>,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Notify");
        debug.field("apex", &self.apex).field("serial", &self.serial).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A message that is no NOTIFY to act on.
#[derive(Debug)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// What to send back, if anything.
    pub answer: Option<Vec<u8>>,
}

/// Why a message was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Too long, not parseable, or a response.
    #[error("not a DNS request")]
    NotRequest,
    /// Another opcode.
    #[error("the opcode is {0}, not NOTIFY")]
    Opcode(u8),
    /// Not one question for the SOA of a zone in class IN.
    #[error("the question is not for the SOA of a zone in class IN")]
    Question,
    /// Signed with a key that is not known here.
    #[error("signed with an unknown key (BADKEY)")]
    UnknownKey,
    /// The signature does not match.
    #[error("the signature does not match the message (BADSIG)")]
    BadSignature,
    /// The time signed is not now.
    #[error("signed at another time: synchronise both clocks (BADTIME)")]
    BadTime,
    /// Two TSIG records, one that is not the last record, or one that cannot be parsed.
    #[error("the TSIG record is malformed")]
    BadTsig,
}

/// The zone that a NOTIFY is about, before anything else about it is known.
pub fn apex(message: &[u8]) -> Option<Name> {
    if message.len() > MAX_MESSAGE_BYTES {
        return None;
    }
    hint(&Message::from_octets(message.to_vec()).ok()?).map(|(apex, _)| apex)
}

/// Parses a NOTIFY, and verifies its signature if there is one. `now` is in Unix seconds.
pub fn parse(message: &[u8], keys: &[TsigKey], now: u64) -> Result<Notify, Rejection> {
    let silent = |reason| Rejection { reason, answer: None };
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(silent(Reason::NotRequest));
    }
    let mut request = Message::from_octets(message.to_vec()).map_err(|_| silent(Reason::NotRequest))?;
    if request.header().qr() {
        return Err(silent(Reason::NotRequest));
    }
    if request.header().opcode() != Opcode::NOTIFY {
        let answer = error(&request, Rcode::NOTIMP);
        return Err(Rejection { reason: Reason::Opcode(request.header().opcode().to_int()), answer });
    }
    let transaction = verify(&mut request, keys, now)?;
    let Some((apex, serial)) = hint(&request) else {
        return Err(Rejection { reason: Reason::Question, answer: error(&request, Rcode::FORMERR) });
    };
    let key = transaction.as_ref().and_then(|transaction| Name::from_wire(transaction.key().name().as_slice()));
    Ok(Notify { apex, serial, key, request: request.into_octets(), transaction })
}

/// The answer to a NOTIFY, signed if that was: NOERROR if it is accepted, REFUSED or NOTAUTH if the zone or the sender is
/// unknown. `None` if the request cannot be answered.
pub fn answer(notify: Notify, code: ResponseCode, now: u64) -> Option<Vec<u8>> {
    let request = Message::from_octets(notify.request).ok()?;
    let code = Rcode::checked_from_int(u8::try_from(code.value()).ok()?)?;
    let mut answer = MessageBuilder::new_vec().start_answer(&request, code).ok()?;
    answer.header_mut().set_aa(code == Rcode::NOERROR);
    let mut answer = answer.additional();
    if let Some(transaction) = notify.transaction {
        transaction.answer(&mut answer, time(now)).ok()?;
    }
    Some(answer.finish())
}

fn verify(
    request: &mut Message<Vec<u8>>,
    keys: &[TsigKey],
    now: u64,
) -> Result<Option<ServerTransaction<Arc<tsig::Key>>>, Rejection> {
    let fault = match ServerTransaction::request(&Keys(keys), request, time(now)) {
        Ok(transaction) => return Ok(transaction),
        Err(fault) => fault,
    };
    let reason = match fault.error() {
        TsigRcode::BADKEY => Reason::UnknownKey,
        TsigRcode::BADTIME => Reason::BadTime,
        _ if tsig_of(request).is_some() => Reason::BadSignature,
        _ => Reason::BadTsig,
    };
    // `domain` takes a wrong signature for FORMERR.
    let answer = match reason {
        Reason::BadSignature => bad_signature(request),
        _ => fault.build_message(request, MessageBuilder::new_vec()).ok().map(|answer| answer.finish()),
    };
    Err(Rejection { reason, answer })
}

/// The keys that a NOTIFY may be signed with.
struct Keys<'a>(&'a [TsigKey]);

impl KeyStore for Keys<'_> {
    type Key = Arc<tsig::Key>;

    fn get_key<N: ToName>(&self, name: &N, algorithm: tsig::Algorithm) -> Option<Arc<tsig::Key>> {
        let mut keys = self.0.iter().map(TsigKey::to_domain);
        keys.find(|key| key.name() == name && key.algorithm() == algorithm)
    }
}

type TsigOf<'a> = Tsig<&'a [u8], ParsedName<&'a [u8]>>;

/// The TSIG record, if there is exactly one and it is the last record.
fn tsig_of<'a>(request: &'a Message<Vec<u8>>) -> Option<domain::base::Record<ParsedName<&'a [u8]>, TsigOf<'a>>> {
    let mut found = None;
    for record in request.additional().ok()? {
        let record = record.ok()?;
        if found.is_some() {
            return None;
        }
        found = record.into_record::<TsigOf<'a>>().ok()?;
    }
    found
}

/// NOTAUTH with BADSIG, and with an empty signature (RFC 8945 section 5.2.2).
fn bad_signature(request: &Message<Vec<u8>>) -> Option<Vec<u8>> {
    let tsig = tsig_of(request)?;
    let (data, id) = (tsig.data(), request.header().id());
    let (algorithm, signed) = (data.algorithm(), data.time_signed());
    let empty = Tsig::new(algorithm, signed, data.fudge(), b"", id, TsigRcode::BADSIG, b"").ok()?;
    let mut answer = MessageBuilder::new_vec().start_answer(request, Rcode::NOTAUTH).ok()?.additional();
    answer.push((tsig.owner(), tsig.class(), tsig.ttl(), empty)).ok()?;
    Some(answer.finish())
}

fn error(request: &Message<Vec<u8>>, code: Rcode) -> Option<Vec<u8>> {
    Some(MessageBuilder::new_vec().start_answer(request, code).ok()?.finish())
}

/// The zone in question, and the serial if the answer section begins with its SOA.
fn hint(request: &Message<Vec<u8>>) -> Option<(Name, Option<u32>)> {
    let request = Message::from_slice(request.as_slice()).ok()?;
    let question = request.sole_question().ok()?;
    if question.qtype() != Rtype::SOA || question.qclass() != Class::IN {
        return None;
    }
    let name = |name: &ParsedName<&[u8]>| {
        let mut wire = Vec::new();
        push_labels(name, &mut wire);
        Name::from_wire(&wire)
    };
    let apex = name(question.qname())?;
    let serial = request.answer().ok().and_then(|mut records| {
        let record = records.next()?.ok()?;
        let is_ours =
            record.rtype() == Rtype::SOA && record.class() == Class::IN && name(&record.owner()).as_ref() == Some(&apex);
        serial_in(&is_ours.then(|| record.to_record::<Canonical>().ok()?)??.data().rdata)
    });
    Some((apex, serial))
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
