use super::*;
use crate::times::now_ms;
use lapin::types::{AMQPValue, FieldArray, LongString};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use zonepulse_model::{Identity, ServerId};
use zonepulse_net::Trust;
use zonepulse_store::{Options, Report, Store};
use zonepulse_wire::{Batch, Counter, Counters, Coverage, MAC_HEADER, MacKey, Records};

const TOKEN: &str = "token of 1";
/// Its SHA-256.
const HASH: &str = "f938361cbcdc680c8d0428a6ac5f8269b79c36bcc2712dfd8929d67fa1900b70";
/// A full hour in 2025.
const T0_S: u64 = 487_000 * 3600;

struct Central {
    ingest: Ingest,
    store: Store,
    writer: Writer,
    _dir: tempfile::TempDir,
}

impl Central {
    /// With a server that was added at this time, and a broker to which nothing can be written.
    fn new(settings: crate::Settings, added_ms: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        store.registry().add_server("one", false, Some(HASH.to_owned()), added_ms).unwrap();
        let ingest = Ingest::start(store.clone(), settings).unwrap();
        ingest.broker.starting();
        let url = "amqp://127.0.0.1:1/%2f".into();
        let writer = Writer::new(Settings { url, trust: Trust::System, queue: "q".to_owned(), prefetch: 8 });
        Central { ingest, store, writer, _dir: dir }
    }

    /// They hold nothing.
    fn hands(&self) -> Hands<'_> {
        let hands = Hands::new(&self.ingest, &self.writer, Names::of("q").unwrap());
        hands.ending.send_replace(true);
        hands
    }

    fn refusals(&self) -> u64 {
        self.ingest.broker_refusals().iter().map(|(_, messages)| messages).sum()
    }

    /// Messages that the broker had taken out, and those that were taken all the same.
    fn returned(&self) -> (u64, u64) {
        let status = self.ingest.broker().unwrap();
        (status.returned.iter().map(|(_, messages)| messages).sum(), status.restored)
    }
}

fn batch(seq: u64, start_s: u64) -> Vec<u8> {
    let batch = Batch {
        identity: Identity { server_id: ServerId::new(1), epoch: 1, seq },
        start_s,
        interval_s: 60,
        coverage: Coverage { from_ms: start_s * 1000, until_ms: start_s * 1000 + 1000 },
        counters: Counters::new(),
        evicted: None,
        records: Records::new(),
        rows: Vec::new(),
    };
    batch.encode().unwrap()
}

/// A message that is signed, and that the broker took out of the queue if it `expired`.
fn message(batch: Vec<u8>, expired: bool) -> Delivery {
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let mut headers = FieldTable::default();
    headers.insert(MAC_HEADER.into(), text(&MacKey::of_token(TOKEN).sign(&batch).unwrap()));
    if expired {
        let mut death = FieldTable::default();
        death.insert("reason".into(), text("expired"));
        headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(death)])));
    }
    let mut delivery = Delivery::mock(1, "".into(), "q".into(), false, batch);
    delivery.properties = delivery.properties.with_headers(headers);
    delivery
}

