//! Which backups are kept.

use std::collections::BTreeSet;

/// Rules for which backups are kept: one is kept if any rule says so. Days and weeks are those of UTC; weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest backups, at least 1.
    pub keep_last: u32,
    /// The newest backup of each of the last days that have one.
    pub keep_daily: u32,
    /// The newest backup of each of the last weeks that have one.
    pub keep_weekly: u32,
}

const DAY_MS: u64 = 86_400_000;

impl Retention {
    /// The backups to keep, of all at these times, Unix milliseconds, in any order. Where several have the same time, all
    /// of them are kept or none.
    pub fn keep(&self, times_ms: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
        let times: BTreeSet<u64> = times_ms.into_iter().collect();
        let newest = || times.iter().rev().copied();
        let mut kept: BTreeSet<u64> = newest().take(self.keep_last.max(1) as usize).collect();
        kept.extend(newest_of_each(newest(), |time_ms| time_ms / DAY_MS, self.keep_daily));
        // 1970 began on a Thursday.
        kept.extend(newest_of_each(newest(), |time_ms| (time_ms / DAY_MS + 3) / 7, self.keep_weekly));
        kept
    }
}

/// The newest of each of the last periods, of times from the newest on.
fn newest_of_each(times: impl Iterator<Item = u64>, period: impl Fn(u64) -> u64, periods: u32) -> Vec<u64> {
    let mut kept: Vec<u64> = Vec::new();
    for time_ms in times {
        if kept.last().is_some_and(|last| period(*last) == period(time_ms)) {
            continue;
        }
        if kept.len() >= periods as usize {
            break;
        }
        kept.push(time_ms);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: u64 = 3_600_000;

    fn times() -> impl Strategy<Value = BTreeSet<u64>> {
        prop::collection::btree_set((0..24 * 200u64).prop_map(|hour| 1_767_225_600_000 + hour * HOUR_MS), 0..120)
    }

    fn rules() -> impl Strategy<Value = Retention> {
        (0..6u32, 0..6u32, 0..6u32).prop_map(|(keep_last, keep_daily, keep_weekly)| Retention {
            keep_last,
            keep_daily,
            keep_weekly,
        })
    }

    proptest! {
        #[test]
        fn only_what_is_there_is_kept_and_the_newest_always(times in times(), rules in rules()) {
            let kept = rules.keep(times.iter().copied());
            prop_assert!(kept.is_subset(&times));
            prop_assert_eq!(kept.last(), times.last());
            let most = rules.keep_last.max(1) + rules.keep_daily + rules.keep_weekly;
            prop_assert!(kept.len() <= most as usize);
        }

        /// What a run removes, a later run would have removed: nothing depends on when retention was applied.
        #[test]
        fn applying_the_rules_twice_changes_nothing(times in times(), rules in rules()) {
            let kept = rules.keep(times.iter().copied());
            prop_assert_eq!(rules.keep(kept.iter().copied()), kept);
        }

        /// Applied after every backup, the rules keep what they would keep if nothing had been removed meanwhile.
        #[test]
        fn applying_the_rules_after_every_backup_keeps_the_same(times in times(), rules in rules()) {
            let mut kept = BTreeSet::new();
            for time_ms in &times {
                kept.insert(*time_ms);
                kept = rules.keep(kept);
            }
            prop_assert_eq!(kept, rules.keep(times));
        }

        #[test]
        fn each_of_the_last_days_and_weeks_has_its_newest(times in times(), rules in rules()) {
            let kept = rules.keep(times.iter().copied());
            let day = |time_ms: u64| time_ms / DAY_MS;
            let days: BTreeSet<u64> = times.iter().map(|time_ms| day(*time_ms)).collect();
            for last in days.iter().rev().take(rules.keep_daily as usize) {
                let newest = times.iter().rev().find(|time_ms| day(**time_ms) == *last).unwrap();
                prop_assert!(kept.contains(newest));
            }
            prop_assert!(times.iter().rev().take(rules.keep_last as usize).all(|time_ms| kept.contains(time_ms)));
            let week = |time_ms: u64| (time_ms / DAY_MS + 3) / 7;
            let weeks: BTreeSet<u64> = times.iter().map(|time_ms| week(*time_ms)).collect();
            for last in weeks.iter().rev().take(rules.keep_weekly as usize) {
                let newest = times.iter().rev().find(|time_ms| week(**time_ms) == *last).unwrap();
                prop_assert!(kept.contains(newest));
            }
        }

        /// More generous rules keep at least as much.
        #[test]
        fn a_rule_that_keeps_more_removes_nothing_else(times in times(), rules in rules()) {
            let kept = rules.keep(times.iter().copied());
            let Retention { keep_last, keep_daily, keep_weekly } = rules;
            let more = Retention { keep_last: keep_last + 1, keep_daily: keep_daily + 1, keep_weekly: keep_weekly + 1 };
            prop_assert!(kept.is_subset(&more.keep(times)));
        }
    }

    #[test]
    fn a_week_begins_on_monday() {
        // 2026-01-04 is a Sunday.
        let sunday_ms = 1_767_484_800_000;
        let monday_ms = sunday_ms + DAY_MS;
        let rules = Retention { keep_last: 1, keep_daily: 0, keep_weekly: 2 };
        let kept = rules.keep([sunday_ms, monday_ms, monday_ms + 6 * DAY_MS]);
        assert_eq!(kept, [sunday_ms, monday_ms + 6 * DAY_MS].into());
    }
}
