//! Addresses as counted by limits, and address blocks.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The address to count for a limit: an IPv6 subscriber usually has a whole /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// A block of addresses: `192.0.2.0/24`, `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    address: IpAddr,
    prefix_bits: u32,
}

impl Block {
    /// Whether an address is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, own_width) = bits(self.address);
        let (other, width) = bits(address.to_canonical());
        own_width == width && (own ^ other).checked_shr(width - self.prefix_bits).unwrap_or(0) == 0
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let wrong = || format!("{text:?} is neither an address nor an address block such as 192.0.2.0/24");
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (value, width) = bits(address);
        let prefix_bits = prefix.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if prefix_bits > width {
            return Err(wrong());
        }
        if prefix_bits < width && value.trailing_zeros().min(width) < width - prefix_bits {
            return Err(format!("{text:?} has bits after its prefix: write the block's first address"));
        }
        Ok(Block { address, prefix_bits })
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        block.parse::<Block>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn a_block_contains_the_addresses_of_its_prefix() {
        assert!(contains("192.0.2.0/24", "192.0.2.255") && !contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("192.0.2.7", "::ffff:192.0.2.7") && !contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("0.0.0.0/0", "255.1.1.1") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "2001:db8::1") && contains("2001:db8::/32", "2001:db8:ffff::"));
    }

    #[test]
    fn a_text_that_is_no_block_is_refused() {
        for text in ["", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "192.0.2.1/24", "::1/129", "proxy.example", "::1/64"] {
            assert!(text.parse::<Block>().is_err(), "{text}");
        }
    }
}
