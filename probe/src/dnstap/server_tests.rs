//! A server and its sockets, as others see them.

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
    Settings { socket: Some(socket), listen: None, max_connections: 2 }
}

fn open(settings: Settings) -> Server {
    let mut server = Server::new(settings);
    let errors = server.open();
    assert!(errors.is_empty(), "{errors:?}");
    server
}

/// Turns until nothing happens; frames, refusals, breaks.
fn turns(server: &mut Server) -> (Vec<String>, u64, Vec<String>) {
    let (mut frames, mut refused, mut broken) = (Vec::new(), 0, Vec::new());
    for _ in 0..20 {
        let each = |data: &[u8]| frames.push(String::from_utf8_lossy(data).into_owned());
        let turn = server.turn(Duration::from_millis(5), each).unwrap();
        refused += turn.refused;
        broken.extend(turn.broken);
    }
    (frames, refused, broken)
}

fn asking() -> Vec<u8> {
    [control_frame(READY, Some(DNSTAP)), control_frame(START, Some(DNSTAP)), data_frame(b"one")].concat()
}

#[test]
fn several_servers_tell_at_once_over_both_kinds_of_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let mut server = open(Settings { listen: Some("127.0.0.1:0".parse().unwrap()), ..settings(&path) });
    let Some(Listening::Tcp(listener)) = &server.tcp else { panic!("it listens") };
    let mut tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
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
fn who_finds_no_place_is_refused_and_the_others_are_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnstap");
    let mut server = open(settings(&path));
    let mut writers: Vec<_> = (0..5).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(turns(&mut server).1, 3);
    writers[0].write_all(&asking()).unwrap();
    assert_eq!(turns(&mut server).0, ["one"]);
    writers.clear();
    let (_, _, broken) = turns(&mut server);
    assert_eq!((broken.len(), server.connections.len()), (1, 0), "one had begun: {broken:?}");
    let mut next = UnixStream::connect(&path).unwrap();
    next.write_all(&asking()).unwrap();
    assert_eq!(turns(&mut server).0, ["one"], "there is room again");
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
    // Dropping a listener of the standard library leaves its file.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = open(settings(&path));
    UnixStream::connect(&path).unwrap();

    let mut second = Server::new(settings(&path));
    let errors = second.open();
    assert!(errors[0].to_string().contains("another process listens on it"), "{errors:?}");
    drop(second);
    assert!(path.exists(), "it is not the second one's");
    drop(server);

    fs::write(&path, "precious").unwrap();
    let errors = Server::new(settings(&path)).open();
    assert!(errors[0].to_string().contains("no socket"), "{errors:?}");
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
    assert_eq!(server.open().len(), 1, "it is tried again");
}
