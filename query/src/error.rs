//! Why a question has no answer.

use datafusion::error::DataFusionError;

/// Why a question has no answer, and what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is invalid: the caller has to change it.
    #[error("{argument}: {reason}")]
    BadArgument {
        /// The argument at fault, as the API names it (`host`, `step`, `sort` …).
        argument: &'static str,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// The answer exceeds the limit of rows or bytes, or needs more memory than questions may use: ask for less
    /// time, fewer servers or fewer groups.
    #[error("{0}; narrow the time range or the filter")]
    TooLarge(String),
    /// The statement took longer than this limit, milliseconds: ask for less.
    #[error("the statement took more than {} s; narrow the time range or the filter", .0 / 1000)]
    TooSlow(u64),
    /// The client did not read its answer for this many seconds.
    #[error("the answer was not read for {0} s")]
    Unread(u64),
    /// The worker process of a statement could not be started, or exited on its own.
    #[error("{0}")]
    Worker(String),
    /// Too many questions are running: ask again later.
    #[error("too many questions are being answered: ask again later")]
    Busy,
    /// The store could not be read.
    #[error("the store could not be read: {0}")]
    Store(#[from] zonepulse_store::Error),
    /// A defect of the engine, or of its use here.
    #[error("the query engine failed: {0}")]
    Engine(#[source] DataFusionError),
}

impl Error {
    pub(crate) fn bad(argument: &'static str, reason: impl Into<String>) -> Self {
        Error::BadArgument { argument, reason: reason.into() }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        if let DataFusionError::ResourcesExhausted(what) = error.find_root() {
            let what = what.lines().next().unwrap_or_default();
            return Error::TooLarge(format!("the answer needs more memory than the engine may use: {what}"));
        }
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Error::from(*inner),
            DataFusionError::External(inner) => match inner.downcast::<zonepulse_store::Error>() {
                Ok(store) => Error::Store(*store),
                Err(other) => Error::Engine(DataFusionError::External(other)),
            },
            other => Error::Engine(other),
        }
    }
}
