//! Zones of the catalogue from a real primary: signed transfers, NOTIFY that is believed or not, and what stays in place
//! when a transfer fails.

use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};
use zonepulse_fixtures::Message;
use zonepulse_tests::api::{Row, number, text};
use zonepulse_tests::needs::test_with;
use zonepulse_tests::primary::{self, APEX, KEY, Primary, SECRET, notify_signed};
use zonepulse_tests::process::{program_command, run, write_private};
use zonepulse_tests::{Api, Central, Response, eventually, ports};

pub fn trials() -> Vec<Trial> {
    let test = |name: &str, body: fn()| test_with(name, primary::need, move |()| body());
    vec![
        test("a_zone_is_transferred_from_a_primary_with_its_key", transferred),
        test("the_command_line_adds_a_zone_of_a_primary", command_line),
        test("a_notify_brings_the_new_serial_within_seconds", notified),
        test("a_forged_notify_is_refused_and_asks_no_primary", forged),
        test("idle_connections_do_not_delay_a_notify", delayed),
        test("a_wrong_key_is_explained_leaves_the_zone_and_tells_no_secret", wrong_key),
        test("a_primary_that_is_gone_leaves_the_zone_until_it_is_back", gone),
        test("a_zone_expires_without_losing_its_records", expired),
    ]
}

/// Another secret, in base64.
const OTHER: &str = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc=";
/// How long a transfer may take.
const SOON: Duration = Duration::from_secs(10);
/// How long it may take from NOTIFY to the new serial.
const AFTER_NOTIFY: Duration = Duration::from_secs(5);

/// 15 RRsets with the SOA, two of which have two records.
const RECORDS: &str = "\
@ NS ns1
@ NS ns2.else.example.
@ MX 10 mail
@ TXT \"v=spf1 -all\"
@ CAA 0 issue \"ca.example\"
ns1 A 192.0.2.53
mail 300 A 192.0.2.25
mail AAAA 2001:db8::25
www CNAME web
web A 192.0.2.80
web A 192.0.2.81
*.dyn A 192.0.2.84
_sip._tcp SRV 0 5 5060 web
sub NS ns.sub
sub DS 12345 13 2 0123456789012345678901234567890123456789012345678901234567890123
ns.sub A 192.0.2.85
";

/// A zone file with these records besides. Nothing happens by its timers during a test.
fn zone(serial: u32, more: &str) -> String {
    zone_with(serial, "7200 900 1209600", more)
}

/// The same with other timers: refresh, retry, expire.
fn zone_with(serial: u32, timers: &str, more: &str) -> String {
    format!("$ORIGIN {APEX}\n$TTL 60\n@ SOA ns1 hostmaster {serial} {timers} 300\n{RECORDS}{more}")
}

/// A record that is only in later versions of the zone.
const NEW: &str = "new A 192.0.2.99\n";

fn tsig(name: &str, secret: &str) -> Value {
    json!({"name": name, "algorithm": "hmac-sha256", "secret": secret})
}

fn add(api: &Api, zone: &Value) -> Response {
    api.send_json(Method::POST, "/api/v2/zones", zone)
}

fn id_of(created: &Response) -> u64 {
    assert_eq!(created.status, 201, "{}", created.text());
    created.json()["zone_id"].as_u64().expect("an id")
}

/// Adds the zone of a primary, and waits until its first version is loaded.
fn added(api: &Api, primary: &Primary) -> u64 {
    let id = id_of(&add(api, &json!({"zone": APEX, "primary": primary.address(), "tsig": tsig(KEY, SECRET)})));
    loaded(api, id, 1, SOON);
    id
}

