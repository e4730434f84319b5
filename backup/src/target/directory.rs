//! A directory, such as a mounted disk.

use super::{Target, is_name};
use crate::Error;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What unfinished files are called.
const UNFINISHED: &str = ".unfinished";

/// A directory.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// A directory, which exists: one that is missing is a disk that is not mounted.
    pub fn new(path: PathBuf) -> Self {
        Directory { path }
    }

    fn at(&self, name: &str) -> Result<PathBuf, Error> {
        if is_name(name) {
            Ok(self.path.join(name))
        } else {
            Err(Error::destination(&self.place(), format!("{name:?} is no name")))
        }
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        if [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge].contains(&error.kind()) {
            return Error::Full { place: self.place(), free_bytes: free_bytes(&self.path).unwrap_or(0), needed_bytes: 0 };
        }
        Error::destination(&self.place(), format!("{what}: {error}"))
    }

    /// The files in a folder, with their sizes, bytes.
    fn files(&self, folder: &str) -> Result<BTreeMap<String, u64>, Error> {
        let path = self.at(folder)?;
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match fs::metadata(&self.path) {
                    Ok(_) => Ok(BTreeMap::new()),
                    Err(error) => Err(self.failed("the directory is not there", error)),
                };
            }
            entries => entries.map_err(|error| self.failed(folder, error))?,
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(folder, error))?;
            let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)).map(str::to_owned) else { continue };
            match entry.metadata() {
                Ok(about) if about.is_file() => found.insert(name, about.len()),
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(self.failed(&name, error)),
            };
        }
        Ok(found)
    }

    fn write(&self, unfinished: &Path, path: &Path, content: &mut dyn Read) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = content.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            file.write_all(bytes)?;
        }
        file.sync_all()?;
        fs::rename(unfinished, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Target for Directory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self, folder: &str) -> Result<BTreeMap<String, u64>, Error> {
        let mut found = self.files(folder)?;
        found.retain(|name, _| !name.ends_with(UNFINISHED));
        Ok(found)
    }

    fn put(&self, name: &str, content: &mut dyn Read) -> Result<(), Error> {
        let path = self.at(name)?;
        if let Some(folder) = path.parent().filter(|folder| *folder != self.path) {
            match fs::create_dir(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(self.failed(name, error)),
                _ => {}
            }
        }
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        self.write(&unfinished, &path, content).map_err(|error| {
            // It is removed by the next run, too.
            let _ = fs::remove_file(&unfinished);
            self.failed(name, error)
        })
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, Error> {
        match File::open(self.at(name)?) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(name, error)),
        }
    }

    fn remove(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            match fs::remove_file(self.at(name)?) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(name, error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        for folder in [super::OBJECTS, super::BACKUPS] {
            let names = self.files(folder)?.into_keys().filter(|name| name.ends_with(UNFINISHED));
            self.remove(&names.map(|name| format!("{folder}/{name}")).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(free_bytes(&self.path))
    }
}

/// Free space on the disk of a path, bytes, if the file system tells.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(path).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}
