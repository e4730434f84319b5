//! The engine: the resources that all questions about a store share.

mod threads;

use crate::listed::Catalogue;
use crate::reading::{Counters, Data, Here};
use crate::runtime::{Load, Turns, config, limit, runtime};
use crate::time::{Clock, Now};
use crate::worker::Statements;
use crate::{Error, Options};
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use std::sync::Arc;
use std::time::Duration;
use threads::Apart;
use tokio::sync::{Semaphore, SemaphorePermit};
use zonepulse_store::Store;

/// Answers questions about a store. Clones share it.
///
/// Questions run on the engine's own threads, whichever runtime asks them. Dropping a future cancels its work.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    clock: Clock,
}

struct Inner {
    here: Here,
    /// For the API's questions.
    questions: Arc<RuntimeEnv>,
    memory_bytes: usize,
    /// The context of their plans.
    question_task: Arc<TaskContext>,
    /// SQL statements, which run in other processes.
    statements: Statements,
    apart: Apart,
    threads: usize,
    turns: Semaphore,
    max_turns: usize,
    max_wait: Duration,
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Store, options: Options) -> Result<Engine, Error> {
        Engine::with_clock(store, options, Clock::system())
    }

    /// An engine that takes the time from this clock: once per question or statement, when it is asked.
    pub fn with_clock(store: Store, options: Options, clock: Clock) -> Result<Engine, Error> {
        let threads = options.threads.max(1);
        let questions = runtime(options.memory_bytes)?;
        let counters = Arc::new(Counters { names: options.counter_names, not_counted: options.not_counted });
        let here = Here { store, counters, catalogue: Arc::default() };
        let statements = Statements::new(here.clone(), options.sql, options.sql_workers, threads)?;
        Ok(Engine {
            inner: Arc::new(Inner {
                here,
                question_task: Arc::new(
                    TaskContext::default().with_session_config(config(threads)).with_runtime(questions.clone()),
                ),
                questions,
                memory_bytes: options.memory_bytes,
                statements,
                apart: Apart::new(threads)?,
                threads,
                turns: Semaphore::new(limit(options.max_concurrent)),
                max_turns: limit(options.max_concurrent),
                max_wait: Duration::from_millis(options.max_wait_ms),
            }),
            clock,
        })
    }

    /// Says what has the rows of the tables of the catalogue, which are empty without it. The first call counts.
    pub fn provide(&self, catalogue: Arc<dyn Catalogue>) {
        let _ = self.inner.here.catalogue.set(catalogue);
    }

    /// This engine with its clock stopped, for a question whose own times are relative to now: they are read, and the question
    /// is answered, as of the same moment.
    #[must_use]
    pub fn frozen(&self) -> Engine {
        Engine { inner: self.inner.clone(), clock: Clock::stopped(self.now()) }
    }

    /// The current time of its clock.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The current load.
    pub fn load(&self) -> Load {
        let inner = &self.inner;
        let running = inner.max_turns.saturating_sub(inner.turns.available_permits()) as u64;
        let memory_bytes = inner.questions.memory_pool.reserved() as u64;
        Load { questions: Turns { running, limit: inner.max_turns as u64, memory_bytes }, statements: inner.statements.turns() }
    }

    /// The memory that all running questions together may hold, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.inner.memory_bytes as u64
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.here.store
    }

    /// The store of this process as of a moment, for tables.
    pub(crate) fn data(&self, now: Now) -> Data {
        Data::Here(self.inner.here.clone(), now)
    }

    /// The number of the reports' counter `blind_ms`.
    pub(crate) fn blind(&self) -> Option<u16> {
        self.inner.here.counters.blind()
    }

    pub(crate) fn threads_apart(&self) -> &Apart {
        &self.inner.apart
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.inner.statements
    }

    /// The context of questions' plans.
    pub(crate) fn question_task(&self) -> Arc<TaskContext> {
        self.inner.question_task.clone()
    }

    /// How long a question waits for its turn at most.
    pub(crate) fn max_wait(&self) -> Duration {
        self.inner.max_wait
    }

    /// Waits for a turn, up to the limit.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout(self.inner.max_wait, self.inner.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }

    /// Runs something that blocks, such as reading the store, on a thread for that.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.inner.here.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store));
        done.await.map_err(|error| Error::Engine(DataFusionError::ExecutionJoin(Box::new(error))))?
    }

    /// The number of threads that one question may use.
    pub(crate) fn threads(&self) -> usize {
        self.inner.threads
    }

    pub(crate) fn reserve(&self, what: &str) -> MemoryReservation {
        MemoryConsumer::new(what).register(&self.inner.questions.memory_pool)
    }
}
