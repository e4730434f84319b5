//! The status of the broker connection, for monitoring.

use super::Trouble;
use super::headers::DEATHS;
use super::origin::Refusals;
use parking_lot::Mutex;
use std::time::Instant;

/// The current status, and counters since startup.
#[derive(Debug)]
pub(crate) struct State {
    now: Mutex<Now>,
    /// Messages that the broker removed from the queue.
    deaths: Refusals,
}

#[derive(Debug, Default)]
struct Now {
    standing: Standing,
    /// Why refused messages cannot be put into the dead-letter queue.
    dead_letter_trouble: Option<String>,
    unprotected: Vec<String>,
    counts: Counts,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Standing {
    /// No broker is configured.
    #[default]
    Off,
    Starting,
    Consuming,
    /// The central is not accepting batches at the moment.
    Resting(String),
    Unusable(String),
}

/// Counters since startup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    connections: u64,
    cancelled: u64,
    rests: u64,
    renewed: u64,
    restored: u64,
    dead_letter_failures: u64,
}

/// The status of the broker connection, and counters since startup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether batches are being consumed from the queue.
    pub is_consuming: bool,
    /// Current problems, in words that are safe to show to anyone.
    pub troubles: Vec<String>,
    /// Queues whose messages the broker may drop, because an earlier release declared them.
    pub unprotected: Vec<String>,
    /// Connections on which batches were consumed.
    pub connections: u64,
    /// How often the broker cancelled a consumer, as it does when a queue is deleted.
    pub cancelled: u64,
    /// How often consumption stopped because the central could not accept batches.
    pub rests: u64,
    /// Messages that were requeued as new because the broker had delivered them several times.
    pub renewed: u64,
    /// Messages that the broker had removed from the queue, by its reason.
    pub returned: Vec<(&'static str, u64)>,
    /// Those of them whose batches were accepted.
    pub restored: u64,
    /// How often the dead-letter queue started rejecting messages.
    pub dead_letter_failures: u64,
}

impl Default for State {
    fn default() -> Self {
        State { now: Mutex::default(), deaths: Refusals::with(&DEATHS) }
    }
}

impl State {
    /// `None` without a broker.
    pub(crate) fn status(&self) -> Option<Status> {
        let now = self.now.lock();
        let trouble = match &now.standing {
            Standing::Off => return None,
            Standing::Consuming => None,
            Standing::Starting => Some("no batches are taken from RabbitMQ yet".to_owned()),
            Standing::Resting(why) => Some(format!("no batches are taken from RabbitMQ: {why}")),
            Standing::Unusable(why) => Some(format!("RabbitMQ cannot be used: {why}")),
        };
        let dead_letter =
            now.dead_letter_trouble.as_ref().map(|why| format!("the dead-letter queue of RabbitMQ takes no message: {why}"));
        let Counts { connections, cancelled, rests, renewed, restored, dead_letter_failures } = now.counts;
        Some(Status {
            is_consuming: now.standing == Standing::Consuming,
            troubles: trouble.into_iter().chain(dead_letter).collect(),
            unprotected: now.unprotected.clone(),
            connections,
            cancelled,
            rests,
            renewed,
            returned: self.deaths.counts(),
            restored,
            dead_letter_failures,
        })
    }

    /// Records that a broker is configured.
    pub(super) fn starting(&self) {
        self.now.lock().standing = Standing::Starting;
    }

    /// Records that batches are being consumed. Returns the unprotected queues that were not known before.
    pub(super) fn consuming(&self, unprotected: Vec<String>) -> Vec<String> {
        let mut now = self.now.lock();
        now.standing = Standing::Consuming;
        // Held messages are redelivered, unless someone has removed them.
        now.dead_letter_trouble = None;
        now.counts.connections += 1;
        let news = unprotected.iter().filter(|queue| !now.unprotected.contains(queue)).cloned().collect();
        now.unprotected = unprotected;
        news
    }

    /// Records that consumption is stopped because the central cannot accept batches. Returns whether that is new.
    pub(super) fn resting(&self, why: &str) -> bool {
        let mut now = self.now.lock();
        let is_new = !matches!(now.standing, Standing::Resting(_));
        now.counts.rests += u64::from(is_new);
        now.standing = Standing::Resting(why.to_owned());
        is_new
    }

    /// Records that consumption is stopped because of the broker. Returns whether that is new or the problem has
    /// changed.
    pub(super) fn unusable(&self, trouble: &Trouble) -> bool {
        let mut now = self.now.lock();
        now.counts.cancelled += u64::from(matches!(trouble, Trouble::Cancelled(_)));
        let standing = Standing::Unusable(trouble.public());
        let is_new = now.standing != standing;
        now.standing = standing;
        is_new
    }

    /// Records that the dead-letter queue did not accept a message. Returns whether that is new.
    pub(super) fn dead_letter_failed(&self, why: &str) -> bool {
        let mut now = self.now.lock();
        let is_new = now.dead_letter_trouble.replace(why.to_owned()).is_none();
        now.counts.dead_letter_failures += u64::from(is_new);
        is_new
    }

    /// Records that the dead-letter queue accepted a message.
    pub(super) fn dead_letter_worked(&self) {
        self.now.lock().dead_letter_trouble = None;
    }

    /// Records that a message was requeued as new.
    pub(super) fn renewed(&self) {
        self.now.lock().counts.renewed += 1;
    }

    /// Records that the broker had removed a message from the queue. If a log line is due, returns the number of such
    /// messages since the last one.
    pub(super) fn returned(&self, reason: &'static str) -> Option<u64> {
        self.deaths.add(reason, Instant::now())
    }

    /// Records that a message removed by the broker was accepted after all.
    pub(super) fn restored(&self) {
        self.now.lock().counts.restored += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn troubles(state: &State) -> Vec<String> {
        state.status().unwrap().troubles
    }

    #[test]
    fn a_broker_that_is_not_configured_is_no_trouble_and_one_that_is_is_until_batches_are_taken() {
        let state = State::default();
        assert_eq!(state.status(), None);
        state.starting();
        assert!(troubles(&state)[0].contains("yet"));
        state.consuming(Vec::new());
        assert_eq!(troubles(&state), Vec::<String>::new());
        assert!(state.status().unwrap().is_consuming);
        state.unusable(&Trouble::Cancelled("q".to_owned()));
        assert!(troubles(&state)[0].contains("\"q\""), "{:?}", troubles(&state));
        assert_eq!(state.status().unwrap().cancelled, 1);
    }

    #[test]
    fn what_is_known_is_not_told_again() {
        let state = State::default();
        state.starting();
        let gone = Trouble::Silent(30);
        assert!(state.unusable(&gone) && !state.unusable(&gone));
        assert!(state.unusable(&Trouble::Cancelled("q".to_owned())));
        assert!(state.resting("full") && !state.resting("full"));
        assert_eq!(state.status().unwrap().rests, 1);
        assert_eq!(state.consuming(vec!["q".to_owned()]), ["q"]);
        assert_eq!(state.consuming(vec!["q".to_owned(), "r".to_owned()]), ["r"]);
    }

    #[test]
    fn a_dead_letter_queue_that_takes_nothing_is_a_trouble_until_it_does() {
        let state = State::default();
        state.consuming(Vec::new());
        assert!(state.dead_letter_failed("it is full") && !state.dead_letter_failed("it is full"));
        assert!(troubles(&state)[0].contains("it is full"));
        state.dead_letter_worked();
        assert!(troubles(&state).is_empty());
        assert_eq!(state.status().unwrap().dead_letter_failures, 1);
    }
}
