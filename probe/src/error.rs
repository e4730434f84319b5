//! What can go wrong in the probe.

use std::path::PathBuf;

/// Why the probe cannot do what it was asked; each variant says who can help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration says what cannot be. Correct what the message names.
    #[error("{place}: {detail}")]
    Config {
        /// The file, or the variable of the environment.
        place: String,
        /// The key and what is wrong with it.
        detail: String,
    },
    /// A file or directory is open to other users, or somebody else's. Do what the message says.
    #[error(transparent)]
    Private(zonepulse_private::Error),
    /// Another probe uses the spool. Stop it, or give this one a directory of its own.
    #[error("the spool {} is in use by another process: stop that one, or set another spool.dir", .0.display())]
    SpoolInUse(PathBuf),
    /// The disk refused. Nothing was lost that had been in the spool; try again
    /// when its reason is gone.
    #[error("cannot {doing} {}: {source}", path.display())]
    Disk {
        /// What was being done, as in "cannot {doing} {path}".
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a capture that is read here; the message says what it is.
    #[error("{file}: {what}")]
    NotACapture {
        /// The file as it was named.
        file: String,
        /// What it is instead.
        what: String,
    },
    /// A capture is damaged. What stood before the damage was read.
    #[error("{file}: damaged at byte {offset_bytes}: {what}")]
    Damaged {
        /// The file as it was named.
        file: String,
        /// Where the damaged part begins, in the capture as it is when decompressed.
        offset_bytes: u64,
        /// What is wrong there.
        what: String,
    },
    /// The process may not capture. Give it the right, or go on without capture.
    #[error("no right to capture on {device}: run \"setcap cap_net_raw+ep {program}\" as root once, or run the program as root")]
    CaptureRight {
        /// The device.
        device: String,
        /// The file of this program.
        program: String,
    },
    /// The device cannot be listened to, or no longer. Name another, or try again later.
    #[error("cannot capture on {device}: {detail}")]
    Device {
        /// The device.
        device: String,
        /// What libpcap said.
        detail: String,
    },
    /// A socket for dnstap cannot be opened. Correct what the message names, or let it be tried again.
    #[error("cannot listen for dnstap on {place}: {detail}")]
    Listen {
        /// The path or the address.
        place: String,
        /// What is in the way.
        detail: String,
    },
    /// A batch is past a bound of the format.
    #[error("cannot encode a batch: {0}")]
    Encode(#[from] zonepulse_wire::Error),
    /// A thread of the probe ended although it should not: a defect of ours.
    /// Start the probe again; what was spooled is safe.
    #[error("the {0} thread of the probe ended unexpectedly; please report what the log says before this line")]
    Thread(&'static str),
    /// The system gave no thread, timer or signal handler.
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
    /// For `map_err`: what was being done, and with what.
    pub(crate) fn disk(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Disk { doing, path, source }
    }

    /// Whether the disk, or what of it this process may use, is full.
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
