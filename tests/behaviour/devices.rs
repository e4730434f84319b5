//! Real devices in network namespaces: packets that pass several devices count once, and the
//! addresses that count follow the machine's.

use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;
use zonepulse_fixtures::Message;
use zonepulse_tests::needs::{root, test_with};
use zonepulse_tests::network::Namespace;
use zonepulse_tests::probe::Settings;
use zonepulse_tests::{Probe, eventually};
use zonepulse_wire::{Batch, Counter};

pub fn trials() -> Vec<Trial> {
    vec![
        test_with("what_passes_several_devices_counts_once_on_any", root, any_device),
        test_with("the_machines_addresses_are_followed_without_a_gap_in_coverage", root, addresses),
        test_with("a_device_that_is_lost_and_comes_back_is_listened_to_again", root, lost_device),
    ]
}

const PORT: u16 = 53;

/// A server and a client at the two ends of a cable. One of the server's addresses is on a bridge
/// with the cable as a port, the other behind it: on a VLAN over the bridge, or if this kernel has
/// no VLANs, on a cable from another port.
struct Lan {
    server: Namespace,
    client: Namespace,
}

impl Lan {
    fn new(what: &str) -> Self {
        let (server, client) = (Namespace::new(&format!("{what}-s")), Namespace::new(&format!("{what}-c")));
        server.ip(&format!("link add port0 type veth peer name card0 netns {}", client.name));
        for line in [
            "link add bridge0 type bridge",
            "link set port0 master bridge0",
            "link set port0 up",
            "link set bridge0 up",
            "addr add 10.77.0.53/24 dev bridge0",
        ] {
            server.ip(line);
        }
        client.ip("link set card0 up");
        client.ip("addr add 10.77.0.1/24 dev card0");
        let (behind, far) = if server.try_ip("link add link bridge0 name bridge0.7 type vlan id 7") {
            client.ip("link add link card0 name card0.7 type vlan id 7");
            client.ip("link set card0.7 up");
            ("bridge0.7", "card0.7")
        } else {
            println!("devices: this kernel has no VLANs: left out");
            server.ip("link add port1 type veth peer name card1");
            server.ip("link set port1 master bridge0");
            server.ip("link set port1 up");
            ("card1", "card0")
        };
        server.ip(&format!("link set {behind} up"));
        server.ip(&format!("addr add 10.77.7.53/24 dev {behind}"));
        client.ip(&format!("addr add 10.77.7.1/24 dev {far}"));
        Lan { server, client }
    }

    fn start_probe(&self, device: &'static str) -> Probe {
        let settings = Settings { interval_s: 5, device, addresses: "local", ..Settings::spooled() };
        let mut probe = Probe::new(&settings);
        probe.start_through(&["/usr/sbin/ip", "netns", "exec", &self.server.name], &[]);
        eventually("the probe listens", Duration::from_secs(20), || probe.log().contains(" listening").then_some(()));
        probe
    }
}

/// Answers queries to an address with this many extra octets, over UDP and TCP, this many times
/// each.
fn answer(address: &str, more: usize, times: usize, over_tcp: usize) -> (thread::JoinHandle<()>, thread::JoinHandle<()>) {
    let udp = UdpSocket::bind((address, PORT)).expect("the port is free");
    let tcp = TcpListener::bind((address, PORT)).expect("the port is free");
    let response = move |query: &[u8]| {
        let mut response = query.to_vec();
        response[2] |= 0x80;
        response.extend(vec![0; more]);
        response
    };
    let by_udp = move || {
        for _ in 0..times {
            let mut query = [0; 512];
            let (length, client) = udp.recv_from(&mut query).expect("a query comes");
            udp.send_to(&response(&query[..length]), client).expect("an answer goes");
        }
    };
    let by_tcp = move || {
        for _ in 0..over_tcp {
            let (mut stream, _) = tcp.accept().expect("a connection comes");
            let mut query = [0; 512];
            let length = stream.read(&mut query).expect("a query comes");
            let response = response(&query[2..length]);
            stream.write_all(&[&(response.len() as u16).to_be_bytes(), response.as_slice()].concat()).expect("an answer goes");
        }
    };
    (thread::spawn(by_udp), thread::spawn(by_tcp))
}

/// Asks over UDP and waits for every answer.
fn ask(from: &str, to: &str, name: &str, times: usize) {
    let socket = UdpSocket::bind((from, 0)).expect("an address of this machine");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
    for _ in 0..times {
        socket.send_to(&Message::query(name, 1).bytes(), (to, PORT)).expect("a query goes");
        socket.recv(&mut [0; 9000]).expect("an answer comes");
    }
}

fn ask_tcp(from: &str, to: &str, name: &str) {
    let to: SocketAddr = format!("{to}:{PORT}").parse().expect("an address");
    let mut stream = TcpStream::connect(to).expect("the server listens");
    assert_eq!(stream.local_addr().expect("it has one").ip().to_string(), from);
    stream.write_all(&Message::query(name, 1).bytes_tcp()).expect("a query goes");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an answer comes");
    assert!(!all.is_empty());
}

/// Hits by name and action, and the counters, over all batches; also checks that each batch's sum
/// is consistent.
fn sums(batches: &[Batch]) -> (BTreeMap<String, u64>, impl Fn(Counter) -> u64 + use<>) {
    let mut sums = BTreeMap::new();
    for batch in batches {
        let seen = batch.counters.get(Counter::MessagesSeen);
        assert_eq!(seen, batch.hits() + batch.counters.not_counted(), "{batch:?}");
        let names: Vec<_> = batch.records.iter().map(|(name, _)| name.to_owned()).collect();
        for row in &batch.rows {
            let name = &names[row.record as usize];
            let action = row.kind.action().expect("only messages are counted");
            *sums.entry(format!("{name} {action}")).or_default() += row.hits;
        }
    }
    let counters: Vec<_> = batches.iter().map(|batch| batch.counters.clone()).collect();
    (sums, move |counter| counters.iter().map(|counters| counters.get(counter)).sum())
}

