//! Sources of rows: a store opened by this process, or a running central. Both answer the same SQL.

use crate::Error;
use crate::client::{PROBLEM_BYTES, client};
use arrow::array::{AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use std::collections::VecDeque;
use std::time::Duration;
use zonepulse_net::{Trust, http};
use zonepulse_private::Secret;
use zonepulse_query::{Engine, SqlAnswer};

/// The path of a central's SQL endpoint.
const PATH: &str = "/api/v2/sql";
/// How long a central may be silent before the next rows: longer than the maximum duration of a statement.
const SILENCE: Duration = Duration::from_secs(3600);

/// A source of rows.
pub enum Source {
    /// A store opened by this process.
    Local(Box<Engine>),
    /// A running central.
    Remote(Box<Remote>),
}

/// A running central, and the user that queries it.
pub struct Remote {
    client: reqwest::Client,
    url: String,
    credentials: Credentials,
}

/// A user of a central, in the format of the file that a central writes on its first start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Secret,
}

/// An answer, streamed as it is read.
pub struct Rows {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl Source {
    /// A central at an address such as `https://central.example:8053`.
    pub fn remote(url: &str, trust: &Trust, credentials: Credentials) -> Result<Self, Error> {
        let client = client(url, trust, SILENCE)?;
        Ok(Source::Remote(Box::new(Remote { client, url: http::address(url, PATH), credentials })))
    }

    /// Runs an SQL statement.
    pub async fn ask(&self, statement: &str) -> Result<Rows, Error> {
        match self {
            Source::Local(engine) => {
                let SqlAnswer { schema, batches } = engine.sql(statement).await?;
                Ok(Rows { schema, batches: batches.map_err(Error::from).boxed() })
            }
            Source::Remote(remote) => remote.ask(statement).await,
        }
    }
}

/// Reads a column of integers; null values and those exceeding `i64` become `otherwise`, negative ones 0.
///
/// Accepts any integer type, because older centrals use other ones.
pub(crate) fn integers(batch: &RecordBatch, name: &str, otherwise: i64) -> Result<Vec<u64>, Error> {
    let missing = || Error::Answer(format!("no column {name} of whole numbers in the answer"));
    let column = batch.column_by_name(name).filter(|column| column.data_type().is_integer()).ok_or_else(missing)?;
    let integers = cast(column, &DataType::Int64).map_err(Error::Stream)?;
    let integers = integers.as_primitive::<Int64Type>().iter().map(|integer| integer.unwrap_or(otherwise));
    Ok(integers.map(|integer| u64::try_from(integer).unwrap_or(0)).collect())
}

impl Remote {
    async fn ask(&self, statement: &str) -> Result<Rows, Error> {
        let Credentials { user, password } = &self.credentials;
        let request = self.client.post(&self.url).basic_auth(user, Some(password.reveal())).body(statement.to_owned());
        let request = request.header("content-type", "application/sql").header("accept", "application/vnd.apache.arrow.stream");
        let response = request.send().await.map_err(Error::Unreachable)?;
        let status = response.status();
        if !status.is_success() {
            let problem = http::start_of_body(response, PROBLEM_BYTES).await;
            return Err(Error::Refused(format!("{} answers {status}: {problem}", self.url)));
        }
        let mut answer = Answer { response, decoder: StreamDecoder::new(), ready: VecDeque::new(), ended: false };
        // A stream begins with its schema.
        while answer.decoder.schema().is_none() && !answer.ended {
            answer.read().await?;
        }
        let schema = answer.decoder.schema().ok_or_else(|| Error::Answer("an answer without columns".to_owned()))?;
        let batches =
            stream::try_unfold(answer, |mut answer| async move { Ok(answer.next().await?.map(|batch| (batch, answer))) });
        Ok(Rows { schema, batches: batches.boxed() })
    }
}

/// An Arrow stream being received.
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
        let Some(bytes) = self.response.chunk().await.map_err(Error::Unreachable)? else {
            self.ended = true;
            // Fails if the answer was cut off: it lacks the end-of-stream marker.
            return self.decoder.finish().map_err(Error::Stream);
        };
        let mut buffer = Buffer::from(bytes);
        while !buffer.is_empty() {
            self.ready.extend(self.decoder.decode(&mut buffer).map_err(Error::Stream)?);
        }
        Ok(())
    }
}
