//! `POST /api/v2/monitoring/testrabbitmqcred`: would a probe get its batches through RabbitMQ?

use crate::http::answer::problem::Problem;
use crate::http::blocking::blocking;
use crate::http::question::body::Members;
use crate::http::question::parameters;
use crate::http::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_central::servers::broker_trial::{self, Given, Tried};
use zonepulse_ingest::amqp::trial::{Attempt, Finding};
use zonepulse_model::Settings;
use zonepulse_private::Secret;
use zonepulse_renamed::Renamed;

/// What a body may have; a setting has its name.
const MEMBERS: [&str; 10] = [
    "server_id",
    "rabbitmq_address",
    "rabbitmq_port",
    "rabbitmq_user",
    "rabbitmq_password",
    "rabbitmq_virtual_host",
    "rabbitmq_tls",
    "verify_ca",
    "ca",
    "timeout_ms",
];
/// What is as stored when a server is named.
const STORED: [&str; 6] =
    ["rabbitmq_address", "rabbitmq_port", "rabbitmq_user", "rabbitmq_virtual_host", "rabbitmq_tls", "verify_ca"];
/// The release after this one, which refuses old names.
const NEXT: &str = "0.2";
/// What has another name than in the release before.
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

/// What to try.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
struct TrialBody {
    /// The server whose settings are tried, with the password that is stored. All other settings are then as they are
    /// stored, and may not be given.
    #[schema(minimum = 1)]
    server_id: Option<u32>,
    /// The broker's FQDN or IP address; needed without `server_id`.
    #[schema(example = "broker.example")]
    rabbitmq_address: Option<String>,
    /// Its port; without one 5672, or 5671 with TLS.
    rabbitmq_port: Option<u16>,
    /// The user; needed without `server_id`.
    rabbitmq_user: Option<String>,
    /// The password; needed without `server_id`.
    #[schema(write_only)]
    rabbitmq_password: Option<String>,
    /// The virtual host; without one `/`.
    rabbitmq_virtual_host: Option<String>,
    /// Whether to use TLS.
    rabbitmq_tls: Option<bool>,
    /// Whether the certificate is verified; without it, it is.
    verify_ca: Option<bool>,
    /// The authorities whose certificates are believed, in PEM; without them those that the central's machine trusts. With
    /// `server_id` it needs `rabbitmq_password`: a stored one is not shown to whoever these vouch for.
    ca: Option<String>,
    /// For how long to try, milliseconds; without it the setting `api_timeout_ms`.
    #[schema(minimum = 10, maximum = 30000)]
    timeout_ms: Option<u64>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
struct TrialAnswer {
    /// Whether a probe could send there.
    success: bool,
    // Without words of its own: beside an inlined type they would become an object, which a word is not.
    #[schema(inline)]
    outcome: Outcome,
    /// The same in words, with what the broker says.
    detail: String,
    /// How long it took, milliseconds.
    duration_ms: u64,
    /// What the next release refuses of the request; absent when there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// What was found, for programs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It works.
    Success,
    /// No address is known for the name.
    NameNotFound,
    /// Nobody listens at the port.
    ConnectionRefused,
    /// The network does not lead there.
    Unreachable,
    /// It was not over in time; `detail` says which step.
    TimedOut,
    /// What answers does not speak TLS.
    NotTls,
    /// The certificate is not from an authority that is believed.
    UnknownIssuer,
    /// The certificate has expired, or is of a time to come.
    CertificateExpired,
    /// The certificate is for other names.
    WrongName,
    /// TLS fails in another way.
    TlsFailed,
    /// What answers does not speak AMQP 0.9.1.
    NotAmqp,
    /// User or password is wrong, or the user may not log in from here.
    AccessRefused,
    /// There is no such virtual host.
    VirtualHostNotFound,
    /// The user may not use the virtual host.
    VirtualHostRefused,
    /// The broker refuses for another reason.
    Refused,
}

/// Try RabbitMQ credentials
///
/// Does what a probe would do (find the name, connect, TLS, log in, open the virtual host) and says
/// which step fails and why. Nothing is kept and nothing is sent but what logs in. Not being able to
/// is an answer, not an error: 200, and `success` is false. With `server_id` alone, the settings that hold for a
/// server are tried, without entering its password again. Members without `rabbitmq_`, as the release before called
/// them, are taken with a warning.
#[utoipa::path(
    post, path = "/api/v2/monitoring/testrabbitmqcred", operation_id = "test_rabbitmq_credentials", tag = "Servers",
    request_body(content = TrialBody, description = "Where the broker is, and as whom to speak to it."),
    responses((status = 200, description = "What was found.", body = TrialAnswer)),
)]
async fn test(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Body) -> Result<Json<TrialAnswer>, Problem> {
    parameters::none(&uri)?;
    let (mut members, warnings) = Members::read_renamed(&headers, body, &MEMBERS, &RENAMED).await?;
    let server_id: Option<Option<u32>> = members.take("server_id")?;
    let known = blocking(move || broker_trial::known(app.central(), server_id.flatten())).await?;
    let timeout_ms: Option<Option<u64>> = members.take("timeout_ms")?;
    let timeout = known.timeout(timeout_ms.flatten())?;
    let attempt = match known.stored {
        Some(stored) => as_stored(&mut members, stored, timeout)?,
        None => broker_trial::as_given(given(&mut members)?, timeout)?,
    };
    let Tried { finding, detail, took } = broker_trial::run(attempt).await?;
    let success = finding == Finding::Success;
    Ok(Json(TrialAnswer { success, outcome: Outcome::of(finding), detail, duration_ms: took.as_millis() as u64, warnings }))
}

