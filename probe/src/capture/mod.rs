//! Where frames come from: capture files, dnstap files among them, and live devices.
//!
//! Both lend one [`Frame`](crate::observe::Frame) after another. Files are read
//! by our own readers, which work on bytes where they lie; live devices through
//! libpcap, which has the kernel filter and the ring that it takes.

mod bytes;
mod dnstap_file;
pub mod file;
pub mod live;
mod pcap_file;
mod pcapng_file;
mod recent;
