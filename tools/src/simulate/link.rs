//! The connection to a central: HTTP, or RabbitMQ.
//!
//! A link behaves as a probe does: it retries a batch until it is confirmed, unless the central says that it will
//! never accept it. A probe would put such a batch aside; a simulation ends.

use super::servers::Known;
use crate::Error;
use crate::client::{PROBLEM_BYTES, client};
use bytes::Bytes;
use reqwest::{Client, StatusCode};
use std::time::Duration;
use zonepulse_ingest::amqp;
use zonepulse_ingest::amqp::publisher::{Published, Publisher};
use zonepulse_net::{Trust, http};
use zonepulse_wire::MEDIA_TYPE;

/// The path of a central's endpoint for batches.
const PATH: &str = "/api/v2/batches";
/// How long a central may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a batch is retried before the simulation gives up.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How batches reach the central.
pub struct Link(Way);

enum Way {
    Http { client: Client, url: String },
    Amqp(Box<Publisher>),
}

/// The outcome of sending a batch.
enum Answer {
    Confirmed,
    /// Retrying may help.
    NotNow(Box<dyn std::error::Error + Send + Sync>),
}

impl Link {
    /// A link to the central at an address such as `http://127.0.0.1:8053`.
    pub fn http(url: &str, trust: &Trust) -> Result<Self, Error> {
        Ok(Link(Way::Http { client: client(url, trust, SILENCE)?, url: http::address(url, PATH) }))
    }

    /// A link to the queue of a broker, from which the central takes batches.
    pub async fn amqp(settings: &amqp::Settings) -> Result<Self, Error> {
        Ok(Link(Way::Amqp(Box::new(Publisher::open(settings, "zonepulse simulate").await?))))
    }

    /// Sends a batch until it is confirmed. Returns the number of retries.
    pub(super) async fn send(&self, server: &Known, bytes: Vec<u8>) -> Result<u64, Error> {
        let bytes = Bytes::from(bytes);
        let (mut pause, mut waited, mut retries) = (FIRST_PAUSE, Duration::ZERO, 0);
        loop {
            match self.try_to_send(server, bytes.clone()).await? {
                Answer::Confirmed => return Ok(retries),
                Answer::NotNow(source) if waited >= PATIENCE => {
                    return Err(Error::GaveUp { after_s: PATIENCE.as_secs(), source });
                }
                Answer::NotNow(reason) => {
                    let reason: &(dyn std::error::Error + 'static) = &*reason;
                    tracing::debug!(reason, "a batch is sent again");
                }
            }
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
            retries += 1;
        }
    }

    async fn try_to_send(&self, server: &Known, bytes: Bytes) -> Result<Answer, Error> {
        match &self.0 {
            Way::Http { client, url } => post(client, url, server, bytes).await,
            Way::Amqp(publisher) => match publisher.publish(&bytes, server.token.reveal()).await? {
                Published::Confirmed => Ok(Answer::Confirmed),
                Published::NotTaken(reason) => Ok(Answer::NotNow(reason.into())),
                Published::NoQueue => Err(Error::Refused(
                    "the broker has no such queue; the central makes it when it starts: is rabbitmq.queue the same for both?"
                        .to_owned(),
                )),
            },
        }
    }
}

async fn post(client: &Client, url: &str, server: &Known, bytes: Bytes) -> Result<Answer, Error> {
    let request = client.post(url).bearer_auth(server.token.reveal()).header("content-type", MEDIA_TYPE).body(bytes);
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(Answer::NotNow(error.into())),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(Answer::Confirmed);
    }
    let problem = http::start_of_body(response, PROBLEM_BYTES).await;
    let reason = format!("server {}: {url} answers {status}: {problem}", server.id);
    if is_final(status) { Err(Error::Refused(reason)) } else { Ok(Answer::NotNow(reason.into())) }
}

/// Whether a central that responds with this status will never accept the batch, at least not with this token.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    )
}
