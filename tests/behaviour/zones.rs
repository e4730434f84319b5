//! Zones of the catalogue: from a file or a primary to ids, verdicts, and plans for deleting records.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};
use zonepulse_tests::api::{Row, number, text};
use zonepulse_tests::batches::{self, REQUEST, point};
use zonepulse_tests::needs::test;
use zonepulse_tests::{Api, Central, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_zone_file_is_loaded_and_its_records_have_resources", loaded),
        test("a_zone_says_how_far_it_is_while_it_is_loaded", loading),
        test("a_zone_in_unicode_is_that_of_its_punycode", unicode),
        test("a_wrong_zone_file_changes_nothing_and_is_told_by_line", refused),
        test("ids_survive_removal_return_changes_labels_and_restarts", ids),
        test("an_import_that_removes_much_waits_for_confirmation", mass_removal),
        test("verdicts_follow_aliases_wildcards_and_references", verdicts),
        test("a_time_that_was_not_observed_makes_verdicts_unobserved", unobserved),
        test("a_plan_is_simulated_exported_and_alerts", retirement),
        test("records_join_and_leave_a_plan_and_the_others_stay_as_they_are", joining_and_leaving),
        test("a_wildcard_alerts_when_it_is_gone", removed_wildcard),
    ]
}

const ZONE: &str = "\
$ORIGIN shop.example.
$TTL 60
@ SOA ns1 hostmaster 7 7200 900 1209600 300
@ NS ns1
@ MX 10 mail
@ CAA 0 issue \"ca.example\"
ns1 A 192.0.2.53
mail A 192.0.2.25
www CNAME web
web A 192.0.2.80
old A 192.0.2.81
never A 192.0.2.82
dead CNAME gone
gone A 192.0.2.83
*.dyn A 192.0.2.84
sub NS ns.sub
ns.sub A 192.0.2.85
";

fn upload(api: &Api, zone_id: u64, zone: &str, confirm: bool) -> zonepulse_tests::api::Response {
    let parameters: &[(&str, &str)] = if confirm { &[("confirm", "true")] } else { &[] };
    let url = api.url(&format!("/api/v2/zones/{zone_id}/file"), parameters);
    let headers = [("content-type", "text/dns"), ("accept", "application/json")];
    api.send(Method::PUT, url, &headers, zone.as_bytes().to_vec()).expect("the central answers")
}

/// The rows of a list outside of monitoring.
fn list(api: &Api, path: &str, parameters: &[(&str, &str)]) -> Vec<Row> {
    let answer = api.get(path, parameters, "application/json");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let rows = answer.json();
    rows.as_array().expect("a list").iter().map(|row| row.as_object().expect("a row").clone()).collect()
}

fn added(api: &Api, apex: &str, zone: &str) -> u64 {
    let created = api.send_json(Method::POST, "/api/v2/zones", &json!({ "zone": apex }));
    assert_eq!(created.status, 201, "{}", created.text());
    let id = created.json()["zone_id"].as_u64().expect("an id");
    let imported = upload(api, id, zone, false);
    assert_eq!(imported.status, 200, "{}", imported.text());
    id
}

fn resources(api: &Api, parameters: &[(&str, &str)]) -> BTreeMap<String, u64> {
    let rows = list(api, "/api/v2/resources", parameters);
    rows.iter().map(|row| (format!("{} {}", text(row, "host"), text(row, "type")), number(row, "resource_id"))).collect()
}

fn now_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs()
}

/// A central whose server reports every minute of the last `minutes` without loss, and asks for these names in a minute so
/// many before now.
fn observed(minutes: u64, asked: &[(&str, &str, u64)], left_out: &[u64]) -> Central {
    let central = Central::start(&["ns1"]);
    let sender = central.api_of_server(0);
    let last_s = now_s() / 60 * 60 - 60;
    for ago in (0..minutes).rev().filter(|ago| !left_out.contains(ago)) {
        let of_minute = asked.iter().filter(|(_, _, at)| *at == ago);
        let points: Vec<_> = of_minute.map(|(host, rtype, _)| point(host, rtype, REQUEST, 3, 1000)).collect();
        let seq = minutes - ago;
        batches::send(&sender, &batches::batch(central.servers[0].id, 1, seq, last_s - ago * 60, &points));
    }
    central
}

