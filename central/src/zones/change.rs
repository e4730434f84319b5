//! Changes to a zone.

use super::Zones;
use crate::Error;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::net::SocketAddr;
use std::path::{Component, Path};
use zonepulse_catalogue::Name;
use zonepulse_catalogue::transfer::{Algorithm, TsigKey};
use zonepulse_model::ServerId;
use zonepulse_private::Secret;
use zonepulse_store::{Source, Tsig, Zone};

/// Where a zone comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Files that are uploaded.
    Upload,
    /// A file below the directory of zone files, by its relative path.
    File(String),
    /// A primary, with the key that it asks for.
    Transfer {
        /// Address and port.
        primary: SocketAddr,
        /// The key: name, algorithm, secret in base64.
        tsig: Option<(String, String, Secret)>,
    },
}

/// Changes to a zone; absent ones leave the value unchanged.
#[derive(Debug, Clone, Default)]
pub struct ZoneChange {
    /// The view in which it is served.
    pub view: Option<String>,
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// The servers that serve it; none for all.
    pub servers: Option<Vec<u32>>,
    /// Whether servers that are not managed serve it, too.
    pub others_serve_it: Option<bool>,
    /// Whether verdicts are given nevertheless.
    pub others_waived: Option<bool>,
}

impl ZoneChange {
    /// Rejects what cannot work.
    pub(super) fn check(&self, zones: &Zones) -> Result<(), Error> {
        for id in self.servers.iter().flatten() {
            let server = zones.store.registry().server(ServerId::new(*id))?;
            if server.is_none_or(|server| server.is_removed()) {
                return Err(Error::bad_value("servers", format_args!("there is no server {id}")));
            }
        }
        match &self.origin {
            Some(Origin::File(path)) => {
                zones.file(path)?;
            }
            Some(Origin::Transfer { tsig: Some((name, algorithm, secret)), .. }) => {
                key(name, algorithm, secret.reveal())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Applies the change to a zone.
    pub(super) fn apply(self, zone: &mut Zone) -> Result<(), Error> {
        if let Some(view) = self.view {
            zone.view = view;
        }
        if let Some(origin) = self.origin {
            zone.source = source(origin, &zone.source)?;
        }
        if let Some(servers) = self.servers {
            zone.servers = servers.into_iter().map(ServerId::new).collect();
        }
        zone.others_serve_it = self.others_serve_it.unwrap_or(zone.others_serve_it);
        zone.others_waived = self.others_waived.unwrap_or(zone.others_waived);
        Ok(())
    }
}

fn source(origin: Origin, before: &Source) -> Result<Source, Error> {
    Ok(match origin {
        Origin::Upload => Source::Upload,
        Origin::File(path) => Source::File { path },
        Origin::Transfer { primary, tsig } => {
            let primary = primary.to_string();
            // Another primary needs its key in the same change: what was entered for one is not used with another.
            let kept = match before {
                Source::Transfer { primary: was, tsig } if *was == primary => tsig.clone(),
                _ => None,
            };
            let tsig = match tsig {
                Some((name, algorithm, secret)) => {
                    let key = key(&name, &algorithm, secret.reveal())?;
                    let algorithm = key.algorithm().name().to_owned();
                    Some(Tsig { name: key.name().to_string(), algorithm, secret: secret.reveal().to_owned() })
                }
                None if kept.is_none() && matches!(before, Source::Transfer { tsig: Some(_), .. }) => {
                    let reason = "the key was for another primary: give one for this primary, or set the source to upload first";
                    return Err(Error::bad_value("tsig", reason));
                }
                None => kept,
            };
            Source::Transfer { primary, tsig }
        }
    })
}

/// A key from its parts.
pub(super) fn key(name: &str, algorithm: &str, secret: &str) -> Result<TsigKey, Error> {
    let name = Name::from_text(name).map_err(|error| Error::bad_value("tsig_name", error))?;
    let algorithm: Algorithm = algorithm.parse().map_err(|error| Error::bad_value("tsig_algorithm", error))?;
    let secret = BASE64_STANDARD.decode(secret);
    // What is wrong with it would tell a part of it.
    let secret = secret.map_err(|_| Error::bad_value("tsig_secret", "is not base64 (RFC 4648 section 4)"))?;
    TsigKey::new(name, algorithm, &secret).map_err(|error| Error::bad_value("tsig_secret", error))
}

impl Zones {
    /// The path of a zone file, if it lies in the directory of zone files.
    pub(super) fn file(&self, path: &str) -> Result<std::path::PathBuf, Error> {
        let Some(directory) = &self.options.directory else {
            let reason = "zone files on the central's disk need the setting zones.directory; or upload the file";
            return Err(Error::bad_value("file", reason));
        };
        let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if path.is_empty() || !inside(Path::new(path)) {
            return Err(Error::bad_value("file", "it is the path of a file in zones.directory, relative to that, without .."));
        }
        Ok(directory.join(path))
    }
}
