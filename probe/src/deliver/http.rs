//! Straight to the central: one POST for each batch.

use super::{Answer, MEDIA_TYPE};
use crate::{Error, Secret};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use std::time::Duration;

/// So many batches are on their way at once.
pub const WINDOW: usize = 8;

const PATH: &str = "/api/v2/batches";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A large batch over a slow line, and a commit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Shorter than an interval and than what servers keep a silent connection for:
/// each minute's batch begins a new one rather than find that the old one is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// More of an error document is not read.
const MAX_PROBLEM_BYTES: usize = 16 << 10;

/// Where to send, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The central's address, `http://host:port`.
    pub url: String,
    /// The token that the central has given this server.
    pub token: Secret,
}

/// Says what is wrong with the address of a central.
pub fn check_url(url: &str) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| format!("is no URL ({error}); write http://host:port"))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err("this version sends over http:// only".into()),
        scheme => return Err(format!("has the scheme {scheme}; write http://host:port")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a credential; that belongs into token or token_file".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; write http://host:port".into());
    }
    Ok(())
}

#[derive(Debug)]
pub(super) struct Courier {
    client: Client,
    url: String,
    token: Secret,
}

impl Courier {
    pub(super) fn new(settings: Settings) -> Result<Courier, Error> {
        let client = Client::builder()
            .user_agent(concat!("zonepulse-probe/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // A batch and its token go where the configuration says, nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Error::Config { place: "deliver.http".into(), detail: error.to_string() })?;
        let url = format!("{}{PATH}", settings.url.trim_end_matches('/'));
        Ok(Courier { client, url, token: settings.token })
    }

    pub(super) fn peer(&self) -> &str {
        &self.url
    }

    pub(super) async fn send(&self, bytes: Vec<u8>) -> Answer {
        let request = self.client.post(&self.url).bearer_auth(self.token.expose()).header(CONTENT_TYPE, MEDIA_TYPE).body(bytes);
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
                let problem = if status == StatusCode::NO_CONTENT { String::new() } else { read_problem(response).await };
                classify(status, retry_after.as_deref(), &problem)
            }
            Err(error) => Answer::unavailable(innermost(&error)),
        }
    }
}

/// What an answer means for the batch; see the table of the module above.
fn classify(status: StatusCode, retry_after: Option<&str>, problem: &str) -> Answer {
    let said = if problem.is_empty() { status.to_string() } else { format!("{}: {problem}", status.as_str()) };
    match status.as_u16() {
        204 => Answer::Confirmed,
        400 | 413 | 415 => Answer::Refused(said),
        401 => Answer::unavailable(format!("the central does not know the token: {said}")),
        // Only for this batch, perhaps: it may be another server's, from before
        // server_id was changed.
        403 => Answer::Failed(format!("the token may not send for this batch's server: {said}")),
        429 | 502..=504 => Answer::Unavailable { reason: said, retry_after: retry_after.and_then(parse_retry_after) },
        500..=599 => Answer::Failed(said),
        // Anything else is not what a central answers.
        _ => Answer::unavailable(format!("the answer is not a central's; is deliver.http.url right? {said}")),
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn parse_retry_after(text: &str) -> Option<Duration> {
    if let Ok(wait_s) = text.trim().parse() {
        return Some(Duration::from_secs(wait_s));
    }
    let date = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO))
}

/// The title and detail of a problem document (RFC 9457), or the first line of any other text.
async fn read_problem(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = MAX_PROBLEM_BYTES - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
    summary(&String::from_utf8_lossy(&body))
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

/// The cause below the layers of an error: "Connection refused (os error 111)".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let what = match () {
        () if error.is_connect() => "cannot connect",
        () if error.is_timeout() => "no answer in time",
        () => "the request broke off",
    };
    format!("{what}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16) -> &'static str {
        match classify(StatusCode::from_u16(status).unwrap(), None, "why") {
            Answer::Confirmed => "confirmed",
            Answer::Refused(reason) if reason.contains("why") => "refused",
            Answer::Failed(reason) if reason.contains("why") => "failed",
            Answer::Unavailable { reason, .. } if reason.contains("why") => "unavailable",
            other => panic!("the reason is lost: {other:?}"),
        }
    }

    #[test]
    fn only_204_confirms() {
        let confirming: Vec<_> = (100..=599).filter(|status| kind(*status) == "confirmed").collect();
        assert_eq!(confirming, [204]);
    }

    #[test]
    fn only_what_says_that_the_batch_itself_is_wrong_refuses_it_for_good() {
        let refusing: Vec<_> = (100..=599).filter(|status| kind(*status) == "refused").collect();
        assert_eq!(refusing, [400, 413, 415]);
    }

    #[test]
    fn what_may_be_one_batch_s_fault_holds_no_other_up() {
        let failing: Vec<_> = (100..=599).filter(|status| kind(*status) == "failed").take(4).collect();
        assert_eq!(failing, [403, 500, 501, 505]);
    }

    #[test]
    fn a_busy_central_says_when_to_come_again() {
        let after = |text| match classify(StatusCode::SERVICE_UNAVAILABLE, Some(text), "") {
            Answer::Unavailable { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert!(after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap() > Duration::from_secs(3600));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_problem_document_is_said_in_a_line() {
        let body = r#"{"type":"about:blank","title":"Malformed batch","status":400,"detail":"order of rows"}"#;
        assert_eq!(summary(body), "Malformed batch: order of rows");
        assert_eq!(summary(r#"{"title":"Busy"}"#), "Busy");
        assert_eq!(summary("<html>\n<body>"), "<html>");
        assert_eq!(summary(""), "");
        assert_eq!(summary(&"x".repeat(9000)).len(), 500);
    }

    #[test]
    fn an_address_that_cannot_work_is_found_before_it_is_used() {
        for good in ["http://127.0.0.1:8053", "http://central.example/zonepulse/", "http://[::1]:8053"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in ["", "127.0.0.1:8053", "https://x", "ftp://x", "http://me:secret@x", "http://x?y", "http://"] {
            let error = check_url(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
