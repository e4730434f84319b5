//! A client of the monitoring API.

use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Url};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The media type of a batch.
pub const BATCH: &str = "application/vnd.zonepulse.batch";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("an asynchronous runtime can be made"));
static CLIENT: LazyLock<Client> = LazyLock::new(|| made(builder().timeout(Duration::from_secs(60))));

/// A client for servers on this machine.
fn builder() -> ClientBuilder {
    // TLS uses the process's default cryptography provider. Fails if one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy()
}

fn made(builder: ClientBuilder) -> Client {
    builder.build().expect("an HTTP client can be made")
}

/// Runs a future to completion.
pub fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Whose credentials to use.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Anonymous.
    None,
    /// A user (Basic).
    User(String, String),
    /// A token (Bearer).
    Token(String),
}

/// A central's address, with credentials.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    credentials: Credentials,
    client: Client,
}

/// A complete answer.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    headers: BTreeMap<String, String>,
    /// The body as received.
    pub body: Vec<u8>,
}

/// The parameter that starts a question at the beginning of time; many default to the last day.
pub const ALL_TIME: (&str, &str) = ("date_from", "0");

/// A row of a JSON answer.
pub type Row = serde_json::Map<String, Value>;

impl Api {
    /// A client for the central on this port.
    pub fn new(port: u16, credentials: Credentials) -> Self {
        Api { base: format!("http://127.0.0.1:{port}"), credentials, client: CLIENT.clone() }
    }

    /// A client for a central with TLS, which trusts only this authority (PEM).
    pub fn secure(base: &str, authority: &str, credentials: Credentials) -> Self {
        let authority = Certificate::from_pem(authority.as_bytes()).expect("a certificate");
        let builder = builder().timeout(Duration::from_secs(60)).tls_certs_only([authority]);
        Api { base: base.to_owned(), credentials, client: made(builder) }
    }

    /// The same with other credentials.
    pub fn with(&self, credentials: Credentials) -> Self {
        Api { credentials, ..self.clone() }
    }

    /// `GET`, with this path.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)], accept: &str) -> Response {
        let url = self.url(path, parameters);
        self.send(Method::GET, url.clone(), &[("accept", accept)], Vec::new())
            .unwrap_or_else(|error| panic!("no answer to GET {url}: {error}"))
    }

    /// Rows of a monitoring call, such as `dns/raw`; panics unless the answer is 200 with JSON.
    pub fn rows(&self, call: &str, parameters: &[(&str, &str)]) -> Vec<Row> {
        let response = self.get(&format!("/api/v2/monitoring/{call}"), parameters, "application/json");
        assert_eq!(response.status, 200, "{call} {parameters:?}: {}", response.text());
        let Value::Array(rows) = response.json() else { panic!("{call} answers without a list: {}", response.text()) };
        rows.into_iter()
            .map(|row| match row {
                Value::Object(row) => row,
                other => panic!("{call} has a row that is no object: {other}"),
            })
            .collect()
    }

    /// The same, page by page until the end.
    pub fn all_rows(&self, call: &str, parameters: &[(&str, &str)]) -> Vec<Row> {
        const PAGE: usize = 50_000;
        let mut rows = Vec::new();
        loop {
            let (offset, limit) = (rows.len().to_string(), PAGE.to_string());
            let page = self.rows(call, &[parameters, &[("offset", &offset), ("limit", &limit)]].concat());
            let last = page.len() < PAGE;
            rows.extend(page);
            if last {
                return rows;
            }
        }
    }

    /// Sends an encoded batch.
    pub fn post_batch(&self, bytes: Vec<u8>) -> Response {
        let url = self.url("/api/v2/batches", &[]);
        self.send(Method::POST, url, &[("content-type", BATCH)], bytes).expect("the central answers")
    }

    /// Sends JSON.
    pub fn send_json(&self, method: Method, path: &str, body: &Value) -> Response {
        let headers = [("content-type", "application/json")];
        self.send(method, self.url(path, &[]), &headers, body.to_string().into_bytes()).expect("the central answers")
    }

    /// Asks in SQL; `Err` if there was no complete answer.
    pub fn post_sql(&self, text: &str, accept: &str) -> Result<Response, String> {
        let headers = [("content-type", "application/sql"), ("accept", accept)];
        self.send(Method::POST, self.url("/api/v2/sql", &[]), &headers, text.into())
    }

    /// Asks in SQL; panics unless the answer is 200.
    pub fn sql(&self, text: &str, accept: &str) -> Response {
        let response = self.post_sql(text, accept).expect("the central answers");
        assert_eq!(response.status, 200, "{text}: {}", response.text());
        response
    }

    /// Asks in SQL, reads the first piece of the answer, and disconnects after a while. Returns the
    /// number of bytes read.
    pub fn ask_and_leave(&self, text: &str, stay: Duration) -> usize {
        let url = self.url("/api/v2/sql", &[]);
        let mut bytes = 0;
        block_on(async {
            let request = made(builder()).post(url);
            let request = self.authorized(request).header("content-type", "application/sql").body(text.to_owned());
            let reading = async {
                // A refused request returns nothing.
                let Ok(mut response) = request.send().await else { return };
                bytes = response.chunk().await.ok().flatten().map_or(0, |piece| piece.len());
                std::future::pending::<()>().await;
            };
            let _ = tokio::time::timeout(stay, reading).await;
        });
        bytes
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.credentials {
            Credentials::None => request,
            Credentials::User(name, password) => request.basic_auth(name, Some(password)),
            Credentials::Token(token) => request.bearer_auth(token),
        }
    }

    /// Whether the central reports that it is healthy.
    pub fn healthy(&self) -> bool {
        let url = self.url("/healthz", &[]);
        self.send(Method::GET, url, &[], Vec::new()).is_ok_and(|response| response.status == 200)
    }

    /// Sends any request; `Err` if there was no answer.
    pub fn send(&self, method: Method, url: Url, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Response, String> {
        block_on(async {
            let mut request = self.client.request(method, url).body(body);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = self.authorized(request).send().await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            let body = response.bytes().await.map_err(|error| error.to_string())?.to_vec();
            Ok(Response { status, headers, body })
        })
    }

    /// A URL at this central.
    pub fn url(&self, path: &str, parameters: &[(&str, &str)]) -> Url {
        let address = format!("{}{path}", self.base);
        if parameters.is_empty() {
            return Url::parse(&address).expect("a path is part of an address");
        }
        Url::parse_with_params(&address, parameters).expect("a path is part of an address")
    }
}