fn verdicts_of(api: &Api, window: &str) -> BTreeMap<String, (String, String)> {
    let parameters = [("not_accessed_for", window), ("margin", "0s"), ("order", "zone")];
    let rows = api.rows("dns/verdicts", &parameters);
    let row = |row: &Row| {
        let name = format!("{} {}", text(row, "host"), text(row, "type"));
        (name, (text(row, "verdict").to_owned(), text(row, "reasons").to_owned()))
    };
    rows.iter().map(row).collect()
}

fn loaded() {
    let central = observed(3, &[("web.shop.example.", "A", 1), ("www.other.example.", "A", 1)], &[]);
    let api = central.api();
    let zone_id = added(&api, "Shop.Example", ZONE);
    let zones = list(&api, "/api/v2/zones", &[]);
    assert_eq!((zones.len(), text(&zones[0], "zone"), text(&zones[0], "state")), (1, "shop.example.", "loaded"));
    assert_eq!((number(&zones[0], "serial"), number(&zones[0], "resources"), number(&zones[0], "zone_id")), (7, 15, zone_id));
    let ids = resources(&api, &[]);
    assert_eq!(ids.len(), 15);
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), 15, "no id is given twice: {ids:?}");
    let web = ids["web.shop.example. A"];
    let totals = api.rows("dns/aggregate", &[]);
    let of: BTreeMap<&str, u64> = totals.iter().map(|row| (text(row, "host"), number(row, "resource_id"))).collect();
    assert_eq!(of, BTreeMap::from([("web.shop.example.", web), ("www.other.example.", 0)]));
    let only = api.rows("dns/raw", &[("resource_id", &web.to_string())]);
    assert!(!only.is_empty() && only.iter().all(|row| text(row, "host") == "web.shop.example."), "{only:?}");
    let others = api.rows("dns/raw", &[("resource_id", "0")]);
    assert!(!others.is_empty() && others.iter().all(|row| text(row, "host") == "www.other.example."), "{others:?}");
    let counted = api.sql("SELECT count(*) AS n FROM resources WHERE zone = 'shop.example.'", "application/json").json();
    assert_eq!(counted[0]["n"], 15);
    let asked =
        api.sql("SELECT resource_id, sum(hits) AS hits FROM requests_raw GROUP BY 1 ORDER BY 1", "application/json").json();
    assert_eq!(asked, json!([{"resource_id": 0, "hits": 3}, {"resource_id": web, "hits": 3}]));
}

fn loading() {
    /// Enough to be seen on the way.
    const RRSETS: u64 = 200_000;
    let central = Central::start(&["ns1"]);
    let api = central.api();
    let zone_id = added(&api, "shop.example", ZONE);
    let hosts: String = (0..RRSETS).map(|host| format!("h{host} A 192.0.2.1\n")).collect();
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    std::thread::scope(|scope| {
        let imported = scope.spawn(|| upload(&central.api(), zone_id, &format!("{ZONE}{hosts}"), false));
        while !imported.is_finished() {
            let zone = api.get(&format!("/api/v2/zones/{zone_id}"), &[], "application/json").json();
            if let Some(phase) = zone["loading"]["phase"].as_str() {
                seen.entry(phase.to_owned()).or_default().push(zone["loading"]["done"].as_u64().expect("a number"));
            }
        }
        let imported = imported.join().expect("an upload that ends");
        assert_eq!(imported.status, 200, "{}", imported.text());
    });
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["importing", "reading"]);
    assert!(seen.values().all(|done| done.is_sorted() && done.iter().any(|done| (1..RRSETS).contains(done))), "{seen:?}");
    let zone = api.get(&format!("/api/v2/zones/{zone_id}"), &[], "application/json").json();
    assert_eq!((&zone["loading"], &zone["resources"]), (&Value::Null, &json!(RRSETS + 15)));
}