fn why(fate: lapin::Result<Fate>) -> String {
    match fate.unwrap() {
        Fate::Kept { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_dead_letter_queue_takes_at_the_third_attempt_is_refused_once() {
    let central = Central::new(crate::Settings::default(), 0);
    let hands = central.hands();
    for _ in 0..2 {
        let said = why(hands.handle(message(batch(0, 600), false), false).await);
        assert!(said.contains("the dead-letter queue \"q.dead\" takes no message"), "{said}");
        assert_eq!(central.refusals(), 0);
    }
    let (bytes, mac) = (Bytes::from(batch(0, 600)), MacKey::of_token(TOKEN).sign(&batch(0, 600)).unwrap());
    let untaken = hands.take(&bytes, Some(&mac)).await.unwrap_err();
    assert_eq!((untaken.signed_by, untaken.fault.reason()), (Some(ServerId::new(1)), "too_old"));
    // What follows when it is there.
    hands.count_refused(&untaken);
    assert_eq!(hands.handle(message(batch(1, T0_S), false), false).await.unwrap(), Fate::Settled);
    let mut told = Vec::new();
    let each = &mut |report: &Report| {
        told.push(report.counters.clone());
        ControlFlow::Continue(())
    };
    central.store.coverage(None, 0, u64::MAX, T0_S + 700, each).unwrap();
    assert_eq!(told, [vec![(Counter::BatchesRefused.number(), 1)]]);
    assert_eq!(central.refusals(), 1);
}

#[tokio::test]
async fn a_message_that_nobody_signed_is_counted_as_no_server_s() {
    let central = Central::new(crate::Settings::default(), 0);
    let hands = central.hands();
    let untaken = hands.take(&Bytes::from(batch(0, 600)), None).await.unwrap_err();
    hands.count_refused(&untaken);
    assert_eq!((untaken.signed_by, central.refusals(), central.ingest.untold.take(ServerId::new(1))), (None, 1, 0));
}

#[tokio::test]
async fn a_message_with_a_wrong_signature_is_told_as_a_claim_of_its_server_once_it_is_dead_lettered() {
    let central = Central::new(crate::Settings::default(), 0);
    let hands = central.hands();
    let unproven = || central.ingest.delivery(ServerId::new(1), now_ms()).unproven.map(|aside| aside.batches);
    let wrong = MacKey::of_token("an old token").sign(&batch(0, T0_S)).unwrap();
    let untaken = hands.take(&Bytes::from(batch(0, T0_S)), Some(&wrong)).await.unwrap_err();
    assert_eq!((untaken.claimed, unproven()), (Some(ServerId::new(1)), None), "it may come again until it is there");
    hands.count_refused(&untaken);
    assert_eq!(hands.handle(message(batch(1, T0_S), false), false).await.unwrap(), Fate::Settled);
    assert_eq!(
        (unproven(), central.ingest.delivery(ServerId::new(1), now_ms()).put_aside),
        (Some(1), None),
        "after a batch was taken, too"
    );
}

#[tokio::test]
async fn what_the_broker_took_out_is_counted_when_it_is_settled() {
    let central = Central::new(crate::Settings::default(), 0);
    let hands = central.hands();
    for _ in 0..3 {
        why(hands.handle(message(batch(0, 600), true), true).await);
    }
    assert_eq!(central.returned(), (0, 0));
    assert_eq!(hands.handle(message(batch(1, T0_S), true), true).await.unwrap(), Fate::Settled);
    assert_eq!(central.returned(), (1, 1));
    assert_eq!(hands.handle(message(batch(2, T0_S), true), false).await.unwrap(), Fate::Settled);
    assert_eq!(central.returned(), (1, 1), "what somebody moved back himself was not taken out by the broker");
    let reasons: BTreeMap<_, _> = central.ingest.broker().unwrap().returned.into_iter().collect();
    assert_eq!(reasons["expired"], 1);
}

#[tokio::test]
async fn what_is_ahead_of_a_clock_that_is_right_is_refused_and_of_one_that_is_behind_not() {
    let now_ms = now_ms();
    let ahead = || message(batch(0, now_ms / 60_000 * 60 + 86_400), false);
    let central = Central::new(crate::Settings::default(), now_ms);
    let said = why(central.hands().handle(ahead(), false).await);
    assert!(said.contains("dead-letter"), "{said}");
    // The server was added in a week.
    let central = Central::new(crate::Settings::default(), now_ms + 7 * 86_400_000);
    match central.hands().handle(ahead(), false).await.unwrap() {
        Fate::Unable(why) => assert!(why.contains("the central's clock is"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(central.ingest.can_take().await, Err(Error::Behind { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_finds_no_place_is_kept_while_others_may_be_taken() {
    let settings = crate::Settings { queue_batches: 4, patience: Duration::ZERO, ..crate::Settings::default() };
    let central = Central::new(settings, 0);
    // Nothing is written meanwhile.
    let write = central.store.begin();
    let mut running = Vec::new();
    for seq in 0..2 {
        let ingest = central.ingest.clone();
        running
            .push(tokio::spawn(async move { ingest.receive(batch(seq, T0_S).into(), Sender::Server(ServerId::new(1))).await }));
        while central.ingest.on_the_way(ServerId::new(1)).batches <= seq {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let hands = central.hands();
    let said = why(hands.handle(message(batch(2, T0_S), false), false).await);
    assert!(said.contains("too many batches"), "{said}");
    drop(write);
    for outcome in running {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(hands.handle(message(batch(2, T0_S), false), false).await.unwrap(), Fate::Settled);
}
