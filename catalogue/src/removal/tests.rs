use super::*;
use crate::zone::Builder;
use crate::{Record, rdata};
use expect_test::{Expect, expect};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

/// A zone with this apex of lines with owner, TTL, type and data, and an SOA with a MINIMUM of 60 and a TTL of 900.
fn zone(apex: &str, lines: &str) -> Zone {
    let mut builder = Builder::new(name(apex));
    let soa = format!("{apex} 900 SOA ns.{apex} host.{apex} 1 2 3 4 60\n{apex} 3600 NS ns.{apex}\nns.{apex} 3600 A 192.0.2.53\n");
    for line in soa.lines().chain(lines.lines()).map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let rtype = fields[2].parse().unwrap();
        let rdata = rdata::from_text(rtype, fields[3], None).unwrap();
        builder.add(Record { owner: name(fields[0]), rtype, ttl: fields[1].parse().unwrap(), rdata }).unwrap();
    }
    builder.finish().unwrap()
}

fn indexes(zone: &Zone, removed: &[(&str, &str)]) -> Vec<RrsetIndex> {
    let find = |(owner, rtype): &(&str, &str)| zone.find(&name(owner), rtype.parse().unwrap()).unwrap().index();
    removed.iter().map(find).collect()
}

/// Compares the summary of a removal, without what is said of single RRsets.
fn check(lines: &str, removed: &[(&str, &str)], expected: Expect) {
    let zone = zone("example.", lines);
    let effects = Removal::new(&zone, indexes(&zone, removed)).effects(&[], Limits::default());
    let names = effects.names.first.iter().map(|name| format!("{name}\n"));
    let dangling = effects.dangling.first.iter().map(|dangling| format!("{dangling}\n"));
    expected.assert_eq(&names.chain(dangling).collect::<String>());
}

