//! Errors of the probe.

use std::path::PathBuf;

/// Why the probe cannot do what it was asked; each variant says who can help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is invalid. Correct what the message names.
    #[error("{place}: {detail}")]
    Config {
        /// The file or the environment variable.
        place: String,
        /// The key, and what is wrong with it.
        detail: String,
    },
    /// A file or directory is accessible to other users, or owned by one. Follow the message.
    #[error(transparent)]
    Private(zonepulse_private::Error),
    /// Another process uses the spool. Stop it, or give this probe a directory of its own.
    #[error("the spool {} is in use by another process: stop it, or set another spool.dir", .0.display())]
    SpoolInUse(PathBuf),
    /// The disk failed. The spool's contents are safe; try again once the cause is removed.
    #[error("cannot {doing} {}: {source}", path.display())]
    Disk {
        /// The action, as in "cannot {doing} {path}".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not in a supported capture format; the message says what it is.
    #[error("{file}: {what}")]
    NotACapture {
        /// The file as named by the user.
        file: String,
        /// What it is instead.
        what: String,
    },
    /// A capture is damaged. Everything before the damage was read.
    #[error("{file}: damaged at byte {offset_bytes}: {what}")]
    Damaged {
        /// The file as named by the user.
        file: String,
        /// Where the damage begins, in the decompressed capture.
        offset_bytes: u64,
        /// What is wrong there.
        what: String,
    },
    /// The process may not capture. Grant the privilege, or continue without capture.
    #[error(
        "no permission to capture on {device}: run \"setcap cap_net_raw+ep {program}\" as root once, or run the program as root"
    )]
    CaptureRight {
        /// The device.
        device: String,
        /// The path of this program.
        program: String,
    },
    /// The device cannot be captured from, or no longer. Name another, or try again later.
    #[error("cannot capture on {device}: {detail}")]
    Device {
        /// The device.
        device: String,
        /// The error from libpcap.
        detail: String,
    },
    /// A dnstap socket cannot be opened. Correct what the message names, or wait for the retry.
    #[error("cannot listen for dnstap on {place}: {detail}")]
    Listen {
        /// The path or address.
        place: String,
        /// The cause.
        detail: String,
    },
    /// A batch exceeds a limit of the format.
    #[error("cannot encode a batch: {0}")]
    Encode(#[from] zonepulse_wire::Error),
    /// A thread of the probe ended unexpectedly: a bug. Restart the probe; spooled batches are
    /// safe.
    #[error("the probe's {0} thread ended unexpectedly; please report the preceding log messages")]
    Thread(&'static str),
    /// The system provided no thread, timer or signal handler.
    #[error("cannot start: {0}")]
    System(std::io::Error),
}

impl From<zonepulse_private::Error> for Error {
    fn from(error: zonepulse_private::Error) -> Self {
        match error {
            zonepulse_private::Error::File { path, source } => Error::Disk { doing: "use", path, source },
            error => Error::Private(error),
        }
    }
}

impl Error {
    /// For `map_err`: what was being done, and to what.
    pub(crate) fn disk(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Disk { doing, path, source }
    }

    /// Whether the disk, or this process's quota on it, is full.
    pub(crate) fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Error::Disk { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

impl From<zonepulse_program::Error> for Error {
    fn from(error: zonepulse_program::Error) -> Self {
        use zonepulse_private::Error as Private;
        match error {
            zonepulse_program::Error::Wrong { place, what } => Error::Config { place, detail: what },
            zonepulse_program::Error::Private(Private::File { path, source }) => {
                Error::Config { place: path.display().to_string(), detail: format!("cannot be read: {source}") }
            }
            zonepulse_program::Error::Private(error) => Error::Private(error),
            error => Error::Config { place: "the configuration".to_owned(), detail: error.to_string() },
        }
    }
}

impl From<zonepulse_net::Error> for Error {
    fn from(error: zonepulse_net::Error) -> Self {
        use zonepulse_net::Error as Net;
        let (place, detail) = match error {
            Net::File { path, source } => (path.display().to_string(), format!("cannot be read: {source}")),
            Net::Certificate { path, why } => (path.display().to_string(), why),
            Net::Trust(detail) => ("tls.ca_file".to_owned(), detail),
            error => ("tls".to_owned(), error.to_string()),
        };
        Error::Config { place, detail }
    }
}
