//! Where rows come from: a store that this process has open, or a central that is running.
//!
//! Both answer the same SQL.

use crate::{Error, describe, remote};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamDecoder;
use figment::Figment;
use figment::providers::{Format, Toml};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use zonepulse_net::http;
use zonepulse_private::Secret;
use zonepulse_query::{Engine, SqlAnswer};

/// How long a central may think of the next rows: longer than it lets a statement take.
const SILENCE: Duration = Duration::from_secs(3600);

/// More of what a central says to a statement is not shown.
const PROBLEM_BYTES: usize = 16 << 10;

/// Who answers.
pub enum Source {
    /// A store that this process has open.
    Local(Box<Engine>),
    /// A central that is running.
    Remote(Box<Remote>),
}

/// A central, and who asks there.
pub struct Remote {
    client: reqwest::Client,
    url: String,
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    user: String,
    password: Secret,
}

/// Rows as they come.
pub struct Ask {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl Source {
    /// A running central, with credentials from a file `user = "…"`, `password = "…"`.
    pub fn remote(url: &str, credentials: &Path, ca_file: Option<&Path>) -> Result<Self, Error> {
        let text = zonepulse_private::read(credentials)?.only_owner_or_root()?;
        let wrong = |error: figment::Error| Error::Config(format!("{}: {error}", credentials.display()));
        let credentials = Figment::from(Toml::string(&text)).extract().map_err(wrong)?;
        let client = remote::client(url, ca_file, SILENCE)?;
        let url = http::address(url, crate::http::SQL);
        Ok(Source::Remote(Box::new(Remote { client, url, credentials })))
    }

    /// Asks in SQL.
    pub async fn ask(&self, statement: &str) -> Result<Ask, Error> {
        match self {
            Source::Local(engine) => {
                let SqlAnswer { schema, batches } = engine.sql(statement).await?;
                Ok(Ask { schema, batches: batches.map_err(Error::from).boxed() })
            }
            Source::Remote(remote) => remote.ask(statement).await,
        }
    }
}

impl Remote {
    async fn ask(&self, statement: &str) -> Result<Ask, Error> {
        let Credentials { user, password } = &self.credentials;
        let request = self.client.post(&self.url).basic_auth(user, Some(password.reveal())).body(statement.to_owned());
        let request = request.header("content-type", "application/sql").header("accept", "application/vnd.apache.arrow.stream");
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            let text = http::start_of_body(response, PROBLEM_BYTES).await;
            return Err(Error::Remote(format!("{} answers {status}: {text}", self.url)));
        }
        let mut answer = Answer { response, decoder: StreamDecoder::new(), ready: VecDeque::new(), ended: false };
        // The schema is the first thing that a stream says.
        while answer.decoder.schema().is_none() && !answer.ended {
            answer.read().await?;
        }
        let schema = answer.decoder.schema().ok_or_else(|| Error::Remote("an answer without columns".to_owned()))?;
        let batches =
            stream::try_unfold(answer, |mut answer| async move { Ok(answer.next().await?.map(|batch| (batch, answer))) });
        Ok(Ask { schema, batches: batches.boxed() })
    }
}

/// An Arrow stream that is being received.
struct Answer {
    response: reqwest::Response,
    decoder: StreamDecoder,
    ready: VecDeque<RecordBatch>,
    ended: bool,
}

impl Answer {
    async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        while self.ready.is_empty() && !self.ended {
            self.read().await?;
        }
        Ok(self.ready.pop_front())
    }

    async fn read(&mut self) -> Result<(), Error> {
        let unreadable = |error: arrow::error::ArrowError| Error::Remote(describe(&error));
        let Some(bytes) = self.response.chunk().await.map_err(broken)? else {
            self.ended = true;
            // An answer that was broken off lacks its end.
            return self.decoder.finish().map_err(unreadable);
        };
        let mut buffer = Buffer::from(bytes);
        while !buffer.is_empty() {
            self.ready.extend(self.decoder.decode(&mut buffer).map_err(unreadable)?);
        }
        Ok(())
    }
}

fn broken(error: reqwest::Error) -> Error {
    Error::Remote(describe(&error))
}
