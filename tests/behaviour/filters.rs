//! Every filter against a store with known contents: the API's answers equal those of a loop over
//! all points.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use zonepulse_dns::Action;
use zonepulse_tests::api::{Row, number, rfc3339, text, time_ms};
use zonepulse_tests::needs::test;
use zonepulse_tests::small_store::{Known, MINUTES, SmallStore};

pub fn trials() -> Vec<Trial> {
    vec![
        test("raw_points_are_those_that_the_filters_let_through", raw),
        test("totals_are_sums_of_what_the_filters_let_through", totals),
        test("totals_are_chosen_by_last_access", by_last_access),
        test("totals_of_what_was_not_accessed_are_of_existing_names", existing),
        test("totals_over_a_range_are_sums_of_the_range", totals_over_a_range),
        test("series_are_sums_by_bucket", series),
        test("series_split_by_record_and_by_server_add_up", series_split),
        test("requests_per_second_tell_no_hit_from_no_report", rates),
        test("pages_and_orders_cut_and_sort_the_whole_answer", pages),
        test("coverage_tells_every_batch", coverage),
    ]
}

type Parameters = Vec<(&'static str, String)>;
type Wanted = Box<dyn Fn(&Known) -> bool>;

fn borrowed<'a>(parameters: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    parameters.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn case(parameters: &[(&'static str, &str)], wanted: impl Fn(&Known) -> bool + 'static) -> (Parameters, Wanted) {
    (parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), Box::new(wanted))
}

fn host(known: &Known) -> &str {
    &known.point.host
}

fn record_type(known: &Known) -> String {
    known.point.record_type.to_string()
}

/// Filters on everything except time and action.
fn cases(store: &SmallStore) -> Vec<(Parameters, Wanted)> {
    let [alpha, beta] = [0, 1].map(|n| store.central.servers[n].id.to_string());
    vec![
        case(&[], |_| true),
        case(&[("server_id", &alpha)], |known| known.server == 0),
        case(&[("server_id", &alpha), ("server_id", &beta)], |_| true),
        case(&[("resource_id", "0")], |_| true),
        case(&[("resource_id", "17")], |_| false),
        case(&[("host", "www.example")], |known| host(known) == "www.example."),
        case(&[("host", "WWW.Example.")], |known| host(known) == "www.example."),
        case(&[("host", ".")], |known| host(known) == "."),
        case(&[("host", "*.shop.example")], |known| host(known).ends_with(".shop.example.")),
        case(&[("host", "www.*")], |known| host(known).starts_with("www.")),
        case(&[("host", "*sho*")], |known| host(known).contains("sho")),
        case(&[("host", "a\\.b.example")], |known| host(known) == "a\\.b.example."),
        case(&[("host", "old.example"), ("host", ".")], |known| ["old.example.", "."].contains(&host(known))),
        case(&[("host", "never.example")], |_| false),
        case(&[("host", "<other> example")], |known| host(known) == "<other> example."),
        case(&[("host", "<other>*")], |known| host(known).starts_with("<other>")),
        case(&[("host", "<other> *")], |known| host(known).starts_with("<other> ")),
        case(&[("host", "<other>.example")], |known| host(known) == "<other>.example."),
        case(&[("folded", "true")], |known| host(known).starts_with("<other> ")),
        case(&[("folded", "false")], |known| !host(known).starts_with("<other> ")),
        case(&[("folded", "false"), ("host", "<other>*")], |known| host(known) == "<other>.example."),
        case(&[("folded", "true"), ("type", "A")], |_| false),
        case(&[("type", "A")], |known| record_type(known) == "A"),
        case(&[("type", "a"), ("type", "MX")], |known| ["A", "MX"].contains(&&*record_type(known))),
        case(&[("type", "TYPE65280")], |known| record_type(known) == "TYPE65280"),
        case(&[("type", "TYPE1")], |known| record_type(known) == "A"),
        case(&[("type", "CAA")], |_| false),
        case(&[("type", "A"), ("host", "www.example"), ("server_id", &beta)], |known| {
            known.server == 1 && host(known) == "www.example." && record_type(known) == "A"
        }),
    ]
}

/// Filters on action and response code; the last member says whether requests are included.
fn kinds() -> Vec<(Parameters, Wanted)> {
    vec![
        case(&[("action", "request")], |known| known.action() == Action::Request),
        case(&[("action", "response")], |known| known.action() == Action::Response),
        case(&[("rcode", "NXDOMAIN")], |known| known.rcode() == "NXDOMAIN"),
        case(&[("rcode", "3")], |known| known.rcode() == "NXDOMAIN"),
        case(&[("rcode", "noerror"), ("rcode", "REFUSED")], |known| ["NOERROR", "REFUSED"].contains(&&*known.rcode())),
        case(&[("action", "response"), ("rcode", "SERVFAIL")], |known| known.rcode() == "SERVFAIL"),
    ]
}

