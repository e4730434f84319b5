//! What can be wrong with a configuration.

/// Why a configuration is not taken. Its message names the place, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key, or its value, cannot be: correct it.
    #[error("{place}: {what}")]
    Wrong {
        /// The file and its line, or the source.
        place: String,
        /// The key as it is written there, and what is wrong with it.
        what: String,
    },
    /// The file cannot be read, or others can read a secret in it: do what the message says.
    #[error(transparent)]
    Private(#[from] zonepulse_private::Error),
}
