//! Impossible times: batches that contain them change no first or last access, are kept for
//! inspection, and what they changed before there were limits can be repaired.

use libtest_mimic::Trial;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, number, text, time_ms};
use zonepulse_tests::batches::{REQUEST, batch, encode, point, send};
use zonepulse_tests::needs::test;
use zonepulse_tests::probe::{Settings, Sources};
use zonepulse_tests::process::{Output, program_command, run};
use zonepulse_tests::queue::Queue;
use zonepulse_tests::{Central, Probe, RabbitMq, eventually, unix_ms};
use zonepulse_wire::Batch;

pub fn trials() -> Vec<Trial> {
    vec![
        test("a_batch_of_1970_is_refused_for_good_and_counted_by_server", ancient),
        test("how_far_a_batch_may_be_from_the_clock_can_be_set_in_both_directions", configured),
        test("a_probe_keeps_what_is_too_old_aside_and_what_is_too_early_in_its_spool_and_goes_on", kept_by_the_probe),
        test("what_is_too_old_or_too_early_goes_to_the_dead_letter_queue_with_the_reason", dead_letters),
        test("a_rebuild_makes_first_and_last_accesses_right_again_and_leaves_a_sound_store", rebuilt),
        test("a_rebuild_of_a_store_in_use_says_so", in_use),
    ]
}

const DAY_S: u64 = 86_400;
const YEAR_S: u64 = 365 * DAY_S;
/// The default, which tests with old captures extend.
const SHIPPED: (&str, &str) = ("ZONEPULSE_INGEST__MAX_AGE_DAYS", "9125");
/// No limits: a store as it was before they existed.
const BOUNDLESS: [(&str, &str); 2] =
    [("ZONEPULSE_INGEST__MAX_AGE_DAYS", "36500"), ("ZONEPULSE_INGEST__MAX_AHEAD_S", "4294967296")];

fn minute_s() -> u64 {
    unix_ms() / 60_000 * 60
}

fn start(servers: &[&str], environment: &[(&str, &str)]) -> Central {
    Central::start_on(&std::env::temp_dir(), servers, environment)
}

/// A request for each of these names, 5 s after the start.
fn asked(server_id: u32, seq: u64, start_s: u64, hosts: &[&str]) -> Batch {
    let points: Vec<_> = hosts.iter().map(|host| point(host, "A", REQUEST, 1, 5000)).collect();
    batch(server_id, 7, seq, start_s, &points)
}

/// A line of `/metrics` about the first server.
fn metric(central: &Central, name: &str) -> u64 {
    let metrics = central.api().get("/metrics", &[], "text/plain").text();
    let begin = format!("zonepulse_{name}_total{{server=\"{}\"}} ", central.servers[0].id);
    let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {begin:?} in {metrics}"))
}

fn ancient() {
    let mut central = start(&["ancient"], &[SHIPPED]);
    let (api, id) = (central.api_of_server(0), central.servers[0].id);
    for start_s in [0, 600, 315_532_800, 946_684_800] {
        let response = api.post_batch(encode(&asked(id, 0, start_s, &["a.example."])));
        assert_eq!(response.status, 400, "{start_s}: {}", response.text());
        assert!(response.problem("detail").contains("max_age_days"), "{}", response.text());
    }
    assert_eq!((metric(&central, "server_batches_too_old"), metric(&central, "server_batches_ahead")), (4, 0));
    assert!(central.log().contains("batches with impossible times are not taken"), "{}", central.log());
    // A refused batch does not use up its number, and a capture from years ago is not affected.
    send(&api, &asked(id, 0, (minute_s() - 15 * YEAR_S) / 60 * 60, &["a.example."]));
    let rows = central.api().rows("dns/aggregate", &[ALL_TIME]);
    assert_eq!(rows.iter().map(|row| number(row, "hits")).collect::<Vec<_>>(), [1]);
    central.stop();
    central.check();
}

