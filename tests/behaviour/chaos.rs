//! While traffic flows, each component is stopped or killed once and comes back.
//!
//! tcpdump watches the same traffic and is the truth: wherever the probe claims coverage, the API's
//! sums equal tcpdump's, interval by interval. So no batch is missing and none counts twice. Where
//! a killed probe was not listening, or had not spooled yet, there is a gap in the coverage of at
//! most its absence plus one interval, and requests per second are `null`, not 0.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::MutexGuard;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_fixtures::Seen;
use zonepulse_tests::api::{number, text, time_ms};
use zonepulse_tests::capture::Capture;
use zonepulse_tests::dnsperf::Load;
use zonepulse_tests::needs::{capture_rights, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Api, Central, Knot, Probe, RabbitMq, eventually, unix_ms};

const INTERVAL_S: u32 = 5;
const INTERVAL_MS: u64 = 5_000;

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("with_rabbitmq_whatever_is_stopped_or_killed_every_spooled_batch_counts_once", capture_rights, with_rabbitmq),
        test_with("over_http_whatever_is_killed_every_spooled_batch_counts_once", capture_rights, over_http),
    ]
}

fn seconds(count: u64) {
    sleep(Duration::from_secs(count));
}

fn with_rabbitmq(_alone: MutexGuard<'static, ()>) {
    let mut broker = RabbitMq::start();
    let mut central = Central::start_with_broker(&["chaos"], &broker.url(), "chaos");
    let knot = Knot::start();
    let settings = Settings { port: knot.port, interval_s: INTERVAL_S, ..Settings::amqp(&central, 0, &broker, "chaos") };
    let mut scene = Scene::begin(knot, Probe::new(&settings));

    seconds(8);
    broker.stop();
    seconds(9);
    // Now the spool contains batches that exist nowhere else.
    scene.kill_probe_for(12);
    seconds(9);
    broker.start_again();
    // The backlog is being delivered: a good moment for the central to die.
    central.kill();
    seconds(4);
    central.start_again();
    seconds(8);
    scene.kill_probe_for(12);
    central.kill();
    central.start_again();
    seconds(7);

    let away = scene.away.clone();
    scene.end().assert_told_truly(&central.api(), &away);
    central.stop();
    central.check();
}

fn over_http(_alone: MutexGuard<'static, ()>) {
    let mut central = Central::start(&["chaos"]);
    let knot = Knot::start();
    let settings = Settings { port: knot.port, interval_s: INTERVAL_S, ..Settings::http(&central, 0) };
    let mut scene = Scene::begin(knot, Probe::new(&settings));

    seconds(7);
    central.kill();
    seconds(7);
    scene.kill_probe_for(12);
    seconds(2);
    central.start_again();
    seconds(7);

    let away = scene.away.clone();
    scene.end().assert_told_truly(&central.api(), &away);
    central.stop();
    central.check();
}

/// Traffic, the probe that counts it, and tcpdump watching it.
struct Scene {
    probe: Probe,
    capture: Capture,
    traffic: zonepulse_tests::Process,
    folder: TempDir,
    _knot: Knot,
    /// When the probe was killed and when it was restarted, Unix milliseconds.
    away: Vec<(u64, u64)>,
}

/// What tcpdump saw.
struct Truth {
    seen: Vec<Seen>,
    end_ms: u64,
}

