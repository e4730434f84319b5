//! Our reading of header and question beside hickory-proto's.
//!
//! Every message falls into one [`Class`]; what fits into none is a finding. Where the
//! two differ, the class says why ours is meant to be as it is.

use super::{observe, udp};
use hickory_proto::op::{Header, Message, MessageType, OpCode, Query};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use zonepulse_dns::MessageKind;
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
    assert_eq!(*name, wire(&query), "the name");
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

/// The name in wire format, as it was sent.
fn wire(query: &Query) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in query.name().iter() {
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
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
