use super::table::{TABLE, VALIDATIONS, VERIFICATIONS};
use super::*;
use crate::Error;
use crate::testing::{entry, name, set, slot};

/// The rule that protects the only RRset of a zone.
fn rule_for(line: &str) -> Option<String> {
    let entry = entry("example.", &[line]);
    let rrset = entry.zone.iter().next().unwrap();
    Rules::default().find(rrset).map(|rule| rule.id.clone())
}

#[test]
fn every_row_of_the_table_is_a_rule() {
    assert_eq!(table::rules().count(), TABLE.len() + VERIFICATIONS.len() + VALIDATIONS.len());
}

#[test]
fn what_works_by_presence_is_protected() {
    let cases = [
        ("@ CAA x", "caa"),
        ("@ MX .", "null-mx"),
        ("@ TXT v=spf1 -all", "spf"),
        ("@ TXT V=Sp|F1", "spf"),
        ("_dmarc TXT v=DMARC1", "dmarc"),
        ("_dmarc CNAME x.test.", "dmarc"),
        ("k1._domainkey TXT x", "dkim"),
        ("a.k1._domainkey CNAME x.test.", "dkim"),
        ("_mta-sts TXT x", "mta-sts"),
        ("mta-sts A 192.0.2.1", "mta-sts"),
        ("_smtp._tls TXT x", "tlsrpt"),
        ("_443._tcp TLSA x", "tlsa"),
        ("host SSHFP x", "sshfp"),
        ("_acme-challenge.www TXT x", "acme"),
        ("@ TXT google-site-verification=x", "verification"),
        ("@ TXT MS=ms123", "verification"),
        ("@ TXT unheard-of-verification=x", "verification"),
        ("dc._msdcs CNAME x", "active-directory"),
        ("_ldap._tcp SRV x", "srv"),
        ("autodiscover CNAME x", "autodiscover"),
        ("wpad A 192.0.2.1", "wpad"),
        ("isatap A 192.0.2.1", "isatap"),
        ("1 PTR x.test.", "ptr"),
        ("_abc CNAME _def.acm-validations.aws.", "certificate-validation"),
        ("_github-challenge-org TXT x", "verification"),
    ];
    for (line, id) in cases {
        assert_eq!(rule_for(line).as_deref(), Some(id), "{line}");
    }
}

#[test]
fn ordinary_records_are_not_protected() {
    let lines = [
        "www A 192.0.2.1",
        "@ MX mail",
        "@ TXT hello",
        "@ TXT see v=spf1",
        "dmarc TXT x",
        "x.autodiscover A 192.0.2.1",
        "domainkey.k1 TXT x",
        "msdcs A 192.0.2.1",
        "_abc CNAME x.aws.",
        "@ TXT a verification=x",
        "sub NS ns",
        "sub DS x",
    ];
    for line in lines {
        assert_eq!(rule_for(line), None, "{line}");
    }
}

#[test]
fn patterns_match_label_by_label() {
    let matches = |pattern: &str, owner: &str| Labels::parse(pattern).unwrap().matches(&name(owner));
    assert!(matches("", "a."));
    assert!(matches("_a", "_a.b.c.") && !matches("_a", "b._a.c."));
    assert!(matches("*._a", "x._a.c.") && !matches("*._a", "_a.c."));
    assert!(matches("**._a", "_a.c.") && matches("**._a", "x.y._a.c.") && !matches("**._a", "x.y.c."));
    assert!(matches("**.c.", "c.") && matches("**.c.", "a.b.c.") && !matches("**.c.", "c.d."));
    assert!(matches("_*-challenge", "_x-challenge.c.") && !matches("_*-challenge", "_challenge.c."));
    assert!(matches("_A", "_a.c."), "in any case");
    for pattern in ["a..b", "a**", "**.**.*x*y", &"a".repeat(64)] {
        assert!(matches!(Labels::parse(pattern), Err(Error::BadRule { .. })), "{pattern}");
    }
}

#[test]
fn a_rule_says_what_is_wrong_with_it() {
    let error = |types, data| Rule::parse("x", "", types, data, "r", "s").unwrap_err().to_string();
    expect_test::expect![[r#"
        "unknown record type \"FOO\": use a mnemonic such as AAAA, or a number from 0 to 65535" is no types for a rule of protection: use mnemonics such as TXT
        "begins:x" is no data for a rule of protection: use `text:` and the beginning of a TXT, `target:` and a name, or `nothing`
        "" is no owner for a rule of protection: a rule without owner, types and data would protect everything"#]]
    .assert_eq(&[error("FOO", ""), error("TXT", "begins:x"), error("", "")].join("\n"));
}

#[test]
fn rules_of_the_operator_come_first() {
    let own = Rule::parse("billing", "billing", "", "", "asked once a year", "operations").unwrap();
    let zones = set(vec![entry("example.", &["billing CAA x", "x CAA x"])]);
    let protected = Rules::new(vec![own]).protect(&zones, HashMap::new());
    let id = |text| match protected.get(slot(&zones, text)) {
        Some(Protection::Rule(rule)) => rule.id.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!([id("billing.example. CAA"), id("x.example. CAA")], ["billing", "caa"]);
}

#[test]
fn the_operator_overrides_rules_for_single_records() {
    let zones = set(vec![entry("example.", &["@ CAA x", "www A 192.0.2.1"])]);
    let [caa, www] = ["example. CAA", "www.example. A"].map(|text| slot(&zones, text));
    let overrides = HashMap::from_iter([(caa, Override::Allow), (www, Override::Protect("printers".into()))]);
    let protected = Rules::default().protect(&zones, overrides);
    assert_eq!((protected.get(caa), protected.get(www)), (None, Some(Protection::Operator("printers"))));
    assert_eq!((protected.contains(caa), protected.contains(www)), (false, true));
    assert_eq!(protected.allowed(caa).map(|rule| rule.id.as_str()), Some("caa"));
}

#[test]
fn zones_that_did_not_change_are_protected_as_before() {
    let kept = entry("kept.example.", &["@ CAA x", "www A 192.0.2.1"]);
    let before = set(vec![kept.clone(), entry("gone.example.", &["@ MX ."])]);
    let after = set(vec![entry("added.example.", &["_dmarc TXT x", "a A 192.0.2.1"]), kept]);
    let rules = Rules::default();
    let earlier = rules.protect(&before, HashMap::new());
    let again = rules.protect_again(&after, HashMap::new(), Some((&before, &earlier)));
    assert_eq!(again.by_rule, rules.protect(&after, HashMap::new()).by_rule);
    assert!(again.contains(slot(&after, "kept.example. CAA")) && !again.contains(slot(&after, "www.kept.example. A")));
}
