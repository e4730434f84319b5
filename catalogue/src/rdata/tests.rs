//! Every type: its text, its octets, and that they lead to each other.

use super::*;
use expect_test::expect;
use proptest::prelude::*;
use std::fmt::Write;

/// One or more texts of every type that has a text.
const TEXTS: &[&str] = &[
    "A 192.0.2.1",
    "NS Ns1",
    "MD a",
    "MF a",
    "CNAME @",
    "SOA ns hostmaster.example. 2026112701 1h 15m 4w 300",
    "MB a",
    "MG a",
    "MR a",
    "WKS 192.0.2.1 tcp smtp 80 domain",
    "PTR a\\.b.example.",
    "HINFO \"Generic PC\" NetBSD",
    "MINFO a b",
    "MX 10 mail",
    "TXT one \"two three\" \"\" \"a\\\"b\\\\c;d\\200\"",
    "RP a .",
    "AFSDB 1 a",
    "X25 311061700956",
    "ISDN 150862028003217 004",
    "ISDN 150862028003217",
    "RT 2 a",
    "NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000162.00",
    "NSAP-PTR Foo",
    "SIG NXT RSAMD5 3 3600 20200101000000 20030101000000 2143 foo MxFcby9k",
    "KEY HOST|FLAG4 DNSSEC RSAMD5 AQMFD5ra",
    "KEY 49152 3 0",
    "PX 1 a b",
    "GPOS -22.6882 116.8652 250.0",
    "AAAA 2001:DB8::1",
    "LOC 52 22 23.5 N 4 53 32 W -2.00m 0 10000m 10m",
    "LOC 60 N 24 E 0",
    "NXT a NS SOA MX 127",
    "EID 01 02ff",
    "NIMLOC 0102ff",
    "SRV 0 5 5060 sip",
    "ATMA +61200000000",
    "ATMA 39.246f.000e7c9c031200010001.000012345678.00",
    "NAPTR 100 10 S SIP+D2U !^.*$!sip:info@example.com!i .",
    "KX 1 a",
    "CERT PKIX 1 RSASHA256 aGVsbG8=",
    "A6 0 2001:db8::1",
    "A6 60 2001:db8::1 Prefix",
    "A6 128 .",
    "DNAME target.",
    "SINK 1 0 0 aGVsbG8=",
    "APL 1:192.0.2.0/24 !2:ff00::/8",
    "APL",
    "DS 12345 RSASHA1 SHA-1 0123456789 abcdef0123 4567890123 4567890123",
    "SSHFP 1 1 aa549bfe898489c02d1715d97d79c57ba2fa76ab",
    "IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG",
    "IPSECKEY 10 2 2 2001:db8::1 AQNRU3mG",
    "IPSECKEY 10 3 2 Gateway AQNRU3mG",
    "IPSECKEY 10 0 0 .",
    "RRSIG TYPE1234 ED25519 3 3600 20391231235959 1041379200 2143 Foo MxFcby9k",
    "NSEC Next A MX RRSIG NSEC TYPE1234 TYPE65535",
    "DNSKEY 257 3 13 mdsswUyr",
    "DHCID AAIBY2/A",
    "NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY",
    "NSEC3 2 0 0 - cpnmu",
    "NSEC3PARAM 1 0 0 -",
    "TLSA 3 1 1 a9cdf989",
    "SMIMEA 3 1 1 a9cdf989",
    "HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdx rvs1 rvs2.",
    "NINFO a b",
    "RKEY 0 3 8 aGVsbG8=",
    "TALINK a b",
    "CDS 0 0 0 00",
    "CDNSKEY 0 3 0 AA==",
    "OPENPGPKEY aGVs bG8=",
    "CSYNC 66 3 A NS AAAA",
    "ZONEMD 2018031900 1 240 e2d523f654b9422a96c5a8f44607bbee",
    "SVCB 16 Foo mandatory=alpn,ipv4hint alpn=f\\\\\\\\oo\\\\,bar,h2 ipv4hint=192.0.2.1 key667=\"hello\\210qoo\"",
    "SVCB 1 . no-default-alpn alpn=\"h2,h3\" port=53 ech=aGVsbG8= ipv6hint=::1,::2 dohpath=/q{?dns} ohttp tls-supported-groups=29,23",
    "HTTPS 0 svc.",
    "DSYNC CDS NOTIFY 5300 notify",
    "HHIT aGVsbG8=",
    "BRID aGVsbG8=",
    "SPF \"v=spf1 -all\"",
    "NID 10 0014:4fff:ff20:ee64",
    "L32 10 10.1.2.0",
    "L64 10 2001:0DB8:1140:1000",
    "LP 10 Lp",
    "EUI48 00-00-5E-00-53-2a",
    "EUI64 00-00-5e-ef-10-00-00-2a",
    "URI 10 1 \"ftp://ftp1.example.com/public\"",
    "CAA 128 issue \"ca.example.net; policy=ev\"",
    "AVC \"app-name:WOLFGANG\" b",
    "DOA 1 2 1 \"text/plain\" aGVsbG8=",
    "DOA 0 0 0 \"\" -",
    "AMTRELAY 10 0 1 203.0.113.15",
    "AMTRELAY 10 1 2 2001:db8::15",
    "AMTRELAY 128 1 3 Relays",
    "AMTRELAY 0 0 0 .",
    "RESINFO qnamemin exterr=15,16,17",
    "WALLET EXAMPLE 01234567890abcdef",
    "CLA a b",
    "IPN 18446744073709551615",
    "TA 1 5 9 00",
    "DLV 1 5 9 00",
    "NULL \\# 2 0aff",
    "UNSPEC \\# 0",
    "TYPE65280 \\# 4 babe BABE",
];

