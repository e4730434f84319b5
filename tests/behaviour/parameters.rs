//! An invalid parameter is rejected by name; nothing is guessed or ignored.

use libtest_mimic::Trial;
use zonepulse_tests::batches::{REQUEST, batch, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Central, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_bad_parameter_is_refused_by_name", bad_parameters),
        test("a_name_in_unicode_finds_its_record", unicode),
        test("octets_that_are_no_text_find_no_other_record", no_text),
        test("a_type_may_be_a_number", type_numbers),
        test("escaping_for_a_spreadsheet_is_refused_where_there_is_no_csv", escape_without_csv),
        test("a_path_or_method_that_is_not_there_is_a_problem_document", nothing_there),
        test("the_interface_is_described_by_a_document_that_the_server_serves", described),
    ]
}

/// Calls, wrong parameters, and the parameter that the error must name.
type Bad = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

const BAD: &[Bad] = &[
    (ALL_DNS, &[("type", "NONSENSE")], "type"),
    (ALL_DNS, &[("type", "")], "type"),
    (ALL_DNS, &[("type", "A"), ("type", "TYPE65536")], "type"),
    (ALL_DNS, &[("action", "ask")], "action"),
    (ALL_DNS, &[("rcode", "NXDOMAINS")], "rcode"),
    (ALL_DNS, &[("rcode", "4096")], "rcode"),
    (ALL_DNS, &[("action", "request"), ("rcode", "NOERROR")], "rcode"),
    (ALL_DNS, &[("host", "")], "host"),
    (ALL_DNS, &[("host", "a..b")], "host"),
    (ALL_DNS, &[("host", "*bücher.example")], "host"),
    (ALL_DNS, &[("resource_id", "-1")], "resource_id"),
    (ALL, &[("server_id", "one")], "server_id"),
    (ALL, &[("server_id", "4294967296")], "server_id"),
    (ALL, &[("server_id", "999999")], "server_id"),
    (ALL, &[("date_from", "2026-01-02T00:00:00Z"), ("date_to", "2026-01-01T00:00:00Z")], "date_to"),
    (ALL, &[("date_from", "yesterday")], "date_from"),
    (ALL, &[("date_to", "2026-02-30T00:00:00Z")], "date_to"),
    (ALL, &[("date_from", "2026-02-29")], "date_from"),
    (ALL, &[("date_from", "-1")], "date_from"),
    (ALL, &[("date_from", "-1y")], "date_from"),
    (ALL, &[("time_zone", "Europe/Nowhere")], "time_zone"),
    (ALL, &[("limit", "-1")], "limit"),
    (ALL, &[("limit", "many")], "limit"),
    (ALL, &[("limit", "99999999999999999999")], "limit"),
    (ALL, &[("limit", "1"), ("limit", "2")], "limit"),
    (ALL, &[("offset", "-5")], "offset"),
    (ALL, &[("offset", "0x10")], "offset"),
    (ALL, &[("sort", "nonsense")], "sort"),
    (ALL, &[("sort", "time,,hits")], "sort"),
    (ALL, &[("datefrom", "0")], "datefrom"),
    (ALL_DNS, &[("folded", "yes")], "folded"),
    (ALL_DNS, &[("folded", "true"), ("folded", "false")], "folded"),
    (ALL_DNS, &[("host", "<other> a..b")], "host"),
    (&["dns/coverage"], &[("folded", "true")], "folded"),
    (ALL, &[("escape", "excel")], "escape"),
    (ALL, &[("escape", "none"), ("escape", "none")], "escape"),
    (&["dns/aggregate"], &[("interval", "7m")], "interval"),
    (&["dns/aggregate"], &[("interval", "")], "interval"),
    (&["dns/aggregate"], &[("interval", "1h"), ("accessed_from", "0")], "accessed_from"),
    (&["dns/aggregate"], &[("date_from", "0"), ("accessed_to", "now")], "date_from"),
    (&["dns/aggregate"], &[("exists", "maybe")], "exists"),
    (&["dns/rps"], &[("accessed_to", "now")], "accessed_to"),
    (&["dns/aggregate"], &[("by", "colour")], "by"),
    (&["dns/rps"], &[("by", "colour")], "by"),
    (&["dns/rps"], &[("step", "0")], "step"),
    (&["dns/rps"], &[("step", "-60")], "step"),
    (&["dns/rps"], &[("step", "a minute")], "step"),
    (&["dns/raw"], &[("interval", "5m")], "interval"),
    (&["dns/coverage"], &[("host", "www.example")], "host"),
];
const ALL_DNS: &[&str] = &["dns/raw", "dns/aggregate", "dns/rps"];
const ALL: &[&str] = &["dns/raw", "dns/aggregate", "dns/rps", "dns/coverage"];

fn bad_parameters() {
    let central = Central::start(&["picky"]);
    let api = central.api();
    for (calls, parameters, at_fault) in BAD {
        for call in *calls {
            let response = api.get(&format!("/api/v2/monitoring/{call}"), parameters, "text/csv");
            assert_eq!(response.status, 400, "{call} {parameters:?}: {}", response.text());
            assert_eq!(response.problem("parameter"), *at_fault, "{call} {parameters:?}: {}", response.text());
            assert!(response.problem("detail").contains(at_fault), "{call} {parameters:?}: {}", response.text());
        }
    }
}

