//! Our reading of header and question beside hickory-proto's, and of the sections behind them.
//!
//! Every message falls into one [`Class`], and every response into one [`Sections`]; what fits into
//! none is a finding. Where the two differ, the class says why ours is meant to be as it is.

use super::sections::{Malformed, Plain, PlainData, PlainMessage, hit, plainly, response};
use super::{observe, udp};
use hickory_proto::op::{Header, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use zonepulse_dns::MessageKind;
use zonepulse_probe::served::Reader;
use zonepulse_wire::Counter;

/// How the two readings relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Both read a question, and the same one: name, type, direction, response code.
    Same,
    /// The same, but for the upper bits of the response code. They stand in an OPT
    /// record behind answers or authorities, where we do not look: servers send them in
    /// responses without either (RFC 6891 section 6.1.3; RFC 7873 section 5.2.3).
    CodeBehindRecords,
    /// The same, and hickory refuses what stands behind the question. We do not look at
    /// it: the question came, or was answered, whatever else is wrong.
    SameAndDamagedBehind,
    /// Neither reads a question: it is cut, or its name is none.
    Neither,
    /// An operation other than QUERY, or not exactly one question: by the counting rules
    /// such a message is in a counter of its own, and hickory agrees on which.
    NoQuery,
    /// Both read a question, and the same class, which is not IN: by the counting rules it is
    /// in a counter of its own.
    OtherClass,
    /// The name in the first question has a compression pointer. Before it stands only
    /// the header, which is no name (RFC 1035 section 4.1.4: "a prior occurrence of the
    /// same name"); hickory follows it there.
    PointerIntoHeader,
}

/// Compares the two on a message; panics with what differs when no class explains it.
pub fn compare(octets: &[u8]) -> Class {
    let octets = octets.get(..60_000).unwrap_or(octets);
    let is_response = octets.get(2).is_some_and(|flags| flags & 0x80 != 0);
    let ours = observe([udp(!is_response, octets).as_slice()]);
    let mut decoder = BinDecoder::new(octets);
    let Ok(header) = Header::read(&mut decoder) else {
        assert_eq!(ours.uncounted, [Counter::ShortHeader]);
        return Class::Neither;
    };
    assert_eq!(header.metadata.message_type == MessageType::Response, is_response);
    let reason = match (header.metadata.op_code, header.counts.queries) {
        (OpCode::Query, 1) => None,
        (OpCode::Query, 0) => Some(Counter::NoQuestion),
        (OpCode::Query, _) => Some(Counter::SeveralQuestions),
        (OpCode::Notify, _) => Some(Counter::OpcodeNotify),
        (OpCode::Update, _) => Some(Counter::OpcodeUpdate),
        (OpCode::Unknown(6), _) => Some(Counter::OpcodeDso),
        _ => Some(Counter::OpcodeOther),
    };
    if let Some(reason) = reason {
        assert_eq!(ours.uncounted, [reason]);
        return Class::NoQuery;
    }
    let theirs = Query::read(&mut decoder);
    let other_class = theirs.as_ref().ok().and_then(|query| class_counter(u16::from(query.query_class())));
    if other_class.is_some_and(|reason| ours.uncounted == [reason]) {
        return Class::OtherClass;
    }
    let [(name, record_type, kind)] = ours.hits.as_slice() else {
        assert!(matches!(ours.uncounted[..], [Counter::BadName | Counter::ShortQuestion]), "{ours:?}");
        let Ok(query) = theirs else { return Class::Neither };
        assert_eq!(ours.uncounted, [Counter::BadName], "hickory reads {query}");
        assert!(has_pointer(&octets[12..]), "hickory reads {query}");
        return Class::PointerIntoHeader;
    };
    let query = theirs.unwrap_or_else(|error| panic!("we read {name:?}, hickory nothing: {error}"));
    assert_eq!(*name, to_wire(query.name().iter()), "the name");
    assert_eq!(record_type.value(), u16::from(query.query_type()), "the type");
    assert_eq!(other_class, None, "the class");
    let low = header.metadata.response_code;
    let code = |kind: &MessageKind| kind.response_code().map(|code| code.value());
    assert_eq!(code(kind).map(|code| code & 0x0f), is_response.then(|| u16::from(low) & 0x0f), "the response code");
    let Ok(message) = Message::from_vec(octets) else { return Class::SameAndDamagedBehind };
    if !is_response || code(kind) == Some(u16::from(message.metadata.response_code)) {
        return Class::Same;
    }
    assert!(header.counts.answers > 0 || header.counts.authorities > 0, "{kind:?}, hickory {}", message.metadata.response_code);
    Class::CodeBehindRecords
}

/// Where messages of a class are counted that make no record.
pub fn class_counter(class: u16) -> Option<Counter> {
    match class {
        1 => None,
        3 => Some(Counter::ClassChaos),
        4 => Some(Counter::ClassHesiod),
        254 => Some(Counter::ClassNone),
        255 => Some(Counter::ClassAny),
        _ => Some(Counter::ClassOther),
    }
}

/// Whether the labels at the start of these octets end with a pointer.
fn has_pointer(octets: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&length) = octets.get(at) {
        match length {
            0xc0.. => return true,
            1..=63 => at += 1 + usize::from(length),
            _ => return false,
        }
    }
    false
}

