//! Images: the probe's programs that this central hands out, in setup bundles and over SSH.
//!
//! An administrator uploads an image once, and nodes get it from here, so they need no other network. Uploaded images are
//! files in the data directory. Two more places are looked at: a directory that packages fill, and the directory of the
//! central's own program, in which a build puts a probe.

mod elf;

use crate::Error;
use crate::time::now_ms;
use parking_lot::Mutex;
use semver::Version;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Maximum size of an image, bytes.
pub const MAX_BYTES: u64 = 128 << 20;
/// Maximum number of uploaded images.
const MAX_UPLOADED: usize = 16;
/// Maximum number of files looked at in a directory.
const MAX_FILES: usize = 256;
/// What the names of images begin with.
const PROGRAM: &str = "zonepulse-probe";
/// What an upload is called while it arrives.
const ARRIVING: &str = ".arriving-";

/// Where images are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The directory for uploaded ones; created when needed. Without it nothing can be uploaded.
    pub uploaded: Option<PathBuf>,
    /// The directory that packages fill.
    pub packaged: Option<PathBuf>,
    /// The program that a build puts next to that of the central.
    pub built: Option<PathBuf>,
}

/// Where an image comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It was built with the central.
    Built,
    /// It came with a package.
    Package,
    /// An administrator uploaded it.
    Upload,
}

/// A program of the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name, `zonepulse-probe-VERSION-linux-ARCHITECTURE`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The architecture, as `uname -m` names it.
    pub architecture: &'static str,
    /// Whether it runs on any Linux of that architecture; otherwise it needs libraries of the machine.
    pub is_static: bool,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// The SHA-256 of its contents, hexadecimal.
    pub sha256: String,
    /// When it was uploaded or installed, Unix milliseconds.
    pub since_ms: u64,
    /// Where it comes from.
    pub origin: Origin,
    /// Its file.
    pub path: PathBuf,
}

/// Size and time of a file, by which a change is noticed.
type Stamp = (u64, u64);

/// The images of a central.
pub struct Images {
    options: Options,
    /// What files were found to be; reading a program takes a while.
    known: Mutex<BTreeMap<PathBuf, (Stamp, Option<Image>)>>,
}

impl Images {
    /// Images in these places.
    pub fn new(options: Options) -> Self {
        Images { options, known: Mutex::default() }
    }

    /// All images, by architecture, the newest first. Blocks.
    pub fn list(&self) -> Result<Vec<Image>, Error> {
        let mut found = Vec::new();
        let mut stamps = Vec::new();
        for (path, origin) in self.files()? {
            let Some(stamp) = stamp(&path) else { continue };
            stamps.push(path.clone());
            let known = self.known.lock().get(&path).filter(|(seen, _)| *seen == stamp).cloned();
            let image = match known {
                Some((_, image)) => image,
                None => {
                    let image = match examine(&path, origin, stamp) {
                        Ok(Ok(image)) => Some(image),
                        Ok(Err(reason)) => {
                            tracing::warn!(path = %path.display(), "not an image of the probe: {reason}");
                            None
                        }
                        Err(error) => {
                            tracing::warn!(path = %path.display(), %error, "an image cannot be read");
                            None
                        }
                    };
                    self.known.lock().insert(path, (stamp, image.clone()));
                    image
                }
            };
            found.extend(image);
        }
        self.known.lock().retain(|path, _| stamps.contains(path));
        found.sort_by(|a, b| a.architecture.cmp(b.architecture).then_with(|| rank(b).cmp(&rank(a))));
        Ok(found)
    }

    /// The newest image for each architecture, or for this one, that is no newer than `max`.
    pub fn newest(&self, architecture: Option<&str>, max: Option<&Version>) -> Result<Vec<Image>, Error> {
        let mut newest: Vec<Image> = Vec::new();
        for image in self.list()? {
            let wanted = architecture.is_none_or(|wanted| wanted == image.architecture);
            let allowed = max.is_none_or(|max| image.version <= *max);
            if wanted && allowed && newest.last().is_none_or(|last| last.architecture != image.architecture) {
                newest.push(image);
            }
        }
        if newest.is_empty() {
            let of = architecture.map(|architecture| format!(" for {architecture}")).unwrap_or_default();
            let up_to = max.map(|max| format!(" up to version {max} (max_version of the server)")).unwrap_or_default();
            return Err(Error::Missing(format!("there is no image of the probe{of}{up_to}: upload one")));
        }
        Ok(newest)
    }

