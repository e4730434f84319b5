//! System metrics: what is sampled on the machine, and how it becomes batches.
//!
//! A [`Sampler`] is called at the end of each slot; slots are a few seconds long and aligned to the
//! clock. Present values are gauges; changes since the last call are rates, averaged over the slot.
//! A [`Gather`] collects the readings of a minute or so into one batch, which takes the same path
//! as all batches: spool, then central, exactly once.
//!
//! | metric | label | from |
//! | --- | --- | --- |
//! | `cpu_percent`, and `_user_`, `_system_`, `_iowait_` of it | `total`, core | `/proc/stat` |
//! | `load_1m`, `load_5m`, `load_15m` | | sysinfo |
//! | `memory_total_bytes`, `_used_`, `_available_`; `swap_total_bytes`, `_used_` | | sysinfo, as `free` |
//! | `disk_total_bytes`, `_used_`, `_free_` | mount | statvfs, as `df` (`mounts.rs`) |
//! | `disk_read_bytes_per_s`, `disk_written_bytes_per_s` | device | `/proc/diskstats` |
//! | `network_received_bytes_per_s`, `network_sent_bytes_per_s` | device | `/proc/net/dev` |
//! | `tcp_connections` | state | sock_diag(7), as `ss` (`sockets.rs`) |
//! | `udp_sockets` | | `/proc/net/sockstat`, `sockstat6` |
//! | `processes`, `uptime_s` | | `/proc`, sysinfo |
//! | `probe_cpu_percent`, `probe_memory_bytes` | | getrusage(2), `/proc/self/statm` |
//!
//! Statistics of other services join them ([`crate::services`]). `docs/METRICS.md` lists all metrics
//! for users.
//!
//! sysinfo is used where it has the value at reasonable cost; `/proc` for what it lacks (processor
//! time by kind, used space, sockets) or reads at the cost of a dozen files per device (networks).
//! `probe_cpu_percent` is relative to one core, other percentages to what the label names. Values
//! are rounded so that they compress: percentages to 0.1, loads to 0.01, everything else to
//! integers. Unreadable values are absent, never 0.

mod devices;
mod gather;
mod mounts;
mod processors;
mod sampler;
mod slots;
mod sockets;

pub use gather::Gather;
pub use sampler::{Reading, Sampler};
pub(crate) use sampler::{own_memory_bytes, own_time};
pub use slots::{Look, Slots};

/// Maximum number of devices or mounts of a kind: of thousands of virtual devices, only the first
/// are reported.
const MAX_DEVICES: usize = 64;
/// Maximum number of cores reported separately.
const MAX_CORES: usize = 256;

/// The numbers in a text from `/proc`.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split_ascii_whitespace().map_while(|word| word.parse().ok())
}
