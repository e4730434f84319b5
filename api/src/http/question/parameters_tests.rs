use super::*;
use crate::http::question::values::DEFAULT_LIMIT;
use axum::body::to_bytes;
use axum::response::IntoResponse;
use expect_test::{Expect, expect};
use std::time::Duration;
use zonepulse_query::SortKey;

/// When all is read: 2027-01-15T08:00:00.250Z.
const NOW: Now = Now::since_epoch(Duration::from_millis(1_800_000_000_250));

fn uri(query: &str) -> Uri {
    format!("/x?{query}").parse().unwrap()
}

/// What a caller gets to read.
fn document(problem: Problem) -> String {
    let body = to_bytes(problem.into_response().into_body(), 1 << 20);
    let bytes = futures::executor::block_on(body).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["status"], 400);
    assert_eq!(value["type"], "urn:zonepulse:problem:bad-parameter");
    format!("{} | {}", value["parameter"].as_str().unwrap_or("-"), value["detail"].as_str().unwrap())
}

fn refused(query: &str, expected: Expect) {
    let problem = Aggregate::read(&uri(query), NOW).unwrap_err();
    expected.assert_eq(&document(problem));
}

#[test]
fn without_parameters_everything_is_meant() {
    let raw = Raw::read(&"/x".parse().unwrap(), NOW).unwrap();
    let page = Page { sort: vec![], offset: 0, limit: DEFAULT_LIMIT };
    assert_eq!(raw, Raw { filter: Filter::default(), range: TimeRange { from_ms: None, ..raw.range }, page });
    let rates = Rates::read(&uri(""), NOW).unwrap();
    assert_eq!((rates.step_s, rates.by), (None, By::SELECTION));
}

#[test]
fn every_filter_is_read_and_lists_repeat() {
    let query = "server_id=1&server_id=7&resource_id=0&host=WWW.example.com&host=*.test&type=a&type=TYPE65&type=28&folded=false&\
                 action=response&rcode=nxdomain&rcode=16&date_from=10&date_to=1970-01-01T00:00:20.5Z&offset=5&limit=100000";
    let raw = Raw::read(&uri(query), NOW).unwrap();
    assert_eq!(raw.filter.servers, [1, 7]);
    assert_eq!(raw.filter.resource_ids, [0]);
    assert_eq!(raw.filter.hosts, ["www.example.com.".parse().unwrap(), "*.test".parse().unwrap()]);
    assert_eq!(raw.filter.types.iter().map(ToString::to_string).collect::<Vec<_>>(), ["A", "HTTPS", "AAAA"]);
    assert_eq!(raw.filter.folded, Some(false));
    assert_eq!(raw.filter.action, Some(Action::Response));
    assert_eq!(raw.filter.rcodes.iter().map(|code| code.value()).collect::<Vec<_>>(), [3, 16]);
    assert_eq!(raw.range, TimeRange { from_ms: Some(10_000), until_ms: Some(20_500) });
    assert_eq!((raw.page.offset, raw.page.limit), (5, 100_000));
}

#[test]
fn values_are_percent_decoded() {
    let raw = Raw::read(&uri("host=%2A.example.com&date_from=2026-01-31T12%3A00%3A00%2B01%3A00"), NOW).unwrap();
    assert_eq!(raw.filter.hosts, ["*.example.com".parse().unwrap()]);
    assert_eq!(raw.range.from_ms, Some(1_769_857_200_000));
}

#[test]
fn a_minus_sorts_downwards() {
    let page = Raw::read(&uri("sort=hits,-last_access"), NOW).unwrap().page;
    let key = |column: &str, descending| SortKey { column: column.to_owned(), descending };
    assert_eq!(page.sort, [key("hits", false), key("last_access", true)]);
}

#[test]
fn sums_split_by_several_things() {
    let by = |query: &str| Aggregate::read(&uri(query), NOW).unwrap().by;
    assert_eq!(by("by=server"), By::SERVER);
    assert_eq!(by("by=record,action"), By::RECORD.and(By::ACTION));
    assert_eq!(Rates::read(&uri("by=server,record,action"), NOW).unwrap().by, By::RECORD.and(By::ACTION).and(By::SERVER));
}

