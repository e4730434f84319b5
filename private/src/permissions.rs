//! Permissions of existing files and directories.
//!
//! Symbolic links to a program's directory and to single files are followed, because an administrator
//! may keep them on another disk; both the link's and the target's owner count. Links inside a directory
//! are not followed.

use crate::Error;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Any access by group or others.
const OTHERS: u32 = 0o077;
/// Any access beyond reading by the group.
const BEYOND_GROUP_READ: u32 = 0o037;
const WRITE_BY_OTHERS: u32 = 0o022;
const ROOT: u32 = 0;
/// Directories for everybody, even while they are empty.
const FOR_EVERYBODY: [&str; 4] = ["/", "/tmp", "/var/tmp", "/dev/shm"];
/// Part of the root directory of an ext4 file system.
const LOST_AND_FOUND: &str = "lost+found";

/// Who an entry of a program's directory belongs to, judged by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The program; this user must own it.
    Own,
    /// The program, but possibly run by another user.
    Tolerated,
    /// Something else.
    Foreign,
}

/// Creates a private directory, or restricts an existing one to this user.
///
/// `kind` classifies entries by name. Files directly in the directory are restricted as well if this
/// user owns them; call this again for directories inside.
///
/// Fails with [`Error::Owner`] if another user owns the directory or one of its [`Entry::Own`] entries, and with
/// [`Error::Shared`] if it is accessible to others and contains foreign directories, as `/` or a home
/// directory does: restricting it would lock other users out.
pub fn directory(path: &Path, kind: impl Fn(&str) -> Entry) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file(path))?;
    // Checked before opening, which may fail with a less helpful error.
    check_owner(path, &fs::metadata(path).map_err(Error::file(path))?)?;
    check_link(path)?;
    let opened = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(path).map_err(Error::file(path))?;
    let metadata = opened.metadata().map_err(Error::file(path))?;
    check_owner(path, &metadata)?;
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 {
        if let Some(why) = shared_with(path, &kind)? {
            return Err(Error::Shared { path: path.to_owned(), mode, why });
        }
        restrict(path, &opened, mode)?;
    }
    restrict_files(path, mode & WRITE_BY_OTHERS != 0, kind)
}

/// Fails with [`Error::Owner`] if another user owns the directory; changes nothing.
pub fn check_owner_of(path: &Path) -> Result<(), Error> {
    check_owner(path, &fs::metadata(path).map_err(Error::file(path))?)
}

/// Restricts the file of a private key to its owner.
///
/// A key owned by root may stay readable by its group, which is how several programs share one.
/// Fails with [`Error::Owner`] if neither this user nor root owns it, and with [`Error::Exposed`] if others can
/// read it and this user cannot change that.
pub fn key(path: &Path) -> Result<(), Error> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(Error::file(path))?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() || metadata.uid() != user() {
        return exposure(path, &metadata).map_or(Ok(()), Err);
    }
    let excess = if user() == ROOT && mode & BEYOND_GROUP_READ == 0 { 0 } else { mode & OTHERS };
    if excess == 0 { Ok(()) } else { restrict(path, &file, mode) }
}

/// Fails if [`key`] would; changes nothing.
pub fn check_key(path: &Path) -> Result<(), Error> {
    let metadata = open(path)?.metadata().map_err(Error::file(path))?;
    if metadata.uid() == user() { Ok(()) } else { exposure(path, &metadata).map_or(Ok(()), Err) }
}

/// The contents of a file that may contain a secret.
pub struct Contents {
    text: String,
    mode: u32,
    exposure: Option<Error>,
}

/// Reads a file that may contain a secret.
pub fn read(path: &Path) -> Result<Contents, Error> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let metadata = file.metadata().map_err(Error::file(path))?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(Error::file(path))?;
    Ok(Contents { text, mode: metadata.mode(), exposure: exposure(path, &metadata) })
}

impl Contents {
    /// The text, if only its owner can read the file.
    ///
    /// The owner must be this user or root. A file owned by root may be readable by its group: that is how
    /// root passes a secret to an unprivileged program. Pipes and the like are not checked.
    pub fn only_owner(self) -> Result<String, Error> {
        self.exposure.map_or(Ok(self.text), Err)
    }

    /// The same, but root may also read private files of other users.
    pub fn only_owner_or_root(self) -> Result<String, Error> {
        match &self.exposure {
            Some(Error::Owner { .. }) if user() == ROOT && self.mode & OTHERS == 0 => Ok(self.text),
            _ => self.only_owner(),
        }
    }

    /// The text; checked like [`Contents::only_owner`] only if it contains secrets.
    pub fn with_secrets(self, holds_secrets: impl FnOnce(&str) -> bool) -> Result<String, Error> {
        if holds_secrets(&self.text) { self.only_owner() } else { Ok(self.text) }
    }
}

