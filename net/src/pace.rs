//! Bodies: requests with a minimum rate, and answers whose end is noticed.

use crate::limits::Patience;
use crate::places::Visitor;
use crate::{BoxError, Limits};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// A request body arrived too slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request body arrived too slowly")]
pub struct TooSlow;

/// A request body that must arrive at the minimum rate; otherwise it ends with [`TooSlow`]. The
/// clock runs while the application waits for the client, not while the client waits for the
/// application.
pub struct Paced {
    body: Incoming,
    patience: Patience,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether it was read completely.
    whole: Arc<AtomicBool>,
}

impl Paced {
    pub(crate) fn new(body: Incoming, limits: &Limits, whole: Arc<AtomicBool>) -> Self {
        whole.store(body.is_end_stream(), Ordering::Relaxed);
        Paced { body, patience: Patience::new(limits), alarm: None, whole }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.patience.moved(frame.data_ref().map_or(0, Bytes::len), Instant::now());
                this.alarm = None;
                this.whole.store(this.body.is_end_stream(), Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                this.whole.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Poll::Pending => {
                let until = this.patience.wait(Instant::now());
                let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
                alarm.as_mut().poll(context).map(|()| Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer: once dropped, the connection waits for the next request.
pub(crate) struct Answer<B> {
    pub(crate) body: B,
    pub(crate) visitor: Visitor,
}

impl<B> Drop for Answer<B> {
    fn drop(&mut self) {
        self.visitor.answered();
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
