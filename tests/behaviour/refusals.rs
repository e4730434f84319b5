//! What cannot be counted is refused with a reason, kept for inspection, and reported.

use libtest_mimic::Trial;
use reqwest::Method;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::MutexGuard;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, BATCH, number, text};
use zonepulse_tests::batches::{REQUEST, batch, encode, point, send};
use zonepulse_tests::central::Server;
use zonepulse_tests::needs::{capture_rights, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::queue::{Message, Queue};
use zonepulse_tests::{Api, Central, Probe, RabbitMq, eventually, ports, unix_ms};
use zonepulse_wire::{MAC_HEADER, MacKey};

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_batch_of_an_unknown_version_is_refused_by_its_version", unknown_version),
        test("damaged_bytes_are_refused_and_nothing_of_them_is_counted", damaged),
        test("a_body_of_another_media_type_is_refused", other_media_type),
        test("a_body_larger_than_a_batch_can_be_is_refused", too_large),
        test("a_body_that_turns_out_to_be_too_large_is_refused_in_words", too_large_without_length),
        test("a_poison_message_goes_to_the_dead_letter_queue_with_its_reason", dead_letters),
        test("through_rabbitmq_only_a_server_s_own_token_speaks_for_it", forged),
        test_with("a_batch_that_the_central_refuses_is_kept_by_the_probe_and_reported", capture_rights, kept_and_reported),
    ]
}

/// A good batch with another version number.
fn of_version(version: u8, server_id: u32) -> Vec<u8> {
    let mut bytes = encode(&batch(server_id, 3, 7, 60, &[point("new.example.", "A", REQUEST, 1, 0)]));
    bytes[4] = version;
    bytes
}

fn assert_nothing_counted(api: &Api) {
    for call in ["dns/raw", "dns/aggregate", "dns/coverage"] {
        assert_eq!(api.rows(call, &[ALL_TIME]), []);
    }
}

fn unknown_version() {
    let central = Central::start(&["new"]);
    let response = central.api_of_server(0).post_batch(of_version(9, central.servers[0].id));
    assert_eq!(response.status, 415, "{}", response.text());
    let detail = response.problem("detail");
    assert!(detail.contains("version 9") && detail.contains("version 2"), "{detail}");
    assert_nothing_counted(&central.api());
}

fn damaged() {
    let central = Central::start(&["damaged"]);
    let (api, id) = (central.api_of_server(0), central.servers[0].id);
    let good = encode(&batch(id, 3, 7, 60, &[point("good.example.", "A", REQUEST, 1, 0)]));
    for at in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        let status = api.post_batch(bad).status;
        assert!([400, 403, 415].contains(&status), "octet {at} changed: {status}");
    }
    for length in [0, 1, 4, 32, 33, good.len() - 1] {
        let response = api.post_batch(good[..length].to_vec());
        assert_eq!(response.status, 400, "the first {length} octets: {}", response.text());
        assert!(!response.problem("detail").is_empty());
    }
    assert_nothing_counted(&central.api());
}

fn other_media_type() {
    let central = Central::start(&["other"]);
    let api = central.api_of_server(0);
    let body = encode(&batch(central.servers[0].id, 3, 7, 60, &[]));
    let headers = [("content-type", "application/json")];
    let response = api.send(reqwest::Method::POST, api.url("/api/v2/batches", &[]), &headers, body).expect("an answer");
    assert_eq!(response.status, 415, "{}", response.text());
    assert!(response.problem("detail").contains(BATCH), "{}", response.text());
}