fn expected<const N: usize>(list: [(&str, u64); N]) -> BTreeMap<String, u64> {
    list.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn any_device(_alone: MutexGuard<'static, ()>) {
    let lan = Lan::new("any");
    let mut probe = lan.start_probe("any");
    let upstream = lan.client.inside(|| answer("10.77.0.1", 0, 10, 0));
    // Answers of 4,000 octets are fragmented, and seen on three devices each.
    let large = lan.server.inside(|| answer("10.77.7.53", 4000, 30, 5));
    let small = lan.server.inside(|| answer("10.77.0.53", 0, 40, 5));
    lan.client.inside(|| {
        ask("10.77.7.1", "10.77.7.53", "behind.example", 30);
        ask("10.77.0.1", "10.77.0.53", "plain.example", 40);
        for _ in 0..5 {
            ask_tcp("10.77.7.1", "10.77.7.53", "behind.tcp.example");
            ask_tcp("10.77.0.1", "10.77.0.53", "plain.tcp.example");
        }
    });
    // Upstream queries of a resolver, and its own queries over the loopback device.
    lan.server.inside(|| ask("10.77.0.53", "10.77.0.1", "upstream.example", 10));
    let own = lan.server.inside(|| answer("127.0.0.1", 0, 20, 0));
    lan.server.inside(|| ask("127.0.0.1", "127.0.0.1", "own.example", 20));
    // Nobody listens there any more: the query counts, its quotation in the ICMP error does not.
    for threads in [upstream.0, large.0, large.1, small.0, small.1, own.0] {
        threads.join().expect("every query was answered");
    }
    lan.client.inside(|| {
        let socket = UdpSocket::bind("10.77.7.1:0").expect("an address of this machine");
        socket.send_to(&Message::query("closed.example", 1).bytes(), ("10.77.7.53", PORT)).expect("a query goes");
    });
    thread::sleep(Duration::from_millis(500));
    probe.stop();
    let (hits, counter) = sums(&probe.spooled());
    let expected = expected([
        ("closed.example. request", 1),
        ("own.example. request", 20),
        ("own.example. response", 20),
        ("plain.example. request", 40),
        ("plain.example. response", 40),
        ("plain.tcp.example. request", 5),
        ("plain.tcp.example. response", 5),
        ("behind.example. request", 30),
        ("behind.example. response", 30),
        ("behind.tcp.example. request", 5),
        ("behind.tcp.example. response", 5),
    ]);
    assert_eq!(hits, expected, "{}", probe.log());
    for lost in [Counter::FragmentsLost, Counter::StreamBytesSkipped, Counter::UnreadableFrames, Counter::KernelDropped] {
        assert_eq!(counter(lost), 0, "{lost:?}");
    }
    assert!(counter(Counter::OtherAddresses) >= 20, "what it asked upstream is seen to be others'");
}

fn addresses(_alone: MutexGuard<'static, ()>) {
    let lan = Lan::new("addr");
    let mut probe = lan.start_probe("any");
    lan.server.ip("addr add 10.77.0.54/24 dev bridge0");
    let changed = |times: usize| {
        eventually("the probe follows", Duration::from_secs(5), || {
            (probe.log().matches("this machine's addresses changed").count() >= times).then_some(())
        });
    };
    changed(1);
    let answers = lan.server.inside(|| answer("10.77.0.54", 0, 10, 0));
    lan.client.inside(|| ask("10.77.0.1", "10.77.0.54", "new.example", 10));
    answers.0.join().expect("every query was answered");
    lan.server.ip("addr del 10.77.0.54/24 dev bridge0");
    changed(2);
    probe.stop();
    let batches = probe.spooled();
    assert_eq!(sums(&batches).0, expected([("new.example. request", 10), ("new.example. response", 10)]), "{}", probe.log());
    for pair in batches.windows(2) {
        assert_eq!(pair[0].identity.epoch, pair[1].identity.epoch, "listening did not begin again");
        assert_eq!(pair[0].coverage.until_ms, pair[1].coverage.from_ms, "no gap");
    }
}

fn lost_device(_alone: MutexGuard<'static, ()>) {
    let lan = Lan::new("lost");
    let mut probe = lan.start_probe("bridge0");
    // A device lost within the first half minute is retried after half a minute.
    thread::sleep(Duration::from_secs(31));
    lan.server.ip("link delete bridge0");
    let says = |what: &str, times: usize| (probe.log().matches(what).count() >= times).then_some(());
    eventually("the probe notices", Duration::from_secs(10), || says("; reopening", 1));
    lan.server.ip("link add bridge0 type bridge");
    lan.server.ip("link set port0 master bridge0");
    lan.server.ip("addr add 10.77.0.53/24 dev bridge0");
    lan.server.ip("link set bridge0 up");
    eventually("the probe listens again", Duration::from_secs(60), || says("listening device=", 2));
    let answers = lan.server.inside(|| answer("10.77.0.53", 0, 10, 0));
    lan.client.inside(|| ask("10.77.0.1", "10.77.0.53", "again.example", 10));
    answers.0.join().expect("every query was answered");
    probe.stop();
    let hits = sums(&probe.spooled()).0;
    assert_eq!(hits, expected([("again.example. request", 10), ("again.example. response", 10)]), "{}", probe.log());
}
