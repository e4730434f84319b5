//! Judgements on made-up servers.

use super::*;

fn place(text: &str, protocol: Protocol) -> Place {
    let at: std::net::SocketAddr = text.parse().unwrap();
    Place { port: at.port(), protocol, address: at.ip() }
}

/// `127.0.0.1:53` is a place with UDP and TCP; a prefix `u` or `t` limits it to one.
fn places(texts: &[&str]) -> Vec<Place> {
    let of = |text: &&str| match text.split_at(1) {
        ("u", rest) => vec![place(rest, Protocol::Udp)],
        ("t", rest) => vec![place(rest, Protocol::Tcp)],
        _ => vec![place(text, Protocol::Udp), place(text, Protocol::Tcp)],
    };
    texts.iter().flat_map(of).collect()
}

fn server(certain: &[&str], possible: &[&str]) -> Server {
    Server { name: "knotd".into(), certain: places(certain), possible: places(possible) }
}

fn found(servers: Vec<Server>) -> Found {
    let here = servers.iter().flat_map(Server::places).copied().collect();
    Found { independent: servers.len(), servers, are_here: true, here }
}

fn observed(ports: &[u16]) -> Observed {
    let local = ["127.0.0.1", "::1", "192.0.2.53"].map(|address| address.parse().unwrap()).to_vec();
    Observed { device: "any".into(), ports: ports.to_vec(), ignored: Vec::new(), addresses: ServerAddresses::Local, local }
}

fn said(observed: &Observed, certain: &[&str]) -> Option<String> {
    judge(observed, &found(vec![server(certain, &[])])).map(|mismatch| mismatch.detail)
}

#[test]
fn a_server_on_another_port_is_reported_with_advice() {
    let detail = said(&observed(&[53]), &["127.0.0.1:5353"]).unwrap();
    let expected = "knotd listens on port 5353 (UDP, TCP) of 127.0.0.1, but capture.ports has 53: \
                    set capture.ports = [5353]";
    assert_eq!(detail, expected);
}

#[test]
fn a_server_where_the_probe_looks_is_no_mismatch() {
    for at in [&["127.0.0.1:53"][..], &["0.0.0.0:53"], &["[::]:53"], &["u192.0.2.53:53"], &["t127.0.0.1:53"]] {
        assert_eq!(said(&observed(&[53]), at), None, "{at:?}");
    }
    assert_eq!(said(&observed(&[53, 5353]), &["127.0.0.1:53", "127.0.0.1:5353"]), None);
}

#[test]
fn sockets_not_for_clients_are_no_mismatch() {
    // Upstream queries, control, statistics, DNS over TLS, HTTPS and QUIC.
    let others =
        ["u0.0.0.0:40123", "u[::]:50001", "t127.0.0.1:953", "127.0.0.1:8953", "t0.0.0.0:8053", "0.0.0.0:853", "0.0.0.0:443"];
    assert_eq!(said(&observed(&[53]), &[&["0.0.0.0:53"], &others[..]].concat()), None);
    // A server that does not serve yet.
    assert_eq!(said(&observed(&[53]), &others), None);
    assert_eq!(said(&observed(&[53]), &[]), None);
}

#[test]
fn a_second_port_is_reported_unless_it_is_ignored() {
    let at = ["127.0.0.1:53", "127.0.0.1:5300"];
    let detail = said(&observed(&[53]), &at).unwrap();
    assert!(detail.starts_with("knotd also listens on port 5300 (UDP, TCP) of 127.0.0.1, but capture.ports has 53"), "{detail}");
    assert!(detail.contains("capture.ignored_ports"), "{detail}");
    assert_eq!(said(&Observed { ignored: vec![5300], ..observed(&[53]) }, &at), None);
    // Port 53 serves even with a single protocol.
    assert!(said(&observed(&[5300]), &["u127.0.0.1:53", "127.0.0.1:5300"]).is_some());
}

#[test]
fn one_observed_server_of_several_is_enough() {
    let two = vec![server(&["127.0.0.1:53"], &[]), server(&["127.0.0.1:5300"], &[])];
    assert_eq!(judge(&observed(&[53]), &found(two.clone())), None);
    let detail = judge(&observed(&[54]), &found(two)).unwrap().detail;
    assert!(detail.contains("port 53 (UDP, TCP) of 127.0.0.1, port 5300 (UDP, TCP) of 127.0.0.1"), "{detail}");
    assert!(detail.ends_with("set capture.ports to those that clients use"), "{detail}");
    // The processes of one server count as one.
    let children = Found { independent: 1, ..found(vec![server(&["0.0.0.0:53"], &[]), server(&["0.0.0.0:5300"], &[])]) };
    assert!(judge(&observed(&[53]), &children).is_some());
}

#[test]
fn a_socket_that_is_possibly_the_server_s_causes_no_alarm_where_observed() {
    // Opened by root for it, or by another program of its user.
    let is_fine = found(vec![server(&["u0.0.0.0:40123"], &["0.0.0.0:53", "0.0.0.0:5300"])]);
    assert_eq!(judge(&observed(&[53]), &is_fine), None);
    let nowhere = found(vec![server(&[], &["127.0.0.1:5353"])]);
    let detail = judge(&observed(&[53]), &nowhere).unwrap().detail;
    assert!(detail.starts_with("knotd seems to listen on port 5353"), "{detail}");
}

