//! Destinations: where backups are stored.
//!
//! A destination holds named objects, each written as a whole or not at all, in three places:
//!
//! ```text
//! zonepulse-backups.json   says which store's backups these are
//! objects/NAME             encrypted files
//! backups/ID               manifests: a backup exists if and only if its manifest does
//! ```

mod directory;
mod s3;
mod ssh;

pub use directory::Directory;
pub use s3::{S3, S3Options};
pub use ssh::{Ssh, SshOptions};

use crate::Error;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

/// The folder of encrypted files.
pub(crate) const OBJECTS: &str = "objects";
/// The folder of manifests.
pub(crate) const BACKUPS: &str = "backups";
/// The object that says whose backups these are.
pub(crate) const OWNER: &str = "zonepulse-backups.json";

/// Where backups are stored. Names have at most one folder.
pub trait Target: Send + Sync {
    /// The destination, for messages.
    fn place(&self) -> String;

    /// The names of all objects in a folder, with their sizes, bytes. Empty if there is no such folder.
    fn list(&self, folder: &str) -> Result<BTreeMap<String, u64>, Error>;

    /// Stores an object as a whole or not at all, replacing one of the same name. When this returns, it survives a crash.
    fn put(&self, name: &str, content: &mut dyn Read) -> Result<(), Error>;

    /// Opens an object; `None` if there is none.
    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, Error>;

    /// Removes objects; those that are gone already do not matter.
    fn remove(&self, names: &[String]) -> Result<(), Error>;

    /// Removes what is left of objects that were never stored as a whole.
    fn remove_unfinished(&self) -> Result<(), Error>;

    /// Free space, bytes, if the destination has a limit and tells.
    fn free_bytes(&self) -> Result<Option<u64>, Error>;
}

/// A destination as it is written in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A directory, such as a mounted disk.
    Directory(PathBuf),
    /// A directory on another machine.
    Ssh {
        /// The user there.
        user: String,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// The directory.
        path: String,
    },
    /// A part of a bucket of S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all names begin with: empty, or with a slash at its end.
        prefix: String,
    },
}

/// What it takes to reach destinations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// By SSH.
    pub ssh: SshOptions,
    /// By S3.
    pub s3: S3Options,
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |what: &str| Error::BadDestination(text.to_owned(), what.to_owned());
        if text.starts_with('/') {
            return Ok(Destination::Directory(PathBuf::from(text)));
        }
        let form = "give an absolute path, ssh://user@host[:port]/path or s3://bucket/prefix";
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let is_sign = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-".contains(&c);
            if bucket.len() < 3 || bucket.len() > 63 || !bucket.bytes().all(is_sign) {
                return Err(bad("has a bucket with a name that none has: s3://bucket/prefix"));
            }
            let prefix = prefix.trim_end_matches('/');
            let is_part = |part: &str| is_name(part) && !part.contains('/');
            if !prefix.is_empty() && !prefix.split('/').all(is_part) {
                return Err(bad("has a prefix with other signs than letters, digits, -, _ and . in its parts"));
            }
            let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            return Ok(Destination::S3 { bucket: bucket.to_owned(), prefix });
        }
        let rest = text.strip_prefix("ssh://").ok_or_else(|| bad(form))?;
        let (authority, path) = rest.split_once('/').ok_or_else(|| bad("has no path: ssh://user@host[:port]/path"))?;
        let (user, host) = authority.split_once('@').ok_or_else(|| bad("has no user: ssh://user@host[:port]/path"))?;
        let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
        };
        let port =
            port.map_or(Ok(22), str::parse).ok().filter(|port| *port != 0).ok_or_else(|| bad("has a port that is none"))?;
        let is_word = |text: &str| {
            let is_sign = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
            !text.is_empty() && !text.starts_with('-') && text.chars().all(is_sign)
        };
        if !is_word(user) || !is_word(host) {
            return Err(bad("has a user or host with signs that neither has"));
        }
        if path.is_empty() || path.chars().any(|c| c.is_control() || c == '\'') {
            return Err(bad("has no path, or one with control characters or quotes"));
        }
        Ok(Destination::Ssh { user: user.to_owned(), host: host.to_owned(), port, path: format!("/{path}") })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Directory(path) => write!(f, "{}", path.display()),
            Destination::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Destination::Ssh { user, host, port, path } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let port = if *port == 22 { String::new() } else { format!(":{port}") };
                write!(f, "ssh://{user}@{host}{port}{path}")
            }
        }
    }
}

impl Destination {
    /// Connects it, if that takes anything.
    pub fn open(&self, access: &Access) -> Result<Box<dyn Target>, Error> {
        Ok(match self {
            Destination::Directory(path) => Box::new(Directory::new(path.clone())),
            Destination::Ssh { user, host, port, path } => Box::new(Ssh::new(user, host, *port, path, access.ssh.clone())),
            Destination::S3 { bucket, prefix } => Box::new(S3::new(bucket, prefix, &access.s3)?),
        })
    }
}

/// Whether a name is one that a target may store.
pub(crate) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
    };
    name.split('/').count() <= 2 && name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_as_it_is_written() {
        for text in [
            "/backups",
            "ssh://zp@backup.example/srv/zp",
            "ssh://zp@[2001:db8::1]:2222/srv",
            "ssh://zp@192.0.2.1:2022/a b",
            "s3://zp-1/",
            "s3://zp.example/a/b/",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("ssh://zp@host:22/srv".parse::<Destination>().unwrap().to_string(), "ssh://zp@host/srv");
    }

    #[test]
    fn what_is_no_destination_is_refused_with_the_reason() {
        for (text, why) in [
            ("backups", "give an absolute path"),
            ("ftp://host/a", "give an absolute path"),
            ("ssh://host/a", "has no user"),
            ("ssh://zp@host", "has no path"),
            ("ssh://zp@host/", "has no path"),
            ("ssh://zp@host:0/a", "has a port that is none"),
            ("ssh://zp@host:x/a", "has a port that is none"),
            ("ssh://zp@-oProxyCommand=x/a", "signs that neither has"),
            ("ssh://-l@host/a", "signs that neither has"),
            ("ssh://zp@host/a'b", "quotes"),
            ("s3://A/a", "a bucket with a name that none has"),
            ("s3://abc/a//b", "a prefix with other signs"),
            ("s3://abc/../b", "a prefix with other signs"),
        ] {
            let said = text.parse::<Destination>().unwrap_err().to_string();
            assert!(said.contains(why) && said.contains(&format!("{text:?}")), "{said}");
        }
    }
}