fn origin() -> Name {
    Name::from_text("example.").unwrap()
}

/// A type, and the octets of its RDATA.
fn parsed(text: &str) -> Result<(RecordType, Box<[u8]>), Error> {
    let (rtype, data) = text.split_once(' ').unwrap_or((text, ""));
    let rtype = rtype.parse().unwrap();
    from_text(rtype, data, Some(&origin())).map(|rdata| (rtype, rdata))
}

fn error(text: &str) -> String {
    parsed(text).unwrap_err().to_string()
}

#[test]
fn every_type_with_a_layout_has_a_text_here() {
    let tested: Vec<_> = TEXTS.iter().map(|text| parsed(text).unwrap().0.value()).collect();
    let missing: Vec<_> = (0..=u16::MAX).filter(|rtype| layout(*rtype).is_some() && !tested.contains(rtype)).collect();
    assert_eq!(missing, []);
}

#[test]
fn texts_are_printed_absolute_and_without_relative_parts() {
    let mut printed = String::new();
    for text in TEXTS {
        let (rtype, rdata) = parsed(text).unwrap();
        writeln!(printed, "{rtype} {}", to_text(rtype, &rdata)).unwrap();
    }
    expect![[r#"
        A 192.0.2.1
        NS ns1.example.
        MD a.example.
        MF a.example.
        CNAME example.
        SOA ns.example. hostmaster.example. 2026112701 3600 900 2419200 300
        MB a.example.
        MG a.example.
        MR a.example.
        WKS 192.0.2.1 6 25 53 80
        PTR a\.b.example.
        HINFO "Generic PC" "NetBSD"
        MINFO a.example. b.example.
        MX 10 mail.example.
        TXT "one" "two three" "" "a\"b\\c;d\200"
        RP a.example. .
        AFSDB 1 a.example.
        X25 "311061700956"
        ISDN "150862028003217" "004"
        ISDN "150862028003217"
        RT 2 a.example.
        NSAP 0x47000580005A0000000001E133FFFFFF00016200
        NSAP-PTR Foo.example.
        SIG NXT 1 3 3600 20200101000000 20030101000000 2143 foo.example. MxFcby9k
        KEY 2560 3 1 AQMFD5ra
        KEY 49152 3 0
        PX 1 a.example. b.example.
        GPOS "-22.6882" "116.8652" "250.0"
        AAAA 2001:db8::1
        LOC 52 22 23.500 N 4 53 32.000 W -2.00m 0.00m 10000.00m 10.00m
        LOC 60 0 0.000 N 24 0 0.000 E 0.00m 1.00m 10000.00m 10.00m
        NXT a.example. NS SOA MX TYPE127
        EID 0102FF
        NIMLOC 0102FF
        SRV 0 5 5060 sip.example.
        ATMA +61200000000
        ATMA 39246F000E7C9C03120001000100001234567800
        NAPTR 100 10 "S" "SIP+D2U" "!^.*$!sip:info@example.com!i" .
        KX 1 a.example.
        CERT 1 1 8 aGVsbG8=
        A6 0 2001:db8::1
        A6 60 ::1 prefix.example.
        A6 128 .
        DNAME target.
        SINK 1 0 0 aGVsbG8=
        APL 1:192.0.2.0/24 !2:ff00::/8
        APL 
        DS 12345 5 1 0123456789ABCDEF012345678901234567890123
        SSHFP 1 1 AA549BFE898489C02D1715D97D79C57BA2FA76AB
        IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG
        IPSECKEY 10 2 2 2001:db8::1 AQNRU3mG
        IPSECKEY 10 3 2 Gateway.example. AQNRU3mG
        IPSECKEY 10 0 0 .
        RRSIG TYPE1234 15 3 3600 20391231235959 20030101000000 2143 foo.example. MxFcby9k
        NSEC Next.example. A MX RRSIG NSEC TYPE1234 TYPE65535
        DNSKEY 257 3 13 mdsswUyr
        DHCID AAIBY2/A
        NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR MX DNSKEY
        NSEC3 2 0 0 - CPNMU
        NSEC3PARAM 1 0 0 -
        TLSA 3 1 1 A9CDF989
        SMIMEA 3 1 1 A9CDF989
        HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdx rvs1.example. rvs2.
        NINFO "a" "b"
        RKEY 0 3 8 aGVsbG8=
        TALINK a.example. b.example.
        CDS 0 0 0 00
        CDNSKEY 0 3 0 AA==
        OPENPGPKEY aGVsbG8=
        CSYNC 66 3 A NS AAAA
        ZONEMD 2018031900 1 240 E2D523F654B9422A96C5A8F44607BBEE
        SVCB 16 Foo.example. mandatory=alpn,ipv4hint alpn="f\\\\oo\\,bar,h2" ipv4hint=192.0.2.1 key667="hello\210qoo"
        SVCB 1 . alpn="h2,h3" no-default-alpn port=53 ech=aGVsbG8= ipv6hint=::1,::2 dohpath="/q{?dns}" ohttp tls-supported-groups=29,23
        HTTPS 0 svc.
        DSYNC CDS NOTIFY 5300 notify.example.
        HHIT aGVsbG8=
        BRID aGVsbG8=
        SPF "v=spf1 -all"
        NID 10 0014:4fff:ff20:ee64
        L32 10 10.1.2.0
        L64 10 2001:0db8:1140:1000
        LP 10 Lp.example.
        EUI48 00-00-5e-00-53-2a
        EUI64 00-00-5e-ef-10-00-00-2a
        URI 10 1 "ftp://ftp1.example.com/public"
        CAA 128 issue "ca.example.net; policy=ev"
        AVC "app-name:WOLFGANG" "b"
        DOA 1 2 1 "text/plain" aGVsbG8=
        DOA 0 0 0 "" -
        AMTRELAY 10 0 1 203.0.113.15
        AMTRELAY 10 1 2 2001:db8::15
        AMTRELAY 128 1 3 Relays.example.
        AMTRELAY 0 0 0 .
        RESINFO "qnamemin" "exterr=15,16,17"
        WALLET "EXAMPLE" "01234567890abcdef"
        CLA "a" "b"
        IPN 18446744073709551615
        TA 1 5 9 00
        DLV 1 5 9 00
        NULL \# 2 0AFF
        UNSPEC \# 0
        TYPE65280 \# 4 BABEBABE
    "#]].assert_eq(&printed);
}

#[test]
fn octets_are_as_the_rfcs_draw_them() {
    let hex = |text: &str| {
        let mut out = String::new();
        writing::push_hex(&parsed(text).unwrap().1, &mut out);
        out
    };
    // RFC 1876 appendix, RFC 3123 section 4, RFC 4034 section 4.3, RFC 4025 section 3.2, RFC 9460 appendix D.2.
    assert_eq!(hex("LOC 42 21 54 N 71 06 18 W -24m 30m"), "0033161389172DD070BE15F000988D20");
    assert_eq!(hex("APL 1:192.168.32.0/21 !1:192.168.38.0/28"), "00011503C0A8200001 1C83C0A826".replace(' ', ""));
    let nsec = "04686F7374076578616D706C6503636F6D000006400100000003041B000000000000000000000000000000000000000000000000000020";
    assert_eq!(hex("NSEC host.example.com. A MX RRSIG NSEC TYPE1234"), nsec);
    assert_eq!(hex("IPSECKEY 10 1 2 192.0.2.38 AQNR"), "0A0102C0000226010351");
    let svcb =
        "001003666F6F076578616D706C65036F726700000000040001000400010009026832056833 2D3139000400 04C0000201".replace(' ', "");
    assert_eq!(hex("SVCB 16 foo.example.org. (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)"), svcb);
}

#[test]
fn octets_without_a_valid_text_are_written_as_unknown_types_are() {
    assert_eq!(to_text(RecordType::A, &[1, 2, 3]), "\\# 3 010203");
    assert_eq!(to_text(RecordType::new(42), &[0, 3, 0, 0]), "\\# 4 00030000");
    assert_eq!(to_text(RecordType::new(65280), &[]), "\\# 0");
    // A size of 0e1 centimetres (RFC 1876 section 2): as 0.00m it would be read back as 0e0.
    let loc = [0, 1, 0, 0, 128, 0, 0, 0, 128, 0, 0, 0, 0, 152, 150, 128];
    assert_eq!(to_text(RecordType::new(29), &loc), "\\# 16 00010000800000008000000000989680");
}

#[test]
fn octets_of_a_known_type_must_fit_it() {
    assert_eq!(error("A \\# 3 010203"), "malformed A RDATA: expected an IPv4 address at octet 0");
    assert_eq!(error("A \\# 5 0102030405"), "malformed A RDATA: expected the end at octet 4");
    assert_eq!(error("A \\# 4 010203"), "expected as many octets as the number before them says, found 3");
    assert_eq!(error("MX \\# 4 0001c00c"), "malformed MX RDATA: expected a domain name without compression at octet 2");
}

#[test]
fn errors_say_what_is_expected_and_what_is_there() {
    assert_eq!(error("A 1.2.3"), "expected an IPv4 address, found \"1.2.3\"");
    assert_eq!(error("MX mail"), "expected a number up to 65535, found \"mail\"");
    assert_eq!(error("MX 10"), "expected a domain name, found the end of the record");
    assert_eq!(error("MX 10 a b"), "expected the end of the record, found \"b\"");
    assert_eq!(error("MX 10 \"a\""), "expected a domain name, found the quoted string \"a\"");
    assert_eq!(error("NS a..b"), "expected a domain name without empty labels, found \"a..b\"");
    assert_eq!(
        error("TYPE65280 a"),
        "expected RDATA as \\#, number of octets and hexadecimal, because the type has no text, found \"a\""
    );
}

#[test]
fn svcb_parameters_must_fit_each_other() {
    for text in [
        "SVCB 1 a mandatory=port alpn=h2",
        "SVCB 1 a mandatory=mandatory",
        "SVCB 1 a mandatory=alpn,alpn alpn=h2",
        "SVCB 1 a no-default-alpn",
        "SVCB 1 a alpn=h2 alpn=h3",
        "SVCB 1 a alpn=a,,b",
        "SVCB 1 a alpn",
        "SVCB 1 a port=65536",
        "SVCB 1 a unknown=1",
        "SVCB 1 a key01=1",
        "SVCB 1 a ipv4hint=",
        "SVCB 1 a dohpath=/x",
        "SVCB \\# 13 00010000030002003500010000",
    ] {
        assert!(parsed(text).is_err(), "{text}");
    }
}

#[test]
fn names_are_lower_case_where_dnssec_wants_them_so() {
    let canonical = |rtype: &str, rdata: &[u8]| canonical(rtype.parse().unwrap(), rdata).unwrap();
    assert_eq!(*canonical("NS", b"\x01A\x00"), *b"\x01a\x00");
    assert_eq!(*canonical("MX", b"AB\x01A\x00"), *b"AB\x01a\x00");
    assert_eq!(*canonical("NSEC", b"\x01A\x00\x00\x01\x40"), *b"\x01A\x00\x00\x01\x40");
    assert_eq!(*canonical("A6", b"\x80\x01A\x00"), *b"\x80\x01a\x00");
    assert_eq!(*canonical("TYPE65280", b"\x01A\x00"), *b"\x01A\x00");
}

#[test]
fn names_are_listed_in_order() {
    let listed = |text: &str| {
        let (rtype, rdata) = parsed(text).unwrap();
        names(rtype, &rdata).iter().map(Name::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed("SOA ns hostmaster 1 2 3 4 5"), "ns.example. hostmaster.example.");
    assert_eq!(listed("HIP 2 2001 AwEA a B."), "a.example. b.");
    assert_eq!(listed("IPSECKEY 10 3 2 a aaaa"), "a.example.");
    assert_eq!(listed("IPSECKEY 10 1 2 192.0.2.1 aaaa"), "");
    assert_eq!(listed("AMTRELAY 10 1 3 a"), "a.example.");
    assert_eq!(listed("A6 64 ::1 a"), "a.example.");
    assert_eq!(listed("TXT a"), "");
}

/// RDATA of some type: that of a text above, with some octets changed.
fn any_rdata() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    (prop::sample::select(TEXTS), prop::collection::vec(change, 0..4)).prop_map(|(text, changes)| {
        let (rtype, rdata) = parsed(text).unwrap();
        let mut rdata = rdata.into_vec();
        for (index, octet, kind) in changes {
            let at = index.index(rdata.len() + 1);
            match kind {
                0 => rdata.insert(at, octet),
                1 if at < rdata.len() => _ = rdata.remove(at),
                _ => rdata.iter_mut().skip(at).take(1).for_each(|old| *old = octet),
            }
        }
        (rtype, rdata)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn octets_and_text_lead_to_each_other((rtype, rdata) in any_rdata()) {
        let text = to_text(rtype, &rdata);
        if let Ok(canonical) = canonical(rtype, &rdata) {
            let printed = to_text(rtype, &canonical);
            prop_assert_eq!(from_text(rtype, &printed, None), Ok(canonical), "{}", printed);
        } else {
            prop_assert!(text.starts_with("\\# "), "{}", text);
            prop_assert!(from_text(rtype, &text, None).is_err());
        }
    }

    #[test]
    fn text_of_any_kind_never_panics(rtype in prop::sample::select(TEXTS), text in "[ -~\\n\\t]{0,60}") {
        let rtype = parsed(rtype).unwrap().0;
        if let Ok(rdata) = from_text(rtype, &text, Some(&origin())) {
            let printed = to_text(rtype, &rdata);
            prop_assert_eq!(from_text(rtype, &printed, None), Ok(rdata));
        }
    }

    #[test]
    fn octets_of_any_kind_never_panic(rtype in any::<u16>(), low in 0..270u16, rdata in prop::collection::vec(any::<u8>(), 0..80)) {
        for rtype in [RecordType::new(rtype), RecordType::new(low)] {
            let _ = (to_text(rtype, &rdata), canonical(rtype, &rdata), names(rtype, &rdata));
        }
    }
}