/// Changes the key of a zone; the central then tries it.
fn change_key(api: &Api, id: u64, primary: &Primary, name: &str, secret: &str) -> Response {
    let change = json!({"primary": primary.address(), "tsig": tsig(name, secret)});
    let changed = api.send_json(Method::PATCH, &format!("/api/v2/zones/{id}"), &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    changed
}

fn refresh(api: &Api, id: u64) -> Response {
    let url = api.url(&format!("/api/v2/zones/{id}/refresh"), &[]);
    api.send(Method::POST, url, &[], Vec::new()).expect("the central answers")
}

/// The zone as the API shows it.
fn row(api: &Api, id: u64) -> Row {
    let answer = api.get(&format!("/api/v2/zones/{id}"), &[], "application/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_object().expect("a zone").clone()
}

/// Waits until a serial is loaded.
fn loaded(api: &Api, id: u64, serial: u32, within: Duration) -> Row {
    let row = eventually(&format!("serial {serial} is loaded"), within, || {
        let row = row(api, id);
        (text(&row, "state") == "loaded" && row["serial"] == json!(serial)).then_some(row)
    });
    assert_eq!(row["error"], Value::Null, "{row:?}");
    row
}

/// Waits until the zone says that loading it failed for this reason.
fn failed(api: &Api, id: u64, why: &str, within: Duration) -> Row {
    eventually(&format!("the zone fails with {why:?}"), within, || {
        let row = row(api, id);
        (text(&row, "state") == "failed" && text(&row, "error").contains(why)).then_some(row)
    })
}

fn rows(api: &Api, id: u64) -> Vec<Row> {
    let answer = api.get("/api/v2/resources", &[], "application/json");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = answer.json();
    let rows = rows.as_array().expect("a list").iter().map(|row| row.as_object().expect("a row").clone());
    rows.filter(|row| number(row, "zone_id") == id).collect()
}

/// The ids of a zone's resources, by owner and type.
fn ids(api: &Api, id: u64) -> BTreeMap<String, u64> {
    let name = |row: &Row| format!("{} {}", text(row, "host"), text(row, "type"));
    rows(api, id).iter().map(|row| (name(row), number(row, "resource_id"))).collect()
}

/// The records of a zone's resources, in the form of [`Primary::records`].
fn records(api: &Api, id: u64) -> BTreeSet<String> {
    let mut records = BTreeSet::new();
    for row in rows(api, id) {
        for data in text(&row, "data").lines() {
            records.insert(format!("{} {} {} {data}", text(&row, "host"), number(&row, "ttl"), text(&row, "type")));
        }
    }
    records
}

/// A configuration with NOTIFY.
fn listening(port: u16) -> String {
    format!("[zones]\nnotify_listen = \"127.0.0.1:{port}\"\n")
}

/// Sends a NOTIFY without a serial or a signature from this address to a port of 127.0.0.1. Returns the code of the answer.
fn notify(from: &str, port: u16, apex: &str) -> u8 {
    let socket = UdpSocket::bind((from, 0)).expect("all of 127.0.0.0/8 is this machine");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    const SOA: u16 = 6;
    let message = Message { opcode: 4, ..Message::query(apex, SOA) };
    socket.send_to(&message.bytes(), ("127.0.0.1", port)).expect("it is this machine");
    let mut answer = [0; 512];
    let (length, _) = socket.recv_from(&mut answer).expect("it answers");
    assert!(length >= 12 && answer[2] & 0x80 != 0, "{:?}", &answer[..length]);
    answer[3] & 0xf
}

fn transferred() {
    let primary = Primary::start(&zone(1, ""));
    let central = Central::start(&["ns1"]);
    let api = central.api();
    let new = json!({"zone": "Shop.Example", "primary": primary.address(), "tsig": tsig("Transfer", SECRET)});
    let created = add(&api, &new);
    let id = id_of(&created);
    let shown = created.json();
    assert_eq!((&shown["zone"], &shown["source"], &shown["primary"]), (&json!(APEX), &json!("transfer"), &new["primary"]));
    assert_eq!((&shown["tsig_name"], &shown["tsig_algorithm"]), (&json!(KEY), &json!("hmac-sha256")));
    let row = loaded(&api, id, 1, SOON);
    assert_eq!(number(&row, "resources"), 15, "{row:?}");
    assert!(text(&row, "loaded_at") != "-" && text(&row, "checked_at") != "-", "{row:?}");
    let expected = primary.records();
    // Two RRsets have two records.
    assert_eq!(expected.len(), 17, "{expected:?}");
    assert_eq!(records(&api, id), expected);
    let ids = ids(&api, id);
    assert_eq!(ids.len(), 15, "{ids:?}");
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), 15, "no id is given twice: {ids:?}");
    // Nothing is newer.
    let answer = refresh(&api, id);
    assert_eq!((answer.status, answer.json()), (200, Value::Null));
}