/// The key of a raw point, and its numbers.
type RawKey = (u64, u64, String, String, String, String, u64, u64, u64);

fn raw_key(row: &Row) -> RawKey {
    (
        time_ms(row, "time"),
        number(row, "server_id"),
        text(row, "host").to_owned(),
        text(row, "type").to_owned(),
        text(row, "action").to_owned(),
        text(row, "rcode").to_owned(),
        number(row, "hits"),
        time_ms(row, "last_access"),
        number(row, "interval_s"),
    )
}

fn known_key(store: &SmallStore, known: &Known) -> RawKey {
    (
        known.start_s * 1000,
        u64::from(store.central.servers[known.server].id),
        known.point.host.clone(),
        record_type(known),
        known.action().to_string(),
        known.rcode(),
        known.point.hits,
        known.last_ms(),
        60,
    )
}

fn raw() {
    let store = SmallStore::start();
    let api = store.central.api();
    let (from_s, to_s) = (store.begin_s + 600, store.begin_s + 3600);
    let mut all = cases(&store);
    all.extend(kinds());
    let (from, to) = (from_s.to_string(), to_s.to_string());
    all.push(case(&[("date_from", &from)], move |known| known.start_s >= from_s));
    all.push(case(&[("date_to", &to)], move |known| known.start_s < to_s));
    all.push(case(&[("date_from", &from), ("date_to", &to), ("type", "AAAA"), ("action", "request")], move |known| {
        (from_s..to_s).contains(&known.start_s) && record_type(known) == "AAAA" && known.action() == Action::Request
    }));
    all.push(case(&[("date_from", &to), ("date_to", &to)], |_| false));
    for (parameters, wanted) in &all {
        let mut found: Vec<RawKey> = api.all_rows("dns/raw", &borrowed(parameters)).iter().map(raw_key).collect();
        let mut expected: Vec<RawKey> =
            store.known.iter().filter(|known| wanted(known)).map(|known| known_key(&store, known)).collect();
        found.sort();
        expected.sort();
        assert_eq!(found.len(), expected.len(), "{parameters:?}");
        assert_eq!(found, expected, "{parameters:?}");
    }
    for row in api.rows("dns/raw", &[("limit", "100000")]) {
        assert_eq!(row["folded"].as_bool(), Some(text(&row, "host").starts_with("<other> ")), "{row:?}");
    }
    let row = &api.rows("dns/raw", &[("limit", "1")])[0];
    let columns: Vec<&str> = row.keys().map(String::as_str).collect();
    let mut expected = [
        "time",
        "interval_s",
        "server_id",
        "server",
        "resource_id",
        "host",
        "type",
        "folded",
        "action",
        "rcode",
        "hits",
        "last_access",
    ];
    expected.sort_unstable();
    assert_eq!(columns, expected);
}

/// Hits, first and last, by any key.
type Sums<K> = BTreeMap<K, (u64, u64, u64)>;

fn sum<'a, K: Ord>(points: impl Iterator<Item = &'a Known>, key: impl Fn(&Known) -> K) -> Sums<K> {
    let mut sums = Sums::new();
    for known in points {
        let entry = sums.entry(key(known)).or_insert((0, u64::MAX, 0));
        *entry = (entry.0 + known.point.hits, entry.1.min(known.first_ms()), entry.2.max(known.last_ms()));
    }
    sums
}

fn total(row: &Row) -> (u64, u64, u64) {
    (number(row, "hits"), time_ms(row, "first_seen"), time_ms(row, "last_access"))
}

fn record(known: &Known) -> (String, String) {
    (known.point.host.clone(), record_type(known))
}

fn record_of(row: &Row) -> (String, String) {
    (text(row, "host").to_owned(), text(row, "type").to_owned())
}

