use super::*;
use crate::testing::{entry, name, rtype, set, slot, text};
use std::sync::Arc;

/// What a query credits, as "owner type via".
fn credits(zones: &ZoneSet, question: &str) -> Vec<String> {
    let (owner, kind) = question.split_once(' ').unwrap();
    let mut crediting = Crediting::default();
    let credits = crediting.credit(7, &name(owner), rtype(kind), zones);
    credits.iter().filter_map(|c| Some(format!("{} {:?}", text(zones, c.slot?), c.via))).collect()
}

#[test]
fn a_query_at_a_cname_uses_it_and_its_target() {
    let zones = set(vec![entry("example.", &["www CNAME web", "web A 192.0.2.1", "web AAAA 2001:db8::1"])]);
    assert_eq!(credits(&zones, "www.example. A"), ["www.example. CNAME Alias", "web.example. A Alias"]);
    assert_eq!(credits(&zones, "www.example. CNAME"), ["www.example. CNAME Asked"]);
}

#[test]
fn a_chain_is_followed_into_other_zones() {
    let first = entry("example.", &["www CNAME www.other."]);
    let zones = set(vec![first, entry("other.", &["www CNAME web.example.net."])]);
    assert_eq!(credits(&zones, "www.example. A"), ["www.example. CNAME Alias", "www.other. CNAME Alias"]);
}

#[test]
fn a_chain_that_ends_below_a_cut_is_followed_into_the_zone_there() {
    let parent = entry("example.", &["www CNAME www.sub", "sub NS ns.sub", "ns.sub A 192.0.2.1"]);
    let zones = set(vec![parent, entry("sub.example.", &["www A 192.0.2.2"])]);
    let expected =
        ["www.example. CNAME Alias", "sub.example. NS Delegation", "ns.sub.example. A Glue", "www.sub.example. A Alias"];
    assert_eq!(credits(&zones, "www.example. A"), expected);
}

#[test]
fn a_loop_across_zones_ends() {
    let zones = set(vec![entry("a.", &["x CNAME x.b."]), entry("b.", &["x CNAME x.a."])]);
    assert_eq!(credits(&zones, "x.a. A"), ["x.a. CNAME Alias", "x.b. CNAME Alias"]);
}

#[test]
fn a_missing_name_uses_its_wildcard() {
    let zones = set(vec![entry("example.", &["* A 192.0.2.1", "* TXT x"])]);
    assert_eq!(credits(&zones, "any.example. A"), ["*.example. A Wildcard"]);
    assert_eq!(credits(&zones, "*.example. A"), ["*.example. A Asked"]);
}

#[test]
fn a_negative_answer_uses_the_soa_only() {
    let zones = set(vec![entry("example.", &["@ SOA", "www A 192.0.2.1"])]);
    assert_eq!(credits(&zones, "www.example. AAAA"), ["example. SOA Denial"]);
    assert_eq!(credits(&zones, "nothing.example. A"), ["example. SOA Denial"]);
}

#[test]
fn any_uses_whatever_it_could_be_answered_with() {
    let zones = set(vec![entry("example.", &["www A 192.0.2.1", "www TXT x"])]);
    assert_eq!(credits(&zones, "www.example. ANY"), ["www.example. A Any", "www.example. TXT Any"]);
}

#[test]
fn transfers_and_other_meta_types_use_nothing() {
    let zones = set(vec![entry("example.", &["@ SOA", "@ A 192.0.2.1"])]);
    for kind in ["AXFR", "IXFR", "MAILB", "OPT", "TYPE0"] {
        assert_eq!(credits(&zones, &format!("example. {kind}")), Vec::<String>::new(), "{kind}");
    }
}

/// Usage after a query to a server.
fn asked(zones: &ZoneSet, question: &str, server: u32) -> Vec<String> {
    let (owner, kind) = question.split_once(' ').unwrap();
    let mut usage = Usage::new(zones.len());
    let mut crediting = Crediting::default();
    let credits = crediting.credit(7, &name(owner), rtype(kind), zones);
    usage.add_asked(credits, zones, server, 5, 5, 1);
    let all = (0..zones.len() as u32).filter_map(Slot::new);
    all.filter(|slot| usage.get(*slot).is_some()).map(|slot| text(zones, slot)).collect()
}

