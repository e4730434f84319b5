//! Contents of the table.

use super::{Sum, Table};
use crate::observe::Hit;
use crate::observe::testing::{denial, message};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use zonepulse_dns::{MessageKind, RecordType, ResponseCode, name};
use zonepulse_wire::OTHER;

type Contents = HashMap<(String, u16, u16), Sum>;

fn contents(table: &mut Table) -> Contents {
    let mut all = HashMap::new();
    for entry in table.contents().entries() {
        let mut name = String::new();
        assert!(entry.push_name(&mut name));
        for (kind, sum) in entry.sums() {
            let key = (name.clone(), entry.record_type().value(), kind.number());
            assert_eq!(all.insert(key, sum), None, "a duplicate record");
        }
    }
    all
}

/// Adds a message with a well-formed question.
fn add_message(table: &mut Table, octets: &[u8], kind: u16, time_ms: u64) {
    let mut end = 12;
    while octets[end] != 0 {
        end += 1 + usize::from(octets[end]);
    }
    let (name, rest) = octets[12..].split_at(end + 1 - 12);
    let record_type = RecordType::new(u16::from_be_bytes([rest[0], rest[1]]));
    table.add(&Hit { name, record_type, kind: MessageKind::from_number(kind).unwrap(), time_ms, message: octets });
}

/// Adds a hit; a response is neither positive nor negative.
fn add_hit(table: &mut Table, name: &str, record_type: u16, kind: u16, time_ms: u64) {
    let flags = if kind == 0 { 0 } else { 0x8400 | (kind - 1) & 15 };
    add_message(table, &message(flags, name, record_type), kind, time_ms);
}

/// Adds a hit; returns whether it was counted under its own record.
fn add(table: &mut Table, name: &str, record_type: u16, kind: u16, time_ms: u64) -> bool {
    let folded = table.contents().folded();
    add_hit(table, name, record_type, kind, time_ms);
    table.contents().folded() == folded
}

/// Adds a query and its response: an address, or a denial by the SOA of `example.`
fn ask(table: &mut Table, name: &str, exists: bool) {
    add_hit(table, name, 1, 0, 1);
    if exists {
        let mut octets = message(0x8400, name, 1);
        octets[7] = 1;
        add_message(table, &octets, 1, 1);
    } else {
        add_message(table, &denial(name, 3, b"\x07example\x00"), 4, 1);
    }
}

/// The hits of `<other>`, by name and kind.
fn others(table: &mut Table) -> BTreeMap<(String, u16), u64> {
    let others = table.contents().other().into_iter().map(|(other, kind, sum)| {
        let mut name = String::new();
        other.push_name(&mut name);
        ((name, kind.number()), sum.hits)
    });
    others.collect()
}

fn hits_of(table: &mut Table, name: &str, kind: u16) -> Option<u64> {
    contents(table).get(&(name.to_owned(), 1, kind)).map(|sum| sum.hits)
}

#[test]
fn names_compare_without_regard_to_case_and_types_and_kinds_apart() {
    let mut table = Table::new(100, 10_000);
    for (name, record_type, kind, time_ms) in
        [("A.Example", 1, 0, 5), ("a.eXAMPLE", 1, 0, 3), ("a.example", 28, 0, 7), ("a.example", 1, 4, 9)]
    {
        assert!(add(&mut table, name, record_type, kind, time_ms));
    }
    let expected = [
        (("a.example.".to_owned(), 1, 0), Sum { hits: 2, first_ms: 3, last_ms: 5 }),
        (("a.example.".to_owned(), 28, 0), Sum { hits: 1, first_ms: 7, last_ms: 7 }),
        (("a.example.".to_owned(), 1, 4), Sum { hits: 1, first_ms: 9, last_ms: 9 }),
    ];
    assert_eq!(contents(&mut table), HashMap::from(expected));
    assert_eq!(table.contents().entries().count(), 2, "records");
}

#[test]
fn new_records_fold_and_known_ones_still_count() {
    for mut table in [Table::new(2, 10_000), Table::new(100, 16)] {
        assert!(add(&mut table, "a.", 1, 0, 1));
        assert!(add(&mut table, "b.", 1, 0, 2));
        assert!(!add(&mut table, "c.", 1, 0, 3));
        assert!(!add(&mut table, "d.", 28, 0, 9));
        assert!(!add(&mut table, "c.", 1, 1, 4));
        assert!(add(&mut table, "a.", 1, 0, 5));
        assert!(add(&mut table, "b.", 1, 3, 5), "a new RCODE of a known record");
        assert_eq!(table.contents().entries().count(), 2);
        let other: Vec<_> = table.contents().other().into_iter().map(|(_, kind, sum)| (kind.number(), sum)).collect();
        assert_eq!(other, [(0, Sum { hits: 2, first_ms: 3, last_ms: 9 }), (1, Sum { hits: 1, first_ms: 4, last_ms: 4 })]);
    }
}

