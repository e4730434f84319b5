//! Starts real components for tests, and stops them again.
//!
//! Everything here is a value that stops its component when dropped, even if a test panics. If a
//! test fails, the output of its processes is shown.

pub mod api;
pub mod backup;
pub mod batches;
pub mod browser;
pub mod capture;
pub mod central;
pub mod certificates;
pub mod dhcp;
pub mod disk;
pub mod dnsperf;
pub mod false_clock;
pub mod fleet;
pub mod kea;
pub mod knot;
pub mod meter;
pub mod name_servers;
pub mod needs;
pub mod network;
pub mod node;
pub mod ports;
pub mod primary;
pub mod probe;
pub mod process;
pub mod queue;
pub mod rabbitmq;
pub mod recall;
pub mod small_store;
pub mod sshd;
pub mod sums;
pub mod supervisor;
pub mod wait;

pub use api::{Api, Response};
pub use central::Central;
pub use certificates::Authority;
pub use knot::Knot;
pub use probe::Probe;
pub use process::Process;
pub use rabbitmq::{RabbitMq, Release};
pub use wait::{eventually, unix_ms};