fn refused() {
    let central = Central::start(&["ns1"]);
    let api = central.api();
    let zone_id = added(&api, "shop.example", ZONE);
    let wrong = ZONE.replace("web A 192.0.2.80", "web A 192.0.2.800");
    let answer = upload(&api, zone_id, &wrong, false);
    assert_eq!(answer.status, 400);
    let detail = answer.problem("detail");
    assert!(detail.contains(":10:") && detail.contains("192.0.2.800"), "{detail}");
    assert_eq!(resources(&api, &[]).len(), 15);
    let no_soa = upload(&api, zone_id, "$ORIGIN shop.example.\n@ 60 NS ns1\n", true);
    assert_eq!(no_soa.status, 400, "{}", no_soa.text());
    assert!(no_soa.problem("detail").contains("SOA"), "{}", no_soa.text());
}

fn ids() {
    let mut central = Central::start(&["ns1"]);
    let api = central.api();
    let zone_id = added(&api, "shop.example", ZONE);
    let before = resources(&api, &[]);
    let old = before["old.shop.example. A"];
    let without = ZONE.replace("old A 192.0.2.81\n", "");
    assert_eq!(upload(&api, zone_id, &without, false).json()["removed"], 1);
    assert_eq!(resources(&api, &[("removed", "true")]), BTreeMap::from([("old.shop.example. A".to_owned(), old)]));
    let changed = ZONE.replace("192.0.2.81", "192.0.2.99").replace("web A", "web 30 A");
    let imported = upload(&api, zone_id, &changed, false).json();
    assert_eq!((&imported["added"], &imported["changed"]), (&json!(1), &json!(1)));
    assert_eq!(resources(&api, &[]), before);
    let labels = "host,type,label\nold.shop.example,A,4711\nnobody.example,A,1\n".as_bytes().to_vec();
    let url = api.url("/api/v2/resources/labels", &[]);
    let labelled = api.send(Method::POST, url, &[("content-type", "text/csv")], labels).expect("the central answers").json();
    assert_eq!(labelled, json!({"matched": 1, "unmatched": 1, "changed": 1}));
    central.stop();
    central.start_again();
    let api = central.api();
    assert_eq!(resources(&api, &[]), before);
    assert_eq!(resources(&api, &[("label", "4711")]), BTreeMap::from([("old.shop.example. A".to_owned(), old)]));
    let again = added(&api, "other.example", &ZONE.replace("shop.example", "other.example"));
    let highest = before.values().max().expect("resources");
    assert!(resources(&api, &[("zone", "other.example")]).values().all(|id| id > highest));
    assert!(again > zone_id);
    central.stop();
    let check = central.check();
    assert!(check.contains("sound"), "{check}");
}

fn mass_removal() {
    let central = Central::start(&["ns1"]);
    let api = central.api();
    let many: String = (0..40).map(|n| format!("host-{n} A 192.0.2.{n}\n")).collect();
    let zone_id = added(&api, "shop.example", &format!("{ZONE}{many}"));
    let refused = upload(&api, zone_id, ZONE, false);
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.problem("detail").contains("40"), "{}", refused.text());
    assert_eq!(resources(&api, &[]).len(), 55);
    assert_eq!(upload(&api, zone_id, ZONE, true).json()["removed"], 40);
    assert_eq!(resources(&api, &[]).len(), 15);
}

