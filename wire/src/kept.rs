//! Since when a central answers points, as reported to senders of batches.

use std::fmt;
use std::str::FromStr;

/// A header in the answer that confirms a batch.
pub const KEPT_FROM_HEADER: &str = "x-zonepulse-kept-from";

/// Batches that began before these times count in totals, but in no point that a question can
/// return. Unix seconds.
///
/// As text, both numbers separated by a space, with the one for raw points first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFrom {
    /// For raw points.
    pub raw_s: u64,
    /// For roll-ups and reports.
    pub aggregated_s: u64,
}

impl fmt::Display for KeptFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.raw_s, self.aggregated_s)
    }
}

/// The text is not two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not two numbers of seconds")]
pub struct NotKeptFrom;

impl FromStr for KeptFrom {
    type Err = NotKeptFrom;

    fn from_str(text: &str) -> Result<Self, NotKeptFrom> {
        let (raw_s, aggregated_s) = text.split_once(' ').ok_or(NotKeptFrom)?;
        let number = |text: &str| text.parse().map_err(|_| NotKeptFrom);
        // A later version may append more.
        let aggregated_s = aggregated_s.split(' ').next().unwrap_or_default();
        Ok(KeptFrom { raw_s: number(raw_s)?, aggregated_s: number(aggregated_s)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_a_later_version_adds_is_passed_over() {
        let kept = KeptFrom { raw_s: 1_767_000_000, aggregated_s: 0 };
        assert_eq!(kept.to_string().parse(), Ok(kept));
        assert_eq!("7 5 3".parse(), Ok(KeptFrom { raw_s: 7, aggregated_s: 5 }));
        for text in ["", "7", "7 ", " 7", "7 x", "-1 2", "x 1"] {
            assert_eq!(text.parse::<KeptFrom>(), Err(NotKeptFrom), "{text:?}");
        }
    }
}
