//! Maps failures of the services and the query engine to problem documents: the only place that assigns them a status.

use super::problem::{Case, Problem};
use crate::describe;
use zonepulse_central::Error;
use zonepulse_central::credentials::{Refusal, password};
use zonepulse_central::pending::NoRoom;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::BadValue { name, reason } => Problem::parameter(name, reason),
            Error::Conflict(detail) => Problem::new(Case::Conflict, detail),
            Error::Backup(error) => Problem::new(Case::Busy, describe(&error)).retry_after_s(30),
            Error::Missing(detail) => Problem::new(Case::NotFound, detail),
            Error::NotAllowed(detail) => Problem::new(Case::NotAllowed, detail),
            Error::Credentials(refusal) => refusal.into(),
            Error::Busy { what, wait } => Problem::new(Case::Busy, what).retry_after_s(wait.as_secs()),
            Error::Password(error @ password::Error::Length(..)) => Problem::parameter("password", error),
            Error::Store(error) => error.into(),
            error => Problem::internal(describe(&error)),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let case = match &refusal {
            Refusal::WrongPassword | Refusal::UnknownToken | Refusal::SpentToken | Refusal::EndedSession => Case::NoCredentials,
            Refusal::TooManyAttempts { .. } | Refusal::TooManyChecks => Case::TooManyAttempts,
            Refusal::Busy | Refusal::TooManySessions => Case::Busy,
            Refusal::Random(_) | Refusal::Store(_) | Refusal::Thread(_) | Refusal::Ended => return Problem::internal(refusal),
        };
        let problem = Problem::new(case, refusal.to_string());
        match refusal.wait() {
            Some(wait) => problem.retry_after_s(wait.as_secs().max(1)),
            None => problem,
        }
    }
}

impl From<zonepulse_store::Error> for Problem {
    fn from(error: zonepulse_store::Error) -> Self {
        use zonepulse_store::Error;
        match error {
            Error::BadSetting { setting, reason } => Problem::parameter(setting, reason),
            Error::Missing(..) => Problem::new(Case::NotFound, error.to_string()),
            Error::MassRemoval { .. } => {
                Problem::new(Case::Conflict, format!("{error}: repeat it with confirm=true if that is what is meant"))
            }
            Error::NameTaken(_) | Error::NameAlike(..) | Error::TooMany(..) | Error::LastAdministrator(_) => {
                Problem::new(Case::Conflict, error.to_string())
            }
            error => Problem::internal(error),
        }
    }
}

impl From<zonepulse_query::Error> for Problem {
    fn from(error: zonepulse_query::Error) -> Self {
        use zonepulse_query::Error;
        match error {
            Error::BadArgument { argument, reason } => Problem::parameter(argument, reason),
            Error::TooSlow(_) => Problem::new(Case::TooSlow, error.to_string()),
            Error::TooLarge(_) => Problem::new(Case::AnswerTooLarge, error.to_string()),
            Error::Busy => Problem::new(Case::Busy, error.to_string()).retry_after_s(2),
            Error::Unread(_) => Problem::new(Case::TooSlow, error.to_string()),
            Error::Store(_) | Error::Engine(_) | Error::Worker(_) => Problem::internal(describe(&error)),
        }
    }
}

impl From<zonepulse_ingest::Error> for Problem {
    fn from(error: zonepulse_ingest::Error) -> Self {
        use zonepulse_ingest::Error;
        match error {
            Error::Malformed(_) | Error::TooLate(_) | Error::TooOld { .. } | Error::Interval(_) | Error::Overlaps { .. } => {
                Problem::new(Case::BadBatch, error.to_string())
            }
            Error::UnknownVersion(_) => Problem::new(Case::UnknownFormat, error.to_string()),
            Error::WrongServer { .. } | Error::UnknownServer(_) => Problem::new(Case::NotAllowed, error.to_string()),
            Error::Busy => Problem::new(Case::Busy, error.to_string()).retry_after_s(1),
            Error::Ahead { .. } | Error::Behind { .. } => Problem::new(Case::Ahead, error.to_string()).retry_after_s(10),
            Error::NoSpace { .. } => Problem::new(Case::Busy, error.to_string()).retry_after_s(30),
            Error::Closed => Problem::new(Case::Busy, error.to_string()).retry_after_s(5),
            Error::Store(_) | Error::Trust(_) | Error::Broker(_) | Error::Thread(_) => Problem::internal(error),
        }
    }
}

impl From<NoRoom> for Problem {
    fn from(NoRoom { held_bytes }: NoRoom) -> Self {
        let detail = format!(
            "there is no room for this batch: {held_bytes} bytes of this server are being received already; send fewer at a time"
        );
        Problem::new(Case::Busy, detail).retry_after_s(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use std::time::Duration;

    #[test]
    fn the_engine_names_the_parameter_at_fault() {
        let error = zonepulse_query::Error::BadArgument { argument: "sort", reason: "there is no column".to_owned() };
        assert_eq!(Problem::from(error), Problem::parameter("sort", "there is no column"));
    }

    #[test]
    fn a_service_names_the_value_at_fault() {
        assert_eq!(
            Problem::from(Error::bad_value("server_id", "there is no server 7")).detail(),
            "server_id: there is no server 7"
        );
    }

    #[test]
    fn whoever_guesses_is_told_to_wait_at_least_a_second() {
        let problem = Problem::from(Refusal::TooManyAttempts { wait: Duration::from_millis(7) });
        assert_eq!(problem.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(problem, Problem::new(Case::TooManyAttempts, problem.detail()).retry_after_s(1));
        assert_eq!(Problem::from(Refusal::SpentToken).status(), StatusCode::UNAUTHORIZED);
        assert_eq!(Problem::from(Refusal::EndedSession).status(), StatusCode::UNAUTHORIZED);
    }
}
