//! Where the rows of a plan's tables come from.
//!
//! The API's questions run in the process that has the store, and read it directly. A SQL statement runs in a worker
//! process, and sends its requests over a socket (`worker`). A scan is the same plain value in both.

use super::here::Here;
use super::output::Output;
use super::request::Request;
use crate::time::Now;
use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use futures::TryStreamExt;
use std::sync::Arc;

/// Batches queued between a reader and the plan.
const QUEUE: usize = 2;

/// The store, here or in another process. Clones share it.
#[derive(Clone)]
pub(crate) enum Data {
    /// In this process, read as of a moment.
    Here(Here, Now),
    /// In another process, which knows the moment.
    Away(Arc<dyn Away>),
}

/// A store in another process.
pub(crate) trait Away: Send + Sync {
    /// The approximate number of records.
    fn records(&self) -> usize;

    /// Sends a request. Dropping the stream cancels it.
    fn read(self: Arc<Self>, request: &Request) -> Result<SendableRecordBatchStream>;
}

impl Data {
    /// The approximate number of records.
    pub(crate) fn records(&self) -> usize {
        match self {
            Data::Here(here, _) => here.store.dictionary().len(),
            Data::Away(away) => away.records(),
        }
    }

    /// Answers a request. Dropping the stream cancels it. A reader in this process accounts for what it holds in
    /// `memory`; another process has its own.
    pub(crate) fn read(&self, request: Request, memory: MemoryReservation) -> Result<SendableRecordBatchStream> {
        match self {
            Data::Here(here, now) => {
                let mut stream = RecordBatchReceiverStreamBuilder::new(request.schema(), QUEUE);
                let (here, now, output) = (here.clone(), *now, Output::into_stream(stream.tx()));
                stream.spawn_blocking(move || here.read(&request, now, memory, output));
                Ok(stream.build())
            }
            Data::Away(away) => away.clone().read(&request),
        }
    }

    /// All rows of an answer known to be small.
    pub(crate) async fn rows(&self, request: Request, memory: MemoryReservation) -> Result<Vec<RecordBatch>> {
        self.read(request, memory)?.try_collect().await
    }
}
