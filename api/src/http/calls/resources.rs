//! `/api/v2/resources`: the RRsets of the catalogue, and what operators say of them.

use crate::http::answer::negotiate::Output;
use crate::http::answer::problem::{Case, Problem};
use crate::http::answer::rows::respond;
use crate::http::blocking::blocking;
use crate::http::question::groups::{Escaping, ResourceSelection, Slice};
use crate::http::question::{body, catalogue, parameters};
use crate::http::state::App;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::rights::Caller;
use zonepulse_central::zones::{Labels, ResourceChange};
use zonepulse_query::{Page, TimeRange};
use zonepulse_store::Protection;

/// Maximum size of a body in JSON, bytes.
const MAX_BYTES: usize = 64 << 10;
/// Maximum size of a table of labels, bytes.
const MAX_LABELS_BYTES: usize = 256 << 20;
/// The columns of a table of labels.
const HEADER: [&str; 3] = ["host", "type", "label"];

/// What reads.
pub fn reading() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// What changes.
pub fn changing() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(change)).routes(routes!(set_labels))
}

/// An RRset of the catalogue.
#[derive(Serialize, ToSchema)]
struct ResourceRow {
    /// Its id: assigned once, never used again, and kept when its data change or when it goes and comes back.
    resource_id: u64,
    /// Its id in another system, or empty.
    label: String,
    /// The zone.
    zone_id: u32,
    /// Its apex.
    zone: String,
    /// Its view.
    view: String,
    /// The owner.
    host: String,
    /// The type.
    r#type: String,
    /// The TTL, seconds.
    ttl: u32,
    /// The data of its records in presentation format, a line each.
    data: String,
    /// When it appeared; null if it was there when the zone was first loaded.
    #[schema(format = DateTime, required)]
    created: Option<String>,
    /// When it was removed; null if it is there.
    #[schema(format = DateTime, required)]
    removed: Option<String>,
    /// `protect` or `allow`, if the operator said so.
    #[schema(required)]
    protection: Option<String>,
    /// What is to be remembered about it.
    #[schema(required)]
    note: Option<String>,
}

/// What is to be different about a resource; what is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResourceChangeBody {
    /// Its id in another system; empty for none.
    label: Option<String>,
    /// What is to be remembered about it; with `protect`, why it is protected.
    note: Option<String>,
    /// `protect` (never call it unused), `allow` (call it unused although its name or type suggests otherwise) or `none`.
    #[schema(value_type = Option<ProtectionWord>)]
    protection: Option<Protection>,
}

/// Whether a resource may be called unused.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the store's type, whose words these are, knows nothing of OpenAPI")]
enum ProtectionWord {
    None,
    Protect,
    Allow,
}

/// What became of labels.
#[derive(Serialize, ToSchema)]
struct LabelledBody {
    /// Rows for which there was a resource.
    matched: u64,
    /// Rows for which there was none.
    unmatched: u64,
    /// Resources whose label is another now.
    changed: u64,
}

/// List resources
///
/// By zone, then in canonical order; removed ones only with `removed=true`.
#[utoipa::path(
    get, path = "/api/v2/resources", operation_id = "resources", tag = "Catalogue",
    params(ResourceSelection, Slice, Escaping),
    responses((status = 200, description = "The resources.", body = Vec<ResourceRow>)),
)]
async fn list(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let output = Output::asked(&headers, &uri)?;
    let (filter, Slice { offset, limit }) = catalogue::resources(&uri)?;
    let asked = app.clone();
    let answer = blocking(move || asked.central().zones().resources(&filter, offset, limit)).await?;
    let page = Page { sort: Vec::new(), offset, limit };
    respond(app.central().engine(), output, answer, &page, TimeRange::default(), &uri).await
}

