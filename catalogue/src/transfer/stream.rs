//! The messages of an answer: whether they belong to the request, who signed them, and which records they contain.

use super::canonical::{Canonical, push_labels};
use super::error::{Error, Fault, TsigFault};
use super::key::TsigKey;
use super::sequence::{Asked, Item, Sequence};
use super::signature::Signature;
use crate::{Name, Record, rdata};
use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::message::Message;
use domain::base::message_builder::PushError;
use domain::base::{MessageBuilder, ParsedRecord, Serial, Ttl};
use domain::rdata::Soa;
use std::collections::VecDeque;
use zonepulse_dns::{RecordType, ResponseCode};

/// Types that no zone contains: OPT, and the meta-types and QTYPEs of RFC 6895 section 3.1.
fn is_meta(rtype: u16) -> bool {
    matches!(rtype, 0 | 41 | 128..=255)
}

/// A request, and how much of its answer has been received.
#[derive(Debug)]
pub(super) struct Stream {
    id: u16,
    signature: Option<Signature>,
    sequence: Sequence,
    messages: u64,
    max_records: u64,
    items: VecDeque<Item>,
}

impl Stream {
    /// Makes a request in wire format, signed if there is a key, and the stream that takes its answer.
    pub(super) fn request(
        apex: &Name,
        asked: Asked,
        key: Option<&TsigKey>,
        max_records: u64,
        now: u64,
    ) -> Result<(Vec<u8>, Self), Error> {
        // Cannot happen: names, a SOA and a signature fit into a message of 65,535 octets.
        let too_long = |_: PushError| Error::Message(0, Fault::Malformed);
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_random_id();
        let id = message.header().id();
        let name = domain::base::Name::from_slice(apex.wire()).map_err(|_| Error::Message(0, Fault::Malformed))?;
        let mut message = message.question();
        message.push((name, qtype(asked))).map_err(too_long)?;
        let mut message = message.authority();
        if let Asked::Since(serial) = asked {
            // Only its serial matters (RFC 1995 section 3).
            let root = domain::base::Name::root_slice();
            let soa = Soa::new(root, root, Serial(serial), Ttl::ZERO, Ttl::ZERO, Ttl::ZERO, Ttl::ZERO);
            message.push((name, Class::IN, 0, soa)).map_err(too_long)?;
        }
        let mut message = message.additional();
        let signature = key.map(|key| Signature::request(key, &mut message, now)).transpose().map_err(too_long)?;
        let sequence = Sequence::new(apex.clone(), asked);
        Ok((message.finish(), Stream { id, signature, sequence, messages: 0, max_records, items: VecDeque::new() }))
    }

    /// Expects the answer to carry this ID instead of the request's.
    pub(super) fn set_id(&mut self, id: u16) {
        self.id = id;
    }

    /// Takes the next message of the answer.
    pub(super) fn message(&mut self, octets: Vec<u8>, now: u64) -> Result<(), Error> {
        self.messages += 1;
        let mut message = Message::from_octets(octets).map_err(|_| self.fault(Fault::Malformed))?;
        self.check_belongs(&message)?;
        self.verify(&mut message, now)?;
        let message = Message::from_slice(message.as_slice()).map_err(|_| self.fault(Fault::Malformed))?;
        self.check_question(message)?;
        self.check_sections(message)?;
        let asks_soa = self.sequence.asked() == Asked::Soa;
        for record in message.answer().map_err(|_| self.fault(Fault::Malformed))? {
            let record = record.map_err(|_| self.fault(Fault::Malformed))?;
            // The answer to a SOA query is a single message that may have more records in other sections.
            if let Some(record) = self.record(&record)? {
                self.sequence.record(record, &mut self.items)?;
            }
        }
        self.sequence.message_ends(&mut self.items);
        if asks_soa && self.items.is_empty() {
            return Err(self.fault(Fault::NoSoa));
        }
        if (asks_soa || self.sequence.is_complete())
            && let Some(signature) = &self.signature
        {
            signature.finish()?;
        }
        Ok(())
    }

