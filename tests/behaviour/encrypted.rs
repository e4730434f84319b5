//! TLS: to the central, and between the central and a broker.

use libtest_mimic::Trial;
use reqwest::Method;
use std::fs;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, Credentials, number};
use zonepulse_tests::batches::{REQUEST, batch, encode, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::queue::Queue;
use zonepulse_tests::{Api, Authority, Central, RabbitMq, eventually};

pub fn trials() -> Vec<Trial> {
    vec![
        test("batches_come_through_a_broker_with_tls", through_a_broker),
        test("a_broker_that_is_not_believed_gets_nothing", not_believed),
        test("a_central_with_a_certificate_is_for_those_who_believe_it", believed),
        test("a_certificate_is_renewed_on_sighup", renewed),
    ]
}

/// Whether a client that trusts this authority gets an answer.
fn answers(central: &Central, authority: &Authority) -> bool {
    let api = Api::secure(&central.url(), &authority.pem(), Credentials::None);
    api.send(Method::GET, api.url("/healthz", &[]), &[], Vec::new()).is_ok_and(|response| response.status == 200)
}

fn believed() {
    let authority = Authority::new();
    let central = Central::start_secure(&["one"], &authority, &authority.certify(&["localhost"]), "");
    send(&central.api_of_server(0), &batch(1, 1, 0, 60, &[point("a.example.", "A", REQUEST, 5, 0)]));
    assert_eq!(hits(&central), 5);
    assert!(!answers(&central, &Authority::new()), "another authority's word does not count");
    let by_another_name = central.url().replace("localhost", "127.0.0.1");
    let api = Api::secure(&by_another_name, &authority.pem(), Credentials::None);
    let error = api.send(Method::GET, api.url("/healthz", &[]), &[], Vec::new()).unwrap_err();
    assert!(error.contains("error sending request"), "{error}");
    assert!(!central.log().contains("IN THE CLEAR"), "{}", central.log());
}

fn renewed() {
    let (old, new) = (Authority::new(), Authority::new());
    let certificate = old.certify(&["localhost"]);
    let central = Central::start_secure(&["one"], &old, &certificate, "");
    let api = central.api();
    api.rows("dns/raw", &[]);
    let renewed = new.certify(&["localhost"]);
    fs::copy(&renewed.certificate, &certificate.certificate).expect("a test's folder is writable");
    fs::copy(&renewed.key, &certificate.key).expect("a test's folder is writable");
    assert!(answers(&central, &old) && !answers(&central, &new));
    central.reload();
    eventually("the new certificate is shown", Duration::from_secs(10), || answers(&central, &new).then_some(()));
    assert!(!answers(&central, &old));
    // Its connection has been open all the time.
    api.rows("dns/raw", &[]);
}

fn through_a_broker() {
    let authority = Authority::new();
    let broker = RabbitMq::start_with_tls(&authority.certify(&["localhost"]));
    let configuration =
        format!("[rabbitmq]\nurl = \"{}\"\nqueue = \"secure\"\nca_file = {:?}\n", broker.tls_url(), authority.file());
    let central = Central::start_configured(&["one"], &configuration);
    let queue = Queue::open(&broker, "secure");
    queue.publish(&encode(&batch(1, 1, 0, 60, &[point("a.example.", "A", REQUEST, 7, 0)])), &central.servers[0].token);
    eventually("the batch is counted", Duration::from_secs(20), || (hits(&central) == 7).then_some(()));
}

fn not_believed() {
    let broker = RabbitMq::start_with_tls(&Authority::new().certify(&["localhost"]));
    let url = format!("url = \"{}\"", broker.tls_url());
    let other = Authority::new();
    let strict = Central::start_configured(&["one"], &format!("[rabbitmq]\n{url}\nca_file = {:?}\n", other.file()));
    eventually("it is said why", Duration::from_secs(20), || strict.log().contains("UnknownIssuer").then_some(()));
    let lax = Central::start_configured(&["one"], &format!("[rabbitmq]\n{url}\nverify_ca = false\n"));
    eventually("it is believed", Duration::from_secs(20), || lax.log().contains("taking batches from RabbitMQ").then_some(()));
    assert!(lax.log().contains("rabbitmq.verify_ca is off"), "{}", lax.log());
    assert!(!strict.log().contains("taking batches from RabbitMQ"), "{}", strict.log());
}

fn hits(central: &Central) -> u64 {
    central.api().rows("dns/raw", &[ALL_TIME]).iter().map(|row| number(row, "hits")).sum()
}
