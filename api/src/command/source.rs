//! Where commands read from: a running central, or the store of one that is stopped.

use crate::{Error, remote};
use clap::Args;
use figment::Figment;
use figment::providers::{Format, Toml};
use std::path::{Path, PathBuf};
use zonepulse_query::{Engine, Options};
use zonepulse_store::Store;
use zonepulse_tools::{Api, Credentials, Source};

/// Where a central listens unless told otherwise.
pub(super) const LOCAL: &str = "http://127.0.0.1:8053";

/// A central that is running.
#[derive(Debug, Args)]
pub(super) struct Running {
    /// The central's address
    #[arg(long, value_name = "URL", default_value = LOCAL)]
    url: String,
    /// A file with `user = "…"` and `password = "…"`, such as the one that the first start makes in the data directory
    #[arg(long, value_name = "FILE")]
    credentials: PathBuf,
    /// The authorities whose certificate it may show, in PEM [default: those that this machine trusts]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Running {
    pub(super) fn new(url: String, credentials: PathBuf, ca_file: Option<PathBuf>) -> Self {
        Running { url, credentials, ca_file }
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Its API.
    pub(super) fn api(&self) -> Result<Api, Error> {
        let trust = remote::trust_at(&self.url, self.ca_file.as_deref())?;
        Ok(Api::new(&self.url, &trust, credentials(&self.credentials)?)?)
    }
}

/// The central at a URL, with credentials from a file with `user = "…"` and `password = "…"`.
pub(super) fn running(url: &str, file: &Path, ca_file: Option<&Path>) -> Result<Source, Error> {
    Ok(Source::remote(url, &remote::trust_at(url, ca_file)?, credentials(file)?)?)
}

fn credentials(credentials: &Path) -> Result<Credentials, Error> {
    let text = zonepulse_private::read(credentials)?.only_owner_or_root()?;
    let wrong = |error: figment::Error| Error::Config(format!("{}: {error}", credentials.display()));
    Figment::from(Toml::string(&text)).extract::<Credentials>().map_err(wrong)
}

/// A store opened by this process.
pub(super) fn stopped(store: &Store, options: Options) -> Result<Source, Error> {
    Ok(Source::Local(Box::new(Engine::new(store.clone(), options)?)))
}
