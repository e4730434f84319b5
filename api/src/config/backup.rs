//! Backups of the store.

use crate::Error;
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zonepulse_backup::age::Recipient;
use zonepulse_backup::{Access, Destination, Retention, S3Options, SshOptions};
use zonepulse_central::backups::Options;
use zonepulse_model::url;
use zonepulse_private::Secret;

/// Backups of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Where they are stored: a directory, or `ssh://user@host[:port]/path`; without it, none are made.
    pub destination: Option<String>,
    /// The public keys (`age1…`) whose private keys can decrypt them.
    pub recipients: Vec<String>,
    /// How often one is made, seconds; 0 for only on request.
    pub every_s: u64,
    /// The newest that are kept.
    pub keep_last: u32,
    /// The last days of which the newest is kept.
    pub keep_daily: u32,
    /// The last weeks of which the newest is kept.
    pub keep_weekly: u32,
    /// Space to leave free at the destination, bytes.
    pub min_free_bytes: u64,
    /// Whether each backup reads back all of its objects, or only those that it added.
    pub verify_all: bool,
    /// The private key for SSH; by default those that `ssh` finds.
    pub ssh_identity_file: Option<PathBuf>,
    /// The known host keys for SSH; by default those of the user and the machine.
    pub ssh_known_hosts_file: Option<PathBuf>,
    /// The URL of the service for S3; by default that of Amazon.
    pub s3_endpoint: Option<String>,
    /// The region for S3.
    pub s3_region: String,
    /// A private file with `access_key_id = "…"` and `secret_access_key = "…"` for S3.
    pub s3_credentials_file: Option<PathBuf>,
    /// The authorities whose certificate the service for S3 may show, in PEM.
    pub s3_ca_file: Option<PathBuf>,
}

/// A file with an access key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessKey {
    access_key_id: String,
    secret_access_key: Secret,
}

/// How to reach buckets; reads the file with the access key.
pub fn s3_options(
    endpoint: Option<String>,
    region: String,
    credentials: Option<&Path>,
    ca_file: Option<PathBuf>,
) -> Result<S3Options, Error> {
    let mut options = S3Options { endpoint, region: Some(region), ca_file, ..S3Options::default() };
    if let Some(file) = credentials {
        let text = zonepulse_private::read(file)?.only_owner_or_root()?;
        let wrong = |error: figment::Error| Error::Config(format!("{}: {error}", file.display()));
        let key: AccessKey = Figment::from(Toml::string(&text)).extract().map_err(wrong)?;
        (options.access_key_id, options.secret_access_key) = (Some(key.access_key_id), Some(key.secret_access_key));
    }
    Ok(options)
}

impl Default for Backup {
    fn default() -> Self {
        Backup {
            destination: None,
            recipients: Vec::new(),
            every_s: 86_400,
            keep_last: 7,
            keep_daily: 14,
            keep_weekly: 8,
            min_free_bytes: 1 << 30,
            verify_all: false,
            ssh_identity_file: None,
            ssh_known_hosts_file: None,
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_credentials_file: None,
            s3_ca_file: None,
        }
    }
}

impl Backup {
    /// The first key with an invalid value, and what is wrong with it.
    pub(super) fn bad_value(&self) -> Option<(&'static str, String)> {
        if let Some(Err(error)) = self.destination.as_ref().map(|destination| destination.parse::<Destination>()) {
            let what = match error {
                zonepulse_backup::Error::BadDestination(text, what) => format!("{text:?}: {what}"),
                error => error.to_string(),
            };
            return Some(("backup.destination", what));
        }
        let bad_url = self.s3_endpoint.as_ref().and_then(|url| Some((url, url::fault(url)?)));
        bad_url.map(|(url, what)| ("backup.s3_endpoint", format!("{url:?} {what}")))
    }

    /// The first recipient that is none, or that there are none.
    pub(super) fn bad_recipient(&self) -> Option<(&'static str, String)> {
        let key = "backup.recipients";
        // Not the text itself: it may be a private key.
        let bad = self.recipients.iter().find_map(|text| text.parse::<Recipient>().err());
        if let Some(bad) = bad {
            return Some((key, bad.to_string()));
        }
        let is_missing = self.destination.is_some() && self.recipients.is_empty();
        is_missing.then(|| (key, "is empty: backups are encrypted to at least one public key".to_owned()))
    }

    /// The files that it names.
    pub(super) fn paths(&self) -> [(&'static str, Option<&Path>); 4] {
        [
            ("backup.ssh_identity_file", self.ssh_identity_file.as_deref()),
            ("backup.ssh_known_hosts_file", self.ssh_known_hosts_file.as_deref()),
            ("backup.s3_credentials_file", self.s3_credentials_file.as_deref()),
            ("backup.s3_ca_file", self.s3_ca_file.as_deref()),
        ]
    }

    /// How backups of a data directory are made, if they are.
    pub fn options(&self, data: &Path) -> Result<Option<Options>, Error> {
        let Some(destination) = &self.destination else { return Ok(None) };
        let wrong = |error: String| Error::Config(format!("backup: {error}"));
        let recipient = |text: &String| text.parse::<Recipient>().map_err(|error| wrong(error.to_string()));
        Ok(Some(Options {
            data: data.to_owned(),
            destination: destination.parse().map_err(|error: zonepulse_backup::Error| wrong(error.to_string()))?,
            access: Access {
                ssh: SshOptions {
                    identity_file: self.ssh_identity_file.clone(),
                    known_hosts_file: self.ssh_known_hosts_file.clone(),
                },
                s3: s3_options(
                    self.s3_endpoint.clone(),
                    self.s3_region.clone(),
                    self.s3_credentials_file.as_deref(),
                    self.s3_ca_file.clone(),
                )?,
            },
            recipients: self.recipients.iter().map(recipient).collect::<Result<_, _>>()?,
            every_s: self.every_s,
            retention: Retention { keep_last: self.keep_last, keep_daily: self.keep_daily, keep_weekly: self.keep_weekly },
            min_free_bytes: self.min_free_bytes,
            verify_all: self.verify_all,
        }))
    }
}
