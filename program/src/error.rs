//! Errors in a configuration.

/// Why a configuration is rejected. The message names the location, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key or its value is invalid: correct it.
    #[error("{place}: {what}")]
    Wrong {
        /// The file and line, or the source.
        place: String,
        /// The key as written there, and what is wrong with it.
        what: String,
    },
    /// The file is unreadable, or others can read a secret in it: follow the message.
    #[error(transparent)]
    Private(#[from] zonepulse_private::Error),
}
