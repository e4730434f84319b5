//! The OpenAPI document.
//!
//! Calls are described at their functions, parameters where they are declared (`question::groups`), and bodies where they
//! are read or written. Rows of the query engine are described here ([`points`], [`aggregate`], [`metrics`]).

pub mod aggregate;
pub mod metrics;
pub mod points;
mod rows;
pub mod words;

use crate::http::answer::negotiate::Format;
use crate::http::answer::paging::TOTAL_HEADER;
use crate::http::answer::problem::{MEDIA_TYPE as PROBLEM, Problem};
use crate::http::door::cookie;
use crate::http::paths;
use axum::http::{HeaderValue, header};
use axum::response::Response as Answer;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};
use zonepulse_central::rights::Need;

/// The path of the document.
pub const DOCUMENT_PATH: &str = "/api/v2/openapi.json";
/// The path of the page to try it out.
pub const DOCS_PATH: &str = "/api/docs";
/// Swagger UI loads its own scripts and styles, has images in its style sheet, and calls this central.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// Restricts what browsers let the page do.
pub async fn docs_policy(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    answer
}

/// The document without calls, which the routes add.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// Adds to every call of a group what it has in common with others: who may call it, formats, headers, problems.
pub fn complete(document: &mut OpenApi, need: Need) {
    let schemes: &[&str] = match need {
        Need::Nothing => &[],
        Need::Server => &["server_token"],
        Need::Enrollment => &["enrollment_token"],
        Need::User | Need::Right(_) | Need::Administrator => &["password", "user_token", "session"],
    };
    for (path, item) in &mut document.paths.paths {
        let reading = item.get.as_mut().map(|operation| (operation, false));
        let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
        for (operation, changes) in reading.into_iter().chain(changing.map(|operation| (operation, true))) {
            add_refusals(operation, changes);
            if need == Need::Nothing {
                // A login: credentials come in the body.
                if operation.request_body.is_some() {
                    add_problems(operation, false);
                }
                continue;
            }
            operation.security = Some(schemes.iter().map(|scheme| SecurityRequirement::new::<_, _, &str>(*scheme, [])).collect());
            // The query engine's answers are available in every format.
            let queried = ["/api/v2/monitoring/dns/", "/api/v2/monitoring/system/"].iter().any(|prefix| path.starts_with(prefix));
            let negotiated = queried || path == paths::SQL;
            if negotiated {
                describe_formats(operation);
            }
            let paged = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == "offset");
            if operation.parameters.iter().flatten().any(paged) {
                describe_paging(operation);
            }
            add_problems(operation, negotiated);
            tell_need(operation, need);
        }
    }
}

/// Adds which right a call requires.
fn tell_need(operation: &mut Operation, need: Need) {
    let text = match need {
        Need::Right(right) => format!("Requires the right `{}`.", right.as_str()),
        Need::Administrator => "Requires an administrator.".to_owned(),
        _ => return,
    };
    let description = operation.description.get_or_insert_default();
    if !description.is_empty() {
        description.push_str("\n\n");
    }
    description.push_str(&text);
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Zonepulse monitoring API",
        description = "Which DNS records are used, how much, and when they were last used.\n\n\
            Lists are bare arrays, paged with `offset` and `limit`; `X-Total-Count` is the number of rows before paging, and \
            `Link` leads to the next page. `Accept` selects JSON, CSV or Arrow; the fields are the same in all. Times in answers \
            are RFC 3339 in UTC; times in requests are RFC 3339, dates, Unix seconds, or relative to now. Answers are compressed \
            (zstd, gzip) for clients that send `Accept-Encoding`. Errors are problem documents (RFC 9457) that name the parameter \
            at fault. An unknown parameter is an error.",
        license(name = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "DNS", description = "DNS requests and responses."),
        (name = "System", description = "Metrics of the machines."),
        (name = "SQL", description = "Any other question about the data."),
        (name = "Monitoring", description = "The state of the servers."),
        (name = "Servers", description = "The managed servers and their settings."),
        (name = "Installation", description = "Probes for the servers: images, setup bundles, and installation over SSH."),
        (name = "Users", description = "Users, their rights, and the audit log."),
        (name = "Probes", description = "Calls for probes."),
        (name = "Service", description = "The central itself."),
    ),
    components(schemas(Problem)),
    modifiers(&Schemes),
)]
struct Base;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some("A user's name and password."));
        components.add_security_scheme("password", SecurityScheme::Http(basic.build()));
        for (name, description) in [
            ("user_token", "A user's token: it has the rights of the user."),
            ("server_token", "A server's token: its probe may send batches and heartbeats for this server."),
            ("enrollment_token", "A one-time token, with which a probe gets a token of its own."),
        ] {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
            components.add_security_scheme(name, SecurityScheme::Http(bearer.build()));
        }
        let description = "The session of a browser, from `POST /api/v2/session`; over TLS the name begins with `__Host-`. \
            Requests that are not GET or HEAD also need the header `X-CSRF-Token`, with the `csrf_token` of `GET \
            /api/v2/session`. `Authorization` comes first if both are sent.";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(cookie::NAME, description));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

