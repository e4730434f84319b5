//! The OpenAPI document, and the words it needs.
//!
//! What a call says of itself stands at its function. The parameters and rows
//! that calls share are described here; tests hold the parameters against what
//! `parameters` accepts and the rows against what the query engine gives.

use crate::monitoring::TOTAL_HEADER;
use crate::negotiate::Format;
use crate::problem::{MEDIA_TYPE as PROBLEM, Problem};
use crate::rights::Need;
use axum::http::{HeaderValue, header};
use axum::response::Response as Answer;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, SecurityRequirement};
use utoipa::{IntoParams, Modify, OpenApi as _, ToSchema};

mod aggregate;
use aggregate::Interval;
pub use aggregate::{ByAndInterval, DnsAggregate, DnsRate, KeptTotals};

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
pub fn document() -> OpenApi {
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
            let negotiated = queried || path == crate::sql::PATH;
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

/// Which points a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Selection {
    /// Servers by id; repeat it for several. A server that does not exist is an error.
    #[expect(dead_code, reason = "describes a parameter")]
    server_id: Option<Vec<u32>>,
    /// Resources of the catalogue; repeat it for several. A record without a resource has 0.
    #[expect(dead_code, reason = "describes a parameter")]
    resource_id: Option<Vec<u64>>,
    /// Owner names, with or without the final dot, in any case; repeat it for several. `*` matches any part:
    /// `*.example.com`, `*mail*`. A star that is meant literally is written `\*`, and an octet that is no character
    /// `\255`. Labels in Unicode are compared as punycode: `bücher.example` is `xn--bcher-kva.example`. Messages that were summed up because a
    /// table was full have the host `<other>`, or `<other> example.com.` of a zone, and match by that; a space that is
    /// part of a name is written `\032`.
    #[expect(dead_code, reason = "describes a parameter")]
    host: Option<Vec<String>>,
    /// Record types, mnemonics such as `AAAA`, numbers, or `TYPE65`; repeat it for several.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(rename = "type")]
    record_type: Option<Vec<String>>,
    /// `true` for messages that were summed up under `<other>` because a table was full and nothing else, `false` for
    /// records with a name of their own.
    #[expect(dead_code, reason = "describes a parameter")]
    folded: Option<bool>,
    /// Requests or responses.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    action: Option<Action>,
    /// Response codes, mnemonics such as `NXDOMAIN` or numbers up to 4095; repeat it for several. Leaves out requests.
    #[expect(dead_code, reason = "describes a parameter")]
    rcode: Option<Vec<String>>,
}

/// Which servers a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ServerSelection {
    /// Servers by id; repeat it for several. A server that does not exist is an error.
    #[expect(dead_code, reason = "describes a parameter")]
    server_id: Option<Vec<u32>>,
}

/// Which metrics a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SeriesSelection {
    /// Servers by id; repeat it for several. A server that does not exist is an error.
    #[expect(dead_code, reason = "describes a parameter")]
    server_id: Option<Vec<u32>>,
    /// Metrics by name, such as `cpu_percent`; repeat it for several.
    #[expect(dead_code, reason = "describes a parameter")]
    metric: Option<Vec<String>>,
    /// Labels: cores, mounts, devices, states; repeat it for several. The empty one is that of metrics of which
    /// there is only one.
    #[expect(dead_code, reason = "describes a parameter")]
    label: Option<Vec<String>>,
}

/// How long buckets are.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BucketLength {
    /// The length of a bucket; `5m` without it. `1d` is a day of `time_zone`, of 23 or 25 hours where clocks are changed.
    // Said in words: beside an inlined type a default would make it an object.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    interval: Option<Interval>,
}

/// Which time a question is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Range {
    /// From when on, inclusive: RFC 3339 such as `2026-01-31T12:00:00Z`; a date, which is its first moment in `time_zone`;
    /// Unix seconds; or a time counted from now: `now`, `-24h` (`s`, `m`, `h`, `d` or `w`; a day has 24 hours).
    #[expect(dead_code, reason = "describes a parameter")]
    date_from: Option<String>,
    /// Until when, exclusive, written like `date_from` and not before it.
    #[expect(dead_code, reason = "describes a parameter")]
    date_to: Option<String>,
    /// In which zone dates are meant and days of `interval=1d` begin, by its name in the IANA database, such as
    /// `Europe/Prague`; UTC unless told otherwise.
    #[expect(dead_code, reason = "describes a parameter")]
    time_zone: Option<String>,
}

