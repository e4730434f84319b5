//! The web page in a browser, against a real central: one trial per file of `web/tests/page`.

mod world;

use libtest_mimic::Trial;
use world::World;
use zonepulse_tests::browser::{spec, units};
use zonepulse_tests::needs::{browser, node, test_with};
use zonepulse_tests::{Central, unix_ms};

/// By the name of the file: what the page does.
const SPECS: [(&str, &str); 9] = [
    ("views", "the_page_shows_every_view_by_address_navigation_reload_and_back_without_an_error"),
    ("accessible", "the_page_is_accessible_in_both_themes_and_fits_a_phone_in_every_view"),
    ("zones", "the_page_leads_from_a_zone_file_to_verdicts_a_plan_and_its_script"),
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
    trials.push(test_with("the_modules_of_the_page_pass_their_own_tests", node, |()| units()));
    trials
}

fn now_s() -> u64 {
    unix_ms() / 1000
}
