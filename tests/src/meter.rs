//! A wire on which bytes are counted: forwards TCP connections.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Listens on a port of this machine and forwards connections to another; ends with the process.
pub struct Wire {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    there: AtomicU64,
    back: AtomicU64,
}

impl Wire {
    /// Forwards to a port of this machine.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let counts = Arc::new(Counts::default());
        let counted = counts.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
                let (there, back) = ((clone(&client), clone(&server)), (server, client));
                let (one, other) = (counted.clone(), counted.clone());
                thread::spawn(move || pass(there, &one.there));
                thread::spawn(move || pass(back, &other.back));
            }
        });
        Wire { address, counts }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Bytes sent by clients so far, without TCP and IP headers.
    pub fn there_bytes(&self) -> u64 {
        self.counts.there.load(Ordering::Relaxed)
    }

    /// Bytes sent back so far.
    pub fn back_bytes(&self) -> u64 {
        self.counts.back.load(Ordering::Relaxed)
    }
}

fn pass((mut from, mut to): (TcpStream, TcpStream), count: &AtomicU64) {
    let _ = to.set_nodelay(true);
    let mut buffer = [0; 16 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        count.fetch_add(bytes as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
