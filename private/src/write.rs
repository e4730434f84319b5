//! Writes a file that only its owner may read, atomically.

use crate::Error;
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Maximum number of names to try: in a world-writable directory, others may create files in the
/// way.
const MAX_TRIES: usize = 16;

/// A file ready to be written: created next to its destination, under a random name, and still
/// empty.
///
/// Prepare it before a step that cannot be repeated. If dropped unwritten, it leaves nothing
/// behind.
#[derive(Debug)]
pub struct Prepared {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    replace: bool,
}

impl Prepared {
    /// Prepares to write a file. An existing one is replaced only if `replace` is set.
    ///
    /// Fails with [`Error::Exists`] if it exists, and with [`Error::OpenFolder`] if every user may
    /// replace it.
    pub fn new(path: &Path, replace: bool) -> Result<Self, Error> {
        if !replace && fs::symlink_metadata(path).is_ok() {
            return Err(Error::Exists(path.to_owned()));
        }
        let Some(name) = path.file_name() else {
            return Err(Error::File { path: path.to_owned(), source: ErrorKind::InvalidFilename.into() });
        };
        let folder = folder(path);
        let mode = fs::metadata(folder).map_err(Error::file(folder))?.permissions().mode();
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(Error::OpenFolder(folder.to_owned()));
        }
        let mut tries = 0;
        loop {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{:016x}.new", RandomState::new().build_hasher().finish()));
            let temporary = path.with_file_name(hidden);
            tries += 1;
            match File::options().write(true).create_new(true).mode(0o600).open(&temporary) {
                Ok(file) => return Ok(Prepared { path: path.to_owned(), temporary, file, replace }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && tries < MAX_TRIES => {}
                Err(source) => return Err(Error::File { path: path.to_owned(), source }),
            }
        }
    }

    /// The destination.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file, and moves it to its destination once it is completely on disk.
    pub fn write(self, text: &str) -> Result<(), Error> {
        self.write_bytes(text.as_bytes())
    }

    /// The same with bytes.
    pub fn write_bytes(mut self, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.clone();
        match self.write_and_place(bytes) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Error::Exists(path)),
            written => written.map_err(Error::file(&path)),
        }
    }

    fn write_and_place(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        if self.replace {
            fs::rename(&self.temporary, &self.path)?;
        } else {
            self.place_without_replacing()?;
        }
        File::open(folder(&self.path))?.sync_all()
    }

    /// Creating a link fails if there is a file, even one that was just created.
    fn place_without_replacing(&self) -> io::Result<()> {
        match fs::hard_link(&self.temporary, &self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => self.place_without_links(),
            placed => placed,
        }
    }

    /// Not all file systems support links: there, an empty file is created first and then replaced.
    fn place_without_links(&self) -> io::Result<()> {
        File::options().write(true).create_new(true).mode(0o600).open(&self.path)?;
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // It is already gone if it was renamed.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_written_file_is_for_its_owner_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        Prepared::new(&path, false).unwrap().write("hush").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "hush");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_prepared_file_that_is_not_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(Prepared::new(&dir.path().join("file"), false).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn nothing_is_overwritten_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let late = Prepared::new(&path, false).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(matches!(Prepared::new(&path, false), Err(Error::Exists(_))));
        assert!(matches!(late.write("theirs"), Err(Error::Exists(_))), "overwrote a file created after preparation");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        Prepared::new(&path, true).unwrap().write("theirs").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn nothing_is_overwritten_where_there_are_no_links_either() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let first = Prepared::new(&path, false).unwrap();
        let late = Prepared::new(&path, false).unwrap();
        first.place_without_links().unwrap();
        fs::write(&path, "mine").unwrap();
        assert_eq!(late.place_without_links().unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop((first, late));
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(dir.path()).len()), ("mine", 1));
    }

    #[test]
    fn a_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("file"), dir.path().join("target"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &path).unwrap();
        assert!(matches!(Prepared::new(&path, false), Err(Error::Exists(_))));
        Prepared::new(&path, true).unwrap().write("hush").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn a_folder_in_which_every_user_may_replace_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Prepared::new(&path, false).unwrap_err();
        assert!(refused.to_string().contains("chmod o-w"), "{refused}");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        Prepared::new(&path, false).unwrap().write("hush").unwrap();
    }
}
