//! Making a backup.

use crate::age::{Encrypting, Recipient, encrypted_bytes};
use crate::control::{Control, Watched};
use crate::hash::{Digest, Hashing, hexadecimal};
use crate::index::Index;
use crate::manifest::{Contents, FORMAT, File, Manifest, Object};
use crate::shelf::{self, Shelf};
use crate::target::{BACKUPS, OBJECTS, Target};
use crate::{Error, Retention};
use ring::hmac;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A file to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path in the backup: below the data directory, with `/`.
    pub path: String,
    /// Where it is.
    pub file: PathBuf,
    /// Whether it never changes, so that its checksum may be remembered.
    pub is_immutable: bool,
}

/// What a store is called in backups. Its `Debug` output omits the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Its identity, which anybody may read.
    pub id: String,
    /// A secret that the names of objects are derived with, so that they tell nothing about what they hold.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for StoreIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreIdentity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A backup to be made.
pub struct Job<'a> {
    /// Its name, unique at its destination.
    pub id: String,
    /// The time whose state the files hold, Unix milliseconds.
    pub time_ms: u64,
    /// The store.
    pub store: &'a StoreIdentity,
    /// Format of the store.
    pub store_format: u32,
    /// Version of the program.
    pub program_version: &'a str,
    /// Who can decrypt it, at least one.
    pub recipients: &'a [Recipient],
    /// Space to leave free at the destination, bytes.
    pub min_free_bytes: u64,
    /// Which backups are kept.
    pub retention: Retention,
    /// Whether all objects are read back, or only new ones.
    pub verify_all: bool,
    /// A local file that remembers checksums.
    pub index: &'a Path,
}

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// Its manifest.
    pub manifest: Manifest,
    /// What the destination holds now.
    pub shelf: Shelf,
    /// The backups that retention removed.
    pub removed: Vec<String>,
    /// Why retention could not be applied, if it could not.
    pub retention_failed: Option<String>,
}

