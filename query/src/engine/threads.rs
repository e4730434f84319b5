//! The threads that questions are answered on.
//!
//! Sorting a million rows is one step of a plan, and nothing else runs on its thread meanwhile. So questions are
//! answered outside the caller's runtime, on separate threads with a lower priority: batches, heartbeats and health
//! checks never wait for them, however many there are.

use crate::Error;
use datafusion::error::DataFusionError;
use std::future::Future;
use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use zonepulse_priority::Priority;

/// The threads that questions are answered on.
pub(crate) struct Apart(Option<Runtime>);

impl Apart {
    /// With this many threads for plans; those that read the store come and go.
    pub(crate) fn new(threads: usize) -> Result<Self, Error> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads).thread_name("question").on_thread_start(|| Priority::Question.take()).enable_time();
        let runtime = builder.build().map_err(|error: io::Error| Error::Engine(DataFusionError::IoError(error)))?;
        Ok(Apart(Some(runtime)))
    }

    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<Task<T>> {
        Some(Task(self.0.as_ref()?.spawn(work)))
    }
}

impl Drop for Apart {
    /// The engine may be dropped last by a task, which must not block on joining threads.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A task that ends when it is no longer waited for.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Waits for its result.
    pub(crate) async fn done(&mut self) -> Result<T, Error> {
        (&mut self.0).await.map_err(|error| Error::Engine(DataFusionError::ExecutionJoin(Box::new(error))))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
