//! Records not accessed for some time: existing names that were queried by anyone other than the
//! probe.

use libtest_mimic::Trial;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, rfc3339, text};
use zonepulse_tests::browser::Page;
use zonepulse_tests::needs::{browser, capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::small_store::SmallStore;
use zonepulse_tests::{Central, Knot, Probe, eventually, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("idle_records_of_a_live_server_exist_and_are_none_of_the_probes_own_questions", capture_rights, live),
        test_with("the_page_lists_idle_records_that_exist_and_others_on_request", browser, |()| page()),
    ]
}

const WITHIN: Duration = Duration::from_secs(30);

fn live(_alone: MutexGuard<'static, ()>) {
    let knot = Knot::start();
    let central = Central::start(&["ns1"]);
    let probe = Probe::new(&Settings { port: knot.port, interval_s: 1, ..Settings::http(&central, 0) });
    probe.configure("components.ask_dns_version = false", |_| {
        format!(
            "components.ask_dns_version = true\ncomponents.dns = \"knotd\"\ncomponents.dns_address = \"127.0.0.1:{}\"",
            knot.port
        )
    });
    let mut probe = probe;
    // The probe asks for the version at once. Freeze the server so that the answer comes while the
    // probe listens.
    knot.freeze();
    probe.start();
    eventually("the probe listens", WITHIN, || probe.log().contains("listening").then_some(()));
    knot.thaw();
    let api = central.api();
    eventually("the probe has seen its own question", WITHIN, || {
        api.rows("dns/coverage", &[]).iter().any(|row| text(row, "losses").contains("own_messages=")).then_some(())
    });
    assert_eq!((knot.ask("www.example", 1), knot.ask("nowhere.example", 1)), (0, 3));
    let hosts = |call: &str, parameters: &[(&str, &str)]| {
        let mut hosts: Vec<String> = api.rows(call, parameters).iter().map(|row| text(row, "host").to_owned()).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    };
    let both = ["nowhere.example.", "www.example."];
    eventually("both are counted", WITHIN, || (hosts("dns/raw", &[ALL_TIME]).len() >= 2).then_some(()));
    assert_eq!(hosts("dns/raw", &[ALL_TIME]), both);
    probe.stop();
    let soon = (unix_ms() / 1000 + 60).to_string();
    assert_eq!(hosts("dns/aggregate", &[]), both);
    assert_eq!(hosts("dns/aggregate", &[("accessed_to", &soon)]), ["www.example."]);
    assert_eq!(hosts("dns/aggregate", &[("accessed_to", &soon), ("exists", "false")]), ["nowhere.example."]);
    assert_eq!(hosts("dns/aggregate", &[("accessed_from", &soon)]), [""; 0]);
}

fn page() {
    // Its contents are more than an hour old.
    let store = SmallStore::start();
    let hour_ago = rfc3339(unix_ms() - 3_600_000);
    let idle =
        |names: &str| Page::open(&store.central, &format!("records?sort=last_access&names={names}&accessed_to={hour_ago}"));
    let (existing, others) = (idle("existing"), idle("missing"));
    // None of the last hour was observed.
    let doubt = existing.notices().join("\n");
    assert!(doubt.contains("These totals may be too low.") && doubt.contains("alpha was observed for"), "{doubt}");
    let (existing, others) = (existing.rows("Records").join("\n"), others.rows("Records").join("\n"));
    assert!(existing.contains("old.example.") && existing.contains("www.example."), "{existing}");
    // It was only ever answered with NXDOMAIN.
    assert!(!existing.contains("api.shop.example."), "{existing}");
    assert!(others.contains("api.shop.example.") && !others.contains("old.example."), "{others}");
}