/// Change what is said of a resource
///
/// Its label, a note, and whether it is protected. The zone is not changed.
#[utoipa::path(
    patch, path = "/api/v2/resources/{resource_id}", operation_id = "change_resource", tag = "Catalogue",
    params(("resource_id" = u32, Path, description = "The resource.", minimum = 1)),
    request_body(content = ResourceChangeBody, description = "What is to be different."),
    responses(
        (status = 204, description = "It is changed."),
        (status = 404, description = "There is no such resource.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn change(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    parameters::none(&uri)?;
    let id = parameters::id("resource_id", path)?;
    let change: ResourceChangeBody = body::typed("body", body::json(&headers, body, MAX_BYTES).await?)?;
    let ResourceChangeBody { label, note, protection } = change;
    let change = ResourceChange { label, note, protection };
    blocking(move || app.central().zones().change_resource(&caller, id, change)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set labels
///
/// From a table with the columns `host,type,label`: the ids that another system has for RRsets. Ours never change by that.
#[utoipa::path(
    post, path = "/api/v2/resources/labels", operation_id = "set_labels", tag = "Catalogue",
    request_body(content = String, content_type = "text/csv", description = "The labels, with a header line.", example = "host,type,label\nwww.example.com,A,4711\n"),
    responses(
        (status = 200, description = "What became of them.", body = LabelledBody),
        (status = 415, description = "The body is no CSV.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn set_labels(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<LabelledBody>, Problem> {
    parameters::none(&uri)?;
    let media_type = body::media_type(&headers)?;
    if media_type != "text/csv" {
        let detail = format!("Content-Type is {media_type:?}: send the labels as text/csv, with the header host,type,label");
        return Err(Problem::new(Case::UnknownFormat, detail));
    }
    let bytes = body::whole(body, MAX_LABELS_BYTES, |_| Ok(())).await?;
    let labels = blocking(move || {
        let labels = labels(&bytes)?;
        app.central().zones().set_labels(&caller, &labels).map_err(Problem::from)
    });
    let labelled = labels.await?;
    Ok(Json(LabelledBody { matched: labelled.matched, unmatched: labelled.unmatched, changed: labelled.changed }))
}

/// The rows of a table of labels.
fn labels(bytes: &[u8]) -> Result<Labels, Problem> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(bytes);
    let bad = |error: csv::Error| Problem::parameter("body", error);
    let header = reader.headers().map_err(bad)?.clone();
    let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let places: Option<Vec<usize>> = HEADER.into_iter().map(place).collect();
    let Some(places) = places else {
        return Err(Problem::parameter("body", format_args!("its first line has to name the columns {}", HEADER.join(","))));
    };
    let mut labels = Labels::new();
    for row in reader.records() {
        let row = row.map_err(bad)?;
        let line = row.position().map_or(0, csv::Position::line);
        let field = |at: usize| places.get(at).and_then(|place| row.get(*place)).unwrap_or_default();
        let at_line = |reason: String| Problem::parameter("body", format_args!("line {line}: {reason}"));
        let host = zonepulse_dns::name::canonical(field(0)).map_err(|error| at_line(error.to_string()))?;
        let rtype = field(1).parse().map_err(|error: zonepulse_dns::Error| at_line(error.to_string()))?;
        labels.push((host, rtype, field(2).to_owned()));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_dns::RecordType;

    #[test]
    fn labels_are_read_whatever_the_order_of_their_columns() {
        let read = labels(b"Type, host,label\nA,WWW.example.com,\"4,711\"\n").ok();
        assert_eq!(read, Some(vec![("www.example.com.".to_owned(), RecordType::A, "4,711".to_owned())]));
    }

    #[test]
    fn a_wrong_row_is_named_by_its_line() {
        let error = labels(b"host,type,label\nwww.example.com,A,1\nwww.example.com,QQ,2\n")
            .err()
            .map(|problem| problem.detail().to_owned());
        assert!(error.as_ref().is_some_and(|detail| detail.contains("line 3")), "{error:?}");
    }
}