fn command_line() {
    let primary = Primary::start(&zone(1, ""));
    let central = Central::start(&["ns1"]);
    let api = central.api();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("transfer.key");
    let (key_file, address) = (file.display().to_string(), primary.address());
    let zonepulse = |arguments: &[&str]| {
        let mut command = program_command("zonepulse");
        command.arg("zone").args(arguments).args(["--url", &central.url(), "--credentials"]);
        let output = run(command.arg(central.data().join("admin-credentials")), Duration::from_secs(60));
        let said = format!("{}{}", output.out, output.err);
        assert!(!said.contains(SECRET) && !said.contains(OTHER), "{arguments:?} tells a secret: {said}");
        (output.code, said)
    };
    write_private(&file, &format!("key:\n  - id: transfer\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"));
    let (code, said) = zonepulse(&["add", "shop.example", "--primary", &address, "--tsig-file", &key_file]);
    assert_eq!(code, Some(0), "{said}");
    let (_, list) = zonepulse(&["list"]);
    assert!(list.contains("shop.example.\tdefault\ttransfer\t1\t15\tloaded\t-"), "{list}");
    let zones = api.get("/api/v2/zones", &[], "application/json").json();
    let id = zones[0]["zone_id"].as_u64().expect("an id");
    assert_eq!(records(&api, id), primary.records());
    primary.load(&zone(2, NEW));
    let (code, said) = zonepulse(&["refresh", "shop.example"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 added, 1 changed, 0 removed, 14 unchanged"), "{said}");
    assert_eq!(records(&api, id), primary.records());
    let (code, said) = zonepulse(&["refresh", "shop.example"]);
    assert!(code == Some(0) && said.contains("up to date"), "{said}");
    // A zone that cannot be loaded yet is added nevertheless, and the command says why.
    write_private(&file, &format!("hmac-sha256:transfer:{OTHER}\n"));
    let arguments = ["add", "shop.example", "--view", "internal", "--primary", &address, "--tsig-file", &key_file];
    let (code, said) = zonepulse(&arguments);
    assert!(code != Some(0) && said.contains("BADSIG") && said.contains("is tried again"), "{code:?}: {said}");
    let (_, list) = zonepulse(&["list"]);
    assert!(list.contains("shop.example.\tinternal\ttransfer\t-\t0\tfailed\t"), "{list}");
}

fn notified() {
    let port = ports::free();
    let central = Central::start_configured(&["ns1"], &listening(port));
    let primary = Primary::start_notifying(&zone(1, ""), port);
    let api = central.api();
    let id = added(&api, &primary);
    let before = ids(&api, id);
    let second = zone(2, NEW).replace("192.0.2.25", "192.0.2.26").replace("www CNAME web\n", "");
    primary.load(&second);
    let row = loaded(&api, id, 2, AFTER_NOTIFY);
    assert_eq!(number(&row, "resources"), 15, "{row:?}");
    assert_eq!(records(&api, id), primary.records());
    assert!(primary.log().contains("IXFR, outgoing"), "it is asked for what changed: {}", primary.log());
    let mut after = ids(&api, id);
    let new = after.remove("new.shop.example. A").expect("it was added");
    assert!(before.values().all(|old| *old < new), "{new} of {before:?}");
    let mut kept = before.clone();
    assert!(kept.remove("www.shop.example. CNAME").is_some());
    assert_eq!(after, kept);
    // A NOTIFY that comes right after another is not forgotten, although the primary is not asked at once.
    primary.load(&zone(3, NEW));
    primary.load(&zone(4, ""));
    loaded(&api, id, 4, AFTER_NOTIFY);
    assert_eq!(records(&api, id), primary.records());
    assert_eq!(ids(&api, id), before, "what returned has its id again");
}

fn forged() {
    const NOERROR: u8 = 0;
    const REFUSED: u8 = 5;
    const NOTAUTH: u8 = 9;
    let port = ports::free();
    let central = Central::start_configured(&["ns1"], &listening(port));
    let primary = Primary::start(&zone(1, ""));
    let api = central.api();
    let id = added(&api, &primary);
    // Its key is known, but is not that of the other zone; its primary is not there.
    let other = json!({"zone": "other.example", "primary": "127.0.0.1:9", "tsig": tsig("other", OTHER)});
    let other = id_of(&add(&api, &other));
    failed(&api, other, "cannot connect", SOON);
    id_of(&add(&api, &json!({"zone": "uploaded.example"})));
    // A forged NOTIFY that is believed brings this serial.
    primary.load(&zone(2, NEW));
    let (before, requests) = (row(&api, id), primary.requests());
    assert_eq!(notify("127.0.0.2", port, APEX), REFUSED);
    for unknown in ["elsewhere.example.", "www.shop.example.", "uploaded.example."] {
        assert_eq!(notify("127.0.0.1", port, unknown), NOTAUTH, "{unknown}");
    }
    assert_eq!(notify_signed(port, APEX, KEY, OTHER), "BADSIG");
    assert_eq!(notify_signed(port, APEX, "unknown.", SECRET), "BADKEY");
    assert_eq!(notify_signed(port, APEX, "other.", OTHER), "REFUSED");
    // A hint that is believed is acted on within a second, as those below show.
    sleep(Duration::from_secs(2));
    assert_eq!(primary.requests(), requests, "{}", primary.log());
    assert_eq!(row(&api, id), before);
    // The primary's address without a signature, and the key from any address, are believed.
    assert_eq!(notify("127.0.0.1", port, APEX), NOERROR);
    loaded(&api, id, 2, AFTER_NOTIFY);
    assert!(primary.requests() > requests);
    primary.load(&zone(3, NEW));
    assert_eq!(notify_signed(port, APEX, KEY, SECRET), "NOERROR");
    loaded(&api, id, 3, AFTER_NOTIFY);
}

fn delayed() {
    /// How long a connection may stay idle.
    const PATIENCE: Duration = Duration::from_secs(5);
    let port = ports::free();
    let central = Central::start_configured(&["ns1"], &listening(port));
    let primary = Primary::start(&zone(1, ""));
    let api = central.api();
    let id = added(&api, &primary);
    primary.load(&zone(2, NEW));
    let opened = Instant::now();
    let connect = |_| TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let idle: Vec<TcpStream> = (0..64).map(connect).collect();
    let mut stream = connect(64);
    let message = Message { opcode: 4, ..Message::query(APEX, 6) }.bytes();
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat()).expect("it reads");
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).expect("it answers");
    assert!(opened.elapsed() < PATIENCE, "{:?}", opened.elapsed());
    assert_eq!(answer[5] & 0xf, 0, "NOERROR");
    loaded(&api, id, 2, AFTER_NOTIFY);
    drop(idle);
}

