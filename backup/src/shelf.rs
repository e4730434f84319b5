//! What a destination holds: manifests and objects, whose they are, and which of them are needed.

use crate::Error;
use crate::hash::Hashing;
use crate::manifest::{MAX_BYTES, Manifest, Object};
use crate::target::{BACKUPS, OBJECTS, OWNER, Target};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Maximum size of the object that says whose backups these are, bytes.
const MOST_OWNER_BYTES: u64 = 64 << 10;

/// Whose backups a destination holds.
#[derive(Serialize, Deserialize)]
struct Owner {
    format: u32,
    store_id: String,
}

/// The backups of a destination.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Those that can be read, oldest first.
    pub backups: Vec<Manifest>,
    /// Those whose manifest cannot be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// All objects, with their sizes, bytes.
    objects: BTreeMap<String, u64>,
}

impl Shelf {
    /// Reads what a destination holds.
    pub fn read(target: &dyn Target) -> Result<Shelf, Error> {
        let mut shelf = Shelf { objects: target.list(OBJECTS)?, ..Shelf::default() };
        for id in target.list(BACKUPS)?.into_keys() {
            match read_manifest(target, &id) {
                Ok(Some((manifest, _))) => shelf.backups.push(manifest),
                Ok(None) => {}
                Err(error @ (Error::Damaged { .. } | Error::Format { .. })) => shelf.unreadable.push((id, error.to_string())),
                Err(error) => return Err(error),
            }
        }
        shelf.backups.sort_by(|a, b| (a.time_ms, &a.id).cmp(&(b.time_ms, &b.id)));
        Ok(shelf)
    }

    /// The objects that a backup may use again, by name: those that an earlier one refers to and that are there in full.
    pub(crate) fn usable(&self) -> BTreeMap<&str, &Object> {
        let all = self.backups.iter().flat_map(|backup| &backup.objects);
        all.filter(|object| self.objects.get(&object.name) == Some(&object.size_bytes))
            .map(|object| (object.name.as_str(), object))
            .collect()
    }

    /// The objects of a backup that are missing or have another size, with what is wrong.
    pub fn faults(&self, backup: &Manifest) -> Vec<Error> {
        let fault = |object: &Object| match self.objects.get(&object.name) {
            None => Some(Error::Missing { id: backup.id.clone(), object: object.name.clone() }),
            Some(size_bytes) if *size_bytes != object.size_bytes => {
                let what = format!("it has {size_bytes} bytes instead of {}", object.size_bytes);
                Some(Error::damaged(&backup.id, &object.name, what))
            }
            Some(_) => None,
        };
        backup.objects.iter().filter_map(fault).collect()
    }

    /// Whether an object is there.
    pub(crate) fn has(&self, object: &str) -> bool {
        self.objects.contains_key(object)
    }

    /// Size of all objects, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.objects.values().sum()
    }

    /// Removes objects that no backup refers to. Nothing is removed while a manifest cannot be read: it may refer to them.
    pub(crate) fn sweep(&mut self, target: &dyn Target) -> Result<usize, Error> {
        if let Some((id, why)) = self.unreadable.first() {
            tracing::warn!(backup = id, why, "objects that no backup needs are kept, because a manifest cannot be read");
            return Ok(0);
        }
        let needed: BTreeSet<&str> = self.backups.iter().flat_map(|b| &b.objects).map(|object| object.name.as_str()).collect();
        let unneeded: Vec<String> = self.objects.keys().filter(|name| !needed.contains(name.as_str())).cloned().collect();
        let names: Vec<String> = unneeded.iter().map(|name| format!("{OBJECTS}/{name}")).collect();
        target.remove(&names)?;
        unneeded.iter().for_each(|name| _ = self.objects.remove(name));
        Ok(unneeded.len())
    }

    /// Removes backups, manifests first: a backup without its manifest does not exist, and its objects are swept later.
    pub(crate) fn remove(&mut self, target: &dyn Target, ids: &BTreeSet<String>) -> Result<(), Error> {
        target.remove(&ids.iter().map(|id| format!("{BACKUPS}/{id}")).collect::<Vec<_>>())?;
        self.backups.retain(|backup| !ids.contains(&backup.id));
        self.sweep(target).map(|_| ())
    }
}

/// Reads a manifest, with its encrypted contents.
pub(crate) fn read_manifest(target: &dyn Target, id: &str) -> Result<Option<(Manifest, Vec<u8>)>, Error> {
    let Some(bytes) = read_all(target, &format!("{BACKUPS}/{id}"), MAX_BYTES)? else { return Ok(None) };
    let (manifest, encrypted) = Manifest::read(id, &bytes)?;
    Ok(Some((manifest, encrypted.to_vec())))
}

/// Reads an object into memory.
fn read_all(target: &dyn Target, name: &str, most_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(from) = target.get(name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = from.take(most_bytes).read_to_end(&mut bytes);
    read.map_err(|error| Error::destination(&target.place(), format!("{name}: {error}")))?;
    Ok(Some(bytes))
}

/// Reads an object and compares its checksum.
pub(crate) fn verify(target: &dyn Target, id: &str, object: &Object) -> Result<(), Error> {
    let found = target.get(&format!("{OBJECTS}/{}", object.name))?;
    let found = found.ok_or_else(|| Error::Missing { id: id.to_owned(), object: object.name.clone() })?;
    let read = Hashing::new(found).drain();
    let (sha256, size_bytes) = read.map_err(|error| Error::destination(&target.place(), format!("{}: {error}", object.name)))?;
    if size_bytes != object.size_bytes {
        return Err(Error::damaged(id, &object.name, format!("it has {size_bytes} bytes instead of {}", object.size_bytes)));
    }
    if sha256 != object.sha256 {
        return Err(Error::damaged(id, &object.name, format!("its SHA-256 is {sha256} instead of {}", object.sha256)));
    }
    Ok(())
}

/// Fails if a destination holds the backups of another store; claims it if it holds none.
pub(crate) fn claim(target: &dyn Target, store_id: &str) -> Result<(), Error> {
    if let Some(bytes) = read_all(target, OWNER, MOST_OWNER_BYTES)? {
        let owner: Result<Owner, _> = serde_json::from_slice(&bytes);
        let owner = owner.map_err(|error| Error::destination(&target.place(), format!("{OWNER} is damaged: {error}")))?;
        return match owner.store_id == store_id {
            true => Ok(()),
            false => Err(Error::OtherStore { place: target.place(), found: owner.store_id, own: store_id.to_owned() }),
        };
    }
    let owner = Owner { format: crate::manifest::FORMAT, store_id: store_id.to_owned() };
    let text = serde_json::to_vec(&owner).map_err(|error| Error::destination(&target.place(), error))?;
    target.put(OWNER, &mut text.as_slice())
}
