//! What the probe itself asks the server: nobody's traffic.
//!
//! Whoever asks says so before it sends. Capture and dnstap then know the question and
//! its response by the message's identifier and by what is asked, whatever addresses,
//! ports and devices they show. What else may be taken for it by chance, one message in
//! 65,536 with that question, is of class CH and is no hit either.

use super::message::Message;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zonepulse_wire::Counter;

/// How long a response may take, and capture or dnstap to tell of it.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How many questions are remembered.
const MAX_QUESTIONS: usize = 8;

/// The probe's own questions that may still be seen.
#[derive(Debug, Default)]
pub struct OwnQuestions {
    asked: Mutex<VecDeque<Asked>>,
}

#[derive(Debug)]
struct Asked {
    since: Instant,
    id: u16,
    /// Name, type and class in wire format.
    question: Box<[u8]>,
}

impl OwnQuestions {
    /// A query is about to be sent; `octets` are all of it.
    pub fn expect(&self, octets: &[u8]) {
        let Some(message) = Message::new(octets) else { return };
        let asked = Asked { since: Instant::now(), id: message.id(), question: message.body().into() };
        let mut known = self.lock();
        known.retain(|asked| asked.since.elapsed() < MAX_AGE);
        if known.len() >= MAX_QUESTIONS {
            known.pop_front();
        }
        known.push_back(asked);
    }

    /// Under which counter a message goes that does not count for this reason.
    #[cold]
    pub(super) fn reason(&self, message: &Message<'_>, reason: Counter) -> Counter {
        let is_own = match reason {
            Counter::ClassChaos => self.any(message.id(), |question| begins_with(message.body(), question)),
            // Who refuses may leave the question out.
            Counter::NoQuestion => message.is_response() && self.any(message.id(), |_| true),
            _ => false,
        };
        if is_own { Counter::OwnMessages } else { reason }
    }

    fn any(&self, id: u16, is_about: impl Fn(&[u8]) -> bool) -> bool {
        let known = self.lock();
        known.iter().any(|asked| asked.id == id && asked.since.elapsed() < MAX_AGE && is_about(&asked.question))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server may change the case of letters in a name.
fn begins_with(body: &[u8], question: &[u8]) -> bool {
    body.get(..question.len()).is_some_and(|start| start.eq_ignore_ascii_case(question))
}