    /// A file for an upload. It is removed when dropped, unless it becomes an image. Blocks.
    pub fn arriving(&self) -> Result<Arriving, Error> {
        let directory = self.options.uploaded.as_deref();
        let directory = directory.ok_or_else(|| Error::Missing("this central has no directory for images".to_owned()))?;
        let wrong = |source| Error::File { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(wrong)?;
        let path = directory.join(format!("{ARRIVING}{}", crate::credentials::token::random()?.get(..16).unwrap_or("0")));
        let file = File::options().write(true).create_new(true).read(true).open(&path).map_err(wrong)?;
        Ok(Arriving { path, file })
    }

    /// Makes an upload an image; a version may be given for a program that does not say it. Blocks.
    pub fn add(&self, mut arriving: Arriving, version: Option<&Version>) -> Result<Image, Error> {
        let wrong = |reason: String| Error::bad_value("body", reason);
        let failed = |source| Error::File { path: arriving.path.clone(), source };
        arriving.file.sync_all().map_err(failed)?;
        let header = elf::header(&mut arriving.file).map_err(failed)?.map_err(wrong)?;
        let found = elf::version(&mut arriving.file).map_err(failed)?;
        let version = match (found, version) {
            (Some(found), Some(given)) if found != *given => {
                return Err(Error::bad_value("version", format_args!("the program is version {found}, not {given}")));
            }
            (Some(found), _) => found,
            (None, Some(given)) => given.clone(),
            (None, None) => {
                return Err(wrong("it does not say its version, so it is not a probe; or give its version".to_owned()));
            }
        };
        let name = format!("{PROGRAM}-{version}-linux-{}", header.architecture);
        let path = arriving.path.with_file_name(&name);
        let uploaded = self.list()?.into_iter().filter(|image| image.origin == Origin::Upload && image.name != name).count();
        if uploaded >= MAX_UPLOADED {
            return Err(Error::Conflict(format!("there are {MAX_UPLOADED} uploaded images already: remove one first")));
        }
        fs::rename(&arriving.path, &path).map_err(failed)?;
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        self.known.lock().remove(&path);
        let found = self.list()?.into_iter().find(|image| image.path == path);
        found.ok_or_else(|| Error::Fault(format!("{} is no image although it was checked", path.display())))
    }

    /// Removes an uploaded image. Blocks.
    pub fn remove(&self, name: &str) -> Result<Image, Error> {
        let mut named = self.list()?.into_iter().filter(|image| image.name == name).peekable();
        if named.peek().is_none() {
            return Err(Error::Missing(format!("there is no image {name:?}")));
        }
        let image = named.find(|image| image.origin == Origin::Upload);
        let image = image.ok_or_else(|| Error::Conflict(format!("{name} was not uploaded: it belongs to the installation")))?;
        fs::remove_file(&image.path).map_err(|source| Error::File { path: image.path.clone(), source })?;
        Ok(image)
    }

    /// Files that may be images.
    fn files(&self) -> Result<Vec<(PathBuf, Origin)>, Error> {
        let mut files = Vec::new();
        let directories = [(&self.options.uploaded, Origin::Upload), (&self.options.packaged, Origin::Package)];
        for (directory, origin) in directories.into_iter().filter_map(|(directory, origin)| Some((directory.as_ref()?, origin))) {
            let entries = match fs::read_dir(directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::File { path: directory.clone(), source }),
            };
            let names = entries.take(MAX_FILES).filter_map(|entry| Some(entry.ok()?.path()));
            let is_named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PROGRAM));
            files.extend(names.filter(is_named).map(|path| (path, origin)));
        }
        files.extend(self.options.built.iter().map(|path| (path.clone(), Origin::Built)));
        Ok(files)
    }
}

/// An upload that is arriving.
pub struct Arriving {
    path: PathBuf,
    file: File,
}

impl Arriving {
    /// Its file, for writing.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // Gone already if it became an image.
        let _ = fs::remove_file(&self.path);
    }
}

/// Which of two images is preferred.
fn rank(image: &Image) -> (&Version, bool, Origin) {
    (&image.version, image.is_static, image.origin)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((metadata.len(), u64::try_from(since.as_millis()).unwrap_or_else(|_| now_ms())))
}

