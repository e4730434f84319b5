//! Imports: what changes, what stays, and what is refused.

use super::*;

#[test]
fn an_import_makes_the_rows_the_zone_and_says_what_changed() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    let mut first = rows(["example.", "a.example.", "b.example.", "c.example."]);
    first.insert(("example.".to_owned(), NS), (3600, vec![b"\x01a\x07example\0".to_vec(), b"\x01b\x07example\0".to_vec()]));
    let summary = import_at(&store, zone_id, &first, 1000).unwrap();
    assert_eq!((summary.added, summary.examples_added.len()), (5, 5));
    assert_eq!(data_of(&store, zone_id), first);
    let mut second = rows(["example.", "b.example.", "d.example."]);
    second.insert(("b.example.".to_owned(), A), (60, vec![vec![127, 0, 0, 1]]));
    let summary = import_at(&store, zone_id, &second, 2000).unwrap();
    let Summary { added, changed, removed, unchanged, .. } = summary;
    assert_eq!([added, changed, removed, unchanged], [1, 1, 3, 1]);
    assert_eq!(summary.examples_changed, [("b.example.".to_owned(), RecordType::A)]);
    assert_eq!(summary.examples_removed[0], ("example.".to_owned(), RecordType::new(NS)));
    assert_eq!(data_of(&store, zone_id), second);
    let zone = store.catalogue().zone(zone_id).unwrap().unwrap();
    assert_eq!((zone.resources, zone.removed, zone.serial, zone.loaded_ms), (3, 3, Some(1), Some(2000)));
    assert_eq!(zone.state, ZoneState::Loaded);
    sound(&store);
}

#[test]
fn an_id_survives_changes_of_data_removal_return_and_restarts() {
    let (dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &rows(["a.example.", "b.example."]), 1).unwrap();
    let id = id_of(&store, zone_id, "a.example.");
    let mut changed = rows(["b.example."]);
    changed.insert(("a.example.".to_owned(), A), (1, vec![vec![127, 0, 0, 2]]));
    import_at(&store, zone_id, &changed, 2).unwrap();
    assert_eq!(id_of(&store, zone_id, "a.example."), id);
    import_at(&store, zone_id, &rows(["b.example.", "c.example."]), 3).unwrap();
    let removed = store.catalogue().resource(id, |resource| (resource.removed_ms, resource.ttl)).unwrap();
    assert_eq!(removed, Some((Some(3), 1)));
    drop(store);
    let store = open(dir.path());
    let summary = import_at(&store, zone_id, &rows(["a.example.", "b.example."]), 4).unwrap();
    assert_eq!((summary.added, summary.returned), (1, 1));
    assert_eq!(id_of(&store, zone_id, "a.example."), id);
    let created = store.catalogue().resource(id, |resource| (resource.created_ms, resource.since_ms)).unwrap();
    assert_eq!(created, Some((1, 4)));
    sound(&store);
}

#[test]
fn many_changes_become_a_new_generation_and_few_do_not() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    let generation = || store.catalogue().zone(zone_id).unwrap().unwrap().generation;
    import_at(&store, zone_id, &numbered(40), 1).unwrap();
    assert_eq!(generation(), 1);
    import_at(&store, zone_id, &numbered(42), 2).unwrap();
    assert_eq!((generation(), read(&store, zone_id).len()), (1, 42));
    import_at(&store, zone_id, &numbered(20), 3).unwrap();
    assert_eq!((generation(), read(&store, zone_id).len()), (2, 20));
    let mut keys = 0;
    store
        .inner
        .database
        .visit(key::RESOURCES, &[], |_, _| {
            keys += 1;
            Ok(true)
        })
        .unwrap();
    assert_eq!(keys, 42, "the old generation is gone");
    sound(&store);
}

#[test]
fn a_change_leaves_what_it_does_not_name() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(40), 1).unwrap();
    let (mut few, mut many) = (numbered(40), numbered(80));
    few.remove(&("n7.example.".to_owned(), A));
    few.insert(("n8.example.".to_owned(), A), (1, vec![vec![127, 0, 0, 2]]));
    few.insert(("new.example.".to_owned(), A), (1, vec![vec![127, 0, 0, 2]]));
    let summary = change_at(&store, zone_id, &numbered(40), &few, 2).unwrap();
    let Summary { added, changed, removed, unchanged, .. } = summary;
    assert_eq!([added, changed, removed, unchanged], [1, 1, 1, 0]);
    assert_eq!(data_of(&store, zone_id), few);
    many.remove(&("n9.example.".to_owned(), A));
    change_at(&store, zone_id, &few, &many, 3).unwrap();
    assert_eq!(data_of(&store, zone_id), many);
    sound(&store);
}

