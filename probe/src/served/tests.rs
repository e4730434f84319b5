//! The rules, one by one. What follows from a lookup in a zone is compared with an independent program, and what
//! servers make of it with the servers themselves; here are the cases that neither has.

use super::*;
use zonepulse_dns::{ResponseCode, name};
use zonepulse_fixtures::Response;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const MX: u16 = 15;
const HTTPS: u16 = 65;
const NSEC: u16 = 47;
const TRANSFER: u16 = 252;
const ANY: u16 = 255;

/// A question and the octets of its response.
fn read_bytes(reader: &mut Reader, question: &(String, u16), octets: &[u8]) -> (Outcome, Vec<String>) {
    let length = name::to_wire(&question.0).unwrap().len();
    let code = ResponseCode::from_masked(u16::from(octets[3] & 0x0f));
    let kind = if octets[2] & 0x80 == 0 { MessageKind::REQUEST } else { MessageKind::response(code) };
    let name = &octets[12..12 + length];
    let hit = Hit { name, record_type: RecordType::new(question.1), kind, time_ms: 0, message: octets };
    let mut credits = Vec::new();
    let outcome = reader.read(&hit, |credit| {
        let mut text = String::new();
        assert!(name::push_text(credit.owner, &mut text), "{credit:?}");
        let maybe = if credit.may_be_wildcard { " maybe" } else { "" };
        credits.push(format!("{text} {} {}{maybe}", credit.record_type, credit.class.as_str()));
    });
    credits.sort();
    (outcome, credits)
}

/// The credits of a response, which must be the same with and without compression.
fn read(reader: &mut Reader, response: &Response) -> (Outcome, Vec<String>) {
    let compressed = read_bytes(reader, &response.question, &response.bytes());
    let plain = read_bytes(reader, &response.question, &response.clone().plain().bytes());
    assert_eq!(compressed, plain, "{response:?}");
    compressed
}

/// The reader of a server with the zone `example.`, without a wildcard.
fn reader() -> Reader {
    let mut zones = Zones::any();
    let apex = name::to_wire("example.").unwrap();
    zones.add_named(Names::new(&apex, [apex.as_slice()].into_iter()));
    Reader::new(zones)
}

#[track_caller]
fn check(response: &Response, expected: &[&str]) {
    assert_eq!(read(&mut reader(), response), (Outcome::Read, expected.iter().map(|&text| text.to_owned()).collect()));
}

#[test]
fn an_rrset_counts_once_however_many_records_it_has() {
    let response = Response::new("www.example.", A).answer("www.example. A 192.0.2.1").answer("www.example. A 192.0.2.2");
    check(&response, &["www.example. A answer"]);
    // In another case, and not one after the other.
    let response = response.answer("www.example. AAAA 2001:db8::1").answer("WWW.Example. A 192.0.2.3");
    check(&response, &["www.example. A answer", "www.example. AAAA answer"]);
}

#[test]
fn many_rrsets_count_once_each() {
    let mut response = Response::new("example.", ANY);
    for round in 0..2 {
        for host in 0..40 {
            response = response.answer(&format!("h{host}.example. A 192.0.2.{round}"));
        }
    }
    let (outcome, credits) = read(&mut reader(), &response);
    assert_eq!((outcome, credits.len()), (Outcome::Read, 40));
    assert!(credits.iter().all(|credit| credit.ends_with(" A any")), "{credits:?}");
}

#[test]
fn every_alias_on_the_way_is_an_answer_whatever_the_code() {
    let chain = |code| {
        let response = Response::new("a.example.", A).code(code);
        response.answer("a.example. CNAME b.example.").answer("b.example. CNAME c.example.").authority("example. SOA ns. m.")
    };
    let expected = ["a.example. CNAME answer", "b.example. CNAME answer", "example. SOA denial"];
    check(&chain(3), &expected);
    check(&chain(0), &expected);
    // SERVFAIL: something at the end of the chain failed.
    check(&chain(2), &expected[..2]);
}

