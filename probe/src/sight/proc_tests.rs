//! Real sockets of this process, and of a child.

use super::*;
use std::net::{TcpListener, TcpStream, UdpSocket};

const OWN: &str = "self";

fn own_of(port: u16) -> Vec<(Protocol, IpAddr)> {
    let all = sockets(OWN).unwrap();
    let mut found: Vec<_> = open_in(std::process::id(), &all, &mut 10_000)
        .unwrap()
        .iter()
        .filter(|socket| socket.port == port)
        .map(|s| (s.protocol, s.address))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn a_process_s_own_sockets_are_found_by_protocol_and_address() {
    for address in ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::"] {
        let address: IpAddr = address.parse().unwrap();
        let udp = UdpSocket::bind((address, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        assert_eq!(own_of(port), [(Protocol::Udp, address)]);
        if let Ok(_tcp) = TcpListener::bind((address, port)) {
            assert_eq!(own_of(port), [(Protocol::Udp, address), (Protocol::Tcp, address)]);
        }
        drop(udp);
        assert_eq!(own_of(port), []);
    }
}

#[test]
fn connected_sockets_are_not_listed() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    assert_eq!(own_of(client.local_addr().unwrap().port()), []);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(own_of(stream.local_addr().unwrap().port()), []);
    assert_eq!(own_of(listener.local_addr().unwrap().port()).len(), 1);
}

#[test]
fn sockets_of_another_process_are_not_a_process_s_own() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let all = sockets(&child.id().to_string()).unwrap();
    assert!(all.iter().any(|socket| socket.port == port), "not in the list of the same namespace");
    let open = open_in(child.id(), &all, &mut 10_000);
    child.kill().unwrap();
    child.wait().unwrap();
    // Rust closes sockets on exec.
    assert!(open.is_none_or(|open| open.iter().all(|socket| socket.port != port)));
}

#[test]
fn no_more_files_are_looked_at_than_are_left() {
    let mut left = 2;
    assert_eq!(open_in(std::process::id(), &[], &mut left), None);
    assert_eq!(left, 0);
}

#[test]
fn a_socket_belongs_to_its_creator() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let user = sockets(OWN).unwrap().iter().find(|socket| socket.port == port).unwrap().user;
    assert!(users(std::process::id()).unwrap().contains(&user));
    assert_eq!(users(u32::MAX), None);
}

#[test]
fn a_namespace_is_known_by_anyone() {
    assert_eq!(namespace(OWN), namespace(&std::process::id().to_string()));
    assert_eq!(namespace("no-such-process"), None);
    // If this process may create a namespace.
    let elsewhere = std::process::Command::new("unshare").args(["-n", "stat", "-Lc", "%i", "/proc/self/net/udp"]).output();
    if let Some(text) = elsewhere.ok().filter(|output| output.status.success()) {
        let inode = String::from_utf8(text.stdout).unwrap().trim().parse::<u64>().unwrap();
        assert_ne!(namespace(OWN), Some(inode));
    }
}

#[test]
fn invalid_lists_cause_no_panic_and_very_long_ones_are_incomplete() {
    let mut listing = Listing { sockets: Vec::new(), is_whole: true };
    for text in ["", "\n", "x", "1: zz:zz", "0: 0100007F:0035 00000000:0000", "0: 0100:0035 00000000:0000 07 0:0 0:0 0 0 0 1"] {
        listing.read(text.as_bytes(), Protocol::Udp).unwrap();
    }
    listing.read(&[0xff; 5000][..], Protocol::Udp).unwrap();
    assert_eq!(listing, Listing { sockets: Vec::new(), is_whole: true });
    let line = " 9: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0 0\n";
    listing.read(line.repeat(MAX_SOCKETS + 10).as_bytes(), Protocol::Udp).unwrap();
    assert_eq!((listing.sockets.len(), listing.is_whole), (MAX_SOCKETS, false));
}

#[test]
fn only_listening_tcp_sockets_are_read() {
    let row = |port: &str, state: &str| {
        format!("0: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 107 0 77 2 0 0\n")
    };
    let mut listing = Listing { sockets: Vec::new(), is_whole: true };
    let text = format!("sl local_address\n{}{}{}", row("0035", "0A"), row("0036", "01").repeat(3), row("0037", "0A"));
    listing.read(text.as_bytes(), Protocol::Tcp).unwrap();
    let found: Vec<_> = listing.sockets.iter().map(|socket| (socket.port, socket.user, socket.inode)).collect();
    assert_eq!(found, [(53, 107, 77)]);
}
