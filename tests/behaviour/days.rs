//! Days in time zones around changes of daylight saving time, and times in the formats that people
//! write.

use libtest_mimic::Trial;
use zonepulse_tests::api::{Row, number, rfc3339_ms, time_ms};
use zonepulse_tests::batches::{REQUEST, batch, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Central, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_day_on_which_clocks_change_has_23_or_25_hours", changing),
        test("days_begin_at_midnight_where_hours_are_split", split_hours),
        test("times_may_be_dates_or_counted_from_now", times),
        test("pages_of_the_last_hours_are_of_the_same_hours", pages),
    ]
}

const DAY_S: u64 = 86_400;

/// A central with unlimited retention.
fn central() -> Central {
    let central = Central::start(&["alpha"]);
    let forever = serde_json::json!({ "raw_retention_minutes": u32::MAX, "aggregated_retention_days": u32::MAX });
    let response = central.api().send_json(reqwest::Method::PATCH, "/api/v2/settings", &forever);
    assert_eq!(response.status, 200, "{}", response.text());
    central
}

/// Sends one hit at each of these times.
fn fill(central: &Central, starts_s: impl Iterator<Item = u64>) {
    let api = central.api_of_server(0);
    for (seq, start_s) in starts_s.enumerate() {
        send(&api, &batch(central.servers[0].id, 1, seq as u64, start_s, &[point("www.example.", "A", REQUEST, 1, 0)]));
    }
}

/// Times, Unix seconds, and hits.
fn told(rows: &[Row]) -> Vec<(u64, u64)> {
    rows.iter().map(|row| (time_ms(row, "time") / 1000, number(row, "hits"))).collect()
}

/// The last change of daylight saving time in Prague in March or October, at 01:00 UTC on the
/// month's last Sunday: its date, the date of the day before, and when that begins in UTC, Unix
/// seconds.
fn change(month: u64) -> (String, String, u64) {
    let of_year = |year: u64| {
        let last_s = rfc3339_ms(&format!("{year}-{month:02}-31T00:00:00Z")) / 1000;
        // 1970 began on a Thursday.
        let after_sunday = (last_s / DAY_S + 4) % 7;
        let date = |day: u64| format!("{year}-{month:02}-{day}");
        (date(31 - after_sunday), date(30 - after_sunday), last_s - after_sunday * DAY_S)
    };
    let past = (2024..).map(of_year).take_while(|(.., start_s)| (start_s + 3 * DAY_S) * 1000 < unix_ms());
    past.last().expect("clocks were changed before")
}

fn changing() {
    let central = central();
    let (spring, autumn) = (change(3), change(10));
    let hours = |start_s: u64| (0..72).map(move |hour| start_s - DAY_S + hour * 3600);
    fill(&central, hours(spring.2).chain(hours(autumn.2)));
    for ((date, before, start_s), offset_h, hours) in [(spring, 1, 23), (autumn, 2, 25)] {
        let midnight_s = start_s - offset_h * 3600;
        let (from, to) = ((midnight_s - DAY_S).to_string(), (midnight_s + hours * 3600).to_string());
        let days = |from: &str, to: &str| {
            let zone = [("interval", "1d"), ("time_zone", "Europe/Prague"), ("by", "record")];
            told(&central.api().rows("dns/aggregate", &[&zone[..], &[("date_from", from), ("date_to", to)]].concat()))
        };
        assert_eq!(days(&date, &to), [(midnight_s, hours)], "{date}");
        // The points begin at midnight UTC.
        assert_eq!(days(&from, &to), [(midnight_s - DAY_S, 24 - offset_h), (midnight_s, hours)], "{date}");
        let utc = [("interval", "1d"), ("date_from", before.as_str()), ("date_to", date.as_str())];
        assert_eq!(told(&central.api().rows("dns/aggregate", &utc)), [(start_s - DAY_S, 24)], "UTC, {before}");
    }
}

fn split_hours() {
    let central = central();
    let begin_s = unix_ms() / 1000 / DAY_S * DAY_S - 4 * DAY_S;
    // One point every quarter of an hour for two days.
    fill(&central, (0..2 * 96).map(|quarter| begin_s + quarter * 900));
    for (zone, midnight_quarters) in [("Asia/Kathmandu", 73), ("Asia/Kolkata", 74)] {
        let (from, to) = (begin_s.to_string(), (begin_s + 2 * DAY_S).to_string());
        let days = [("interval", "1d"), ("time_zone", zone), ("date_from", from.as_str()), ("date_to", to.as_str())];
        let midnight_s = begin_s + midnight_quarters * 900;
        let expected = [(midnight_s - DAY_S, midnight_quarters), (midnight_s, 96), (midnight_s + DAY_S, 96 - midnight_quarters)];
        assert_eq!(told(&central.api().rows("dns/aggregate", &days)), expected, "{zone}");
    }
}

fn times() {
    let central = central();
    let now_s = unix_ms() / 60_000 * 60;
    fill(&central, [now_s - 3 * 86_400, now_s - 7200, now_s - 600].into_iter());
    let count = |parameters: &[(&str, &str)]| central.api().rows("dns/raw", parameters).len();
    assert_eq!(count(&[]), 2, "the last 24 hours");
    assert_eq!(count(&[("date_from", "-1h")]), 1);
    assert_eq!(count(&[("date_from", "-90m"), ("date_to", "now")]), 1);
    assert_eq!(count(&[("date_from", "-3h"), ("date_to", "-1h")]), 1);
    assert_eq!(count(&[("date_from", "-7d")]), 3);
    assert_eq!(count(&[("date_from", "1970-01-01")]), 3);
    assert_eq!(count(&[("date_from", "1970-01-01"), ("date_to", "2020-01-01")]), 0);
    assert_eq!(count(&[("date_from", "1970-01-02"), ("time_zone", "Europe/Prague")]), 3);
}

fn pages() {
    let central = central();
    let now_s = unix_ms() / 60_000 * 60;
    fill(&central, [now_s - 7200, now_s - 600].into_iter());
    let api = central.api();
    let first = api.get("/api/v2/monitoring/dns/raw", &[("date_from", "-24h"), ("date_to", "now"), ("limit", "1")], "text/csv");
    let link = first.header("link").expect("there is another page");
    let path = link.split(['<', '>']).nth(1).expect("a link has an address");
    assert!(!path.contains("-24h") && !path.contains("now"), "{path}");
    let second = api.send(reqwest::Method::GET, api.url(path, &[]), &[("accept", "text/csv")], Vec::new()).expect("an answer");
    assert_eq!((second.status, second.text().lines().count()), (200, 2), "{}", second.text());
    for call in ["raw", "rps", "coverage"] {
        let first = api.get(&format!("/api/v2/monitoring/dns/{call}"), &[("limit", "1")], "text/csv");
        let link = first.header("link").expect("there is another page");
        assert!(link.contains("&date_to="), "the end is left out, and {call} says what it was: {link}");
    }
}