#[test]
fn a_dname_is_an_answer_and_what_it_makes_is_not() {
    let response = Response::new("x.y.old.example.", A)
        .answer("old.example. DNAME new.example.")
        .answer("x.y.Old.example. CNAME X.y.new.example.")
        .answer("x.y.new.example. A 192.0.2.1");
    check(&response, &["old.example. DNAME answer", "x.y.new.example. A answer"]);
    // A CNAME that is not what the DNAME makes.
    let response = Response::new("a.example.", A)
        .answer("a.example. CNAME x.old.example.")
        .answer("old.example. DNAME new.example.")
        .answer("x.old.example. CNAME x.new.example.")
        .answer("x.new.example. CNAME elsewhere.test.");
    check(&response, &["a.example. CNAME answer", "old.example. DNAME answer", "x.new.example. CNAME answer"]);
    for other in ["y.new.example.", "x.x.new.example.", "x.new.example.test.", "new.example."] {
        let response = Response::new("x.old.example.", A)
            .answer("old.example. DNAME new.example.")
            .answer(&format!("x.old.example. CNAME {other}"));
        check(&response, &["old.example. DNAME answer", "x.old.example. CNAME answer"]);
    }
}

#[test]
fn a_signature_names_the_wildcard() {
    let signed = |owner: &str, labels: u8| {
        let response = Response::new(owner, A).answer(&format!("{owner} A 192.0.2.1"));
        response.answer(&format!("{owner} RRSIG A {labels}"))
    };
    check(&signed("a.b.example.", 3), &["a.b.example. A answer"]);
    check(&signed("a.b.example.", 2), &["*.b.example. A answer"]);
    check(&signed("a.b.example.", 1), &["*.example. A answer"]);
    check(&signed("*.b.example.", 2), &["*.b.example. A answer"]);
    check(&signed("*.b.example.", 1), &["*.example. A answer"]);
    // More labels than the name has: not a signature of it.
    check(&signed("a.b.example.", 4), &["a.b.example. A answer maybe"]);
    // Two names, one wildcard.
    let response = signed("a.example.", 1).answer("b.example. A 192.0.2.1").answer("b.example. RRSIG A 1");
    check(&response, &["*.example. A answer"]);
    // A signature of another RRset says nothing.
    let response = Response::new("a.example.", A).answer("a.example. A 192.0.2.1").answer("a.example. RRSIG AAAA 1");
    check(&response, &["a.example. A answer"]);
}

#[test]
fn without_signature_or_names_any_answer_may_come_from_a_wildcard() {
    let mut reader = Reader::new(Zones::any());
    let answer = Response::new("www.example.", A).answer("www.example. A 192.0.2.1").authority("example. NS ns.example.");
    let (_, credits) = read(&mut reader, &answer);
    assert_eq!(credits, ["example. NS carried", "www.example. A answer maybe"]);
    let (_, credits) = read(&mut reader, &answer.answer("www.example. RRSIG A 2"));
    assert_eq!(credits, ["example. NS carried", "www.example. A answer"]);
    let soa = Response::new("example.", SOA).answer("example. SOA ns.example. m.example.");
    assert_eq!(read(&mut reader, &soa).1, ["example. SOA answer"], "no wildcard has one");
}

#[test]
fn a_referral_serves_the_delegation_and_glue_inside_the_zone() {
    let response = Response::referral("www.sub.example.", A)
        .authority("sub.example. NS ns.sub.example.")
        .authority("sub.example. NS ns.other.example.")
        .authority("sub.example. NS ns.example.")
        .authority("sub.example. DS x")
        .authority("sub.example. RRSIG DS 2")
        .additional("ns.sub.example. A 192.0.2.1")
        .additional("ns.sub.example. AAAA 2001:db8::1")
        .additional("ns.other.example. A 192.0.2.2")
        .additional("ns.example. A 192.0.2.3")
        .additional("unrelated.sub.example. A 192.0.2.4");
    let expected = [
        "ns.example. A carried",
        "ns.other.example. A carried",
        "ns.sub.example. A glue",
        "ns.sub.example. AAAA glue",
        "sub.example. DS referral",
        "sub.example. NS referral",
    ];
    check(&response, &expected);
    // A name server may be the zone itself.
    let response = Response::referral("sub.example.", NS).authority("sub.example. NS sub.example.");
    check(&response.additional("sub.example. A 192.0.2.1"), &["sub.example. A glue", "sub.example. NS referral"]);
}

