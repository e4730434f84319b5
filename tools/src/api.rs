//! Calls of a running central's API, for commands.

use crate::client::{PROBLEM_BYTES, client};
use crate::{Credentials, Error};
use bytes::Bytes;
use std::time::Duration;
use zonepulse_net::{Trust, http};

/// How long a central may be silent: importing a million records takes a while.
const SILENCE: Duration = Duration::from_secs(600);
/// Maximum size of an answer, bytes.
const MAX_BYTES: usize = 1 << 30;

/// A running central, and the user that calls it.
pub struct Api {
    client: reqwest::Client,
    url: String,
    credentials: Credentials,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes, or does something.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Api {
    /// A central at an address such as `https://central.example:8053`.
    pub fn new(url: &str, trust: &Trust, credentials: Credentials) -> Result<Self, Error> {
        Ok(Api { client: client(url, trust, SILENCE)?, url: url.to_owned(), credentials })
    }

    /// Calls a path with parameters, and a body with its media type. Returns the answer in a media type.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        parameters: &[(&str, String)],
        body: Option<(&str, Vec<u8>)>,
        accept: &str,
    ) -> Result<Bytes, Error> {
        let method = match method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut url = reqwest::Url::parse(&http::address(&self.url, path)).map_err(|error| Error::Answer(error.to_string()))?;
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let Credentials { user, password } = &self.credentials;
        let mut request = self.client.request(method, url).basic_auth(user, Some(password.reveal())).header("accept", accept);
        if let Some((media_type, body)) = body {
            request = request.header("content-type", media_type).body(body);
        }
        let response = request.send().await.map_err(Error::Unreachable)?;
        let status = response.status();
        if !status.is_success() {
            let problem = http::start_of_body(response, PROBLEM_BYTES).await;
            let detail = serde_json::from_str::<serde_json::Value>(&problem).ok();
            let detail = detail.as_ref().and_then(|problem| problem.get("detail")?.as_str()).unwrap_or(&problem);
            return Err(Error::Refused(format!("{status}: {detail}")));
        }
        http::body(response, MAX_BYTES).await.map_err(|error| Error::Answer(error.to_string()))
    }
}
