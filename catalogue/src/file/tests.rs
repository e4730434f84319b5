//! Reading zone files: what records come out, and what is said of errors.

use super::*;
use crate::rdata;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::fmt::Write;
use std::fs;

fn options() -> Options {
    Options { origin: Some(Name::from_text("example.").unwrap()), ..Options::default() }
}

/// Records and problems in order, one a line.
fn listed(reader: Reader<'_>) -> String {
    let mut out = String::new();
    for read in reader {
        match read {
            Ok(Located { record, line, .. }) => {
                let data = rdata::to_text(record.rtype, &record.rdata);
                writeln!(out, "{line}: {} {} {} {data}", record.owner, record.ttl, record.rtype).unwrap();
            }
            Err(problem) => writeln!(out, "{problem}").unwrap(),
        }
    }
    out
}

fn check_read(text: &str, expected: Expect) {
    expected.assert_eq(&listed(Reader::new(text.as_bytes(), "z", options())));
}

/// What the checks of a zone with this text at its end say.
fn check_zone(text: &str, expected: Expect) {
    let text = format!("$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n{text}");
    let mut problems = Vec::new();
    check_bytes(text.as_bytes(), "z", options(), &mut problems, None).unwrap();
    expected.assert_eq(&String::from_utf8(problems).unwrap());
}

