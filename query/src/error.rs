//! Why a question has no answer.

use datafusion::error::DataFusionError;

/// Why a question has no answer, and who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The question cannot be meant so: the caller has to change the argument.
    #[error("{argument}: {reason}")]
    BadArgument {
        /// The argument at fault, as the API names it (`host`, `step`, `sort` …).
        argument: &'static str,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// The answer needs more memory than questions may use: ask for less time, fewer servers or fewer groups.
    #[error("the answer needs more memory than the engine may use: {0}; narrow the time range or the filter")]
    TooLarge(String),
    /// Too many questions at a time: ask again later.
    #[error("too many questions are being answered: ask again later")]
    Busy,
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[from] zonepulse_store::Error),
    /// A defect of the engine, or of the way it is used here.
    #[error("the query engine failed")]
    Engine(#[source] DataFusionError),
}

impl Error {
    pub(crate) fn bad(argument: &'static str, reason: impl Into<String>) -> Self {
        Error::BadArgument { argument, reason: reason.into() }
    }
}
