//! Private ports.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below Linux's range for outgoing connections (from 32768), so that none of those takes one.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// A port of 127.0.0.1 that is free for TCP and UDP, and that no other test of this run gets.
pub fn free() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two runs on one machine start at different offsets.
    let offset = (std::process::id() % u32::from(LAST - FIRST)) as u16;
    for _ in FIRST..LAST {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset) % (LAST - FIRST);
        let address = ("127.0.0.1", FIRST + number);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return FIRST + number;
        }
    }
    panic!("no port from {FIRST} to {LAST} is free");
}