fn examine(path: &Path, origin: Origin, (size_bytes, since_ms): Stamp) -> io::Result<Result<Image, String>> {
    if size_bytes > MAX_BYTES {
        return Ok(Err(format!("it has more than {MAX_BYTES} bytes")));
    }
    let mut file = File::open(path)?;
    let header = match elf::header(&mut file)? {
        Ok(header) => header,
        Err(reason) => return Ok(Err(reason)),
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Of one that does not say it, the version was given.
    let named = name.strip_prefix(PROGRAM).and_then(|rest| rest.strip_prefix('-')?.split_once("-linux-")?.0.parse().ok());
    let Some(version) = elf::version(&mut file)?.or(named) else { return Ok(Err("it does not say its version".to_owned())) };
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(piece.get(..read).unwrap_or_default());
    }
    let sha256 = hex(&hash.finalize());
    let name = format!("{PROGRAM}-{version}-linux-{}", header.architecture);
    let (architecture, is_static) = (header.architecture, header.is_static);
    Ok(Ok(Image { name, version, architecture, is_static, size_bytes, sha256, since_ms, origin, path: path.to_owned() }))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use elf::tests::program;
    use std::io::Write;

    fn images(directory: &Path) -> Images {
        let (uploaded, packaged) = (Some(directory.join("uploaded")), Some(directory.join("packaged")));
        Images::new(Options { uploaded, packaged, built: None })
    }

    fn upload(images: &Images, bytes: &[u8], version: Option<&str>) -> Result<Image, Error> {
        let arriving = images.arriving()?;
        arriving.file().unwrap().write_all(bytes).unwrap();
        let version = version.map(|version| version.parse().unwrap());
        images.add(arriving, version.as_ref())
    }

    fn probe(machine: u16, version: &str) -> Vec<u8> {
        program(machine, false, &format!("zonepulse-probe/{version} (linux)"))
    }

    #[test]
    fn an_upload_is_listed_with_what_it_is_and_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let images = images(directory.path());
        let image = upload(&images, &probe(62, "0.2.0"), None).unwrap();
        assert_eq!((image.name.as_str(), image.is_static), ("zonepulse-probe-0.2.0-linux-x86_64", true));
        assert_eq!(image.sha256.len(), 64);
        assert_eq!(images.list().unwrap(), std::slice::from_ref(&image));
        images.remove(&image.name).unwrap();
        assert_eq!(images.list().unwrap(), []);
        assert!(matches!(images.remove(&image.name), Err(Error::Missing(_))));
    }

    #[test]
    fn the_newest_version_that_is_allowed_is_chosen_for_each_architecture() {
        let directory = tempfile::tempdir().unwrap();
        let images = images(directory.path());
        for version in ["0.9.0", "0.10.0", "0.10.1-rc.1"] {
            upload(&images, &probe(62, version), None).unwrap();
        }
        upload(&images, &probe(183, "0.9.0"), None).unwrap();
        let chosen = |architecture: Option<&str>, max: Option<&str>| {
            let max = max.map(|max| max.parse().unwrap());
            let newest = images.newest(architecture, max.as_ref());
            newest
                .map(|images| images.iter().map(|image| format!("{} {}", image.architecture, image.version)).collect::<Vec<_>>())
        };
        assert_eq!(chosen(None, None).unwrap(), ["aarch64 0.9.0", "x86_64 0.10.1-rc.1"]);
        assert_eq!(chosen(Some("x86_64"), Some("0.10.0")).unwrap(), ["x86_64 0.10.0"]);
        let said = chosen(Some("x86_64"), Some("0.1.0")).unwrap_err().to_string();
        assert!(said.contains("x86_64") && said.contains("0.1.0") && said.contains("upload"), "{said}");
    }

    #[test]
    fn what_is_no_probe_is_refused_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let images = images(directory.path());
        for (bytes, version, said) in [
            (b"#!/bin/sh\nexit 0\n".repeat(9), None, "ELF"),
            (program(62, false, "another program"), None, "does not say its version"),
            (probe(62, "0.2.0"), Some("0.3.0"), "version 0.2.0, not 0.3.0"),
        ] {
            let refused = upload(&images, &bytes, version).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
        assert_eq!(fs::read_dir(directory.path().join("uploaded")).unwrap().count(), 0);
        assert_eq!(upload(&images, &program(62, false, "one"), Some("1.0.0")).unwrap().version, Version::new(1, 0, 0));
    }

    #[test]
    fn what_a_package_brings_is_listed_and_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let images = images(directory.path());
        fs::create_dir(directory.path().join("packaged")).unwrap();
        fs::write(directory.path().join("packaged/zonepulse-probe-0.2.0-linux-x86_64"), probe(62, "0.2.0")).unwrap();
        fs::write(directory.path().join("packaged/zonepulse-probe.txt"), "not one").unwrap();
        let listed = images.list().unwrap();
        assert_eq!(listed.iter().map(|image| image.origin).collect::<Vec<_>>(), [Origin::Package]);
        assert!(matches!(images.remove(&listed[0].name), Err(Error::Conflict(_))));
    }

    #[test]
    fn the_number_of_uploads_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let images = images(directory.path());
        for minor in 0..MAX_UPLOADED {
            upload(&images, &probe(62, &format!("0.{minor}.0")), None).unwrap();
        }
        assert!(matches!(upload(&images, &probe(62, "1.0.0"), None), Err(Error::Conflict(_))));
        upload(&images, &probe(62, "0.0.0"), None).unwrap();
    }
}