impl Scene {
    fn begin(knot: Knot, mut probe: Probe) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let capture = Capture::start(knot.port, folder.path());
        probe.start();
        let traffic = Load { mode: "udp", port: knot.port, per_second: 1_000 }.start(600, folder.path());
        Scene { probe, capture, traffic, folder, _knot: knot, away: Vec::new() }
    }

    fn kill_probe_for(&mut self, count: u64) {
        let from_ms = unix_ms();
        self.probe.kill();
        seconds(count);
        self.probe.start();
        self.away.push((from_ms, unix_ms()));
    }

    fn end(mut self) -> Truth {
        let end_ms = unix_ms();
        assert!(self.probe.is_running(), "{}", self.probe.log());
        // Everything is back: the spool empties.
        self.probe.stop();
        eventually("the spool is empty", Duration::from_secs(30), || (self.probe.waiting() == 0).then_some(()));
        assert!(!self.probe.log().contains("panicked"), "{}", self.probe.log());
        self.traffic.terminate(Duration::from_secs(10));
        let seen = self.capture.finish();
        drop(self.folder);
        Truth { seen, end_ms }
    }
}

impl Truth {
    fn assert_told_truly(&self, api: &Api, away: &[(u64, u64)]) {
        let reports = eventually("the last batch is committed", Duration::from_secs(30), || {
            let reports = api.all_rows("dns/coverage", &[("sort", "time,seq")]);
            let last = reports.iter().map(|row| time_ms(row, "covered_until")).max()?;
            (last >= self.end_ms).then_some(reports)
        });

        // Each run of the probe is an epoch with consecutive numbers: everything that reached the
        // spool has arrived.
        let mut epochs: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for row in &reports {
            epochs.entry(text(row, "epoch")).or_default().push(number(row, "seq"));
        }
        assert_eq!(epochs.len(), away.len() + 1, "{epochs:?}");
        for sequence in epochs.values_mut() {
            sequence.sort_unstable();
            assert!(sequence.iter().copied().eq(0..sequence.len() as u64), "batches are missing or there twice: {epochs:?}");
        }

        // Where there was coverage, the counts match the traffic.
        let raw = api.all_rows("dns/raw", &[]);
        let mut covered: Vec<(u64, u64)> = Vec::new();
        let mut hits = 0;
        let mut lost = 0;
        for row in &reports {
            let (from_ms, until_ms) = (time_ms(row, "covered_from"), time_ms(row, "covered_until"));
            covered.push((from_ms, until_ms));
            hits += number(row, "hits");
            lost += number(row, "kernel_dropped");
            assert_eq!((number(row, "messages_seen"), number(row, "not_counted")), (number(row, "hits"), 0), "{row:?}");
        }
        assert_eq!(raw.iter().map(|row| number(row, "hits")).sum::<u64>(), hits, "points and reports do not agree");
        assert_eq!(lost, 0, "the kernel dropped packets: {reports:?}");
        covered.retain(|(from_ms, until_ms)| from_ms != until_ms);
        covered.sort_unstable();
        for (action, requests) in [("request", true), ("response", false)] {
            let mut found: BTreeMap<u64, u64> = BTreeMap::new();
            for row in raw.iter().filter(|row| text(row, "action") == action) {
                *found.entry(time_ms(row, "time")).or_default() += number(row, "hits");
            }
            let expected = self.between(&covered, requests);
            let told = |(start_ms, hits): (&u64, &u64)| expected.get(start_ms).is_some_and(|between| between.contains(hits));
            assert!(
                found.len() == expected.len() && found.iter().all(told),
                "{action}s by interval: {found:?}, by tcpdump {expected:?}"
            );
            // Within continuous coverage, nothing is lost between two intervals.
            let expected = self.between_in_all(&stretches(&covered), requests);
            let all: u64 = found.values().sum();
            assert!(expected.contains(&all), "{action}s: {all}, by tcpdump {expected:?}");
        }
        assert_gaps(&covered, away);
        assert_null_where_nothing_was_observed(api, &covered);
    }

    /// The number of messages that tcpdump saw within the coverage, by start of the interval, Unix
    /// milliseconds.
    fn between(&self, covered: &[(u64, u64)], requests: bool) -> BTreeMap<u64, RangeInclusive<u64>> {
        let mut by_interval: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        for part in covered {
            by_interval.entry(part.0 / INTERVAL_MS * INTERVAL_MS).or_default().push(*part);
        }
        by_interval.into_iter().map(|(start_ms, parts)| (start_ms, self.between_in_all(&parts, requests))).collect()
    }

