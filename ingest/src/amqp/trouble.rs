//! Why the broker cannot be used.

/// Why the broker cannot be used. `Display` prints all details, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// There is no connection.
    #[error("there is no connection: {0}")]
    Connect(String),
    /// The connection attempt timed out.
    #[error("there is no connection: no answer in {0} s")]
    Silent(u64),
    /// A queue cannot be used.
    #[error("queue {queue:?}: {what}{}", quoted(.said))]
    Queue {
        /// The name of the queue.
        queue: String,
        /// What is wrong, and what to do about it.
        what: String,
        /// The broker's message; it may name users.
        said: String,
    },
    /// The broker cancelled the central's consumer.
    #[error("queue {0:?}: the broker cancelled the consumer; the queue may have been deleted")]
    Cancelled(String),
    /// An established connection ended.
    #[error("the connection ended: {0}")]
    Ended(lapin::Error),
}

impl Trouble {
    /// The same in words that are safe to show to anyone: without the broker's message.
    pub(super) fn public(&self) -> String {
        match self {
            Trouble::Connect(_) | Trouble::Silent(_) => "there is no connection".to_owned(),
            Trouble::Queue { queue, what, .. } => format!("queue {queue:?}: {what}"),
            Trouble::Cancelled(_) => self.to_string(),
            Trouble::Ended(_) => "the connection ended".to_owned(),
        }
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" (the broker says: {said})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_may_read_does_not_repeat_the_broker() {
        let trouble = Trouble::Queue { queue: "q".to_owned(), what: "no".to_owned(), said: "refused for user 'me'".to_owned() };
        assert_eq!(trouble.public(), "queue \"q\": no");
        assert_eq!(trouble.to_string(), "queue \"q\": no (the broker says: refused for user 'me')");
    }
}
