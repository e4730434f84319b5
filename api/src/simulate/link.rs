//! The way to a central: straight over HTTP, or through RabbitMQ.

use super::Known;
use crate::http::BATCH as MEDIA_TYPE;
use crate::{Error, describe, remote};
use bytes::Bytes;
use reqwest::StatusCode;
use std::path::Path;
use std::time::Duration;
use zonepulse_ingest::amqp;
use zonepulse_ingest::amqp::publisher::{Published, Publisher};
use zonepulse_net::http;

/// How long a batch is tried again before the simulation gives up.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a central may say nothing.
const LONGEST: Duration = Duration::from_secs(60);

/// More of what a central says to a batch is not shown.
const PROBLEM_BYTES: usize = 16 << 10;

/// How batches reach the central.
pub enum Link {
    /// `POST /api/v2/batches`.
    Http {
        /// Makes and keeps connections.
        client: reqwest::Client,
        /// The address of the call.
        url: String,
    },
    /// A queue that the central takes batches from.
    Amqp(Box<Publisher>),
}

/// What became of a batch.
enum Answer {
    Confirmed,
    /// Sending it again may help.
    NotNow(String),
}

impl Link {
    /// To the central at an address such as `http://127.0.0.1:8053`.
    pub fn http(url: &str, ca_file: Option<&Path>) -> Result<Self, Error> {
        let client = remote::client(url, ca_file, LONGEST)?;
        Ok(Link::Http { client, url: http::address(url, "/api/v2/batches") })
    }

    /// To the queue of a broker.
    pub async fn amqp(settings: &amqp::Settings) -> Result<Self, Error> {
        Ok(Link::Amqp(Box::new(Publisher::open(settings, "zonepulse simulate").await?)))
    }

    /// Sends a batch until it is confirmed, and gives how often it had to be sent again.
    pub async fn send(&self, server: &Known, bytes: Vec<u8>) -> Result<u64, Error> {
        let bytes = Bytes::from(bytes);
        let (mut pause, mut waited, mut retries) = (FIRST_PAUSE, Duration::ZERO, 0);
        loop {
            match self.try_to_send(server, bytes.clone()).await? {
                Answer::Confirmed => return Ok(retries),
                Answer::NotNow(reason) if waited >= PATIENCE => {
                    return Err(Error::Remote(format!("a batch was not taken in {} s: {reason}", PATIENCE.as_secs())));
                }
                Answer::NotNow(reason) => tracing::debug!(reason, "a batch is sent again"),
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
            retries += 1;
        }
    }

    async fn try_to_send(&self, server: &Known, bytes: Bytes) -> Result<Answer, Error> {
        match self {
            Link::Http { client, url } => post(client, url, server, bytes).await,
            Link::Amqp(publisher) => match publisher.publish(&bytes, server.token.reveal()).await? {
                Published::Confirmed => Ok(Answer::Confirmed),
                Published::NotTaken(reason) => Ok(Answer::NotNow(reason)),
                Published::NoQueue => Err(Error::Remote(
                    "the broker has no such queue; the central makes it when it starts: is rabbitmq.queue the same for both?"
                        .to_owned(),
                )),
            },
        }
    }
}

async fn post(client: &reqwest::Client, url: &str, server: &Known, bytes: Bytes) -> Result<Answer, Error> {
    let request = client.post(url).bearer_auth(server.token.reveal()).header("content-type", MEDIA_TYPE).body(bytes);
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(Answer::NotNow(describe(&error))),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(Answer::Confirmed);
    }
    let text = http::start_of_body(response, PROBLEM_BYTES).await;
    let reason = format!("server {}: {url} answers {status}: {text}", server.id);
    // As probes understand it: the others are "come again".
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE => Err(Error::Remote(reason)),
        _ => Ok(Answer::NotNow(reason)),
    }
}