fn verdicts() {
    let asked = [
        ("www.shop.example.", "A", 2),
        ("x.dyn.shop.example.", "A", 2),
        ("host.sub.shop.example.", "AAAA", 2),
        ("old.shop.example.", "A", 55),
    ];
    let central = observed(60, &asked, &[]);
    let api = central.api();
    added(&api, "shop.example", ZONE);
    let found = verdicts_of(&api, "30m");
    let of = |name: &str| found[&format!("{name}.shop.example. A")].0.as_str();
    assert_eq!((of("web"), found["www.shop.example. CNAME"].0.as_str()), ("needed", "used"));
    assert_eq!((of("*.dyn"), of("old"), of("never")), ("used", "unused", "never_used"));
    assert_eq!((of("gone"), found["dead.shop.example. CNAME"].0.as_str()), ("never_used", "never_used"));
    assert_eq!(
        (of("ns1"), found["shop.example. SOA"].0.as_str(), found["shop.example. NS"].0.as_str()),
        ("needed", "needed", "needed")
    );
    assert_eq!(found["shop.example. CAA"].0, "protected");
    assert_eq!(found["sub.shop.example. NS"].0, "used");
    let reasons = &found["web.shop.example. A"].1;
    assert!(reasons.contains("CNAME of www.shop.example."), "{reasons}");
    // The newest batch is in the next answer.
    let last_s = now_s() / 60 * 60;
    let late = batches::batch(central.servers[0].id, 2, 1, last_s, &[point("never.shop.example.", "A", REQUEST, 1, 0)]);
    batches::send(&central.api_of_server(0), &late);
    assert_eq!(verdicts_of(&api, "30m")["never.shop.example. A"].0, "used");
    let table = api
        .sql("SELECT verdict FROM verdicts WHERE host = 'Web.shop.example' AND zone = 'SHOP.example'", "application/json")
        .json();
    assert_eq!(table, json!([{"verdict": "needed"}]));
    // What is said of a resource is in the next answer, too.
    let gone = resources(&api, &[])["gone.shop.example. A"];
    let change = json!({"protection": "protect", "note": "for emergencies"});
    assert_eq!(api.send_json(Method::PATCH, &format!("/api/v2/resources/{gone}"), &change).status, 204);
    let (verdict, reasons) = &verdicts_of(&api, "30m")["gone.shop.example. A"];
    assert!(verdict == "protected" && reasons.contains("for emergencies"), "{verdict}: {reasons}");
}

fn unobserved() {
    let central = observed(60, &[("www.shop.example.", "A", 2)], &[20, 21]);
    let api = central.api();
    added(&api, "shop.example", ZONE);
    let (verdict, reasons) = &verdicts_of(&api, "30m")["never.shop.example. A"];
    assert_eq!(verdict, "unobserved");
    assert!(reasons.contains("ns1"), "{reasons}");
    assert_eq!(verdicts_of(&api, "15m")["never.shop.example. A"].0, "never_used");
    let periods = api.rows("dns/observation", &[("date_from", "-50m"), ("date_to", "-5m")]);
    let gap = periods.iter().find(|row| row["observed"] == json!(false)).expect("a gap");
    assert_eq!(text(gap, "why"), "gap");
    // A batch that comes late closes the gap.
    let last_s = now_s() / 60 * 60 - 60;
    for ago in [20, 21] {
        let late = batches::batch(central.servers[0].id, 3, 30 - ago, last_s - ago * 60, &[]);
        batches::send(&central.api_of_server(0), &late);
    }
    assert_eq!(verdicts_of(&api, "30m")["never.shop.example. A"].0, "never_used");
}

