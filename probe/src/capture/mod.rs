//! Where frames come from: capture files, dnstap files among them, and live devices.
//!
//! Both lend one [`Frame`](crate::observe::Frame) after another. Files are read
//! by our own readers, which work on bytes where they lie; live devices through
//! libpcap, which has the kernel filter and the ring that it takes.

pub mod addresses;
mod byte_order;
mod bytes;
mod dnstap_file;
pub mod file;
pub mod live;
mod pcap_file;
mod pcapng_file;

/// Says what looks like messages between ports that are not watched: how many by the server's port.
pub fn messages_elsewhere(ports: &[(u16, u32)]) -> String {
    let ports: Vec<String> = ports.iter().map(|(port, messages)| format!("{port} ({messages})")).collect();
    format!("messages like DNS on other ports: {}", ports.join(", "))
}

/// Says that frames of a link type are not read: by its LINKTYPE_* number, and by its name if libpcap knows it.
pub fn unread_link_type(number: u32) -> String {
    let name = i32::try_from(number).ok().and_then(|number| pcap::Linktype(number).get_name().ok());
    match name {
        Some(name) => format!("not read: link type {number} ({name})"),
        None => format!("not read: link type {number}"),
    }
}
