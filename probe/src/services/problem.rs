//! Why a service could not be sampled.

use std::fmt;
use std::io::{self, ErrorKind};

/// Why a service could not be sampled. The text does not change while the cause stays the same, so
/// that a change is worth logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There is no socket.
    Absent,
    /// The probe must not connect.
    Denied,
    /// Anything else, in words.
    Other(String),
}

impl Problem {
    /// A problem in words.
    pub(super) fn new(what: &str) -> Problem {
        Problem::Other(what.to_owned())
    }

    /// What the service gave as the reason, shortened.
    pub(super) fn answered(text: &str) -> Problem {
        /// Maximum length, characters.
        const MAX_TEXT: usize = 200;
        let text: String = text.chars().filter(|letter| !letter.is_control()).take(MAX_TEXT).collect();
        Problem::Other(format!("it refused: {text}"))
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        match error.kind() {
            ErrorKind::NotFound => Problem::Absent,
            ErrorKind::PermissionDenied => Problem::Denied,
            ErrorKind::ConnectionRefused => Problem::new("nothing listens on the socket"),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Problem::new("it does not answer in time"),
            ErrorKind::UnexpectedEof => Problem::new("its answer is incomplete"),
            _ => Problem::Other(error.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Absent => f.write_str("there is no such socket"),
            Problem::Denied => f.write_str("no permission to connect; the probe's user needs write permission on the socket"),
            Problem::Other(what) => f.write_str(what),
        }
    }
}