#[test]
fn name_servers_beside_an_answer_are_no_referral() {
    let answer = Response::referral("www.example.", A).answer("www.example. A 192.0.2.1").authority("example. NS ns.example.");
    let answer = answer.additional("ns.example. A 192.0.2.2");
    check(&answer, &["example. NS carried", "ns.example. A carried", "www.example. A answer"]);
    // Neither does an authoritative response refer, nor one that denies or fails.
    let carried = ["example. NS carried"];
    check(&Response::new("www.example.", A).authority("example. NS ns."), &carried);
    check(&Response::referral("www.example.", A).code(5).authority("example. NS ns."), &carried);
    check(&Response::referral("www.test.", A).authority("example. NS ns."), &carried);
    let denial = Response::referral("www.example.", A).authority("example. NS ns.").authority("example. SOA ns. m.");
    check(&denial, &["example. NS carried", "example. SOA denial"]);
}

#[test]
fn an_alias_may_lead_into_a_delegation() {
    let response = Response::new("www.example.", A)
        .answer("www.example. CNAME www.sub.example.")
        .authority("sub.example. NS ns.sub.example.")
        .additional("ns.sub.example. A 192.0.2.1");
    check(&response, &["ns.sub.example. A glue", "sub.example. NS referral", "www.example. CNAME answer"]);
    // Not if the alias was what was asked for, or leads out of the zone; then these are the apex's.
    let response = Response::new("www.example.", CNAME).answer("www.example. CNAME a.example.").authority("example. NS ns.");
    check(&response, &["example. NS carried", "www.example. CNAME answer"]);
    let response = Response::new("www.example.", A).answer("www.example. CNAME www.test.").authority("example. NS ns.");
    check(&response, &["example. NS carried", "www.example. CNAME answer"]);
    // A loop, or a chain that the server gave up on.
    let response = Response::new("a.example.", A).answer("a.example. CNAME b.example.").authority("example. NS ns.");
    check(&response, &["a.example. CNAME answer", "example. NS carried"]);
}

#[test]
fn additional_addresses_are_carried_for_what_leads_to_them() {
    let response = Response::new("example.", MX)
        .answer("example. MX 10 mail.example.")
        .answer("example. SRV 0 0 25 srv.example.")
        .answer("example. HTTPS 1 .")
        .answer("example. SVCB 1 svc.example.")
        .additional("Mail.example. A 192.0.2.1")
        .additional("srv.example. A 192.0.2.1")
        .additional("example. A 192.0.2.1")
        .additional("svc.example. CNAME alias.example.")
        .additional("alias.example. AAAA 2001:db8::1")
        .additional("else.example. A 192.0.2.1")
        .additional("mail.example. TXT x");
    let expected = [
        "alias.example. AAAA carried",
        "example. A carried",
        "example. HTTPS answer",
        "example. MX answer",
        "example. SRV answer",
        "example. SVCB answer",
        "mail.example. A carried",
        "srv.example. A carried",
    ];
    check(&response, &expected);
}

#[test]
fn the_strongest_class_counts() {
    let response = Response::new("example.", HTTPS).answer("example. HTTPS 1 .").answer("example. A 192.0.2.1");
    check(&response.additional("example. A 192.0.2.1"), &["example. A answer", "example. HTTPS answer"]);
}

#[test]
fn proofs_and_signatures_are_served_only_if_asked_for() {
    let response = Response::new("no.example.", A)
        .code(3)
        .authority("example. SOA ns. m.")
        .authority("example. RRSIG SOA 1")
        .authority("example. NSEC x")
        .authority("h.example. NSEC3 x");
    check(&response, &["example. SOA denial"]);
    check(&Response::new("example.", NSEC).answer("example. NSEC x").answer("example. RRSIG NSEC 1"), &["example. NSEC answer"]);
}

#[test]
fn any_is_weak_evidence_and_a_refusal_of_it_none() {
    let response = Response::new("example.", ANY).answer("example. SOA ns. m.").answer("example. HINFO RFC8482 x");
    check(&response, &["example. SOA any"]);
    let response = Response::new("example.", 13).answer("example. HINFO RFC8482 x");
    check(&response, &["example. HINFO answer"]);
}

