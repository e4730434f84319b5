//! Whatever a broker does to a message, a batch that it has confirmed counts exactly once.
//!
//! Tested with this machine's RabbitMQ, which is 3.10 on Debian 12, and with RabbitMQ 4, whose
//! queues by default drop a message after 21 deliveries.

use libtest_mimic::Trial;
use std::fs;
use std::thread::sleep;
use std::time::Duration;
use zonepulse_tests::api::number;
use zonepulse_tests::batches::{REQUEST, batch, encode, point};
use zonepulse_tests::central::Server;
use zonepulse_tests::disk::Disk;
use zonepulse_tests::needs::{capture_and_mount_rights, capture_rights, rabbitmq, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::queue::Queue;
use zonepulse_tests::{Central, Probe, RabbitMq, Release, eventually, ports, unix_ms};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![test("a_broker_that_cannot_be_reached_makes_the_central_unready_and_not_dead", unreachable)];
    for release in Release::ALL {
        let name = |what: &str| format!("with_{}_{what}", release.name());
        let simple = |what: &str, body: fn(Release)| test_with(&name(what), move || rabbitmq(release), move |()| body(release));
        trials.extend([
            test_with(
                &name("batches_stay_in_the_queue_while_the_disk_is_full"),
                move || rabbitmq(release).and_then(|()| capture_and_mount_rights()),
                move |_alone| full_disk(release),
            ),
            test_with(
                &name("a_probe_waits_on_one_connection_while_the_broker_is_short_of_memory"),
                move || rabbitmq(release).and_then(|()| capture_rights()),
                move |_alone| blocked_probe(release),
            ),
            simple("a_batch_whose_connection_breaks_25_times_is_counted_once", broken_connections),
            simple("the_queue_of_an_earlier_release_is_used_and_named", earlier_release),
            simple("what_a_policy_takes_out_of_the_queue_is_counted_all_the_same", policies),
            simple("a_queue_with_other_arguments_is_named_until_it_is_gone", other_arguments),
            simple("a_queue_that_is_deleted_is_made_again", deleted),
            simple("a_central_that_is_slower_than_the_consumer_timeout_counts_once", consumer_timeout),
            simple("good_batches_are_taken_while_the_dead_letter_queue_takes_nothing", blocked_dead_letters),
        ]);
    }
    trials
}

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 1 << 20;

/// A batch with one hit.
fn of(server: &Server, seq: u64) -> Vec<u8> {
    encode(&batch(server.id, 9, seq, 60, &[point("kept.example.", "A", REQUEST, 1, 0)]))
}

fn publish(queue: &Queue, server: &Server, seq: u64) {
    queue.publish(&of(server, seq), &server.token);
}

fn hits(central: &Central) -> u64 {
    central.api().rows("dns/aggregate", &[]).iter().map(|row| number(row, "hits")).sum()
}

fn await_hits(central: &Central, expected: u64) {
    eventually(&format!("{expected} batches are counted"), PATIENCE, || (hits(central) == expected).then_some(()));
}

fn await_ready(central: &Central) {
    eventually("the central is ready", PATIENCE, || central.unready().is_none().then_some(()));
}

fn await_unready(central: &Central, words: &[&str]) {
    eventually(&format!("the central is not ready: {words:?}"), PATIENCE, || {
        central.unready().filter(|said| words.iter().all(|word| said.contains(word)))
    });
}

fn await_waiting(queue: &Queue, what: &str, expected: u32) {
    eventually(what, PATIENCE, || (queue.waiting() == expected).then_some(()));
}