#[test]
fn a_record_with_every_response_code_there_is_stays_within_bounds() {
    let mut table = Table::new(100, 10_000);
    let mut counted = 0;
    for code in 0..=ResponseCode::MAX.value() {
        counted += u64::from(add(&mut table, "a.", 1, code + 1, 1));
        assert!(add(&mut table, "a.", 1, 1, 1), "the first RCODE still counts");
    }
    let apart: u64 = contents(&mut table).values().map(|sum| sum.hits).sum();
    let folded: u64 = others(&mut table).values().sum();
    assert_eq!((apart, apart + folded), (counted + 4096, 2 * 4096));
    assert!(table.more.len() <= 64);
}

#[test]
fn an_interval_begins_without_sums() {
    let mut table = Table::new(1, 10_000);
    add(&mut table, "a.", 1, 0, 1);
    add(&mut table, "b.", 1, 0, 1);
    table.close_interval();
    assert!(contents(&mut table).is_empty() && others(&mut table).is_empty());
    assert_eq!(table.contents().folded(), 0);
    assert!(add(&mut table, "b.", 1, 0, 2));
    assert_eq!(contents(&mut table).len(), 1);
}

#[test]
fn a_table_that_follows_another_knows_its_records_and_has_sums_of_its_own() {
    let (mut table, mut next) = (Table::new(4, 10_000), Table::new(4, 10_000));
    ask(&mut table, "a.example.", true);
    add_hit(&mut next, "gone.", 1, 0, 1);
    next.follow(&mut table);
    assert!(contents(&mut next).is_empty());
    ask(&mut next, "a.example.", true);
    ask(&mut table, "a.example.", true);
    assert_eq!((hits_of(&mut table, "a.example.", 0), hits_of(&mut next, "a.example.", 0)), (Some(2), Some(1)));
    assert_eq!(next.records.len(), 1);
}

#[test]
fn a_name_that_is_new_folds_under_the_zone_that_denied_it() {
    let mut table = Table::new(8, 10_000);
    // Hits are queued, so look them up to make the table notice that it is half full.
    (0..7).for_each(|number| ask(&mut table, &format!("r{number}.Example."), false));
    assert!(others(&mut table).is_empty());
    ask(&mut table, "w.example.", false);
    ask(&mut table, "x.example.", false);
    ask(&mut table, "y.example.", false);
    add_hit(&mut table, "elsewhere.", 1, 0, 1);
    add_message(&mut table, &denial("a.example.", 2, b"\x07example\x00"), 3, 1);
    let zone = format!("{OTHER} example.");
    let expected = [((OTHER.to_owned(), 0), 1), ((zone.clone(), 0), 3), ((zone.clone(), 3), 1), ((zone, 4), 3)];
    assert_eq!(others(&mut table), BTreeMap::from(expected));
}

#[test]
fn a_request_that_comes_before_any_denial_folds_under_the_server() {
    let mut table = Table::new(1, 10_000);
    add_hit(&mut table, "a.example.", 1, 0, 1);
    add_hit(&mut table, "b.example.", 1, 0, 1);
    assert_eq!(others(&mut table), BTreeMap::from([((OTHER.to_owned(), 0), 1)]));
}

#[test]
fn the_last_places_are_for_positive_answers() {
    let mut table = Table::new(80, 100_000);
    (0..200).for_each(|number| ask(&mut table, &format!("r{number}.example."), false));
    assert_eq!(contents(&mut table).len(), 2 * 70);
    // Its request came before there was a place.
    ask(&mut table, "new.example.", true);
    ask(&mut table, "new.example.", true);
    assert_eq!((hits_of(&mut table, "new.example.", 0), hits_of(&mut table, "new.example.", 1)), (Some(1), Some(2)));
}

#[test]
fn an_idle_name_that_was_answered_keeps_its_place_in_a_flood() {
    let mut table = Table::new(80, 100_000);
    ask(&mut table, "www.example.", true);
    ask(&mut table, "gone.example.", false);
    for interval in 0..20 {
        table.close_interval();
        (0..100).for_each(|number| ask(&mut table, &format!("r{interval}x{number}.example."), false));
    }
    ask(&mut table, "www.example.", true);
    assert_eq!(hits_of(&mut table, "www.example.", 0), Some(1));
    ask(&mut table, "gone.example.", false);
    assert_eq!(hits_of(&mut table, "gone.example.", 0), None);
}

#[test]
fn a_flood_that_is_answered_displaces_no_established_name() {
    let mut table = Table::new(80, 100_000);
    let ours: Vec<_> = (0..50).map(|number| format!("w{number}.example.")).collect();
    for interval in 0..20 {
        ours.iter().for_each(|name| ask(&mut table, name, true));
        if interval > 0 {
            (0..100).for_each(|number| ask(&mut table, &format!("r{interval}x{number}.example."), true));
        }
        assert!(ours.iter().all(|name| hits_of(&mut table, name, 0) == Some(1)), "{interval}");
        table.close_interval();
    }
}

