//! Settings that are one of a few words.

use super::declaration::{Allowed, Setting, Value};
use serde::{Deserialize, Serialize};

/// How batches reach the central.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Communication {
    /// The probe sends them over HTTP.
    Http,
    /// The probe sends them through RabbitMQ.
    Rabbitmq,
    /// The central collects them from the probe.
    Pull,
}

/// What happens to a batch whose time is already covered by another run of a probe of the same server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlappingProbes {
    /// Both count.
    Count,
    /// It is permanently refused.
    Refuse,
}

impl Communication {
    pub(crate) const ALLOWED: Allowed = Allowed::Choice { name: "Communication", words: &["http", "rabbitmq", "pull"] };

    /// The word used in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Communication::Http => "http",
            Communication::Rabbitmq => "rabbitmq",
            Communication::Pull => "pull",
        }
    }
}

impl OverlappingProbes {
    pub(crate) const ALLOWED: Allowed = Allowed::Choice { name: "OverlappingProbes", words: &["count", "refuse"] };
}

impl Setting for Communication {
    fn value(&self) -> Value<'_> {
        Value::Typed
    }
}

impl Setting for OverlappingProbes {
    fn value(&self) -> Value<'_> {
        Value::Typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T: Serialize>(allowed: Allowed, all: impl IntoIterator<Item = T>) {
        let Allowed::Choice { words, .. } = allowed else { panic!("{allowed:?}") };
        let written: Vec<_> = all.into_iter().map(|choice| serde_json::to_value(choice).unwrap()).collect();
        assert_eq!(written, words);
    }

    #[test]
    fn the_declared_words_are_those_that_are_written() {
        let ways = [Communication::Http, Communication::Rabbitmq, Communication::Pull];
        words(Communication::ALLOWED, ways);
        words(Communication::ALLOWED, ways.map(Communication::as_str));
        words(OverlappingProbes::ALLOWED, [OverlappingProbes::Count, OverlappingProbes::Refuse]);
    }
}
