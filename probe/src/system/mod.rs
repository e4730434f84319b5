//! How the machine is doing: what is measured, and how it becomes batches.
//!
//! A [`Sampler`] is asked at the end of each slot, a few seconds apart and aligned to the
//! clock. What stands then is a gauge; what has happened since it was asked last is a
//! rate, the mean over the slot. A [`Gather`] puts the readings of a minute or so
//! together to one batch, which goes the way of all batches: spool, central, once.
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
//! sysinfo is asked where it has the answer at the price of it; `/proc` for what it does
//! not tell (processor time by kind, used space, sockets) or tells at the price of a dozen
//! files for each device (networks). Percent of a processor are of one core for
//! `probe_cpu_percent`, and of what the label names for the others. Values are rounded,
//! since that is what makes them small: percent to 0.1, loads to 0.01, all else to whole
//! numbers. Whatever cannot be read is absent, never 0.

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

/// No more devices, mounts or cores of a kind are told apart: a machine with thousands
/// of virtual devices tells of the first ones.
const MAX_DEVICES: usize = 64;
/// So many cores are told apart.
const MAX_CORES: usize = 256;

/// The numbers of a text, as `/proc` has them.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split_ascii_whitespace().map_while(|word| word.parse().ok())
}