fn too_large() {
    let central = Central::start(&["large"]);
    let mut connection = TcpStream::connect(central.url().trim_start_matches("http://")).expect("it listens");
    // Refused because of the announced length: the body need not be sent first.
    let header = format!(
        "POST /api/v2/batches HTTP/1.1\r\nHost: central\r\nContent-Type: {BATCH}\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        central.servers[0].token,
        (16 << 20) + 1
    );
    connection.write_all(header.as_bytes()).expect("it reads");
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

fn too_large_without_length() {
    let central = Central::start(&["large"]);
    let mut connection = TcpStream::connect(central.url().trim_start_matches("http://")).expect("it listens");
    let header = format!(
        "POST /api/v2/batches HTTP/1.1\r\nHost: central\r\nContent-Type: {BATCH}\r\n\
         Authorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        central.servers[0].token
    );
    connection.write_all(header.as_bytes()).expect("it reads");
    let piece = vec![0; 1 << 20];
    for _ in 0..18 {
        connection.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).expect("it reads");
        connection.write_all(&piece).expect("it reads");
        connection.write_all(b"\r\n").expect("it reads");
    }
    connection.write_all(b"0\r\n\r\n").expect("it reads");
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

fn dead_letters() {
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&["poison"], &broker.url(), "poison");
    let Server { id, token } = central.servers[0].clone();
    let (queue, dead) = (Queue::open(&broker, "poison"), Queue::open(&broker, "poison.dead"));
    let stranger = encode(&batch(id + 1000, 3, 7, 60, &[]));
    let mut cut = encode(&batch(id, 4, 8, 60, &[point("cut.example.", "A", REQUEST, 1, 0)]));
    cut.truncate(cut.len() - 1);
    let mut ahead = batch(id, 4, 9, unix_ms() / 60_000 * 60 + 86_400, &[]);
    (ahead.coverage.from_ms, ahead.coverage.until_ms) = (ahead.start_s * 1000, ahead.start_s * 1000);
    let number = encode(&batch(id, 4, u64::MAX, 60, &[]));
    let cases: [(&str, Vec<u8>, &str, bool); 6] = [
        ("no batch", b"not a batch at all".to_vec(), "not a Zonepulse batch", false),
        ("unknown version", of_version(9, id), "version 9", true),
        ("unknown server", stranger, "server", true),
        ("damaged", cut, "damaged", true),
        // In the queue it would be redelivered until the broker drops it.
        ("of the future", encode(&ahead), "ahead of the central's clock", true),
        ("a number past its bound", number, "sequence number", true),
    ];
    for (what, body, reason, has_identity) in cases {
        queue.publish_with(&body, MacKey::of_token(&token).sign(&body).ok());
        let Message { body: kept, headers, delivery_mode } =
            eventually(&format!("{what} is in the dead-letter queue"), Duration::from_secs(20), || dead.take());
        assert_eq!(kept, body, "{what} is kept as it came");
        assert_eq!(delivery_mode, Some(2), "{what} survives a restart of the broker");
        let error = headers.get("x-zonepulse-error").cloned().unwrap_or_default();
        assert!(error.contains(reason), "{what}: {error:?} in {headers:?}");
        assert_eq!(headers.contains_key("x-zonepulse-server"), has_identity, "{what}: {headers:?}");
        assert_eq!(headers.contains_key("x-zonepulse-epoch"), has_identity, "{what}: {headers:?}");
        assert_eq!(headers.contains_key("x-zonepulse-seq"), has_identity, "{what}: {headers:?}");
    }
    assert_nothing_counted(&central.api());

    // Batches behind it are not held up.
    queue.publish(&encode(&batch(id, 5, 0, 60, &[point("fine.example.", "A", REQUEST, 1, 0)])), &token);
    eventually("the good batch is committed", Duration::from_secs(20), || {
        (central.api().rows("dns/aggregate", &[]).len() == 1).then_some(())
    });
}

/// Takes this message out of the dead-letter queue, where it must be.
fn dead_letter(dead: &Queue, what: &str, body: &[u8]) -> Message {
    let message = eventually(&format!("{what} is in the dead-letter queue"), Duration::from_secs(20), || dead.take());
    assert_eq!(message.body, body, "{what} is kept as it came");
    message
}

