//! `POST /api/v2/batches`: receives batches from probes.
//!
//! The status tells a probe what to do. 204: the batch is on disk, now or from before; delete it. 400, 413 and 415: it will
//! never be accepted; set it aside. 401 and 403: the credentials are wrong; keep it. Any other: keep it and try again.

use crate::http::answer::problem::{Case, Problem};
use crate::http::question::body::{self, media_type};
use crate::http::question::parameters;
use crate::http::state::App;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
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
/// For probes, with the token of the server that the batch is about. When 204 arrives, the batch is on disk. Sending a
/// batch that was already received changes nothing and also yields 204, so retrying is always safe.
#[utoipa::path(
    post, path = "/api/v2/batches", operation_id = "send_batch", tag = "Probes",
    request_body(
        content_type = "application/vnd.zonepulse.batch",
        description = "One encoded batch: the hits of a server in an interval, and what was lost."
    ),
    responses(
        (status = 204, description = "The batch is on disk, now or from before.",
            headers(("X-Zonepulse-Kept-From" = String, description = "The times, in Unix seconds and separated by a space, since which the server's raw points, and its roll-ups and reports, are kept: anything earlier counts only in totals. Later versions may append more after another space."))),
        (status = 400, description = "The batch is malformed, too late, or covers a time too long ago; or another probe covers the same time, and each time counts only once (`overlapping_probes`). Do not send it again: set it aside.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A user's credentials, or the token of another server.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The batch is larger than the central accepts.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a batch, or of a version unknown to this central.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The central is busy, or the batch covers a time that is still in the future by its clock (`urn:zonepulse:problem:ahead`): keep it and send it again; `Retry-After` says when.", body = Problem, content_type = "application/problem+json",
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
    let given = media_type(headers)?;
    if given != MEDIA_TYPE {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type is {given:?}, not {MEDIA_TYPE}")));
    }
    Ok(())
}
