//! The sockets on which the probe waits for DNS servers.

use super::connection::Peer;
use crate::Error;
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A Unix socket, and who may connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFile {
    /// The path of its file.
    pub path: PathBuf,
    /// File mode; connecting requires write permission.
    pub mode: u32,
    /// File group; the probe's own by default.
    pub group: Option<String>,
}

/// A listening socket.
pub(super) enum Listening {
    Unix { listener: UnixListener, _file: Owned },
    Tcp(TcpListener),
}

/// A socket's file, which is removed at the end if it is still ours.
pub(super) struct Owned {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// How long a TCP connection may be silent before keepalive probes are sent.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// The time between keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Unanswered keepalive probes before the connection is closed.
const KEEPALIVE_RETRIES: u32 = 3;

impl Listening {
    /// Listens on a Unix socket; replaces a stale one.
    pub(super) fn unix(file: &SocketFile) -> Result<Self, Error> {
        let failed = |detail: String| Error::Listen { place: file.path.display().to_string(), detail };
        remove_stale(&file.path).map_err(failed)?;
        let listener = UnixListener::bind(&file.path).map_err(|error| failed(error.to_string()))?;
        let prepare = || {
            let metadata = fs::symlink_metadata(&file.path)?;
            let owned = Owned { path: file.path.clone(), device: metadata.dev(), inode: metadata.ino() };
            if let Some(group) = &file.group {
                chown(&file.path, None, Some(group_id(group)?))?;
            }
            fs::set_permissions(&file.path, Permissions::from_mode(file.mode))?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(owned)
        };
        match prepare() {
            Ok(owned) => Ok(Listening::Unix { listener, _file: owned }),
            Err(error) => {
                let _ = fs::remove_file(&file.path);
                Err(failed(error.to_string()))
            }
        }
    }

    /// Listens on a TCP address.
    pub(super) fn tcp(address: SocketAddr) -> Result<Self, Error> {
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(Listening::Tcp(listener))
        };
        listen().map_err(|error| Error::Listen { place: address.to_string(), detail: error.to_string() })
    }

    /// Accepts a connection, with the address over TCP; [`ErrorKind::WouldBlock`] if none is
    /// waiting.
    pub(super) fn accept(&self) -> io::Result<(Peer, Option<IpAddr>)> {
        match self {
            Listening::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok((Peer::Unix(stream), None))
            }
            Listening::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_nonblocking(true)?;
                // Without keepalive, a machine that is gone would hold its place forever.
                let keepalive = socket2::TcpKeepalive::new()
                    .with_time(KEEPALIVE_IDLE)
                    .with_interval(KEEPALIVE_INTERVAL)
                    .with_retries(KEEPALIVE_RETRIES);
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok((Peer::Tcp(stream), Some(address.ip())))
            }
        }
    }

    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Listening::Unix { listener, .. } => listener.as_raw_fd(),
            Listening::Tcp(listener) => listener.as_raw_fd(),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let is_ours = |metadata: fs::Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a stale socket; the error describes what else exists there.
fn remove_stale(path: &Path) -> Result<(), String> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // Binding will report the problem.
        Err(_) => return Ok(()),
    };
    if !metadata.file_type().is_socket() {
        return Err("a file of this name exists and is not a socket; remove it, or set another dnstap.socket".to_owned());
    }
    match UnixStream::connect(path) {
        Ok(_) => Err("another process listens on it; stop that process, or set another dnstap.socket".to_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| format!("cannot remove a stale socket: {error}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Checks that a group exists.
pub fn check_group(name: &str) -> io::Result<()> {
    group_id(name).map(drop)
}

/// The ID of a group.
fn group_id(name: &str) -> io::Result<u32> {
    let text = CString::new(name)?;
    let mut buffer = vec![0; 1 << 16];
    // SAFETY: the struct consists of numbers and pointers, for which zero is valid.
    let mut group: libc::group = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid, and the length is that of the buffer.
    let code = unsafe { libc::getgrnam_r(text.as_ptr(), &raw mut group, buffer.as_mut_ptr(), buffer.len(), &raw mut found) };
    match (code, found.is_null()) {
        (0, false) => Ok(group.gr_gid),
        (0, true) => Err(io::Error::other(format!("there is no group {name:?}"))),
        (code, _) => Err(io::Error::from_raw_os_error(code)),
    }
}
