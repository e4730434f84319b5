//! Compares this machine's clock with the central's.
//!
//! The central's time is that of the `Date` header of an answer, which has whole seconds. Hits are
//! dated by this machine's clock, so a difference shifts them; and the central does not accept
//! batches that begin after its present.

use super::subject::Subject;
use jiff::fmt::rfc2822::DateTimeParser;
use std::time::Duration;
use zonepulse_doctor::Check;
use zonepulse_wire::Utc;

const SUBJECT: Subject = Subject::Clock;
/// Differences from here on are reported, milliseconds.
const WORTH_A_WORD_MS: u64 = 3000;
/// From here on, a finished interval may begin after the central's present, or be dated into another
/// interval, milliseconds.
const TOO_FAR_MS: u64 = 60_000;
/// A `Date` header is that of the second in which the answer was made, milliseconds.
const HALF_SECOND_MS: u64 = 500;

/// An answer of the central and when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    /// Its `Date` header, if there was one.
    pub(super) date: Option<String>,
    /// When the request was sent, by this machine's clock, Unix milliseconds.
    pub(super) sent_ms: u64,
    pub(super) round_trip: Duration,
}

/// A clock that is certainly wrong, whatever the central says.
pub(super) fn unset(now_ms: u64, earliest_ms: u64) -> Option<Check> {
    let found = format!("this machine's clock is not set: it says {}, which is before times.earliest", Utc(now_ms / 1000));
    let advice = "set it, and keep it right with NTP: timedatectl set-ntp true";
    (now_ms < earliest_ms).then(|| Check::error(SUBJECT, found, advice))
}

pub(super) fn judge(answered: &Answered) -> Check {
    let Answered { date, sent_ms, round_trip } = answered;
    let now = Utc(sent_ms / 1000);
    let advice = "correct the one that is wrong, and keep both right with NTP: timedatectl set-ntp true; chronyc tracking";
    let theirs = date.as_deref().and_then(|date| DateTimeParser::new().parse_timestamp(date.trim()).ok());
    let Some(theirs) = theirs.and_then(|time| u64::try_from(time.as_millisecond()).ok()) else {
        return Check::skipped(SUBJECT, "the answer of the central has no readable Date header");
    };
    let half_ms = u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX) / 2;
    let (ours_ms, theirs_ms) = (sent_ms.saturating_add(half_ms), theirs.saturating_add(HALF_SECOND_MS));
    let apart_ms = ours_ms.abs_diff(theirs_ms);
    let uncertain_ms = half_ms.saturating_add(HALF_SECOND_MS);
    let certain_ms = apart_ms.saturating_sub(uncertain_ms);
    let ahead_ms = i64::try_from(i128::from(ours_ms) - i128::from(theirs_ms)).unwrap_or(i64::MAX);
    let direction = if ours_ms > theirs_ms { "ahead of" } else { "behind" };
    let found = format!("this machine's clock ({now}) is {:.1} s {direction} the central's", apart_ms as f64 / 1000.0);
    let check = if certain_ms > TOO_FAR_MS {
        Check::error(SUBJECT, found, advice)
    } else if certain_ms > WORTH_A_WORD_MS {
        Check::warning(SUBJECT, found, advice)
    } else {
        Check::ok(
            SUBJECT,
            format!(
                "this machine's clock agrees with the central's to within {:.1} s",
                (certain_ms + uncertain_ms) as f64 / 1000.0
            ),
        )
    };
    check.with("ahead_ms", ahead_ms).with("uncertain_ms", uncertain_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    /// 2026-11-21T10:15:22Z
    const NOW_MS: u64 = 1_795_256_122_000;

    fn judged(sent_ms: u64, round_trip_ms: u64) -> Check {
        let date = Some("Sat, 21 Nov 2026 10:15:22 GMT".to_owned());
        judge(&Answered { date, sent_ms, round_trip: Duration::from_millis(round_trip_ms) })
    }

    #[test]
    fn a_few_seconds_are_a_warning_and_a_minute_is_an_error() {
        for (ahead_ms, status) in [
            (0, Status::Ok),
            (999, Status::Ok),
            (-3000, Status::Ok),
            (4600, Status::Warning),
            (-4600, Status::Warning),
            (-3_600_000, Status::Error),
            (62_000, Status::Error),
        ] {
            assert_eq!(judged(NOW_MS.saturating_add_signed(ahead_ms), 10).status, status, "{ahead_ms}");
        }
        let check = judged(NOW_MS + 3_600_500, 0);
        assert_eq!(check.found, "this machine's clock (2026-11-21T11:15:22Z) is 3600.0 s ahead of the central's");
        assert_eq!(check.values["ahead_ms"], 3_600_000);
        assert!(judged(NOW_MS - 3_600_000, 0).found.contains("3600.5 s behind the central's"));
    }

    #[test]
    fn a_slow_answer_makes_a_difference_uncertain() {
        assert_eq!(judged(NOW_MS - 8000, 8000).status, Status::Ok);
        assert_eq!(judged(NOW_MS - 8000, 10).status, Status::Warning);
    }

    #[test]
    fn without_a_date_or_a_clock_nothing_is_compared() {
        let answered =
            |date: Option<&str>, sent_ms| Answered { date: date.map(str::to_owned), sent_ms, round_trip: Duration::ZERO };
        assert_eq!(judge(&answered(None, NOW_MS)).status, Status::Skipped);
        assert_eq!(judge(&answered(Some("yesterday"), NOW_MS)).status, Status::Skipped);
        let unset = unset(500, 1000).unwrap();
        assert!(unset.status == Status::Error && unset.found.contains("is not set"), "{unset:?}");
        assert_eq!(super::unset(1000, 1000), None);
    }
}
