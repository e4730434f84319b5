//! `/api/v2/pvservers/imgversions`: the probe's programs that this central hands out.

use crate::http::answer::listing;
use crate::http::answer::problem::{Case, Problem};
use crate::http::blocking::blocking;
use crate::http::question::groups::{ImageVersion, Slice};
use crate::http::question::{body, parameters};
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;
use serde::Serialize;
use serde_json::json;
use std::io::Write;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::Error;
use zonepulse_central::images::{Image, MAX_BYTES, Origin};
use zonepulse_central::rights::Caller;
use zonepulse_central::time::{now_ms, text};

/// The media type of an upload.
const MEDIA_TYPE: &str = "application/octet-stream";

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// What administrators do.
pub fn managing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(upload)).routes(routes!(remove))
}

/// A program of the probe.
#[derive(Serialize, ToSchema)]
struct ImageBody {
    /// Its name, by which it is removed.
    #[schema(example = "zonepulse-probe-0.1.0-linux-x86_64")]
    image: String,
    /// The version.
    #[schema(example = "0.1.0")]
    version: String,
    /// The architecture, as `uname -m` names it: `x86_64` or `aarch64`.
    #[schema(example = "x86_64")]
    architecture: &'static str,
    /// Whether it runs on any Linux of that architecture. Otherwise it needs libraries of the machine: glibc, libpcap.
    r#static: bool,
    /// Its size, bytes.
    size_bytes: u64,
    /// The SHA-256 of its contents, hexadecimal.
    sha256: String,
    /// When it was uploaded or installed.
    #[schema(format = DateTime)]
    uploaded: String,
    /// Where it comes from: `upload`, `package`, or `built` with the central.
    origin: &'static str,
}

impl From<Image> for ImageBody {
    fn from(image: Image) -> Self {
        ImageBody {
            version: image.version.to_string(),
            architecture: image.architecture,
            r#static: image.is_static,
            size_bytes: image.size_bytes,
            sha256: image.sha256,
            uploaded: text(image.since_ms),
            origin: match image.origin {
                Origin::Upload => "upload",
                Origin::Package => "package",
                Origin::Built => "built",
            },
            image: image.name,
        }
    }
}

/// List images
///
/// The probe's programs for setup bundles and installation over SSH, by architecture, the newest first. The first that is no
/// newer than a server's `max_version` is installed on it.
#[utoipa::path(
    get, path = "/api/v2/pvservers/imgversions", operation_id = "images", tag = "Installation",
    params(Slice),
    responses((status = 200, description = "The images.", body = Vec<ImageBody>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = parameters::slice(&uri)?;
    let images = blocking(move || app.central().images().list()).await?;
    Ok(listing::page(images.into_iter().map(ImageBody::from).collect(), &page, &uri))
}

/// Upload an image
///
/// A program of the probe for Linux: the static file `zonepulse-probe-VERSION-linux-ARCHITECTURE`, or one that was built for
/// the nodes. Architecture and version are read from it. It replaces an image of the same version and architecture. At most
/// 16 images of 128 MiB are kept.
#[utoipa::path(
    post, path = "/api/v2/pvservers/imgversions", operation_id = "upload_image", tag = "Installation",
    params(ImageVersion),
    request_body(content = String, content_type = "application/octet-stream", description = "The program."),
    responses(
        (status = 201, description = "The image.", body = ImageBody),
        (status = 400, description = "It is not a probe.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body has another type.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn upload(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ImageBody>), Problem> {
    let version = parameters::image_version(&uri)?;
    let media_type = body::media_type(&headers)?;
    if media_type != MEDIA_TYPE {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type is {media_type:?}: send a program as {MEDIA_TYPE}")));
    }
    let of_app = app.clone();
    let arriving = blocking(move || of_app.central().images().arriving()).await?;
    let mut file = Some(arriving.file().map_err(Problem::internal)?);
    let (mut pieces, mut size_bytes) = (body.into_data_stream(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| body::broken(&error))?;
        size_bytes += piece.len() as u64;
        if size_bytes > MAX_BYTES {
            return Err(Problem::new(Case::RequestTooLarge, format!("an image has at most {MAX_BYTES} bytes")));
        }
        let Some(mut open) = file.take() else { return Err(Problem::internal("an upload without a file")) };
        let written = blocking(move || open.write_all(&piece).map(|()| open).map_err(Failed));
        file = Some(written.await?);
    }
    drop(file);
    let added = blocking(move || {
        let image = app.central().images().add(arriving, version.as_ref())?;
        let told = json!({"size_bytes": image.size_bytes, "sha256": image.sha256});
        app.central().store().registry().by(caller.actor(now_ms())).note("image.add", &image.name, &told)?;
        Ok::<_, Error>(image)
    });
    Ok((StatusCode::CREATED, Json(added.await?.into())))
}

/// The disk did not take an upload.
struct Failed(std::io::Error);

impl From<Failed> for Problem {
    fn from(Failed(error): Failed) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull => Problem::new(Case::Busy, "the central's disk is full").retry_after_s(60),
            _ => Problem::internal(error),
        }
    }
}

/// Remove an image
///
/// Probes that are installed stay as they are. Only what was uploaded can be removed.
#[utoipa::path(
    delete, path = "/api/v2/pvservers/imgversions/{image}", operation_id = "remove_image", tag = "Installation",
    params(("image" = String, Path, description = "The image's name.")),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is no such image.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It belongs to the installation.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    parameters::none(&uri)?;
    let Path(name) = path.map_err(|error| parameters::bad_path(&error, "image"))?;
    blocking(move || {
        let image = app.central().images().remove(&name)?;
        let told = json!({"sha256": image.sha256});
        app.central().store().registry().by(caller.actor(now_ms())).note("image.remove", &image.name, &told)?;
        Ok::<_, Error>(())
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response())
}
