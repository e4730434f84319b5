//! HTTP basics shared by everything that talks to the central.

use crate::Error;
use crate::version::USER_AGENT;
use reqwest::{Client, ClientBuilder, Response, Url};
use rustls::ClientConfig;
use std::net::IpAddr;
use std::time::Duration;
use zonepulse_net::{Trust, http, tls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Read limit for an error document.
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// Maximum length of a label and of a name without the final dot, octets (RFC 1035 section 2.3.4).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// Checks the URL of a central; the error says what is wrong.
pub fn check_url(url: &str) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| format!("is not a valid URL ({error}); write https://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("has the scheme {}, not http or https; write https://host:port", url.scheme()));
    }
    if !has_host(&url) {
        return Err("has a host that is neither an FQDN nor an IP address; write https://host:port".into());
    }
    if url.port() == Some(0) {
        return Err("has the port 0; give one from 1 to 65535".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a credential, which belongs in token or token_file".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; write https://host:port".into());
    }
    Ok(())
}

/// Whether the host is an IP address or an FQDN. URLs with malformed IPv4 numbers have already
/// failed to parse.
pub(crate) fn has_host(url: &Url) -> bool {
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    url.domain().is_none_or(|name| {
        let name = name.strip_suffix('.').unwrap_or(name);
        name.len() <= LONGEST_NAME && name.split('.').all(is_label)
    })
}

/// An HTTP client for the central at this URL.
pub(crate) fn client(url: &str, trust: &Trust) -> Result<ClientBuilder, Error> {
    Ok(ours(http::client(url, trust)?))
}

/// The same, from a finished TLS configuration.
pub(crate) fn client_with(config: ClientConfig) -> ClientBuilder {
    ours(http::client_with(config))
}

fn ours(builder: ClientBuilder) -> ClientBuilder {
    builder.user_agent(USER_AGENT).connect_timeout(CONNECT_TIMEOUT)
}

/// Builds a client.
pub(crate) fn build(builder: ClientBuilder) -> Result<Client, Error> {
    Ok(http::build(builder)?)
}

/// Logs warnings about insecure settings.
pub(crate) fn warn_if_unsafe(url: &str, trust: &Trust) {
    if http::is_https(url) && !trust.verifies() {
        tracing::warn!(
            url,
            "the central's certificate is NOT verified (verify_ca is off): anyone on the path can read the token and the data"
        );
    }
    if !http::is_https(url) && !is_loopback(url) {
        tracing::warn!(
            url,
            "the token crosses the network as PLAIN TEXT, and an eavesdropper can impersonate this server: use https://"
        );
    }
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The title and detail of a problem document (RFC 9457), or the first line of any other body.
pub(crate) async fn read_problem(response: Response) -> String {
    summary(&http::start_of_body(response, MAX_PROBLEM_BYTES).await)
}

/// Like [`read_problem`], with the document's type, which distinguishes the cases; empty if there
/// is none.
pub(crate) async fn read_typed_problem(response: Response) -> (String, String) {
    #[derive(serde::Deserialize)]
    struct Problem {
        #[serde(rename = "type", default)]
        kind: String,
    }
    let body = http::start_of_body(response, MAX_PROBLEM_BYTES).await;
    let kind = serde_json::from_str(&body).map(|Problem { kind }| kind).unwrap_or_default();
    (kind, summary(&body))
}

fn summary(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        title: Option<String>,
        detail: Option<String>,
    }
    let text = match serde_json::from_str(body) {
        Ok(Problem { title: Some(title), detail: Some(detail) }) => format!("{title}: {detail}"),
        Ok(Problem { title: Some(text), detail: None } | Problem { title: None, detail: Some(text) }) => text,
        _ => body.lines().next().unwrap_or_default().to_owned(),
    };
    text.chars().filter(|letter| !letter.is_control()).take(500).collect::<String>().trim().to_owned()
}

/// The innermost cause of an error, such as "Connection refused (os error 111)".
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let cause = cause(error);
    let what = match () {
        () if tls::is_untrusted(error) => "cannot connect securely",
        () if error.is_connect() => "cannot connect",
        () if error.is_timeout() => "no answer in time",
        () => "the request failed",
    };
    format!("{what}: {cause}")
}

fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_summarised_in_a_line() {
        let body = r#"{"type":"about:blank","title":"Malformed batch","status":400,"detail":"order of rows"}"#;
        assert_eq!(summary(body), "Malformed batch: order of rows");
        assert_eq!(summary(r#"{"title":"Busy"}"#), "Busy");
        assert_eq!(summary("<html>\n<body>"), "<html>");
        assert_eq!(summary(""), "");
        assert_eq!(summary(&"x".repeat(9000)).len(), 500);
    }

    #[test]
    fn an_address_that_cannot_work_is_found_before_it_is_used() {
        for good in ["http://127.0.0.1:8053", "https://central.example/zonepulse/", "http://[::1]:8053"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in ["", "127.0.0.1:8053", "amqp://x", "ftp://x", "https://me:secret@x", "http://x?y", "http://"] {
            let error = check_url(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn local_connections_need_no_encryption() {
        assert!(["http://127.0.0.1:1", "http://[::1]:1/x", "http://localhost"].into_iter().all(is_loopback));
        assert!(!["http://192.0.2.1", "http://localhost.example", "rubbish"].into_iter().any(is_loopback));
    }
}
