//! What a backup consists of.
//!
//! A manifest is one object: a line of JSON that anybody may read, which says what is needed to list, check and remove the
//! backup without its key ([`Manifest`]), and then, encrypted, what is needed to restore it ([`Contents`]).

use crate::Error;
use crate::age::{Decrypting, Encrypting, Identity, Recipient};
use crate::hash::{self, Digest};
use serde::{Deserialize, Serialize};
use std::io::Read;

/// Format of backups.
///
/// 1: one object per file.
pub const FORMAT: u32 = 1;
/// Maximum size of a manifest, bytes: a store with half a million files.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// What anybody may read of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the backup.
    pub format: u32,
    /// Its name.
    pub id: String,
    /// Identity of the store that was saved.
    pub store_id: String,
    /// The time whose state it holds, Unix milliseconds.
    pub time_ms: u64,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// Version of the program that made it.
    pub program_version: String,
    /// Format of the store.
    pub store_format: u32,
    /// The public keys for which it is encrypted.
    pub recipients: Vec<String>,
    /// Bytes that this backup added.
    pub new_bytes: u64,
    /// The objects that it consists of.
    pub objects: Vec<Object>,
    /// SHA-256 of the encrypted contents.
    pub contents_sha256: Digest,
}

/// An encrypted file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// SHA-256 of its encrypted bytes.
    pub sha256: Digest,
}

/// What only the holder of a private key may read of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The name of the backup.
    pub id: String,
    /// The files.
    pub files: Vec<File>,
}

/// A file that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path below the data directory, with `/`.
    pub path: String,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// The name of the object that holds it.
    pub object: String,
}

/// Whether a backup needed objects of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every object is its own.
    Full,
    /// Some objects were there already.
    Incremental,
}

impl Kind {
    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Full => "full",
            Kind::Incremental => "incremental",
        }
    }
}

impl Manifest {
    /// Total size of all objects, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size_bytes).sum()
    }

    /// Whether it needed objects of earlier ones.
    pub fn kind(&self) -> Kind {
        if self.new_bytes < self.size_bytes() { Kind::Incremental } else { Kind::Full }
    }

    /// A manifest with its contents, as stored.
    pub(crate) fn seal(mut self, contents: &Contents, recipients: &[Recipient]) -> Result<(Self, Vec<u8>), Error> {
        let fault = |error: String| Error::Stopped(format!("the manifest of backup {} cannot be written: {error}", self.id));
        let plain = serde_json::to_vec(contents).map_err(|error| fault(error.to_string()))?;
        let mut encrypted = Vec::new();
        let encrypting = Encrypting::new(plain.as_slice(), recipients).and_then(|mut from| from.read_to_end(&mut encrypted));
        encrypting.map_err(|error| fault(error.to_string()))?;
        self.contents_sha256 = hash::of(&encrypted);
        let mut bytes = serde_json::to_vec(&self).map_err(|error| fault(error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&encrypted);
        Ok((self, bytes))
    }

    /// Reads a stored manifest; returns it with the encrypted contents.
    pub(crate) fn read<'b>(id: &str, bytes: &'b [u8]) -> Result<(Self, &'b [u8]), Error> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let damaged = |what: String| Error::damaged(id, "the manifest", what);
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("its first line has no end".to_owned()))?;
        let (line, encrypted) = (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
        let parsed: Result<Versioned, _> = serde_json::from_slice(line);
        let found = parsed.map_err(|error| damaged(error.to_string()))?.format;
        if found > FORMAT {
            return Err(Error::Format { id: id.to_owned(), found, known: FORMAT });
        }
        let manifest: Manifest = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if manifest.id != id {
            return Err(damaged(format!("it says that it is backup {}", manifest.id)));
        }
        if let Some(object) = manifest.objects.iter().find(|object| !is_object(&object.name)) {
            return Err(damaged(format!("{:?} is not the name of an object", object.name)));
        }
        if hash::of(encrypted) != manifest.contents_sha256 {
            return Err(damaged("its checksum differs".to_owned()));
        }
        Ok((manifest, encrypted))
    }

    /// Decrypts the contents that belong to the manifest.
    pub(crate) fn open(&self, encrypted: &[u8], identities: &[Identity]) -> Result<Contents, Error> {
        let failed = |error| Error::undecryptable(&self.id, "the manifest", &self.recipients, error);
        let mut plain = Vec::new();
        let mut decrypting = Decrypting::new(encrypted, identities).map_err(failed)?;
        let read = decrypting.read_to_end(&mut plain);
        let damaged = |what: String| Error::damaged(&self.id, "the manifest", what);
        read.map_err(|error| damaged(error.to_string()))?;
        let contents: Contents = serde_json::from_slice(&plain).map_err(|error| damaged(error.to_string()))?;
        if contents.id != self.id {
            return Err(damaged(format!("it holds the contents of backup {}", contents.id)));
        }
        if let Some(file) = contents.files.iter().find(|file| !is_path(&file.path)) {
            return Err(damaged(format!("{:?} is not the path of a file", file.path)));
        }
        Ok(contents)
    }
}

/// Whether a name is that of an object: 64 hexadecimal digits.
pub(crate) fn is_object(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path leads to a file below a directory.
fn is_path(path: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
    path.len() < 1024 && path.split('/').all(is_name)
}