fn configured() {
    let bounds = [("ZONEPULSE_INGEST__MAX_AGE_DAYS", "2"), ("ZONEPULSE_INGEST__MAX_AHEAD_S", "7200")];
    let central = start(&["configured"], &bounds);
    let (api, id) = (central.api_of_server(0), central.servers[0].id);
    let now_s = minute_s();
    send(&api, &asked(id, 0, now_s - DAY_S, &["a.example."]));
    send(&api, &asked(id, 1, now_s + 3600, &["a.example."]));
    let status = |start_s| api.post_batch(encode(&asked(id, 2, start_s, &["a.example."]))).status;
    assert_eq!((status(now_s - 3 * DAY_S), status(now_s + 3 * 3600)), (400, 503));
    assert_eq!((metric(&central, "server_batches_too_old"), metric(&central, "server_batches_ahead")), (1, 1));
}

/// Puts a batch into a spool, as an earlier probe might have left it.
fn leave(spool: &Path, batch: &Batch) -> String {
    let name = format!("{:012}-{:020}-{:010}.batch", batch.start_s, batch.identity.epoch, batch.identity.seq);
    fs::create_dir_all(spool).expect("a test's folder is writable");
    fs::write(spool.join(&name), encode(batch)).expect("a test's folder is writable");
    name
}

fn kept_by_the_probe() {
    let central = start(&["kept"], &[SHIPPED]);
    let id = central.servers[0].id;
    let mut probe = Probe::new(&Settings { sources: Sources::Dnstap, ..Settings::http(&central, 0) });
    let now_s = minute_s();
    let old = asked(id, 0, 600, &["a.example."]);
    let old_name = leave(&probe.spool(), &old);
    // More batches than may be in flight at once.
    let early: Vec<String> =
        (1..=20).map(|seq| leave(&probe.spool(), &asked(id, seq, now_s + seq * DAY_S, &["a.example."]))).collect();
    for seq in 21..=23 {
        leave(&probe.spool(), &asked(id, seq, now_s - 3600 + seq * 60, &["a.example."]));
    }
    probe.start();
    eventually("the good batches have arrived", Duration::from_secs(20), || {
        let rows = central.api().rows("dns/aggregate", &[ALL_TIME]);
        (rows.iter().map(|row| number(row, "hits")).sum::<u64>() == 3).then_some(())
    });
    let kept = probe.spool().join("refused").join(&old_name);
    eventually("the old batch is aside", Duration::from_secs(20), || kept.is_file().then_some(()));
    assert_eq!(fs::read(&kept).expect("it is there"), encode(&old));
    let reason = fs::read_to_string(kept.with_extension("reason")).expect("the reason is beside it");
    assert!(reason.contains("max_age_days"), "{reason}");
    assert!(early.iter().all(|name| probe.spool().join(name).is_file()), "what is early stays in the spool");
    let first = &central.api().rows("dns/aggregate", &[ALL_TIME])[0];
    assert!(time_ms(first, "first_seen") > (now_s - DAY_S) * 1000, "{first:?}");
}

