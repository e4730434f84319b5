//! `POST /api/v2/enrollments`: a probe that has nothing yet comes for all that it needs.

use super::heartbeat::ProbeSettingsBody;
use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Extension, Json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::probes::enrollment;
use zonepulse_central::rights::Caller;
use zonepulse_wire::{Enrollment, EnrollmentRequest};

/// The largest body, bytes.
const MAX_BYTES: usize = 16 << 10;

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
    let enrollment = blocking(move || enrollment::enroll(app.central(), &caller, &request));
    Ok((StatusCode::CREATED, Json(enrollment.await?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;
    use zonepulse_model::ServerId;

    #[test]
    fn what_machines_say_is_described_as_it_is() {
        let members = |value: serde_json::Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
        let described = |schema: serde_json::Value| members(schema["properties"].clone());
        let text = String::new;
        let request = EnrollmentRequest { hostname: text(), os: text(), probe_version: text() };
        let answer = Enrollment {
            server_id: ServerId::new(1),
            server: text(),
            token: text().into(),
            settings_version: 1,
            settings: Default::default(),
            pull_token: None,
        };
        let json = |schema| serde_json::to_value(schema).unwrap();
        assert_eq!(described(json(EnrollmentRequestBody::schema())), members(serde_json::to_value(request).unwrap()));
        assert_eq!(described(json(EnrollmentBody::schema())), members(serde_json::to_value(answer).unwrap()));
    }
}