#[test]
fn owner_ttl_and_class_may_be_left_out() {
    check_read(
        "$TTL 1h\n@ IN SOA ns h 1 2 3 4 5\n\tNS ns\na 10 IN A 192.0.2.1\n IN 20 TXT x\n TXT y\nb CLASS1 TYPE1 \\# 4 c0000201\n",
        expect![[r#"
            2: example. 3600 SOA ns.example. h.example. 1 2 3 4 5
            3: example. 3600 NS ns.example.
            4: a.example. 10 A 192.0.2.1
            5: a.example. 20 TXT "x"
            6: a.example. 20 TXT "y"
            z:6: warning: TTL 3600 differs from 20 of the same RRset; taken as 20
            7: b.example. 3600 A 192.0.2.1
        "#]],
    );
}

#[test]
fn a_byte_order_mark_is_an_error_and_what_follows_is_read() {
    check_read(
        "\u{feff}$TTL 1h\na A 192.0.2.1\n",
        expect![[r#"
            z:1:1: error: expected a word at the start of the file, found a byte order mark (U+FEFF)
            2: a.example. 3600 A 192.0.2.1
        "#]],
    );
}

#[test]
fn a_form_feed_is_no_blank() {
    check_read(
        "a\x0c60 A 192.0.2.1\nb 60 A 192.0.2.1\nc 60 TXT \"\x0c\"\n",
        expect![[r#"
            z:1:2: error: expected a blank, found a form feed, which no server takes for one
            2: b.example. 60 A 192.0.2.1
            3: c.example. 60 TXT "\012"
        "#]],
    );
}

#[test]
fn without_ttl_directive_the_last_ttl_counts_and_before_that_the_soa_minimum() {
    check_read(
        "@ SOA ns h 1 2 3 4 5\n@ NS ns\na 20 A 192.0.2.1\nb A 192.0.2.1\n",
        expect![[r#"
        1: example. 5 SOA ns.example. h.example. 1 2 3 4 5
        z:1:20: warning: no TTL; taken as 5, the minimum of the SOA
        2: example. 5 NS ns.example.
        3: a.example. 20 A 192.0.2.1
        4: b.example. 5 A 192.0.2.1
    "#]],
    );
    check_read(
        "@ 10 SOA ns h 1 2 3 4 5\n@ NS ns\na 20 A 192.0.2.1\nb A 192.0.2.1\n",
        expect![[r#"
        1: example. 10 SOA ns.example. h.example. 1 2 3 4 5
        2: example. 10 NS ns.example.
        3: a.example. 20 A 192.0.2.1
        4: b.example. 20 A 192.0.2.1
    "#]],
    );
    check_read(
        "a A 192.0.2.1\n",
        expect![[r#"
        z:1:5: error: expected a TTL here or in $TTL before, found none
    "#]],
    );
}

#[test]
fn ttls_are_limited_and_the_same_within_an_rrset() {
    check_read(
        "a 2147483648 A 192.0.2.1\nb 10 A 192.0.2.1\nb 20 A 192.0.2.2\nb 30 TXT x\n",
        expect![[r#"
        1: a.example. 0 A 192.0.2.1
        z:1:3: warning: expected a TTL up to 2147483647 s, found 2147483648; taken as 0
        2: b.example. 10 A 192.0.2.1
        3: b.example. 10 A 192.0.2.2
        z:3: warning: TTL 20 differs from 10 of the same RRset; taken as 10
        4: b.example. 30 TXT "x"
    "#]],
    );
}

#[test]
fn parentheses_quotes_comments_and_line_ends() {
    check_read(
        "$TTL 1\r\n; comment\r\na (\r\n A ; one\r\n\r\n 192.0.2.1 ) ; two\r\n\
         \tTXT \"a;b\" ( \"c\r\nd\" )\r\n\r\nb\tA 192.0.2.2",
        expect![[r#"
            3: a.example. 1 A 192.0.2.1
            7: a.example. 1 TXT "a;b" "c\010d"
            10: b.example. 1 A 192.0.2.2
        "#]],
    );
}

#[test]
fn escapes_in_names_and_strings() {
    check_read(
        "$TTL 1\na\\.b.\\099 TXT \\097\\\"\\;\\\\ \"\\\"\\200\"\na TXT \\300\n\\@ TXT @\n",
        expect![[r#"
            2: a\.b.c.example. 1 TXT "a\";\\" "\"\200"
            z:3:7: error: expected an escape: a backslash and a character, or three digits up to 255, found "\300"
            4: \@.example. 1 TXT "@"
        "#]],
    );
}

#[test]
fn origin_changes_and_is_relative_itself() {
    check_read(
        "$TTL 1\n$ORIGIN a\nx A 192.0.2.1\n$ORIGIN b\n@ A 192.0.2.2\n$origin example.\nx A 192.0.2.3\n",
        expect![[r#"
        3: x.a.example. 1 A 192.0.2.1
        5: b.a.example. 1 A 192.0.2.2
        7: x.example. 1 A 192.0.2.3
    "#]],
    );
}

#[test]
fn generate_writes_one_record_per_number() {
    check_read(
        "$TTL 1\n$GENERATE 1-5/2 h$ 10 A 192.0.2.${10}\n$GENERATE 16-17 ${0,3,n}.r CNAME h$$${0,2,x}\n\
         $GENERATE 1-1 m MX \"10 mail$\"\n",
        expect![[r#"
            2: h1.example. 10 A 192.0.2.11
            2: h3.example. 10 A 192.0.2.13
            2: h5.example. 10 A 192.0.2.15
            3: 0.1.r.example. 1 CNAME h\$10.example.
            3: 1.1.r.example. 1 CNAME h\$11.example.
            4: m.example. 1 MX 10 mail1.example.
        "#]],
    );
    check_read(
        "$TTL 1\n$GENERATE 1-3/0 h$ A 192.0.2.$\n$GENERATE 1-9999999 h$ A 192.0.2.$\n",
        expect![[r#"
        z:2:11: error: expected a range such as 1-10 or 1-10/2, found "1-3/0"
        z:3:11: error: expected $GENERATE to give at most 1000000 records in all, found 9999999
    "#]],
    );
    check_read(
        "$TTL 1\n$GENERATE 254-300 h$ A 192.0.2.$\na A 192.0.2.1\n",
        expect![[r#"
        2: h254.example. 1 A 192.0.2.254
        2: h255.example. 1 A 192.0.2.255
        z:2: error: $GENERATE at 256: expected an IPv4 address, found "192.0.2.256"
        3: a.example. 1 A 192.0.2.1
    "#]],
    );
}

#[test]
fn every_error_is_reported_with_its_place() {
    check_read(
        "$TTL 1\n$TTL\n$FOO\nx\nx FOO bar\nx A 1.2.3\n  A 192.0.2.1 y\nx CH A 192.0.2.1\n\
         x TXT \"open\nx A )\nx..y A 192.0.2.1\n A 192.0.2.2\nx TSIG \\# 0\nx TXT (\n a\n",
        expect![[r#"
            z:2:1: error: expected a TTL, found the end of the record
            z:3:1: error: expected $ORIGIN, $TTL, $INCLUDE or $GENERATE, found "$FOO"
            z:4:1: error: expected a TTL, a class or a record type, found the end of the record
            z:5:3: error: expected a TTL, a class or a record type, found "FOO"
            z:6:5: error: expected an IPv4 address, found "1.2.3"
            z:7:15: error: expected the end of the record, found "y"
            z:8:3: error: expected the class IN, found "CH"
            z:9:7: error: expected a closing quote, found the end of the line
            z:10:5: error: expected an opening parenthesis before this one, found ")"
            z:11:1: error: expected a domain name without empty labels, found "x..y"
            z:12:2: error: expected an owner name, found a blank at the start of the first record
            z:13:3: error: expected a type that a zone can hold, found TSIG
            z:14:7: error: expected a closing parenthesis, found the end of the file after the one opened here
        "#]],
    );
}

#[test]
fn records_outside_of_a_given_origin_are_ignored() {
    check_read(
        "$TTL 1\na.other. A 192.0.2.1\n TXT x\nb A 192.0.2.1\n",
        expect![[r#"
        z:2: warning: a.other. is outside of the zone; servers ignore it
        z:3: warning: a.other. is outside of the zone; servers ignore it
        4: b.example. 1 A 192.0.2.1
    "#]],
    );
}

#[test]
fn without_origin_the_first_soa_is_the_apex_and_everything_is_returned() {
    let text = "x.zone. 1 SOA ns.zone. h.zone. 1 2 3 4 5\na.other. A 192.0.2.1\n";
    let mut reader = Reader::new(text.as_bytes(), "z", Options::default());
    assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 2);
    assert_eq!(reader.apex().unwrap().to_string(), "x.zone.");
    let relative = listed(Reader::new("x 1 A 192.0.2.1\n".as_bytes(), "z", Options::default()));
    expect![[r#"
        z:1:1: error: expected an absolute name, because no origin is known ($ORIGIN), found "x"
    "#]]
    .assert_eq(&relative);
}

#[test]
fn included_files_have_an_origin_of_their_own_and_stay_below_the_root() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join("zone"), "$TTL 1\nx TXT 1\n$INCLUDE sub/a y\n TXT 3\n$INCLUDE \"sub/a\"\n").unwrap();
    fs::write(root.path().join("sub/a"), " TXT 2\nz TXT 2\n$ORIGIN w\n$INCLUDE b\n$INCLUDE ../../etc/passwd\n$INCLUDE .\n")
        .unwrap();
    fs::write(root.path().join("sub/b"), "v TXT b\n").unwrap();
    let options = Options { include_root: Some(root.path().to_owned()), ..options() };
    let read = listed(Reader::open(&root.path().join("zone"), options).unwrap());
    let read = read.replace(&root.path().canonicalize().unwrap().display().to_string(), "ROOT");
    let read = read.replace(&root.path().display().to_string(), "ROOT");
    expect![[r#"
        2: x.example. 1 TXT "1"
        1: x.example. 1 TXT "2"
        2: z.y.example. 1 TXT "2"
        1: v.w.y.example. 1 TXT "b"
        sub/a:5:10: error: expected a file below ROOT, found /etc/passwd
        sub/a:6:10: error: expected a regular file, found ROOT/sub
        4: x.example. 1 TXT "3"
        1: x.example. 1 TXT "2"
        2: z.example. 1 TXT "2"
        1: v.w.example. 1 TXT "b"
        sub/a:5:10: error: expected a file below ROOT, found /etc/passwd
        sub/a:6:10: error: expected a regular file, found ROOT/sub
    "#]]
    .assert_eq(&read);
}

#[test]
fn files_that_include_themselves_end() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("zone");
    fs::write(&path, "$INCLUDE zone\n$INCLUDE zone\n").unwrap();
    let options = Options { include_root: Some(root.path().to_owned()), include_count: 10, ..options() };
    assert!(Reader::open(&path, options).unwrap().all(|read| read.is_err()));
}

#[test]
fn without_a_root_nothing_is_included() {
    check_read(
        "$INCLUDE /etc/passwd\n",
        expect![[r#"
        z:1:10: error: $INCLUDE is not allowed here
    "#]],
    );
}

#[test]
fn long_entries_are_an_error_and_do_not_hide_the_next() {
    let options = Options { entry_bytes: 100, ..options() };
    let text = format!("$TTL 1\na TXT {}\nb TXT x\nc TXT ({}\nd TXT x\n", "y".repeat(200_000), "\ny".repeat(200));
    let read = listed(Reader::new(text.as_bytes(), "z", options));
    assert!(read.starts_with("z:2: error: expected a record of at most 100 bytes, found more\n3: b.example."), "{read}");
    assert!(read.ends_with("d.example. 1 TXT \"x\"\n"), "{read}");
}

#[test]
fn a_zone_needs_an_soa_and_ns_at_its_apex() {
    let mut problems = Vec::new();
    check_bytes(b"$TTL 1\na A 192.0.2.1\n", "z", options(), &mut problems, None).unwrap();
    expect![[r#"
        z: error: expected an SOA record at example., found none
        z: error: expected NS records at example., found none
    "#]]
    .assert_eq(&String::from_utf8(problems).unwrap());
    check_zone(
        "@ SOA ns h 2 2 3 4 5\na SOA ns h 1 2 3 4 5\n",
        expect![[r#"
        z:5: error: expected one SOA record at example., found several
        z:6: error: expected the SOA record at example., found one at a.example.
    "#]],
    );
}

#[test]
fn a_cname_is_alone() {
    check_zone(
        "a CNAME b\na TXT x\nc CNAME d\nc CNAME e\n",
        expect![[r#"
        z:5: error: expected nothing next to the CNAME at a.example., found TXT (line 6)
        z:8: error: expected one CNAME record at c.example., found several
    "#]],
    );
    check_zone("a CNAME b\na NSEC b CNAME\na RRSIG CNAME 8 2 60 1 1 1 @ aaaa\n", expect![[r#""#]]);
}

#[test]
fn name_servers_in_the_zone_need_addresses() {
    check_zone(
        "@ NS missing\n@ NS alias\nalias CNAME ns\n@ NS x.w\n*.w A 192.0.2.1\nd NS ns.d\ne NS ns.f\nf NS ns.other.\n",
        expect![[r#"
            z:6: error: expected the name of a host in NS at example., found the CNAME alias.example. (RFC 2181 section 10.3)
            z:5: error: expected an address (A or AAAA) of missing.example. in NS at example., found none
            z:10: error: expected an address (A or AAAA) of ns.d.example. in NS at d.example., found none
        "#]],
    );
}

#[test]
fn data_below_cuts_and_dnames_is_not_looked_at() {
    check_zone(
        "d NS ns\nx.d NS missing\nn DNAME other.\ny.n NS missing\n",
        expect![[r#"
        z:7: warning: names below the DNAME n.example. exist; Knot refuses them, others do not answer with them (RFC 6672 section 2.4)
    "#]],
    );
}

#[test]
fn dnssec_records_at_the_wrong_place() {
    let digest = "0".repeat(64);
    check_zone(
        &format!(
            "@ DS 1 8 2 {digest}\na DS 1 8 2 {digest}\n@ CDS 1 8 2 {digest}\n@ CDNSKEY 257 3 8 aaaa\nx-y NSEC3 1 0 0 - {} A\n",
            "0".repeat(32)
        ),
        expect![[r#"
            z:5: error: expected DS records in the parent zone, found some at the apex example.
            z:7: error: expected a DNSKEY with key tag 1 and algorithm 8 for this CDS, found none
            z:8: error: expected a DNSKEY that equals this CDNSKEY, found none
            z:6: warning: DS records at a.example., which is not delegated (RFC 4035 section 2.4)
            z:9: error: expected a hash in Base32 as the first label of the NSEC3 owner x-y.example., found something else
        "#]],
    );
}

#[test]
fn hosts_have_names_of_letters_digits_and_hyphens() {
    check_zone(
        "a_b A 192.0.2.1\n*.c A 192.0.2.1\ngc._msdcs A 192.0.2.1\nm MX 10 1.2.3.4.\n",
        expect![[r#"
        z:5: warning: expected the name of a host for A (RFC 952, RFC 1123), found a_b.example.
        z:8: warning: expected a name in MX at m.example., found what looks like an address: 1.2.3.4.
    "#]],
    );
}

#[test]
fn printed_records_are_sorted_without_duplicates_and_with_one_ttl() {
    let text = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nb TXT 2\nb TXT 1\nns A 192.0.2.1\nb 9 TXT 2\n";
    let mut records = Vec::new();
    let summary = check_bytes(text.as_bytes(), "z", options(), &mut Vec::new(), Some(&mut records)).unwrap();
    assert_eq!((summary.records, summary.errors, summary.warnings), (5, 0, 1));
    expect![[r#"
        example.	60	IN	NS	ns.example.
        example.	60	IN	SOA	ns.example. h.example. 1 2 3 4 5
        b.example.	9	IN	TXT	"1"
        b.example.	9	IN	TXT	"2"
        ns.example.	60	IN	A	192.0.2.1
    "#]]
    .assert_eq(&String::from_utf8(records).unwrap());
}

#[test]
fn more_problems_than_are_written_are_counted() {
    let mut problems = Vec::new();
    let summary = check_bytes("x\n".repeat(1500).as_bytes(), "z", options(), &mut problems, None).unwrap();
    assert_eq!(summary.errors, 1502);
    assert!(String::from_utf8(problems).unwrap().ends_with("z: 502 more problems\n"));
}

/// Text that often is nearly a zone file.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "$ORIGIN ",
        "$TTL ",
        "$GENERATE 1-3 ",
        "$INCLUDE ",
        "@",
        " ",
        "\n",
        "\t",
        "(",
        ")",
        "\"",
        ";",
        "\\",
        "\\09",
        "\\#",
        "a",
        "a.",
        "..",
        "IN ",
        "1h ",
        "SOA ",
        "A ",
        "TXT ",
        "SVCB ",
        "NSEC3 ",
        "192.0.2.1",
        "10 ",
        "alpn=",
        "${0,3,n}",
        "$",
        "\r\n",
        "x TXT y\n",
        "\u{fffd}",
    ]);
    let known =
        prop::collection::vec(pieces.prop_map(|piece| piece.as_bytes().to_vec()), 0..60).prop_map(|pieces| pieces.concat());
    prop_oneof![known, prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn octets_of_any_kind_never_panic(file in any_file(), with_origin in any::<bool>()) {
        let options = if with_origin { options() } else { Options::default() };
        let (mut problems, mut records) = (Vec::new(), Vec::new());
        let summary = check_bytes(&file, "z", options, &mut problems, Some(&mut records)).unwrap();
        // What is printed reads back as the same records.
        let mut again = Vec::new();
        let clean = check_bytes(&records, "z", Options::default(), &mut Vec::new(), Some(&mut again)).unwrap();
        prop_assert_eq!(summary.records, clean.records);
        prop_assert_eq!(String::from_utf8_lossy(&records), String::from_utf8_lossy(&again));
    }
}
