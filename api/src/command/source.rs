//! Where commands read from: a running central, or the store of one that is stopped.

use crate::{Error, remote};
use figment::Figment;
use figment::providers::{Format, Toml};
use std::path::Path;
use zonepulse_query::{Engine, Options};
use zonepulse_store::Store;
use zonepulse_tools::{Credentials, Source};

/// The central at an address, with credentials from a file `user = "…"`, `password = "…"`.
pub(super) fn running(url: &str, credentials: &Path, ca_file: Option<&Path>) -> Result<Source, Error> {
    let text = zonepulse_private::read(credentials)?.only_owner_or_root()?;
    let wrong = |error: figment::Error| Error::Config(format!("{}: {error}", credentials.display()));
    let credentials = Figment::from(Toml::string(&text)).extract::<Credentials>().map_err(wrong)?;
    Ok(Source::remote(url, &remote::trust_at(url, ca_file)?, credentials)?)
}

/// A store that this process has opened.
pub(super) fn stopped(store: &Store, options: Options) -> Result<Source, Error> {
    Ok(Source::Local(Box::new(Engine::new(store.clone(), options)?)))
}
