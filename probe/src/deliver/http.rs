//! Delivery directly to the central: one POST per batch.

use super::Answer;
use crate::Error;
use crate::central::{self, innermost, read_typed_problem};
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use std::time::Duration;
use zonepulse_net::{Trust, http};
use zonepulse_private::Secret;
use zonepulse_wire::{KEPT_FROM_HEADER, MEDIA_TYPE};

/// Maximum number of batches in flight.
pub const WINDOW: usize = 8;

const PATH: &str = "/api/v2/batches";
/// Prefix of the central's problem types. Anything else that rejects a batch, such as a proxy or a
/// port that speaks HTTPS, says nothing about the batch.
const OURS: &str = "urn:zonepulse:problem:";
/// The problem type for a batch that lies in the future by the central's clock.
const AHEAD: &str = "urn:zonepulse:problem:ahead";
/// Allows for a large batch on a slow line, and a commit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Shorter than an interval, and than the keep-alive of servers: each minute's batch opens a new
/// connection rather than discovering that the old one is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where to send, and with which credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The central's URL, `https://host:port`.
    pub url: String,
    /// The server's token from the central.
    pub token: Secret,
    /// Whom to trust.
    pub trust: Trust,
}

#[derive(Debug)]
pub(super) struct Courier {
    client: Client,
    url: String,
    token: Secret,
}

impl Courier {
    pub(super) fn new(settings: Settings) -> Result<Courier, Error> {
        central::warn_if_unsafe(&settings.url, &settings.trust);
        let client = central::client(&settings.url, &settings.trust)?.timeout(ANSWER_TIMEOUT).pool_idle_timeout(IDLE_TIMEOUT);
        let url = http::address(&settings.url, PATH);
        Ok(Courier { client: central::build(client)?, url, token: settings.token })
    }

    pub(super) fn peer(&self) -> &str {
        &self.url
    }

    pub(super) async fn send(&self, bytes: Vec<u8>) -> Answer {
        let request = self.client.post(&self.url).bearer_auth(self.token.reveal()).header(CONTENT_TYPE, MEDIA_TYPE).body(bytes);
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                let kept_from = response.headers().get(KEPT_FROM_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
                let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
                let (kind, problem) = match status {
                    StatusCode::NO_CONTENT => Default::default(),
                    _ => read_typed_problem(response).await,
                };
                match (classify(status, retry_after.as_deref(), &kind, &problem), kept_from) {
                    (Answer::Confirmed, Some(kept_from)) => Answer::Kept(kept_from),
                    (answer, _) => answer,
                }
            }
            Err(error) => Answer::unavailable(innermost(&error)),
        }
    }
}

/// What an answer means for the batch; see the table of the parent module.
fn classify(status: StatusCode, retry_after: Option<&str>, kind: &str, problem: &str) -> Answer {
    let said = if problem.is_empty() { status.to_string() } else { format!("{}: {problem}", status.as_str()) };
    match status.as_u16() {
        204 => Answer::Confirmed,
        400 | 413 | 415 if kind.starts_with(OURS) => Answer::Refused(said),
        // A batch may be too large for a proxy, so only this one fails.
        413 => Answer::Failed(format!("rejected, but not by the central; is there a proxy? {said}")),
        401 => Answer::unavailable(format!("the central does not know the token: {said}")),
        503 if kind == AHEAD => Answer::NotYet(said),
        // Possibly only for this batch: it may belong to another server, from before server_id was
        // changed.
        403 => Answer::Failed(format!("the token is not valid for this batch's server: {said}")),
        code @ (429 | 502..=504) => {
            let retry_after = retry_after.and_then(parse_retry_after);
            Answer::Unavailable { reason: said, is_503: code == 503, retry_after }
        }
        500..=599 => Answer::Failed(said),
        // A central gives no other answers.
        _ => Answer::unavailable(format!("unexpected answer; is deliver.http.url the central? {said}")),
    }
}

/// Parses a number of seconds or a date (RFC 9110 section 10.2.3).
fn parse_retry_after(text: &str) -> Option<Duration> {
    if let Ok(wait_s) = text.trim().parse() {
        return Some(Duration::from_secs(wait_s));
    }
    let date = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16) -> &'static str {
        kind_of(status, "urn:zonepulse:problem:bad-batch")
    }

    fn kind_of(status: u16, problem: &str) -> &'static str {
        match classify(StatusCode::from_u16(status).unwrap(), None, problem, "why") {
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
    fn only_an_answer_about_the_batch_itself_refuses_it_for_good() {
        let refusing: Vec<_> = (100..=599).filter(|status| kind(*status) == "refused").collect();
        assert_eq!(refusing, [400, 413, 415]);
    }

    #[test]
    fn only_a_central_can_refuse_a_batch_for_good() {
        let refusing: Vec<_> = (100..=599).filter(|status| kind_of(*status, "") == "refused").collect();
        assert_eq!(refusing, Vec::<u16>::new());
        assert_eq!(["", "about:blank"].map(|problem| kind_of(400, problem)), ["unavailable", "unavailable"]);
        assert_eq!(kind_of(413, ""), "failed", "smaller batches are held up");
    }

    #[test]
    fn a_failure_of_one_batch_blocks_no_other() {
        let failing: Vec<_> = (100..=599).filter(|status| kind(*status) == "failed").take(4).collect();
        assert_eq!(failing, [403, 500, 501, 505]);
    }

    #[test]
    fn a_batch_ahead_of_the_central_s_clock_waits_alone() {
        let answer = classify(StatusCode::SERVICE_UNAVAILABLE, Some("10"), AHEAD, "why");
        assert_eq!(answer, Answer::NotYet("503: why".to_owned()));
    }

    #[test]
    fn a_busy_central_says_when_to_retry() {
        let after = |text| match classify(StatusCode::SERVICE_UNAVAILABLE, Some(text), "", "") {
            Answer::Unavailable { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert!(after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap() > Duration::from_secs(3600));
        assert_eq!(after("soon"), None);
    }
}
