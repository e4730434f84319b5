//! Restoring a backup, and checking one without its key.

use crate::Error;
use crate::age::{Decrypting, Identity};
use crate::control::{Control, Watched};
use crate::hash::Hashing;
use crate::manifest::{Contents, File, Manifest, Object};
use crate::shelf::{Shelf, read_manifest, verify};
use crate::target::{OBJECTS, Target};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Which backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The newest.
    Latest,
    /// The one with this name.
    Id(String),
    /// The newest that is not newer than this time, Unix milliseconds.
    At(u64),
}

/// Finds a backup.
pub fn find(target: &dyn Target, pick: &Pick) -> Result<Manifest, Error> {
    let shelf = Shelf::read(target)?;
    let found = shelf.backups.iter().rev().find(|backup| match pick {
        Pick::Latest => true,
        Pick::Id(id) => backup.id == *id,
        Pick::At(time_ms) => backup.time_ms <= *time_ms,
    });
    if let Some(found) = found {
        return Ok(found.clone());
    }
    let unreadable = |(id, _): &&(String, String)| matches!(pick, Pick::Id(wanted) if wanted == id);
    let known = match (shelf.unreadable.iter().find(unreadable), shelf.backups.as_slice()) {
        (Some((_, why)), _) => why.clone(),
        (None, []) => "no backups".to_owned(),
        (None, [first, .., last]) => {
            format!("no such backup; there are {}, from {} to {}", shelf.backups.len(), first.id, last.id)
        }
        (None, [only]) => format!("no such backup; there is {}", only.id),
    };
    Err(Error::NoBackup { place: target.place(), what: known })
}

/// Restores the files of a backup below a directory, which is created and must not exist yet. Every checksum is compared.
/// On an error the directory is left incomplete.
pub fn restore(
    target: &dyn Target,
    backup: &Manifest,
    identities: &[Identity],
    into: &Path,
    control: &Control,
) -> Result<Contents, Error> {
    let missing = || Error::Missing { id: backup.id.clone(), object: "the manifest".to_owned() };
    let (manifest, encrypted) = read_manifest(target, &backup.id)?.ok_or_else(missing)?;
    let contents = manifest.open(&encrypted, identities)?;
    let objects: BTreeMap<&str, &Object> = manifest.objects.iter().map(|object| (object.name.as_str(), object)).collect();
    contents.files.iter().for_each(|file| control.expect(file.size_bytes));
    let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file(path));
    make(into)?;
    for file in &contents.files {
        let object = objects.get(file.object.as_str());
        let object =
            object.ok_or_else(|| Error::damaged(&manifest.id, "the manifest", format!("it lacks object {}", file.object)))?;
        let path = into.join(&file.path);
        path.parent().map_or(Ok(()), make)?;
        one(target, &manifest, identities, file, object, &path, control)?;
    }
    Ok(contents)
}

fn one(
    target: &dyn Target,
    manifest: &Manifest,
    identities: &[Identity],
    file: &File,
    object: &Object,
    path: &Path,
    control: &Control,
) -> Result<(), Error> {
    let id = &manifest.id;
    control.check()?;
    let found = target.get(&format!("{OBJECTS}/{}", object.name))?;
    let found = found.ok_or_else(|| Error::Missing { id: id.clone(), object: object.name.clone() })?;
    let mut encrypted = Hashing::new(found);
    let decrypting = Decrypting::new(&mut encrypted, identities);
    let decrypting = decrypting.map_err(|error| Error::undecryptable(id, &object.name, &manifest.recipients, error))?;
    let mut plain = Hashing::new(Watched { from: decrypting, control });
    let mut to = fs::File::options().write(true).create_new(true).mode(0o600).open(path).map_err(Error::file(path))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = plain.read(&mut buffer);
        control.check()?;
        let read = read.map_err(|error| Error::damaged(id, &object.name, error))?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        to.write_all(bytes).map_err(Error::file(path))?;
    }
    to.sync_all().map_err(Error::file(path))?;
    if plain.finish() != (file.sha256, file.size_bytes) {
        return Err(Error::damaged(id, &object.name, format!("it does not hold {} as it was saved", file.path)));
    }
    let (sha256, size_bytes) = encrypted.finish();
    if (sha256, size_bytes) != (object.sha256, object.size_bytes) {
        return Err(Error::damaged(id, &object.name, "its checksum is not the one in the manifest"));
    }
    Ok(())
}

/// Reads all objects of a backup and compares their checksums, which takes no key. Returns everything that is wrong.
pub fn verify_objects(target: &dyn Target, backup: &Manifest, control: &Control) -> Result<Vec<Error>, Error> {
    let mut faults = Vec::new();
    for object in &backup.objects {
        control.check()?;
        match verify(target, &backup.id, object) {
            Ok(()) => {}
            Err(error @ (Error::Damaged { .. } | Error::Missing { .. })) => faults.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(faults)
}
