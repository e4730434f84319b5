//! Live devices through libpcap.

use crate::Error;
use crate::observe::Frame;
use std::net::IpAddr;

/// What to capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// The device's name, or `any`.
    pub device: String,
    /// The ports that the kernel's filter lets through.
    pub ports: Vec<u16>,
    /// The ring between kernel and probe, bytes.
    pub buffer_bytes: usize,
}

/// A device that is being listened to.
pub struct LiveCapture {}

/// What a device gave.
#[derive(Debug)]
pub enum Next<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Nothing within about 100 ms.
    Idle,
    /// The capture has ended.
    End,
}

/// What the kernel counted since the capture was opened, packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Passed the filter.
    pub received: u64,
    /// Did not fit in the ring because the probe did not keep up.
    pub kernel_dropped: u64,
    /// Dropped by the interface or its driver.
    pub interface_dropped: u64,
}

impl LiveCapture {
    /// Begins to listen. [`Error::CaptureRight`] when the process may not.
    pub fn open(_settings: &LiveSettings) -> Result<Self, Error> {
        Ok(LiveCapture {})
    }

    /// Waits for the next frame, about 100 ms at most.
    #[expect(clippy::should_implement_trait, reason = "it lends the frame, an iterator cannot")]
    pub fn next(&mut self) -> Result<Next<'_>, Error> {
        Ok(Next::End)
    }

    /// What the kernel counted so far.
    pub fn statistics(&mut self) -> Result<Statistics, Error> {
        Ok(Statistics::default())
    }
}

/// The addresses of this machine's interfaces, loopback included.
pub fn local_addresses() -> Result<Vec<IpAddr>, Error> {
    Ok(Vec::new())
}
