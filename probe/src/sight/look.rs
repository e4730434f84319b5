//! Finds the DNS servers running on this machine, and the sockets on which they accept queries.

use super::proc::{self, Protocol, Socket};
use crate::process::{self, Process};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Deref;

/// Maximum number of server processes examined; some servers have one per core.
const MAX_PROCESSES: usize = 64;
/// Maximum number of network namespaces whose sockets are read.
const MAX_NAMESPACES: usize = 8;
/// The user that opens privileged ports, before a server changes its user, or on its behalf.
const ROOT: u32 = 0;

/// A socket on which queries are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) address: IpAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    /// Sockets that certainly belong to it.
    pub(super) certain: Vec<Place>,
    /// Sockets that may belong to it; empty if `certain` is complete.
    pub(super) possible: Vec<Place>,
}

/// The result of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// One per process. Those of the probe's own network namespace, or of others if it has none.
    pub(super) servers: Vec<Server>,
    /// Number of processes not started by another of them.
    pub(super) independent: usize,
    /// Whether they are in the probe's own network namespace.
    pub(super) are_here: bool,
    /// All sockets in the probe's own network namespace, whoever owns them.
    pub(super) here: Vec<Place>,
}

impl Place {
    fn of(socket: &Socket) -> Place {
        Place { port: socket.port, protocol: socket.protocol, address: socket.address }
    }
}

impl Server {
    /// All sockets that may belong to it.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.certain.iter().chain(&self.possible)
    }
}

/// Looks at the processes with these names; `None` if their sockets cannot be determined.
pub(super) fn look(names: &[String]) -> Option<Found> {
    let processes = process::all();
    let is_server = |process: &Process| names.iter().any(|name| process::is(process, name));
    let (servers, others): (Vec<&Process>, Vec<&Process>) = processes.iter().partition(|process| is_server(process));
    let others = LazyCell::new(move || users_of(&others));
    let own = proc::namespace("self")?;
    let mut namespaces: BTreeMap<u64, Vec<&Process>> = BTreeMap::new();
    for process in servers.into_iter().take(MAX_PROCESSES) {
        // The process may have ended.
        let Some(namespace) = proc::namespace(&process.id.to_string()) else { continue };
        namespaces.entry(namespace).or_default().push(process);
    }
    let all_here = proc::sockets("self")?;
    let mut files_left = proc::MAX_FILES;
    let mut found = Found { here: places(&all_here, |_| true), ..Found::default() };
    if let Some(servers) = namespaces.remove(&own) {
        (found.independent, found.are_here) = (independent(&servers), true);
        found.servers = servers.into_iter().filter_map(|server| of(server, &all_here, &others, &mut files_left)).collect();
        return Some(found);
    }
    for servers in namespaces.into_values().take(MAX_NAMESPACES) {
        let Some(sockets) = servers.first().and_then(|server| proc::sockets(&server.id.to_string())) else { continue };
        found.independent += independent(&servers);
        found.servers.extend(servers.into_iter().filter_map(|server| of(server, &sockets, &others, &mut files_left)));
    }
    Some(found)
}

/// All users that these processes have or may become.
fn users_of(processes: &[&Process]) -> BTreeSet<u32> {
    processes.iter().filter_map(|process| proc::users(process.id)).flatten().collect()
}

/// A socket on an observed port, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// `UDP` or `TCP`.
    pub protocol: &'static str,
    /// The address.
    pub address: IpAddr,
    /// The program, if its open files are visible.
    pub program: Option<String>,
}

/// The sockets in the probe's own network namespace on these ports, with their programs as far as
/// they are visible.
pub(super) fn listeners(ports: &[u16]) -> Vec<Listener> {
    let mut left: Vec<Socket> = proc::sockets("self").unwrap_or_default();
    left.retain(|socket| ports.contains(&socket.port));
    let mut listeners = Vec::new();
    let mut files_left = proc::MAX_FILES;
    for process in if left.is_empty() { Vec::new() } else { process::all() } {
        // Files of other users are not visible.
        let Some(open) = proc::open_in(process.id, &left, &mut files_left) else { continue };
        left.retain(|socket| !open.contains(socket));
        listeners.extend(open.iter().map(|socket| listener(socket, Some(process.name.clone()))));
    }
    listeners.extend(left.iter().map(|socket| listener(socket, None)));
    listeners.sort_unstable();
    listeners.dedup();
    listeners
}

fn listener(socket: &Socket, program: Option<String>) -> Listener {
    let protocol = match socket.protocol {
        Protocol::Udp => "UDP",
        Protocol::Tcp => "TCP",
    };
    Listener { port: socket.port, protocol, address: socket.address, program }
}

fn independent(servers: &[&Process]) -> usize {
    servers.iter().filter(|server| servers.iter().all(|other| other.id != server.parent)).count()
}

