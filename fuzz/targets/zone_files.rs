//! Zone files: any text is read to its end, and what was read prints as text that is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonepulse_catalogue::file::{Options, Reader};
use zonepulse_catalogue::lookup::{View, lookup};
use zonepulse_catalogue::{Builder, Name, Record, rdata};

fuzz_target!(|text: &[u8]| {
    let options = Options { generate_count: 50, entry_bytes: 4096, ..Options::default() };
    let mut reader = Reader::new(text, "fuzz", options);
    let records: Vec<Record> = reader.by_ref().filter_map(Result::ok).map(|located| located.record).collect();
    let apex = reader.apex().cloned().unwrap_or_else(Name::root);
    for record in records.iter().take(100) {
        let line =
            format!("{} {} IN {} {}\n", record.owner, record.ttl, record.rtype, rdata::to_text(record.rtype, &record.rdata));
        let options = Options { origin: Some(Name::root()), ..Options::default() };
        let again: Vec<Record> =
            Reader::new(line.as_bytes(), "again", options).filter_map(Result::ok).map(|located| located.record).collect();
        assert_eq!(again.as_slice(), std::slice::from_ref(record), "{line}");
    }
    let mut builder = Builder::new(apex);
    let kept: Vec<&Record> = records.iter().filter(|record| builder.add((*record).clone()).is_ok()).collect();
    let Ok(zone) = builder.finish() else { return };
    for record in kept.iter().take(50) {
        assert!(zone.find(&record.owner, record.rtype).is_some(), "{record:?} is in the zone");
        lookup(&View::new(&zone), &record.owner, record.rtype);
    }
});
