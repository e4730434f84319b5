//! Answers message by message.

use super::super::read_answer;
use super::*;
use crate::transfer::Disorder;
use crate::transfer::key::Algorithm;
use domain::rdata::{A, Txt};
use domain::tsig::ServerSequence;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use std::sync::Arc;

const NOW: u64 = 1_800_000_000;

fn apex() -> Name {
    Name::from_text("example.").unwrap()
}

fn key() -> TsigKey {
    TsigKey::new(Name::from_text("transfer.").unwrap(), Algorithm::Sha256, b"secret").unwrap()
}

/// A record in an answer.
#[derive(Debug, Clone, Copy)]
enum Rr {
    Soa(u32),
    SoaWithTtl(u32, u32),
    Host(u8),
}

type Builder = domain::base::message_builder::AdditionalBuilder<Vec<u8>>;

/// A message of the answer to AXFR or IXFR.
fn message(id: u16, qtype: Rtype, records: &[Rr]) -> Builder {
    let apex = domain::base::Name::<Vec<u8>>::from_octets(b"\x07eXample\x00".to_vec()).unwrap();
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_qr(true);
    message.header_mut().set_aa(true);
    let mut message = message.question();
    message.push((&apex, qtype)).unwrap();
    let mut message = message.answer();
    for record in records {
        match *record {
            Rr::Soa(serial) => message.push((&apex, 300, soa(&apex, serial))).unwrap(),
            Rr::SoaWithTtl(serial, ttl) => message.push((&apex, ttl, soa(&apex, serial))).unwrap(),
            Rr::Host(number) => message.push((&apex, 300, A::new(Ipv4Addr::new(192, 0, 2, number)))).unwrap(),
        }
    }
    message.additional()
}

fn soa<T: Clone>(apex: T, serial: u32) -> Soa<T> {
    Soa::new(apex.clone(), apex, Serial(serial), Ttl::ZERO, Ttl::ZERO, Ttl::ZERO, Ttl::ZERO)
}

/// The items of an answer in these messages, as `-` and `+` with serials and numbers.
fn answer(asked: Asked, messages: &[&[Rr]]) -> Result<String, Error> {
    let (_, mut stream) = Stream::request(&apex(), asked, None, 1000, NOW)?;
    let mut shown = Vec::new();
    for records in messages {
        stream.message(message(stream.id, qtype(asked), records).finish(), NOW)?;
        while let Some(item) = stream.next() {
            let text = |record: &Record| {
                let serial = super::super::sequence::serial_in(&record.rdata);
                serial.map_or_else(|| format!("#{}", record.rdata[3]), |serial| serial.to_string())
            };
            shown.push(match item {
                Item::Full(serial) => format!("full({serial})"),
                Item::Incremental(serial) => format!("incremental({serial})"),
                Item::Current(serial) => format!("current({serial})"),
                Item::Add(record) => format!("+{}", text(&record)),
                Item::Remove(record) => format!("-{}", text(&record)),
            });
        }
    }
    shown.push(if stream.is_complete() { "end" } else { "more" }.to_owned());
    Ok(shown.join(" "))
}