fn totals() {
    let store = SmallStore::start();
    let api = store.central.api();
    let is_request = |known: &&Known| known.action() == Action::Request;
    for (parameters, wanted) in cases(&store) {
        let found = api.all_rows("dns/aggregate", &borrowed(&parameters));
        let found: Sums<_> = found.iter().map(|row| (record_of(row), total(row))).collect();
        // A request and its response are not two hits.
        let expected = sum(store.known.iter().filter(|known| wanted(known)).filter(is_request), record);
        assert_eq!(found, expected, "{parameters:?}");
    }
    for (parameters, wanted) in kinds() {
        let found = api.all_rows("dns/aggregate", &borrowed(&parameters));
        let found: Sums<_> = found.iter().map(|row| (record_of(row), total(row))).collect();
        assert_eq!(found, sum(store.known.iter().filter(|known| wanted(known)), record), "{parameters:?}");
    }
    let rows = api.all_rows("dns/aggregate", &[("by", "server,action")]);
    let found: Sums<_> = rows
        .iter()
        .map(|row| ((record_of(row), text(row, "server").to_owned(), text(row, "action").to_owned()), total(row)))
        .collect();
    let server = |known: &Known| ["alpha", "beta"][known.server].to_owned();
    assert_eq!(found, sum(store.known.iter(), |known| (record(known), server(known), known.action().to_string())));
}

fn by_last_access() {
    let store = SmallStore::start();
    let api = store.central.api();
    let all = sum(store.known.iter().filter(|known| known.action() == Action::Request), record);
    // old.example. was last queried in minute 29: what can be deleted safely?
    let until = (store.begin_s + 1800).to_string();
    let rows = api.rows("dns/aggregate", &[("date_to", &until)]);
    assert_eq!(rows.iter().map(record_of).collect::<Vec<_>>(), [("old.example.".to_owned(), "MX".to_owned())]);
    assert_eq!(total(&rows[0]), all[&("old.example.".to_owned(), "MX".to_owned())]);
    // The bounds apply to the last access itself: `from` is inclusive, `to` exclusive.
    let last_ms = all[&("old.example.".to_owned(), "MX".to_owned())].2;
    let instant = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let count = |name: &str, ms: u64| api.rows("dns/aggregate", &[(name, &rfc3339(ms)), ("host", "old.example")]).len();
    // `date_…` are the former names.
    for (from, to) in [("accessed_from", "accessed_to"), ("date_from", "date_to")] {
        assert_eq!((count(from, last_ms), count(from, last_ms + 1)), (1, 0), "{from} {}", instant(last_ms));
        assert_eq!((count(to, last_ms), count(to, last_ms + 1)), (0, 1), "{to} {}", instant(last_ms));
    }
}

fn existing() {
    let store = SmallStore::start();
    let api = store.central.api();
    // What servers answered for each record: NXDOMAIN and never NOERROR means that the name does
    // not exist.
    let answered = |of: &(String, String), rcode| store.known.iter().any(|known| record(known) == *of && known.rcode() == rcode);
    let exists = |of: &(String, String)| answered(of, "NOERROR") || !answered(of, "NXDOMAIN");
    let asked_for = sum(store.known.iter().filter(|known| known.action() == Action::Request), record);
    let found = |parameters: &[(&str, &str)]| {
        let mut records: Vec<_> = api.all_rows("dns/aggregate", parameters).iter().map(record_of).collect();
        records.sort();
        records
    };
    let expected = |wanted: bool| asked_for.keys().filter(|record| exists(record) == wanted).cloned().collect::<Vec<_>>();
    let all: Vec<_> = asked_for.keys().cloned().collect();
    let end = (store.begin_s + 120 * MINUTES).to_string();
    assert!(!expected(false).is_empty() && !expected(true).is_empty(), "the store has names of both kinds");
    assert_eq!(found(&[]), all);
    assert_eq!(found(&[("accessed_to", &end)]), expected(true));
    assert_eq!(found(&[("accessed_to", &end), ("exists", "false")]), expected(false));
    assert_eq!(found(&[("exists", "true")]), expected(true));
    // The former name keeps its meaning.
    assert_eq!(found(&[("date_to", &end)]), all);
}

fn totals_over_a_range() {
    let store = SmallStore::start();
    let api = store.central.api();
    for (after_s, until_s) in [(0, 60 * MINUTES), (300, 3600), (60, 120), (420, 4020)] {
        let (from, to) = ((store.begin_s + after_s).to_string(), (store.begin_s + until_s).to_string());
        let within = store.begin_s + after_s..store.begin_s + until_s;
        for (parameters, wanted) in cases(&store).into_iter().chain(kinds()) {
            let mut all = borrowed(&parameters);
            all.extend([("interval", "all"), ("by", "record"), ("date_from", &*from), ("date_to", &*to)]);
            let says_kind = parameters.iter().any(|(name, _)| ["action", "rcode"].contains(name));
            let rows = api.all_rows("dns/aggregate", &all);
            let found: BTreeMap<_, _> =
                rows.iter().map(|row| (record_of(row), (number(row, "hits"), time_ms(row, "last_access")))).collect();
            let points = store.known.iter().filter(|known| wanted(known) && within.contains(&known.start_s));
            let expected = sum(points.filter(|known| says_kind || known.action() == Action::Request), record);
            assert_eq!(found, expected.into_iter().map(|(of, (hits, _, last))| (of, (hits, last))).collect(), "{all:?}");
            assert!(rows.is_sorted_by(|a, b| number(a, "hits") >= number(b, "hits")), "{all:?}: most hits first");
        }
    }
}

