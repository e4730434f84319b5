//! Telling a packet from itself on another device.

use hashbrown::DefaultHashBuilder;
use std::hash::{BuildHasher, Hasher};

/// What was captured lately, on which device.
///
/// The same packet on two devices has the same octets from the IP header on,
/// except for checksums that the one device leaves to the other; two packets that a
/// client sends differ in their IP identification, port or DNS identifier, and one
/// that is sent again comes the same way again. So what is the same, comes on
/// another device and within [`MAX_APART_NS`] is the same packet.
pub(super) struct Recent {
    hasher: DefaultHashBuilder,
    /// By the lower bits of the hash.
    seen: Vec<[Seen; WAYS]>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    hash: u64,
    time_ns: u64,
    device: u32,
}

/// From one device to the next it is function calls; to a card behind a queue, longer.
const MAX_APART_NS: u64 = 20_000_000;
/// How many packets are remembered, those of [`MAX_APART_NS`] at some 200,000 a
/// second: so many times [`WAYS`].
const SETS: usize = 1024;
/// A packet is forgotten when so many others with the same lower bits of the hash came.
const WAYS: usize = 4;
/// Octets of the header of LINKTYPE_LINUX_SLL2.
const HEADER_OCTETS: usize = 20;
const UDP: u8 = 17;

impl Recent {
    pub(super) fn new() -> Self {
        Recent { hasher: DefaultHashBuilder::default(), seen: vec![[Seen::default(); WAYS]; SETS] }
    }

    /// Whether this packet of LINKTYPE_LINUX_SLL2 was not just seen on another device.
    pub(super) fn is_new(&mut self, data: &[u8], time_ns: u64) -> bool {
        let Some((header, packet)) = data.split_first_chunk::<HEADER_OCTETS>() else { return true };
        let [_, _, _, _, device @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *header;
        let device = u32::from_be_bytes(device);
        let hash = self.hash(packet);
        let Some(set) = self.seen.get_mut(hash as usize % SETS) else { return true };
        if let Some(seen) = set.iter_mut().find(|seen| seen.hash == hash) {
            let again = seen.device != device && time_ns.abs_diff(seen.time_ns) <= MAX_APART_NS;
            if !again {
                *seen = Seen { hash, time_ns, device };
            }
            return !again;
        }
        set.rotate_right(1);
        if let Some(oldest) = set.first_mut() {
            *oldest = Seen { hash, time_ns, device };
        }
        true
    }

    fn hash(&self, packet: &[u8]) -> u64 {
        // A UDP checksum is filled in by the last device. (TCP needs no such care: a
        // stream reads no octet twice.)
        let checksum_at = match packet {
            [first @ 0x45..=0x4f, _, _, _, _, _, _, _, _, UDP, ..] => usize::from(first & 0x0f) * 4 + 6,
            [0x60..=0x6f, _, _, _, _, _, UDP, ..] => 46,
            _ => packet.len(),
        };
        let (before, after) = packet.split_at(checksum_at.min(packet.len()));
        let mut hasher = self.hasher.build_hasher();
        hasher.write(before);
        hasher.write(after.get(2..).unwrap_or_default());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP packet as a device shows it.
    fn seen_on(device: u32, identification: u8, checksum: u8) -> Vec<u8> {
        let mut data = vec![0; HEADER_OCTETS];
        data[4..8].copy_from_slice(&device.to_be_bytes());
        data.extend([0x45, 0, 0, 30, 0, identification, 0, 0, 64, UDP, 1, 2, 192, 0, 2, 1, 192, 0, 2, 53]);
        data.extend([0x80, 0, 0, 53, 0, 10, 0, checksum, 1, 2]);
        data
    }

    #[test]
    fn a_packet_that_passes_two_devices_is_new_only_once() {
        let mut recent = Recent::new();
        assert!(recent.is_new(&seen_on(1, 7, 0), 1000));
        assert!(!recent.is_new(&seen_on(2, 7, 99), 1500), "the checksum may be filled in on the way");
        assert!(!recent.is_new(&seen_on(3, 7, 99), 2500));
    }

    #[test]
    fn another_packet_is_new() {
        let mut recent = Recent::new();
        assert!(recent.is_new(&seen_on(1, 7, 0), 1000));
        assert!(recent.is_new(&seen_on(2, 8, 0), 1500));
    }

    #[test]
    fn the_same_packet_again_on_its_device_or_much_later_is_new() {
        let mut recent = Recent::new();
        assert!(recent.is_new(&seen_on(1, 7, 0), 1000));
        assert!(recent.is_new(&seen_on(1, 7, 0), 1100));
        assert!(recent.is_new(&seen_on(2, 7, 0), 1100 + MAX_APART_NS + 1));
    }
}
