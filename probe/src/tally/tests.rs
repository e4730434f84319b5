//! What the table holds.

use super::{Sum, Table};
use proptest::prelude::*;
use std::collections::HashMap;
use zonepulse_dns::{MessageKind, RecordType, ResponseCode, name};

type Contents = HashMap<(String, u16, u16), Sum>;

fn contents(table: &mut Table) -> Contents {
    let mut all = HashMap::new();
    for entry in table.contents().entries() {
        let mut name = String::new();
        assert!(entry.push_name(&mut name));
        for (kind, sum) in entry.sums() {
            let key = (name.clone(), entry.record_type().value(), kind.number());
            assert_eq!(all.insert(key, sum), None, "each once");
        }
    }
    all
}

/// Whether the hit was counted under its own record.
fn add(table: &mut Table, name: &str, record_type: u16, kind: u16, time_ms: u64) -> bool {
    let kind = MessageKind::from_number(kind).unwrap();
    let folded = table.contents().folded();
    table.add(&name::to_wire(name).unwrap(), RecordType::new(record_type), kind, time_ms);
    table.contents().folded() == folded
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
    assert_eq!(table.contents().entries().len(), 2, "records");
}

#[test]
fn what_does_not_fit_folds_and_what_was_counted_goes_on() {
    for mut table in [Table::new(2, 10_000), Table::new(100, 16)] {
        assert!(add(&mut table, "a.", 1, 0, 1));
        assert!(add(&mut table, "b.", 1, 0, 2));
        assert!(!add(&mut table, "c.", 1, 0, 3));
        assert!(!add(&mut table, "d.", 28, 0, 9));
        assert!(!add(&mut table, "c.", 1, 1, 4));
        assert!(add(&mut table, "a.", 1, 0, 5));
        assert!(add(&mut table, "b.", 1, 3, 5), "a new code of a known record");
        assert_eq!(table.contents().entries().len(), 2);
        let other: Vec<_> = table.contents().other().map(|(kind, sum)| (kind.number(), sum)).collect();
        assert_eq!(other, [(0, Sum { hits: 2, first_ms: 3, last_ms: 9 }), (1, Sum { hits: 1, first_ms: 4, last_ms: 4 })]);
    }
}

#[test]
fn a_record_with_every_response_code_there_is_stays_within_bounds() {
    let mut table = Table::new(100, 10_000);
    let mut counted = 0;
    for code in 0..=ResponseCode::MAX.value() {
        counted += u64::from(add(&mut table, "a.", 1, code + 1, 1));
        assert!(add(&mut table, "a.", 1, 1, 1), "the first code goes on");
    }
    let apart: u64 = contents(&mut table).values().map(|sum| sum.hits).sum();
    let folded: u64 = table.contents().other().map(|(_, sum)| sum.hits).sum();
    assert_eq!((apart, apart + folded), (counted + 4096, 2 * 4096));
    assert!(table.more.len() <= 64);
}

#[test]
fn an_emptied_table_is_as_a_new_one() {
    let mut table = Table::new(1, 10_000);
    add(&mut table, "a.", 1, 0, 1);
    add(&mut table, "b.", 1, 0, 1);
    table.clear();
    assert!(contents(&mut table).is_empty());
    let nothing = table.contents();
    assert_eq!((nothing.other().len(), nothing.folded()), (0, 0));
    assert!(add(&mut table, "b.", 1, 0, 2));
    assert_eq!(contents(&mut table).len(), 1);
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
    fn a_table_says_what_a_map_says(
        hits in prop::collection::vec(("[aAbB]{1,3}(\\.[c-eC-E]{1,12}){0,3}", 1u16..4, 0u16..5, 0u64..1000), 0..300),
    ) {
        let mut table = Table::new(10_000, 1 << 20);
        let mut model = Contents::new();
        for (name, record_type, kind, time_ms) in hits {
            // Without a look in between, so that several hits wait for one another.
            let kind_of_hit = MessageKind::from_number(kind).unwrap();
            table.add(&name::to_wire(&name).unwrap(), RecordType::new(record_type), kind_of_hit, time_ms);
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
        let other: u64 = table.contents().other().map(|(_, sum)| sum.hits).sum();
        let apart: u64 = contents(&mut table).values().map(|sum| sum.hits).sum();
        prop_assert_eq!((other, apart + other), (folded, hits.len() as u64));
    }
}