impl Response {
    /// A header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// A field of a problem document (RFC 9457); panics if the answer is not one.
    pub fn problem(&self, field: &str) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}: {}", self.status, self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "a problem repeats its status");
        problem[field].as_str().unwrap_or_default().to_owned()
    }
}

/// A number in a row.
pub fn number(row: &Row, column: &str) -> u64 {
    row.get(column).and_then(Value::as_u64).unwrap_or_else(|| panic!("{column} is no number in {row:?}"))
}

/// A text in a row; `-` for null.
pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    match row.get(column) {
        Some(Value::String(text)) => text,
        Some(Value::Null) => "-",
        _ => panic!("{column} is no text in {row:?}"),
    }
}

/// A time in a row, Unix milliseconds.
pub fn time_ms(row: &Row, column: &str) -> u64 {
    rfc3339_ms(text(row, column))
}

/// Parses `2026-01-31T12:00:00Z`, with or without a fraction, to Unix milliseconds.
pub fn rfc3339_ms(text: &str) -> u64 {
    let digits: Vec<u64> = text
        .trim_end_matches('Z')
        .split(['-', 'T', ':', '.'])
        .map(|part| part.parse().unwrap_or_else(|_| panic!("{text:?} is no time in UTC")))
        .collect();
    let [year, month, day, hour, minute, second] = digits[..6] else { panic!("{text:?} is no time in UTC") };
    let fraction = text.trim_end_matches('Z').split_once('.').map_or("", |(_, fraction)| fraction);
    let ms: u64 = format!("{fraction:0<3}")[..3].parse().expect("digits make a number");
    // Days since 1970 in the proleptic Gregorian calendar, with years beginning in March.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1 - 719_468;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms
}

/// Unix milliseconds as RFC 3339.
pub fn rfc3339(ms: u64) -> String {
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    // The civil date of a day number, in the same calendar as `rfc3339_ms`.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    let text =
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
    assert_eq!(rfc3339_ms(&text), days * 86_400_000 + ms_of_day);
    text
}
