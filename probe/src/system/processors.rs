//! Processor time by kind, per core and in total (`/proc/stat`, proc(5)).

use super::{MAX_CORES, numbers};
use std::fs;

/// Ticks since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    user: u64,
    system: u64,
    iowait: u64,
    idle: u64,
    steal: u64,
}

/// Shares of the time between two readings, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share {
    /// Everything except idle and iowait.
    pub(super) busy: f64,
    /// Programs, including niced ones and guests.
    pub(super) user: f64,
    /// The kernel, including interrupts.
    pub(super) system: f64,
    /// Idle while waiting for a disk.
    pub(super) iowait: f64,
}

/// `total`, and the number of each online core.
pub(super) fn read() -> Vec<(String, Times)> {
    fs::read_to_string("/proc/stat").map(|text| parse(&text)).unwrap_or_default()
}

fn parse(text: &str) -> Vec<(String, Times)> {
    let lines = text.lines().map_while(|line| line.strip_prefix("cpu")).take(1 + MAX_CORES);
    let processor = |line: &str| {
        let (core, times) = line.split_once(' ')?;
        let label = if core.is_empty() { "total" } else { core };
        Some((label.to_owned(), Times::new(times)?))
    };
    lines.filter_map(processor).collect()
}

impl Times {
    fn new(text: &str) -> Option<Times> {
        let mut next = numbers(text).fuse();
        let (user, nice, system, idle) = (next.next()?, next.next()?, next.next()?, next.next()?);
        let [iowait, hardware, software, steal] = [(); 4].map(|()| next.next().unwrap_or_default());
        // user and nice already include guests.
        Some(Times { user: user + nice, system: system + hardware + software, iowait, idle, steal })
    }

    /// How the time since then was spent; unknown if none has passed.
    pub(super) fn since(&self, before: &Times) -> Option<Share> {
        // Idle and iowait may decrease slightly; treat that as zero.
        let user = self.user.saturating_sub(before.user);
        let system = self.system.saturating_sub(before.system);
        let iowait = self.iowait.saturating_sub(before.iowait);
        let idle = self.idle.saturating_sub(before.idle);
        let busy = user + system + self.steal.saturating_sub(before.steal);
        let total = busy + iowait + idle;
        let share = |ticks: u64| ticks as f64 / total as f64;
        (total > 0).then(|| Share { busy: share(busy), user: share(user), system: share(system), iowait: share(iowait) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_reported_by_kind_and_core() {
        let before = parse("cpu  100 10 50 800 30 5 5 0 20 0\ncpu1 100 10 50 800 30 5 5 0 20 0\nintr 1 2 3\n");
        let after = parse("cpu  130 20 60 850 35 6 9 0 20 0\ncpu1 100 10 50 800 29 5 5 0 20 0\nintr 1 2 3\n");
        assert_eq!(after.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), ["total", "1"]);
        let share = after[0].1.since(&before[0].1).unwrap();
        // 40 user, 15 system, 5 iowait, 50 idle of 110.
        let expected = [55.0, 40.0, 15.0, 5.0].map(|ticks| ticks / 110.0);
        assert_eq!([share.busy, share.user, share.system, share.iowait], expected);
        assert_eq!(after[1].1.since(&before[1].1), None, "a share although no time has passed");
    }

    #[test]
    fn an_old_kernel_reports_fewer_kinds() {
        assert!(parse("cpu  100 10 50 800\n")[0].1.since(&Times::default()).is_some());
        assert_eq!(parse("cpu  100 x\n"), []);
    }
}
