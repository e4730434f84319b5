//! Answers are compressed for clients that accept it, with the same contents.

use flate2::read::GzDecoder;
use libtest_mimic::Trial;
use reqwest::Method;
use std::io::Read;
use zonepulse_tests::api::Response;
use zonepulse_tests::needs::test;
use zonepulse_tests::small_store::SmallStore;

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_compressed_answer_is_the_same_in_every_format", same),
        test("a_compressed_answer_to_sql_is_the_same", sql),
        test("an_answer_is_compressed_as_it_is_accepted", accepted),
    ]
}

const CALL: &str = "/api/v2/monitoring/dns/raw";

fn get(store: &SmallStore, path: &str, headers: &[(&str, &str)]) -> Response {
    let api = store.central.api();
    let begin = store.begin_s.to_string();
    let parameters: &[_] = if path == CALL { &[("date_from", begin.as_str()), ("limit", "100000")] } else { &[] };
    let response = api.send(Method::GET, api.url(path, parameters), headers, Vec::new()).expect("an answer");
    assert_eq!(response.status, 200, "{}", response.text());
    response
}

fn unpacked(response: &Response) -> Vec<u8> {
    match response.header("content-encoding") {
        None => response.body.clone(),
        Some("zstd") => zstd::stream::decode_all(&response.body[..]).expect("a whole frame of zstd"),
        Some("gzip") => {
            let mut bytes = Vec::new();
            GzDecoder::new(&response.body[..]).read_to_end(&mut bytes).expect("a whole file of gzip");
            bytes
        }
        Some(other) => panic!("compressed by {other}"),
    }
}

fn same() {
    let store = SmallStore::start();
    for format in ["application/json", "text/csv", "application/vnd.apache.arrow.stream"] {
        let plain = get(&store, CALL, &[("accept", format)]);
        assert_eq!(plain.header("content-encoding"), None);
        assert!(plain.body.len() > 10_000, "{} bytes", plain.body.len());
        for coding in ["zstd", "gzip"] {
            let response = get(&store, CALL, &[("accept", format), ("accept-encoding", coding)]);
            assert_eq!(response.header("content-encoding"), Some(coding), "{format}");
            assert_eq!(response.header("vary"), Some("accept, accept-encoding"), "{format}");
            assert_eq!(response.header("x-total-count"), plain.header("x-total-count"));
            assert!(response.body.len() * 3 < plain.body.len(), "{format} {coding}: {} bytes", response.body.len());
            assert!(unpacked(&response) == plain.body, "{format} {coding}");
        }
    }
}

fn sql() {
    let store = SmallStore::start();
    let api = store.central.api();
    let ask = |coding: &str| {
        let headers = [("content-type", "application/sql"), ("accept", "text/csv"), ("accept-encoding", coding)];
        let text = "SELECT host, type, action, rcode, hits FROM dns_raw ORDER BY time, server_id, host, type, action, rcode";
        let response = api.send(Method::POST, api.url("/api/v2/sql", &[]), &headers, text.into()).expect("an answer");
        assert_eq!(response.status, 200, "{}", response.text());
        response
    };
    let plain = ask("identity");
    assert!(plain.body.len() > 10_000, "{} bytes", plain.body.len());
    for coding in ["zstd", "gzip"] {
        let response = ask(coding);
        assert_eq!(response.header("content-encoding"), Some(coding));
        assert!(response.body.len() * 3 < plain.body.len(), "{coding}: {} bytes", response.body.len());
        assert!(unpacked(&response) == plain.body, "{coding}");
    }
}

fn accepted() {
    let store = SmallStore::start();
    for (accept, expected) in [
        ("gzip, deflate, br", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip;q=0", None),
        ("br", None),
        ("identity, gzip;q=0.1", None),
    ] {
        assert_eq!(get(&store, CALL, &[("accept-encoding", accept)]).header("content-encoding"), expected, "{accept}");
    }
    let small = get(&store, "/healthz", &[("accept-encoding", "gzip")]);
    assert_eq!(small.header("content-encoding"), None);
    for path in ["/", "/api/v2/openapi.json", "/api/docs/swagger-ui-bundle.js"] {
        let (plain, packed) = (get(&store, path, &[]), get(&store, path, &[("accept-encoding", "gzip")]));
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path}");
        assert!(unpacked(&packed) == plain.body, "{path}");
    }
}
