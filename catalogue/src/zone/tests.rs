use super::*;
use crate::{Error, Record};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn record(owner: &str, ttl: u32, rtype: u16, rdata: &[u8]) -> Record {
    Record { owner: name(owner), rtype: RecordType::new(rtype), ttl, rdata: rdata.into() }
}

fn zone(records: &[Record]) -> Zone {
    let mut builder = Builder::new(name("example."));
    for record in records {
        builder.add(record.clone()).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn rrsets_are_in_canonical_order() {
    let zone = zone(&[
        record("z.example.", 1, 1, b"1234"),
        record("a.example.", 1, 16, b"\x01x"),
        record("example.", 1, 1, b"1234"),
        record("b.a.example.", 1, 1, b"1234"),
        record("a.example.", 1, 1, b"1234"),
    ]);
    let order: Vec<String> = zone.iter().map(|set| format!("{} {}", set.owner(), set.rtype())).collect();
    assert_eq!(order, ["example. A", "a.example. A", "a.example. TXT", "b.a.example. A", "z.example. A"]);
}

#[test]
fn records_of_one_rrset_get_the_smallest_ttl_and_count_once() {
    let zone =
        zone(&[record("a.example.", 30, 1, b"1234"), record("a.example.", 20, 1, b"1234"), record("A.example.", 40, 1, b"1233")]);
    let set = zone.find(&name("a.example."), RecordType::A).unwrap();
    assert_eq!((set.ttl(), set.rdatas().collect::<Vec<_>>()), (20, vec![&b"1233"[..], b"1234"]));
}

#[test]
fn a_record_outside_the_zone_is_an_error() {
    let mut builder = Builder::new(name("example."));
    let error = builder.add(record("a.other.", 1, 1, b"1234")).unwrap_err();
    assert_eq!(error, Error::OutOfZone { owner: name("a.other."), apex: name("example.") });
}

#[test]
fn rdata_of_more_than_16_bits_of_length_is_an_error() {
    let mut builder = Builder::new(name("example."));
    let error = builder.add(record("example.", 1, 16, &[0; 65_536])).unwrap_err();
    assert_eq!(error.to_string(), "the RDATA of example. TXT has 65536 octets: shorten it to at most 65,535");
}

#[test]
fn the_serial_is_in_the_soa() {
    let soa = [&b"\x01a\x00\x01b\x00"[..], &7u32.to_be_bytes(), &[0; 16]].concat();
    assert_eq!(zone(&[record("example.", 1, 6, &soa)]).serial(), Some(7));
    assert_eq!(zone(&[record("example.", 1, 6, b"short")]).serial(), None);
    assert_eq!(zone(&[]).serial(), None);
}

#[test]
fn a_row_out_of_order_is_an_error() {
    let zone = zone(&[record("a.example.", 1, 1, b"1234"), record("b.example.", 1, 1, b"1234")]);
    let rows: Vec<Row<'_>> = zone.rows().collect();
    let mut again = Rows::new(name("example."));
    again.push(rows[1]).unwrap();
    let error = again.push(rows[0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 1 of the stored zone example. is damaged (it does not follow the row before it): import the zone again"
    );
}

#[test]
fn a_diff_says_what_was_added_removed_and_changed() {
    let old = zone(&[record("a.example.", 1, 1, b"1234"), record("b.example.", 1, 1, b"1234"), record("c.example.", 1, 1, b"1")]);
    let new = zone(&[record("b.example.", 2, 1, b"1234"), record("c.example.", 1, 1, b"1"), record("d.example.", 1, 1, b"1")]);
    let changes: Vec<String> = Zone::diff(&old, &new)
        .map(|change| match change {
            Change::Added(new) => format!("added {}", new.owner()),
            Change::Removed(old) => format!("removed {}", old.owner()),
            Change::Changed { old, new } => format!("changed {} from {} to {} s", new.owner(), old.ttl(), new.ttl()),
        })
        .collect();
    assert_eq!(changes, ["removed a.example.", "changed b.example. from 1 to 2 s", "added d.example."]);
}

/// Records whose owners, types and data often meet.
fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let labels: [&[u8]; 5] = [b"a", b"\0", b"\x01", b"long-label-of-nineteen", b"long-label-of-nineteem"];
    let label = prop::sample::select(labels.to_vec());
    let owner = prop::collection::vec(label, 0..4)
        .prop_map(|labels| labels.iter().fold(name("example."), |owner, label| owner.below(label).unwrap()));
    let record = (owner, 1u16..4, 0u32..3, prop::collection::vec(0u8..2, 0..3));
    let record =
        record.prop_map(|(owner, rtype, ttl, rdata)| Record { owner, rtype: RecordType::new(rtype), ttl, rdata: rdata.into() });
    prop::collection::vec(record, 0..40)
}

/// TTL and RDATA by key and type.
type Model = BTreeMap<(Box<[u8]>, RecordType), (u32, Vec<Vec<u8>>)>;

fn model(records: &[Record]) -> Model {
    let mut model = Model::new();
    for record in records {
        let (ttl, rdatas) = model.entry((record.owner.key(), record.rtype)).or_insert((record.ttl, Vec::new()));
        *ttl = record.ttl.min(*ttl);
        rdatas.push(record.rdata.to_vec());
        rdatas.sort();
        rdatas.dedup();
    }
    model
}

/// The zone as a model, and whether it is in the model's order.
fn contents(zone: &Zone) -> (Model, bool) {
    let rdatas = |set: RrsetRef<'_>| set.rdatas().map(<[u8]>::to_vec).collect();
    let model = zone.iter().map(|set| ((set.owner().key(), set.rtype()), (set.ttl(), rdatas(set)))).collect();
    (model, zone.iter().map(|set| (set.owner().key(), set.rtype())).is_sorted())
}

proptest! {
    #[test]
    fn a_zone_is_its_records_in_order(records in any_records()) {
        prop_assert_eq!(contents(&zone(&records)), (model(&records), true));
    }

    #[test]
    fn rows_make_the_same_zone(records in any_records()) {
        let zone = zone(&records);
        let mut rows = Rows::new(zone.apex().clone());
        zone.rows().for_each(|row| rows.push(row).unwrap());
        let again = rows.finish().unwrap();
        prop_assert_eq!(contents(&again), contents(&zone));
        prop_assert_eq!(Zone::diff(&zone, &again).count(), 0);
    }

    #[test]
    fn rows_of_any_octets_never_panic(key in prop::collection::vec(0u8..4, 0..6), rdatas in prop::collection::vec(0u8..4, 0..9)) {
        let mut rows = Rows::new(name("example."));
        let _ = rows.push(Row { key: &key, rtype: RecordType::A, ttl: 1, rdatas: &rdatas });
        let zone = rows.finish().unwrap();
        prop_assert_eq!(zone.iter().filter(|set| zone.find(&set.owner(), set.rtype()).is_none()).count(), 0);
    }

    #[test]
    fn every_rrset_is_found(records in any_records()) {
        let zone = zone(&records);
        for set in zone.iter() {
            prop_assert_eq!(zone.find(&set.owner(), set.rtype()).map(RrsetRef::index), Some(set.index()));
            prop_assert_eq!(zone.rrset(set.index()).map(RrsetRef::owner), Some(set.owner()));
        }
    }

    #[test]
    fn below_is_what_is_strictly_below(records in any_records(), other in any_records()) {
        let zone = zone(&records);
        for owner in records.iter().chain(&other).map(|record| &record.owner) {
            let below: Vec<RrsetIndex> = zone.below(owner).map(RrsetRef::index).collect();
            let is_below = |set: &RrsetRef<'_>| set.owner() != *owner && set.owner().is_at_or_below(owner);
            prop_assert_eq!(below, zone.iter().filter(is_below).map(RrsetRef::index).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_diff_makes_the_new_zone_of_the_old(old in any_records(), new in any_records()) {
        let (old_zone, new_zone) = (zone(&old), zone(&new));
        let mut changed = model(&old);
        let new_model = model(&new);
        for change in Zone::diff(&old_zone, &new_zone) {
            let (Change::Added(set) | Change::Removed(set) | Change::Changed { new: set, .. }) = change;
            let key = (set.owner().key(), set.rtype());
            match change {
                Change::Removed(_) => prop_assert!(changed.remove(&key).is_some()),
                Change::Added(_) => prop_assert!(changed.insert(key.clone(), new_model[&key].clone()).is_none()),
                Change::Changed { .. } => prop_assert_ne!(changed.insert(key.clone(), new_model[&key].clone()), None),
            }
        }
        prop_assert_eq!(changed, new_model);
    }
}
