use super::*;
use crate::Record;
use crate::zone::Builder;
use expect_test::{Expect, expect};

pub fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

/// The zone `example.` of lines such as `a CNAME b.example.`: owners are relative, targets absolute. TTLs are 60.
pub fn zone(text: &str) -> Zone {
    let apex = name("example.");
    let mut builder = Builder::new(apex.clone());
    for line in ["@ SOA", "@ NS ns.other."].into_iter().chain(text.lines()).filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let owner = if fields[0] == "@" { apex.clone() } else { name(&format!("{}.example.", fields[0])) };
        let rdata = match (fields[1], fields.get(2)) {
            ("A", Some(address)) => address.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
            ("SOA", _) => [&b"\0\0"[..], &[0; 20]].concat(),
            (_, Some(target)) => name(target).wire().to_vec(),
            (_, None) => b"\x01x".to_vec(),
        };
        builder.add(Record { owner, rtype: fields[1].parse().unwrap(), ttl: 60, rdata: rdata.into() }).unwrap();
    }
    builder.finish().unwrap()
}

/// The response as text: RCODE, answer section, and what was used.
pub fn show(view: &View<'_>, owner: &str, rtype: &str) -> String {
    let answer = lookup(view, &name(owner), rtype.parse().unwrap());
    let mut out = Vec::new();
    print(&answer, view.zone, &mut out).unwrap();
    let mut text = String::from_utf8(out).unwrap();
    for used in &answer.used {
        let set = view.zone.rrset(used.index).unwrap();
        text.push_str(&format!("{:?}: {} {}\n", used.role, set.owner(), set.rtype()));
    }
    if let Some(next) = answer.next {
        text.push_str(&format!("next: {next}\n"));
    }
    text
}

fn check(text: &str, owner: &str, rtype: &str, expected: Expect) {
    expected.assert_eq(&show(&View::new(&zone(text)), owner, rtype));
}