/// A central with queries for these names, each one more than the previous.
fn asked_for(hosts: &[(&str, &str)]) -> Central {
    let central = Central::start(&["alpha"]);
    let points = hosts.iter().enumerate().map(|(at, (host, record_type))| point(host, record_type, REQUEST, 1 + at as u64, 0));
    let start_s = unix_ms() / 60_000 * 60 - 600;
    send(&central.api_of_server(0), &batch(central.servers[0].id, 1, 0, start_s, &points.collect::<Vec<_>>()));
    central
}

/// The hits of the records selected by a query string.
fn hits(central: &Central, query: &str) -> Vec<u64> {
    let api = central.api();
    let url = format!("{}?{query}", api.url("/api/v2/monitoring/dns/aggregate", &[]));
    let url = reqwest::Url::parse(&url).expect("an address");
    let response = api.send(reqwest::Method::GET, url, &[], Vec::new()).expect("an answer");
    assert_eq!(response.status, 200, "{query}: {}", response.text());
    let rows = response.json();
    let hits = rows.as_array().into_iter().flatten().filter_map(|row| row["hits"].as_u64());
    let mut hits: Vec<u64> = hits.collect();
    hits.sort_unstable();
    hits
}

fn unicode() {
    let central = asked_for(&[("xn--bcher-kva.example.", "A"), ("www.xn--bcher-kva.example.", "A"), ("bucher.example.", "A")]);
    assert_eq!(hits(&central, "host=b%C3%BCcher.example"), [1]);
    assert_eq!(hits(&central, "host=B%C3%9CCHER.EXAMPLE."), [1]);
    assert_eq!(hits(&central, "host=*.b%C3%BCcher.example"), [2]);
    assert_eq!(hits(&central, "host=bucher.example"), [3]);
}

fn no_text() {
    // The replacement character that a form decoder makes of %ff, and the octet itself.
    let central = asked_for(&[("\\239\\191\\189.example.", "A"), ("\\255.example.", "A")]);
    let api = central.api();
    for (query, parameter) in [
        ("host=%ff.example", "host"),
        ("host=%EF%BF%BD.example&host=%ff.example", "host"),
        ("type=%80", "type"),
        ("limit=1%", "limit"),
    ] {
        let url = format!("{}?{query}", api.url("/api/v2/monitoring/dns/raw", &[]));
        let url = reqwest::Url::parse(&url).expect("an address");
        let response = api.send(reqwest::Method::GET, url, &[], Vec::new()).expect("an answer");
        assert_eq!((response.status, response.problem("parameter").as_str()), (400, parameter), "{query}: {}", response.text());
    }
    assert_eq!(hits(&central, "host=%5C255.example"), [2]);
    assert_eq!(hits(&central, "host=%5C239%5C191%5C189.example"), [1]);
}

fn type_numbers() {
    let central = asked_for(&[("a.example.", "A"), ("a.example.", "HTTPS"), ("a.example.", "TYPE65280")]);
    for (query, expected) in [("type=65", 2), ("type=TYPE65", 2), ("type=https", 2), ("type=1", 1), ("type=65280", 3)] {
        assert_eq!(hits(&central, query), [expected], "{query}");
    }
}

fn escape_without_csv() {
    let central = Central::start(&[]);
    for accept in ["application/json", "application/vnd.apache.arrow.stream"] {
        for (escape, status) in [("spreadsheet", 400), ("none", 200)] {
            let response = central.api().get("/api/v2/monitoring/dns/raw", &[("escape", escape)], accept);
            assert_eq!(response.status, status, "{accept} {escape}: {}", response.text());
            assert!(status == 200 || response.problem("parameter") == "escape", "{}", response.text());
        }
    }
}

fn nothing_there() {
    let central = Central::start(&[]);
    let api = central.api();
    for path in ["/api/v2/monitoring/dns/nothing", "/api/v3/monitoring/dns/raw", "/api/v2/"] {
        let response = api.get(path, &[], "application/json");
        assert_eq!(response.status, 404, "{path}: {}", response.text());
        response.problem("detail");
    }
    let url = api.url("/api/v2/monitoring/dns/raw", &[]);
    let response = api.send(reqwest::Method::DELETE, url, &[], Vec::new()).expect("an answer");
    assert_eq!(response.status, 405, "{}", response.text());
    response.problem("detail");
    let response = api.get("/api/v2/monitoring/dns/raw", &[], "image/png");
    assert_eq!(response.status, 406, "{}", response.text());
    response.problem("detail");
}

fn described() {
    let central = Central::start(&[]);
    let api = central.api();
    let document = api.get("/api/v2/openapi.json", &[], "application/json");
    assert_eq!(document.status, 200, "{}", document.text());
    let document = document.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
    for call in ALL {
        let parameters = &document["paths"][format!("/api/v2/monitoring/{call}")]["get"]["parameters"];
        let names: Vec<&str> = parameters.as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
        for name in ["server_id", "date_from", "date_to", "sort", "offset", "limit", "escape"] {
            assert!(names.contains(&name), "{call} has {name}, the document only {names:?}");
        }
    }
    assert!(document["paths"]["/api/v2/batches"]["post"].is_object());
}
