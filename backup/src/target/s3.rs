//! A bucket of S3, or of anything that speaks its protocol.
//!
//! An object appears as a whole or not at all: small ones with one request, large ones as an upload in parts that is
//! completed in the end. Requests are signed (`rusty-s3`) and sent with the HTTP client that the central has anyway.

use super::{Target, is_name};
use crate::Error;
use reqwest::{Client, Method, Response, StatusCode, Url};
use rusty_s3::actions::{CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use zonepulse_net::tls::Authorities;
use zonepulse_net::{Trust, http};
use zonepulse_private::Secret;

/// Size of a part, bytes; held in memory.
const PART_BYTES: u64 = 16 << 20;
/// How long a signature is valid.
const SIGNED_FOR: Duration = Duration::from_secs(3600);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(120);
/// Maximum number of attempts at a request that fails at the server or on the way.
const ATTEMPTS: u32 = 4;
/// Maximum size of an answer that is no object, bytes: a thousand names.
const MOST_ANSWER_BYTES: usize = 8 << 20;
/// How much of an error is shown, bytes.
const MOST_SAID: usize = 2048;

/// How to reach buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// The URL of the service; by default that of Amazon in the region.
    pub endpoint: Option<String>,
    /// The region; by default `us-east-1`.
    pub region: Option<String>,
    /// The id of the access key.
    pub access_key_id: Option<String>,
    /// The secret of the access key.
    pub secret_access_key: Option<Secret>,
    /// The authorities trusted for it, in PEM; by default those that this machine trusts.
    pub ca_file: Option<PathBuf>,
}

/// A part of a bucket.
pub struct S3 {
    bucket: Bucket,
    prefix: String,
    credentials: Credentials,
    connection: Arc<Connection>,
}

/// A client, and what drives it: everything here blocks.
struct Connection {
    client: Client,
    runtime: Runtime,
}

impl S3 {
    /// All objects whose names begin with a prefix, which is empty or ends with a slash.
    pub fn new(bucket: &str, prefix: &str, options: &S3Options) -> Result<Self, Error> {
        let place = format!("s3://{bucket}/{prefix}");
        let bad = |what: String| Error::destination(&place, what);
        let region = options.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let (endpoint, style) = match &options.endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let url: Url = endpoint.parse().map_err(|error| bad(format!("{endpoint:?} is no URL: {error}")))?;
        let (Some(id), Some(secret)) = (&options.access_key_id, &options.secret_access_key) else {
            return Err(bad("there is no access key: name a file with access_key_id and secret_access_key".to_owned()));
        };
        let authorities = options.ca_file.as_deref().map(Authorities::read).transpose();
        let trust = authorities.map_err(|error| bad(error.to_string()))?.map_or(Trust::System, Trust::Own);
        let builder = http::client(&endpoint, &trust).map_err(|error| bad(error.to_string()))?;
        let client = http::build(builder.read_timeout(SILENCE).connect_timeout(Duration::from_secs(15)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let connection = Connection {
            client: client.map_err(|error| bad(error.to_string()))?,
            runtime: runtime.map_err(|error| bad(error.to_string()))?,
        };
        let bucket = Bucket::new(url, style, bucket.to_owned(), region).map_err(|error| bad(error.to_string()))?;
        let credentials = Credentials::new(id, secret.reveal());
        Ok(S3 { bucket, prefix: prefix.to_owned(), credentials, connection: Arc::new(connection) })
    }

    fn failed(&self, what: &str, why: impl std::fmt::Display) -> Error {
        Error::destination(&self.place(), format!("{what}: {why}"))
    }

    fn key(&self, name: &str) -> Result<String, Error> {
        if is_name(name) { Ok(format!("{}{name}", self.prefix)) } else { Err(self.failed(name, "is no name")) }
    }

    /// Sends a request; again, if it fails at the server or on the way.
    fn call(&self, what: &str, method: &Method, url: &Url, body: &[u8]) -> Result<Response, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = self.connection.client.request(method.clone(), url.clone()).body(body.to_vec());
            let sent = self.connection.runtime.block_on(request.send());
            let is_over = attempt >= ATTEMPTS;
            match sent {
                Ok(response) if response.status().is_server_error() && !is_over => {}
                Ok(response) => return Ok(response),
                Err(error) if is_over => return Err(self.failed(what, chain(&error.without_url()))),
                Err(_) => {}
            }
            std::thread::sleep(Duration::from_millis(250) * 4u32.saturating_pow(attempt - 1));
        }
    }

    /// A success, or what the server says.
    fn succeeded(&self, what: &str, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = self.connection.runtime.block_on(http::start_of_body(response, MOST_SAID));
        let part = |name: &str| said.split_once(&format!("<{name}>"))?.1.split_once("</").map(|(text, _)| text);
        let code = part("Code").unwrap_or_default();
        let message = part("Message").unwrap_or_default();
        if code == "QuotaExceeded" || code == "XMinioStorageFull" || status == StatusCode::INSUFFICIENT_STORAGE {
            return Err(Error::Full { place: self.place(), free_bytes: 0, needed_bytes: 0 });
        }
        Err(self.failed(what, format!("{status} {code} {message}").trim()))
    }