fn retirement() {
    let central = observed(60, &[("www.shop.example.", "A", 2)], &[]);
    let api = central.api();
    added(&api, "shop.example", ZONE);
    let ids = resources(&api, &[]);
    let [never, dead, gone] = ["never.shop.example. A", "dead.shop.example. CNAME", "gone.shop.example. A"].map(|name| ids[name]);
    let soa = json!({"name": "all", "resource_ids": [ids["shop.example. SOA"]]});
    let refused = api.send_json(Method::POST, "/api/v2/retirements", &soa);
    assert_eq!(refused.status, 400, "{}", refused.text());
    let plan = json!({"name": "spring", "resource_ids": [never, dead, gone]});
    let made = api.send_json(Method::POST, "/api/v2/retirements", &plan);
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["retirement_id"].as_u64().expect("an id");
    let simulated: Value = api.get(&format!("/api/v2/retirements/{id}/simulation"), &[], "application/json").json();
    assert_eq!(simulated["removed"]["total"], 3, "{simulated}");
    assert_eq!(simulated["dangling"]["total"], 0, "{simulated}");
    let export = |format: &str, undo: &str| {
        let parameters = [("format", format), ("stage", "removed"), ("undo", undo), ("server", "127.0.0.1:5353")];
        api.get(&format!("/api/v2/retirements/{id}/export"), &parameters, "*/*").text()
    };
    let script = export("nsupdate", "false");
    assert!(script.contains("yxrrset") && script.contains("never.shop.example."), "{script}");
    assert!(export("nsupdate", "true").contains("update add"), "{}", export("nsupdate", "true"));
    assert!(export("knotc", "false").contains("zone-unset"));
    let alerts = || list(&api, "/api/v2/retirements/alerts", &[]);
    assert!(alerts().is_empty());
    ask_until(&central, "never.shop.example.", &|| !alerts().is_empty());
    let alert = &alerts()[0];
    assert_eq!((text(alert, "host"), text(alert, "retirement")), ("never.shop.example.", "spring"));
    let done = api.send_json(Method::PATCH, &format!("/api/v2/retirements/{id}"), &json!({"stage": "removed"}));
    assert_eq!(done.json()["resources"][0]["stage"], "removed", "{}", done.text());
    let back = api.send_json(Method::PATCH, &format!("/api/v2/retirements/{id}"), &json!({"stage": "ttl_lowered"}));
    assert_eq!(back.status, 400, "{}", back.text());
}

fn joining_and_leaving() {
    let central = observed(2, &[], &[]);
    let api = central.api();
    added(&api, "shop.example", ZONE);
    added(&api, "other.example", &ZONE.replace("shop.example", "other.example"));
    let ids = resources(&api, &[]);
    let [never, old, gone, www] = ["never", "old", "gone", "web"].map(|host| ids[&format!("{host}.shop.example. A")]);
    let made = api.send_json(Method::POST, "/api/v2/retirements", &json!({"name": "spring", "resource_ids": [never]}));
    let path = format!("/api/v2/retirements/{}", made.json()["retirement_id"]);
    let change = |change: Value| api.send_json(Method::PATCH, &path, &change);
    let stages = |plan: &Value| -> Vec<(u64, String)> {
        let items = plan["resources"].as_array().expect("a list").iter();
        items
            .map(|item| (item["resource_id"].as_u64().expect("an id"), item["stage"].as_str().expect("a word").to_owned()))
            .collect()
    };
    let staged = |items: &[(u64, &str)]| items.iter().map(|(id, stage)| (*id, (*stage).to_owned())).collect::<Vec<_>>();
    let before = change(json!({"stage": "ttl_lowered"})).json();

    let extended = change(json!({"add_resource_ids": [old, gone]})).json();
    assert_eq!(stages(&extended), staged(&[(never, "ttl_lowered"), (old, "marked"), (gone, "marked")]));
    assert_eq!(extended["resources"][0], before["resources"][0], "what was in it keeps its dates");
    let smaller = change(json!({"remove_resource_ids": [gone], "add_resource_ids": [www]})).json();
    assert_eq!(stages(&smaller), staged(&[(never, "ttl_lowered"), (old, "marked"), (www, "marked")]));

    let elsewhere = ids["old.other.example. A"];
    for (wrong, said) in [
        (json!({"add_resource_ids": [old]}), "add_resource_ids"),
        (json!({"add_resource_ids": [elsewhere]}), "a plan is about one zone"),
        (json!({"add_resource_ids": [ids["shop.example. SOA"]]}), "add_resource_ids"),
        (json!({"add_resource_ids": [4_000_000]}), "there is no resource 4000000"),
        (json!({"remove_resource_ids": [gone]}), "the plan does not have resource"),
        (json!({"remove_resource_ids": [never]}), "restore it first"),
        (json!({"remove_resource_ids": [old], "add_resource_ids": [old, old]}), "add_resource_ids"),
    ] {
        let refused = change(wrong.clone());
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.text());
        assert!(refused.text().contains(said), "{wrong}: {}", refused.text());
    }
    assert_eq!(api.get(&path, &[], "application/json").json(), smaller, "what is refused changes nothing");

    change(json!({"stage": "restored"}));
    let all = change(json!({"remove_resource_ids": [never, old, www]}));
    assert!(all.status == 400 && all.text().contains("remove the plan instead"), "{}", all.text());
    let rest = change(json!({"remove_resource_ids": [never, old]})).json();
    assert_eq!(stages(&rest), staged(&[(www, "restored")]));
}

