use super::*;
use crate::protection::{Protected, Rules};
use crate::references::References;
use crate::testing::{entry, name, rtype, set, slot};
use crate::usage::{Crediting, Usage};
use crate::{Slot, ZoneSet};
use expect_test::{Expect, expect};
use hashbrown::HashMap;

const DAY_MS: i64 = 86_400_000;
/// 2026-11-27.
const NOW_MS: i64 = 20_784 * DAY_MS;

struct Case {
    zones: ZoneSet,
    usage: Usage,
    facts: Vec<Facts>,
    observation: Vec<ZoneObservation>,
    window: Window,
}

impl Case {
    /// A zone that was observed completely, with a window of 90 days.
    fn new(lines: &[&str]) -> Case {
        let zones = set(vec![entry("example.", lines)]);
        let server = |name: &str| ServerObservation { name: name.into(), missing: vec![], reported_until_ms: Some(NOW_MS) };
        let observation = ZoneObservation { servers: ["ns1", "ns2"].map(server).into(), ..Default::default() };
        Case {
            usage: Usage::new(zones.len()),
            facts: vec![Facts::default(); zones.len()],
            observation: vec![observation],
            window: Window::new(NOW_MS, 90 * DAY_MS),
            zones,
        }
    }

    fn asked(mut self, question: &str, days_ago: i64) -> Case {
        let (owner, kind) = question.split_once(' ').unwrap();
        let mut crediting = Crediting::default();
        let credits = crediting.credit(0, &name(owner), rtype(kind), &self.zones);
        let time_ms = NOW_MS - days_ago * DAY_MS;
        self.usage.add_asked(credits, &self.zones, 0, time_ms, time_ms, 1);
        self
    }

    fn missing(mut self, from_days_ago: i64, length_ms: i64, why: Why) -> Case {
        let from_ms = NOW_MS - from_days_ago * DAY_MS;
        self.observation[0].servers[1].missing.push(Missing { from_ms, to_ms: from_ms + length_ms, why });
        self
    }

    fn created(mut self, what: &str, days_ago: i64) -> Case {
        self.facts[slot(&self.zones, what).at()].created = Created::At(NOW_MS - days_ago * DAY_MS);
        self
    }

    fn days(mut self, days: i64) -> Case {
        self.window.length_ms = days * DAY_MS;
        self
    }

