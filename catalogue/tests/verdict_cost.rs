//! What verdicts on a million RRsets cost in time and memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Instant;
use zonepulse_catalogue::protection::Rules;
use zonepulse_catalogue::references::References;
use zonepulse_catalogue::set::Entry;
use zonepulse_catalogue::usage::{Asked, History, Usage};
use zonepulse_catalogue::verdict::{Facts, Inputs, ServerObservation, Verdicts, Window, ZoneObservation};
use zonepulse_catalogue::zone::Builder;
use zonepulse_catalogue::{Name, Record, ZoneSet};
use zonepulse_dns::RecordType;

const HOSTS: u32 = 500_000;
const NOW_MS: i64 = 1_795_000_000_000;
const DAY_MS: i64 = 86_400_000;

fn owner(number: u32) -> Name {
    Name::from_text(&format!("host-{number:06}.department-{}.corporation.example.", number % 97)).unwrap()
}

/// Per host an address and, in turn, a text, an MX and a CNAME to the next host at another name.
fn zones() -> ZoneSet {
    let mut builder = Builder::new(Name::from_text("corporation.example.").unwrap());
    for number in 0..HOSTS {
        let mut add = |owner, rtype, rdata: Vec<u8>| {
            builder.add(Record { owner, rtype: RecordType::new(rtype), ttl: 3600, rdata: rdata.into() }).unwrap();
        };
        add(owner(number), 1, number.to_be_bytes().to_vec());
        let next = owner((number + 1) % HOSTS);
        match number % 3 {
            0 => add(owner(number), 16, b"\x1fv=spf1 include:_spf.example -all".to_vec()),
            1 => add(owner(number), 15, [&[0, 10], next.wire()].concat()),
            _ => add(owner(number).below(b"alias").unwrap(), 5, next.wire().to_vec()),
        }
    }
    let entry = Entry { zone: Arc::new(builder.finish().unwrap()), view: 0, servers: vec![0, 1] };
    ZoneSet::new(vec![entry])
}

/// CPU time of this thread, nanoseconds.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, start_ns) = (Instant::now(), cpu_ns());
    let result = work();
    let (elapsed, cpu) = (start.elapsed().as_secs_f64() * 1e3, (cpu_ns() - start_ns) as f64 / 1e6);
    eprintln!("{what}: {cpu:.0} ms of CPU time, {elapsed:.0} ms in all");
    result
}

#[test]
#[ignore = "prints times, which mean something in a release build on an idle machine only"]
fn a_million_verdicts_take_little_time() {
    let zones = Arc::new(timed("zone", zones));
    let rrsets = zones.len();
    let references = timed("references", || References::new(&zones));
    eprintln!("references: {} bytes", references.size_bytes());
    let rules = Rules::default();
    let protected = timed("protection", || rules.protect(&zones, HashMap::new()));
    let mut history = History::new(zones.clone());
    let mut usage = Usage::new(rrsets);
    let names: Vec<Name> = (0..HOSTS).map(|number| owner(number * 7 % HOSTS)).collect();
    for what in ["first crediting", "crediting again"] {
        timed(what, || {
            for (record, name) in names.iter().enumerate() {
                let time_ms = NOW_MS - (record as i64 % 120) * DAY_MS;
                let (record, server) = (record as u32, record as u32 % 2);
                let asked = Asked { record, server, first_ms: time_ms, last_ms: time_ms, hits: 1 };
                history.add(&mut usage, &asked, &|| Some((name.clone(), RecordType::A)));
            }
        });
    }
    let server = |name: &str| ServerObservation { name: name.into(), missing: vec![], reported_until_ms: Some(NOW_MS) };
    let observation = [ZoneObservation { servers: ["ns1", "ns2"].map(server).into(), ..Default::default() }];
    let facts = vec![Facts::default(); rrsets];
    let inputs = Inputs {
        zones: &zones,
        references: &references,
        protected: &protected,
        usage: &usage,
        facts: &facts,
        observation: &observation,
        window: Window::new(NOW_MS, 90 * DAY_MS),
    };
    let verdicts = timed("verdicts", || Verdicts::new(&inputs));
    let page = timed("page", || verdicts.page(|_| true, 0, 1000));
    let text = |slot| verdicts.reasons(&inputs, slot).iter().map(|reason| reason.text(NOW_MS).len()).sum::<usize>();
    timed("reasons of a page", || page.iter().map(|slot| text(*slot)).sum::<usize>());
    let all = timed("all in order", || verdicts.page(|_| true, 0, usize::MAX));
    timed("reasons of all", || all.iter().map(|slot| text(*slot)).sum::<usize>());
    assert_eq!(all.len(), rrsets);
}