fn disorder(asked: Asked, messages: &[&[Rr]]) -> (u64, Disorder) {
    match answer(asked, messages) {
        Err(Error::Sequence(record, disorder)) => (record, disorder),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_zone_ends_with_its_first_soa() {
    let shown = answer(Asked::Full, &[&[Rr::Soa(7), Rr::Host(1)], &[Rr::Host(2)], &[Rr::Soa(7)]]).unwrap();
    assert_eq!(shown, "full(7) +7 +#1 +#2 end");
    assert_eq!(answer(Asked::Full, &[&[Rr::Soa(7), Rr::Host(1)]]).unwrap(), "full(7) +7 +#1 more");
}

#[test]
fn the_last_soa_must_equal_the_first_in_ttl_too() {
    let found = disorder(Asked::Full, &[&[Rr::Soa(7), Rr::Host(1), Rr::SoaWithTtl(7, 60)]]);
    assert_eq!(found, (3, Disorder::OtherSoa { first: 7, found: 7 }));
}

#[test]
fn an_answer_to_ixfr_is_incremental_full_or_current() {
    let since = Asked::Since(5);
    let changes: &[Rr] = &[Rr::Soa(7), Rr::Soa(5), Rr::Host(1), Rr::Soa(6), Rr::Host(2), Rr::Soa(6), Rr::Soa(7), Rr::Soa(7)];
    assert_eq!(answer(since, &[changes]).unwrap(), "incremental(7) -5 -#1 +6 +#2 -6 +7 end");
    assert_eq!(answer(since, &[&[Rr::Soa(7), Rr::Host(1), Rr::Soa(7)]]).unwrap(), "full(7) +7 +#1 end");
    assert_eq!(answer(since, &[&[Rr::Soa(5)]]).unwrap(), "current(5) end");
    assert_eq!(answer(since, &[&[Rr::Soa(4)]]).unwrap(), "current(4) end");
}

#[test]
fn a_newer_soa_alone_is_not_a_whole_answer() {
    let since = Asked::Since(5);
    assert_eq!(answer(since, &[&[Rr::Soa(6)]]).unwrap(), "more");
    let shown = answer(since, &[&[Rr::Soa(6)], &[Rr::Soa(5)], &[Rr::Soa(6)], &[Rr::Soa(6)]]).unwrap();
    assert_eq!(shown, "incremental(6) -5 +6 end");
}

#[test]
fn changes_of_another_version_are_an_error() {
    let found = disorder(Asked::Since(4), &[&[Rr::Soa(7), Rr::Soa(5)]]);
    assert_eq!(found, (2, Disorder::Gap { expected: 4, found: 5 }));
    let found = disorder(Asked::Since(4), &[&[Rr::Soa(7), Rr::Soa(4), Rr::Soa(5), Rr::Soa(7)]]);
    assert_eq!(found, (4, Disorder::Gap { expected: 5, found: 7 }));
}

#[test]
fn a_record_after_the_end_is_an_error() {
    let found = disorder(Asked::Full, &[&[Rr::Soa(7), Rr::Soa(7), Rr::Host(1)]]);
    assert_eq!(found, (3, Disorder::AfterEnd));
    assert_eq!(disorder(Asked::Since(7), &[&[Rr::Soa(7)], &[Rr::Host(1)]]), (2, Disorder::AfterEnd));
}

#[test]
fn the_first_record_must_be_a_soa() {
    let found = disorder(Asked::Full, &[&[Rr::Host(1)]]);
    assert_eq!(found, (1, Disorder::NoFirstSoa(apex(), RecordType::A)));
}

/// A signed request, its stream, and the other side of it.
fn signed() -> (Stream, ServerSequence<Arc<domain::tsig::Key>>) {
    let (request, stream) = Stream::request(&apex(), Asked::Full, Some(&key()), 1000, NOW).unwrap();
    let mut request = Message::from_octets(request).unwrap();
    let sequence = ServerSequence::request(&key().to_domain(), &mut request, super::super::signature::time(NOW));
    (stream, sequence.unwrap().unwrap())
}

fn sign(sequence: &mut ServerSequence<Arc<domain::tsig::Key>>, mut message: Builder, at: u64) -> Vec<u8> {
    sequence.answer(&mut message, super::super::signature::time(at)).unwrap();
    message.finish()
}

#[test]
fn a_slow_reader_may_verify_a_message_long_after_it_was_signed() {
    let (mut stream, mut sequence) = signed();
    let first = sign(&mut sequence, message(stream.id, Rtype::AXFR, &[Rr::Soa(7)]), NOW + 1);
    stream.message(first, NOW + 1000).unwrap();
    let last = sign(&mut sequence, message(stream.id, Rtype::AXFR, &[Rr::Soa(7)]), NOW + 2);
    stream.message(last, NOW + 2000).unwrap();
    assert!(stream.is_complete());
}

#[test]
fn a_message_signed_before_the_request_or_in_the_future_is_an_error() {
    for (at, away) in [(NOW - 1000, 1000), (NOW + 1000, 1000)] {
        let (mut stream, mut sequence) = signed();
        let first = sign(&mut sequence, message(stream.id, Rtype::AXFR, &[Rr::Soa(7)]), at);
        let error = stream.message(first, NOW).unwrap_err();
        assert!(matches!(error, Error::Tsig(TsigFault::Clock(found)) if found == away), "{error}");
    }
}

#[test]
fn a_record_of_another_zone_or_type_is_an_error() {
    let reject = |owner: &[u8], rtype: u16, expected: &str| {
        let (_, mut stream) = Stream::request(&apex(), Asked::Full, None, 1000, NOW).unwrap();
        let owner = domain::base::Name::<Vec<u8>>::from_octets(owner.to_vec()).unwrap();
        let data = Txt::<Vec<u8>>::build_from_slice(b"x").unwrap();
        let mut answer = message(stream.id, Rtype::AXFR, &[Rr::Soa(7)]).answer();
        answer.push((owner, 300, data)).unwrap();
        let mut octets = answer.finish();
        // The type is ten octets, RDLENGTH and RDATA before the end.
        let at = octets.len() - 12;
        octets[at..at + 2].copy_from_slice(&rtype.to_be_bytes());
        assert_eq!(stream.message(octets, NOW).unwrap_err().to_string(), format!("message 1 of the answer is wrong: {expected}"));
    };
    reject(b"\x05other\x00", 16, "it contains other., which is not in the zone");
    reject(b"\x08aexample\x00", 16, "it contains aexample., which is not in the zone");
    reject(b"\x07example\x00", 252, "it contains a record of type AXFR, which no zone can contain");
    reject(b"\x07example\x00", 41, "it contains a record of type OPT, which no zone can contain");
}

/// Messages with their lengths before them.
fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.iter().flat_map(|message| [&(message.len() as u16).to_be_bytes()[..], message].concat()).collect()
}

#[test]
fn a_captured_answer_is_read() {
    let messages = [message(9, Rtype::AXFR, &[Rr::Soa(7), Rr::Host(1)]), message(9, Rtype::AXFR, &[Rr::Soa(7)])];
    let octets = framed(&messages.map(Builder::finish));
    let records = read_answer(&octets, &apex(), None, None).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].owner, apex());
    let error = read_answer(&octets[..octets.len() - 1], &apex(), None, None).unwrap_err();
    assert!(matches!(error, Error::Truncated(1)), "{error}");
}

