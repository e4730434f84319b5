//! Recognises a packet that was already seen on another device.
//!
//! A capture of all devices (`any`) shows a packet on every device it passes: a VLAN, the bond
//! below, and the card below that; a bridge and its port; inside and outside a tunnel. On each, it
//! has the same addresses and octets, except for checksums that one device leaves to the next. Two
//! messages of a client differ in port or message ID, and a retransmission takes the same path
//! again. So an equal packet on another device within [`MAX_APART_NS`] is the same packet.

use hashbrown::DefaultHashBuilder;
use std::hash::{BuildHasher, Hasher};

/// Recently captured packets and their devices.
#[derive(Debug)]
pub(super) struct Recent {
    hasher: DefaultHashBuilder,
    /// By the lower bits of the hash; allocated when needed.
    seen: Vec<[Seen; WAYS]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    hash: u64,
    time_ns: u64,
    device: u32,
}

/// From one device to the next takes a few function calls; longer to a card behind a queue.
const MAX_APART_NS: u64 = 20_000_000;
/// Number of sets of [`WAYS`] packets: enough for [`MAX_APART_NS`] at some 200,000 packets a
/// second.
const SETS: usize = 1024;
/// A packet is forgotten after this many others with the same lower bits of the hash.
const WAYS: usize = 4;
/// Position of a UDP datagram's checksum, which only the last device fills in. (Irrelevant for TCP:
/// a stream reads no octet twice.)
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// The identity of a packet.
#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) source: u128,
    pub(super) destination: u128,
    /// A fragment's identification and offset.
    pub(super) part: (u32, usize),
    pub(super) octets: &'a [u8],
}

impl Recent {
    pub(super) fn new() -> Self {
        Recent { hasher: DefaultHashBuilder::default(), seen: Vec::new() }
    }

    /// Whether this packet was just seen on another device.
    pub(super) fn is_again(&mut self, packet: &Identity<'_>, device: u32, time_ns: u64) -> bool {
        let hash = self.hash(packet);
        self.seen.resize(SETS, Default::default());
        let Some(set) = self.seen.get_mut(hash as usize % SETS) else { return false };
        if let Some(seen) = set.iter_mut().find(|seen| seen.hash == hash) {
            let again = seen.device != device && time_ns.abs_diff(seen.time_ns) <= MAX_APART_NS;
            if !again {
                *seen = Seen { hash, time_ns, device };
            }
            return again;
        }
        set.rotate_right(1);
        if let Some(oldest) = set.first_mut() {
            *oldest = Seen { hash, time_ns, device };
        }
        false
    }

    fn hash(&self, packet: &Identity<'_>) -> u64 {
        let (before, after) = packet.octets.split_at(CHECKSUM.start.min(packet.octets.len()));
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(packet.source);
        hasher.write_u128(packet.destination);
        hasher.write_u32(packet.part.0);
        hasher.write_usize(packet.part.1);
        hasher.write(before);
        hasher.write(after.get(CHECKSUM.len()..).unwrap_or_default());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_again(recent: &mut Recent, device: u32, port: u8, checksum: u8, time_ns: u64) -> bool {
        let octets = [0x80, port, 0, 53, 0, 10, 0, checksum, 1, 2];
        recent.is_again(&Identity { source: 1, destination: 53, part: (0, 0), octets: &octets }, device, time_ns)
    }

    #[test]
    fn a_packet_that_passes_two_devices_is_new_only_once() {
        let mut recent = Recent::new();
        assert!(!is_again(&mut recent, 1, 7, 0, 1000));
        assert!(is_again(&mut recent, 2, 7, 99, 1500), "another checksum makes it another packet");
        assert!(is_again(&mut recent, 3, 7, 99, 2500));
    }

    #[test]
    fn another_packet_is_new() {
        let mut recent = Recent::new();
        assert!(!is_again(&mut recent, 1, 7, 0, 1000));
        assert!(!is_again(&mut recent, 2, 8, 0, 1500));
    }

    #[test]
    fn the_same_packet_again_on_its_device_or_much_later_is_new() {
        let mut recent = Recent::new();
        assert!(!is_again(&mut recent, 1, 7, 0, 1000));
        assert!(!is_again(&mut recent, 1, 7, 0, 1100));
        assert!(!is_again(&mut recent, 2, 7, 0, 1100 + MAX_APART_NS + 1));
    }
}