#[test]
fn other_zones_and_other_classes_do_not_count() {
    let response = Response::new("www.example.", A).answer("www.example. CNAME www.test.").answer("www.test. A 192.0.2.1");
    check(&response, &["www.example. CNAME answer"]);
    let mut octets = Response::new("www.example.", A).answer("www.example. A 192.0.2.1").plain().bytes();
    let class_at = octets.len() - 11;
    octets[class_at] = 3;
    let question = ("www.example.".to_owned(), A);
    assert_eq!(read_bytes(&mut reader(), &question, &octets), (Outcome::Read, vec![]));
}

#[test]
fn requests_transfers_and_truncated_responses_serve_nothing() {
    let apart = |response: &Response| read(&mut reader(), response);
    let answer = Response::new("www.example.", A).answer("www.example. A 192.0.2.1");
    let truncated = Response { flags: answer.flags | 0x0200, ..answer.clone() };
    assert_eq!(apart(&truncated), (Outcome::Truncated, vec![]));
    assert_eq!(apart(&Response { flags: 0, ..answer }), (Outcome::Apart, vec![]));
    assert_eq!(apart(&Response::new("example.", TRANSFER).answer("example. SOA ns. m.")), (Outcome::Apart, vec![]));
}

#[test]
fn a_response_that_is_malformed_anywhere_serves_nothing() {
    let response = Response::new("example.", MX).answer("example. MX 10 mail.example.").additional("mail.example. A 192.0.2.1");
    let octets = response.bytes();
    let unreadable = (Outcome::Unreadable, vec![]);
    let question = &response.question;
    for end in 12 + 9 + 4..octets.len() {
        assert_eq!(read_bytes(&mut reader(), question, &octets[..end]), unreadable, "{end}");
    }
    for (at, what) in [(7, "a missing answer"), (9, "a missing record"), (11, "a missing address")] {
        let mut more = octets.clone();
        more[at] += 1;
        assert_eq!(read_bytes(&mut reader(), question, &more), unreadable, "{what}");
    }
    // Octets after the last record are not part of it.
    let longer = [&octets[..], b"rest"].concat();
    assert_eq!(read_bytes(&mut reader(), question, &longer).0, Outcome::Read);
    // A target that ends before its RDATA does.
    let data_at = octets.len() - 16 - 9 - 2;
    assert_eq!(octets[data_at..data_at + 2], [0, 9]);
    let mut longer = octets.clone();
    longer[data_at + 1] += 1;
    assert_eq!(read_bytes(&mut reader(), question, &longer), unreadable);
}

#[test]
fn the_largest_responses_take_little_time() {
    let many = |count: usize, with: fn(Response, usize) -> Response| (0..count).fold(Response::new("example.", MX), with).bytes();
    let longest = [
        many(1600, |response, number| {
            response.answer(&format!("example. MX 10 h{number}.example.")).additional(&format!("h{number}.example. A 192.0.2.1"))
        }),
        many(1000, |response, number| {
            response.answer(&format!("h{number}.example. A 192.0.2.1")).answer(&format!("h{number}.example. RRSIG A 1"))
        }),
        many(2000, |response, number| {
            let response = if number < 64 { response.answer(&format!("d{number}.example. DNAME example.")) } else { response };
            response.answer(&format!("h{number}.d63.example. CNAME g{number}.example."))
        }),
        many(2400, |response, number| response.authority(&format!("n{number}.example. NS n{number}.test."))),
    ];
    for octets in longest {
        assert!((40_000..65_536).contains(&octets.len()), "{} octets", octets.len());
        let began = std::time::Instant::now();
        let (outcome, credits) = read_bytes(&mut reader(), &("example.".to_owned(), MX), &octets);
        let took = began.elapsed();
        assert_eq!(outcome, Outcome::Read);
        // Without optimisation, and on a busy machine; reading each record for each other one would take seconds.
        assert!(took.as_millis() < 500, "{} octets, {} credits: {took:?}", octets.len(), credits.len());
    }
}

#[test]
fn a_response_with_more_dnames_than_any_server_sends_is_unreadable() {
    let with = |count: usize| {
        let response = Response::new("example.", ANY);
        (0..count).fold(response, |response, number| response.answer(&format!("d{number}.example. DNAME test.")))
    };
    assert_eq!(read(&mut reader(), &with(64)).1.len(), 64);
    assert_eq!(read(&mut reader(), &with(65)), (Outcome::Unreadable, vec![]));
}