fn series() {
    let store = SmallStore::start();
    let api = store.central.api();
    let (from_s, to_s) = (store.begin_s, store.begin_s + 60 * MINUTES);
    let (from, to) = (from_s.to_string(), to_s.to_string());
    for (word, length_s) in [("5m", 300), ("15m", 900), ("30m", 1800), ("1h", 3600)] {
        for (parameters, wanted) in cases(&store).into_iter().chain(kinds()) {
            let mut all = borrowed(&parameters);
            all.extend([("interval", word), ("date_from", &*from), ("date_to", &*to)]);
            let says_kind = parameters.iter().any(|(name, _)| ["action", "rcode"].contains(name));
            let rows = api.all_rows("dns/aggregate", &all);
            let found: BTreeMap<u64, (u64, u64)> = rows
                .iter()
                .filter(|row| number(row, "hits") > 0)
                .map(|row| (time_ms(row, "time"), (number(row, "hits"), time_ms(row, "last_access"))))
                .collect();
            let points = store.known.iter().filter(|known| wanted(known));
            let points = points.filter(|known| says_kind || known.action() == Action::Request);
            let expected = sum(points, |known| known.start_s / length_s * length_s * 1000);
            let expected = expected.into_iter().map(|(time, (hits, _, last))| (time, (hits, last))).collect();
            assert_eq!(found, expected, "{all:?}");
        }
    }
}

fn series_split() {
    let store = SmallStore::start();
    let api = store.central.api();
    let (from, to) = ((store.begin_s + 300).to_string(), (store.begin_s + 3600).to_string());
    let range = [("interval", "15m"), ("date_from", &*from), ("date_to", &*to)];
    let within = |known: &&Known| {
        (store.begin_s + 300..store.begin_s + 3600).contains(&known.start_s) && known.action() == Action::Request
    };
    let bucket = |known: &Known| known.start_s / 900 * 900_000;
    let hits = |rows: &[Row]| rows.iter().filter(|row| number(row, "hits") > 0).cloned().collect::<Vec<_>>();

    let rows = hits(&api.all_rows("dns/aggregate", &[&range[..], &[("by", "record")]].concat()));
    let found: BTreeMap<_, _> = rows.iter().map(|row| ((time_ms(row, "time"), record_of(row)), number(row, "hits"))).collect();
    let expected = sum(store.known.iter().filter(within), |known| (bucket(known), record(known)));
    assert_eq!(found, expected.into_iter().map(|(key, (hits, _, _))| (key, hits)).collect());

    let rows = hits(&api.all_rows("dns/aggregate", &[&range[..], &[("by", "server")]].concat()));
    let found: BTreeMap<_, _> =
        rows.iter().map(|row| ((time_ms(row, "time"), number(row, "server_id")), number(row, "hits"))).collect();
    let id = |known: &Known| u64::from(store.central.servers[known.server].id);
    let expected = sum(store.known.iter().filter(within), |known| (bucket(known), id(known)));
    assert_eq!(found, expected.into_iter().map(|(key, (hits, _, _))| (key, hits)).collect());
}