#[test]
fn a_server_answers_from_the_lowest_zone_that_it_serves() {
    let mut parent = entry("example.", &["sub NS ns.elsewhere."]);
    parent.servers = vec![0, 1];
    let mut child = entry("sub.example.", &["www A 192.0.2.1"]);
    child.servers = vec![1, 2];
    let zones = set(vec![parent, child]);
    assert_eq!(asked(&zones, "www.sub.example. A", 0), ["sub.example. NS"]);
    assert_eq!(asked(&zones, "www.sub.example. A", 1), ["www.sub.example. A"]);
    assert_eq!(asked(&zones, "www.sub.example. A", 2), ["www.sub.example. A"]);
    assert_eq!(asked(&zones, "www.sub.example. A", 9), ["www.sub.example. A"], "an unknown server");
}

#[test]
fn a_server_of_two_views_uses_both() {
    let inside = entry("example.", &["www A 192.0.2.1"]);
    let outside = crate::set::Entry { view: 1, ..entry("example.", &["www A 192.0.2.2"]) };
    let zones = set(vec![inside, outside]);
    assert_eq!(asked(&zones, "www.example. A", 0).len(), 2);
}

#[test]
fn times_and_hits_accumulate() {
    let mut usage = Usage::new(1);
    let only = Slot::new(0).unwrap();
    usage.add(only, Via::Asked, 50, 60, 3);
    usage.add(only, Via::Alias, 10, 20, 4);
    let used = usage.get(only).unwrap();
    assert_eq!((used.first_ms, used.last_ms, used.asked_hits), (10, 60, 3));
    assert_eq!(used.vias, [Via::Asked, Via::Alias].into_iter().collect());
}

/// Last uses of `www A` and `web A` after a query for www, with www an alias from time 100 on.
fn over_versions(first_ms: i64, last_ms: i64) -> [Option<i64>; 2] {
    let old = Arc::new(set(vec![entry("example.", &["www A 192.0.2.1", "web A 192.0.2.1", "x A 192.0.2.1"])]));
    let new = Arc::new(set(vec![entry("example.", &["a A 192.0.2.9", "www CNAME web", "web A 192.0.2.1"])]));
    let mut history = History::new(old);
    history.push(100, new.clone());
    let mut usage = Usage::new(new.len());
    let asked = Asked { record: 1, server: 0, first_ms, last_ms, hits: 1 };
    history.add(&mut usage, &asked, &|| Some((name("www.example."), rtype("A"))));
    ["www.example. CNAME", "web.example. A"].map(|text| usage.get(slot(&new, text)).map(|used| used.last_ms))
}

#[test]
fn queries_are_looked_up_in_the_zone_as_it_was() {
    assert_eq!(over_versions(50, 99), [None, None], "www was an address, which is gone");
    assert_eq!(over_versions(50, 100), [Some(100), Some(100)]);
    assert_eq!(over_versions(150, 160), [Some(160), Some(160)]);
}

#[test]
fn usage_of_an_older_version_moves_to_the_newest() {
    let old = Arc::new(set(vec![entry("example.", &["web A 192.0.2.1"])]));
    let new = Arc::new(set(vec![entry("a.", &["a A 192.0.2.9"]), entry("example.", &["a A 192.0.2.9", "web A 192.0.2.1"])]));
    let mut history = History::new(old);
    history.push(100, new.clone());
    let mut usage = Usage::new(new.len());
    let asked = Asked { record: 1, server: 0, first_ms: 10, last_ms: 20, hits: 6 };
    history.add(&mut usage, &asked, &|| Some((name("web.example."), rtype("A"))));
    let used = usage.get(slot(&new, "web.example. A")).unwrap();
    assert_eq!((used.first_ms, used.last_ms, used.asked_hits), (10, 20, 6));
    history.forget_before(100);
    assert!(Arc::ptr_eq(history.at(0).unwrap(), &new));
}
