//! How the way through the broker is, for whoever watches.

use super::Trouble;
use super::headers::DEATHS;
use super::origin::Refusals;
use parking_lot::Mutex;
use std::time::Instant;

/// How it is now, and what happened since the start.
#[derive(Debug)]
pub(crate) struct State {
    now: Mutex<Now>,
    /// Messages that the broker took out of the queue.
    deaths: Refusals,
}

#[derive(Debug, Default)]
struct Now {
    standing: Standing,
    /// Why refused messages do not get into the dead-letter queue.
    dead_letter_trouble: Option<String>,
    unprotected: Vec<String>,
    counts: Counts,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Standing {
    /// There is no broker.
    #[default]
    Off,
    Starting,
    Consuming,
    /// The central takes no batches at the moment.
    Resting(String),
    Unusable(String),
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    connections: u64,
    cancelled: u64,
    rests: u64,
    renewed: u64,
    restored: u64,
    dead_letter_failures: u64,
}

/// How the way through the broker is, and what happened since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether batches are taken from the queue.
    pub is_consuming: bool,
    /// What is wrong, in words that anybody may read.
    pub troubles: Vec<String>,
    /// Queues whose messages the broker may drop, because an earlier release declared them.
    pub unprotected: Vec<String>,
    /// Connections that led to batches being taken.
    pub connections: u64,
    /// How often the broker ended the consumption of a queue; it does when somebody deletes it.
    pub cancelled: u64,
    /// How often consumption was stopped because the central could take no batch.
    pub rests: u64,
    /// Messages that were put into their queue anew because the broker had given them out several times.
    pub renewed: u64,
    /// Messages that the broker had taken out of the queue, by its reason.
    pub returned: Vec<(&'static str, u64)>,
    /// Those of them whose batches were taken.
    pub restored: u64,
    /// How often the dead-letter queue began to take no message.
    pub dead_letter_failures: u64,
}

impl Default for State {
    fn default() -> Self {
        State { now: Mutex::default(), deaths: Refusals::with(&DEATHS) }
    }
}

impl State {
    /// None without a broker.
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

    /// There is a broker.
    pub(super) fn starting(&self) {
        self.now.lock().standing = Standing::Starting;
    }

    /// Batches are taken. Gives those of the queues without protection that were not known as such.
    pub(super) fn consuming(&self, unprotected: Vec<String>) -> Vec<String> {
        let mut now = self.now.lock();
        now.standing = Standing::Consuming;
        // What was held is given out again, unless somebody took it away.
        now.dead_letter_trouble = None;
        now.counts.connections += 1;
        let news = unprotected.iter().filter(|queue| !now.unprotected.contains(queue)).cloned().collect();
        now.unprotected = unprotected;
        news
    }

    /// No batches are taken because the central can take none. Whether that is new.
    pub(super) fn resting(&self, why: &str) -> bool {
        let mut now = self.now.lock();
        let is_new = !matches!(now.standing, Standing::Resting(_));
        now.counts.rests += u64::from(is_new);
        now.standing = Standing::Resting(why.to_owned());
        is_new
    }

    /// No batches are taken because of the broker. Whether that is new, or another trouble than the last.
    pub(super) fn unusable(&self, trouble: &Trouble) -> bool {
        let mut now = self.now.lock();
        now.counts.cancelled += u64::from(matches!(trouble, Trouble::Cancelled(_)));
        let standing = Standing::Unusable(trouble.public());
        let is_new = now.standing != standing;
        now.standing = standing;
        is_new
    }

    /// The dead-letter queue did not take a message. Whether that is new.
    pub(super) fn dead_letter_failed(&self, why: &str) -> bool {
        let mut now = self.now.lock();
        let is_new = now.dead_letter_trouble.replace(why.to_owned()).is_none();
        now.counts.dead_letter_failures += u64::from(is_new);
        is_new
    }

    /// The dead-letter queue took a message.
    pub(super) fn dead_letter_worked(&self) {
        self.now.lock().dead_letter_trouble = None;
    }

    /// A message was put into its queue anew.
    pub(super) fn renewed(&self) {
        self.now.lock().counts.renewed += 1;
    }

    /// The broker had taken a message out of the queue. Gives how many there were since the log had a line about it when it
    /// is time for another one.
    pub(super) fn returned(&self, reason: &'static str) -> Option<u64> {
        self.deaths.add(reason, Instant::now())
    }

    /// A message that the broker had taken out of the queue was taken after all.
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