fn rates() {
    let store = SmallStore::start();
    let api = store.central.api();
    let (from, to) = (store.begin_s.to_string(), (store.begin_s + 60 * MINUTES).to_string());
    let alpha = store.central.servers[0].id.to_string();
    type Rates<'a> = (Vec<(&'static str, &'a str)>, fn(&Known) -> bool, fn(usize) -> bool);
    let selections: [Rates<'_>; 3] = [
        (vec![], |known| known.action() == Action::Request, |_| true),
        (vec![("server_id", &alpha)], |known| known.server == 0 && known.action() == Action::Request, |server| server == 0),
        (
            vec![("action", "response"), ("type", "AAAA")],
            |known| known.action() == Action::Response && record_type(known) == "AAAA",
            |_| true,
        ),
    ];
    for (selection, wanted, of) in &selections {
        for step_s in [60_u64, 300] {
            let step = step_s.to_string();
            let mut all = selection.clone();
            all.extend([("date_from", &*from), ("date_to", &*to), ("step", &*step)]);
            let rows = api.all_rows("dns/rps", &all);
            assert_eq!(rows.len() as u64, 60 * MINUTES / step_s, "{all:?}");
            for (n, row) in rows.iter().enumerate() {
                let start_s = store.begin_s + step_s * n as u64;
                let step = start_s..start_s + step_s;
                assert_eq!(time_ms(row, "time"), start_s * 1000);
                let points = store.known.iter().filter(|known| wanted(known) && step.contains(&known.start_s));
                let hits: u64 = points.map(|known| known.point.hits).sum();
                // Each server's hits divided by the seconds that its probe covered.
                let rates: Vec<f64> = (0..2)
                    .filter_map(|server| {
                        let reported = store.reported.iter().filter(|(of, start_s)| *of == server && step.contains(start_s));
                        let covered_s = 60 * reported.count();
                        let points = store.known.iter().filter(|known| known.server == server && wanted(known));
                        let hits: u64 = points.filter(|known| step.contains(&known.start_s)).map(|known| known.point.hits).sum();
                        (of(server) && covered_s > 0).then_some(hits as f64 / covered_s as f64)
                    })
                    .collect();
                if !rates.is_empty() {
                    assert_eq!(number(row, "hits"), hits, "{all:?} {row:?}");
                    let rps = row["rps"].as_f64().unwrap_or_else(|| panic!("{all:?}: no rate in {row:?}"));
                    assert!((rps - rates.iter().sum::<f64>()).abs() < 1e-9, "{all:?} {row:?}");
                } else {
                    assert!(row["rps"].is_null(), "{all:?}: nobody reported: {row:?}");
                }
            }
        }
    }
    // The default step is the DNS interval.
    let rows = api.rows("dns/rps", &[("date_from", &from), ("date_to", &to)]);
    assert_eq!(rows.len() as u64, MINUTES);
}

fn pages() {
    let store = SmallStore::start();
    let api = store.central.api();
    let all = api.rows("dns/raw", &[("limit", "100000")]);
    assert_eq!(all.len(), store.known.len());
    let response = api.get("/api/v2/monitoring/dns/raw", &[("limit", "10")], "application/json");
    assert_eq!(response.header("x-total-count"), Some(&*all.len().to_string()), "the total is in a header");

    let sort = ("sort", "-hits,host");
    let sorted = api.rows("dns/raw", &[sort, ("limit", "100000")]);
    assert!(sorted.is_sorted_by_key(|row| (u64::MAX - number(row, "hits"), text(row, "host").to_owned())));
    let mut paged = Vec::new();
    for offset in (0..all.len()).step_by(97) {
        let offset = offset.to_string();
        let page = api.rows("dns/raw", &[sort, ("limit", "97"), ("offset", &offset)]);
        assert!(page.len() <= 97);
        paged.extend(page);
    }
    assert_eq!(paged, sorted);
    assert_eq!(api.rows("dns/raw", &[("limit", "0")]), []);
    assert_eq!(api.rows("dns/raw", &[("offset", "100000")]), []);
}

fn coverage() {
    let store = SmallStore::start();
    let api = store.central.api();
    let rows = api.all_rows("dns/coverage", &[]);
    let id = |server: usize| u64::from(store.central.servers[server].id);
    let mut found: Vec<(u64, u64, u64)> =
        rows.iter().map(|row| (number(row, "server_id"), time_ms(row, "covered_from"), time_ms(row, "covered_until"))).collect();
    let mut expected: Vec<(u64, u64, u64)> =
        store.reported.iter().map(|(server, start_s)| (id(*server), start_s * 1000, (start_s + 60) * 1000)).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let beta = store.central.servers[1].id.to_string();
    let (from, to) = ((store.begin_s + 600).to_string(), (store.begin_s + 1200).to_string());
    let rows = api.rows("dns/coverage", &[("server_id", &beta), ("date_from", &from), ("date_to", &to)]);
    assert_eq!(rows.len(), 10);
    for row in &rows {
        let of = |known: &&Known| known.server == 1 && known.start_s * 1000 == time_ms(row, "time");
        let hits: u64 = store.known.iter().filter(of).map(|known| known.point.hits).sum();
        assert_eq!((number(row, "hits"), number(row, "messages_seen")), (hits, hits));
    }
}
