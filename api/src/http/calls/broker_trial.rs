//! `POST /api/v2/monitoring/testrabbitmqcred`: tests whether a probe could send its batches through RabbitMQ.

use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body::{Given, Members, body};
use crate::http::question::parameters;
use crate::http::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde::{Serialize, Serializer};
use std::time::Duration;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::servers::broker_trial::{self, Broker, Tried};
use zonepulse_ingest::amqp::trial::{Attempt, Finding};
use zonepulse_model::Settings;
use zonepulse_private::Secret;
use zonepulse_renamed::Renamed;

/// The next release, which refuses old names.
const NEXT: &str = "0.2";
/// Members renamed since the previous release.
pub const RENAMED: [Renamed; 6] = [
    Renamed::key("address", "rabbitmq_address", NEXT),
    Renamed::key("port", "rabbitmq_port", NEXT),
    Renamed::key("user", "rabbitmq_user", NEXT),
    Renamed::key("password", "rabbitmq_password", NEXT),
    Renamed::key("virtual_host", "rabbitmq_virtual_host", NEXT),
    Renamed::key("tls", "rabbitmq_tls", NEXT),
];

/// The routes, for administrators.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(test))
}

body! {
    /// The broker and credentials to test.
    struct TrialBody {
        /// The server whose settings are tested, with the stored password. All other settings are then the stored ones and must
        /// be omitted.
        #[schema(minimum = 1)]
        server_id: Option<u32> = optional,
        /// The broker's FQDN or IP address; required without `server_id`.
        #[schema(value_type = Option<String>, example = "broker.example")]
        rabbitmq_address: Given<String> = given,
        /// Its port; by default 5672, or 5671 with TLS.
        #[schema(value_type = Option<u16>)]
        rabbitmq_port: Given<u16> = given,
        /// The user; required without `server_id`.
        #[schema(value_type = Option<String>)]
        rabbitmq_user: Given<String> = given,
        /// The password; required without `server_id`.
        #[schema(value_type = Option<String>, write_only)]
        rabbitmq_password: Given<Secret> = given,
        /// The virtual host; `/` by default.
        #[schema(value_type = Option<String>)]
        rabbitmq_virtual_host: Given<String> = given,
        /// Whether to use TLS.
        #[schema(value_type = Option<bool>)]
        rabbitmq_tls: Given<bool> = given,
        /// Whether to verify the certificate; true by default.
        #[schema(value_type = Option<bool>)]
        verify_ca: Given<bool> = given,
        /// The trusted certificate authorities, in PEM; by default, those that the central's machine trusts. With `server_id` it
        /// requires `rabbitmq_password`: the stored password is not disclosed to a broker that other authorities vouch for.
        ca: Option<String> = optional,
        /// The timeout, milliseconds; by default the setting `api_timeout_ms`.
        #[schema(minimum = 10, maximum = 30000)]
        timeout_ms: Option<u64> = optional,
    }
}

/// The result of a test.
#[derive(Serialize, ToSchema)]
struct TrialAnswer {
    /// Whether a probe could send batches there.
    success: bool,
    // Without words of its own: beside an inlined type they would become an object, which a word is not.
    #[schema(inline)]
    outcome: Outcome,
    /// The outcome in words, including the broker's message.
    detail: String,
    /// How long it took, milliseconds.
    duration_ms: u64,
    /// What the next release will refuse of the request; absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// The outcome, for programs.
struct Outcome(Finding);

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl PartialSchema for Outcome {
    fn schema() -> RefOr<Schema> {
        let words = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Finding::ALL.map(Finding::as_str)));
        words.description(Some("The outcome, for programs.")).build().into()
    }
}

impl ToSchema for Outcome {}

/// Test RabbitMQ credentials
///
/// Does what a probe would do (resolve the name, connect, negotiate TLS, log in, open the virtual host) and says which step
/// fails and why. Nothing is stored, and nothing is sent except what logging in requires. A failure is a result, not an
/// error: the status is 200, and `success` is false. With `server_id` alone, the settings in effect for a server are
/// tested, without entering its password again. The members' names of the previous release, without `rabbitmq_`, are
/// accepted with a warning.
#[utoipa::path(
    post, path = "/api/v2/monitoring/testrabbitmqcred", operation_id = "test_rabbitmq_credentials", tag = "Servers",
    request_body(content = TrialBody, description = "The broker and the credentials."),
    responses((status = 200, description = "The result.", body = TrialAnswer)),
)]
async fn test(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Json<TrialAnswer>, Problem> {
    parameters::none(&uri)?;
    let (mut members, warnings) = Members::read_renamed(&headers, body, TrialBody::MEMBERS, &RENAMED).await?;
    let body = TrialBody::read(&mut members)?;
    let server_id = body.server_id;
    let known = blocking(move || broker_trial::known(app.central(), server_id)).await?;
    let timeout = known.timeout(body.timeout_ms)?;
    let attempt = match known.stored {
        Some(stored) => body.over_stored(stored, timeout)?,
        None => broker_trial::as_given(body.broker()?, timeout)?,
    };
    let Tried { finding, detail, took } = broker_trial::run(attempt).await?;
    let success = finding == Finding::Success;
    Ok(Json(TrialAnswer { success, outcome: Outcome(finding), detail, duration_ms: took.as_millis() as u64, warnings }))
}

impl TrialBody {
    /// An attempt with a server's stored settings.
    fn over_stored(self, stored: Settings, timeout: Duration) -> Result<Attempt, Problem> {
        let given = [
            ("rabbitmq_address", self.rabbitmq_address.is_given()),
            ("rabbitmq_port", self.rabbitmq_port.is_given()),
            ("rabbitmq_user", self.rabbitmq_user.is_given()),
            ("rabbitmq_virtual_host", self.rabbitmq_virtual_host.is_given()),
            ("rabbitmq_tls", self.rabbitmq_tls.is_given()),
            ("verify_ca", self.verify_ca.is_given()),
        ];
        if let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Problem::parameter(name, "with server_id it is the stored one: leave it out"));
        }
        Ok(broker_trial::as_stored(stored, self.rabbitmq_password.value(), self.ca, timeout)?)
    }

    /// The broker that the request names.
    fn broker(self) -> Result<Broker, Problem> {
        Ok(Broker {
            address: broker_trial::checked("rabbitmq_address", self.rabbitmq_address.needed("rabbitmq_address")?)?,
            user: broker_trial::checked("rabbitmq_user", self.rabbitmq_user.needed("rabbitmq_user")?)?,
            password: broker_trial::checked_secret("rabbitmq_password", self.rabbitmq_password.needed("rabbitmq_password")?)?,
            port: self.rabbitmq_port.value(),
            virtual_host: self.rabbitmq_virtual_host.value(),
            tls: self.rabbitmq_tls.value().unwrap_or(false),
            verify_ca: self.verify_ca.value().unwrap_or(true),
            authority: self.ca,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_written_and_described_in_its_word() {
        let schema = serde_json::to_value(Outcome::schema()).unwrap();
        let words: Vec<&str> = schema["enum"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words, Finding::ALL.map(Finding::as_str));
        for finding in Finding::ALL {
            assert_eq!(serde_json::to_value(Outcome(finding)).unwrap(), finding.as_str());
        }
    }
}