    /// The text of an answer.
    fn text(&self, what: &str, response: Response) -> Result<String, Error> {
        let response = self.succeeded(what, response)?;
        let read = self.connection.runtime.block_on(http::body(response, MOST_ANSWER_BYTES));
        let bytes = read.map_err(|error| self.failed(what, error))?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.failed(what, "the answer is no text"))
    }

    fn put_parts(&self, key: &str, upload: &str, first: Vec<u8>, rest: &mut dyn Read) -> Result<(), Error> {
        let (mut part, mut number, mut etags) = (first, 1, Vec::new());
        while !part.is_empty() {
            let url = self.bucket.upload_part(Some(&self.credentials), key, number, upload).sign(SIGNED_FOR);
            let response = self.succeeded(key, self.call(key, &Method::PUT, &url, &part)?)?;
            let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok());
            etags.push(etag.ok_or_else(|| self.failed(key, "the answer to a part has no ETag"))?.to_owned());
            number = number.checked_add(1).ok_or_else(|| self.failed(key, "it is too large"))?;
            part = self.part(key, rest)?;
        }
        let complete =
            self.bucket.complete_multipart_upload(Some(&self.credentials), key, upload, etags.iter().map(String::as_str));
        let url = complete.sign(SIGNED_FOR);
        let answer = self.text(key, self.call(key, &Method::POST, &url, complete.body().as_bytes())?)?;
        // An error may come with a success, after a while.
        if answer.contains("<Error>") { Err(self.failed(key, answer)) } else { Ok(()) }
    }

    fn part(&self, key: &str, from: &mut dyn Read) -> Result<Vec<u8>, Error> {
        let mut part = Vec::new();
        from.take(PART_BYTES).read_to_end(&mut part).map_err(|error| self.failed(key, error))?;
        Ok(part)
    }
}

impl Target for S3 {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix)
    }

    fn list(&self, folder: &str) -> Result<BTreeMap<String, u64>, Error> {
        let begin = format!("{}/", self.key(folder)?);
        let (mut found, mut token) = (BTreeMap::new(), None::<String>);
        loop {
            let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
            list.with_prefix(begin.as_str());
            if let Some(token) = token.take() {
                list.with_continuation_token(token);
            }
            let text = self.text(folder, self.call(folder, &Method::GET, &list.sign(SIGNED_FOR), &[])?)?;
            let page = ListObjectsV2::parse_response(&text).map_err(|error| self.failed(folder, error))?;
            for object in page.contents {
                if let (Some(name), Some(size_bytes)) = (object.key.strip_prefix(&begin), object.size)
                    && is_name(name)
                    && !name.contains('/')
                {
                    found.insert(name.to_owned(), size_bytes);
                }
            }
            match page.next_continuation_token {
                Some(next) => token = Some(next),
                None => return Ok(found),
            }
        }
    }

    fn put(&self, name: &str, content: &mut dyn Read) -> Result<(), Error> {
        let key = self.key(name)?;
        let first = self.part(&key, content)?;
        if (first.len() as u64) < PART_BYTES {
            let url = self.bucket.put_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
            return self.succeeded(&key, self.call(&key, &Method::PUT, &url, &first)?).map(|_| ());
        }
        let url = self.bucket.create_multipart_upload(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let text = self.text(&key, self.call(&key, &Method::POST, &url, &[])?)?;
        let created = CreateMultipartUpload::parse_response(&text).map_err(|error| self.failed(&key, error))?;
        let upload = created.upload_id();
        self.put_parts(&key, upload, first, content).inspect_err(|_| {
            // Parts cost money until then; the bucket's rules may remove them, too.
            let url = self.bucket.abort_multipart_upload(Some(&self.credentials), &key, upload).sign(SIGNED_FOR);
            let _ = self.call(&key, &Method::DELETE, &url, &[]);
        })
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>, Error> {
        let key = self.key(name)?;
        let url = self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let response = self.call(&key, &Method::GET, &url, &[])?;
        if response.status() == StatusCode::NOT_FOUND {
            let said = self.connection.runtime.block_on(http::start_of_body(response, MOST_SAID));
            return if said.contains("NoSuchBucket") { Err(self.failed(&key, "there is no such bucket")) } else { Ok(None) };
        }
        let response = self.succeeded(&key, response)?;
        Ok(Some(Box::new(Reading { connection: self.connection.clone(), response, chunk: Cursor::default() })))
    }

    fn remove(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            let key = self.key(name)?;
            let url = self.bucket.delete_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
            let response = self.call(&key, &Method::DELETE, &url, &[])?;
            if response.status() != StatusCode::NOT_FOUND {
                self.succeeded(&key, response)?;
            }
        }
        Ok(())
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        Ok(())
    }

    fn free_bytes(&self) -> Result<Option<u64>, Error> {
        Ok(None)
    }
}

/// An object that is being read.
struct Reading {
    connection: Arc<Connection>,
    response: Response,
    chunk: Cursor<Vec<u8>>,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let next = self.connection.runtime.block_on(self.response.chunk());
            match next.map_err(|error| io::Error::other(chain(&error.without_url())))? {
                Some(chunk) => self.chunk = Cursor::new(chunk.to_vec()),
                None => return Ok(0),
            }
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
