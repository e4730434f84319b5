//! Encrypted, incremental backups of a store's files, and their restoration.
//!
//! # The concept
//!
//! A backup is a set of files, such as those of a RocksDB checkpoint, each encrypted to public keys in the format of
//! [`age`] and stored at a [`Target`] as an *object*. The name of an object is derived from the content of its file with
//! a secret of the store: a file that an earlier backup has saved is not uploaded again, and whoever stores the objects
//! learns nothing about them but their sizes. A [`Manifest`] says which objects make up a backup. It is written last:
//! **a backup exists if and only if its manifest does.** It is removed first, too, so that whatever happens at any moment,
//! every backup that exists is complete, and what is left over belongs to none and is removed by the next run.
//!
//! Nothing here knows what is in the files. The program holds no private key, so it cannot read its own backups: it checks
//! them by the checksums of encrypted bytes, and only [`restore()`], given an [`age::Identity`], decrypts.
//!
//! # Blocking
//!
//! Everything blocks, for as long as the destination takes. Memory is bounded: files pass through in chunks.

pub mod age;
mod control;
mod error;
mod hash;
mod index;
mod manifest;
mod restore;
mod retention;
mod run;
mod shelf;
mod target;
#[cfg(test)]
mod tests;

pub use control::Control;
pub use error::Error;
pub use hash::Digest;
pub use manifest::{Contents, FORMAT, File, Kind, Manifest, Object};
pub use restore::{Pick, find, restore, verify_objects};
pub use retention::Retention;
pub use run::{Job, Made, Source, StoreIdentity};
pub use shelf::Shelf;
pub use target::{Access, Destination, Directory, S3, S3Options, Ssh, SshOptions, Target};
