//! The catalogue as its callers see it.

#![allow(clippy::unit_arg, clippy::type_complexity, reason = "closures that assign, and tables of cases, are read at one place")]

mod imports;
mod model;
mod names;
mod notes;
mod usage;
mod zones;

use super::owner::owner_of_text;
use super::*;
use crate::database::key;
use crate::{Error, Options, Retention, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use zonepulse_dns::RecordType;
use zonepulse_model::{RecordId, ResourceId, ZoneId};

/// RRsets by owner as text and number of the type: TTL and RDATAs.
type Rows = BTreeMap<(String, u16), (u32, Vec<Vec<u8>>)>;

const A: u16 = 1;
const NS: u16 = 2;

fn options() -> Options {
    let sizes = Options { block_cache_bytes: 1 << 20, write_buffer_bytes: 4 << 20, ..Options::default() };
    Options { retention: Retention::FOREVER, min_free_bytes: 0, ..sizes }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, &options()).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (dir, store)
}

fn add_zone(store: &Store, apex: &str) -> ZoneId {
    store.catalogue().add_zone(apex, 0, |_| Ok::<_, Error>(())).unwrap().id
}

/// Address RRsets of these owners.
fn rows<'a>(owners: impl IntoIterator<Item = &'a str>) -> Rows {
    owners.into_iter().map(|owner| ((owner.to_owned(), A), (300, vec![vec![127, 0, 0, 1]]))).collect()
}

fn numbered(count: u32) -> Rows {
    let owners: Vec<String> = (0..count).map(|number| format!("n{number}.example.")).collect();
    rows(owners.iter().map(String::as_str))
}

/// Fills the rows in the order of their keys.
fn fill(rows: &Rows) -> impl FnMut(&mut Row) -> Result<bool, Error> + use<> {
    let mut sorted: Vec<_> =
        rows.clone().into_iter().map(|((owner, t), data)| (owner_of_text(&owner).unwrap(), t, owner, data)).collect();
    sorted.sort();
    let mut sorted = sorted.into_iter();
    move |row| {
        let Some((key, rtype, owner, (ttl, rdatas))) = sorted.next() else { return Ok(false) };
        row.set_owner(&key, &owner);
        row.set(RecordType::new(rtype), ttl, rdatas.iter().map(Vec::as_slice));
        Ok(true)
    }
}

fn import_at(store: &Store, zone_id: ZoneId, rows: &Rows, now_ms: u64) -> Result<Summary, Error> {
    let import = Import { confirmed: true, ..Import::new(zone_id, Some(1), now_ms) };
    store.catalogue().import(import, &mut fill(rows))
}

/// Changes a zone from some rows to others, as an incremental transfer does.
fn change_at(store: &Store, zone_id: ZoneId, before: &Rows, after: &Rows, now_ms: u64) -> Result<Summary, Error> {
    let changed = after.iter().filter(|(of, data)| before.get(of) != Some(data)).map(|(of, data)| (of.clone(), Some(data)));
    let gone = before.keys().filter(|of| !after.contains_key(of)).map(|of| (of.clone(), None));
    let key = |((owner, rtype), data): ((String, u16), _)| (owner_of_text(&owner).unwrap(), rtype, owner, data);
    let mut all: Vec<_> = changed.chain(gone).map(key).collect();
    all.sort();
    let mut all = all.into_iter();
    let mut rows = |row: &mut Row| {
        let Some((key, rtype, owner, data)) = all.next() else { return Ok(false) };
        row.set_owner(&key, &owner);
        match data {
            Some((ttl, rdatas)) => row.set(RecordType::new(rtype), *ttl, rdatas.iter().map(Vec::as_slice)),
            None => row.set_gone(RecordType::new(rtype)),
        }
        Ok(true)
    };
    let import = Import { confirmed: true, ..Import::new(zone_id, Some(1), now_ms) };
    store.catalogue().change(import, &mut rows)
}

/// A zone as it is: owner and type, id, TTL and RDATAs.
fn read(store: &Store, zone_id: ZoneId) -> BTreeMap<(String, u16), (ResourceId, u32, Vec<Vec<u8>>)> {
    let mut found = BTreeMap::new();
    let mut last = Vec::new();
    let each = &mut |resource: &Resource<'_>| {
        let place = [resource.owner, &[0], &resource.rtype.value().to_be_bytes()].concat();
        assert!(last < place, "resources are in order");
        last = place;
        let rdatas = resource.rdatas.clone().map(<[u8]>::to_vec).collect();
        found.insert(name_of(store, resource.record_id), (resource.resource_id, resource.ttl, rdatas));
        ControlFlow::Continue(())
    };
    store.catalogue().visit(zone_id, each).unwrap();
    found
}

fn name_of(store: &Store, record_id: RecordId) -> (String, u16) {
    let dictionary = store.dictionary();
    let (name, rtype) = dictionary.get(record_id).unwrap();
    (name.to_owned(), rtype.value())
}

fn data_of(store: &Store, zone_id: ZoneId) -> Rows {
    read(store, zone_id).into_iter().map(|(of, (_, ttl, rdatas))| (of, (ttl, rdatas))).collect()
}

fn id_of(store: &Store, zone_id: ZoneId, owner: &str) -> ResourceId {
    read(store, zone_id).get(&(owner.to_owned(), A)).unwrap().0
}

fn sound(store: &Store) {
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}
