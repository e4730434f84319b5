//! Labels, notes and protection.

use super::*;

#[test]
fn a_note_stays_with_its_resource_whatever_becomes_of_it() {
    let (dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &rows(["a.example.", "b.example."]), 1).unwrap();
    let id = id_of(&store, zone_id, "a.example.");
    let change = |note: &mut ResourceNote| {
        (note.note, note.protection) = ("ask Ann".to_owned(), Protection::Protect);
        Ok::<_, Error>(())
    };
    let note = store.catalogue().change_note(id, change).unwrap();
    import_at(&store, zone_id, &rows(["b.example."]), 2).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.catalogue().note(id).unwrap(), note);
    store.catalogue().change_note(id, |note| Ok::<_, Error>(*note = ResourceNote::default())).unwrap();
    let mut count = 0;
    store.catalogue().notes(&mut |_, _| count += 1).unwrap();
    assert_eq!(count, 0, "nothing is kept of an empty one");
    let unknown = store.catalogue().change_note(ResourceId::new(99), change);
    assert!(matches!(unknown, Err(Error::Missing("resource", _))));
    sound(&store);
}

#[test]
fn labels_are_set_in_bulk_found_moved_and_removed() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(10), 1).unwrap();
    let owners: Vec<String> = (0..8).map(|number| format!("n{number}.example.")).collect();
    let labels = owners.iter().map(|owner| (owner.as_str(), RecordType::A, "one"));
    let unknown = [("n1.example.", RecordType::new(28), "x"), ("x.example.", RecordType::A, "x")];
    let done = store.catalogue().set_labels(None, labels.clone().chain(unknown)).unwrap();
    assert_eq!(done, Labelled { matched: 8, unmatched: 2, changed: 8 });
    assert_eq!(store.catalogue().labelled("one").unwrap().len(), 8);
    assert_eq!(store.catalogue().labelled("on").unwrap(), []);
    let done = store.catalogue().set_labels(Some(zone_id), labels).unwrap();
    assert_eq!((done.matched, done.changed), (8, 0));
    let other = store.catalogue().set_labels(Some(ZoneId::new(9)), [("n1.example.", RecordType::A, "x")]).unwrap();
    assert_eq!((other.matched, other.unmatched), (0, 1));
    let moved = [("n1.example.", RecordType::A, "two"), ("n2.example.", RecordType::A, "")];
    store.catalogue().set_labels(None, moved).unwrap();
    assert_eq!(store.catalogue().labelled("one").unwrap().len(), 6);
    assert_eq!(store.catalogue().labelled("two").unwrap(), [id_of(&store, zone_id, "n1.example.")]);
    sound(&store);
}

#[test]
fn a_label_is_bounded() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(1), 1).unwrap();
    for label in ["a\0b", "a\nb", &"a".repeat(256)] {
        let done = store.catalogue().set_labels(None, [("n0.example.", RecordType::A, label)]);
        assert!(matches!(done, Err(Error::BadSetting { .. })), "{label:?}");
    }
    sound(&store);
}