/// Why a file does not protect a secret, if it does not.
fn exposure(path: &Path, metadata: &Metadata) -> Option<Error> {
    if !metadata.is_file() {
        return None;
    }
    let (user, mode) = (user(), metadata.mode() & 0o7777);
    let (may_not, remedy) = match metadata.uid() {
        owner if owner == user => (OTHERS, format!("chmod 600 {}", path.display())),
        ROOT => (BEYOND_GROUP_READ, format!("chown {user} {} && chmod 600 {}, as root", path.display(), path.display())),
        _ => return check_owner(path, metadata).err(),
    };
    (mode & may_not != 0).then(|| Error::Exposed { path: path.to_owned(), mode, remedy })
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    let (owner, user) = (metadata.uid(), user());
    if owner == user { Ok(()) } else { Err(Error::Owner { path: path.to_owned(), owner, user }) }
}

/// The owner of a link decides where it leads.
fn check_link(path: &Path) -> Result<(), Error> {
    let metadata = fs::symlink_metadata(path).map_err(Error::file(path))?;
    if metadata.is_symlink() && metadata.uid() != ROOT { check_owner(path, &metadata) } else { Ok(()) }
}

/// Evidence that others use an accessible directory.
fn shared_with(path: &Path, kind: &impl Fn(&str) -> Entry) -> Result<Option<String>, Error> {
    let real = fs::canonicalize(path).map_err(Error::file(path))?;
    if FOR_EVERYBODY.iter().any(|path| real == Path::new(path)) {
        return Ok(Some("it is for everybody".to_owned()));
    }
    let is_foreign = |name: &str| name != LOST_AND_FOUND && kind(name) == Entry::Foreign;
    let entries = entries(path)?;
    let foreign = entries.iter().find(|(_, name, metadata)| metadata.is_dir() && is_foreign(name));
    Ok(foreign.map(|(_, name, _)| format!("it contains {name}/")))
}

fn restrict_files(path: &Path, was_writable: bool, kind: impl Fn(&str) -> Entry) -> Result<(), Error> {
    let mut changed = 0;
    for (path, name, metadata) in entries(path)? {
        if metadata.uid() != user() {
            if kind(&name) == Entry::Own {
                check_owner(&path, &metadata)?;
            }
            continue;
        }
        // Where others could write, they may have linked a file from elsewhere.
        let is_elsewhere = was_writable && metadata.nlink() > 1;
        if metadata.is_file() && metadata.mode() & OTHERS != 0 && !is_elsewhere {
            match fs::set_permissions(&path, Permissions::from_mode(metadata.mode() & 0o7700)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                done => done.map_err(Error::file(&path))?,
            }
            changed += 1;
        }
    }
    if changed > 0 {
        tracing::info!(dir = %path.display(), files = changed, "restricted files to their owner");
    }
    Ok(())
}

/// The entries of a directory: path, name, and metadata without following links.
fn entries(path: &Path) -> Result<Vec<(PathBuf, String, Metadata)>, Error> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::file(path))? {
        let entry = entry.map_err(Error::file(path))?;
        match entry.metadata() {
            Ok(metadata) => entries.push((entry.path(), entry.file_name().to_string_lossy().into_owned(), metadata)),
            // Removed by another process meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file(&entry.path())(error)),
        }
    }
    Ok(entries)
}

fn restrict(path: &Path, file: &File, mode: u32) -> Result<(), Error> {
    file.set_permissions(Permissions::from_mode(mode & !OTHERS)).map_err(Error::file(path))?;
    let now = file.metadata().map_err(Error::file(path))?.mode() & 0o7777;
    if now & OTHERS != 0 {
        return Err(Error::Unchangeable { path: path.to_owned(), mode: now });
    }
    tracing::info!(path = %path.display(), from = format!("{mode:04o}"), to = format!("{now:04o}"), "restricted access to the owner");
    Ok(())
}

/// Opens a file without waiting for the other end of a pipe.
fn open(path: &Path) -> Result<File, Error> {
    let open = || -> io::Result<File> { File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) };
    open().map_err(Error::file(path))
}

