//! Services that block, called from a request.

use super::answer::problem::Problem;

/// What a blocking read of the store, or a change, came to.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(Problem::internal)?.map_err(Into::into)
}
