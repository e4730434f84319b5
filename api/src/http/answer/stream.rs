//! Answers of any length, sent while their rows are computed.
//!
//! The first rows are awaited before the headers are sent, so most errors still become a problem document. A later error
//! cannot change the status any more: the connection is then closed before the last chunk, which every HTTP client
//! reports as an error (RFC 9112 section 8). The body itself also shows it in formats with an end: JSON lacks its `]`, an
//! Arrow stream its end-of-stream marker.

use super::render::{Encoder, is_small};
use crate::describe;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use axum::body::{Body, Bytes};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use std::error::Error;
use tokio::task::JoinError;

/// Why an answer ends early.
#[derive(Debug, thiserror::Error)]
pub enum Broken<E> {
    /// There are no more rows, because of this.
    #[error(transparent)]
    Rows(E),
    /// The rows cannot be written in this format.
    #[error(transparent)]
    Format(#[from] ArrowError),
    /// The thread that wrote them failed.
    #[error(transparent)]
    Thread(#[from] JoinError),
}

/// The rows, written as they come; an error before the first of them is returned.
pub async fn body<E>(encoder: Encoder, batches: BoxStream<'static, Result<RecordBatch, E>>) -> Result<Body, Broken<E>>
where
    E: Error + Send + Sync + 'static,
{
    let mut writing = Writing { encoder: Some(encoder), batches };
    let first = writing.step().await?;
    let first = stream::iter(first.map(Ok));
    let rest = stream::try_unfold(writing, |mut writing| async move { Ok(writing.step().await?.map(|bytes| (bytes, writing))) });
    let rest = rest.inspect_err(|error: &Broken<E>| tracing::info!(error = describe(error), "an answer was broken off"));
    Ok(Body::from_stream(first.chain(rest)))
}

/// Rows being encoded.
struct Writing<E> {
    /// `None` once the end is written.
    encoder: Option<Encoder>,
    batches: BoxStream<'static, Result<RecordBatch, E>>,
}

impl<E> Writing<E> {
    /// The next bytes; `None` at the end.
    async fn step(&mut self) -> Result<Option<Bytes>, Broken<E>> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(None) };
        let Some(batch) = self.batches.next().await.transpose().map_err(Broken::Rows)? else {
            return Ok(Some(encoder.finish()?.into()));
        };
        if is_small(&batch) {
            encoder.write(&batch)?;
        } else {
            // Thousands of rows take a while: not on a thread that serves others.
            let written = tokio::task::spawn_blocking(move || encoder.write(&batch).map(|()| encoder));
            encoder = written.await??;
        }
        let bytes = encoder.take();
        self.encoder = Some(encoder);
        Ok(Some(bytes.into()))
    }
}