fn describe_formats(operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    for format in [Format::Csv, Format::Arrow] {
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).description(Some(match format {
            Format::Csv => {
                "The same fields, comma-separated, with a header line. See `escape` before opening it in a spreadsheet."
            }
            _ => "The same fields as an Arrow IPC stream.",
        }));
        response.content.insert(format.media_type().to_owned(), ContentBuilder::new().schema(Some(text)).build().into());
    }
}

fn describe_paging(operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(0));
    let total = HeaderBuilder::new().schema(Some(number)).description(Some("Number of rows before paging."));
    response.headers.insert(canonical(TOTAL_HEADER), total.build().into());
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let link =
        HeaderBuilder::new().schema(Some(text)).description(Some("The next page, `rel=\"next\"` (RFC 8288), if there is one."));
    response.headers.insert("Link".to_owned(), link.build().into());
}

/// `x-total-count` as `X-Total-Count`.
fn canonical(name: &str) -> String {
    let mut up = true;
    let letter = |c: char| {
        let c = if up { c.to_ascii_uppercase() } else { c };
        up = c == '-';
        c
    };
    name.chars().map(letter).collect()
}

/// The problems with which a request is refused before it reaches its call.
fn add_refusals(operation: &mut Operation, changes: bool) {
    let mut problems = vec![("414", "The path with its parameters is too long.")];
    if changes {
        let text = "These credentials do not allow it, or a page of another site caused the request, or it has the cookie of a \
            session and not its `X-CSRF-Token`.";
        problems.push(("403", text));
        problems.push(("415", "`Content-Type` is missing, or this call does not accept it."));
    }
    add(operation, &problems);
}

/// The problems that all calls of a kind have in common.
fn add_problems(operation: &mut Operation, negotiated: bool) {
    let mut problems = vec![
        ("401", "Credentials are missing or wrong."),
        ("403", "These credentials do not allow it."),
        ("408", "The request, or its answer, took too long."),
        ("429", "Too many wrong passwords from this address; `Retry-After` says when to try again."),
        ("500", "An internal error; the central's log has the details."),
        ("503", "The central is busy; `Retry-After` says when to try again."),
    ];
    problems.push(("400", "A parameter is invalid; `parameter` names it."));
    if negotiated {
        problems.push(("406", "`Accept` names no format that this call supports."));
    }
    if operation.request_body.is_some() {
        problems.push(("413", "The body is larger than allowed."));
    }
    add(operation, &problems);
}

/// Adds problems that the call itself does not describe.
fn add(operation: &mut Operation, problems: &[(&str, &str)]) {
    for (status, description) in problems {
        let responses = &mut operation.responses.responses;
        responses.entry((*status).to_owned()).or_insert_with(|| RefOr::T(problem(status, description)));
    }
}

fn problem(status: &str, description: &str) -> Response {
    let schema = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new().description(description).content(PROBLEM, schema);
    let text = || ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    if status == "401" {
        let header = HeaderBuilder::new().schema(Some(text())).description(Some(
            "`Basic realm=\"zonepulse\"`, unless the request has `X-Zonepulse-Page`, and, in a separate header, `Bearer`.",
        ));
        response = response.header("WWW-Authenticate", header.build());
    }
    if matches!(status, "429" | "503") {
        let header = HeaderBuilder::new().schema(Some(text())).description(Some("Seconds to wait."));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}
