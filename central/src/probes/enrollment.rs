//! Enrolment: a new probe fetches everything it needs.
//!
//! The probe presents the one-time token issued with the server. The token is spent in the same write that gives the
//! server its new one, so if two probes present the same token, one succeeds and the other is refused.

use crate::credentials::{Principal, Refusal, token};
use crate::rights::Caller;
use crate::time::now_ms;
use crate::{Central, Error};
use zonepulse_ingest::fleet::probe_settings;
use zonepulse_model::{Communication, ServerId};
use zonepulse_wire::{Enrollment, EnrollmentRequest};

/// How much of an operating system's name is kept, characters.
const OS_CHARACTERS: usize = 60;

/// Enrols a probe that presented an enrolment token, and returns what it needs.
pub fn enroll(central: &Central, caller: &Caller, request: &EnrollmentRequest) -> Result<Enrollment, Error> {
    let Principal::Enrollee { server_id, hash } = &caller.principal else {
        return Err(Error::NotAllowed("only an enrolment token may enrol".to_owned()));
    };
    let server_id = *server_id;
    let now_ms = now_ms();
    let (made, pull_token) = (token::random()?, token::random()?);
    let registry = central.store().registry().by(caller.actor(now_ms));
    let enrolled = registry.enroll(ServerId::new(server_id), hash, now_ms, |server| {
        server.token_hash = Some(token::hash(&made));
        // A caller that enrols with a token created by a user must not learn the secret of the previous probe.
        if !server.pull.url.is_empty() && (server.pull.token.is_none() || !server.trusted) {
            server.pull.token = Some(pull_token);
        }
        if server.os.is_empty() {
            server.os = request.os.chars().filter(|c| !c.is_control()).take(OS_CHARACTERS).collect();
        }
        Ok::<_, Error>(())
    })?;
    // Another probe with the same token was faster.
    let server = enrolled.ok_or(Refusal::SpentToken)?;
    tracing::info!(server_id, server = server.name, host = request.hostname, "a probe was enrolled");
    let settings_version = registry.global()?.version;
    let settings = probe_settings(&registry.effective_settings(server.id)?, &server);
    let pull_token = server.pull.token.filter(|_| settings.communication == Communication::Pull);
    Ok(Enrollment {
        server_id: server.id,
        token: made.into(),
        settings_version,
        settings,
        pull_token: pull_token.map(Into::into),
        server: server.name,
    })
}