#[test]
fn an_interval_is_a_bucket_or_a_day_of_a_zone() {
    let interval = |query: &str| match Aggregate::read(&uri(query), NOW).unwrap().sums {
        Sums::Series(interval) => Some(interval),
        Sums::AllTime(_) | Sums::Range => None,
    };
    assert_eq!(interval(""), None);
    assert_eq!(interval("interval=15m"), Some(Interval::Bucket(Bucket::M15)));
    assert_eq!(interval("interval=1d"), Some(Interval::Day(TimeZone::UTC)));
    let prague = Interval::Day("Europe/Prague".parse().unwrap());
    assert_eq!(interval("interval=1d&time_zone=Europe/Prague"), Some(prague));
    assert_eq!(interval("time_zone=Europe%2FPrague&interval=1d"), Some(prague));
    assert_eq!(interval("interval=1d&time_zone=Etc/GMT+1"), Some(Interval::Day("Etc/GMT+1".parse().unwrap())));
    let system = |query: &str| SystemAggregate::read(&uri(query), NOW).unwrap().interval;
    assert_eq!(system(""), Interval::Bucket(Bucket::M5));
    assert_eq!(system("interval=1d&time_zone=Europe/Prague"), prague);
    refused("interval=10m", expect![[r#"interval | interval: "10m" is not one of 5m, 15m, 30m, 1h, 1d and all"#]]);
    refused("interval=", expect![[r#"interval | interval: "" is not one of 5m, 15m, 30m, 1h, 1d and all"#]]);
}

#[test]
fn an_unknown_parameter_is_refused_with_those_that_there_are() {
    refused(
        "hosts=a",
        expect![
            "hosts | hosts: there is no such parameter; this call has server_id, resource_id, host, type, folded, action, rcode, date_from, date_to, time_zone, accessed_from, accessed_to, exists, interval, by, sort, offset, limit, escape"
        ],
    );
    refused(
        "limit=1&Limit=2",
        expect![
            "Limit | Limit: there is no such parameter; this call has server_id, resource_id, host, type, folded, action, rcode, date_from, date_to, time_zone, accessed_from, accessed_to, exists, interval, by, sort, offset, limit, escape"
        ],
    );
    let problem = none(&uri("x=1")).unwrap_err();
    assert_eq!(problem.detail(), "x: there is no such parameter; this call has none");
}

#[test]
fn a_single_parameter_that_comes_twice_is_refused() {
    refused("limit=1&limit=1", expect!["limit | limit: it is there more than once"]);
    refused("by=server&by=action", expect!["by | by: it is there more than once"]);
    refused("action=request&action=response", expect!["action | action: it is there more than once"]);
}

#[test]
fn a_broken_number_is_refused() {
    refused("limit=-1", expect![[r#"limit | limit: "-1" is not a whole number from 0 to 100000"#]]);
    refused("limit=100001", expect![[r#"limit | limit: "100001" is not a whole number from 0 to 100000"#]]);
    refused("limit=1e3", expect![[r#"limit | limit: "1e3" is not a whole number from 0 to 100000"#]]);
    refused("limit=", expect![[r#"limit | limit: "" is not a whole number from 0 to 100000"#]]);
    refused("offset=%2B1", expect![[r#"offset | offset: "+1" is not a whole number from 0 to 9223372036854775807"#]]);
    refused("server_id=x", expect![[r#"server_id | server_id: "x" is not a whole number from 0 to 4294967295"#]]);
    refused(
        "server_id=4294967296",
        expect![[r#"server_id | server_id: "4294967296" is not a whole number from 0 to 4294967295"#]],
    );
    refused(
        "resource_id=1.0",
        expect![[r#"resource_id | resource_id: "1.0" is not a whole number from 0 to 18446744073709551615"#]],
    );
}

#[test]
fn folded_is_true_or_false() {
    let folded = |query: &str| Aggregate::read(&uri(query), NOW).unwrap().filter.folded;
    assert_eq!([folded(""), folded("folded=true"), folded("folded=false")], [None, Some(true), Some(false)]);
    refused("folded=1", expect![[r#"folded | folded: "1" is neither true nor false"#]]);
    refused("folded=true&folded=true", expect!["folded | folded: it is there more than once"]);
}

#[test]
fn a_broken_word_of_dns_is_refused() {
    refused(
        "type=AAAAA",
        expect![[r#"type | type: unknown record type "AAAAA": use a mnemonic such as AAAA, or a number from 0 to 65535"#]],
    );
    refused("action=ask", expect![[r#"action | action: unknown action "ask": use request or response"#]]);
    refused(
        "rcode=4096",
        expect![[r#"rcode | rcode: unknown response code "4096": use a mnemonic such as NXDOMAIN, or a number from 0 to 4095"#]],
    );
    refused("host=a..b", expect![[r#"host | host: "a..b" is not a domain name: it has an empty label"#]]);
    refused("host=", expect![[r#"host | host: "" is not a domain name: it is empty; the root is ".""#]]);
    refused(
        "action=request&rcode=NOERROR",
        expect!["rcode | rcode: a request has no response code: leave out rcode or action=request"],
    );
}

#[test]
fn a_broken_time_is_refused() {
    refused(
        "date_from=2026-13-01T00:00:00Z",
        expect![[
            r#"date_from | date_from: "2026-13-01T00:00:00Z" is not a time: write it as in 2026-01-31T12:00:00Z (RFC 3339), 2026-01-31, Unix seconds, now, or -24h, with s, m, h, d or w"#
        ]],
    );
    refused(
        "date_to=tomorrow",
        expect![[
            r#"date_to | date_to: "tomorrow" is not a time: write it as in 2026-01-31T12:00:00Z (RFC 3339), 2026-01-31, Unix seconds, now, or -24h, with s, m, h, d or w"#
        ]],
    );
    refused(
        "date_from=20&date_to=10",
        expect!["date_to | date_to: 1970-01-01T00:00:10Z lies before date_from, 1970-01-01T00:00:20Z"],
    );
}

#[test]
fn times_may_be_dates_and_counted_from_now() {
    let range = |query: &str| Aggregate::read(&uri(query), NOW).unwrap().range;
    let day = TimeRange { from_ms: Some(1_795_647_600_000), until_ms: Some(1_795_734_000_000) };
    assert_eq!(range("date_from=2026-11-26&date_to=2026-11-27&time_zone=Europe/Prague"), day);
    assert_eq!(range("date_from=2026-11-26").from_ms, Some(1_795_651_200_000));
    let last = range("date_from=-7d&date_to=now");
    assert_eq!(last.until_ms.unwrap() - last.from_ms.unwrap(), 7 * 86_400_000, "both are counted from the same moment");
    assert_eq!(last.until_ms, Some(NOW.ms()));
    let problem = Aggregate::read(&uri("date_from=now&date_to=-1h"), NOW).unwrap_err();
    assert!(problem.detail().starts_with("date_to: ") && problem.detail().contains("lies before date_from"));
}

#[test]
fn a_zone_that_there_is_not_is_refused() {
    refused(
        "time_zone=Prague",
        expect![[r#"time_zone | time_zone: "Prague" is no time zone of the IANA database: did you mean Europe/Prague?"#]],
    );
    refused("time_zone=UTC&time_zone=UTC", expect!["time_zone | time_zone: it is there more than once"]);
}

#[test]
fn a_name_in_unicode_is_meant_as_punycode() {
    let hosts = |query: &str| Raw::read(&uri(query), NOW).unwrap().filter.hosts;
    assert_eq!(hosts("host=b%C3%BCcher.example"), ["xn--bcher-kva.example.".parse().unwrap()]);
    assert_eq!(hosts("host=*.b%C3%BCcher.example"), ["*.xn--bcher-kva.example".parse().unwrap()]);
}

#[test]
fn what_is_no_text_is_refused_by_its_parameter() {
    refused("host=%ff.example", expect![[r#"host | host: %FF is not UTF-8; an octet of a name is written as \255"#]]);
    refused("type=A&rcode=%80", expect![[r#"rcode | rcode: %80 is not UTF-8; an octet of a name is written as \128"#]]);
    refused("limit=%", expect!["limit | limit: a % stands before two hexadecimal digits; a % itself is written %25"]);
    let problem = none(&uri("%ff=1")).unwrap_err();
    assert_eq!(document(problem), r#"%ff | %ff: in its name, %FF is not UTF-8; an octet of a name is written as \255"#);
    let octet = Raw::read(&uri("host=%5C255.example"), NOW).unwrap().filter.hosts;
    assert_eq!(octet, ["\\255.example.".parse().unwrap()]);
}

#[test]
fn there_are_at_most_a_thousand_parameters() {
    let query = |count| "server_id=1&".repeat(count);
    assert_eq!(Raw::read(&uri(&query(1000)), NOW).unwrap().filter.servers.len(), 1000);
    assert_eq!(document(Raw::read(&uri(&query(1001)), NOW).unwrap_err()), "- | 1001 parameters are more than 1000");
}

#[test]
fn a_range_may_be_empty() {
    assert!(Aggregate::read(&uri("date_from=20&date_to=20"), NOW).is_ok());
}

#[test]
fn what_has_no_end_ends_now_but_for_totals() {
    let ends = |query: &str| {
        let uri = uri(query);
        [
            Raw::read(&uri, NOW).map(|asked| asked.range),
            Rates::read(&uri, NOW).map(|asked| asked.range),
            Coverage::read(&uri, NOW).map(|asked| asked.range),
            SystemRaw::read(&uri, NOW).map(|asked| asked.range),
            SystemAggregate::read(&uri, NOW).map(|asked| asked.range),
            Aggregate::read(&format!("/x?interval=5m&{query}").parse().unwrap(), NOW).map(|asked| asked.range),
        ]
        .map(|range| range.unwrap().until_ms.unwrap())
    };
    for query in ["", "date_from=-24h", "date_from=2020-01-01"] {
        assert_eq!(ends(query), [NOW.ms(); 6], "{query}");
    }
    // Of a time that is yet to come: an empty range, and no error.
    assert_eq!(ends("date_from=200000000000"), [200_000_000_000_000; 6]);
    assert_eq!(ends("date_to=20"), [20_000; 6]);
    for query in ["", "date_from=-24h"] {
        assert_eq!(Aggregate::read(&uri(query), NOW).unwrap().range.until_ms, None, "{query}");
    }
}

#[test]
fn a_broken_order_is_refused() {
    refused("sort=", expect!["sort | sort: a column's name is missing; write it as in sort=hits,-last_access"]);
    refused("sort=hits,,host", expect!["sort | sort: a column's name is missing; write it as in sort=hits,-last_access"]);
    refused("sort=hits,-hits", expect![[r#"sort | sort: the column "hits" is there twice"#]]);
}

#[test]
fn a_broken_split_is_refused() {
    refused("by=zone", expect![[r#"by | by: "zone" is not one of record, server and action"#]]);
    refused("by=server,server", expect!["by | by: server is there twice"]);
}

#[test]
fn a_step_is_at_least_a_second() {
    assert_eq!(Rates::read(&uri("step=300"), NOW).unwrap().step_s, Some(300));
    let problem = Rates::read(&uri("step=0"), NOW).unwrap_err();
    assert_eq!(document(problem), "step | step: a step has at least one second");
}

#[test]
fn an_error_does_not_repeat_a_megabyte() {
    let long = "9".repeat(60_000);
    for name in ["limit", "type", "rcode", "date_from"] {
        let problem = Aggregate::read(&uri(&format!("{name}={long}")), NOW).unwrap_err();
        assert!(problem.detail().len() < 400, "{name}");
    }
}

#[test]
fn coverage_has_no_filter_on_records() {
    assert_eq!(Coverage::read(&uri("server_id=3"), NOW).unwrap().servers, [3]);
    assert_eq!(
        document(Coverage::read(&uri("host=a"), NOW).unwrap_err()),
        "host | host: there is no such parameter; this call has server_id, date_from, date_to, time_zone, sort, offset, limit, escape"
    );
}

#[test]
fn totals_are_kept_by_last_access_and_existence() {
    let kept = |query: &str| match Aggregate::read(&uri(query), NOW).unwrap() {
        Aggregate { sums: Sums::AllTime(kept), range, .. } => {
            assert_eq!(range, kept.last_access, "{query}");
            (kept.last_access.from_ms, kept.last_access.until_ms, kept.exists)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(kept(""), (None, None, None));
    assert_eq!(kept("accessed_from=10"), (Some(10_000), None, None));
    // What was not accessed since is shown for deletion.
    assert_eq!(kept("accessed_to=20"), (None, Some(20_000), Some(true)));
    assert_eq!(kept("accessed_from=10&accessed_to=20&exists=false"), (Some(10_000), Some(20_000), Some(false)));
    assert_eq!(kept("exists=true"), (None, None, Some(true)));
    let day = kept("accessed_from=2026-11-26&time_zone=Europe/Prague");
    assert_eq!(day, (Some(1_795_647_600_000), None, None));
}

#[test]
fn the_former_names_of_the_last_access_mean_what_they_meant() {
    let asked = Aggregate::read(&uri("date_from=10&date_to=20"), NOW).unwrap();
    let last_access = TimeRange { from_ms: Some(10_000), until_ms: Some(20_000) };
    assert_eq!(asked.sums, Sums::AllTime(Kept { last_access, exists: None }));
}

#[test]
fn totals_over_a_range_are_asked_for_by_interval_all() {
    let asked = Aggregate::read(&uri("interval=all&date_from=10&date_to=20"), NOW).unwrap();
    assert_eq!((asked.sums, asked.range), (Sums::Range, TimeRange { from_ms: Some(10_000), until_ms: Some(20_000) }));
    assert!(Aggregate::read(&uri("interval=all"), NOW).unwrap().range.until_ms.is_some());
}

#[test]
fn a_time_means_one_thing() {
    refused(
        "date_from=10&accessed_to=20",
        expect![
            "date_from | date_from: without interval it means the last access, as accessed_to does: leave it out, or give interval=all for totals over a range of time"
        ],
    );
    refused(
        "interval=5m&accessed_from=10",
        expect!["accessed_from | accessed_from: it is for totals of all time only: leave out interval"],
    );
    refused("interval=all&exists=true", expect!["exists | exists: it is for totals of all time only: leave out interval"]);
    refused(
        "accessed_from=20&accessed_to=10",
        expect!["accessed_to | accessed_to: 1970-01-01T00:00:10Z lies before accessed_from, 1970-01-01T00:00:20Z"],
    );
    refused("exists=maybe", expect![[r#"exists | exists: "maybe" is neither true nor false"#]]);
}
