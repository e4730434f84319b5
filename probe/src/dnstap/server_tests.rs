//! A server's sockets, seen from outside.

use super::*;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use zonepulse_fixtures::control::{ACCEPT, FINISH, READY, START, STOP};
use zonepulse_fixtures::{DNSTAP, control_frame, data_frame};

fn settings(path: &Path) -> Settings {
    let socket = SocketFile { path: path.to_owned(), mode: 0o620, group: None };
    let bounds = Bounds { max_connections: 2, max_tcp_connections: 16, max_tcp_per_address: 8 };
    Settings { socket: Some(socket), listen: None, bounds }
}

fn open(settings: Settings) -> Server {
    let mut server = Server::new(settings);
    let errors = server.open();
    assert!(errors.is_empty(), "{errors:?}");
    server
}

/// The TCP address of a server.
fn address(server: &Server) -> SocketAddr {
    let Some(Listening::Tcp(listener)) = &server.tcp else { panic!("not listening") };
    listener.local_addr().unwrap()
}

/// Runs turns until nothing happens; returns frames, connections refused or displaced, and
/// failures.
fn turns(server: &mut Server) -> (Vec<String>, u64, Vec<String>) {
    let (mut frames, mut refused, mut broken) = (Vec::new(), 0, Vec::new());
    for _ in 0..20 {
        let each = |data: &[u8]| frames.push(String::from_utf8_lossy(data).into_owned());
        let turn = server.turn(Duration::from_millis(5), each).unwrap();
        refused += turn.refused + turn.displaced;
        broken.extend(turn.broken);
    }
    (frames, refused, broken)
}

fn asking() -> Vec<u8> {
    [control_frame(READY, Some(DNSTAP)), control_frame(START, Some(DNSTAP)), data_frame(b"one")].concat()
}

#[test]
fn several_servers_send_at_once_over_both_kinds_of_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let mut server = open(Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..settings(&path) });
    let mut tcp = TcpStream::connect(address(&server)).unwrap();
    let mut unix = UnixStream::connect(&path).unwrap();
    unix.write_all(&asking()).unwrap();
    tcp.write_all(&asking()).unwrap();
    assert_eq!(turns(&mut server), (vec!["one".to_owned(), "one".to_owned()], 0, vec![]));
    assert_eq!(server.connected(), 2);
    tcp.write_all(&[data_frame(b"two"), control_frame(STOP, None)].concat()).unwrap();
    assert_eq!(turns(&mut server).0, ["two"]);
    assert_eq!(server.connected(), 1);
    let mut answers = Vec::new();
    tcp.read_to_end(&mut answers).unwrap();
    assert_eq!(answers, [control_frame(ACCEPT, Some(DNSTAP)), control_frame(FINISH, None)].concat());
}

#[test]
fn a_connection_with_start_keeps_its_place_and_others_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let mut server = open(settings(&path));
    let mut first = UnixStream::connect(&path).unwrap();
    first.write_all(&asking()).unwrap();
    assert_eq!(turns(&mut server).0, ["one"]);
    let _silent: Vec<_> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(turns(&mut server).1, 3, "not three connections made room for the last");
    let mut second = UnixStream::connect(&path).unwrap();
    second.write_all(&asking()).unwrap();
    assert_eq!(turns(&mut server), (vec!["one".to_owned()], 1, vec![]));
    let _third = UnixStream::connect(&path).unwrap();
    assert_eq!(turns(&mut server).1, 1, "both places are taken by started servers");
    first.write_all(&data_frame(b"two")).unwrap();
    assert_eq!(turns(&mut server).0, ["two"]);
    drop(second);
    let (_, _, broken) = turns(&mut server);
    assert_eq!((broken.len(), server.connections.len()), (1, 1), "a started connection was replaced: {broken:?}");
}

#[test]
fn sixteen_silent_tcp_connections_keep_no_server_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let mut server = open(Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..settings(&path) });
    let address = address(&server);
    let silent: Vec<_> = (0..16).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(turns(&mut server).1, 8, "an address has more than half of the places");
    assert_eq!(server.connections.len(), 8);
    let mut unix = UnixStream::connect(&path).unwrap();
    unix.write_all(&asking()).unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.write_all(&asking()).unwrap();
    assert_eq!(turns(&mut server), (vec!["one".to_owned(), "one".to_owned()], 1, vec![]));
    assert_eq!(server.connected(), 2);
    drop(silent);
    turns(&mut server);
    assert_eq!(server.connections.len(), 2);
}

#[test]
fn a_connection_without_start_in_time_is_closed_however_much_it_sends() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = open(Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..settings(&folder.path().join("dnstap")) });
    let mut slow = TcpStream::connect(address(&server)).unwrap();
    slow.write_all(&control_frame(READY, Some(DNSTAP))).unwrap();
    turns(&mut server);
    slow.write_all(&control_frame(START, Some(DNSTAP))[..5]).unwrap();
    turns(&mut server);
    let (connection, _) = server.connections.first().unwrap();
    let now = Instant::now();
    assert!(!connection.is_overdue(now));
    assert!(connection.is_overdue(now + HANDSHAKE), "data extends the deadline");
}

#[test]
fn a_dead_peer_over_tcp_is_noticed_within_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let server = open(Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..settings(&folder.path().join("dnstap")) });
    let _quiet = TcpStream::connect(address(&server)).unwrap();
    let (peer, from) = std::iter::repeat_with(|| server.tcp.as_ref().unwrap().accept()).find_map(Result::ok).unwrap();
    let crate::dnstap::connection::Peer::Tcp(stream) = &peer else { panic!("not over TCP") };
    let socket = socket2::SockRef::from(stream);
    assert!(socket.keepalive().unwrap());
    let (idle, interval) = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
    let silence = idle + interval * socket.tcp_keepalive_retries().unwrap();
    assert!(silence <= Duration::from_secs(180), "{silence:?}");
    assert!(from.is_some_and(|from| from.is_loopback()));
}

#[test]
fn the_sockets_file_has_its_mode_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let server = open(settings(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    // The standard library's listener leaves its file behind when dropped.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = open(settings(&path));
    UnixStream::connect(&path).unwrap();

    let mut second = Server::new(settings(&path));
    let errors = second.open();
    assert!(errors[0].to_string().contains("another process listens on it"), "{errors:?}");
    drop(second);
    assert!(path.exists(), "removed a socket of another server");
    drop(server);

    fs::write(&path, "precious").unwrap();
    let errors = Server::new(settings(&path)).open();
    assert!(errors[0].to_string().contains("not a socket"), "{errors:?}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_group_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let mut settings = settings(&path);
    settings.socket.as_mut().unwrap().group = Some("nosuchgroup".to_owned());
    let errors = Server::new(settings).open();
    assert!(errors[0].to_string().contains("nosuchgroup"), "{errors:?}");
    assert!(!path.exists());
}

#[test]
fn one_socket_that_cannot_be_opened_does_not_keep_the_other_shut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder");
    let mut server = Server::new(Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..settings(&path) });
    assert_eq!((server.open().len(), server.tcp.is_some()), (1, true));
    assert_eq!(server.open().len(), 1, "a failed socket is not retried");
}
