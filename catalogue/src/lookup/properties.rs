//! What holds for every zone and every query.

use super::tests::{name, show, zone};
use super::*;
use crate::Record;
use crate::zone::Builder;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Zones of few labels, so that names meet.
fn any_zone() -> impl Strategy<Value = Zone> {
    let label = || prop_oneof![Just("a"), Just("b"), Just("*")];
    let owner = || prop::collection::vec(label(), 1..4).prop_map(|labels| labels.join("."));
    let target = owner().prop_map(|owner| format!("{owner}.example."));
    let rtype = prop_oneof![Just("A"), Just("TXT"), Just("CNAME"), Just("DNAME"), Just("NS")];
    prop::collection::vec((owner(), rtype, target), 0..12).prop_map(|records| {
        let line = |(owner, rtype, target): &(String, &str, String)| match *rtype {
            "A" => format!("{owner} A 192.0.2.1"),
            "TXT" => format!("{owner} TXT"),
            rtype => format!("{owner} {rtype} {target}"),
        };
        zone(&records.iter().map(line).collect::<Vec<_>>().join("\n"))
    })
}

fn any_query() -> impl Strategy<Value = (Name, RecordType)> {
    let label = prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")];
    let rtype = prop_oneof![Just(1), Just(2), Just(5), Just(6), Just(16), Just(39), Just(43), Just(255)];
    let owner = prop::collection::vec(label, 0..5)
        .prop_map(|labels| labels.iter().fold(name("example."), |owner, label| owner.below(label.as_bytes()).unwrap()));
    (owner, rtype.prop_map(RecordType::new))
}

proptest! {
    #[test]
    fn removing_nothing_changes_nothing(zone in any_zone(), (owner, rtype) in any_query()) {
        let without = View::without(&zone, &|_| false);
        prop_assert_eq!(lookup(&without, &owner, rtype), lookup(&View::new(&zone), &owner, rtype));
    }

    #[test]
    fn removing_is_building_without(zone in any_zone(), (owner, rtype) in any_query(), mask in any::<u32>()) {
        let removed = |index: RrsetIndex| mask >> (index.get() % 32) & 1 == 1;
        let mut builder = Builder::new(zone.apex().clone());
        for set in zone.iter().filter(|set| !removed(set.index())) {
            for rdata in set.rdatas() {
                builder.add(Record { owner: set.owner(), rtype: set.rtype(), ttl: set.ttl(), rdata: rdata.into() }).unwrap();
            }
        }
        let rest = builder.finish().unwrap();
        let (here, there) = (View::without(&zone, &removed), View::new(&rest));
        prop_assert_eq!(
            show(&here, &owner.to_string(), &rtype.to_string()),
            show(&there, &owner.to_string(), &rtype.to_string())
        );
    }

    #[test]
    fn an_rrset_that_is_not_occluded_answers_for_itself(zone in any_zone()) {
        for set in zone.iter() {
            let answer = lookup(&View::new(&zone), &set.owner(), set.rtype());
            let has_cname = zone.find(&set.owner(), RecordType::CNAME).is_some();
            let occluded = zone.iter().any(|other| {
                let above = set.owner() != other.owner() && set.owner().is_at_or_below(&other.owner());
                let cut = other.rtype() == RecordType::NS && other.owner() != *zone.apex();
                (above && (cut || other.rtype() == RecordType::DNAME)) || (cut && other.owner() == set.owner())
            });
            let answered = answer.answer.first().is_some_and(|first| first.index == set.index() && first.owner == set.owner());
            prop_assert_eq!(answered, !occluded && (set.rtype() == RecordType::CNAME || !has_cname), "{:?}", set);
        }
    }

    #[test]
    fn what_is_in_the_answer_section_is_used(zone in any_zone(), (owner, rtype) in any_query()) {
        let answer = lookup(&View::new(&zone), &owner, rtype);
        let answered: BTreeSet<RrsetIndex> = answer.answer.iter().map(|answered| answered.index).collect();
        let used = answer.used.iter().filter(|used| used.role == Role::Answer).map(|used| used.index);
        prop_assert_eq!(used.collect::<BTreeSet<_>>(), answered);
    }

    #[test]
    fn what_was_not_used_does_not_matter(zone in any_zone(), (owner, rtype) in any_query()) {
        // Removing RRsets that a lookup did not use may only change which names exist.
        let answer = lookup(&View::new(&zone), &owner, rtype);
        if answer.closest_encloser.is_none() && !answer.empty_non_terminal && answer.next.is_none() {
            let unused = |index: RrsetIndex| answer.used.iter().all(|used| used.index != index);
            let again = lookup(&View::without(&zone, &unused), &owner, rtype);
            if answer.used.iter().all(|used| used.role != Role::Denial) {
                prop_assert_eq!(again.answer, answer.answer);
            }
        }
    }
}