/// How the two readings of the sections behind the question relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sections {
    /// No question, so no response.
    NoResponse,
    /// Both read the same records: owners, types, targets.
    Same,
    /// hickory refuses RDATA that we do not look at, a record without RDATA or of a type for queries,
    /// a pointer to labels that end behind it, or records about the message in the wrong place. The
    /// plain reading reads what we do.
    OnlyOurs,
    /// Neither reads it.
    Neither,
    /// hickory follows a pointer into the header, which is no name (RFC 1035 section 4.1.4).
    PointerIntoHeader,
    /// hickory follows more pointers than a name can have labels.
    ManyPointers,
    /// hickory does not know the type: a name in RDATA, or the end of RDATA, is wrong. DNAME, RRSIG.
    UnknownToHickory,
}

/// Compares the two on what stands behind the question of a message, as if it were a response; panics
/// with what differs when nothing explains it.
pub fn compare_sections(octets: &[u8]) -> Sections {
    let Some((message, question_octets)) = response(octets) else { return Sections::NoResponse };
    let plain = plainly(&message, question_octets);
    same_records(&mut Reader::default(), &message, question_octets, plain.as_ref());
    match (plain, Message::from_vec(&message)) {
        (Ok(plain), Ok(theirs)) => {
            let sections = [theirs.answers, theirs.authorities, theirs.additionals];
            let theirs =
                (0u8..).zip(&sections).flat_map(|(section, records)| records.iter().map(move |record| (section, record)));
            let theirs: Vec<_> = theirs.filter_map(|(section, record)| hickory_record(section, record)).collect();
            let ours: Vec<_> = plain.records.iter().filter(|record| record.class == 1).filter_map(known_to_both).collect();
            assert_eq!(ours, theirs, "the records");
            Sections::Same
        }
        (Ok(_), Err(_)) => Sections::OnlyOurs,
        (Err(_), Err(_)) => Sections::Neither,
        (Err(Malformed::IntoHeader), Ok(_)) => Sections::PointerIntoHeader,
        (Err(Malformed::ManyPointers), Ok(_)) => Sections::ManyPointers,
        (Err(_), Ok(theirs)) => {
            let is_opaque = |record: &Record| matches!(u16::from(record.record_type()), 39 | 46);
            assert!(theirs.all_sections().any(is_opaque), "hickory reads {theirs:?}");
            Sections::UnknownToHickory
        }
    }
}

/// Checks that our reading of the records is a plain one.
pub fn same_records(reader: &mut Reader, message: &[u8], question_octets: usize, plain: Result<&PlainMessage, &Malformed>) {
    let mut ours = Vec::new();
    let is_read = reader.records(&hit(message, question_octets), |seen| {
        let signature = seen.signature.map(|(covered, labels)| (covered.value(), labels));
        ours.push((seen.section, seen.owner.to_vec(), seen.record_type.value(), seen.target.map(<[u8]>::to_vec), signature));
    });
    let plain = match plain {
        Ok(plain) => plain,
        Err(why) => return assert_eq!(is_read, None, "{why:?}"),
    };
    assert_eq!(is_read, Some(()), "{plain:?}");
    let is_data = |record: &&Plain| record.class == 1 && record.record_type != 41 && !(128..=255).contains(&record.record_type);
    let line = |record: &Plain| {
        let (target, signature) = match &record.data {
            PlainData::Name(_, target, _) => (Some(to_wire(target.iter().map(Vec::as_slice))), None),
            PlainData::Octets(octets) if record.record_type == 46 => {
                (None, Some((u16::from_be_bytes([octets[0], octets[1]]), octets[3])))
            }
            PlainData::Octets(_) => (None, None),
        };
        (record.section, to_wire(record.owner.iter().map(Vec::as_slice)), record.record_type, target, signature)
    };
    let mut expected: Vec<_> = plain.records.iter().filter(is_data).map(line).collect();
    // Which of several equal records in a row are kept depends on where their names are.
    expected.dedup();
    ours.dedup();
    assert_eq!(ours, expected);
}

/// Section, owner, type, and target of a record.
type Line = (u8, Vec<u8>, u16, Option<Vec<u8>>);

fn hickory_record(section: u8, record: &Record) -> Option<Line> {
    if record.dns_class != DNSClass::IN || is_about_the_message(u16::from(record.record_type())) {
        return None;
    }
    let target = match &record.data {
        RData::NS(name) => Some(&name.0),
        RData::CNAME(name) => Some(&name.0),
        RData::MX(mx) => Some(&mx.exchange),
        RData::SRV(srv) => Some(&srv.target),
        RData::SVCB(svcb) => Some(&svcb.target_name),
        RData::HTTPS(https) => Some(&https.0.target_name),
        _ => None,
    };
    let wire = |name: &Name| to_wire(name.iter());
    Some((section, wire(&record.name), u16::from(record.record_type()), target.map(wire)))
}

/// The same of ours, without what hickory does not read.
fn known_to_both(record: &Plain) -> Option<Line> {
    if is_about_the_message(record.record_type) {
        return None;
    }
    let target = match &record.data {
        PlainData::Name(_, target, _) if record.record_type != 39 => Some(to_wire(target.iter().map(Vec::as_slice))),
        _ => None,
    };
    Some((record.section, to_wire(record.owner.iter().map(Vec::as_slice)), record.record_type, target))
}

/// OPT, SIG, TKEY and TSIG, of which hickory keeps some elsewhere.
fn is_about_the_message(record_type: u16) -> bool {
    matches!(record_type, 24 | 41 | 249 | 250)
}

fn to_wire<'l>(labels: impl Iterator<Item = &'l [u8]>) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels {
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
}
