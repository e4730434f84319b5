//! The web page in a browser, against a real central: one trial per file of `web/tests/page`.

mod world;

use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::fs;
use world::World;
use zonepulse_tests::browser::{spec, units};
use zonepulse_tests::false_clock::FalseClock;
use zonepulse_tests::needs::{browser, node, test_with};
use zonepulse_tests::primary::{self, Primary};
use zonepulse_tests::{Central, unix_ms};

/// By the name of the file: what the page does.
const SPECS: [(&str, &str); 8] = [
    ("views", "the_page_shows_every_view_by_address_navigation_reload_and_back_without_an_error"),
    ("accessible", "the_page_is_accessible_in_both_themes_and_fits_a_phone_in_every_view"),
    ("tables", "the_page_sorts_filters_and_pages_by_its_address_and_saves_the_same_rows"),
    ("faults", "the_page_says_where_calls_fail_are_slow_or_make_no_sense"),
    ("login", "the_page_asks_who_is_there_and_returns_to_the_view_after_a_session_has_expired"),
    ("roles", "the_page_offers_nobody_what_they_may_not_do"),
    ("hostile", "the_page_shows_hostile_names_and_is_not_harmed_by_them"),
    ("budgets", "the_page_shows_its_first_view_within_its_budgets"),
];

pub fn trials() -> Vec<Trial> {
    let wizard = "the_page_adds_a_server_in_five_steps_and_sees_its_probe_enrol";
    let mut trials: Vec<Trial> = SPECS
        .into_iter()
        .map(|(file, name)| test_with(name, browser, move |()| spec(file, &World::start().central, &[])))
        .collect();
    trials.push(test_with(wizard, browser, |()| spec("wizard", &Central::start(&[]), &[])));
    let retire = "the_page_leads_from_a_zone_file_to_verdicts_a_plan_and_a_script_that_removes_records";
    trials.push(test_with(retire, || browser().and_then(|()| primary::need()), |()| retire_records()));
    let expire = "a_session_ends_on_the_page_after_hours_without_a_call";
    trials.push(test_with(expire, browser, |()| session_expires()));
    trials.push(test_with("the_modules_of_the_page_pass_their_own_tests", node, |()| units()));
    trials
}

/// The scripts that the page saves, applied to a server.
fn retire_records() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().to_str().expect("a temporary folder has a name in UTF-8");
    spec("zones", &World::start().central, &[("ZONEPULSE_TESTS_SAVED", path)]);
    let saved = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let primary = Primary::start_of("fresh.example.", &saved("zone"));
    // The serial of the SOA changes with each update.
    let records = || primary.records().into_iter().filter(|record| !record.contains(" SOA ")).collect::<BTreeSet<_>>();
    let before = records();
    primary.update(&saved("removed"));
    let gone: Vec<String> = before.difference(&records()).cloned().collect();
    assert_eq!(gone, ["alias.fresh.example. 3600 CNAME forgotten.fresh.example.", "forgotten.fresh.example. 3600 A 192.0.2.1"]);
    primary.update(&saved("undo"));
    assert_eq!(records(), before);
}

/// With the central's clock set forward.
fn session_expires() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let clock = FalseClock::new(folder.path());
    let central = Central::start_on(folder.path(), &["ns1"], &clock.environment());
    let [_, (_, offset)] = clock.environment();
    spec("expiry", &central, &[("ZONEPULSE_TESTS_CLOCK", offset)]);
}

fn now_s() -> u64 {
    unix_ms() / 1000
}
