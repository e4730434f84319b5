//! The probe's own queries to the server, which are not client traffic.
//!
//! They are announced before they are sent. Capture and dnstap then recognise a query and its
//! response by message ID and question, whatever addresses, ports and devices they show. A client's
//! message with the same question matches by chance once in 65,536 times, but it is of class CH and
//! would not be a hit either.

use super::message::Message;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zonepulse_wire::Counter;

/// How long a response, and its report by capture or dnstap, may take.
const MAX_AGE: Duration = Duration::from_secs(600);
/// Maximum number of queries remembered.
const MAX_QUESTIONS: usize = 8;

/// The probe's own queries that may still be observed.
#[derive(Debug, Default)]
pub struct OwnQuestions {
    asked: Mutex<VecDeque<Asked>>,
}

#[derive(Debug)]
struct Asked {
    since: Instant,
    id: u16,
    /// QNAME, QTYPE and QCLASS in wire format.
    question: Box<[u8]>,
}

impl OwnQuestions {
    /// Announces a query about to be sent; `octets` is the whole message.
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

    /// The counter for a message that does not count for this reason.
    #[cold]
    pub(super) fn reason(&self, message: &Message<'_>, reason: Counter) -> Counter {
        let is_own = match reason {
            Counter::ClassChaos => self.any(message.id(), |question| begins_with(message.body(), question)),
            // A refusal may omit the question.
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

/// A server may change the case of a name.
fn begins_with(body: &[u8], question: &[u8]) -> bool {
    body.get(..question.len()).is_some_and(|start| start.eq_ignore_ascii_case(question))
}