fn dead_letters() {
    let broker = RabbitMq::shared();
    let environment = [SHIPPED, ("ZONEPULSE_RABBITMQ__URL", &broker.url()), ("ZONEPULSE_RABBITMQ__QUEUE", "times")];
    let central = start(&["dead"], &environment);
    let server = &central.servers[0];
    let (queue, dead) = (Queue::open(&broker, "times"), Queue::open(&broker, "times.dead"));
    for (start_s, reason) in [(600, "max_age_days"), (minute_s() + 10 * YEAR_S, "ahead of the central's clock")] {
        let body = encode(&asked(server.id, 0, start_s / 60 * 60, &["a.example."]));
        queue.publish(&body, &server.token);
        let message = eventually(reason, Duration::from_secs(20), || dead.take());
        assert_eq!(message.body, body, "it is kept as it came");
        let error = message.headers.get("x-zonepulse-error").cloned().unwrap_or_default();
        assert!(error.contains(reason), "{error}");
    }
    let metrics = central.api().get("/metrics", &[], "text/plain").text();
    for reason in ["too_old", "ahead"] {
        let line = format!("\nzonepulse_rabbitmq_messages_refused_total{{reason=\"{reason}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    assert_eq!(central.api().rows("dns/aggregate", &[]).len(), 0);
    // No probe knows of them: the server's next report includes them.
    queue.publish(&encode(&asked(server.id, 0, minute_s() - 120, &["a.example."])), &server.token);
    eventually("coverage tells of both", Duration::from_secs(20), || {
        let rows = central.api().rows("dns/coverage", &[]);
        rows.iter().any(|row| text(row, "losses").contains("batches_refused=2")).then_some(())
    });
}

fn rebuild(central: &Central, arguments: &[&str]) -> Output {
    let mut command: Command = program_command("zonepulse");
    command.arg("rebuild").args(arguments).arg("--data").arg(central.data());
    for key in ["RAW_RETENTION_MINUTES", "AGGREGATED_RETENTION_DAYS"] {
        command.env(format!("ZONEPULSE_STORE__{key}"), u32::MAX.to_string());
    }
    run(&mut command, Duration::from_secs(60))
}

fn rebuilt() {
    let mut central = start(&["rebuilt", "other"], &BOUNDLESS);
    let (api, id) = (central.api_of_server(0), central.servers[0].id);
    let now_s = minute_s();
    send(&api, &asked(id, 0, now_s - 7200, &["a.example.", "b.example."]));
    send(&api, &asked(id, 1, now_s - 120, &["a.example."]));
    send(&api, &asked(id, 2, 600, &["a.example.", "only-1970.example."]));
    let future_s = now_s + 10 * YEAR_S;
    send(&api, &asked(id, 3, future_s, &["a.example."]));
    send(&central.api_of_server(1), &asked(central.servers[1].id, 0, now_s - 120, &["a.example."]));
    let of = |central: &Central, host: &str| -> Vec<(u64, u64, u64)> {
        let rows = central.api().rows("dns/aggregate", &[ALL_TIME, ("host", host), ("server_id", &id.to_string())]);
        rows.iter().map(|row| (number(row, "hits"), time_ms(row, "first_seen"), time_ms(row, "last_access"))).collect()
    };
    assert_eq!(of(&central, "a.example."), [(4, 605_000, future_s * 1000 + 5000)]);
    central.stop();

    let bounds = ["--drop-before", "2001-01-01T00:00:00Z", "--drop-after", &(now_s + DAY_S).to_string()];
    let told = rebuild(&central, &[&bounds[..], &["--server", "rebuilt", "--dry-run"]].concat());
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(told.out.contains("dry run: nothing was written"), "{}", told.out);
    let done = rebuild(&central, &[&bounds[..], &["--server", "rebuilt"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("changed 1, removed 1, batches removed 2, hits removed 3"), "{}", done.out);
    assert_eq!(told.out.replace(" (dry run: nothing was written)", ""), done.out);
    central.check();
    // A single record, with nothing left to do.
    let again = rebuild(&central, &["A.example", "A"]);
    assert!(again.out.contains("rebuilt: totals 1, changed 0"), "{}{}", again.out, again.err);
    central.check();

    central.start_again();
    // For the first access, which the false one had replaced, points keep only the minute.
    assert_eq!(of(&central, "a.example."), [(2, (now_s - 7200) * 1000, (now_s - 120) * 1000 + 5000)]);
    assert_eq!(of(&central, "b.example."), [(1, (now_s - 7200) * 1000 + 5000, (now_s - 7200) * 1000 + 5000)]);
    assert_eq!(of(&central, "only-1970.example."), []);
    let audit = central.api().get("/api/v2/audit", &[], "application/json").text();
    assert!(audit.contains("server.rebuild"), "{audit}");
    // A copy of a removed batch is still recognised.
    send(&central.api_of_server(0), &asked(id, 3, future_s, &["a.example."]));
    assert_eq!(of(&central, "a.example.")[0].0, 2);
}

fn in_use() {
    let central = Central::start(&["used"]);
    let refused = rebuild(&central, &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("a running `zonepulse serve` holds it; stop it first"), "{}", refused.err);
}
