//! Where the batches of an answer go.

use arrow::array::RecordBatch;
use datafusion::common::Result;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Takes the batches of an answer.
pub(crate) struct Output {
    give: Box<dyn FnMut(RecordBatch) -> ControlFlow<()> + Send>,
    pub(super) gone: Arc<dyn Fn() -> bool + Send + Sync>,
    left: usize,
}

impl Output {
    /// `give` blocks until there is room for a batch, and breaks once the receiver is gone; `gone` tells whether it is.
    pub(crate) fn new(
        give: impl FnMut(RecordBatch) -> ControlFlow<()> + Send + 'static,
        gone: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Output { give: Box::new(give), gone: Arc::new(gone), left: usize::MAX }
    }

    /// Feeds the stream of a plan in this process.
    pub(crate) fn into_stream(sender: Sender<Result<RecordBatch>>) -> Self {
        let watched = sender.clone();
        let give = move |batch| match sender.blocking_send(Ok(batch)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        Output::new(give, move || watched.is_closed())
    }

    /// Limits the number of rows.
    pub(crate) fn limited(self, rows: Option<usize>) -> Self {
        Output { left: rows.unwrap_or(usize::MAX), ..self }
    }

    pub(crate) fn is_gone(&self) -> bool {
        (self.gone)()
    }

    /// Hands over a batch; breaks when the limit is reached or the receiver is gone.
    pub(crate) fn give(&mut self, batch: RecordBatch) -> ControlFlow<()> {
        let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
        self.left -= batch.num_rows();
        if batch.num_rows() > 0 {
            (self.give)(batch)?;
        }
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
