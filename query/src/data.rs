//! Where the rows of a plan's tables come from.
//!
//! The API's own questions run in the process that has the store, and read it. A statement of SQL runs in a worker
//! process, and asks for what it reads over a socket (`worker`). A scan is the same plain value in both.

use crate::read::{Here, Output};
use crate::request::Request;
use crate::worker::Link;
use arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use futures::TryStreamExt;
use std::sync::Arc;

/// Batches that wait between a reader and the plan.
const QUEUE: usize = 2;

/// The store, here or in another process. Clones share it.
#[derive(Clone)]
pub(crate) enum Data {
    /// This process has the store.
    Here(Here),
    /// Another process has it.
    Away(Arc<Link>),
}

impl Data {
    /// About how many records there are.
    pub(crate) fn records(&self) -> usize {
        match self {
            Data::Here(here) => here.store.dictionary().len(),
            Data::Away(link) => link.records(),
        }
    }

    /// Answers a request. Dropping the stream ends the work. A reader in this process takes what it has to hold from
    /// `memory`; elsewhere there is other memory.
    pub(crate) fn read(&self, request: Request, memory: MemoryReservation) -> Result<SendableRecordBatchStream> {
        let schema = request.schema().ok_or_else(|| DataFusionError::Internal("a column that a table does not have".into()))?;
        match self {
            Data::Here(here) => {
                let mut stream = RecordBatchReceiverStreamBuilder::new(schema, QUEUE);
                let (here, output) = (here.clone(), Output::into_stream(stream.tx()));
                stream.spawn_blocking(move || here.read(&request, memory, output));
                Ok(stream.build())
            }
            Data::Away(link) => link.clone().read(&request, schema),
        }
    }

    /// All rows of an answer that is known to be small.
    pub(crate) async fn rows(&self, request: Request, memory: MemoryReservation) -> Result<Vec<RecordBatch>> {
        self.read(request, memory)?.try_collect().await
    }
}
