//! `POST /api/v2/enrollments`: a new probe gets everything that it needs.

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
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::probes::enrollment;
use zonepulse_central::rights::Caller;
use zonepulse_private::{Secret, reveal};
use zonepulse_wire::{Enrollment, EnrollmentRequest};

/// Maximum size of a body, bytes.
const MAX_BYTES: usize = 16 << 10;

/// The route, for probes being enrolled.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(enroll))
}

/// A probe to be enrolled.
#[derive(Deserialize, ToSchema)]
#[serde(expecting = "struct EnrollmentRequest")]
struct EnrollmentRequestBody {
    /// The host name.
    hostname: String,
    /// The operating system.
    os: String,
    /// The version of the probe.
    probe_version: String,
}

impl From<EnrollmentRequestBody> for EnrollmentRequest {
    fn from(EnrollmentRequestBody { hostname, os, probe_version }: EnrollmentRequestBody) -> Self {
        EnrollmentRequest { hostname, os, probe_version }
    }
}

/// What a new probe gets.
#[derive(Serialize, ToSchema)]
struct EnrollmentBody {
    /// The server's id.
    server_id: u32,
    /// The server's display name.
    server: String,
    /// The token with which the probe sends batches and heartbeats.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String)]
    token: Secret,
    /// The version of these settings.
    settings_version: u64,
    /// The probe's settings.
    settings: ProbeSettingsBody,
    /// The token that the central presents when it pulls batches; empty if it does not.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String)]
    pull_token: Secret,
}

impl From<Enrollment> for EnrollmentBody {
    fn from(enrollment: Enrollment) -> Self {
        let Enrollment { server_id, server, token, settings_version, settings, pull_token } = enrollment;
        EnrollmentBody {
            server_id: server_id.get(),
            server,
            token,
            settings_version,
            settings: settings.into(),
            // No token travels as an empty one.
            pull_token: pull_token.unwrap_or_default(),
        }
    }
}

/// Enrol a probe
///
/// For probes, with the one-time token that was created for their server. The answer contains everything that the probe
/// needs. The token is used up, and any older token of the server is refused from then on.
#[utoipa::path(
    post, path = "/api/v2/enrollments", operation_id = "enroll", tag = "Probes",
    request_body(content = EnrollmentRequestBody, description = "The probe."),
    responses((status = 201, description = "What the probe needs.", body = EnrollmentBody)),
)]
async fn enroll(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<EnrollmentBody>), Problem> {
    parameters::none(&uri)?;
    let request: EnrollmentRequestBody = body::typed("body", body::json(&headers, body, MAX_BYTES).await?)?;
    let enrollment = blocking(move || enrollment::enroll(app.central(), &caller, &request.into()));
    Ok((StatusCode::CREATED, Json(enrollment.await?.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;
    use zonepulse_model::ServerId;

    fn enrollment(pull_token: Option<Secret>) -> Enrollment {
        Enrollment {
            server_id: ServerId::new(1),
            server: "ns1".to_owned(),
            token: "secret".into(),
            settings_version: 3,
            settings: Default::default(),
            pull_token,
        }
    }

    #[test]
    fn what_machines_say_is_described_as_it_is() {
        let members = |value: Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
        let described = |schema: Value| members(schema["properties"].clone());
        let text = String::new;
        let request = EnrollmentRequest { hostname: text(), os: text(), probe_version: text() };
        let json = |schema| serde_json::to_value(schema).unwrap();
        assert_eq!(described(json(EnrollmentRequestBody::schema())), members(serde_json::to_value(request).unwrap()));
        assert_eq!(described(json(EnrollmentBody::schema())), members(serde_json::to_value(enrollment(None)).unwrap()));
    }

    #[test]
    fn a_request_is_read_as_probes_write_it() {
        let text = str::to_owned;
        let request = EnrollmentRequest { hostname: text("ns1"), os: text("Debian"), probe_version: text("0.1.0") };
        let read: EnrollmentRequestBody = serde_json::from_value(serde_json::to_value(&request).unwrap()).unwrap();
        assert_eq!(EnrollmentRequest::from(read), request);
    }

    #[test]
    fn an_enrollment_is_written_as_probes_read_it() {
        for enrollment in [enrollment(None), enrollment(Some("pull".into()))] {
            let written = serde_json::to_string(&EnrollmentBody::from(enrollment.clone())).unwrap();
            assert_eq!(written, serde_json::to_string(&enrollment).unwrap());
            assert_eq!(serde_json::from_str::<Enrollment>(&written).unwrap(), enrollment);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |value| serde_json::from_value::<EnrollmentRequestBody>(value).err().unwrap().to_string();
        assert_eq!(said(json!({"hostname": "ns1", "os": "Debian"})), "missing field `probe_version`");
        assert_eq!(said(json!("ns1")), "invalid type: string \"ns1\", expected struct EnrollmentRequest");
    }
}
