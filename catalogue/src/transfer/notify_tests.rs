//! What is taken from a NOTIFY, and what is answered.

use super::*;
use crate::transfer::key::Algorithm;
use domain::base::{Serial, Ttl};
use domain::rdata::Soa;
use domain::tsig::ClientTransaction;
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000;

fn key(name: &str, secret: &[u8]) -> TsigKey {
    TsigKey::new(Name::from_text(name).unwrap(), Algorithm::Sha256, secret).unwrap()
}

/// A NOTIFY for `example.` as a primary with this key sends it at this time.
fn notify(serial: Option<u32>, signed: Option<(&TsigKey, u64)>) -> (Vec<u8>, Option<ClientTransaction<Arc<tsig::Key>>>) {
    let apex = domain::base::Name::<Vec<u8>>::from_octets(b"\x07Example\x00".to_vec()).unwrap();
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(0x1234);
    message.header_mut().set_opcode(Opcode::NOTIFY);
    message.header_mut().set_aa(true);
    let mut message = message.question();
    message.push((&apex, Rtype::SOA)).unwrap();
    let mut message = message.answer();
    if let Some(serial) = serial {
        let soa = Soa::new(&apex, &apex, Serial(serial), Ttl::ZERO, Ttl::ZERO, Ttl::ZERO, Ttl::ZERO);
        message.push((&apex, 300, soa)).unwrap();
    }
    let mut message = message.additional();
    let transaction = signed.map(|(key, at)| ClientTransaction::request(key.to_domain(), &mut message, time(at)).unwrap());
    (message.finish(), transaction)
}

fn rejected(message: &[u8], keys: &[TsigKey]) -> Rejection {
    parse(message, keys, NOW).unwrap_err()
}

fn code(answer: &Option<Vec<u8>>) -> Rcode {
    Message::from_slice(answer.as_ref().unwrap()).unwrap().header().rcode()
}

#[test]
fn zone_and_serial_are_taken_from_a_notify() {
    let parsed = parse(&notify(Some(7), None).0, &[], NOW).unwrap();
    assert_eq!((parsed.apex.to_string().as_str(), parsed.serial, parsed.key), ("example.", Some(7), None));
    assert_eq!(parse(&notify(None, None).0, &[], NOW).unwrap().serial, None);
}

#[test]
fn an_answer_repeats_id_opcode_and_question() {
    let answer = answer(parse(&notify(Some(7), None).0, &[], NOW).unwrap(), ResponseCode::NOERROR, NOW).unwrap();
    let answer = Message::from_slice(&answer).unwrap();
    let header = answer.header();
    assert_eq!((header.id(), header.opcode(), header.qr(), header.aa()), (0x1234, Opcode::NOTIFY, true, true));
    assert_eq!(header.rcode(), Rcode::NOERROR);
    assert_eq!(answer.sole_question().unwrap().qtype(), Rtype::SOA);
    assert_eq!(answer.header_counts().ancount(), 0);
}

#[test]
fn a_signature_is_verified_and_the_answer_is_signed() {
    let ours = key("transfer.", b"secret");
    let (message, transaction) = notify(Some(7), Some((&ours, NOW)));
    let parsed = parse(&message, &[key("other.", b"x"), ours], NOW + 100).unwrap();
    assert_eq!(parsed.key, Some(Name::from_text("transfer.").unwrap()));
    let answer = answer(parsed, ResponseCode::NOERROR, NOW + 100).unwrap();
    let mut answer = Message::from_octets(answer).unwrap();
    transaction.unwrap().answer(&mut answer, time(NOW + 100)).unwrap();
}

#[test]
fn a_wrong_signature_is_rejected() {
    let (message, _) = notify(Some(7), Some((&key("transfer.", b"secret"), NOW)));
    let rejection = rejected(&message, &[key("transfer.", b"another")]);
    assert_eq!((rejection.reason, code(&rejection.answer)), (Reason::BadSignature, Rcode::NOTAUTH));
    let answer = Message::from_octets(rejection.answer.unwrap()).unwrap();
    assert_eq!(tsig_of(&answer).unwrap().data().error(), TsigRcode::BADSIG);
    let rejection = rejected(&message, &[key("other.", b"secret")]);
    assert_eq!((rejection.reason, code(&rejection.answer)), (Reason::UnknownKey, Rcode::NOTAUTH));
}

#[test]
fn a_signature_of_another_time_is_rejected() {
    let ours = key("transfer.", b"secret");
    let (message, _) = notify(Some(7), Some((&ours, NOW - 1000)));
    let rejection = rejected(&message, &[ours]);
    assert_eq!((rejection.reason, code(&rejection.answer)), (Reason::BadTime, Rcode::NOTAUTH));
}

#[test]
fn a_changed_serial_is_rejected_if_the_notify_is_signed() {
    let ours = key("transfer.", b"secret");
    let (mut message, _) = notify(Some(7), Some((&ours, NOW)));
    let at = message.windows(4).position(|window| window == [0, 0, 0, 7]).unwrap();
    message[at + 3] = 8;
    assert_eq!(rejected(&message, &[ours]).reason, Reason::BadSignature);
}

#[test]
fn responses_and_long_messages_are_not_answered() {
    let (mut message, _) = notify(None, None);
    message[2] |= 0x80;
    let rejection = rejected(&message, &[]);
    assert_eq!((rejection.reason, rejection.answer), (Reason::NotRequest, None));
    let rejection = rejected(&[0; MAX_MESSAGE_BYTES + 1], &[]);
    assert_eq!((rejection.reason, rejection.answer), (Reason::NotRequest, None));
}

#[test]
fn other_opcodes_and_questions_are_answered_with_an_error() {
    let (mut message, _) = notify(None, None);
    message[2] &= 0x87;
    let rejection = rejected(&message, &[]);
    assert_eq!((rejection.reason, code(&rejection.answer)), (Reason::Opcode(0), Rcode::NOTIMP));
    let (mut message, _) = notify(None, None);
    let at = message.len() - 3;
    message[at] = 1;
    let rejection = rejected(&message, &[]);
    assert_eq!((rejection.reason, code(&rejection.answer)), (Reason::Question, Rcode::FORMERR));
}

#[test]
fn a_soa_of_another_name_is_no_serial() {
    let (mut message, _) = notify(Some(7), None);
    // The first letter of the SOA's owner, after the header and the question.
    assert_eq!(message[26], b'E');
    message[26] = b'F';
    assert_eq!(parse(&message, &[], NOW).unwrap().serial, None);
}

proptest! {
    #[test]
    fn octets_of_any_kind_never_panic(octets in prop::collection::vec(any::<u8>(), 0..120), now in any::<u64>()) {
        let _ = parse(&octets, &[key("transfer.", b"secret")], now);
    }

    #[test]
    fn a_changed_notify_never_panics(at in any::<prop::sample::Index>(), octet in any::<u8>(), now in any::<u64>()) {
        let ours = key("transfer.", b"secret");
        let (mut message, _) = notify(Some(7), Some((&ours, NOW)));
        let at = at.index(message.len());
        message[at] = octet;
        if let Ok(parsed) = parse(&message, &[ours], now) {
            let _ = answer(parsed, ResponseCode::NOERROR, now);
        }
    }
}
