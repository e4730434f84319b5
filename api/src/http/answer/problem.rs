//! Problem documents (RFC 9457).
//!
//! Every answer that is not a success is one of these, in JSON whatever the caller accepts: `type` identifies the case
//! for programs, `title` names it in words, `status` repeats the HTTP status, `detail` says what happened and what to
//! do, and `parameter` names the parameter at fault, if any.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Challenges of a 401: a user's name and password, or a server's token. In separate headers, because browsers do not
/// prompt for a password when both are in one.
const CHALLENGES: [HeaderValue; 2] = [HeaderValue::from_static("Basic realm=\"zonepulse\""), HeaderValue::from_static("Bearer")];

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Which case it is, for programs: the same case always has the same.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:zonepulse:problem:bad-parameter")]
    kind: &'static str,
    /// The case in words; always the same for a `type`.
    #[schema(value_type = String, example = "A parameter is not valid")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// What happened this time, and what to do about it.
    #[schema(example = "limit: -1 is not a number from 0 to 100000")]
    detail: String,
    /// The parameter at fault, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "limit")]
    parameter: Option<Cow<'static, str>>,
    /// What is in `detail`, one by one, where it can be several things.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>, required = false, example = json!(["the store is being closed"]))]
    reasons: Box<[String]>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

/// The cases that callers can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// A parameter of the request is not valid.
    BadParameter,
    /// The answer would be larger than the server is willing to compute.
    AnswerTooLarge,
    /// The body is not a batch that can be stored, now or later.
    BadBatch,
    /// The data is of a future time; try again then.
    Ahead,
    /// Credentials are missing or wrong.
    NoCredentials,
    /// The credentials are valid but do not allow this.
    NotAllowed,
    /// There is nothing at this path.
    NotFound,
    /// A page of another site caused the request.
    CrossSite,
    /// Nothing proves that a page of this central made the request.
    NotProven,
    /// The path with its parameters is longer than allowed.
    TargetTooLong,
    /// The path does not support this method.
    MethodNotAllowed,
    /// The request conflicts with the current state.
    Conflict,
    /// None of the formats is acceptable to the caller.
    NotAcceptable,
    /// The request did not arrive in time.
    TooSlow,
    /// The body is larger than allowed.
    RequestTooLarge,
    /// The body has an unknown type or version.
    UnknownFormat,
    /// Too many wrong credentials; wait.
    TooManyAttempts,
    /// A fault of the server.
    Internal,
    /// The server is at one of its limits; try again.
    Busy,
    /// The server cannot do its work now.
    NotReady,
}

impl Case {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Case::BadParameter => (StatusCode::BAD_REQUEST, "urn:zonepulse:problem:bad-parameter", "A parameter is not valid"),
            Case::AnswerTooLarge => {
                (StatusCode::BAD_REQUEST, "urn:zonepulse:problem:answer-too-large", "The answer would be too large")
            }
            Case::BadBatch => (StatusCode::BAD_REQUEST, "urn:zonepulse:problem:bad-batch", "The batch cannot be stored"),
            Case::Ahead => {
                (StatusCode::SERVICE_UNAVAILABLE, "urn:zonepulse:problem:ahead", "The batch is of a time that is yet to come")
            }
            Case::NoCredentials => {
                (StatusCode::UNAUTHORIZED, "urn:zonepulse:problem:no-credentials", "Credentials are missing or wrong")
            }
            Case::NotAllowed => {
                (StatusCode::FORBIDDEN, "urn:zonepulse:problem:not-allowed", "These credentials do not allow this")
            }
            Case::CrossSite => (StatusCode::FORBIDDEN, "urn:zonepulse:problem:cross-site", "Another site caused the request"),
            Case::NotProven => {
                (StatusCode::FORBIDDEN, "urn:zonepulse:problem:not-proven", "The session does not prove that the page sent this")
            }
            Case::TargetTooLong => (StatusCode::URI_TOO_LONG, "urn:zonepulse:problem:target-too-long", "The target is too long"),
            Case::NotFound => (StatusCode::NOT_FOUND, "urn:zonepulse:problem:not-found", "There is nothing here"),
            Case::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:zonepulse:problem:method-not-allowed",
                "This path does not have this method",
            ),
            Case::Conflict => (StatusCode::CONFLICT, "urn:zonepulse:problem:conflict", "What is there does not let this be"),
            Case::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "urn:zonepulse:problem:not-acceptable", "No acceptable format"),
            Case::TooSlow => (StatusCode::REQUEST_TIMEOUT, "urn:zonepulse:problem:too-slow", "The request took too long"),
            Case::RequestTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "urn:zonepulse:problem:request-too-large", "The request is too large")
            }
            Case::UnknownFormat => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "urn:zonepulse:problem:unknown-format", "The format is not known here")
            }
            Case::TooManyAttempts => (
                StatusCode::TOO_MANY_REQUESTS,
                "urn:zonepulse:problem:too-many-attempts",
                "Too many attempts with wrong credentials",
            ),
            Case::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "urn:zonepulse:problem:internal", "The server has a fault"),
            Case::Busy => (StatusCode::SERVICE_UNAVAILABLE, "urn:zonepulse:problem:busy", "The server is busy"),
            Case::NotReady => {
                (StatusCode::SERVICE_UNAVAILABLE, "urn:zonepulse:problem:not-ready", "The server cannot do its work now")
            }
        }
    }
}

impl Problem {
    /// A problem of this case; `detail` describes this occurrence.
    pub fn new(case: Case, detail: impl Into<String>) -> Self {
        let (status, kind, title) = case.parts();
        Problem {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            parameter: None,
            reasons: Box::default(),
            retry_after_s: None,
        }
    }

    /// A parameter is not valid: its name and the reason.
    pub fn parameter(name: impl Into<Cow<'static, str>>, reason: impl std::fmt::Display) -> Self {
        let name = name.into();
        Problem { parameter: Some(name.clone()), ..Problem::new(Case::BadParameter, format!("{name}: {reason}")) }
    }

    /// Several things are the problem: each by itself, and all in the detail.
    pub fn of_reasons(case: Case, reasons: Vec<String>) -> Self {
        let detail = reasons.join("; ");
        Problem { reasons: reasons.into(), ..Problem::new(case, detail) }
    }

    /// A fault of the server: the cause is logged, and the caller only learns that there is one.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request could not be answered");
        Problem::new(Case::Internal, "the server's log says why")
    }

    /// Sets `Retry-After`, seconds.
    pub fn retry_after_s(self, retry_after_s: u64) -> Self {
        Problem { retry_after_s: Some(retry_after_s), ..self }
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What happened.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            for challenge in CHALLENGES {
                headers.append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