impl Outcome {
    fn of(finding: Finding) -> Self {
        match finding {
            Finding::Success => Outcome::Success,
            Finding::NameNotFound => Outcome::NameNotFound,
            Finding::ConnectionRefused => Outcome::ConnectionRefused,
            Finding::Unreachable => Outcome::Unreachable,
            Finding::TimedOut => Outcome::TimedOut,
            Finding::NotTls => Outcome::NotTls,
            Finding::UnknownIssuer => Outcome::UnknownIssuer,
            Finding::CertificateExpired => Outcome::CertificateExpired,
            Finding::WrongName => Outcome::WrongName,
            // An authority that is none is refused before it is tried.
            Finding::TlsFailed | Finding::BadAuthority => Outcome::TlsFailed,
            Finding::NotAmqp => Outcome::NotAmqp,
            Finding::AccessRefused => Outcome::AccessRefused,
            Finding::VirtualHostNotFound => Outcome::VirtualHostNotFound,
            Finding::VirtualHostRefused => Outcome::VirtualHostRefused,
            Finding::Refused => Outcome::Refused,
        }
    }
}

/// What holds for a server.
fn as_stored(members: &mut Members, stored: Settings, timeout: Duration) -> Result<Attempt, Problem> {
    for name in STORED {
        if members.take::<Value>(name)?.is_some() {
            return Err(Problem::parameter(name, "with server_id it is the stored one: leave it out"));
        }
    }
    let password: Option<Option<Secret>> = members.take("rabbitmq_password")?;
    let authority: Option<Option<String>> = members.take("ca")?;
    Ok(broker_trial::as_stored(stored, password.flatten(), authority.flatten(), timeout)?)
}

/// What the request says.
fn given(members: &mut Members) -> Result<Given, Problem> {
    let address = broker_trial::checked("rabbitmq_address", members.required("rabbitmq_address")?)?;
    let user = broker_trial::checked("rabbitmq_user", members.required("rabbitmq_user")?)?;
    let password = broker_trial::checked_secret("rabbitmq_password", members.required("rabbitmq_password")?)?;
    let tls = members.take("rabbitmq_tls")?.unwrap_or(false);
    let verify_ca: Option<Option<bool>> = members.take("verify_ca")?;
    let authority: Option<Option<String>> = members.take("ca")?;
    let port: Option<Option<u16>> = members.take("rabbitmq_port")?;
    let virtual_host: Option<Option<String>> = members.take("rabbitmq_virtual_host")?;
    Ok(Given {
        address,
        port: port.flatten(),
        user,
        password,
        virtual_host: virtual_host.flatten(),
        tls,
        verify_ca: verify_ca.flatten().unwrap_or(true),
        authority: authority.flatten(),
    })
}