#[test]
fn an_import_that_removes_much_waits_for_confirmation() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(100), 1).unwrap();
    let unconfirmed = |count| store.catalogue().import(Import::new(zone_id, None, 2), &mut fill(&numbered(count)));
    match unconfirmed(69) {
        Err(Error::MassRemoval { zone, removed, resources, examples }) => {
            assert_eq!((&*zone, removed, resources), ("example.", 31, 100));
            assert!(examples.starts_with("n69.example. A, n70.example. A"), "{examples}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&store, zone_id).len(), 100);
    sound(&store);
    assert_eq!(unconfirmed(70).unwrap().removed, 30);
    assert_eq!(unconfirmed(50).unwrap().removed, 20, "few");
    sound(&store);
}

#[test]
fn rows_that_break_a_promise_are_refused_and_leave_nothing_behind() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(3), 1).unwrap();
    let before = read(&store, zone_id);
    let names = store.dictionary().len();
    let key = |text| owner_of_text(text).unwrap();
    let bad: [(&str, Vec<u8>, &str, &[&[u8]]); 5] = [
        ("outside", key("x.example.org."), "x.example.org.", &[b"a"]),
        ("key and text", key("x.example."), "y.example.", &[b"a"]),
        ("key and text", key("x.example."), "X.example.", &[b"a"]),
        ("sorted", key("x.example."), "x.example.", &[b"b", b"a"]),
        ("order", key("n0.example."), "n0.example.", &[b"a"]),
    ];
    for (told, key, text, rdatas) in bad {
        let mut good = fill(&numbered(30));
        let mut done = false;
        let mut rows = |row: &mut Row| {
            if good(row)? {
                return Ok(true);
            }
            row.set_owner(&key, text);
            row.set(RecordType::A, 1, rdatas.iter().copied());
            Ok(!std::mem::replace(&mut done, true))
        };
        let error = store.catalogue().import::<Error>(Import::new(zone_id, None, 2), &mut rows).unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
        assert_eq!(read(&store, zone_id), before);
        sound(&store);
    }
    while store.upkeep(1 << 31).unwrap() != crate::Step::Idle {}
    assert_eq!(store.dictionary().iter().count(), names, "the names of failed imports are swept");
}

#[test]
fn a_zone_is_told_as_it_was() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    let sets = [numbered(3), numbered(30), numbered(2), rows(["n1.example.", "x.example."]), numbered(31)];
    for (at, rows) in sets.iter().enumerate() {
        import_at(&store, zone_id, rows, at as u64 * 10 + 10).unwrap();
    }
    for (at, rows) in sets.iter().enumerate() {
        for at_ms in [at as u64 * 10 + 10, at as u64 * 10 + 19] {
            let mut found = Rows::new();
            let each = &mut |resource: &Resource<'_>, ttl, rdatas: Rdatas<'_>| {
                found.insert(name_of(&store, resource.record_id), (ttl, rdatas.map(<[u8]>::to_vec).collect()));
                ControlFlow::Continue(())
            };
            store.catalogue().visit_at(zone_id, at_ms, each).unwrap();
            assert_eq!(found, *rows, "at {at_ms}");
        }
    }
}

#[test]
fn pages_begin_where_they_are_asked_to() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &rows(["a.example.", "b.example.", "c.example."]), 1).unwrap();
    import_at(&store, zone_id, &rows(["a.example.", "c.example."]), 2).unwrap();
    let owner = owner_of_text("b.example.").unwrap();
    let mut found = Vec::new();
    let page = Page { owner: &owner, rtype: RecordType::A };
    let each = &mut |resource: &Resource<'_>| {
        found.push((name_of(&store, resource.record_id).0, resource.removed_ms));
        ControlFlow::Continue(())
    };
    store.catalogue().visit_from(zone_id, Some(page), each).unwrap();
    assert_eq!(found, [("b.example.".to_owned(), Some(2)), ("c.example.".to_owned(), None)]);
}