impl Job<'_> {
    /// Saves files. On an error there is no such backup, and earlier ones are as they were.
    pub fn run(&self, target: &dyn Target, files: &[Source], control: &Control) -> Result<Made, Error> {
        let began = Instant::now();
        shelf::claim(target, &self.store.id)?;
        target.remove_unfinished()?;
        let mut shelf = Shelf::read(target)?;
        let leftovers = shelf.sweep(target)?;
        if leftovers > 0 {
            tracing::info!(objects = leftovers, "removed what an earlier backup had left unfinished");
        }
        let mut index = Index::read(self.index);
        let planned = self.plan(&shelf, &mut index, files, control);
        index.keep_damaged(|object| shelf.has(object));
        index.write(self.index);
        let planned = planned?;
        let mut uploaded = Vec::new();
        let finished = self.finish(target, &shelf, &planned, &mut index, &mut uploaded, control, began);
        let manifest = finished.inspect_err(|_| {
            // Frees the space at once; if this fails, the next run does it.
            let _ = target.remove(&uploaded);
            index.write(self.index);
        })?;
        shelf = Shelf::read(target)?;
        let (removed, retention_failed) = match self.retain(target, &mut shelf) {
            Ok(removed) => (removed, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        Ok(Made { manifest, shelf, removed, retention_failed })
    }

    /// Finds out which files are there already.
    fn plan(&self, shelf: &Shelf, index: &mut Index, files: &[Source], control: &Control) -> Result<Vec<Planned>, Error> {
        let usable = shelf.usable();
        let mut planned = Vec::with_capacity(files.len());
        for source in files {
            control.check()?;
            let about = fs::metadata(&source.file).map_err(Error::file(&source.file))?;
            let known = if source.is_immutable { index.find(&about) } else { None };
            let sha256 = match known {
                Some(sha256) => sha256,
                None => {
                    let file = fs::File::open(&source.file).map_err(Error::file(&source.file))?;
                    let watched = Watched { from: file, control: &Control::default() };
                    let (sha256, _) = Hashing::new(watched).drain().map_err(Error::file(&source.file))?;
                    if source.is_immutable {
                        index.learn(&about, sha256);
                    }
                    sha256
                }
            };
            let object = self.name(&sha256, |name| index.is_damaged(name));
            let there = usable.get(object.as_str()).map(|object| (*object).clone());
            let size_bytes = about.len();
            planned.push(Planned {
                file: File { path: source.path.clone(), size_bytes, sha256, object },
                from: source.file.clone(),
                there,
            });
        }
        let new = planned.iter().filter(|planned| planned.there.is_none());
        new.for_each(|planned| control.expect(planned.file.size_bytes));
        Ok(planned)
    }

    /// The name of the object that holds a file with this checksum: it tells nobody else what is in it, and differs for
    /// other recipients.
    fn name(&self, sha256: &Digest, is_damaged: impl Fn(&str) -> bool) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.store.secret);
        let mut recipients: Vec<&Recipient> = self.recipients.iter().collect();
        recipients.sort_unstable();
        let mut attempt = 0u32;
        loop {
            let mut context = hmac::Context::with_key(&key);
            context.update(&sha256.0);
            recipients.iter().for_each(|recipient| context.update(recipient.to_string().as_bytes()));
            context.update(&attempt.to_be_bytes());
            let name = hexadecimal(context.sign().as_ref());
            if !is_damaged(&name) {
                return name;
            }
            attempt = attempt.wrapping_add(1);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one run")]
    fn finish(
        &self,
        target: &dyn Target,
        shelf: &Shelf,
        planned: &[Planned],
        index: &mut Index,
        uploaded: &mut Vec<String>,
        control: &Control,
        began: Instant,
    ) -> Result<Manifest, Error> {
        self.has_room(target, planned)?;
        let mut objects: BTreeMap<String, Object> = BTreeMap::new();
        let mut new_bytes = 0;
        for planned in planned {
            let name = &planned.file.object;
            if objects.contains_key(name) {
                continue;
            }
            let object = match &planned.there {
                Some(object) => object.clone(),
                None => {
                    uploaded.push(format!("{OBJECTS}/{name}"));
                    let object = self.upload(target, planned, control)?;
                    new_bytes += object.size_bytes;
                    object
                }
            };
            objects.insert(name.clone(), object);
        }
        for object in objects.values() {
            control.check()?;
            if self.verify_all || !shelf.has(&object.name) {
                shelf::verify(target, &self.id, object).inspect_err(|error| {
                    if matches!(error, Error::Damaged { .. }) {
                        index.found_damaged(&object.name);
                    }
                })?;
            }
        }
        let manifest = Manifest {
            format: FORMAT,
            id: self.id.clone(),
            store_id: self.store.id.clone(),
            time_ms: self.time_ms,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            program_version: self.program_version.to_owned(),
            store_format: self.store_format,
            recipients: self.recipients.iter().map(Recipient::to_string).collect(),
            new_bytes,
            objects: objects.into_values().collect(),
            contents_sha256: Digest::default(),
        };
        let contents = Contents { id: self.id.clone(), files: planned.iter().map(|planned| planned.file.clone()).collect() };
        let (manifest, bytes) = manifest.seal(&contents, self.recipients)?;
        let name = format!("{BACKUPS}/{}", self.id);
        target.put(&name, &mut bytes.as_slice())?;
        match shelf::read_manifest(target, &self.id) {
            Ok(Some((read, _))) if read == manifest => Ok(manifest),
            read => {
                let _ = target.remove(&[name]);
                Err(read.err().unwrap_or_else(|| Error::damaged(&self.id, "the manifest", "it was not stored as it is")))
            }
        }
    }

    /// Fails early if the new objects do not fit.
    fn has_room(&self, target: &dyn Target, planned: &[Planned]) -> Result<(), Error> {
        let Some(free_bytes) = target.free_bytes()? else { return Ok(()) };
        let new = planned.iter().filter(|planned| planned.there.is_none());
        let new_bytes: u64 = new.map(|planned| encrypted_bytes(planned.file.size_bytes, self.recipients.len())).sum();
        let needed_bytes = new_bytes.saturating_add(self.min_free_bytes);
        if free_bytes < needed_bytes {
            return Err(Error::Full { place: target.place(), free_bytes, needed_bytes });
        }
        Ok(())
    }

    fn upload(&self, target: &dyn Target, planned: &Planned, control: &Control) -> Result<Object, Error> {
        let File { size_bytes, sha256, object, .. } = &planned.file;
        control.check()?;
        let file = fs::File::open(&planned.from).map_err(Error::file(&planned.from))?;
        let mut plain = Hashing::new(Watched { from: file, control });
        let encrypting = Encrypting::new(&mut plain, self.recipients);
        control.check()?;
        let encrypting = encrypting.map_err(Error::file(&planned.from))?;
        let mut encrypted = Hashing::new(encrypting);
        let put = target.put(&format!("{OBJECTS}/{object}"), &mut encrypted);
        // What it was stopped for is not the destination's fault.
        control.check()?;
        put?;
        let (encrypted_sha256, encrypted_size) = encrypted.finish();
        if plain.finish() != (*sha256, *size_bytes) {
            return Err(Error::Changed(planned.from.clone()));
        }
        Ok(Object { name: object.clone(), size_bytes: encrypted_size, sha256: encrypted_sha256 })
    }

    /// Applies retention. The backup just made is always kept.
    fn retain(&self, target: &dyn Target, shelf: &mut Shelf) -> Result<Vec<String>, Error> {
        let kept = self.retention.keep(shelf.backups.iter().map(|backup| backup.time_ms));
        let is_old = |backup: &&Manifest| !kept.contains(&backup.time_ms) && backup.id != self.id;
        let old: BTreeSet<String> = shelf.backups.iter().filter(is_old).map(|backup| backup.id.clone()).collect();
        shelf.remove(target, &old)?;
        Ok(old.into_iter().collect())
    }
}

/// A file, and whether it is at the destination already.
struct Planned {
    file: File,
    from: PathBuf,
    there: Option<Object>,
}
