//! Times and durations in words.

const SECOND_MS: i64 = 1000;
const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 86_400;

/// The date of a Unix time in UTC, such as `2026-11-03`.
pub(super) fn date(time_ms: i64) -> String {
    let days = time_ms.div_euclid(DAY_S * SECOND_MS);
    // Days to civil date: the algorithm of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A duration in its two largest units, such as `6 h 12 min` or `107 days`.
pub(super) fn duration(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / SECOND_MS;
    let days = |count: i64| if count == 1 { "1 day".to_owned() } else { format!("{count} days") };
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {smaller}"),
    };
    match seconds {
        s if s >= 3 * DAY_S => days(s / DAY_S),
        s if s >= DAY_S && s % DAY_S < HOUR_S => days(s / DAY_S),
        s if s >= DAY_S => format!("{} {} h", days(s / DAY_S), s % DAY_S / HOUR_S),
        s if s >= HOUR_S => two(s / HOUR_S, "h", s % HOUR_S / MINUTE_S, "min"),
        s if s >= MINUTE_S => two(s / MINUTE_S, "min", s % MINUTE_S, "s"),
        0 if milliseconds > 0 => format!("{milliseconds} ms"),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        let day = DAY_S * SECOND_MS;
        let dates = [0, -1, 59 * day, 11_016 * day, 20_784 * day - 1, 20_784 * day].map(date);
        assert_eq!(dates, ["1970-01-01", "1969-12-31", "1970-03-01", "2000-02-29", "2026-11-26", "2026-11-27"]);
        let _ = (date(i64::MIN), date(i64::MAX));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0, 5, 12_000, 60_000, 61_500, 22_320_000, 86_400_000, 93_600_000, 9_244_800_000].map(duration);
        let expected = ["0 s", "5 ms", "12 s", "1 min", "1 min 1 s", "6 h 12 min", "1 day", "1 day 2 h", "107 days"];
        assert_eq!(texts, expected);
    }
}