#[test]
fn long_names_take_the_room_of_many_short_ones() {
    let mut table = Table::new(1000, 8000);
    let long = "a234567.".repeat(30);
    (0..100).for_each(|number| add_hit(&mut table, &format!("x{number}.{long}"), 1, 0, 1));
    assert!(table.names.len() * 8 <= 8000 && contents(&mut table).len() > 20);
    let escaped = "\\001".repeat(60);
    let mut table = Table::new(1000, 8000);
    (0..100).for_each(|number| add_hit(&mut table, &format!("x{number}.{escaped}."), 1, 0, 1));
    let text: usize = contents(&mut table).keys().map(|(name, ..)| name.len()).sum();
    assert!((4000..=8000).contains(&text), "{text}");
}

#[test]
fn the_root_and_the_longest_name_are_names_too() {
    let mut table = Table::new(10, 10_000);
    let longest = format!("{}{}", "a234567.".repeat(31), "abcde.");
    assert_eq!(name::to_wire(&longest).unwrap().len(), name::MAX_WIRE);
    add(&mut table, ".", 2, 0, 1);
    add(&mut table, &longest, 2, 0, 1);
    let mut names: Vec<_> = contents(&mut table).into_keys().map(|(name, ..)| name).collect();
    names.sort();
    assert_eq!(names, [".".to_owned(), longest]);
}

proptest! {
    #[test]
    fn a_table_equals_a_map(
        hits in prop::collection::vec(("[aAbB]{1,3}(\\.[c-eC-E]{1,12}){0,3}", 1u16..4, 0u16..5, 0u64..1000), 0..300),
    ) {
        let mut table = Table::new(10_000, 1 << 20);
        let mut model = Contents::new();
        for (name, record_type, kind, time_ms) in hits {
            // Without a look-up in between, so that several hits are queued.
            add_hit(&mut table, &name, record_type, kind, time_ms);
            let key = (format!("{}.", name.to_lowercase()), record_type, kind);
            let sum = model.entry(key).or_insert(Sum::NONE);
            *sum = Sum { hits: sum.hits + 1, first_ms: sum.first_ms.min(time_ms), last_ms: sum.last_ms.max(time_ms) };
        }
        prop_assert_eq!(contents(&mut table), model);
    }

    #[test]
    fn no_hit_is_lost_in_a_full_table(hits in prop::collection::vec(("[a-z]{1,2}", 0u16..70), 0..400), room in 0usize..20) {
        let mut table = Table::new(room, 1 << 20);
        let mut folded = 0;
        for (name, kind) in &hits {
            folded += u64::from(!add(&mut table, name, 1, *kind, 1));
        }
        let other: u64 = others(&mut table).values().sum();
        let apart: u64 = contents(&mut table).values().map(|sum| sum.hits).sum();
        prop_assert_eq!((other, apart + other), (folded, hits.len() as u64));
    }

    #[test]
    fn in_every_interval_of_a_flood_honest_names_are_exact_and_all_hits_are_there(
        honest in prop::collection::hash_set("[a-e]{1,3}", 1..20),
        intervals in prop::collection::vec((prop::collection::vec((any::<bool>(), 0usize..20), 0..60), any::<u64>(), 0u64..300), 1..12),
        follows in any::<bool>(),
    ) {
        let honest: Vec<_> = honest.into_iter().map(|name| format!("{name}.example.")).collect();
        let (mut table, mut spare) = (Table::new(100, 100_000), Table::new(100, 100_000));
        // Before the flood, each honest name is queried once.
        honest.iter().for_each(|name| ask(&mut table, name, true));
        for (asked, seed, flood) in intervals {
            if follows {
                spare.follow(&mut table);
                std::mem::swap(&mut table, &mut spare);
            } else {
                table.close_interval();
            }
            let mut expected = BTreeMap::new();
            let mut total = 0;
            for number in 0..flood {
                ask(&mut table, &format!("{:x}.x.example.", seed.wrapping_mul(number | 1)), false);
                total += 2;
            }
            for (with_flood, at) in asked {
                let name = &honest[at % honest.len()];
                ask(&mut table, name, true);
                *expected.entry(name.clone()).or_insert(0) += 1;
                total += 2;
                if with_flood {
                    ask(&mut table, &format!("{seed:x}.{at}.example."), false);
                    total += 2;
                }
            }
            for (name, count) in &expected {
                prop_assert_eq!(hits_of(&mut table, name, 0), Some(*count), "requests for {}", name);
                prop_assert_eq!(hits_of(&mut table, name, 1), Some(*count), "answers for {}", name);
            }
            let apart: u64 = contents(&mut table).values().map(|sum| sum.hits).sum();
            let folded: u64 = others(&mut table).values().sum();
            prop_assert_eq!((apart + folded, folded), (total, table.contents().folded()));
            prop_assert!(table.records.len() <= 100);
        }
    }
}
