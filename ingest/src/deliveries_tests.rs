//! What batches that come in, and those that are refused, make of their server's delivery.

use super::*;
use crate::{Ingest, Sender, Settings, times};
use zonepulse_model::{Identity, ServerId};
use zonepulse_store::{Options, Store};
use zonepulse_wire::{Batch, Counters, Coverage, Records};

fn central() -> (tempfile::TempDir, Ingest) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    store.registry().add_server("ns1", false, None, 0).unwrap();
    let ingest = Ingest::start(store, Settings::default()).unwrap();
    (dir, ingest)
}

fn batch(server_id: u32, interval_s: u32, evicted: Option<Evicted>) -> Batch {
    let start_s = times::now_ms() / 1000 / u64::from(interval_s) * u64::from(interval_s) - u64::from(interval_s);
    Batch {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: 0 },
        start_s,
        interval_s,
        coverage: Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 },
        counters: Counters::new(),
        evicted,
        records: Records::new(),
        rows: Vec::new(),
    }
}

async fn send(ingest: &Ingest, batch: Batch, sender: fn(ServerId) -> Sender) -> Delivery {
    let _ = ingest.receive(batch.encode().unwrap().into(), sender(ServerId::new(1))).await;
    ingest.delivery(ServerId::new(1), times::now_ms())
}

fn cause(delivery: &Delivery) -> Option<&'static str> {
    delivery.refused.as_ref().map(|refused| refused.cause)
}

fn aside(delivery: &Delivery) -> u64 {
    delivery.put_aside.map_or(0, |aside| aside.batches)
}

#[tokio::test]
async fn a_refused_batch_is_put_aside_and_the_next_good_one_ends_the_refusal() {
    let (_dir, ingest) = central();
    let delivery = send(&ingest, batch(1, 7, None), Sender::Server).await;
    assert_eq!((cause(&delivery), aside(&delivery), delivery.accepted_ms), (Some("interval"), 1, None));
    let delivery = send(&ingest, batch(1, 60, None), Sender::Server).await;
    assert_eq!((cause(&delivery), aside(&delivery), delivery.accepted_ms.is_some()), (None, 1, true));
}

#[tokio::test]
async fn with_another_server_s_token_a_probe_keeps_its_batches() {
    let (_dir, ingest) = central();
    let delivery = send(&ingest, batch(2, 60, None), Sender::Server).await;
    assert_eq!((cause(&delivery), aside(&delivery)), (Some("wrong_server"), 0));
    assert_eq!(
        ingest.delivery(ServerId::new(2), times::now_ms()),
        Delivery::default(),
        "whoever shows no token says nothing of a server"
    );
}

#[tokio::test]
async fn what_came_through_a_broker_is_aside_only_in_the_dead_letter_queue() {
    let (_dir, ingest) = central();
    let delivery = send(&ingest, batch(1, 7, None), Sender::Signed).await;
    assert_eq!((cause(&delivery), aside(&delivery)), (Some("interval"), 0));
}

#[tokio::test]
async fn what_a_batch_says_was_given_up_is_told() {
    let (_dir, ingest) = central();
    let now_s = times::now_ms() / 1000;
    let evicted = Evicted { batches: 13, from_s: now_s - 3600, until_s: now_s - 1800 };
    let delivery = send(&ingest, batch(1, 60, Some(evicted)), Sender::Server).await;
    assert_eq!(delivery.given_up.map(|given_up| given_up.evicted), Some(evicted));
}

#[tokio::test]
async fn a_message_that_proves_nothing_is_refused_until_its_server_s_next_batch_is_taken() {
    let (_dir, ingest) = central();
    let bytes = batch(1, 60, None).encode().unwrap();
    ingest.unproven(ServerId::new(1), &bytes, "wrong_signature", &"it is not signed with the token of server 1");
    let delivery = ingest.delivery(ServerId::new(1), times::now_ms());
    assert_eq!((cause(&delivery), aside(&delivery)), (Some("wrong_signature"), 0));
    assert_eq!(cause(&send(&ingest, batch(1, 60, None), Sender::Signed).await), None);
}