/// The user that this program runs as.
fn user() -> u32 {
    // SAFETY: a system call without arguments that cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    /// A user other than root and the one that runs the tests.
    const STRANGER: u32 = 54_321;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn file(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        set_mode(path, mode);
    }

    /// A directory with this mode that contains a file and a directory of the program.
    fn example(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        fs::create_dir_all(path.join("own")).unwrap();
        file(&path.join("secrets"), "hush", 0o644);
        set_mode(&path, mode);
        (dir, path)
    }

    fn ours(name: &str) -> Entry {
        if ["own", "secrets"].contains(&name) { Entry::Own } else { Entry::Foreign }
    }

    #[test]
    fn an_accessible_directory_is_restricted_with_its_files() {
        for open in [0o755, 0o750, 0o711, 0o770, 0o777, 0o701] {
            let (_dir, path) = example(open);
            directory(&path, ours).unwrap();
            assert_eq!((mode(&path), mode(&path.join("secrets"))), (0o700, 0o600), "{open:o}");
        }
    }

    #[test]
    fn a_missing_directory_is_created_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        directory(&path, ours).unwrap();
        assert_eq!((mode(&path), mode(&dir.path().join("a"))), (0o700, 0o700));
    }

    #[test]
    fn a_directory_that_others_use_is_refused_and_left_as_it_is() {
        let (_dir, path) = example(0o755);
        fs::create_dir(path.join("lost+found")).unwrap();
        directory(&path, ours).unwrap();
        let (_dir, path) = example(0o755);
        fs::create_dir(path.join("home")).unwrap();
        let refused = directory(&path, ours).unwrap_err().to_string();
        assert!(refused.contains(&format!("chmod 700 {}", path.display())), "{refused}");
        assert_eq!(mode(&path), 0o755);
        // If an administrator restricts it, it can be used.
        set_mode(&path, 0o700);
        directory(&path, ours).unwrap();
    }

    #[test]
    fn the_root_of_a_file_system_of_its_own_is_restricted() {
        // With the mode of a freshly mounted tmpfs.
        let (_dir, path) = example(0o1777);
        directory(&path, ours).unwrap();
        assert_eq!(mode(&path) & 0o777, 0o700);
    }

    #[test]
    fn a_link_to_a_directory_is_followed_and_one_inside_is_not() {
        let (dir, path) = example(0o755);
        let outside = dir.path().join("outside");
        file(&outside, "", 0o644);
        symlink(&outside, path.join("link")).unwrap();
        let link = dir.path().join("elsewhere");
        symlink(&path, &link).unwrap();
        directory(&link, ours).unwrap();
        assert_eq!((mode(&path), mode(&outside)), (0o700, 0o644));
    }

    #[test]
    fn a_file_with_another_name_elsewhere_is_left_alone_where_others_could_have_put_it() {
        let (dir, path) = example(0o777);
        let elsewhere = dir.path().join("elsewhere");
        file(&elsewhere, "", 0o644);
        fs::hard_link(&elsewhere, path.join("second-name")).unwrap();
        directory(&path, ours).unwrap();
        assert_eq!((mode(&path), mode(&elsewhere)), (0o700, 0o644));
    }

    #[test]
    fn files_of_other_users_are_refused_with_the_remedy() {
        if user() != ROOT {
            return;
        }
        for stranger in ["", "own", "secrets"] {
            let (_dir, path) = example(0o700);
            let whose = path.join(stranger);
            chown(&whose, Some(STRANGER), None).unwrap();
            let refused = directory(&path, ours).unwrap_err().to_string();
            assert!(refused.contains(&format!("belongs to user {STRANGER}")) && refused.contains("chown -R 0 "), "{refused}");
        }
        // A foreign file may belong to anyone.
        let (_dir, path) = example(0o755);
        file(&path.join("notes"), "", 0o644);
        chown(path.join("notes"), Some(STRANGER), None).unwrap();
        directory(&path, ours).unwrap();
        assert_eq!(mode(&path.join("notes")), 0o644);
    }

    #[test]
    fn a_secret_is_read_from_what_only_its_owner_may_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (open, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true), (0o622, true)] {
            file(&path, "hush", open);
            let text = read(&path).unwrap().only_owner();
            assert_eq!(text.is_err(), refused, "{open:o}");
            assert_eq!(read(&path).unwrap().with_secrets(|text| text == "other").unwrap(), "hush");
            if let Err(error) = text {
                let said = error.to_string();
                assert!(
                    said.contains(&format!("chmod 600 {}", path.display())) && said.contains(&format!("{open:04o}")),
                    "{said}"
                );
            }
            set_mode(&path, 0o600);
        }
        if user() == ROOT {
            chown(&path, Some(STRANGER), None).unwrap();
            let refused = read(&path).unwrap().only_owner().unwrap_err();
            assert!(matches!(refused, Error::Owner { owner: STRANGER, .. }));
            assert_eq!(read(&path).unwrap().only_owner_or_root().unwrap(), "hush");
            set_mode(&path, 0o644);
            assert!(read(&path).unwrap().only_owner_or_root().is_err());
        }
    }

    #[test]
    fn a_pipe_may_hold_a_secret() {
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"hush").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert_eq!(read(Path::new(&path)).unwrap().only_owner().unwrap(), "hush");
    }

    #[test]
    fn a_key_is_restricted_and_another_users_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for open in [0o644, 0o666, 0o604, 0o620] {
            file(&path, "key", open);
            check_key(&path).unwrap();
            assert_eq!(mode(&path), open, "looking changes nothing");
            key(&path).unwrap();
            assert_eq!(mode(&path), 0o600, "{open:o}");
        }
        if user() == ROOT {
            file(&path, "key", 0o640);
            key(&path).unwrap();
            assert_eq!(mode(&path), 0o640, "root's, and its group may read it");
            chown(&path, Some(STRANGER), None).unwrap();
            for refused in [key(&path), check_key(&path)] {
                assert!(matches!(refused, Err(Error::Owner { owner: STRANGER, .. })));
            }
        }
    }
}