fn wrong_key() {
    let central = Central::start_configured(&["ns1"], "[log]\nlevel = \"debug\"\n");
    let primary = Primary::start(&zone(1, ""));
    let api = central.api();
    let id = added(&api, &primary);
    let (old_ids, old_records) = (ids(&api, id), records(&api, id));
    let assert_unchanged = || {
        assert_eq!(row(&api, id)["serial"], json!(1));
        assert_eq!((ids(&api, id), records(&api, id)), (old_ids.clone(), old_records.clone()));
    };
    let mut said = String::new();
    said += &change_key(&api, id, &primary, KEY, OTHER).text();
    failed(&api, id, "BADSIG", SOON);
    assert_unchanged();
    primary.load(&zone(2, NEW));
    let refused = refresh(&api, id);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.problem("detail").contains("BADSIG"), "{}", refused.text());
    said += &refused.text();
    assert_unchanged();
    said += &change_key(&api, id, &primary, "unknown", SECRET).text();
    failed(&api, id, "BADKEY", SOON);
    assert_unchanged();
    // A zone that was never loaded is empty.
    let new = json!({"zone": APEX, "view": "internal", "primary": primary.address(), "tsig": tsig(KEY, OTHER)});
    let created = add(&api, &new);
    said += &created.text();
    let never = id_of(&created);
    let row = failed(&api, never, "BADSIG", SOON);
    assert_eq!((&row["serial"], &row["loaded_at"], &row["resources"]), (&Value::Null, &Value::Null, &json!(0)), "{row:?}");
    assert!(rows(&api, never).is_empty());
    // What is no secret at all is not repeated, either.
    let new = json!({"zone": "bad.example", "primary": primary.address(), "tsig": tsig(KEY, "no!base64!at!all")});
    let refused = add(&api, &new);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(!refused.text().contains("base64!at"), "{}", refused.text());
    let one = format!("/api/v2/zones/{id}");
    for path in ["/api/v2/zones", &one, "/api/v2/audit", "/api/v2/resources", "/metrics"] {
        let answer = api.get(path, &[], "*/*");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        said += &answer.text();
    }
    said += &api.sql("SELECT * FROM zones", "application/json").text();
    let log = central.log();
    assert!(said.contains(KEY) && log.contains("BADSIG"), "{said}\n{log}");
    for secret in [SECRET, OTHER, "zonepulse-tests-only", "wrong-wrong"] {
        assert!(!said.contains(secret), "an answer tells {secret}: {said}");
        assert!(!log.contains(secret), "the log tells {secret}: {log}");
    }
    // The right key again.
    change_key(&api, id, &primary, KEY, SECRET);
    loaded(&api, id, 2, SOON);
    assert_eq!(records(&api, id), primary.records());
    let new_ids = ids(&api, id);
    assert!(old_ids.iter().all(|(name, id)| new_ids.get(name) == Some(id)), "{old_ids:?} {new_ids:?}");
}