/// Which rows of an answer to give.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Columns to sort by, with commas between, the most important first; a minus in front means
    /// largest first: `hits,-last_access`.
    #[expect(dead_code, reason = "describes a parameter")]
    sort: Option<String>,
    /// How many rows to skip. `Link` has the next page of the same rows: there, times that are counted from now, and an end that
    /// was left out, are what they were. Without it, give both times in full.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(default = 0)]
    offset: Option<u64>,
    /// How many rows to give.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(default = 1000, maximum = 100000)]
    limit: Option<u32>,
}

/// How the answer is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Escaping {
    /// For CSV that is opened in a spreadsheet: `spreadsheet` puts a `'` before a text, and after a semicolon or tab within
    /// one, where a formula would begin (`=`, `+`, `-`, `@`, a tab, a line break). Numbers and times are never changed.
    /// `none` by itself, because programs read it.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(inline)]
    escape: Option<Escape>,
}

/// What sums are split by, and into which steps.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByAndStep {
    /// The length of a step, seconds; the interval of the probes unless told otherwise.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(minimum = 1)]
    step: Option<u32>,
    /// What to split the sums by, with commas between: `record`, `server`, `action`.
    #[expect(dead_code, reason = "describes a parameter")]
    #[param(style = Form, explode = false, inline)]
    by: Option<Vec<By>>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
enum Action {
    Request,
    Response,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
enum By {
    Record,
    Server,
    Action,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a parameter")]
enum Escape {
    None,
    Spreadsheet,
}

/// Declares a row: its fields in order, so that a test can hold them against the query engine's answers.
macro_rules! row {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $field:ident $(as $renamed:literal)?: $kind:ty,)* }) => {
        $(#[$outer])*
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "describes a row")]
        pub struct $name {
            $($(#[$inner])* $(#[schema(rename = $renamed)])? $field: $kind,)*
        }
    };
}

row! {
    /// The hits of one record, action and response code on one server in one interval.
    DnsPoint {
        /// Start of the interval.
        #[schema(format = DateTime)]
        time: String,
        /// Length of the interval, seconds.
        interval_s: u32,
        /// The server's id.
        server_id: u32,
        /// The server's display name.
        server: String,
        /// The resource of the catalogue that the record belongs to, or 0.
        resource_id: u64,
        /// Owner name: lower case, with a final dot.
        #[schema(example = "www.example.com.")]
        host: String,
        /// Record type.
        #[schema(example = "AAAA")]
        record_type as "type": String,
        /// Whether it stands for messages that were summed up because a table was full; the host is then `<other>`, or
        /// `<other>` and a zone, and no name.
        folded: bool,
        /// `request` or `response`.
        action: Action,
        /// Response code; null for a request.
        #[schema(required)]
        rcode: Option<String>,
        /// DNS messages.
        hits: u64,
        /// Time of the last of them.
        #[schema(format = DateTime)]
        last_access: String,
    }
}

row! {
    /// What a probe reported of one interval.
    CoverageReport {
        /// Start of the interval.
        #[schema(format = DateTime)]
        time: String,
        /// Length of the interval, seconds.
        interval_s: u32,
        /// The server's id.
        server_id: u32,
        /// The server's display name.
        server: String,
        /// The run of the probe, 16 hexadecimal digits.
        epoch: String,
        /// The number of the report in that run.
        seq: u64,
        /// When in the interval the probe began to listen.
        #[schema(format = DateTime)]
        covered_from: String,
        /// When it ceased.
        #[schema(format = DateTime)]
        covered_until: String,
        /// Messages that were counted.
        hits: u64,
        /// DNS messages that were seen.
        messages_seen: u64,
        /// Those that are not counted, such as updates, other classes than IN, and malformed ones.
        not_counted: u64,
        /// Packets that the kernel dropped before the probe could see them.
        kernel_dropped: u64,
        /// Packets that the network interface dropped.
        interface_dropped: u64,
        /// Batches, of DNS or of metrics, that the probe had to give up before this one.
        batches_evicted: u64,
        /// Start of the first interval that was given up.
        #[schema(format = DateTime, required)]
        evicted_from: Option<String>,
        /// End of the last interval that was given up.
        #[schema(format = DateTime, required)]
        evicted_until: Option<String>,
        /// Milliseconds of the coverage that an earlier report of another run of a probe covers, too, as when two probes use one
        /// token: what both saw counts twice.
        overlap_ms: u64,
        /// All other counters that are not zero, as `name=value` with spaces between.
        #[schema(example = "packets_seen=42 opcode_notify=1")]
        losses: String,
        /// Milliseconds of the coverage in which the probe had reason to believe that it did not see the DNS server's messages:
        /// that time is covered, and yet not observed.
        blind_ms: u64,
    }
}