#[test]
fn a_visit_that_has_begun_sees_nothing_of_a_later_import() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(20), 1).unwrap();
    let mut found = 0;
    let each = &mut |resource: &Resource<'_>| {
        if found == 0 {
            import_at(&store, zone_id, &rows(["x.example."]), 2).unwrap();
        }
        assert_eq!(resource.removed_ms, None);
        found += 1;
        ControlFlow::Continue(())
    };
    store.catalogue().visit(zone_id, each).unwrap();
    assert_eq!(found, 20);
}

#[test]
fn batches_are_stored_while_an_import_reads_its_rows() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    let mut filled = fill(&numbered(50));
    let mut seq = 0;
    let mut rows = |row: &mut Row| {
        seq += 1;
        // A lock that the import held would be taken out of order, or wait for ever.
        let point = |record_id| crate::IntakeRow {
            record_id,
            kind: zonepulse_dns::MessageKind::REQUEST,
            hits: 1,
            first_ms: 60_000 * seq,
            last_ms: 60_000 * seq,
        };
        crate::tests::minute::commit(&store, 1, seq, 60 * seq, &["n7.example.", "other."], point).unwrap();
        filled(row)
    };
    store.catalogue().import(Import::new(zone_id, None, 1), &mut rows).unwrap();
    assert_eq!(read(&store, zone_id).len(), 50);
    sound(&store);
}

#[test]
fn progress_is_told_and_what_the_caller_notes_in_the_zone_is_in_the_same_write() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    let (mut told, mut progress) = (0, 0);
    let mut note = |zone: &mut Zone| {
        told += 1;
        (zone.refresh, zone.generation) = (serde_json::json!({"next_ms": 5}), 77);
        zone.source = Source::File { path: "/etc/passwd".to_owned() };
    };
    let mut count = |rows| progress = rows;
    let import = Import { zone: Some(&mut note), progress: Some(&mut count), ..Import::new(zone_id, Some(9), 1) };
    store.catalogue().import(import, &mut fill(&numbered(2))).unwrap();
    let zone = store.catalogue().zone(zone_id).unwrap().unwrap();
    assert_eq!((zone.refresh["next_ms"].as_u64(), zone.generation, zone.source), (Some(5), 0, Source::Upload));
    assert_eq!((told, progress), (1, 2));
}

#[test]
fn damage_is_told_of() {
    let (_dir, store) = store();
    let zone_id = add_zone(&store, "example.");
    import_at(&store, zone_id, &numbered(3), 1).unwrap();
    let spoil = |change: &dyn Fn(&mut rocksdb::WriteBatch, &[u8], &[u8])| {
        let (mut first, mut batch) = (None, rocksdb::WriteBatch::default());
        store
            .inner
            .database
            .visit(key::RESOURCES, &[], |key, value| {
                first.get_or_insert((key.to_vec(), value.to_vec()));
                Ok(true)
            })
            .unwrap();
        let (key, value) = first.unwrap();
        change(&mut batch, &key, &value);
        store.inner.database.write(batch, true).unwrap();
        let faults = store.check().unwrap().faults;
        let mut batch = rocksdb::WriteBatch::default();
        batch.put_cf(store.inner.database.family(key::RESOURCES), &key, &value);
        store.inner.database.write(batch, true).unwrap();
        faults.join("\n")
    };
    let family = || store.inner.database.family(key::RESOURCES);
    let missing = spoil(&|batch, key, _| batch.delete_cf(family(), key));
    assert!(missing.contains("2 resources and 0 removed ones are there, it says 3 and 0"), "{missing}");
    let broken = spoil(&|batch, key, _| batch.put_cf(family(), key, [9, 9]));
    assert!(broken.contains("resource"), "{broken}");
    let cut = spoil(&|batch, key, value| batch.put_cf(family(), key, &value[..value.len() - 1]));
    assert!(cut.contains("data"), "{cut}");
    let twice = spoil(&|batch, key, value| {
        let mut other = value.to_vec();
        other[9] = 2;
        batch.put_cf(family(), key, other);
    });
    assert!(twice.contains("its id is assigned twice"), "{twice}");
    sound(&store);
}
