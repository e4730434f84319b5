//! `GET /api/v2/pvservers/config/{server_id}`: the setup bundle of a server.

use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::groups::BundleSelection;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures::stream;
use std::io::{self, Write};
use tokio::sync::mpsc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::rights::Caller;
use zonepulse_central::servers::bundle::{self, BY_HAND, Bundle, Wanted};

/// The media type of a tar archive.
const MEDIA_TYPE: &str = "application/x-tar";
/// Size of the pieces that are sent, bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait to be sent.
const WAITING: usize = 4;

/// The route, for those who may change servers.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(download))
}

/// Download a setup bundle
///
/// `setup-ID.tar`: the probe, units, a one-time enrolment token, and `install.sh`, which installs or updates all of it on the
/// machine, as root or as another user: `tar -xf setup-ID.tar && sh setup-ID/install.sh`. It needs a POSIX shell and tar; its
/// last line is `PVOK`.
///
/// The token is valid for 4 hours and takes the place of an earlier enrolment token; a probe that is enrolled keeps its own
/// until another has enrolled. With `enroll=false` there is none, and the bundle only updates a probe. If the user is not an
/// administrator, a bundle with a token makes the server untrusted, as a new token does.
#[utoipa::path(
    get, path = "/api/v2/pvservers/config/{server_id}", operation_id = "server_setup", tag = "Installation",
    params(
        ("server_id" = u32, Path, description = "The server.", minimum = 1),
        BundleSelection,
    ),
    responses(
        (status = 200, description = "The bundle.", body = String, content_type = "application/x-tar"),
        (status = 404, description = "There is no such server, or no image for it.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn download(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let BundleSelection { architecture, enroll } = parameters::bundle(&uri)?;
    let id = parameters::id("server_id", path)?;
    // It makes a token, so another site's page must not cause it, although nothing but this site can read it.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(Problem::new(Case::CrossSite, "a page of another site caused this request"));
    }
    let wanted = Wanted { architecture, enrolls_for: enroll.unwrap_or(true).then_some(BY_HAND) };
    let asked_at = super::servers::asked_at(&headers);
    let bundle = blocking(move || bundle::make(app.central(), &caller, id, &wanted, asked_at.as_deref())).await?;
    let about = [
        (header::CONTENT_TYPE, MEDIA_TYPE.to_owned()),
        (header::CONTENT_LENGTH, bundle.size_bytes().to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", bundle.file_name())),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((about, body(bundle)).into_response())
}

/// The archive, written by a thread while it is sent.
fn body(bundle: Bundle) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { sender, piece: BytesMut::with_capacity(PIECE_BYTES) };
        if let Err(error) = bundle.write(&mut pieces) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(server_id = bundle.server_id, %error, "a setup bundle was broken off");
            }
            // The client sees an archive that is too short; this closes the connection, too.
            let _ = pieces.sender.blocking_send(Err(error));
        }
    });
    Body::from_stream(stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }))
}

/// Hands over what is written in pieces.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = self.piece.split().freeze();
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
