//! `POST /api/v2/batches`: where probes send what they counted.
//!
//! The answer tells a probe what to do: 204 is "it is on disk, forget it",
//! whether now or when it came before; 400, 413 and 415 are "never again, put
//! it aside"; 401 and 403 are "the credentials are wrong, keep it"; all others
//! are "keep it and come again".

use crate::http::answer::problem::{Case, Problem};
use crate::http::question::body::{self, media_type};
use crate::http::question::parameters;
use crate::http::state::App;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::credentials::Principal;
use zonepulse_central::probes::batches;
use zonepulse_central::rights::Caller;
use zonepulse_model::ServerId;
use zonepulse_wire::{KEPT_FROM_HEADER, MEDIA_TYPE};

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
        (status = 204, description = "The batch is on disk, now or from before.",
            headers(("X-Zonepulse-Kept-From" = String, description = "Since when raw points of the server are answered, a space, and since when roll-ups and reports are, Unix seconds: what began before counts in totals only. A later version may say more after another space."))),
        (status = 400, description = "The batch is malformed, comes too late, tells of a time too long ago, or another probe covers its time and a time counts once (`overlapping_probes`). Sending it again is useless: keep it aside.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A user's credentials, or the token of another server.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The batch is larger than the central takes.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a batch, or of a version that this central does not know.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server is busy, or the batch is of a time that its clock has yet to come to (`urn:zonepulse:problem:ahead`): keep it and send it again; `Retry-After` says when.", body = Problem, content_type = "application/problem+json",
            headers(("Retry-After" = String, description = "Seconds to wait."))),
    ),
)]
async fn receive(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, [(&'static str, String); 1]), Problem> {
    parameters::none(&uri)?;
    let Principal::Server(server_id) = caller.principal else {
        return Err(Problem::new(Case::NotAllowed, "only a server's token may send batches"));
    };
    let central = app.central();
    let refused =
        |cause, problem: &Problem| central.ingest().refused_at_the_door(ServerId::new(server_id), cause, problem.detail());
    check_media_type(&headers).inspect_err(|problem| refused("media_type", problem))?;
    let mut held = central.pending().of(server_id);
    let take = |bytes| held.take(bytes).map_err(Problem::from);
    let batch = body::whole(body, app.limits().max_request_bytes as usize, take).await;
    let batch = batch.inspect_err(|problem| {
        if problem.status() == StatusCode::PAYLOAD_TOO_LARGE {
            refused("too_large", problem);
        }
    })?;
    let kept_from = batches::receive(central, server_id, caller.address, batch).await?;
    Ok((StatusCode::NO_CONTENT, [(KEPT_FROM_HEADER, kept_from.to_string())]))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = media_type(headers);
    if given != MEDIA_TYPE {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type is {given:?}, not {MEDIA_TYPE}")));
    }
    match headers.get(header::CONTENT_ENCODING) {
        Some(_) => Err(Problem::new(Case::UnknownFormat, "a batch is compressed in itself: send no Content-Encoding")),
        None => Ok(()),
    }
}