fn gone() {
    let central = Central::start(&["ns1"]);
    // Nobody asks a primary more often than every ten seconds; the retry comes too late to be mistaken for what is asked
    // for here.
    let timers = "10 3600 1209600";
    let mut primary = Primary::start(&zone_with(1, timers, ""));
    let api = central.api();
    let id = added(&api, &primary);
    let (old_ids, old_records) = (ids(&api, id), records(&api, id));
    primary.stop();
    let assert_unchanged = || {
        assert_eq!((&row(&api, id)["serial"], ids(&api, id)), (&json!(1), old_ids.clone()));
        assert_eq!(records(&api, id), old_records);
    };
    // Its timer tells, without being asked.
    failed(&api, id, "cannot connect to the primary", Duration::from_secs(15));
    assert_unchanged();
    let refused = refresh(&api, id);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.problem("detail").contains("cannot connect to the primary"), "{}", refused.text());
    assert_unchanged();
    primary.write(&zone_with(2, timers, NEW));
    primary.start_again();
    let imported = refresh(&api, id);
    assert_eq!(imported.status, 200, "{}", imported.text());
    let imported = imported.json();
    assert_eq!(
        ["added", "changed", "removed", "unchanged"].map(|name| imported[name].as_u64()),
        [Some(1), Some(1), Some(0), Some(14)],
        "{imported}"
    );
    let zone = &imported["zone"];
    assert_eq!((&zone["serial"], &zone["state"], &zone["error"]), (&json!(2), &json!("loaded"), &Value::Null), "{zone}");
    assert_eq!(records(&api, id), primary.records());
    let new_ids = ids(&api, id);
    assert!(old_ids.iter().all(|(name, id)| new_ids.get(name) == Some(id)), "{old_ids:?} {new_ids:?}");
}

fn expired() {
    let central = Central::start(&["ns1"]);
    let timers = "7200 900 1";
    let mut primary = Primary::start(&zone_with(1, timers, ""));
    let api = central.api();
    let id = added(&api, &primary);
    let old_records = records(&api, id);
    primary.stop();
    // Without an answer of its primary for longer than the zone allows.
    let row = eventually("the zone expires", SOON, || {
        assert_eq!(refresh(&api, id).status, 400);
        let row = row(&api, id);
        (text(&row, "state") == "expired").then_some(row)
    });
    assert!(text(&row, "error").contains("cannot connect to the primary"), "{row:?}");
    assert_eq!(records(&api, id), old_records);
    primary.start_again();
    assert_eq!(refresh(&api, id).json(), Value::Null);
    loaded(&api, id, 1, SOON);
}