/// Finds a process's sockets among those of its namespace; `others` are the users of programs other
/// than DNS servers.
fn of(
    process: &Process,
    sockets: &[Socket],
    others: &impl Deref<Target = BTreeSet<u32>>,
    files_left: &mut usize,
) -> Option<Server> {
    let name = process.name.clone();
    if let Some(open) = proc::open_in(process.id, sockets, files_left) {
        return Some(Server { name, certain: places(&open, |_| true), possible: Vec::new() });
    }
    let users = proc::users(process.id)?;
    let is_alone = |user: u32| user != ROOT && users.contains(&user) && !others.contains(&user);
    let certain = places(sockets, is_alone);
    let possible = places(sockets, |user| !is_alone(user) && (user == ROOT || users.contains(&user)));
    Some(Server { name, certain, possible })
}

fn places(sockets: &[Socket], is_wanted: impl Fn(u32) -> bool) -> Vec<Place> {
    let mut places: Vec<Place> = sockets.iter().filter(|socket| is_wanted(socket.user)).map(Place::of).collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[test]
    fn a_server_is_found_by_its_name_with_its_places() {
        let own = process::of(std::process::id()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let found = look(std::slice::from_ref(&own.name)).unwrap();
        let place = Place { port, protocol: Protocol::Udp, address: "127.0.0.1".parse().unwrap() };
        assert!(found.are_here && found.here.contains(&place));
        assert!(found.servers.iter().any(|server| server.name == own.name && server.certain.contains(&place)), "{found:?}");
        let none = look(&["no-such-server".to_owned()]).unwrap();
        assert_eq!((none.servers, none.independent), (Vec::new(), 0));
    }

    #[test]
    fn a_listener_is_found_with_its_program() {
        let own = process::of(std::process::id()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let address = "127.0.0.1".parse().unwrap();
        assert_eq!(listeners(&[port]), [Listener { port, protocol: "UDP", address, program: Some(own.name) }]);
        drop(udp);
        assert_eq!(listeners(&[port]), []);
    }

    #[test]
    fn children_of_a_server_are_no_servers_of_their_own() {
        let process = |id, parent| Process { id, parent, began: 1, name: "nsd".into() };
        let (one, two, three, other) = (process(10, 1), process(11, 10), process(12, 10), process(20, 1));
        assert_eq!(independent(&[&one, &two, &three]), 1);
        assert_eq!(independent(&[&one, &two, &other]), 2);
    }

    /// A program that listens on a UDP and TCP port as another user, whose files are invisible to a
    /// thread without capabilities.
    struct Other(std::process::Child);

    impl Other {
        fn start(user: u32, port: u16) -> Other {
            let mut command = Command::new("sleep");
            command.arg("60").uid(user);
            // SAFETY: only system calls between fork and exec.
            unsafe {
                command.pre_exec(move || {
                    for kind in [libc::SOCK_DGRAM, libc::SOCK_STREAM] {
                        let mut address: libc::sockaddr_in = std::mem::zeroed();
                        address.sin_family = libc::AF_INET as libc::sa_family_t;
                        address.sin_port = port.to_be();
                        address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
                        let socket = libc::socket(libc::AF_INET, kind, 0);
                        let length = size_of_val(&address) as libc::socklen_t;
                        if libc::bind(socket, (&raw const address).cast(), length) != 0 {
                            return Err(std::io::Error::last_os_error());
                        }
                        libc::listen(socket, 1);
                    }
                    Ok(())
                });
            }
            Other(command.spawn().unwrap())
        }

        /// What a thread without capabilities finds out about it.
        fn seen(&self) -> Server {
            let id = self.0.id();
            let look = move || {
                for set in [caps::CapSet::Effective, caps::CapSet::Permitted] {
                    caps::clear(None, set).unwrap();
                }
                let (server, all) = (process::of(id).unwrap(), process::all());
                let others: Vec<&Process> = all.iter().filter(|process| process.name != server.name).collect();
                of(&server, &proc::sockets("self").unwrap(), &&users_of(&others), &mut 10_000).unwrap()
            };
            std::thread::spawn(look).join().unwrap()
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn is_root() -> bool {
        // SAFETY: accesses no memory.
        unsafe { libc::geteuid() == 0 }
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    fn both(port: u16) -> Vec<Place> {
        let address = "127.0.0.1".parse().unwrap();
        [Protocol::Udp, Protocol::Tcp].map(|protocol| Place { port, protocol, address }).to_vec()
    }

    #[test]
    fn sockets_of_a_user_with_one_program_certainly_belong_to_it() {
        if !is_root() {
            return;
        }
        let port = free_port();
        let server = Other::start(4_000_123, port).seen();
        assert_eq!(server.certain, both(port));
        assert!(server.possible.iter().all(|place| place.port != port), "{server:?}");
    }

    #[test]
    fn sockets_of_a_user_with_several_programs_possibly_belong_to_it() {
        if !is_root() {
            return;
        }
        let port = free_port();
        let _other = Command::new("tail").args(["-f", "/dev/null"]).uid(4_000_124).spawn().map(Other).unwrap();
        let server = Other::start(4_000_124, port).seen();
        assert_eq!(server.certain, []);
        assert!(both(port).iter().all(|place| server.possible.contains(place)), "{server:?}");
    }

    #[test]
    fn a_process_that_has_ended_is_no_server() {
        let process = Process { id: u32::MAX, parent: 1, began: 1, name: "gone".into() };
        let sockets = proc::sockets("self").unwrap();
        assert_eq!(of(&process, &sockets, &&BTreeSet::new(), &mut 10_000), None);
    }
}