#[test]
fn an_rrset_answers_for_its_name() {
    check(
        "a A 192.0.2.1\na A 192.0.2.2",
        "a.example.",
        "A",
        expect![[r#"
        NOERROR
        a.example. 60 IN A 192.0.2.1
        a.example. 60 IN A 192.0.2.2
        Answer: a.example. A
    "#]],
    );
}

#[test]
fn a_name_outside_the_zone_is_refused() {
    check(
        "a A 192.0.2.1",
        "a.other.",
        "A",
        expect![[r#"
        REFUSED
    "#]],
    );
}

#[test]
fn a_chain_credits_every_cname_and_the_final_rrset() {
    check(
        "a CNAME b.example.\nb CNAME c.example.\nc A 192.0.2.1",
        "a.example.",
        "A",
        expect![[r#"
        NOERROR
        a.example. 60 IN CNAME b.example.
        b.example. 60 IN CNAME c.example.
        c.example. 60 IN A 192.0.2.1
        Answer: a.example. CNAME
        Answer: b.example. CNAME
        Answer: c.example. A
    "#]],
    );
}

#[test]
fn the_rcode_is_that_of_the_last_name() {
    check(
        "a CNAME b.example.",
        "a.example.",
        "A",
        expect![[r#"
        NXDOMAIN
        a.example. 60 IN CNAME b.example.
        Answer: a.example. CNAME
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn a_chain_ends_where_it_leaves_the_zone() {
    check(
        "a CNAME b.other.",
        "a.example.",
        "A",
        expect![[r#"
        NOERROR
        a.example. 60 IN CNAME b.other.
        Answer: a.example. CNAME
        next: b.other.
    "#]],
    );
}

#[test]
fn a_loop_of_cnames_ends_with_noerror() {
    check(
        "a CNAME b.example.\nb CNAME a.example.",
        "a.example.",
        "A",
        expect![[r#"
        NOERROR
        a.example. 60 IN CNAME b.example.
        b.example. 60 IN CNAME a.example.
        Answer: a.example. CNAME
        Answer: b.example. CNAME
    "#]],
    );
}

#[test]
fn a_chain_is_bounded() {
    let text: String = (0..40).map(|at| format!("c{at} CNAME c{}.example.\n", at + 1)).collect();
    let answer = lookup(&View::new(&zone(&text)), &name("c0.example."), RecordType::A);
    assert_eq!((answer.answer.len(), answer.next), (MAX_CHAIN, Some(name("c16.example."))));
}

#[test]
fn a_query_for_a_cname_is_not_followed() {
    check(
        "a CNAME b.example.\nb A 192.0.2.1",
        "a.example.",
        "CNAME",
        expect![[r#"
        NOERROR
        a.example. 60 IN CNAME b.example.
        Answer: a.example. CNAME
    "#]],
    );
}

#[test]
fn any_is_answered_with_all_types() {
    check(
        "a A 192.0.2.1\na TXT",
        "a.example.",
        "ANY",
        expect![[r#"
        NOERROR
        a.example. 60 IN A 192.0.2.1
        a.example. 60 IN TXT "x"
        Answer: a.example. A
        Answer: a.example. TXT
    "#]],
    );
}

#[test]
fn an_empty_non_terminal_exists() {
    check(
        "a.b A 192.0.2.1\n* A 192.0.2.2",
        "b.example.",
        "A",
        expect![[r#"
        NOERROR
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn the_wildcard_below_the_closest_encloser_answers() {
    check(
        "* A 192.0.2.1\na.b A 192.0.2.2\n*.b TXT",
        "c.d.b.example.",
        "TXT",
        expect![[r#"
        NOERROR
        c.d.b.example. 60 IN TXT "x"
        Answer: *.b.example. TXT
    "#]],
    );
}

#[test]
fn the_closest_encloser_without_a_wildcard_blocks_those_above() {
    check(
        "* A 192.0.2.1\na.b A 192.0.2.2",
        "c.b.example.",
        "A",
        expect![[r#"
        NXDOMAIN
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn a_wildcard_that_is_an_empty_non_terminal_gives_no_data() {
    check(
        "a.*.w A 192.0.2.1",
        "x.w.example.",
        "A",
        expect![[r#"
        NOERROR
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn a_cname_at_a_wildcard_is_followed() {
    check(
        "*.w CNAME a.example.\na A 192.0.2.1",
        "x.w.example.",
        "A",
        expect![[r#"
        NOERROR
        x.w.example. 60 IN CNAME a.example.
        a.example. 60 IN A 192.0.2.1
        Answer: *.w.example. CNAME
        Answer: a.example. A
    "#]],
    );
}

#[test]
fn ns_at_a_wildcard_is_credited_though_servers_differ() {
    check(
        "*.w NS ns.other.",
        "x.w.example.",
        "A",
        expect![[r#"
        NOERROR
        Referral: *.w.example. NS
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn a_cut_refers_with_ds_and_glue() {
    let text = "cut NS ns.cut.example.\ncut NS ns.example.\ncut DS\nns.cut A 192.0.2.1\nns A 192.0.2.2\nwww.cut A 192.0.2.3";
    check(
        text,
        "www.cut.example.",
        "A",
        expect![[r#"
        NOERROR
        Referral: cut.example. NS
        Referral: cut.example. DS
        Glue: ns.cut.example. A
        Glue: ns.example. A
    "#]],
    );
}

#[test]
fn ds_at_a_cut_is_answered_by_the_parent() {
    check(
        "cut NS ns.other.\ncut DS",
        "cut.example.",
        "DS",
        expect![[r#"
        NOERROR
        cut.example. 60 IN DS \# 2 0178
        Answer: cut.example. DS
    "#]],
    );
}

#[test]
fn a_chain_into_a_cut_keeps_its_answer() {
    check(
        "a CNAME www.cut.example.\ncut NS ns.other.",
        "a.example.",
        "A",
        expect![[r#"
        NOERROR
        a.example. 60 IN CNAME www.cut.example.
        Answer: a.example. CNAME
        Referral: cut.example. NS
    "#]],
    );
}

#[test]
fn sibling_glue_is_credited() {
    check(
        "cut NS ns.next.example.\nnext NS ns.next.example.\nns.next A 192.0.2.1",
        "cut.example.",
        "NS",
        expect![[r#"
        NOERROR
        Referral: cut.example. NS
        Glue: ns.next.example. A
    "#]],
    );
}

#[test]
fn a_dname_rewrites_names_below_it() {
    check(
        "d DNAME t.example.\na.t A 192.0.2.1",
        "a.d.example.",
        "A",
        expect![[r#"
        NOERROR
        d.example. 60 IN DNAME t.example.
        a.d.example. 60 IN CNAME a.t.example.
        a.t.example. 60 IN A 192.0.2.1
        Answer: d.example. DNAME
        Answer: a.t.example. A
    "#]],
    );
}

#[test]
fn a_dname_does_not_rewrite_its_own_name() {
    check(
        "d DNAME t.example.",
        "d.example.",
        "A",
        expect![[r#"
        NOERROR
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn a_dname_occludes_what_is_below_it() {
    check(
        "d DNAME t.example.\na.d A 192.0.2.1",
        "a.d.example.",
        "A",
        expect![[r#"
        NXDOMAIN
        d.example. 60 IN DNAME t.example.
        a.d.example. 60 IN CNAME a.t.example.
        Answer: d.example. DNAME
        Denial: example. SOA
    "#]],
    );
}

#[test]
fn a_name_that_a_dname_makes_too_long_is_yxdomain() {
    let label = "y".repeat(60);
    let text = format!("d DNAME {label}.{label}.{label}.example.");
    let answer = lookup(&View::new(&zone(&text)), &name(&format!("{label}.{label}.d.example.")), RecordType::A);
    assert_eq!((answer.rcode, answer.answer.len()), (YXDOMAIN, 1));
}

#[test]
fn a_synthesised_cname_answers_a_query_for_cname() {
    check(
        "d DNAME t.example.\na.t CNAME b.example.",
        "a.d.example.",
        "CNAME",
        expect![[r#"
        NOERROR
        d.example. 60 IN DNAME t.example.
        a.d.example. 60 IN CNAME a.t.example.
        Answer: d.example. DNAME
    "#]],
    );
}

#[test]
fn a_dname_that_serves_twice_is_listed_once() {
    check(
        "d DNAME example.\na A 192.0.2.1",
        "a.d.d.example.",
        "A",
        expect![[r#"
        NOERROR
        d.example. 60 IN DNAME example.
        a.d.d.example. 60 IN CNAME a.d.example.
        a.d.example. 60 IN CNAME a.example.
        a.example. 60 IN A 192.0.2.1
        Answer: d.example. DNAME
        Answer: a.example. A
    "#]],
    );
}

#[test]
fn a_removed_last_descendant_takes_its_empty_non_terminals_along() {
    let zone = zone("a.b.c A 192.0.2.1\n* A 192.0.2.2");
    let removed = zone.find(&name("a.b.c.example."), RecordType::A).unwrap().index();
    let without = |index| index == removed;
    expect![[r#"
        NOERROR
        b.c.example. 60 IN A 192.0.2.2
        Answer: *.example. A
    "#]]
    .assert_eq(&show(&View::without(&zone, &without), "b.c.example.", "A"));
}

#[test]
fn removed_ns_exposes_what_it_occluded() {
    let zone = zone("cut NS ns.other.\nwww.cut A 192.0.2.1");
    let removed = zone.find(&name("cut.example."), RecordType::NS).unwrap().index();
    let without = |index| index == removed;
    expect![[r#"
        NOERROR
        www.cut.example. 60 IN A 192.0.2.1
        Answer: www.cut.example. A
    "#]]
    .assert_eq(&show(&View::without(&zone, &without), "www.cut.example.", "A"));
}