fn any_records() -> impl Strategy<Value = Vec<Rr>> {
    prop::collection::vec(prop_oneof![(0..4u32).prop_map(Rr::Soa), any::<u8>().prop_map(Rr::Host)], 0..6)
}

proptest! {
    #[test]
    fn octets_of_any_kind_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200), since in any::<Option<u32>>()) {
        let _ = read_answer(&octets, &apex(), since, None);
        let _ = read_answer(&octets, &Name::root(), since, Some(&key()));
    }

    #[test]
    fn a_changed_answer_never_panics(
        all in prop::collection::vec(any_records(), 1..4), since in any::<Option<u32>>(), signed in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let qtype = if since.is_some() { Rtype::IXFR } else { Rtype::AXFR };
        let mut octets = framed(&all.iter().map(|records| message(9, qtype, records).finish()).collect::<Vec<_>>());
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let _ = read_answer(&octets, &apex(), since, signed.then(key).as_ref());
    }

    #[test]
    fn an_answer_in_any_order_is_complete_only_with_equal_soas(all in prop::collection::vec(any_records(), 1..4)) {
        let octets = framed(&all.iter().map(|records| message(9, Rtype::AXFR, records).finish()).collect::<Vec<_>>());
        let records: Vec<Rr> = all.concat();
        let is_zone = matches!(records.as_slice(), [Rr::Soa(first), middle @ .., Rr::Soa(last)]
            if first == last && middle.iter().all(|record| matches!(record, Rr::Host(_))))
            && all.iter().all(|records| !records.is_empty());
        prop_assert_eq!(read_answer(&octets, &apex(), None, None).is_ok(), is_zone);
    }
}
