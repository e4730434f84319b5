//! This machine: its clock, how many files may be open, and memory.

use super::data::size;
use super::{Known, Subject};
use crate::config::Settings;
use crate::open_files;
use std::fs;
use zonepulse_central::fleet::Last;
use zonepulse_doctor::{Check, machine, utc};

/// No central existed before 2026-01-01, milliseconds.
const EARLIEST_MS: u64 = 1_767_225_600_000;
/// How old a heartbeat may be that clocks are compared by, milliseconds.
const FRESH_MS: u64 = 600_000;
/// Differences from here on are reported, milliseconds; heartbeats take a while themselves.
const WORTH_A_WORD_MS: i64 = 5000;
/// From here on, batches are refused as ahead of the time, milliseconds.
const TOO_FAR_MS: i64 = 60_000;
/// How much of the memory the configured bounds may be, percent.
const FULL_PERCENT: u64 = 90;

pub(super) fn check(known: &Known) -> Vec<Check> {
    vec![clock(known), open_files(known), memory(known)]
}

fn clock(known: &Known) -> Check {
    let fresh = |last: &Last| known.now_ms.abs_diff(last.received_ms) < FRESH_MS;
    let heard = super::fleet::last_heard(known);
    let ahead = heard.iter().map(|(_, last)| last).filter(|last| fresh(last));
    // How far the probes' clocks are ahead of this machine's.
    let ahead_ms: Vec<i64> = ahead.map(|last| signed(last.heartbeat.sent_at_ms, last.received_ms)).collect();
    judge_clock(known.now_ms, ahead_ms)
}

fn signed(one_ms: u64, other_ms: u64) -> i64 {
    i64::try_from(i128::from(one_ms) - i128::from(other_ms)).unwrap_or(i64::MAX)
}

fn judge_clock(now_ms: u64, mut ahead_ms: Vec<i64>) -> Check {
    const SUBJECT: Subject = Subject::Clock;
    let advice = "set it, and keep it right with NTP: timedatectl set-ntp true; chronyc tracking";
    let now = utc(now_ms / 1000);
    if now_ms < EARLIEST_MS {
        return Check::error(SUBJECT, format!("this machine's clock is not set: it says {now}"), advice);
    }
    ahead_ms.sort_unstable();
    let Some(median_ms) = ahead_ms.get(ahead_ms.len() / 2).copied().filter(|_| !ahead_ms.is_empty()) else {
        return Check::ok(
            SUBJECT,
            format!("this machine's clock says {now}; no probe was heard lately that it could be compared with"),
        );
    };
    let count = ahead_ms.len();
    // Of two clocks that differ, either may be wrong; many probes are not all wrong in the same way.
    let (behind, apart_s) = (if median_ms > 0 { "behind" } else { "ahead of" }, median_ms.unsigned_abs() as f64 / 1000.0);
    let found = format!("this machine's clock ({now}) is {apart_s:.1} s {behind} those of {count} probes (median)");
    let check = match median_ms.abs() {
        apart_ms if apart_ms > TOO_FAR_MS => Check::error(SUBJECT, found, advice),
        apart_ms if apart_ms > WORTH_A_WORD_MS => Check::warning(SUBJECT, found, advice),
        _ => Check::ok(
            SUBJECT,
            format!("this machine's clock agrees with those of {count} probes (median: {:.1} s)", median_ms as f64 / 1000.0),
        ),
    };
    check.with("probes_ahead_ms", median_ms).with("probes", count)
}

fn open_files(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::OpenFiles;
    let process = known.process.as_ref().map_or_else(|| "self".to_owned(), |process| process.id.to_string());
    let limits = match fs::read_to_string(format!("/proc/{process}/limits")) {
        Ok(limits) => limits,
        Err(error) => return Check::skipped(SUBJECT, format!("/proc/{process}/limits cannot be read: {error}")),
    };
    // The central raises its limit as far as it may.
    let Some(most) = most_open_files(&limits) else {
        return Check::skipped(SUBJECT, "the limit on open files cannot be read");
    };
    judge_open_files(most, open_files::needed(&known.settings.limits))
}

/// The hard limit: `Max open files            1024                 524288               files`
fn most_open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let word = line.split_ascii_whitespace().nth(1)?;
    if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() }
}

