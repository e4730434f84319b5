//! Packets that were dropped before the probe saw them: by the interface, or by the kernel because
//! the probe was too slow.
//!
//! The kernel counts the second kind for the socket of the probe, which only the probe can read. It
//! reports them with its batches, so those that still wait in the spool tell.

use super::configuration::Known;
use super::subject::Subject;
use crate::spool::survey::Survey;
use std::fs;
use std::thread::sleep;
use std::time::Duration;
use zonepulse_doctor::Check;
use zonepulse_wire::{Counter, Message};

const SUBJECT: Subject = Subject::Drops;
/// How long drops of interfaces are watched.
const WATCH: Duration = Duration::from_secs(1);
/// How many of the newest batches are read.
const MAX_BATCHES: usize = 60;
/// Fewer drops in the time of watching mean nothing: some drivers count packets of unknown protocols.
const MIN_DROPS: u64 = 10;

/// Received packets since boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Received {
    device: String,
    packets: u64,
    dropped: u64,
}

/// What the waiting batches say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    batches: u64,
    packets: u64,
    by_kernel: u64,
    by_interface: u64,
}

pub(super) fn check(known: &Known) -> Check {
    let config = &known.config;
    if !config.capture.enabled {
        return Check::skipped(SUBJECT, "capture.enabled is false");
    }
    let told = Survey::read(&config.spool.dir).map(|survey| told(survey.newest(MAX_BATCHES))).unwrap_or_default();
    let Some(before) = received(&config.capture.device) else {
        return Check::skipped(SUBJECT, "the interfaces' statistics (/proc/net/dev) cannot be read");
    };
    sleep(WATCH);
    let after = received(&config.capture.device).unwrap_or_default();
    judge(told, &before, &after, config.capture.buffer_bytes)
}

fn received(device: &str) -> Option<Vec<Received>> {
    let mut all = parse(&fs::read_to_string("/proc/self/net/dev").ok()?);
    all.retain(|received| if device == "any" { received.device != "lo" } else { received.device == device });
    Some(all)
}

/// Reads `/proc/net/dev` (proc(5)).
fn parse(text: &str) -> Vec<Received> {
    let received = |line: &str| {
        // name: bytes packets errs drop …
        let (device, counts) = line.split_once(':')?;
        let mut counts = counts.split_ascii_whitespace().skip(1).map(|count| count.parse().ok());
        Some(Received { device: device.trim().to_owned(), packets: counts.next()??, dropped: counts.nth(1)?? })
    };
    text.lines().filter_map(received).collect()
}

fn told(batches: impl Iterator<Item = Message>) -> Told {
    batches.fold(Told::default(), |told, batch| match batch {
        Message::System(_) => told,
        Message::Dns(batch) => {
            let of = |counter| batch.counters.get(counter);
            Told {
                batches: told.batches + 1,
                packets: told.packets.saturating_add(of(Counter::PacketsSeen)),
                by_kernel: told.by_kernel.saturating_add(of(Counter::KernelDropped)),
                by_interface: told.by_interface.saturating_add(of(Counter::InterfaceDropped)),
            }
        }
    })
}

fn judge(told: Told, before: &[Received], after: &[Received], buffer_bytes: usize) -> Check {
    let Told { batches, packets, by_kernel, by_interface } = told;
    let since = |old: &Received| {
        let new = after.iter().find(|new| new.device == old.device).map_or(old.dropped, |new| new.dropped);
        new.saturating_sub(old.dropped)
    };
    let worst = before.iter().map(|old| (&old.device, since(old))).max_by_key(|(_, dropped)| *dropped);
    let check = if by_kernel > 0 {
        let found = format!(
            "the kernel dropped {by_kernel} packets in the intervals of the last {batches} batches that wait, because the probe was too slow for them ({packets} were seen)"
        );
        Check::warning(
            SUBJECT,
            found,
            format!(
                "raise capture.buffer_bytes (now {buffer_bytes}) and memory.max_bytes, of which it is a part, and restart the probe"
            ),
        )
    } else if let Some((name, dropped)) = worst.filter(|(_, dropped)| *dropped >= MIN_DROPS) {
        let found = format!("the interface {name} dropped {dropped} packets within the last second");
        Check::warning(
            SUBJECT,
            found,
            format!("look for the cause, often a receive ring that is too small: ethtool -S {name}; ethtool -g {name}"),
        )
    } else if by_interface > 0 {
        let found = format!("interfaces dropped {by_interface} packets in the intervals of the last {batches} batches that wait");
        Check::warning(
            SUBJECT,
            found,
            "look for the cause, often a receive ring that is too small: ip -s -s link; ethtool -S DEVICE",
        )
    } else {
        let since_boot: Vec<String> = before
            .iter()
            .map(|one| format!("{}: {} of {}", one.device, one.dropped, one.packets.saturating_add(one.dropped)))
            .collect();
        let since_boot = if since_boot.is_empty() { "there are no interfaces".to_owned() } else { since_boot.join(", ") };
        Check::ok(SUBJECT, format!("nothing is being dropped (packets dropped since boot: {since_boot})"))
    };
    check.with("kernel_dropped", by_kernel).with("interface_dropped", by_interface).with("batches", batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    const TEXT: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n    \
        lo: 1500       3    0    0    0     0          0         0     1500       3    0    0    0     0       0          0\n  \
        eth0:123 4000 0 25 0 0 0 0 456 7 0 0 0 0 0 0\n";

    fn received(device: &str, packets: u64, dropped: u64) -> Received {
        Received { device: device.into(), packets, dropped }
    }

    #[test]
    fn statistics_of_interfaces_are_read() {
        assert_eq!(parse(TEXT), [received("lo", 3, 0), received("eth0", 4000, 25)]);
        assert_eq!(parse("eth0: 1 x 3 4"), []);
    }

    #[test]
    fn only_present_drops_are_a_warning() {
        let judged = |told, after| judge(told, &[received("eth0", 4000, 25)], &[received("eth0", 5000, after)], 65_536);
        let good = judged(Told::default(), 25);
        assert_eq!((good.status, good.found.contains("eth0: 25 of 4025")), (Status::Ok, true));
        assert_eq!(judged(Told::default(), 34).status, Status::Ok);
        let bad = judged(Told::default(), 125);
        assert!(bad.status == Status::Warning && bad.found.contains("eth0 dropped 100 packets"), "{bad:?}");
        let slow = judged(Told { batches: 3, packets: 1000, by_kernel: 7, by_interface: 0 }, 25);
        assert!(slow.status == Status::Warning && slow.advice.unwrap().contains("capture.buffer_bytes (now 65536)"));
        let interface = judged(Told { batches: 3, packets: 1000, by_kernel: 0, by_interface: 9 }, 25);
        assert!(interface.status == Status::Warning && interface.found.contains("interfaces dropped 9 packets"));
    }
}
