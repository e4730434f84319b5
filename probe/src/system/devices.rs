//! Disk and network throughput (`/proc/diskstats`, `/proc/net/dev`, proc(5)).
//!
//! Partitions, loop devices and memory disks are left out: their bytes are also counted for another
//! device, or touch no disk. Devices made of others (LVM, RAID) are listed in addition to those.

use super::{MAX_DEVICES, numbers};
use std::fs;
use std::path::Path;

/// The kernel's sector size, whatever the disk's is, bytes.
const SECTOR_BYTES: u64 = 512;

/// Bytes since boot: read and written, or received and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Throughput {
    pub(super) device: String,
    pub(super) bytes: [u64; 2],
}

pub(super) fn disk_bytes() -> Vec<Throughput> {
    let is_part = |name: &str| Path::new("/sys/class/block").join(name).join("partition").exists();
    fs::read_to_string("/proc/diskstats").map(|text| parse_disks(&text, is_part)).unwrap_or_default()
}

pub(super) fn network_bytes() -> Vec<Throughput> {
    fs::read_to_string("/proc/net/dev").map(|text| parse_networks(&text)).unwrap_or_default()
}

fn parse_disks(text: &str, is_part: impl Fn(&str) -> bool) -> Vec<Throughput> {
    let disk = |line: &str| {
        // major minor name reads merged sectors ms writes merged sectors …
        let mut words = line.split_ascii_whitespace().skip(2);
        let device = words.next()?;
        if ["loop", "ram", "zram"].iter().any(|kind| device.starts_with(kind)) || is_part(device) {
            return None;
        }
        let mut counts = words.map(|word| word.parse::<u64>().ok());
        let (read, written) = (counts.nth(2)??, counts.nth(3)??);
        Some(Throughput { device: device.to_owned(), bytes: [read, written].map(|sectors| sectors.saturating_mul(SECTOR_BYTES)) })
    };
    text.lines().filter_map(disk).take(MAX_DEVICES).collect()
}

fn parse_networks(text: &str) -> Vec<Throughput> {
    let network = |line: &str| {
        // name: bytes packets errs drop fifo frame compressed multicast, then the same for
        // transmission
        let (device, counts) = line.split_once(':')?;
        let mut counts = numbers(counts);
        Some(Throughput { device: device.trim().to_owned(), bytes: [counts.next()?, counts.nth(7)?] })
    };
    text.lines().filter_map(network).take(MAX_DEVICES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(all: &[Throughput]) -> Vec<(&str, [u64; 2])> {
        all.iter().map(|one| (one.device.as_str(), one.bytes)).collect()
    }

    #[test]
    fn whole_disks_count_and_their_parts_do_not_again() {
        let text = " 254       0 vda 100 5 2000 60 300 7 4000 80 0 90 100\n 254       1 vda1 90 5 1900 60 300 7 4000 80 0 90 100\n   \
                    7       0 loop0 1 0 8 0 0 0 0 0 0 0 0\n 253       0 dm-0 50 0 10 0 1 0 20 0 0 0 0\n";
        let disks = parse_disks(text, |name| name == "vda1");
        assert_eq!(shown(&disks), [("vda", [1_024_000, 2_048_000]), ("dm-0", [5120, 10240])]);
    }

    #[test]
    fn networks_are_reported_by_name() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n    \
                    lo: 1500       3    0    0    0     0          0         0     1500       3    0    0    0     0       0          0\n  \
                    eth0:123 4 0 0 0 0 0 0 456 7 0 0 0 0 0 0\n";
        assert_eq!(shown(&parse_networks(text)), [("lo", [1500, 1500]), ("eth0", [123, 456])]);
    }
}
