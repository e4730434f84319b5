//! How commands reach a central that is running.

use crate::{Error, describe};
use reqwest::{Client, redirect};
use std::path::Path;
use std::time::Duration;
use zonepulse_ingest::Trust;

/// A central that is there answers a connection in this time.
const CONNECT: Duration = Duration::from_secs(10);

/// A client for a central at this address. With `https://` it believes the authorities of a file, or without one those
/// that this machine trusts. A request may be silent for so long.
pub fn client(url: &str, ca_file: Option<&Path>, silence: Duration) -> Result<Client, Error> {
    // What is not used needs no certificates to be there.
    let trust = if url.starts_with("https://") { trust(ca_file)? } else { Trust::Anybody };
    let builder = Client::builder().tls_backend_preconfigured(trust.client_config()?).no_proxy();
    // Credentials are for the address that they were given for.
    let builder = builder.redirect(redirect::Policy::none()).connect_timeout(CONNECT).read_timeout(silence);
    builder.build().map_err(|error| Error::Remote(describe(&error)))
}

/// The authorities of a file, or without one those that this machine trusts.
pub fn trust(ca_file: Option<&Path>) -> Result<Trust, Error> {
    let Some(path) = ca_file else { return Ok(Trust::System) };
    Ok(Trust::Own(std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?))
}
