//! No target: given a capture, it writes first inputs of the targets into the folder
//! that `FUZZ_SEEDS` names, a folder for each target: the file itself, its frames, its
//! DNS messages, and the batches that a probe makes of them; what probe and central say in
//! JSON; and what other services answer. Each message is compared with hickory's reading in
//! passing, with what stands behind its question, and the classes are counted on standard output.
//!
//! It is built as a target so that what targets need is built only once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;
use zonepulse_fuzz::differential::{Class, Sections, compare, compare_sections};
use zonepulse_fuzz::scope;
use zonepulse_model::{Communication, Identity, ServerId};
use zonepulse_probe::capture::file::CaptureFile;
use zonepulse_probe::memory::Budget;
use zonepulse_probe::meter::{Meter, MeterSettings, Source};
use zonepulse_probe::observe::{Hit, Observer, Sink};
use zonepulse_wire::{
    CaptureState, Component, Components, Counter, Heartbeat, HeartbeatAnswer, ProbeSettings, RabbitmqSettings, Series,
    SpoolState, State, SystemBatch,
};

/// Longer inputs would only slow the fuzzer down, bytes.
const MAX_FILE_BYTES: usize = 64 << 10;
const MAX_SEED_BYTES: usize = 4096;
/// What the target `dnstap` puts before its input.
const DNSTAP_START: &[u8] = b"\0\0\0\0\0\0\0\x22\0\0\0\x02\0\0\0\x01\0\0\0\x16protobuf:dnstap.Dnstap";

/// How many messages of all captures fell into each class.
static CLASSES: Mutex<BTreeMap<Class, u64>> = Mutex::new(BTreeMap::new());
/// The same for responses and what stands behind their question.
static SECTIONS: Mutex<BTreeMap<Sections, u64>> = Mutex::new(BTreeMap::new());
/// What stands before a batch's compressed body (wire/src/envelope.rs).
const BATCH_HEADER_BYTES: usize = 33;

fuzz_target!(|capture: &[u8]| {
    let out = std::env::var_os("FUZZ_SEEDS").expect("FUZZ_SEEDS names a folder");
    let mut seeds = Seeds::default();
    if capture.len() <= MAX_FILE_BYTES {
        seeds.add("capture_files", capture.to_vec());
    }
    seeds.frames(capture);
    seeds.metrics();
    seeds.json();
    seeds.services();
    seeds.messages(capture);
    if let Some(frames) = capture.strip_prefix(DNSTAP_START) {
        seeds.add("dnstap", frames.to_vec());
    }
    seeds.write(Path::new(&out)).expect("the folder is writable");
});

