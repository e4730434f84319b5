//! A DHCPv4 relay for tests, with clients of its own (RFC 2131).

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const PORT: u16 = 67;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const TYPE: u8 = 53;
const REQUESTED: u8 = 50;
const SERVER: u8 = 54;
const END: u8 = 255;

/// A relay on an address of this network namespace.
pub struct Relay {
    socket: UdpSocket,
    address: Ipv4Addr,
    server: Ipv4Addr,
}

impl Relay {
    /// A relay between clients that do not exist and a server.
    pub fn new(address: Ipv4Addr, server: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, PORT)).expect("the port is free");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
        Relay { socket, address, server }
    }

    /// DHCPDISCOVER; returns the address in the offer.
    pub fn discover(&self, client: u8) -> Ipv4Addr {
        self.send(client, 1, &[]);
        self.receive(2)
    }

    /// DHCPREQUEST for an address that was offered, which the server must acknowledge.
    pub fn request(&self, client: u8, address: Ipv4Addr) {
        self.send(client, 3, &self.choice(address));
        assert_eq!(self.receive(5), address);
    }

    /// DHCPDECLINE, which has no response.
    pub fn decline(&self, client: u8, address: Ipv4Addr) {
        self.send(client, 4, &self.choice(address));
    }

    fn choice(&self, address: Ipv4Addr) -> Vec<u8> {
        [&[REQUESTED, 4][..], &address.octets(), &[SERVER, 4], &self.server.octets()].concat()
    }

    fn send(&self, client: u8, kind: u8, options: &[u8]) {
        // BOOTREQUEST over Ethernet through one relay; addresses and names are empty otherwise.
        let mut message = vec![0; 236];
        message[..4].copy_from_slice(&[1, 1, 6, 1]);
        message[7] = client;
        message[24..28].copy_from_slice(&self.address.octets());
        message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, client]);
        message.extend(COOKIE);
        message.extend([TYPE, 1, kind]);
        message.extend(options);
        message.push(END);
        self.socket.send_to(&message, (self.server, PORT)).expect("the server is reachable");
    }

    /// Receives a message of this type; returns the client's address in it.
    fn receive(&self, kind: u8) -> Ipv4Addr {
        let mut message = [0; 1500];
        let length = self.socket.recv(&mut message).expect("the server responds");
        assert!(length > 243 && message[236..240] == COOKIE && message[240..243] == [TYPE, 1, kind], "{:?}", &message[..length]);
        Ipv4Addr::new(message[16], message[17], message[18], message[19])
    }
}
