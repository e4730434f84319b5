//! Setup bundles: a tar archive with everything that installs or updates the probe of one server.
//!
//! `setup-ID/` contains the programs (one per architecture), units, `install.sh`, and, for a server that is to be enrolled,
//! a one-time token. The archive is written while it is sent, so its size does not matter to memory.

use super::{Effective, find};
use crate::credentials::token;
use crate::images::Image;
use crate::rights::Caller;
use crate::time::{now_ms, text};
use crate::{Central, Error};
use semver::Version;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;
use zonepulse_model::ServerId;
use zonepulse_private::Secret;
use zonepulse_store::{EnrollmentToken, Server};

const INSTALL: &str = include_str!("../../../packaging/bundle/install.sh");
const README: &str = include_str!("../../../packaging/bundle/README");
const SYSTEM_UNIT: &str = include_str!("../../../packaging/probe/zonepulse-probe.service");
const USER_UNIT: &str = include_str!("../../../packaging/bundle/user.service");
/// How long the enrolment token of a bundle that people download is valid.
pub const BY_HAND: Duration = Duration::from_secs(4 * 3600);
/// How long that of a bundle is valid which is installed at once.
pub const AT_ONCE: Duration = Duration::from_secs(3600);
/// A block of a tar archive, bytes.
const BLOCK: u64 = 512;

/// What a bundle is to contain.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only the program for this architecture; by default one for each that there is.
    pub architecture: Option<String>,
    /// How long the enrolment token in it is valid. Without one, the bundle only updates a probe that is enrolled.
    pub enrolls_for: Option<Duration>,
}

/// A bundle, ready to be written.
#[derive(Debug)]
pub struct Bundle {
    /// The server.
    pub server_id: u32,
    /// The URL at which the probe will look for this central.
    pub url: String,
    /// The programs in it.
    pub images: Vec<Image>,
    entries: Vec<Entry>,
    made_ms: u64,
}

#[derive(Debug)]
struct Entry {
    name: String,
    mode: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Text(Secret),
    File { path: PathBuf, size_bytes: u64 },
}

/// Makes a bundle. If it enrols, the server gets a new enrolment token in the place of an earlier one; the token of a probe
/// that runs stays valid until another has enrolled.
pub fn make(central: &Central, caller: &Caller, id: u32, wanted: &Wanted, asked_at: Option<&str>) -> Result<Bundle, Error> {
    let found = find(central, id)?;
    if found.server.is_removed() {
        return Err(Error::Missing(format!("server {id} was removed")));
    }
    let max = max_version(&found.server)?;
    let images = central.images().newest(wanted.architecture.as_deref(), max.as_ref())?;
    let now_ms = now_ms();
    let registry = central.store().registry().by(caller.actor(now_ms));
    let secret = wanted.enrolls_for.map(|_| token::random().map(Secret::from)).transpose()?;
    match (&secret, wanted.enrolls_for) {
        (Some(secret), Some(valid)) => {
            let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
            let enrollment = EnrollmentToken { hash: token::hash(secret.reveal()), expires_ms: now_ms.saturating_add(valid_ms) };
            registry.change_server(ServerId::new(id), "server.bundle", |server| {
                server.enrollment = Some(enrollment);
                // Whoever has the bundle can be the server's probe.
                server.trusted = server.trusted && caller.is_administrator();
                Ok::<_, Error>(())
            })?;
        }
        _ => {
            let versions: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
            registry.note_server("server.bundle", ServerId::new(id), &serde_json::json!({ "images": versions }))?;
        }
    }
    assemble(central, found, images, secret, asked_at, now_ms)
}

/// The newest version that a server's probe may have.
pub fn max_version(server: &Server) -> Result<Option<Version>, Error> {
    let Some(text) = &server.max_version else { return Ok(None) };
    text.parse().map(Some).map_err(|error| Error::bad_value("max_version", format_args!("{text:?}: {error}")))
}

fn assemble(
    central: &Central,
    Effective { server, settings }: Effective,
    images: Vec<Image>,
    secret: Option<Secret>,
    asked_at: Option<&str>,
    made_ms: u64,
) -> Result<Bundle, Error> {
    let url = central.addresses().url(&settings, asked_at);
    let authority = central.addresses().authority(&url)?;
    let server_id = server.id.get();
    let mut entries = Vec::new();
    let mut add = |name: &str, mode, content| entries.push(Entry { name: format!("setup-{server_id}/{name}"), mode, content });
    let text_of = |text: &str| Content::Text(text.to_owned().into());
    let mut about = format!("server_id={server_id}\nurl={url}\nmade={}\n", text(made_ms));
    let mut sums = String::new();
    for image in &images {
        // Writing to a string cannot fail.
        let _ = writeln!(about, "version_{}={}", image.architecture, image.version);
        let _ = writeln!(sums, "{}  bin/zonepulse-probe-{}", image.sha256, image.architecture);
    }
    add("install.sh", 0o755, text_of(INSTALL));
    add("README", 0o644, text_of(README));
    add("bundle", 0o644, text_of(&about));
    add("sums", 0o644, text_of(&sums));
    add("systemd/system.service", 0o644, text_of(SYSTEM_UNIT));
    add("systemd/user.service", 0o644, text_of(USER_UNIT));
    if let Some(authority) = authority {
        add("ca.pem", 0o644, text_of(authority.pem()));
    }
    if let Some(secret) = secret {
        add("token", 0o600, Content::Text(format!("{}\n", secret.reveal()).into()));
    }
    for image in &images {
        let content = Content::File { path: image.path.clone(), size_bytes: image.size_bytes };
        add(&format!("bin/zonepulse-probe-{}", image.architecture), 0o755, content);
    }
    Ok(Bundle { server_id, url, images, entries, made_ms })
}

impl Bundle {
    /// What its file is called.
    pub fn file_name(&self) -> String {
        format!("setup-{}.tar", self.server_id)
    }

    /// The size of the archive, bytes.
    pub fn size_bytes(&self) -> u64 {
        let entries = self.entries.iter().map(|entry| BLOCK + entry.content.size_bytes().div_ceil(BLOCK) * BLOCK);
        // It ends with two empty blocks.
        entries.sum::<u64>() + 2 * BLOCK
    }

    /// Writes the archive. Blocks.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        for entry in &self.entries {
            let size_bytes = entry.content.size_bytes();
            let mut header = tar::Header::new_ustar();
            header.set_size(size_bytes);
            header.set_mode(entry.mode);
            header.set_mtime(self.made_ms / 1000);
            match &entry.content {
                Content::Text(text) => archive.append_data(&mut header, &entry.name, text.reveal().as_bytes())?,
                Content::File { path, .. } => {
                    let file = File::open(path)?;
                    // A file that was replaced meanwhile would shift everything behind it.
                    if file.metadata()?.len() != size_bytes {
                        return Err(io::Error::other(format!("{} has changed meanwhile", path.display())));
                    }
                    archive.append_data(&mut header, &entry.name, file)?;
                }
            }
        }
        archive.into_inner()?.flush()
    }
}

impl Content {
    fn size_bytes(&self) -> u64 {
        match self {
            Content::Text(text) => text.reveal().len() as u64,
            Content::File { size_bytes, .. } => *size_bytes,
        }
    }
}