#[test]
fn an_address_that_is_not_configured_is_reported() {
    let these = |address: &str| ServerAddresses::These(vec![address.parse().unwrap()]);
    let on = |addresses| Observed { addresses, ..observed(&[53]) };
    let detail = said(&on(these("192.0.2.1")), &["192.0.2.53:53"]).unwrap();
    assert!(detail.contains("192.0.2.53 port 53") && detail.contains("capture.addresses has 192.0.2.1"), "{detail}");
    assert_eq!(said(&on(these("192.0.2.53")), &["192.0.2.53:53", "127.0.0.1:53"]), None);
    assert_eq!(said(&on(ServerAddresses::Any), &["198.51.100.1:53"]), None);
    assert!(said(&on(ServerAddresses::Local), &["127.0.0.53:53"]).is_some(), "no device has this address");
    // In another namespace, other addresses are local.
    let elsewhere = Found { are_here: false, ..found(vec![server(&["198.51.100.1:53"], &[])]) };
    assert_eq!(judge(&on(ServerAddresses::Local), &elsewhere), None);
}

#[test]
fn a_device_without_queries_is_reported() {
    let on = |device: &str| Observed { device: device.into(), ..observed(&[53]) };
    let detail = said(&on("eth0"), &["127.0.0.1:53", "[::1]:53"]).unwrap();
    assert!(detail.contains("127.0.0.1 port 53, ::1 port 53") && detail.contains("capture.device = \"eth0\""), "{detail}");
    assert!(said(&on("lo"), &["192.0.2.53:53"]).is_some());
    for (device, at) in
        [("eth0", "192.0.2.53:53"), ("eth0", "0.0.0.0:53"), ("lo", "127.0.0.1:53"), ("lo", "[::]:53"), ("any", "[::1]:53")]
    {
        assert_eq!(said(&on(device), &[at]), None, "{device} {at}");
    }
}

#[test]
fn ports_without_a_listener_may_be_redirected() {
    let mut all = found(vec![server(&["127.0.0.1:5353"], &[])]);
    assert!(judge(&observed(&[53]), &all).unwrap().may_be_redirected);
    all.here.extend(places(&["127.0.0.53:53"]));
    assert!(!judge(&observed(&[53]), &all).unwrap().may_be_redirected, "another program has the port");
}

#[test]
fn a_port_of_another_program_is_not_the_server_s() {
    let mut all = found(vec![server(&["127.0.0.1:5353"], &["127.0.0.1:5300"])]);
    all.here.extend(places(&["127.0.0.53:53"]));
    let served = |found: &Found| [5353, 5300, 53, 7].map(|port| may_be_served(&observed(&[54]), found, port));
    assert_eq!(served(&all), [true, true, false, false]);
    let none = Found { servers: Vec::new(), ..all };
    assert_eq!(served(&none), [true, true, true, false], "with no known server");
    let anywhere = Observed { addresses: ServerAddresses::Any, ..observed(&[54]) };
    assert!(may_be_served(&anywhere, &none, 7), "a server on another machine");
}

#[test]
fn a_port_of_another_server_is_not_that_of_the_observed_one() {
    let two = found(vec![server(&["127.0.0.1:53"], &["127.0.0.1:54"]), server(&["127.0.0.1:5300"], &[])]);
    assert_eq!([54, 5300].map(|port| may_be_served(&observed(&[53]), &two, port)), [true, false]);
    assert!(may_be_served(&observed(&[7]), &two, 5300), "neither server is observed");
}

#[test]
fn the_detail_is_short_however_many_sockets_there_are() {
    let texts: Vec<String> = (1000..2000)
        .flat_map(|port| (1..20).map(move |host| format!("[2001:db8:1111:2222:3333:4444:5555:{host}]:{port}")))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let detail = said(&observed(&[53]), &texts).unwrap();
    // Text in a heartbeat is limited to 1024 bytes, and cut there in any case.
    assert!(detail.len() < 2000 && detail.contains("and others"), "{detail}");
}

#[test]
fn servers_are_described_with_their_ports() {
    let described = |at: &[&str]| servers(&found(vec![server(at, &[])])).unwrap();
    assert_eq!(described(&["127.0.0.1:53"]), "knotd listens on port 53 (UDP, TCP) of 127.0.0.1");
    assert_eq!(described(&["0.0.0.0:53", "t127.0.0.1:953"]), "knotd listens on port 53 (UDP, TCP) of all addresses");
    assert_eq!(described(&["u0.0.0.0:40123"]), "knotd listens on no port that may serve DNS");
    assert_eq!(servers(&found(Vec::new())), None);
}

#[test]
fn a_server_that_also_listens_elsewhere_is_a_partial_mismatch() {
    let is_partial = |at: &[&str]| judge(&observed(&[53]), &found(vec![server(at, &[])])).unwrap().is_partial;
    assert!(is_partial(&["127.0.0.1:53", "127.0.0.1:5300"]));
    assert!(!is_partial(&["127.0.0.1:5300"]));
}
