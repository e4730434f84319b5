//! `POST /api/v2/sql`: a statement of SQL that reads.
//!
//! The rows are written as they come, so an answer of any length takes little
//! memory. The first of them is waited for before anything is said: most of
//! what can go wrong is then still a problem document. What goes wrong later
//! cannot change the status any more; the connection is then closed before the
//! last chunk, which every client of HTTP takes for an error (RFC 9112 section
//! 8). The body itself shows it too, where its format has an end: JSON lacks
//! its `]`, an Arrow stream its end-of-stream marker.

use crate::describe;
use crate::http::answer::negotiate::{Format, Output};
use crate::http::answer::problem::{Case, Problem};
use crate::http::answer::render::{Encoder, is_small};
use crate::http::document::parameters::Escaping;
use crate::http::question::{body, parameters};
use crate::http::state::App;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::credentials::Principal;
use zonepulse_query::{Error, MAX_SQL_BYTES, SqlAnswer, warning_of};

/// Text of SQL as a body (RFC 6922).
const SQL: &str = "application/sql";
const JSON: &str = "application/json";
/// In JSON an octet of the statement may take six.
const MAX_BODY_BYTES: usize = 6 * MAX_SQL_BYTES + 1024;

/// The route, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(sql))
}

/// A statement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SqlStatement {
    /// One statement that reads.
    #[schema(example = "SELECT host, type, sum(hits) AS hits FROM requests_1h GROUP BY host, type ORDER BY hits DESC LIMIT 10")]
    sql: String,
}

/// Ask in SQL
///
/// One statement that reads: `SELECT`, `WITH`, `VALUES`, `EXPLAIN`, `DESCRIBE`, `SHOW TABLES` or `SHOW COLUMNS`, in
/// DataFusion's dialect. `SHOW TABLES` and `DESCRIBE dns_raw` say what there is to ask. Anything else is refused.
///
/// A request and its response are two hits: `dns_…` and `records` have both (column `action`), `requests_…` have requests
/// only. A name that `host` is compared with (`=`, `<>`, `IN`) may be in any case, without the final dot, and in Unicode;
/// a pattern of `LIKE` in any case and without the final dot. The answer has a header `Warning` where the statement has a
/// name that the next release refuses.
///
/// The body is the statement itself, or JSON. Rows are sent as they come. An error that comes after
/// the first row cannot change the status: the connection is then closed before the last chunk, which
/// clients report as an incomplete answer. Rows, bytes, memory, time and how many statements run at a
/// time are bounded by the section `sql` of the configuration. Closing the connection ends the work.
#[utoipa::path(
    post, path = "/api/v2/sql", operation_id = "sql", tag = "SQL",
    params(Escaping),
    request_body(
        description = "One statement, by itself or in JSON.",
        content(
            (String = "application/sql", example = "SELECT host, type, sum(hits) AS hits FROM requests_raw WHERE time > now() - INTERVAL '1 day' GROUP BY host, type ORDER BY hits DESC LIMIT 10"),
            (SqlStatement = "application/json"),
        )
    ),
    responses(
        (status = 200, description = "The rows, each an object with a field per column.", body = Vec<serde_json::Value>),
        (status = 400, description = "The statement is wrong, and the detail says where; or it is refused; or the answer would be larger than allowed.", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "It took longer than allowed.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The statement is longer than one may be.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither SQL nor JSON.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn sql(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    parameters::only_output(&uri)?;
    let output = Output::asked(&headers, &uri)?;
    let format = output.format;
    let text = statement(&headers, body).await?;
    let warning = warning_of(&text);
    let caller = match &principal {
        Principal::User(account) => &account.name,
        _ => "",
    };
    let SqlAnswer { schema, batches } = app.central().engine().sql_for(caller, &text).await?;
    if format == Format::Json {
        each_name_once(&schema)?;
    }
    let encoder = Encoder::new(output, &schema).map_err(|error| unwritable(format, &error))?;
    let mut writing = Writing { encoder: Some(encoder), batches };
    // Headers are sent with the first bytes: so late that what fails at once has its status.
    let first = match writing.step().await {
        Ok(first) => first,
        Err(Broken::Query(error)) => return Err(error.into()),
        Err(Broken::Format(error)) => return Err(unwritable(format, &error)),
        Err(Broken::Thread(error)) => return Err(Problem::internal(error)),
    };
    let first = stream::iter(first.map(Ok));
    let rest = stream::try_unfold(writing, |mut writing| async move { Ok(writing.step().await?.map(|bytes| (bytes, writing))) });
    let rest = rest.inspect_err(|error: &Broken| tracing::info!(error = describe(error), "an answer to SQL was broken off"));
    let mut response = Body::from_stream(first.chain(rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // RFC 7234: nothing else says in a header that something will not be taken for long.
    if let Some(warning) = warning.and_then(|warning| HeaderValue::from_str(&format!("299 zonepulse \"{warning}\"")).ok()) {
        headers.insert(header::WARNING, warning);
    }
    Ok(response)
}

/// The statement that a body is.
async fn statement(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let media_type = body::media_type(headers);
    if ![SQL, JSON].contains(&media_type.as_str()) {
        let detail = format!("Content-Type is {media_type:?}: send the statement as {SQL}, or {{\"sql\": \"…\"}} as {JSON}");
        return Err(Problem::new(Case::UnknownFormat, detail));
    }
    let bytes = body::whole(body, MAX_BODY_BYTES, |_| Ok(())).await?;
    if media_type == JSON {
        let read = serde_json::from_slice::<SqlStatement>(&bytes);
        return read
            .map(|statement| statement.sql)
            .map_err(|error| Problem::parameter("sql", format_args!("not {{\"sql\": \"…\"}}: {error}")));
    }
    String::from_utf8(bytes.into()).map_err(|error| Problem::parameter("sql", error.utf8_error()))
}

/// An object of JSON can have a name once.
fn each_name_once(schema: &Schema) -> Result<(), Problem> {
    let mut names = BTreeSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) => {
            let reason =
                format_args!("two columns are called {:?}: give one of them another name with AS, or ask for CSV", field.name());
            Err(Problem::parameter("sql", reason))
        }
        None => Ok(()),
    }
}

/// A column of a type that the format has no way to write.
fn unwritable(format: Format, error: &arrow::error::ArrowError) -> Problem {
    Problem::parameter("sql", format_args!("the answer cannot be written as {}: {error}", format.media_type()))
}

/// Rows on their way into bytes.
struct Writing {
    /// None when the end is written.
    encoder: Option<Encoder>,
    batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

/// Why an answer ends too early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Query(#[from] Error),
    #[error(transparent)]
    Format(#[from] arrow::error::ArrowError),
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
}

impl Writing {
    /// The next bytes; none when all has been said.
    async fn step(&mut self) -> Result<Option<Bytes>, Broken> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(None) };
        let Some(batch) = self.batches.next().await.transpose()? else {
            return Ok(Some(encoder.finish()?.into()));
        };
        if is_small(&batch) {
            encoder.write(&batch)?;
        } else {
            // Thousands of rows take a while: not on a thread that serves others.
            let written = tokio::task::spawn_blocking(move || encoder.write(&batch).map(|()| encoder));
            encoder = written.await??;
        }
        let bytes = encoder.take();
        self.encoder = Some(encoder);
        Ok(Some(bytes.into()))
    }
}