fn unicode() {
    // Clients ask for xn--…: the octets of the letters would be another name, which nobody asks for.
    let central = observed(60, &[("www.xn--bcher-kva.example.", "A", 2)], &[]);
    let api = central.api();
    added(
        &api,
        "B\u{fc}cher.example",
        &ZONE.replace("shop.example", "xn--bcher-kva.example").replace("CNAME web", "A 192.0.2.79"),
    );
    let zones = list(&api, "/api/v2/zones", &[]);
    assert_eq!(text(&zones[0], "zone"), "xn--bcher-kva.example.");
    assert_eq!(verdicts_of(&api, "30m")["www.xn--bcher-kva.example. A"].0, "used");
    assert_eq!(list(&api, "/api/v2/resources", &[("zone", "b\u{fc}cher.example")]).len(), resources(&api, &[]).len());
    let again = api.send_json(Method::POST, "/api/v2/zones", &json!({"zone": "xn--bcher-kva.example"}));
    assert_eq!(again.status, 409, "{}", again.text());
    let wrong = api.send_json(Method::POST, "/api/v2/zones", &json!({"zone": "b\u{fc}*.example"}));
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}

fn removed_wildcard() {
    let central = observed(2, &[("x.dyn.shop.example.", "A", 1)], &[]);
    let api = central.api();
    let zone_id = added(&api, "shop.example", ZONE);
    let wildcard = resources(&api, &[])["*.dyn.shop.example. A"];
    let plan = json!({"name": "wildcard", "resource_ids": [wildcard]});
    assert_eq!(api.send_json(Method::POST, "/api/v2/retirements", &plan).status, 201);
    assert_eq!(upload(&api, zone_id, &ZONE.replace("*.dyn A 192.0.2.84\n", ""), false).json()["removed"], 1);
    let alerts = || list(&api, "/api/v2/retirements/alerts", &[]);
    ask_until(&central, "web.shop.example.", &|| asked_lately(&api, "web.shop.example."));
    assert_eq!(alerts(), Vec::<Row>::new(), "that name was not answered by the wildcard");
    ask_until(&central, "y.dyn.shop.example.", &|| !alerts().is_empty());
    assert_eq!(text(&alerts()[0], "host"), "*.dyn.shop.example.");
}

/// Whether a name was asked for in this minute or the one before.
fn asked_lately(api: &Api, host: &str) -> bool {
    !api.rows("dns/raw", &[("host", host), ("date_from", "-2m")]).is_empty()
}

/// Asks for a name, now, until something is so.
fn ask_until(central: &Central, host: &str, is_so: &dyn Fn() -> bool) {
    let mut seq = now_s();
    eventually("a question that was asked after the plan was made counts", Duration::from_secs(70), || {
        seq += 1;
        let start_s = now_s() / 60 * 60;
        let at_ms = (now_s() - start_s) as u32 * 1000 + 999;
        let batch = batches::batch(central.servers[0].id, seq, start_s, start_s, &[point(host, "A", REQUEST, 1, at_ms)]);
        central.api_of_server(0).post_batch(batches::encode(&batch));
        is_so().then_some(())
    });
}
