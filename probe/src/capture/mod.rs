//! Sources of frames: capture files, including dnstap files, and live devices.
//!
//! Both yield borrowed [`Frame`](crate::observe::Frame)s one by one. Files are read by our own
//! readers, which work on the bytes in place; live devices by libpcap, which provides the kernel's
//! filter and ring.

pub mod addresses;
mod byte_order;
mod bytes;
mod dnstap_file;
pub mod file;
mod found;
pub mod live;
mod pcap_file;
mod pcapng_file;

/// Describes what looks like DNS messages on ports that are not watched, as a count per server
/// port.
pub fn messages_elsewhere(ports: &[(u16, u32)]) -> String {
    let ports: Vec<String> = ports.iter().map(|(port, messages)| format!("{port} ({messages})")).collect();
    format!("messages like DNS on other ports: {}", ports.join(", "))
}

/// Describes an unsupported link type by its LINKTYPE_* number and, if libpcap knows it, its name.
pub fn unread_link_type(number: u32) -> String {
    let name = i32::try_from(number).ok().and_then(|number| pcap::Linktype(number).get_name().ok());
    match name {
        Some(name) => format!("not read: link type {number} ({name})"),
        None => format!("not read: link type {number}"),
    }
}