    fn with<T>(&self, then: impl FnOnce(&Inputs<'_>, &Verdicts) -> T) -> T {
        let references = References::new(&self.zones);
        let protected: Protected = Rules::default().protect(&self.zones, HashMap::new());
        let inputs = Inputs {
            zones: &self.zones,
            references: &references,
            protected: &protected,
            usage: &self.usage,
            facts: &self.facts,
            observation: &self.observation,
            window: self.window,
        };
        then(&inputs, &Verdicts::new(&inputs))
    }

    /// The verdict, the days of quiet, and the reasons.
    fn text(&self, what: &str) -> String {
        self.with(|inputs, verdicts| {
            let at = slot(&self.zones, what);
            let days = f64::from(verdicts.quiet_for_s(at).unwrap()) / 86_400.0;
            let reasons: String = verdicts.reasons(inputs, at).iter().map(|reason| reason.text(NOW_MS) + "\n").collect();
            format!("{}, quiet for {days:.2} days\n{reasons}", verdicts.verdict(at).unwrap())
        })
    }

    fn check(&self, what: &str, expected: Expect) {
        expected.assert_eq(&self.text(what));
    }

    fn verdict(&self, what: &str) -> Verdict {
        self.with(|_, verdicts| verdicts.verdict(slot(&self.zones, what)).unwrap())
    }
}

#[test]
fn the_structure_of_a_zone_is_needed() {
    let case = Case::new(&["@ SOA", "@ NS ns.elsewhere.", "@ DNSKEY x", "sub NS ns.elsewhere."]);
    case.check(
        "example. SOA",
        expect![[r#"
            needed, quiet for 89.96 days
            the zone does not work without its SOA
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
    assert_eq!(case.verdict("example. NS"), Verdict::Needed);
    assert_eq!(case.verdict("example. DNSKEY"), Verdict::Needed);
    assert_eq!(case.verdict("sub.example. NS"), Verdict::NeverUsed);
}

#[test]
fn what_a_used_record_leads_to_is_needed() {
    let case = Case::new(&["@ MX mail", "mail A 192.0.2.1"]).asked("example. MX", 3);
    case.check(
        "mail.example. A",
        expect![[r#"
            needed, quiet for 89.96 days
            MX of example. leads here, and it was queried on 2026-11-24
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn what_a_protected_record_leads_to_is_needed_at_any_distance() {
    let case = Case::new(&["_x._tcp SRV host", "host CNAME web", "web A 192.0.2.1"]);
    case.check("web.example. A", expect![[r#"
        needed, quiet for 89.96 days
        SRV of _x._tcp.example. leads here, and it is protected: locates a service; many clients ask only when they are set up or when a server fails
        a window of 90 days can rule out monthly use, but nothing rarer
        based on queries only, not on what servers answered
    "#]]);
}

#[test]
fn what_works_by_its_presence_is_protected() {
    Case::new(&["@ CAA x"]).check(
        "example. CAA",
        expect![[r#"
            protected, quiet for 89.96 days
            protected: restricts who may issue certificates; read only when one is issued, and missing means anyone may (RFC 8659)
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn what_was_asked_for_within_the_window_is_used() {
    Case::new(&["www A 192.0.2.1"]).asked("www.example. A", 20).check(
        "www.example. A",
        expect![[r#"
            used, quiet for 19.96 days
            used on 2026-11-07 (20 days ago), 1 query for it in all: by queries for it
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn what_only_any_asked_for_is_used_with_a_remark() {
    Case::new(&["www TXT x"]).asked("www.example. ANY", 20).check(
        "www.example. TXT",
        expect![[r#"
            used, quiet for 19.96 days
            used on 2026-11-07 (20 days ago): by queries of type ANY
            all of these were queries of type ANY, which is weak evidence (RFC 8482)
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn what_something_new_leads_to_says_so() {
    let case = Case::new(&["www CNAME web", "web A 192.0.2.1", "old A 192.0.2.2"]).created("www.example. CNAME", 3);
    let (awaited, other) = (case.text("web.example. A"), case.text("old.example. A"));
    assert!(awaited.contains("CNAME of www.example. leads here, and whether that way is used cannot be said yet"), "{awaited}");
    assert!(!other.contains("leads here"), "{other}");
}

#[test]
fn what_was_created_a_short_while_ago_is_new() {
    let case = Case::new(&["www A 192.0.2.1"]).created("www.example. A", 6);
    case.check(
        "www.example. A",
        expect![[r#"
            new, quiet for 5.96 days
            in the zone since 2026-11-21 (6 days ago), too recently to judge
            a window of 6 days cannot rule out even weekly use
            based on queries only, not on what servers answered
        "#]],
    );
    assert_eq!(case.asked("www.example. A", 1).verdict("www.example. A"), Verdict::Used);
}

#[test]
fn a_gap_on_any_server_makes_a_zone_unobserved() {
    let case = Case::new(&["www A 192.0.2.1"]).missing(24, 22_320_000, Why::KernelDrop);
    case.check(
        "www.example. A",
        expect![[r#"
            unobserved, quiet for 23.70 days
            1 of 2 servers observed without a gap (99.85 % of their time)
            ns2 was not observed for 6 h 12 min from 2026-11-03 (kernel drops): a client that asked only there and then was missed
            the time since the last gap (23 days) can rule out weekly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn folded_names_make_a_zone_unobserved() {
    let case = Case::new(&["www A 192.0.2.1"]).missing(24, 60_000, Why::Folded).missing(5, 30_000, Why::Folded);
    case.check("www.example. A", expect![[r#"
        unobserved, quiet for 4.96 days
        1 of 2 servers observed without a gap (99.99 % of their time)
        the names of the zone were folded on ns2 for 1 min from 2026-11-03 (flood) and once more, 1 min 30 s in total: a query in that time could have been for this record
        the time since the last gap (4 days) cannot rule out even weekly use
        based on queries only, not on what servers answered
    "#]]);
}

#[test]
fn a_gap_before_the_window_or_the_creation_does_not_matter() {
    let case = Case::new(&["www A 192.0.2.1", "x A 192.0.2.1"]).missing(60, 1000, Why::Gap).created("x.example. A", 59);
    assert_eq!(case.verdict("www.example. A"), Verdict::Unobserved);
    case.check(
        "x.example. A",
        expect![[r#"
            never_used, quiet for 58.96 days
            no query since it came into the zone on 2026-09-29 (59 days); every server was observed without a gap
            a window of 59 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
    assert_eq!(case.days(59).verdict("www.example. A"), Verdict::NeverUsed);
}

#[test]
fn servers_of_others_make_a_zone_unobserved_unless_waived() {
    let mut case = Case::new(&["www A 192.0.2.1"]);
    case.observation[0].others_serve_it = true;
    case.check(
        "www.example. A",
        expect![[r#"
            unobserved, quiet for 0.00 days
            others serve the zone too: clients that asked only them were missed; waive this for the zone if they answer no clients
            no rhythm of use can be ruled out
            based on queries only, not on what servers answered
        "#]],
    );
    case.observation[0].others_waived = true;
    case.check(
        "www.example. A",
        expect![[r#"
            never_used, quiet for 89.96 days
            no query since the window began on 2026-08-29 (90 days), and none is known before; every server was observed without a gap
            others serve the zone too, which the operator chose to disregard
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn a_zone_without_servers_is_unobserved() {
    let mut case = Case::new(&["www A 192.0.2.1"]);
    case.observation[0].servers.clear();
    case.check(
        "www.example. A",
        expect![[r#"
            unobserved, quiet for 0.00 days
            no server is known to serve the zone, so any query was missed
            no rhythm of use can be ruled out
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn the_window_must_exceed_the_largest_ttl_by_a_week() {
    let mut case = Case::new(&["www A 192.0.2.1"]).days(10);
    assert_eq!(case.verdict("www.example. A"), Verdict::NeverUsed);
    case.facts[0].largest_ttl = 4 * 86_400;
    case.check(
        "www.example. A",
        expect![[r#"
            unobserved, quiet for 6.00 days
            only 10 days are covered, 11 days are required: resolvers may have answered from their caches
            a window of 10 days can rule out weekly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
    case.facts[0].largest_ttl = 86_400 * 365;
    assert_eq!(case.days(14).verdict("www.example. A"), Verdict::NeverUsed, "T is at most 7 days");
}

#[test]
fn what_was_used_before_the_window_only_is_unused() {
    Case::new(&["www A 192.0.2.1"]).asked("www.example. A", 107).check(
        "www.example. A",
        expect![[r#"
            unused, quiet for 89.96 days
            no query since 2026-08-12 (107 days); every server was observed without a gap since 2026-08-29
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn what_was_never_used_says_since_when() {
    Case::new(&["www A 192.0.2.1"]).check(
        "www.example. A",
        expect![[r#"
            never_used, quiet for 89.96 days
            no query since the window began on 2026-08-29 (90 days), and none is known before; every server was observed without a gap
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn an_occluded_record_says_so() {
    let case = Case::new(&["sub NS ns.sub", "ns.sub A 192.0.2.1", "www.sub A 192.0.2.1", "sub TXT x"]);
    let case = case.asked("www.sub.example. A", 1);
    case.check(
        "www.sub.example. A",
        expect![[r#"
            never_used, quiet for 89.96 days
            no query since the window began on 2026-08-29 (90 days), and none is known before; every server was observed without a gap
            occluded: it is below the NS of sub.example., so servers never answer with it
            a window of 90 days can rule out monthly use, but nothing rarer
            based on queries only, not on what servers answered
        "#]],
    );
    assert_eq!(case.verdict("sub.example. NS"), Verdict::Used);
    assert_eq!(case.verdict("ns.sub.example. A"), Verdict::Needed);
    assert_eq!(case.verdict("sub.example. TXT"), Verdict::NeverUsed);
}

#[test]
fn a_server_that_stopped_reporting_leaves_the_zone_unobserved() {
    let mut case = Case::new(&["www A 192.0.2.1"]);
    case.observation[0].servers[0].reported_until_ms = Some(NOW_MS - 300_000);
    assert_eq!(case.verdict("www.example. A"), Verdict::NeverUsed, "the next report is on its way");
    case.observation[0].servers[0].reported_until_ms = Some(NOW_MS - DAY_MS);
    case.check(
        "www.example. A",
        expect![[r#"
            unobserved, quiet for 0.00 days
            1 of 2 servers observed without a gap (99.44 % of their time)
            ns1 was not observed for 1 day from 2026-11-26 (no report since): a client that asked only there and then was missed
            the time since the last gap (0 s) cannot rule out even weekly use
            based on queries only, not on what servers answered
        "#]],
    );
    case.observation[0].servers[0].reported_until_ms = None;
    case.check(
        "www.example. A",
        expect![[r#"
            unobserved, quiet for 0.00 days
            1 of 2 servers observed without a gap (50.00 % of their time)
            ns1 was not observed for 90 days from 2026-08-29 (not observed yet): a client that asked only there and then was missed
            the time since the last gap (0 s) cannot rule out even weekly use
            based on queries only, not on what servers answered
        "#]],
    );
}

#[test]
fn the_longest_quiet_comes_first() {
    let case = Case::new(&["a A 192.0.2.1", "b A 192.0.2.1", "c A 192.0.2.1", "d A 192.0.2.1"]);
    let case = case.asked("a.example. A", 5).asked("c.example. A", 9);
    let page = |offset, limit| -> Vec<u32> {
        case.with(|_, verdicts| verdicts.page(|_| true, offset, limit).into_iter().map(Slot::get).collect())
    };
    assert_eq!(page(0, 9), [1, 3, 2, 0]);
    assert_eq!((page(1, 2), page(3, 5), page(4, 1)), (vec![3, 2], vec![0], vec![]));
}

#[test]
fn verdicts_survive_their_words() {
    for verdict in Verdict::ALL {
        assert_eq!(verdict.word().parse(), Ok(verdict));
    }
    assert!("Needed".parse::<Verdict>().is_err());
}
