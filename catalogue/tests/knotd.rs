//! Random queries over random zones: RCODE, answer section, and what was used, as knotd says.
//!
//! 20,000 queries by default; `ZONEPULSE_TESTS_LOOKUPS` says how many, `ZONEPULSE_TESTS_SEED` which.
//!
//! Knot DNS 3.2 departs from other servers, or from what this project chose, in these cases, which are compared as
//! `compare` says:
//!
//! * It follows five CNAMEs at most, and says NOERROR then.
//! * It answers ANY with one RRset (RFC 8482).
//! * A DNAME whose owner is a wildcard, reached from a name below it, gets an owner that does not exist in the zone: the
//!   name in question. NSD and BIND leave it as it is.
//! * A chain that uses such a DNAME a second time ends there, with NOERROR. NSD and BIND go on.
//! * For a name that a DNAME makes too long, it goes on with the DNAME's target, adds what it finds there, and says
//!   YXDOMAIN or NXDOMAIN. NSD and BIND say YXDOMAIN and stop, as RFC 6672 section 2.2 does.
//! * It adds DS to a referral only if the zone is signed, which generated zones are not.
//! * It does not load zones with records below a DNAME or several CNAMEs at a name, BIND none with NS at a wildcard:
//!   generated zones have neither.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use common::generate::{Generated, Random};
use common::knot::{self, Knot};
use common::message::{Parsed, Response};
use common::{name, zone};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::collections::BTreeSet;
use std::process::ExitCode;
use zonepulse_catalogue::lookup::{Answer, Role, View, lookup};
use zonepulse_catalogue::{Name, Zone};
use zonepulse_dns::RecordType;

/// Queries per zone.
const PER_ZONE: usize = 500;
/// CNAMEs after which Knot stops.
const KNOT_CHAIN: usize = 5;
const NS: u16 = 2;
const CNAME: u16 = 5;
const DNAME: u16 = 39;
const ANY: u16 = 255;
const NXDOMAIN: u16 = 3;
const YXDOMAIN: u16 = 6;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let test = Trial::ignorable_test("random_lookups_answer_as_knotd_does", || match knot::program() {
        Ok(program) => compare_all(program).map(|()| Completion::Completed),
        Err(reason) => Ok(Completion::ignored_with(reason)),
    });
    libtest_mimic::run(&arguments, vec![test]).exit_code()
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn compare_all(program: &str) -> Result<(), Failed> {
    let (queries, seed) = (number("ZONEPULSE_TESTS_LOOKUPS", 20_000), number("ZONEPULSE_TESTS_SEED", 1) as u64);
    let generated: Vec<Generated> =
        (0..queries.div_ceil(PER_ZONE)).map(|at| Generated::new(seed << 32 | at as u64, &format!("z{at}.test."))).collect();
    let texts: Vec<(String, String)> = generated.iter().map(|zone| (zone.apex.clone(), zone.text())).collect();
    let knot = Knot::serve(program, &texts);
    let mut random = Random(seed);
    let mut different = Vec::new();
    let mut compared = 0;
    for (generated, (_, text)) in generated.iter().zip(&texts) {
        let zone = zone(text);
        let ask: Vec<(Name, RecordType)> = (0..PER_ZONE.min(queries - compared))
            .map(|_| generated.query(&mut random))
            .filter(|(owner, _)| owner.len() < 254)
            .map(|(owner, rtype)| (name(&owner), rtype.parse().unwrap()))
            .collect();
        compared += PER_ZONE;
        for ((owner, rtype), response) in ask.iter().zip(knot.ask(&ask)) {
            let answer = lookup(&View::new(&zone), owner, *rtype);
            if let Err(reason) = compare(&zone, *rtype, &answer, &response) {
                different.push(format!("{owner} {rtype}: {reason}\nhere {answer:?}\nknotd {response:?}\n{text}"));
            }
        }
    }
    // The shortest are the easiest to understand.
    different.sort_by_key(String::len);
    match different.len() {
        0 => Ok(()),
        count => Err(format!("{count} of {queries} differ:\n{}", different[..count.min(3)].join("\n")).into()),
    }
}