/// Inputs by target, each once.
#[derive(Default)]
struct Seeds(BTreeSet<(&'static str, Vec<u8>)>);

impl Seeds {
    fn add(&mut self, target: &'static str, input: Vec<u8>) {
        self.0.insert((target, input));
    }

    fn frames(&mut self, capture: &[u8]) {
        let Ok(mut file) = CaptureFile::from_reader("capture", Cursor::new(capture.to_vec())) else { return };
        let mut meter = Meter::new(MeterSettings {
            server_id: 1,
            epoch: 1,
            interval_s: 60,
            scope: scope(),
            budget: Budget::of_agent(64 << 20, 0),
            served: true,
            source: Source::Replay(zonepulse_probe::times::Possible::ANY),
        });
        let mut together = Vec::new();
        let mut link_type = None;
        while let Ok(Some(frame)) = file.next_frame() {
            meter.frame(&frame);
            let data = frame.data.get(..1514).unwrap_or(frame.data);
            let header = (frame.link_type as u16).to_be_bytes();
            let one = [&(data.len() as u16).to_be_bytes()[..], &[0, 1], data].concat();
            self.add("frames", [&header[..], &one].concat());
            if link_type != Some(frame.link_type) || together.len() + one.len() > MAX_SEED_BYTES {
                self.add("frames", std::mem::replace(&mut together, header.to_vec()));
                link_type = Some(frame.link_type);
            }
            together.extend(one);
        }
        self.add("frames", together);
        meter.finish(0);
        while let Some(batch) = meter.take_closed() {
            let Some(bytes) = batch.encode().ok().filter(|bytes| bytes.len() <= MAX_SEED_BYTES) else { continue };
            self.batch(bytes);
        }
    }

    /// Metrics of a machine, which no capture has.
    fn metrics(&mut self) {
        let series = |metric: &str, label: &str, value: fn(u32) -> Option<f64>| Series {
            metric: metric.to_owned(),
            label: label.to_owned(),
            values: (0..12).map(value).collect(),
        };
        let batch = SystemBatch {
            identity: Identity { server_id: ServerId::new(1), epoch: 1, seq: 1 },
            start_s: 1_767_225_600,
            interval_s: 5,
            slots: 12,
            evicted: None,
            series: vec![
                series("cpu_percent", "0", |slot| (slot % 5 > 0).then_some(f64::from(slot) / 10.0)),
                series("cpu_percent", "total", |slot| Some(f64::from(slot * 7 % 5))),
                series("disk_free_bytes", "/", |_| Some(1e12)),
                series("odd", "", |slot| Some(f64::from(slot) * 1e-9)),
            ],
        };
        self.batch(batch.encode().expect("a batch within bounds"));
    }

    /// A heartbeat and its answer.
    fn json(&mut self) {
        let component = |name: &str| {
            let (version, name) = (Some("3.4.6".to_owned()), Some(name.to_owned()));
            Some(Component { state: State::Running, version, name, identity: None })
        };
        let heartbeat = Heartbeat {
            sent_at_ms: 1_767_225_600_000,
            epoch: 1_767_225_600_000_000_000,
            probe_version: "0.1.0".to_owned(),
            uptime_s: 60,
            hostname: "ns1".to_owned(),
            os: "Debian GNU/Linux 13".to_owned(),
            settings_version: Some(3),
            settings_refused: None,
            components: Components { dns: component("knotd"), monitor: component("zonepulse-probe"), ..Components::default() },
            capture: CaptureState { state: State::Stopped, detail: Some("no such device".to_owned()), blind: Vec::new() },
            spool: SpoolState { batches: 1, size_bytes: 100 },
            diagnoses: true,
        };
        let rabbitmq = RabbitmqSettings {
            address: "broker.example".to_owned(),
            port: 5671,
            tls: true,
            virtual_host: "/".to_owned(),
            user: "probe".to_owned(),
            password: "a password".into(),
        };
        let settings = ProbeSettings {
            communication: Communication::Rabbitmq,
            api_url: Some("https://central.example:8053".to_owned()),
            rabbitmq: Some(rabbitmq),
            ..ProbeSettings::default()
        };
        let (diagnose, resend) = (None, None);
        let answer = HeartbeatAnswer { received_at_ms: 1, settings_version: 2, settings: settings.clone(), diagnose, resend };
        self.add("heartbeats", serde_json::to_vec(&heartbeat).expect("a heartbeat can be written"));
        self.add("settings", serde_json::to_vec(&settings).expect("settings can be written"));
        self.add("settings", serde_json::to_vec(&answer).expect("an answer can be written"));
        let bundle = r#"{"report": {"program": "zonepulse-probe", "version": "1", "config": "p.toml", "server_id": 7, "status": "error",
            "checks": [{"id": "clock", "checked": "the clock", "status": "error", "found": "late", "advice": "set it", "values": {}}]},
            "files": [{"name": "log.txt", "text": "a line"}]}"#;
        self.add("diagnostics", bundle.as_bytes().to_vec());
    }

    /// Answers of Kea and Knot.
    fn services(&mut self) {
        self.add("kea", include_bytes!("../probe/tests/answers/kea4.json").to_vec());
        self.add("kea", include_bytes!("../probe/tests/answers/kea6.json").to_vec());
        self.add("knot", include_bytes!("../probe/tests/answers/knot.bin").to_vec());
    }

    /// An encoded batch, and its body.
    fn batch(&mut self, bytes: Vec<u8>) {
        if let Some(body) = bytes.get(BATCH_HEADER_BYTES..).and_then(|packed| zstd::bulk::decompress(packed, 1 << 20).ok()) {
            self.add("batches", body);
        }
        self.add("batches", bytes);
    }

    /// Each DNS message, UDP or put together of a stream.
    fn messages(&mut self, capture: &[u8]) {
        let Ok(mut file) = CaptureFile::from_reader("capture", Cursor::new(capture.to_vec())) else { return };
        let (mut observer, mut messages) = (Observer::new(&scope()), Messages::default());
        while let Ok(Some(frame)) = file.next_frame() {
            observer.frame(&frame, &mut messages);
        }
        observer.finish(&mut messages);
        let mut classes = CLASSES.lock().expect("nobody panicked");
        let mut sections = SECTIONS.lock().expect("nobody panicked");
        for message in messages.0 {
            *classes.entry(compare(&message)).or_default() += 1;
            if message.get(2).is_some_and(|flags| flags & 0x80 != 0) {
                *sections.entry(compare_sections(&message)).or_default() += 1;
            }
            for target in ["messages", "hickory", "served"] {
                self.add(target, message.clone());
            }
        }
        println!("{classes:?}; sections of responses: {sections:?}");
    }

    fn write(self, out: &Path) -> std::io::Result<()> {
        for (target, input) in self.0 {
            let folder = out.join(target);
            fs::create_dir_all(&folder)?;
            let mut hasher = DefaultHasher::new();
            input.hash(&mut hasher);
            fs::write(folder.join(format!("{:016x}", hasher.finish())), input)?;
        }
        Ok(())
    }
}

/// Every message as it came.
#[derive(Default)]
struct Messages(Vec<Vec<u8>>);

impl Sink for Messages {
    fn hit(&mut self, _hit: &Hit<'_>) {}
    fn uncounted(&mut self, _reason: Counter, _time_ms: u64) {}
    fn add(&mut self, _counter: Counter, _count: u64) {}
    fn message(&mut self, octets: &[u8]) {
        self.0.push(octets.to_vec());
    }
}