    /// The next item received. `None` calls for another message, unless the answer is complete.
    pub(super) fn next(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// Whether all items have been received, and verified.
    pub(super) fn is_complete(&self) -> bool {
        self.sequence.is_complete()
    }

    /// Whether nothing but a newer SOA has been received.
    pub(super) fn is_lone_soa(&self) -> bool {
        self.sequence.is_lone_soa()
    }

    /// Number of messages received.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Number of records received.
    pub(super) fn records(&self) -> u64 {
        self.sequence.records()
    }

    /// The error for octets after the last message.
    pub(super) fn trailing(&self) -> Error {
        self.fault(Fault::Trailing)
    }

    fn fault(&self, fault: Fault) -> Error {
        Error::Message(self.messages, fault)
    }

    fn check_belongs(&self, message: &Message<Vec<u8>>) -> Result<(), Error> {
        let header = message.header();
        if header.id() != self.id {
            return Err(self.fault(Fault::Id));
        }
        if !header.qr() {
            return Err(self.fault(Fault::NotResponse));
        }
        if header.opcode() != Opcode::QUERY {
            return Err(self.fault(Fault::Opcode(header.opcode().to_int())));
        }
        Ok(())
    }

    /// Verifies the signature, then the RCODE: an error may come unsigned, and says more than the lack of a signature.
    fn verify(&mut self, message: &mut Message<Vec<u8>>, now: u64) -> Result<(), Error> {
        let code = ResponseCode::from_masked(message.header().rcode().to_int().into());
        if let Some(signature) = &mut self.signature {
            match signature.verify(message, now) {
                Err(TsigFault::Unsigned) if code != ResponseCode::NOERROR => {}
                result => result?,
            }
        }
        if code != ResponseCode::NOERROR {
            return Err(Error::Refused(code));
        }
        if message.header().tc() {
            return Err(self.fault(Fault::Truncated));
        }
        Ok(())
    }

    /// The question is that of the request, or absent after the first message (RFC 5936 section 2.2.1).
    fn check_question(&self, message: &Message<[u8]>) -> Result<(), Error> {
        let mut questions = message.question();
        let question = match questions.next() {
            None if self.messages > 1 => return Ok(()),
            None => return Err(self.fault(Fault::Question)),
            Some(question) => question.map_err(|_| self.fault(Fault::Malformed))?,
        };
        let is_ours = name_of(question.qname()).as_ref() == Some(self.sequence.apex())
            && question.qtype() == qtype(self.sequence.asked())
            && question.qclass() == Class::IN
            && questions.next().is_none();
        if is_ours { Ok(()) } else { Err(self.fault(Fault::Question)) }
    }

    fn check_sections(&self, message: &Message<[u8]>) -> Result<(), Error> {
        let counts = message.header_counts();
        if self.sequence.asked() == Asked::Soa {
            if counts.ancount() == 0 {
                return Err(self.fault(Fault::NoSoa));
            }
            if !message.header().aa() {
                return Err(self.fault(Fault::NotAuthoritative));
            }
        } else if counts.ancount() == 0 {
            return Err(self.fault(Fault::Empty));
        } else if counts.nscount() != 0 {
            return Err(self.fault(Fault::Authority));
        }
        Ok(())
    }

    /// A record of the zone in our form; `None` for one that the answer to a SOA query has beside the SOA.
    fn record(&self, parsed: &ParsedRecord<'_, [u8]>) -> Result<Option<Record>, Error> {
        let malformed = || self.fault(Fault::Malformed);
        let rtype = RecordType::new(parsed.rtype().to_int());
        if self.sequence.asked() == Asked::Soa && (rtype != RecordType::SOA || self.sequence.records() > 0) {
            return Ok(None);
        }
        if self.sequence.records() >= self.max_records {
            return Err(Error::TooManyRecords(self.max_records));
        }
        if parsed.class() != Class::IN {
            return Err(self.fault(Fault::Class(parsed.class().to_int())));
        }
        if is_meta(rtype.value()) {
            return Err(self.fault(Fault::Type(rtype)));
        }
        let owner = name_of(&parsed.owner()).ok_or_else(malformed)?;
        if !owner.is_at_or_below(self.sequence.apex()) {
            return Err(self.fault(Fault::OutOfZone(owner)));
        }
        let data = parsed.to_record::<Canonical>().map_err(|_| malformed())?.ok_or_else(malformed)?.into_data();
        // RFC 2181 section 8: a TTL with the highest bit set is 0.
        let ttl = Some(parsed.ttl().as_secs()).filter(|ttl| *ttl <= i32::MAX as u32).unwrap_or_default();
        // What the primary took for RDATA of this type is not ours to refuse.
        let rdata = rdata::canonical(rtype, &data.rdata).unwrap_or(data.rdata);
        Ok(Some(Record { owner, rtype, ttl, rdata }))
    }
}

fn qtype(asked: Asked) -> Rtype {
    match asked {
        Asked::Soa => Rtype::SOA,
        Asked::Full => Rtype::AXFR,
        Asked::Since(_) => Rtype::IXFR,
    }
}

fn name_of<Octets: AsRef<[u8]>>(name: &domain::base::name::ParsedName<Octets>) -> Option<Name> {
    let mut wire = Vec::with_capacity(64);
    push_labels(name, &mut wire);
    Name::from_wire(&wire)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
