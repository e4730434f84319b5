//! `POST /api/v2/enrollments`: a probe that has nothing yet comes for all that it needs.
//!
//! It shows the one-time token that it was given with the server. The token is
//! spent in the write that gives the server its new one, so of two probes that
//! come with the same token one gets in, and the other is told.

use crate::app::App;
use crate::body;
use crate::credentials::{Principal, token};
use crate::heartbeat::ProbeSettingsBody;
use crate::listing::blocking;
use crate::parameters;
use crate::problem::{Case, Problem};
use crate::rights::Caller;
use crate::time::now_ms;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Extension, Json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_ingest::fleet::{Communication, Enrollment, EnrollmentRequest, probe_settings};

/// The largest body, bytes.
const MAX_BYTES: usize = 16 << 10;
/// What of an operating system's name is kept, characters.
const OS_CHARACTERS: usize = 60;

/// The route, for probes that are to be enrolled.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(enroll))
}

/// Who asks.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct EnrollmentRequestBody {
    /// The machine's name.
    hostname: String,
    /// Its operating system.
    os: String,
    /// The version of the probe.
    probe_version: String,
}

/// What a probe is given.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
struct EnrollmentBody {
    /// The server's id.
    server_id: u32,
    /// The server's display name.
    server: String,
    /// The token with which the probe sends.
    token: String,
    /// The version of these settings.
    settings_version: u64,
    /// What the probe shall do.
    settings: ProbeSettingsBody,
    /// The token with which the central shows itself when it collects; empty where batches take another way.
    pull_token: String,
}

/// Enrol a probe
///
/// For probes, with the one-time token that was made with their server. The answer has all that the
/// probe needs; the token is spent, and an older token of the server is refused from then on.
#[utoipa::path(
    post, path = "/api/v2/enrollments", operation_id = "enroll", tag = "Probes",
    request_body(content = EnrollmentRequestBody, description = "Who asks."),
    responses((status = 201, description = "What the probe needs.", body = EnrollmentBody)),
)]
async fn enroll(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Enrollment>), Problem> {
    parameters::none(&uri)?;
    let request: EnrollmentRequest = body::typed("body", body::json(&headers, body, MAX_BYTES).await?)?;
    let Principal::Enrollee { server_id, hash } = caller.principal.clone() else {
        return Err(Problem::new(Case::NotAllowed, "only an enrolment token may enrol"));
    };
    let enrollment = blocking(move || {
        let now_ms = now_ms();
        let (made, pull_token) = (token::random().map_err(Problem::internal)?, token::random().map_err(Problem::internal)?);
        let registry = app.store().registry().by(caller.actor(now_ms));
        let enrolled = registry.enroll(server_id, &hash, now_ms, |server| {
            server.token_hash = token::hash(&made);
            // Who enrols with a token that a user made must not learn what opens the probe that was there before.
            if !server.pull.url.is_empty() && (server.pull.token.is_empty() || !server.trusted) {
                server.pull.token = pull_token;
            }
            if server.os.is_empty() {
                server.os = request.os.chars().filter(|c| !c.is_control()).take(OS_CHARACTERS).collect();
            }
            Ok::<_, Problem>(())
        })?;
        // Another one with the same token was faster.
        let spent = || Problem::new(Case::NoCredentials, "this enrolment token is spent, or out of date");
        let server = enrolled.ok_or_else(spent)?;
        tracing::info!(server_id, server = server.name, host = request.hostname, "a probe was enrolled");
        let settings_version = registry.global()?.version;
        let settings = probe_settings(&registry.effective_settings(server_id)?, &server);
        let pull_token = if settings.communication == Communication::Pull { server.pull.token } else { String::new() };
        Ok(Enrollment {
            server_id,
            token: made.into(),
            settings_version,
            settings,
            pull_token: pull_token.into(),
            server: server.name,
        })
    });
    Ok((StatusCode::CREATED, Json(enrollment.await?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    #[test]
    fn what_machines_say_is_described_as_it_is() {
        let members = |value: serde_json::Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
        let described = |schema: serde_json::Value| members(schema["properties"].clone());
        let text = String::new;
        let request = EnrollmentRequest { hostname: text(), os: text(), probe_version: text() };
        let answer = Enrollment {
            server_id: 1,
            server: text(),
            token: text().into(),
            settings_version: 1,
            settings: Default::default(),
            pull_token: text().into(),
        };
        let json = |schema| serde_json::to_value(schema).unwrap();
        assert_eq!(described(json(EnrollmentRequestBody::schema())), members(serde_json::to_value(request).unwrap()));
        assert_eq!(described(json(EnrollmentBody::schema())), members(serde_json::to_value(answer).unwrap()));
    }
}
