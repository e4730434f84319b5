use super::*;
use crate::testing::{entry, set, slot, text};
use crate::{ZoneSet, set::Entry};

fn of(zones: &ZoneSet, from: &str) -> Vec<String> {
    References::new(zones).of(slot(zones, from)).into_iter().map(|slot| text(zones, slot)).collect()
}

#[test]
fn mail_and_services_refer_to_addresses() {
    let zones = set(vec![entry(
        "example.",
        &["@ MX mail", "_x._tcp SRV mail", "@ HTTPS mail", "mail A 192.0.2.1", "mail AAAA 2001:db8::1", "mail TXT x"],
    )]);
    for from in ["example. MX", "_x._tcp.example. SRV", "example. HTTPS"] {
        assert_eq!(of(&zones, from), ["mail.example. A", "mail.example. AAAA"], "{from}");
    }
}

#[test]
fn an_alias_refers_to_everything_at_its_target() {
    let zones = set(vec![entry("example.", &["www CNAME web", "web A 192.0.2.1", "web TXT x", "a.web A 192.0.2.1"])]);
    assert_eq!(of(&zones, "www.example. CNAME"), ["web.example. A", "web.example. TXT"]);
}

#[test]
fn a_dname_refers_to_the_tree_below_its_target() {
    let zones = set(vec![entry("example.", &["old DNAME new", "new A 192.0.2.1", "a.b.new A 192.0.2.1", "x A 192.0.2.1"])]);
    assert_eq!(of(&zones, "old.example. DNAME"), ["new.example. A", "a.b.new.example. A"]);
}

#[test]
fn a_target_may_be_answered_by_a_wildcard_or_in_another_zone() {
    let zones = set(vec![
        entry("example.", &["@ MX a.sub", "www CNAME b.other."]),
        entry("sub.example.", &["* A 192.0.2.1"]),
        entry("other.", &["* A 192.0.2.1"]),
    ]);
    assert_eq!(of(&zones, "example. MX"), ["*.sub.example. A"]);
    assert_eq!(of(&zones, "www.example. CNAME"), ["*.other. A"]);
}

#[test]
fn a_delegation_refers_to_its_glue_and_ds() {
    let zones = set(vec![entry("example.", &["sub NS ns.sub", "sub DS x", "ns.sub A 192.0.2.1", "sub TXT x"])]);
    assert_eq!(of(&zones, "sub.example. NS"), ["sub.example. DS", "ns.sub.example. A"]);
}

#[test]
fn a_zone_refers_to_its_delegation() {
    let parent = entry("example.", &["sub NS ns.elsewhere.", "sub DS x"]);
    let zones = set(vec![entry("sub.example.", &["@ NS ns.elsewhere."]), parent]);
    assert_eq!(of(&zones, "sub.example. NS"), ["sub.example. NS", "sub.example. DS"]);
}

#[test]
fn the_root_as_a_host_refers_to_nothing() {
    let zones = set(vec![entry("example.", &["@ MX .", "_x._tcp SRV .", "@ A 192.0.2.1"]), entry(".", &["* A 192.0.2.1"])]);
    assert_eq!(of(&zones, "example. MX"), Vec::<String>::new());
    assert_eq!(of(&zones, "_x._tcp.example. SRV"), Vec::<String>::new());
}

/// What is needed, as "owner type < referrer < root".
fn reached(zones: &ZoneSet, roots: &[&str]) -> Vec<String> {
    let roots: Vec<_> = roots.iter().map(|root| slot(zones, root)).collect();
    let reached = References::new(zones).reach(|slot| roots.contains(&slot));
    let all = (0..zones.len() as u32).filter_map(Slot::new);
    let row = |at: Slot| {
        let [referrer, root] = [reached.referrer(at)?, reached.root(at)?].map(|slot| text(zones, slot));
        Some(format!("{} < {referrer} < {root}", text(zones, at)))
    };
    all.filter_map(row).collect()
}

fn chain() -> Entry {
    entry("example.", &["a CNAME b", "b CNAME c", "c A 192.0.2.1", "x CNAME y", "y CNAME x"])
}

#[test]
fn references_are_followed_from_roots() {
    let expected =
        ["b.example. CNAME < a.example. CNAME < a.example. CNAME", "c.example. A < b.example. CNAME < a.example. CNAME"];
    assert_eq!(reached(&set(vec![chain()]), &["a.example. CNAME"]), expected);
}

#[test]
fn dead_records_do_not_keep_each_other() {
    assert_eq!(reached(&set(vec![chain()]), &["c.example. A"]), Vec::<String>::new());
}

#[test]
fn a_root_does_not_keep_itself() {
    let expected = ["y.example. CNAME < x.example. CNAME < x.example. CNAME"];
    assert_eq!(reached(&set(vec![chain()]), &["x.example. CNAME"]), expected);
}

#[test]
fn two_roots_keep_each_other() {
    let roots = ["x.example. CNAME", "y.example. CNAME"];
    assert_eq!(reached(&set(vec![chain()]), &roots).len(), 2);
}

#[test]
fn the_nearest_root_is_named() {
    let expected =
        ["b.example. CNAME < a.example. CNAME < a.example. CNAME", "c.example. A < b.example. CNAME < b.example. CNAME"];
    assert_eq!(reached(&set(vec![chain()]), &["a.example. CNAME", "b.example. CNAME"]), expected);
}

#[test]
fn many_dnames_share_one_tree() {
    let lines: Vec<String> =
        (0..100).map(|at| format!("d{at} DNAME big")).chain((0..100).map(|at| format!("h{at}.big A 192.0.2.1"))).collect();
    let zones = set(vec![entry("example.", &lines.iter().map(String::as_str).collect::<Vec<_>>())]);
    let references = References::new(&zones);
    assert_eq!((references.edges.len(), references.subtrees.len()), (100, 1));
    let dnames: Vec<_> = (0..100).map(|at| slot(&zones, &format!("d{at}.example. DNAME"))).collect();
    let reached = references.reach(|slot| dnames.contains(&slot));
    assert!((0..100).all(|at| reached.contains(slot(&zones, &format!("h{at}.big.example. A")))));
}
