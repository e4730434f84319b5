//! Samples the machine: present values, and changes since the last sample.

use super::devices::{Throughput, disk_bytes, network_bytes};
use super::processors::{self, Times};
use super::sockets::Sockets;
use super::{mounts, numbers};
use std::borrow::Cow;
use std::fs;
use std::time::{Duration, Instant};
use sysinfo::{MemoryRefreshKind, System};

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The metric's name.
    pub metric: Cow<'static, str>,
    /// Core, mount, device, state or the like; empty if there is only one series of the metric.
    pub label: Cow<'static, str>,
    /// The rounded value.
    pub value: f64,
}

/// Samples the machine, and remembers the counters for rates.
#[derive(Debug)]
pub struct Sampler {
    memory: System,
    sockets: Sockets,
    before: Option<Before>,
    readings: Vec<Reading>,
}

/// The counters of the previous sample.
#[derive(Debug)]
struct Before {
    at: Instant,
    processors: Vec<(String, Times)>,
    disks: Vec<Throughput>,
    networks: Vec<Throughput>,
    own: Duration,
}

impl Sampler {
    /// Creates a sampler. The first sample has no rates.
    pub fn new() -> Self {
        Sampler { memory: System::new(), sockets: Sockets::new(), before: None, readings: Vec::new() }
    }

    /// Omits rates from the next sample, because the counters belong to another time.
    pub fn forget(&mut self) {
        self.before = None;
    }

    /// Samples everything.
    pub fn sample(&mut self) -> &[Reading] {
        self.readings.clear();
        let now = Before {
            at: Instant::now(),
            processors: processors::read(),
            disks: disk_bytes(),
            networks: network_bytes(),
            own: own_time(),
        };
        if let Some(before) = self.before.take() {
            self.rates(&before, &now);
        }
        self.before = Some(now);
        self.memory();
        self.machine();
        for mount in mounts::read() {
            self.label("disk_total_bytes", &mount.path, mount.total_bytes as f64);
            self.label("disk_used_bytes", &mount.path, mount.used_bytes as f64);
            self.label("disk_free_bytes", &mount.path, mount.free_bytes as f64);
        }
        for (state, count) in self.sockets.tcp() {
            self.label("tcp_connections", state, count as f64);
        }
        &self.readings
    }

    fn rates(&mut self, before: &Before, now: &Before) {
        let elapsed_s = now.at.duration_since(before.at).as_secs_f64();
        if elapsed_s <= 0.0 {
            return;
        }
        for (label, times) in &now.processors {
            let Some((_, earlier)) = before.processors.iter().find(|(other, _)| other == label) else { continue };
            let Some(share) = times.since(earlier) else { continue };
            self.label("cpu_percent", label, percent(share.busy));
            self.label("cpu_user_percent", label, percent(share.user));
            self.label("cpu_system_percent", label, percent(share.system));
            self.label("cpu_iowait_percent", label, percent(share.iowait));
        }
        let disks = ["disk_read_bytes_per_s", "disk_written_bytes_per_s"];
        let networks = ["network_received_bytes_per_s", "network_sent_bytes_per_s"];
        for (metrics, now, before) in [(disks, &now.disks, &before.disks), (networks, &now.networks, &before.networks)] {
            for device in now {
                let Some(earlier) = before.iter().find(|earlier| earlier.device == device.device) else { continue };
                for ((metric, bytes), earlier) in metrics.into_iter().zip(device.bytes).zip(earlier.bytes) {
                    // A counter that went back was reset, so the rate of this slot is unknown.
                    if let Some(bytes) = bytes.checked_sub(earlier) {
                        self.label(metric, &device.device, (bytes as f64 / elapsed_s).round());
                    }
                }
            }
        }
        let own = now.own.saturating_sub(before.own).as_secs_f64() / elapsed_s;
        self.push("probe_cpu_percent", percent(own));
    }

    fn memory(&mut self) {
        self.memory.refresh_memory_specifics(MemoryRefreshKind::everything());
        let memory = &self.memory;
        let values = [
            ("memory_total_bytes", memory.total_memory()),
            ("memory_used_bytes", memory.used_memory()),
            ("memory_available_bytes", memory.available_memory()),
            ("swap_total_bytes", memory.total_swap()),
            ("swap_used_bytes", memory.used_swap()),
        ];
        for (metric, value) in values {
            self.push(metric, value as f64);
        }
    }

    fn machine(&mut self) {
        let load = System::load_average();
        self.push("load_1m", (load.one * 100.0).round() / 100.0);
        self.push("load_5m", (load.five * 100.0).round() / 100.0);
        self.push("load_15m", (load.fifteen * 100.0).round() / 100.0);
        self.push("uptime_s", System::uptime() as f64);
        if let Some(sockets) = self.sockets.udp() {
            self.push("udp_sockets", sockets as f64);
        }
        if let Some(processes) = processes() {
            self.push("processes", processes as f64);
        }
        if let Some(bytes) = own_memory_bytes() {
            self.push("probe_memory_bytes", bytes as f64);
        }
    }

    fn push(&mut self, metric: &'static str, value: f64) {
        self.readings.push(Reading { metric: Cow::Borrowed(metric), label: Cow::Borrowed(""), value });
    }

    fn label(&mut self, metric: &'static str, label: &str, value: f64) {
        self.readings.push(Reading { metric: Cow::Borrowed(metric), label: Cow::Owned(label.to_owned()), value });
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Sampler::new()
    }
}

/// A share as a percentage, rounded to tenths.
fn percent(share: f64) -> f64 {
    (share * 1000.0).round() / 10.0
}

/// Number of processes, not counting threads.
fn processes() -> Option<usize> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let is_process = |name: &[u8]| name.first().is_some_and(u8::is_ascii_digit);
    Some(entries.filter(|entry| is_process(entry.file_name().as_encoded_bytes())).count())
}

/// Processor time used by this process.
pub(crate) fn own_time() -> Duration {
    // SAFETY: rusage consists of plain numbers, for which zero is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer outlives the call. It cannot fail with these arguments, and would leave
    // zeros.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Resident memory of this process, bytes.
pub(crate) fn own_memory_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    // SAFETY: a system call with a plain number.
    let page_bytes = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
    Some(numbers(&statm).nth(1)? * page_bytes)
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
