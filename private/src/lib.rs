//! Protects what both programs store from other users of the machine, and secrets from being shown.
//!
//! * [`set_umask`] comes first in `main`: everything created from then on is private.
//! * [`directory`] creates a program's data directory, or restricts an existing one to its owner;
//!   [`key`] does the same for the file of a private key.
//! * [`read`] reads a file that may contain a secret, and checks who else can read it.
//! * [`Prepared`] writes a private file atomically, and never overwrites one by accident.
//! * [`secret_from_stdin`] reads a secret or prompts for it, so that it need not be an argument,
//!   which every user of the machine can see.
//! * [`Secret`] keeps a secret in memory, out of logs and error messages.
//!
//! Permissions are tightened where the file belongs to this program's user, and the change is logged.
//! Files of other users are refused with an error that names the remedy: a program that runs as root
//! would otherwise trust what another user can change.

mod ask;
mod permissions;
mod recognize;
mod secret;
mod umask;
mod write;

pub use ask::{secret_from_file, secret_from_stdin};
pub use permissions::{Contents, Entry, check_key, check_owner_of, directory, key, read};
pub use recognize::is_secret;
pub use secret::{Field, Secret, hide, reveal};
pub use umask::{set_umask, share, shared_directory};
pub use write::Prepared;

use std::io;
use std::path::{Path, PathBuf};

/// Why a file or directory is rejected; each message names the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another user owns it, and could change it.
    #[error(
        "{} belongs to user {owner}, but this program runs as user {user}: run it as user {owner}, \
         or give it to user {user} (chown -R {user} {})", .path.display(), .path.display()
    )]
    Owner {
        /// The file or directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user that this program runs as.
        user: u32,
    },
    /// Other users can read a file that contains a secret.
    #[error("{} contains a secret, and other users can read it (mode {mode:04o}): {remedy}", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The commands that fix it.
        remedy: String,
    },
    /// A directory is accessible to others and not used by Zonepulse alone.
    #[error(
        "{} is accessible to other users (mode {mode:04o}) and not used by Zonepulse alone ({why}): give Zonepulse a directory \
         of its own, or restrict this one (chmod 700 {})", .path.display(), .path.display()
    )]
    Shared {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Evidence that others use it.
        why: String,
    },
    /// The file system ignores modes.
    #[error(
        "{} stays accessible to other users (mode {mode:04o}) after chmod: use a file system that supports permissions",
        .path.display()
    )]
    Unchangeable {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file exists, and was not to be replaced.
    #[error("{} exists already and is not overwritten: name another file, or use --force", .0.display())]
    Exists(PathBuf),
    /// Other users could replace a file while it is being written.
    #[error(
        "every user can replace files in {}: write to another directory, or restrict this one (chmod o-w {})",
        .0.display(), .0.display()
    )]
    OpenFolder(PathBuf),
    /// The secret is empty or too long.
    #[error("{0}")]
    Secret(String),
    /// The system returned an error.
    #[error("{}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }
}