fn forged() {
    let broker = RabbitMq::shared();
    let central = Central::start_with_broker(&["honest", "stolen"], &broker.url(), "forged");
    let [honest, stolen] = [0, 1].map(|n| central.servers[n].clone());
    let (queue, dead) = (Queue::open(&broker, "forged"), Queue::open(&broker, "forged.dead"));
    let of = |server: &Server, seq: u64, host: &str| encode(&batch(server.id, 9, seq, 60, &[point(host, "A", REQUEST, 1, 0)]));

    // A probe with the broker's password that sends in another's name.
    let forgery = of(&honest, 0, "forged.example.");
    let kept = |what: &str, body: &[u8], reason: &str| {
        let message = dead_letter(&dead, what, body);
        let error = message.headers.get("x-zonepulse-error").cloned().unwrap_or_default();
        assert!(error.contains(reason), "{what}: {error:?}");
        assert_eq!(message.headers.get("x-zonepulse-server"), Some(&honest.id.to_string()), "{what}");
        message
    };
    queue.publish(&forgery, &stolen.token);
    let message = kept("another server's batch", &forgery, "not signed with the token of server");
    let mac = MacKey::of_token(&stolen.token).sign(&forgery).expect("it names a server");
    assert_eq!(message.headers.get(MAC_HEADER), Some(&mac), "it can be moved back with its signature");
    queue.publish_with(&forgery, None);
    kept("an unsigned batch", &forgery, "it is not signed");
    // The signature of another batch of the same server.
    let good = of(&honest, 1, "good.example.");
    queue.publish_with(&forgery, MacKey::of_token(&honest.token).sign(&good).ok());
    kept("a batch with another one's signature", &forgery, "not signed with the token of server");

    let hits = || central.api().rows("dns/aggregate", &[]).iter().map(|row| number(row, "hits")).sum::<u64>();
    queue.publish(&good, &honest.token);
    // However often it is sent, it counts once.
    queue.publish(&good, &honest.token);
    eventually("the good batch is committed", Duration::from_secs(20), || (hits() == 1).then_some(()));

    // The token is replaced: batches signed with the old one are refused from then on.
    let path = format!("/api/v2/pvservers/{}/token", honest.id);
    let renewed = central.api().send_json(Method::POST, &path, &serde_json::json!({ "credential": "token" }));
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let token = renewed.json()["token"].as_str().expect("a token").to_owned();
    let late = of(&honest, 2, "late.example.");
    queue.publish(&late, &honest.token);
    kept("a batch that a rotated token signed", &late, "not signed with the token of server");
    queue.publish(&late, &token);
    eventually("the new token speaks for it", Duration::from_secs(20), || (hits() == 2).then_some(()));

    let metrics = central.api().get("/metrics", &[], "text/plain").text();
    for (reason, messages) in [("unsigned", 1), ("wrong_signature", 3), ("malformed", 0)] {
        let line = format!("\nzonepulse_rabbitmq_messages_refused_total{{reason=\"{reason}\"}} {messages}\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert!(!central.log().contains(&token) && !central.log().contains(&mac), "{}", central.log());
}

fn kept_and_reported(_alone: MutexGuard<'static, ()>) {
    let central = Central::start(&["refused"]);
    let id = central.servers[0].id;
    let mut probe = Probe::new(&Settings { port: ports::free(), interval_s: 1, ..Settings::http(&central, 0) });
    // The spool left behind by a newer probe.
    let start_s = unix_ms() / 60_000 * 60 - 600;
    let name = format!("{start_s:012}-{:020}-{:010}.batch", 3, 7);
    fs::create_dir_all(probe.spool()).expect("a test's folder is writable");
    fs::write(probe.spool().join(&name), of_version(9, id)).expect("a test's folder is writable");
    probe.start();

    let kept = probe.spool().join("refused").join(&name);
    eventually("the batch is aside", Duration::from_secs(20), || kept.is_file().then_some(()));
    assert_eq!(fs::read(&kept).expect("it is there"), of_version(9, id));
    let reason = fs::read_to_string(kept.with_extension("reason")).expect("the reason is beside it");
    assert!(reason.contains("version 9"), "{reason}");
    assert!(!probe.spool().join(&name).exists());
    assert!(probe.log().contains("version 9"), "{}", probe.log());
    eventually("the next batch reports it", Duration::from_secs(20), || {
        let rows = central.api().rows("dns/coverage", &[]);
        let reported = rows.iter().filter(|row| text(row, "losses").contains("batches_refused=1")).count();
        assert!(reported <= 1, "it was refused once: {rows:?}");
        (reported == 1).then_some(())
    });
    probe.stop();
    // A probe continues after a refusal.
    send(&central.api_of_server(0), &batch(id, 4, 0, start_s, &[point("on.example.", "A", REQUEST, 2, 0)]));
    assert_eq!(number(&central.api().rows("dns/aggregate", &[])[0], "hits"), 2);
}