    /// The number of messages that tcpdump saw in all these parts, at least and at most.
    fn between_in_all(&self, parts: &[(u64, u64)], requests: bool) -> RangeInclusive<u64> {
        /// The kernel timestamps a packet separately for each of two listeners.
        const STAMPS_MS: u64 = 3;
        /// A probe listens slightly before it reports so; messages in between are counted, too.
        const BEFORE_MS: u64 = 100;
        let count = |from_ms: u64, until_ms: u64| {
            let seen = self.seen.iter().filter(|seen| seen.rcode.is_none() == requests);
            seen.filter(|seen| (from_ms..until_ms).contains(&(seen.time_us / 1000))).count() as u64
        };
        let least = parts.iter().map(|(from_ms, until_ms)| count(from_ms + STAMPS_MS, until_ms - STAMPS_MS)).sum();
        let most = parts.iter().map(|(from_ms, until_ms)| {
            let before_ms = if from_ms.is_multiple_of(INTERVAL_MS) { STAMPS_MS } else { BEFORE_MS };
            count(from_ms - before_ms, until_ms + STAMPS_MS)
        });
        least..=most.sum()
    }
}

/// The parts of the coverage, with adjacent ones merged.
fn stretches(covered: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for (from_ms, until_ms) in covered {
        match stretches.last_mut() {
            Some(last) if last.1 == *from_ms => last.1 = *until_ms,
            _ => stretches.push((*from_ms, *until_ms)),
        }
    }
    stretches
}

/// Checks that there is one gap in the coverage for each time that the probe was away, and no
/// other. A gap starts at most an interval before the kill (plus the second after its end in which
/// the probe waits for frames held in the kernel), and ends at most a few seconds after the
/// restart.
fn assert_gaps(covered: &[(u64, u64)], away: &[(u64, u64)]) {
    const START_MS: u64 = 3_000;
    const GRACE_MS: u64 = 1_500;
    let gaps: Vec<(u64, u64)> = stretches(covered).windows(2).map(|pair| (pair[0].1, pair[1].0)).collect();
    assert_eq!(gaps.len(), away.len(), "gaps {gaps:?}, away {away:?}");
    for ((gap_from_ms, gap_until_ms), (from_ms, until_ms)) in gaps.iter().zip(away) {
        assert!(gap_from_ms <= from_ms && from_ms - gap_from_ms <= INTERVAL_MS + GRACE_MS, "gaps {gaps:?}, away {away:?}");
        assert!(*gap_until_ms <= until_ms + START_MS, "gaps {gaps:?}, away {away:?}");
    }
}

/// Checks that requests per second are a number exactly where a batch reported on the interval.
fn assert_null_where_nothing_was_observed(api: &Api, covered: &[(u64, u64)]) {
    let start_ms = |ms: u64| ms / INTERVAL_MS * INTERVAL_MS;
    let (first, last) = (start_ms(covered[0].0), start_ms(covered[covered.len() - 1].0));
    let (from, to) = ((first / 1000).to_string(), (last / 1000 + u64::from(INTERVAL_S)).to_string());
    let step = INTERVAL_S.to_string();
    let rows = api.rows("dns/rps", &[("date_from", &from), ("date_to", &to), ("step", &step)]);
    assert_eq!(rows.len() as u64, (last - first) / INTERVAL_MS + 1, "{rows:?}");
    let mut nulls = 0;
    for row in &rows {
        let time = time_ms(row, "time");
        let observed = covered.iter().any(|(from_ms, _)| start_ms(*from_ms) == time);
        assert_eq!(row["rps"].is_null(), !observed, "{row:?} in {covered:?}");
        nulls += u64::from(!observed);
    }
    assert!(nulls > 0, "the probe was away for two intervals: {rows:?}");
}