fn judge_open_files(most: u64, needed: u64) -> Check {
    const SUBJECT: Subject = Subject::OpenFiles;
    let check = if most < needed {
        Check::warning(
            SUBJECT,
            format!("at most {most} files may be open, and limits.max_connections and the store need {needed}"),
            format!("raise the limit (LimitNOFILE={needed} in the unit, ulimit -n {needed}), or lower limits.max_connections"),
        )
    } else {
        Check::ok(SUBJECT, format!("{most} files may be open, and {needed} are needed"))
    };
    check.with("most", most.min(1 << 53)).with("needed", needed)
}

fn memory(known: &Known) -> Check {
    const SUBJECT: Subject = Subject::Memory;
    let process = known.process.as_ref().map_or_else(|| "self".to_owned(), |process| process.id.to_string());
    let group_bytes = machine::memory_limit_bytes(&process);
    match group_bytes.into_iter().chain(machine::memory_bytes()).min() {
        Some(there_bytes) => judge_memory(budget_bytes(&known.settings), there_bytes, group_bytes == Some(there_bytes)),
        None => Check::skipped(SUBJECT, "how much memory there is cannot be read"),
    }
}

/// What the configured bounds allow together.
fn budget_bytes(settings: &Settings) -> u64 {
    let Settings { store, query, sql, limits, .. } = settings;
    let bytes = |bytes: usize| bytes as u64;
    let cache_bytes = bytes(store.block_cache_bytes);
    // A statement has that much in its worker, and all together once more for what is read for them.
    let sql_bytes = bytes(sql.memory_bytes).saturating_mul(bytes(sql.max_concurrent).saturating_add(1));
    let parts = [
        cache_bytes,
        cache_bytes / 8,
        bytes(store.write_buffer_bytes),
        bytes(query.memory_bytes),
        sql_bytes,
        limits.max_pending_bytes.into(),
    ];
    parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
}

fn judge_memory(budget_bytes: u64, there_bytes: u64, is_of_group: bool) -> Check {
    const SUBJECT: Subject = Subject::Memory;
    let whose = if is_of_group { "the control group allows" } else { "this machine has" };
    let found = format!(
        "the configured bounds of caches, queries and statements add up to {}, and {whose} {}",
        size(budget_bytes),
        size(there_bytes)
    );
    let advice = "lower sql.max_concurrent, sql.memory_bytes, query.memory_bytes or store.block_cache_bytes, or add memory; \
                  names and totals need some, too (zonepulse plan)";
    let check = if budget_bytes > there_bytes {
        Check::warning(SUBJECT, format!("{found}: under load, the central may be killed"), advice)
    } else if budget_bytes > there_bytes / 100 * FULL_PERCENT {
        Check::warning(SUBJECT, format!("{found}: little is left for names and totals"), advice)
    } else {
        Check::ok(SUBJECT, found)
    };
    check.with("budget_bytes", budget_bytes).with("memory_bytes", there_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    const NOW_MS: u64 = 1_795_256_122_000;

    #[test]
    fn one_probe_with_a_wrong_clock_does_not_make_this_one_wrong() {
        let status = |ahead_ms: &[i64]| judge_clock(NOW_MS, ahead_ms.to_vec()).status;
        assert_eq!(status(&[]), Status::Ok);
        assert_eq!(status(&[-40, 3_600_000, 10]), Status::Ok);
        assert_eq!(status(&[9000, 10_000, 0]), Status::Warning);
        let check = judge_clock(NOW_MS, vec![-3_600_000; 2]);
        assert!(check.status == Status::Error && check.found.contains("3600.0 s ahead of those of 2 probes"), "{check:?}");
        assert!(judge_clock(NOW_MS, vec![3_600_000]).found.contains("3600.0 s behind"));
        assert!(judge_clock(5000, Vec::new()).found.contains("is not set: it says 1970-01-01T00:00:05Z"));
    }

    #[test]
    fn the_hard_limit_counts() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(most_open_files(text), Some(524_288));
        assert_eq!(most_open_files("Max open files  1024  unlimited  files"), Some(u64::MAX));
        assert_eq!(most_open_files("rubbish"), None);
        assert_eq!((judge_open_files(1024, 1536).status, judge_open_files(1536, 1536).status), (Status::Warning, Status::Ok));
    }

    #[test]
    fn bounds_beyond_the_memory_are_found() {
        let status = |budget_bytes, there_bytes| judge_memory(budget_bytes, there_bytes, false).status;
        assert_eq!(status(1 << 30, 4 << 30), Status::Ok);
        assert_eq!((status(31 << 27, 4 << 30), status(5 << 30, 4 << 30)), (Status::Warning, Status::Warning));
        assert!(judge_memory(2, 1, true).found.contains("the control group allows 1 bytes"));
    }
}