fn compare(zone: &Zone, rtype: RecordType, answer: &Answer, response: &Response) -> Result<(), &'static str> {
    if response.truncated {
        return Err("truncated");
    }
    let here = section(zone, answer);
    let knot = normalised(response, &here);
    // Where Knot gives up, it says NOERROR.
    let cnames = response.answer.iter().filter(|record| record.1 == CNAME).count();
    let gives_up = response.rcode == 0 && response.authority.is_empty() && knot.is_subset(&here);
    if gives_up && (cnames >= KNOT_CHAIN || rewrites_twice_at_wildcard(zone, answer)) {
        return Ok(());
    }
    if answer.rcode.value() == YXDOMAIN && [YXDOMAIN, NXDOMAIN].contains(&response.rcode) {
        return if here.is_subset(&knot) { Ok(()) } else { Err("YXDOMAIN") };
    }
    if response.rcode != answer.rcode.value() {
        return Err("RCODE");
    }
    let owners = |records: &BTreeSet<Parsed>| records.iter().map(|record| record.0.clone()).collect::<BTreeSet<Name>>();
    let same = if rtype.value() == ANY { knot.is_subset(&here) && owners(&knot) == owners(&here) } else { here == knot };
    if !same {
        return Err("answer section");
    }
    if used(zone, answer, Role::Denial).is_empty() != response.authority.iter().all(|record| record.1 != RecordType::SOA.value())
    {
        return Err("SOA");
    }
    let ns = |records: &mut dyn Iterator<Item = Parsed>| records.filter(|record| record.1 == NS).collect::<BTreeSet<Parsed>>();
    let referral = ns(&mut response.authority.iter().cloned());
    if ns(&mut used(zone, answer, Role::Referral).into_iter()) != referral {
        return Err("referral");
    }
    if answer.cut.is_some() && glue(zone, answer) != response.additional.iter().map(address).collect() {
        return Err("glue");
    }
    Ok(())
}

/// Whether one DNAME at a wildcard takes part twice.
fn rewrites_twice_at_wildcard(zone: &Zone, answer: &Answer) -> bool {
    let rewrites = answer.answer.iter().filter(|answered| answered.synthesised.is_some()).map(|answered| answered.index);
    let mut seen = BTreeSet::new();
    rewrites.filter(|index| zone.rrset(*index).unwrap().owner().is_wildcard()).any(|index| !seen.insert(index))
}

/// The answer section of a lookup as records.
fn section(zone: &Zone, answer: &Answer) -> BTreeSet<Parsed> {
    let mut records = BTreeSet::new();
    for answered in &answer.answer {
        let set = zone.rrset(answered.index).unwrap();
        let record = |rtype, rdata: &[u8]| (answered.owner.clone(), rtype, set.ttl(), rdata.to_vec());
        match &answered.synthesised {
            Some(target) => records.extend([record(CNAME, target.wire())]),
            None => records.extend(set.rdatas().map(|rdata| record(set.rtype().value(), rdata))),
        }
    }
    records
}

/// The answer section of a response, in which the DNAMEs that `here` has at a wildcard have their owner again.
fn normalised(response: &Response, here: &BTreeSet<Parsed>) -> BTreeSet<Parsed> {
    let at_wildcard = |record: &Parsed| {
        let same = |other: &&Parsed| {
            (other.1, other.2, &other.3) == (record.1, record.2, &record.3) && record.0.is_at_or_below(&other.0)
        };
        here.iter().filter(|other| other.1 == DNAME && other.0.is_wildcard()).find(same)
    };
    let owned = |record: &Parsed| if here.contains(record) { None } else { at_wildcard(record).cloned() };
    response.answer.iter().map(|record| owned(record).unwrap_or_else(|| record.clone())).collect()
}

/// Addresses of name servers. Those of a wildcard have another owner in a response.
fn glue(zone: &Zone, answer: &Answer) -> BTreeSet<(u16, Vec<u8>)> {
    used(zone, answer, Role::Glue).iter().map(address).collect()
}

fn address(record: &Parsed) -> (u16, Vec<u8>) {
    (record.1, record.3.clone())
}

/// The records of a role as they are in the zone.
fn used(zone: &Zone, answer: &Answer, role: Role) -> BTreeSet<Parsed> {
    let sets = answer.used.iter().filter(|used| used.role == role).map(|used| zone.rrset(used.index).unwrap());
    sets.flat_map(|set| set.rdatas().map(move |rdata| (set.owner(), set.rtype().value(), set.ttl(), rdata.to_vec()))).collect()
}
