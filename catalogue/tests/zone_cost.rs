//! What a large zone costs in memory and time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use zonepulse_catalogue::lookup::{View, lookup};
use zonepulse_catalogue::zone::{Builder, Rows};
use zonepulse_catalogue::{Name, Record, RrsetIndex, Zone};
use zonepulse_dns::RecordType;

/// Time this thread has spent on a CPU, in seconds.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

const HOSTS: u32 = 500_000;
const LOOKUPS: usize = 100_000;

/// Records of a million RRsets in no order: per host an address and, in turn, a TXT, CNAME-like or AAAA record.
fn records() -> impl Iterator<Item = Record> {
    (0..HOSTS).flat_map(|number| {
        let shuffled = (u64::from(number) * 15_839 % u64::from(HOSTS)) as u32;
        let owner = Name::from_text(&format!("host-{shuffled:06}.department-{}.corporation.example.", shuffled % 97)).unwrap();
        let record =
            |rtype, rdata: &[u8]| Record { owner: owner.clone(), rtype: RecordType::new(rtype), ttl: 3600, rdata: rdata.into() };
        let other = match shuffled % 3 {
            0 => record(16, b"\x1fv=spf1 include:_spf.example -all"),
            1 => record(15, b"\x00\x0a\x04mail\x0bcorporation\x07example\x00"),
            _ => record(28, &[7; 16]),
        };
        [record(1, &shuffled.to_be_bytes()), other]
    })
}

/// Does something `times` times, and prints the CPU time that one takes.
fn timed<T>(what: &str, times: usize, work: impl FnOnce() -> T) -> T {
    let start = cpu_s();
    let result = work();
    eprintln!("{what}: {:.1} µs", (cpu_s() - start) * 1e6 / times as f64);
    result
}

fn build() -> Zone {
    let records: Vec<Record> = records().collect();
    let mut builder = Builder::new(Name::from_text("corporation.example.").unwrap());
    timed("add a million records", 1, || records.into_iter().for_each(|record| builder.add(record).unwrap()));
    timed("finish the zone", 1, || builder.finish().unwrap())
}

#[test]
fn a_million_rrsets_take_at_most_120_mb() {
    let zone = build();
    assert_eq!(zone.len(), 1_000_000);
    eprintln!("{} bytes", zone.size_bytes());
    assert!(zone.size_bytes() <= 120_000_000);

    let mut rows = Rows::new(zone.apex().clone());
    timed("build it of rows", 1, || zone.rows().for_each(|row| rows.push(row).unwrap()));
    let again = timed("finish the zone", 1, || rows.finish().unwrap());
    assert_eq!(timed("compare the two", 1, || Zone::diff(&zone, &again).count()), 0);

    let at = |place: usize| zone.rrset(RrsetIndex::new(place as u32)).unwrap().owner();
    let owners: Vec<Name> = (0..LOOKUPS).map(|number| at(number * 791_903 % zone.len())).collect();
    let missing: Vec<Name> = owners.iter().map(|owner| owner.parent().unwrap().below(&owner.wire()[3..11]).unwrap()).collect();
    let found = timed("find", LOOKUPS, || owners.iter().filter(|owner| zone.find(owner, RecordType::A).is_some()).count());
    assert_eq!(found, LOOKUPS);
    let again = owners.iter().take(100).cycle().take(LOOKUPS);
    timed("find what is in the processor's caches", LOOKUPS, || {
        again.filter(|owner| zone.find(owner, RecordType::A).is_some()).count()
    });
    let view = View::new(&zone);
    let answered = |names: &[Name]| names.iter().filter(|name| !lookup(&view, name, RecordType::A).answer.is_empty()).count();
    assert_eq!(timed("look up a name", LOOKUPS, || answered(&owners)), LOOKUPS);
    assert_eq!(timed("look up a name that does not exist", LOOKUPS, || answered(&missing)), 0);
}
