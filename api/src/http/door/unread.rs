//! Bounds the memory of finished answers that their clients have not read yet.
//!
//! A slow client may meanwhile request the next answer on another connection. So this memory is bounded, in fair
//! shares: a caller that holds its share has to read first. Answers that are produced while they are read, such as
//! those of SQL, have bounds of their own.

use crate::http::answer::room::room;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use zonepulse_central::pending::{Held, Pending};

/// Smaller answers are not accounted for, bytes.
const LEAST_BYTES: u64 = 64 << 10;
/// Size of the pieces handed to the sender, bytes. The sender asks for more when there is room, so the accounted memory
/// is held until nearly all of it is on its way.
const PIECE_BYTES: usize = 64 << 10;

/// Charges the answer to `memory`, or replaces it by a problem if there is no room.
pub fn hold(memory: &Pending<u64>, caller: u64, response: Response) -> Response {
    let Some(bytes) = response.body().size_hint().exact().filter(|bytes| *bytes >= LEAST_BYTES) else { return response };
    match room(memory, caller, usize::try_from(bytes).unwrap_or(usize::MAX)) {
        Ok(held) => response.map(|body| Body::new(Unread { body, piece: Bytes::new(), _held: held })),
        Err(problem) => problem.into_response(),
    }
}

/// A body and the memory that it holds until it is sent or dropped.
struct Unread {
    body: Body,
    /// Bytes that the body produced and that are handed out next.
    piece: Bytes,
    _held: Held<u64>,
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.piece.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => this.piece = piece,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let length = this.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(this.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.body.size_hint().exact().map(|bytes| bytes.saturating_add(self.piece.len() as u64));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::http::HeaderValue;

    const SIZE: usize = 100 << 10;

    fn answer() -> Response {
        vec![b'x'; SIZE].into_response()
    }

    #[tokio::test]
    async fn whoever_reads_nothing_is_refused_and_nobody_else() {
        let memory = Pending::new(4 * SIZE as u64);
        let unread: Vec<Response> = (0..2).map(|_| hold(&memory, 1, answer())).collect();
        assert!(unread.iter().all(|response| response.status() == 200));
        let refused = hold(&memory, 1, answer());
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &HeaderValue::from_static("5")));
        assert_eq!(hold(&memory, 2, answer()).status(), 200, "somebody else has room");
        for response in unread {
            assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap().len(), SIZE);
        }
        assert_eq!(memory.held(), 0, "what is read to its end, or given up, holds nothing");
        assert_eq!(hold(&memory, 1, answer()).status(), 200);
    }

    #[test]
    fn small_answers_are_not_counted() {
        let memory = Pending::new(1);
        assert_eq!(hold(&memory, 1, "[]".into_response()).status(), 200);
    }
}
