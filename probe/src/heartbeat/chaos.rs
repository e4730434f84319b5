//! What version a DNS server says it is, and which of several: `version.bind. CH TXT` and
//! `id.server. CH TXT` (RFC 4892).

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// A server on the same machine answers at once.
const PATIENCE: Duration = Duration::from_millis(500);
/// The first is BIND's and known to all; the second is what it is called without a vendor in it.
const VERSION: [&str; 2] = ["version.bind.", "version.server."];
/// Here the first is the standard's, and the second BIND's.
const IDENTITY: [&str; 2] = ["id.server.", "hostname.bind."];
/// More of an answer is not read, octets.
const MAX_ANSWER: usize = 4096;
/// More of what it says is not told, characters.
const MAX_TEXT: usize = 100;

/// What version the server says it is, if it does. Takes a second at most.
pub(super) fn version(server: SocketAddr) -> Option<String> {
    VERSION.into_iter().find_map(|name| ask(server, name)).and_then(|text| clean(&text))
}

/// Which server it says it is, if it does. Takes a second at most.
pub(super) fn identity(server: SocketAddr) -> Option<String> {
    IDENTITY.into_iter().find_map(|name| ask(server, name)).and_then(|text| printable(&text))
}

fn ask(server: SocketAddr, name: &str) -> Option<String> {
    let from: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(server).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut query = Query::query(Name::from_ascii(name).ok()?, RecordType::TXT);
    query.set_query_class(DNSClass::CH);
    // Unpredictable enough: whoever may answer for a connected loopback socket could as well be the server.
    let id = (crate::agent::now_ms() % 65_536) as u16;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.add_query(query);
    socket.send(&question.to_vec().ok()?).ok()?;
    let mut buffer = [0; MAX_ANSWER];
    let length = socket.recv(&mut buffer).ok()?;
    let answer = Message::from_vec(buffer.get(..length)?).ok()?;
    if answer.metadata.id != id {
        return None;
    }
    answer.answers.iter().find_map(|record| match &record.data {
        RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
        _ => None,
    })
}

/// The version alone, where more is said: `3.4.6` of `Knot DNS 3.4.6`.
pub(super) fn clean(text: &str) -> Option<String> {
    let number = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    printable(number.unwrap_or(text))
}

fn printable(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|letter| !letter.is_control()).take(MAX_TEXT).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_alone() {
        assert_eq!(clean("Knot DNS 3.4.6").as_deref(), Some("3.4.6"));
        assert_eq!(clean("9.18.28-1~deb12u2-Debian").as_deref(), Some("9.18.28-1~deb12u2-Debian"));
        assert_eq!(clean("unbound 1.17.1").as_deref(), Some("1.17.1"));
        assert_eq!(clean("none of your\u{7} business").as_deref(), Some("none of your business"));
        assert_eq!(clean(""), None);
    }

    #[test]
    fn an_identity_is_told_as_it_is_but_not_without_end() {
        assert_eq!(printable(" ns 1\n").as_deref(), Some("ns 1"));
        assert_eq!(printable(&"x".repeat(300)).map(|text| text.len()), Some(MAX_TEXT));
        assert_eq!(printable("\u{7}"), None);
    }

    #[test]
    fn nobody_there_says_nothing_and_costs_little() {
        let began = std::time::Instant::now();
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!((version(nobody), identity(nobody)), (None, None));
        assert!(began.elapsed() < 5 * PATIENCE);
    }
}
