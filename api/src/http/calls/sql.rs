//! `POST /api/v2/sql`: read-only SQL.
//!
//! Rows are sent as they arrive ([`stream`]), so an answer of any length takes little memory.

use crate::http::answer::negotiate::{Format, Output};
use crate::http::answer::problem::{Case, Problem};
use crate::http::answer::render::Encoder;
use crate::http::answer::stream::{self, Broken};
use crate::http::question::groups::Escaping;
use crate::http::question::{body, parameters};
use crate::http::state::App;
use arrow::datatypes::Schema;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::credentials::Principal;
use zonepulse_query::{MAX_SQL_BYTES, SqlAnswer, warning_of};

/// The media type of SQL text (RFC 6922).
const SQL: &str = "application/sql";
const JSON: &str = "application/json";
/// In JSON, an octet of the statement may take six.
const MAX_BODY_BYTES: usize = 6 * MAX_SQL_BYTES + 1024;

/// The route, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(sql))
}

/// A SQL statement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SqlStatement {
    /// One read-only statement.
    #[schema(example = "SELECT host, type, sum(hits) AS hits FROM requests_1h GROUP BY host, type ORDER BY hits DESC LIMIT 10")]
    sql: String,
}

/// Query in SQL
///
/// One read-only statement: `SELECT`, `WITH`, `VALUES`, `EXPLAIN`, `DESCRIBE`, `SHOW TABLES` or `SHOW COLUMNS`, in
/// DataFusion's dialect. `SHOW TABLES` and `DESCRIBE dns_raw` show what can be queried. Anything else is refused.
///
/// A request and its response are two hits: `dns_…` and `records` contain both (column `action`), `requests_…` only
/// requests. A name that `host` is compared with (`=`, `<>`, `IN`) may be in any case, without the final dot, and in
/// Unicode; a `LIKE` pattern in any case and without the final dot. The answer has a `Warning` header if the statement
/// contains a name that the next release will refuse.
///
/// The body is the statement itself, or JSON. Rows are sent as they are produced. An error after the first row cannot
/// change the status: the connection is then closed before the last chunk, which clients report as an incomplete answer.
/// The section `sql` of the configuration limits rows, bytes, memory, time and the number of concurrent statements. Closing
/// the connection cancels the statement.
#[utoipa::path(
    post, path = "/api/v2/sql", operation_id = "sql", tag = "SQL",
    params(Escaping),
    request_body(
        description = "One statement, as text or in JSON.",
        content(
            (String = "application/sql", example = "SELECT host, type, sum(hits) AS hits FROM requests_raw WHERE time > now() - INTERVAL '1 day' GROUP BY host, type ORDER BY hits DESC LIMIT 10"),
            (SqlStatement = "application/json"),
        )
    ),
    responses(
        (status = 200, description = "The rows, each an object with a field per column.", body = Vec<serde_json::Value>),
        (status = 400, description = "The statement is invalid (the detail says where) or not allowed, or the answer would be too large.", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "It took longer than allowed.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The statement is too long.", body = Problem, content_type = "application/problem+json"),
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
    let body = match stream::body(encoder, batches).await {
        Ok(body) => body,
        Err(Broken::Rows(error)) => return Err(error.into()),
        Err(Broken::Format(error)) => return Err(unwritable(format, &error)),
        Err(Broken::Thread(error)) => return Err(Problem::internal(error)),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    // RFC 7234: nothing else says in a header that something will not be taken for long.
    if let Some(warning) = warning.and_then(|warning| HeaderValue::from_str(&format!("299 zonepulse \"{warning}\"")).ok()) {
        headers.insert(header::WARNING, warning);
    }
    Ok(response)
}

/// The statement in a body.
async fn statement(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let media_type = body::media_type(headers)?;
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

/// Names are unique in a JSON object.
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

/// A column of a type that the format cannot represent.
fn unwritable(format: Format, error: &arrow::error::ArrowError) -> Problem {
    Problem::parameter("sql", format_args!("the answer cannot be written as {}: {error}", format.media_type()))
}
