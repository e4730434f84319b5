//! The OpenAPI document, and the words it needs.
//!
//! What a call says of itself stands at its function. The parameters and rows
//! that calls share are described here ([`parameters`], [`points`], [`aggregate`]).

pub mod aggregate;
pub mod parameters;
pub mod points;
mod words;

use crate::http::answer::negotiate::Format;
use crate::http::answer::paging::TOTAL_HEADER;
use crate::http::answer::problem::{MEDIA_TYPE as PROBLEM, Problem};
use crate::http::paths;
use axum::http::{HeaderValue, header};
use axum::response::Response as Answer;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, SecurityRequirement};
use utoipa::{Modify, OpenApi as _};
use zonepulse_central::rights::Need;

/// Where the document is.
pub const DOCUMENT_PATH: &str = "/api/v2/openapi.json";
/// Where the page to try it is.
pub const DOCS_PATH: &str = "/api/docs";
/// The page that tries calls (Swagger UI) runs its own scripts and styles, has images in its style sheet, and asks
/// this central.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

/// Tells browsers what the page may do.
pub async fn docs_policy(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, DOCS_POLICY);
    answer
}

/// What the document begins with; the routes add their calls.
pub fn base() -> OpenApi {
    Base::openapi()
}

/// Adds to every call of a group what all of its kind have: who may call it, formats, headers, problems.
pub fn complete(document: &mut OpenApi, need: Need) {
    let schemes: &[&str] = match need {
        Need::Nothing => &[],
        Need::Server => &["server_token"],
        Need::Enrollment => &["enrollment_token"],
        Need::User | Need::Right(_) | Need::Administrator => &["password", "user_token"],
    };
    for (path, item) in &mut document.paths.paths {
        let reading = item.get.as_mut().map(|operation| (operation, false));
        let changing = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten();
        for (operation, changes) in reading.into_iter().chain(changing.map(|operation| (operation, true))) {
            add_refusals(operation, changes);
            if need == Need::Nothing {
                continue;
            }
            operation.security = Some(schemes.iter().map(|scheme| SecurityRequirement::new::<_, _, &str>(*scheme, [])).collect());
            // What the query engine answers, it answers in every format.
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

/// Says in words what a call needs.
fn tell_need(operation: &mut Operation, need: Need) {
    let text = match need {
        Need::Right(right) => format!("Needs the right `{}`.", right.as_str()),
        Need::Administrator => "Needs an administrator.".to_owned(),
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
        description = "Which DNS records are used, how much, and when last.\n\n\
            Lists are bare arrays with `offset` and `limit`; `X-Total-Count` has the rows before paging, and \
            `Link` the next page. `Accept` chooses JSON, CSV or Arrow; the fields are the same in all. Times out are RFC 3339 in \
            UTC; times in are RFC 3339, dates, Unix seconds, or counted from now. Answers are compressed (zstd, gzip) for \
            whoever sends `Accept-Encoding`. What is wrong is said in problem documents (RFC 9457) that \
            name the parameter at fault. A parameter that is not known is an error.",
        license(name = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "DNS", description = "What was asked and answered."),
        (name = "System", description = "How the machines are doing."),
        (name = "SQL", description = "Whatever else you want to know."),
        (name = "Monitoring", description = "Whether all is well."),
        (name = "Servers", description = "The managed servers, and what is set for them."),
        (name = "Users", description = "Who may do what, and who did."),
        (name = "Probes", description = "What probes call."),
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
            ("user_token", "A user's token: with it a program may do what the user may."),
            ("server_token", "A server's token: its probe may send of this server."),
            ("enrollment_token", "A one-time token: a probe may come for a token of its own."),
        ] {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
            components.add_security_scheme(name, SecurityScheme::Http(bearer.build()));
        }
    }
}

fn describe_formats(operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    for format in [Format::Csv, Format::Arrow] {
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).description(Some(match format {
            Format::Csv => {
                "The same fields, comma separated, with a header line. See `escape` before opening it in a spreadsheet."
            }
            _ => "The same fields as an Arrow IPC stream.",
        }));
        response.content.insert(format.media_type().to_owned(), ContentBuilder::new().schema(Some(text)).build().into());
    }
}

fn describe_paging(operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") else { return };
    let number = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).minimum(Some(0));
    let total = HeaderBuilder::new().schema(Some(number)).description(Some("Rows before paging."));
    response.headers.insert(canonical(TOTAL_HEADER), total.build().into());
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
    let link = HeaderBuilder::new()
        .schema(Some(text))
        .description(Some("The next page, `rel=\"next\"` (RFC 8288), where there is one."));
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

/// The problems with which a request is refused before its call sees it.
fn add_refusals(operation: &mut Operation, changes: bool) {
    let mut problems = vec![("414", "The path with its parameters is too long.")];
    if changes {
        problems.push(("403", "These credentials do not allow this, or a page of another site caused the request."));
        problems.push(("415", "`Content-Type` is missing, or is none that this call takes."));
    }
    add(operation, &problems);
}

/// The problems that a call can have because of what kind of call it is.
fn add_problems(operation: &mut Operation, negotiated: bool) {
    let mut problems = vec![
        ("401", "Credentials are missing or wrong."),
        ("403", "These credentials do not allow this."),
        ("408", "The request did not arrive in time, or its answer was not there in time."),
        ("429", "Too many wrong passwords from here; `Retry-After` says when to try again."),
        ("500", "The server has a fault; its log says which."),
        ("503", "The server is busy; `Retry-After` says when to try again."),
    ];
    problems.push(("400", "A parameter is not valid; `parameter` names it."));
    if negotiated {
        problems.push(("406", "`Accept` names no format that this call has."));
    }
    if operation.request_body.is_some() {
        problems.push(("413", "The body is larger than allowed."));
    }
    add(operation, &problems);
}

/// Describes problems that the call itself does not describe.
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
        let header = HeaderBuilder::new()
            .schema(Some(text()))
            .description(Some("`Basic realm=\"zonepulse\"` and, in a header of its own, `Bearer`."));
        response = response.header("WWW-Authenticate", header.build());
    }
    if matches!(status, "429" | "503") {
        let header = HeaderBuilder::new().schema(Some(text())).description(Some("Seconds to wait."));
        response = response.header("Retry-After", header.build());
    }
    response.build()
}
