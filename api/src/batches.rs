//! `POST /api/v2/batches`: where probes send what they counted.
//!
//! The answer tells a probe what to do: 204 is "it is on disk, forget it",
//! whether now or when it came before; 400, 413 and 415 are "never again, put
//! it aside"; 401 and 403 are "the credentials are wrong, keep it"; all others
//! are "keep it and come again".

use crate::app::App;
use crate::credentials::Principal;
use crate::parameters;
use crate::problem::{Case, Problem};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::BytesMut;
use futures::StreamExt;
use tokio::sync::OwnedSemaphorePermit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_ingest::{Error, Sender};

/// What an encoded batch is called.
pub const MEDIA_TYPE: &str = "application/vnd.zonepulse.batch";
/// What is taken from the pending bytes at a time.
const UNIT_BYTES: u32 = 1024;

/// The routes, for servers.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(receive))
}

/// Send a batch
///
/// For probes, with the token of the server that the batch is about. The batch
/// is on disk when 204 comes. A batch that was received before changes nothing
/// and gives 204 too, so sending again is always safe.
#[utoipa::path(
    post, path = "/api/v2/batches", operation_id = "send_batch", tag = "Probes",
    request_body(
        content_type = "application/vnd.zonepulse.batch",
        description = "One encoded batch: the hits of a server in an interval, with what was lost."
    ),
    responses(
        (status = 204, description = "The batch is on disk, now or from before."),
        (status = 400, description = "The batch is malformed. Sending it again is useless.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A user's credentials, or the token of another server.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The batch is larger than the central takes.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a batch, or of a version that this central does not know.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn receive(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    parameters::none(&uri)?;
    let Principal::Server(server_id) = principal else {
        return Err(Problem::new(Case::NotAllowed, "only a server's token may send batches"));
    };
    check_media_type(&headers)?;
    let largest = app.limits().max_request_bytes;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let too_large = || Problem::new(Case::RequestTooLarge, format!("a request has at most {largest} bytes"));
    if announced.is_some_and(|bytes: u64| bytes > u64::from(largest)) {
        return Err(too_large());
    }
    let bytes = announced.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(largest);
    let _pending = pending(&app, bytes)?;
    let Some(batch) = read(body, largest as usize).await? else { return Err(too_large()) };
    app.ingest().receive(batch, Sender::Server(server_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A body; `None` when it is larger than this.
///
/// What is too much is read and thrown away, up to as much again: were the connection closed on a sender
/// that is still sending, it would get a reset and not the answer.
async fn read(body: Body, largest: usize) -> Result<Option<Bytes>, Problem> {
    let mut pieces = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut seen = 0usize;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::new(Case::BadBatch, "the sender went away"))?;
        seen = seen.saturating_add(piece.len());
        if seen <= largest {
            bytes.extend_from_slice(&piece);
        } else if seen > largest.saturating_mul(2) {
            break;
        } else {
            bytes.clear();
        }
    }
    Ok((seen <= largest).then(|| bytes.freeze()))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = given.split(';').next().unwrap_or("").trim();
    if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type is {given:?}, not {MEDIA_TYPE}")));
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(_) => Err(Problem::new(Case::UnknownFormat, "a batch is compressed in itself: send no Content-Encoding")),
        None => Ok(()),
    }
}

/// Room for a request of this size among those that are being received.
fn pending(app: &App, bytes: u32) -> Result<OwnedSemaphorePermit, Problem> {
    let units = bytes.div_ceil(UNIT_BYTES).max(1);
    app.pending()
        .try_acquire_many_owned(units)
        .map_err(|_| Problem::new(Case::Busy, "many batches are being received").retry_after_s(1))
}

/// How many units there are for so many bytes.
pub(crate) fn units(bytes: u32) -> usize {
    bytes.div_ceil(UNIT_BYTES) as usize
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Malformed(_) | Error::TooLate(_) | Error::Interval(_) => Problem::new(Case::BadBatch, error.to_string()),
            Error::UnknownVersion(_) => Problem::new(Case::UnknownFormat, error.to_string()),
            Error::WrongServer { .. } | Error::UnknownServer(_) => Problem::new(Case::NotAllowed, error.to_string()),
            Error::Busy => Problem::new(Case::Busy, error.to_string()).retry_after_s(1),
            Error::Ahead { .. } => Problem::new(Case::Ahead, error.to_string()).retry_after_s(10),
            Error::NoSpace => Problem::new(Case::Busy, error.to_string()).retry_after_s(30),
            Error::Closed => Problem::new(Case::Busy, error.to_string()).retry_after_s(5),
            Error::Store(_) | Error::Trust(_) | Error::Broker(_) | Error::Thread(_) => Problem::internal(error),
        }
    }
}