#[test]
fn a_leaf_ceases_to_exist_with_its_subtree() {
    check(
        "a.example. 300 A 192.0.2.1",
        &[("a.example.", "A")],
        expect![[r#"
            a.example. ceases to exist, with everything below it (closest encloser: example.). A query for a.example. A gets data from a.example. before, NXDOMAIN after
        "#]],
    );
}

#[test]
fn a_name_may_fall_to_a_wildcard() {
    check(
        "*.example. 30 A 192.0.2.1\na.example. 300 A 192.0.2.2",
        &[("a.example.", "A")],
        expect![[r#"
            a.example. ceases to exist, with everything below it (closest encloser: example.); the wildcard *.example. now answers for all of them. A query for a.example. A gets data from a.example. before, data from the wildcard *.example. after
        "#]],
    );
}

#[test]
fn a_name_with_descendants_becomes_an_empty_non_terminal_and_still_hides_the_wildcard() {
    let lines = "*.example. 30 A 192.0.2.1\na.example. 300 A 192.0.2.2\nb.a.example. 300 A 192.0.2.2";
    check(
        lines,
        &[("a.example.", "A")],
        expect![[r#"
            a.example. loses its last record, but names below it stay: it still exists, without data. A query for a.example. A gets data from a.example. before, no data (NOERROR; an empty non-terminal) after
        "#]],
    );
}

#[test]
fn empty_non_terminals_vanish_with_the_last_name_below_and_the_wildcard_answers() {
    let lines = "*.example. 30 A 192.0.2.1\nc.b.a.example. 300 A 192.0.2.2";
    check(
        lines,
        &[("c.b.a.example.", "A")],
        expect![[r#"
            c.b.a.example. ceases to exist, with everything below it (closest encloser: example.); the wildcard *.example. now answers for all of them. A query for c.b.a.example. A gets data from c.b.a.example. before, data from the wildcard *.example. after
            b.a.example. (an empty non-terminal) ceases to exist, with everything below it (closest encloser: example.); the wildcard *.example. now answers for all of them. A query for b.a.example. A gets no data (NOERROR; an empty non-terminal) before, data from the wildcard *.example. after
            a.example. (an empty non-terminal) ceases to exist, with everything below it (closest encloser: example.); the wildcard *.example. now answers for all of them. A query for a.example. A gets no data (NOERROR; an empty non-terminal) before, data from the wildcard *.example. after
        "#]],
    );
}

#[test]
fn a_name_that_keeps_other_types_answers_without_data() {
    check(
        "a.example. 300 A 192.0.2.1\na.example. 300 TXT \"x\"",
        &[("a.example.", "A")],
        expect![[r#"
            a.example. loses A and keeps other types. A query for a.example. A gets data from a.example. before, no data (NOERROR) after
        "#]],
    );
}

#[test]
fn names_that_a_wildcard_answered_for_cease_to_exist() {
    check(
        "*.w.example. 300 A 192.0.2.1\nw.example. 300 A 192.0.2.2",
        &[("*.w.example.", "A")],
        expect![[r#"
            the wildcard *.w.example. is gone: names below w.example. without records of their own cease to exist. A query for name0.w.example. A gets data from the wildcard *.w.example. before, NXDOMAIN after
        "#]],
    );
}

#[test]
fn an_end_of_a_delegation_exposes_what_it_hid() {
    let lines = "d.example. 300 NS ns.d.example.\nd.example. 300 DS 1 13 2 abababababababababababababababababababababababababababababababab\nns.d.example. 300 A 192.0.2.1\n\
        x.d.example. 300 TXT \"hidden\"";
    check(
        lines,
        &[("d.example.", "NS")],
        expect![[r#"
        d.example. is no longer delegated; its DS stays behind, without use. A query for d.example. A gets a referral to the name servers of d.example. before, no data (NOERROR) after
        ns.d.example. A was hidden and comes to light. A query for ns.d.example. A gets a referral to the name servers of d.example. before, data from ns.d.example. after
        x.d.example. TXT was hidden and comes to light. A query for x.d.example. TXT gets a referral to the name servers of d.example. before, data from x.d.example. after
    "#]],
    );
}

#[test]
fn a_delegation_breaks_without_glue() {
    let lines = "d.example. 300 NS ns.d.example.\nns.d.example. 300 A 192.0.2.1\nns.d.example. 300 AAAA 2001:db8::1\n";
    check(
        lines,
        &[("ns.d.example.", "A")],
        expect![[r#"
        ns.d.example. is below a zone cut or a DNAME: answers change only where it is glue
    "#]],
    );
    check(
        lines,
        &[("ns.d.example.", "A"), ("ns.d.example.", "AAAA")],
        expect![[r#"
        ns.d.example. is below a zone cut or a DNAME: answers change only where it is glue
        d.example. NS in the zone example. refers to ns.d.example., which will not answer; no name server of the delegation has an address then
    "#]],
    );
}

#[test]
fn a_delegation_may_become_insecure() {
    let lines = "d.example. 300 NS ns.elsewhere.\nd.example. 300 DS 1 13 2 abababababababababababababababababababababababababababababababab";
    check(
        lines,
        &[("d.example.", "DS")],
        expect![[r#"
        d.example. stays delegated, but resolvers no longer validate it. A query for d.example. DS gets data from d.example. before, no data (NOERROR) after
    "#]],
    );
}

#[test]
fn a_dname_no_longer_redirects() {
    check(
        "d.example. 300 DNAME b.example.\nx.b.example. 300 A 192.0.2.1",
        &[("d.example.", "DNAME")],
        expect![[r#"
            d.example. no longer redirects the names below it. A query for x.d.example. A gets data from x.b.example. before, NXDOMAIN after
            d.example. ceases to exist, with everything below it (closest encloser: example.). A query for d.example. DNAME gets data from d.example. before, NXDOMAIN after
        "#]],
    );
}

#[test]
fn references_are_followed_through_aliases() {
    let lines = "a.example. 300 A 192.0.2.1\nb.example. 300 CNAME a.example.\nc.example. 300 CNAME b.example.\n\
        d.example. 300 MX 10 c.example.\ne.example. 300 SRV 0 0 80 a.example.\nf.example. 300 CNAME ns.example.";
    check(
        lines,
        &[("a.example.", "A")],
        expect![[r#"
            a.example. ceases to exist, with everything below it (closest encloser: example.). A query for a.example. A gets data from a.example. before, NXDOMAIN after
            b.example. CNAME in the zone example. refers to a.example., which will not answer
            c.example. CNAME in the zone example. refers to b.example., which will not answer
            d.example. MX in the zone example. refers to c.example., which will not answer
            e.example. SRV in the zone example. refers to a.example., which will not answer
        "#]],
    );
}

#[test]
fn a_reference_that_is_removed_as_well_does_not_dangle() {
    let lines = "a.example. 300 A 192.0.2.1\nb.example. 300 CNAME a.example.";
    let zone = zone("example.", lines);
    let removed = indexes(&zone, &[("a.example.", "A"), ("b.example.", "CNAME")]);
    assert_eq!(Removal::new(&zone, removed).effects(&[], Limits::default()).dangling.total, 0);
}

#[test]
fn references_from_other_zones_are_found() {
    let zone = zone("example.", "a.example. 300 A 192.0.2.1");
    let other = super::tests::zone("other.", "www.other. 300 CNAME a.example.\nx.other. 300 CNAME ns.example.");
    let removal = Removal::new(&zone, indexes(&zone, &[("a.example.", "A")]));
    let dangling = removal.effects(&[&other, &zone], Limits::default()).dangling;
    let found: Vec<String> = dangling.first.iter().map(Dangling::to_string).collect();
    assert_eq!(found, ["www.other. CNAME in the zone other. refers to a.example., which will not answer"]);
}

#[test]
fn what_breaks_the_zone_is_refused_with_a_reason() {
    let zone = zone("example.", "a.example. 300 A 192.0.2.1");
    let removed = indexes(&zone, &[("example.", "SOA"), ("example.", "NS"), ("a.example.", "A")]);
    let effects = Removal::new(&zone, removed).effects(&[], Limits::default());
    assert_eq!((effects.refused.total, effects.removed.total), (2, 0));
    expect![[r#"
        Cannot be removed (2):
          example. NS cannot be removed: a zone needs name servers at its apex (RFC 1035 section 5.2): retire the whole zone instead
          example. SOA cannot be removed: a zone without SOA cannot be loaded (RFC 1035 section 5.2): retire the whole zone instead
    "#]].assert_eq(&effects.to_string());
}

#[test]
fn an_undo_takes_as_long_as_the_denial_is_cached() {
    let lines = "*.w.example. 30 A 192.0.2.1\na.w.example. 7200 A 192.0.2.2\nb.example. 300 A 192.0.2.2";
    let zone = zone("example.", lines);
    let removal = Removal::new(&zone, indexes(&zone, &[("a.w.example.", "A"), ("b.example.", "A")]));
    let effects = removal.effects(&[], Limits::default());
    let undone: Vec<u32> = effects.removed.first.iter().map(|removed| removed.undone_after_s).collect();
    assert_eq!(undone, [60, 30]);
    assert_eq!((effects.denial_ttl_s, effects.undone_after_s, effects.forgotten_after_s), (60, 60, 7200));
}

#[test]
fn lists_are_bounded() {
    let lines: String = (0..50).map(|number| format!("n{number}.example. 300 A 192.0.2.1\n")).collect();
    let zone = zone("example.", &lines);
    let all = zone.iter().filter(|rrset| refusal(zone.apex(), &rrset.owner(), rrset.rtype()).is_none());
    let removal = Removal::new(&zone, all.map(|rrset| rrset.index()));
    let effects = removal.effects(&[], Limits { entries: 3 });
    assert_eq!((effects.names.total, effects.names.first.len()), (51, 3));
    assert_eq!((effects.removed.total, effects.removed.first.len()), (51, 3));
    assert!(effects.to_string().contains("  and 48 more\n"));
}

#[test]
fn a_prediction_names_who_answers() {
    let lines = "*.w.example. 30 A 192.0.2.1\na.w.example. 7200 CNAME b.example.\nb.example. 300 A 192.0.2.2";
    let zone = zone("example.", lines);
    let removal = Removal::new(&zone, indexes(&zone, &[("a.w.example.", "CNAME")]));
    let (before, after) = removal.predict(&name("a.w.example."), RecordType::A);
    assert_eq!(before.to_string(), "data from b.example.");
    assert_eq!(after.to_string(), "data from the wildcard *.w.example.");
}

proptest! {
    /// Whatever is removed, the prediction for it is that it is gone, and the names found are those that change.
    #[test]
    fn every_name_whose_answer_changes_is_covered(picked in prop::collection::vec(any::<prop::sample::Index>(), 1..8)) {
        let lines = "*.example. 30 A 192.0.2.1\na.example. 300 A 192.0.2.2\nc.b.a.example. 300 A 192.0.2.3\n\
            *.a.example. 300 TXT \"x\"\nd.example. 300 NS ns.d.example.\nns.d.example. 300 A 192.0.2.4\n\
            e.example. 300 DNAME a.example.\nf.example. 300 CNAME c.b.a.example.\n";
        let zone = zone("example.", lines);
        let all: Vec<_> = zone.iter().filter(|rrset| refusal(zone.apex(), &rrset.owner(), rrset.rtype()).is_none()).collect();
        let removal = Removal::new(&zone, picked.iter().map(|index| all[index.index(all.len())].index()));
        let effects = removal.effects(&[], Limits::default());
        // A name changes if it, or what it is below, is affected; or if it leads there.
        for owner in zone.iter().map(|rrset| rrset.owner()) {
            let (before, after) = removal.predict(&owner, RecordType::A);
            let affected = |name: &Name| effects.names.first.iter().any(|affected| {
                let root = if affected.name.is_wildcard() { affected.name.parent().unwrap() } else { affected.name.clone() };
                name.is_at_or_below(&root)
            });
            let leads = [&before, &after].into_iter().filter_map(|outcome| outcome.answered_by.as_ref()).any(affected);
            let alias = zone.find(&owner, RecordType::new(5)).is_some();
            prop_assert!(before == after || affected(&owner) || leads || alias, "{owner}: {before:?} {after:?}");
        }
    }
}

proptest! {
    /// The sorted view, which counts, answers as the plain one, which asks about every RRset.
    #[test]
    fn a_sorted_view_is_the_same_view(removed in prop::collection::btree_set(0u32..40, 0..40), query in 0u32..40) {
        let lines: String = (0..38u32).map(|number| {
            let owner: String = (0..4).map(|bit| if number >> bit & 1 == 0 { "a." } else { "b." }).take(1 + number as usize % 4).collect();
            format!("{owner}n{}.example. 300 {} 192.0.2.1\n", number % 5, "A")
        }).collect();
        let zone = zone("example.", &lines);
        let sorted: Vec<_> = removed.iter().map(|index| RrsetIndex::new(*index)).collect();
        let plain = |index| sorted.contains(&index);
        let views = [View::without(&zone, &plain), View::without_sorted(&zone, &sorted)];
        for rrset in zone.iter().skip(query as usize) {
            for name in rrset.owner().ancestors().filter_map(Name::from_wire).filter(|name| name.is_at_or_below(zone.apex())) {
                let [plain, sorted] = views.map(|view| Outcome::new(&view, &name, RecordType::A));
                prop_assert_eq!(plain, sorted, "{}", name);
            }
        }
    }
}

/// Removing everything below a name takes time in proportion: neither names nor references scan what is removed each time.
#[test]
fn a_large_subtree_is_summed_up_quickly() {
    let names = (0..20_000)
        .map(|number| format!("n{number}.big.example. 300 A 192.0.2.1\nc{number}.example. 300 CNAME n{number}.big.example.\n"));
    let zone = zone("example.", &names.collect::<String>());
    let removal = Removal::new(&zone, zone.below(&name("big.example.")).map(|rrset| rrset.index()));
    let start = std::time::Instant::now();
    let effects = removal.effects(&[], Limits::default());
    // A scan each time would take 800 million steps.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!((effects.removed.total, effects.names.total, effects.dangling.total), (20_000, 20_001, 20_000));
}