fn full_disk(release: Release) {
    let broker = RabbitMq::shared_release(release);
    let disk = Disk::mount(64 * MIB);
    let min_free = (16 * MIB).to_string();
    let environment = [
        ("ZONEPULSE_STORE__MIN_FREE_BYTES", min_free.as_str()),
        ("ZONEPULSE_RABBITMQ__URL", &broker.url()),
        ("ZONEPULSE_RABBITMQ__QUEUE", "full"),
    ];
    let central = Central::start_on(&disk.path, &["full"], &environment);
    let queue = Queue::open(&broker, "full");
    await_ready(&central);
    // A message returned every second would soon reach this limit, as it would reach the broker's
    // own within half a minute.
    broker.set_policy("full", r#"{"delivery-limit":3}"#);
    disk.fill(15 * MIB);
    // The file system's free space is cached for half a second.
    sleep(Duration::from_secs(1));
    (0..5).for_each(|seq| publish(&queue, &central.servers[0], seq));
    await_unready(&central, &["nearly full", "no batches are taken from RabbitMQ"]);
    sleep(Duration::from_secs(6));
    assert_eq!(queue.waiting(), 5, "they wait in the queue");
    assert_eq!(Queue::open(&broker, "full.returned").waiting(), 0, "the broker takes none out of it");
    assert_eq!(hits(&central), 0);
    disk.empty();
    await_hits(&central, 5);
    await_ready(&central);
    assert_eq!(central.metric("zonepulse_rabbitmq_rests_total"), 1, "{}", central.log());
    assert_eq!(queue.waiting(), 0);
}

fn broken_connections(release: Release) {
    let broker = RabbitMq::shared_release(release);
    let mut central = Central::start_with_broker(&["broken"], &broker.url(), "broken");
    let queue = Queue::open(&broker, "broken");
    central.stop();
    publish(&queue, &central.servers[0], 0);
    queue.break_deliveries(&broker, 25);
    await_waiting(&queue, "it is there again", 1);
    central.start_again();
    await_hits(&central, 1);
    // If it had been returned once more, it would have started at 0.
    eventually("it was put into the queue anew", PATIENCE, || {
        (central.metric("zonepulse_rabbitmq_messages_renewed_total") == 1).then_some(())
    });
    assert_eq!(queue.waiting(), 0);
}

fn earlier_release(release: Release) {
    let broker = RabbitMq::shared_release(release);
    Queue::declare(&broker, "earlier", "quorum");
    let queue = Queue::open(&broker, "earlier");
    let mut central = Central::start_with_broker(&["earlier"], &broker.url(), "earlier");
    await_ready(&central);
    let log = central.log();
    assert!(log.contains("declared by an earlier release") && log.contains("rabbitmqctl set_policy"), "{log}");
    assert_eq!(central.metric("zonepulse_rabbitmq_queues_unprotected"), 1);
    central.stop();
    publish(&queue, &central.servers[0], 0);
    // One more delivery, and RabbitMQ 4 drops it.
    queue.break_deliveries(&broker, 20);
    central.start_again();
    await_hits(&central, 1);
    assert_eq!(central.metric("zonepulse_rabbitmq_messages_renewed_total"), 1);
}

fn policies(release: Release) {
    let broker = RabbitMq::shared_release(release);
    let mut central = Central::start_with_broker(&["policies"], &broker.url(), "policies");
    let (queue, returned) = (Queue::open(&broker, "policies"), Queue::open(&broker, "policies.returned"));
    central.stop();
    broker.set_policy("policies", r#"{"delivery-limit":1}"#);
    publish(&queue, &central.servers[0], 0);
    queue.break_deliveries(&broker, 2);
    await_waiting(&returned, "the limit is reached", 1);
    broker.set_policy("policies", r#"{"message-ttl":100}"#);
    publish(&queue, &central.servers[0], 1);
    await_waiting(&returned, "the message is too old", 2);
    broker.set_policy("policies", r#"{"max-length":1,"overflow":"drop-head"}"#);
    (2..4).for_each(|seq| publish(&queue, &central.servers[0], seq));
    await_waiting(&returned, "the queue is too long", 3);
    assert_eq!(queue.waiting(), 1);

    central.start_again();
    await_hits(&central, 4);
    for reason in ["delivery_limit", "expired", "maxlen"] {
        let name = format!("zonepulse_rabbitmq_messages_returned_total{{reason=\"{reason}\"}}");
        eventually(&format!("{reason} is counted when its message is settled"), PATIENCE, || {
            (central.metric(&name) == 1).then_some(())
        });
    }
    assert_eq!(central.metric("zonepulse_rabbitmq_messages_restored_total"), 3);
    assert!(central.log().contains("the broker took messages out of the queue"), "{}", central.log());
    assert_eq!((queue.waiting(), returned.waiting()), (0, 0));
}

fn other_arguments(release: Release) {
    let broker = RabbitMq::shared_release(release);
    Queue::declare(&broker, "other", "classic");
    let queue = Queue::open(&broker, "other");
    let central = Central::start_with_broker(&["other"], &broker.url(), "other");
    await_unready(&central, &["other", "x-queue-type", "has to be quorum", "rabbitmqctl delete_queue other"]);
    assert!(central.api().healthy(), "it is alive");
    assert!(central.log().contains("x-queue-type"), "{}", central.log());
    assert_eq!(central.metric("zonepulse_rabbitmq_consuming"), 0);
    queue.delete();
    await_ready(&central);
    publish(&queue, &central.servers[0], 0);
    await_hits(&central, 1);
    assert_eq!(central.metric("zonepulse_rabbitmq_consuming"), 1);
}

fn deleted(release: Release) {
    let broker = RabbitMq::shared_release(release);
    let central = Central::start_with_broker(&["deleted"], &broker.url(), "deleted");
    let queue = Queue::open(&broker, "deleted");
    await_ready(&central);
    queue.delete();
    eventually("it is noticed", PATIENCE, || (central.metric("zonepulse_rabbitmq_consumers_cancelled_total") == 1).then_some(()));
    await_ready(&central);
    publish(&Queue::open(&broker, "deleted"), &central.servers[0], 0);
    await_hits(&central, 1);
    assert!(central.log().contains("the broker cancelled the consumer"), "{}", central.log());
}

fn consumer_timeout(release: Release) {
    let broker = RabbitMq::start_release(release);
    // Half an hour and a minute by default; a channel reads both when it is opened.
    broker.control(&[
        "eval",
        "application:set_env(rabbit, consumer_timeout, 2000), application:set_env(rabbit, channel_tick_interval, 500).",
    ]);
    let central = Central::start_with_broker(&["slow"], &broker.url(), "slow");
    let queue = Queue::open(&broker, "slow");
    await_ready(&central);
    central.freeze();
    publish(&queue, &central.servers[0], 0);
    // The broker closes the channel, and redelivers the message once the central has noticed.
    sleep(Duration::from_secs(5));
    central.thaw();
    await_hits(&central, 1);
    eventually("there is a new channel", PATIENCE, || {
        (central.metric("zonepulse_rabbitmq_connections_total") == 2).then_some(())
    });
    await_ready(&central);
    assert_eq!((hits(&central), queue.waiting()), (1, 0));
    assert!(central.log().contains("delivery acknowledgement"), "{}", central.log());
}

/// Makes the broker believe that it is out of memory, or ends that.
fn alarm(broker: &RabbitMq, raised: bool) {
    let limit: &[&str] = if raised { &["absolute", "1"] } else { &["0.8"] };
    broker.control(&[&["set_vm_memory_high_watermark"], limit].concat());
    eventually("the broker has looked at its memory", PATIENCE, || {
        let alarms = broker.control(&["eval", "rabbit_alarm:get_alarms()."]);
        (alarms.contains("memory") == raised).then_some(())
    });
}

fn blocked_dead_letters(release: Release) {
    let broker = RabbitMq::start_release(release);
    let mut central = Central::start_with_broker(&["alarm"], &broker.url(), "alarm");
    let (queue, dead) = (Queue::open(&broker, "alarm"), Queue::open(&broker, "alarm.dead"));
    central.stop();
    queue.publish_with(b"not a batch at all", None);
    publish(&queue, &central.servers[0], 0);
    alarm(&broker, true);
    central.start_again();
    await_hits(&central, 1);
    await_unready(&central, &["the dead-letter queue", "connection.blocked"]);
    assert_eq!(dead.waiting(), 0);
    alarm(&broker, false);
    await_waiting(&dead, "what was refused is kept", 1);
    await_ready(&central);
    assert_eq!((queue.waiting(), hits(&central)), (0, 1));
    assert_eq!(central.metric("zonepulse_rabbitmq_connections_total"), 1, "acknowledgements were not held up");
}

fn blocked_probe(release: Release) {
    let broker = RabbitMq::start_release(release);
    let central = Central::start_with_broker(&["wait"], &broker.url(), "wait");
    await_ready(&central);
    alarm(&broker, true);
    let settings = Settings { port: ports::free(), interval_s: 60, ..Settings::amqp(&central, 0, &broker, "wait") };
    let mut probe = Probe::new(&settings);
    let start_s = unix_ms() / 60_000 * 60 - 600;
    fs::create_dir_all(probe.spool()).expect("a test's folder is writable");
    for seq in 0..3 {
        let of = batch(central.servers[0].id, 3, seq, start_s, &[point("kept.example.", "A", REQUEST, 1, 0)]);
        let name = format!("{start_s:012}-{:020}-{seq:010}.batch", 3);
        fs::write(probe.spool().join(name), encode(&of)).expect("a test's folder is writable");
    }
    let connections = || broker.control(&["list_connections", "-q", "--no-table-headers", "pid"]).lines().count();
    let before = connections();
    probe.start();
    eventually("the probe says why it waits", PATIENCE, || probe.log().contains("connection.blocked").then_some(()));
    // After several attempts.
    sleep(Duration::from_secs(8));
    assert_eq!(connections(), before + 1, "{}", probe.log());
    // In addition to one that the probe may have made itself meanwhile.
    let kept = probe.spooled().iter().filter(|batch| batch.identity.epoch == 3).count();
    assert_eq!((hits(&central), kept), (0, 3));
    alarm(&broker, false);
    await_hits(&central, 3);
    eventually("the spool is empty", PATIENCE, || (probe.waiting() == 0).then_some(()));
    probe.stop();
}

fn unreachable() {
    let url = format!("amqp://guest:hush@127.0.0.1:{}/%2f", ports::free());
    let central = Central::start_with_broker(&["alone"], &url, "alone");
    await_unready(&central, &["RabbitMQ cannot be used", "there is no connection"]);
    assert!(central.api().healthy(), "it is alive");
    assert!(!central.unready().unwrap_or_default().contains("hush"));
    assert_eq!(central.metric("zonepulse_rabbitmq_consuming"), 0);
}
