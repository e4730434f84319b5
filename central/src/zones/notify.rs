//! NOTIFY (RFC 1996): a primary says that a zone has changed.
//!
//! It is a hint. It must come from the address of the zone's primary, or be signed with the key of the zone; then the zone
//! is compared with its primary at once, as it would be later anyway. Nothing else in the message is believed.

use super::Zones;
use super::refresh::LEAST_PAUSE_MS;
use super::source;
use crate::time::now_ms;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use zonepulse_catalogue::Name;
use zonepulse_catalogue::transfer::notify::{self, Notify};
use zonepulse_catalogue::transfer::{TsigKey, serial};
use zonepulse_dns::ResponseCode;
use zonepulse_net::{Bounds, Places};
use zonepulse_store::Source;

/// Maximum length of a message, octets; longer ones are rejected when they are parsed.
const MAX_BYTES: usize = 4096;
/// TCP connections: at a limit, the one that has been open for longest makes room.
const CONNECTIONS: Bounds = Bounds { connections: 16, per_address: 4, reserved: 0, per_principal: 0 };
/// How long a TCP connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after an error of a socket.
const PAUSE: Duration = Duration::from_millis(100);

/// Where NOTIFY arrives.
pub struct Listener {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Listener {
    /// Listens on an address, with UDP and TCP.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        // Port 0 is the same port for both.
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Listener { udp, tcp })
    }

    /// The address, with the port that was assigned.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers until `end`.
    pub async fn run(self, zones: Arc<Zones>, end: impl Future<Output = ()>) {
        let Listener { udp, tcp } = self;
        let datagrams = datagrams(udp, zones.clone());
        let streams = streams(tcp, zones);
        tokio::select! {
            () = end => {}
            () = datagrams => {}
            () = streams => {}
        }
    }
}

async fn datagrams(socket: UdpSocket, zones: Arc<Zones>) {
    let mut message = vec![0; MAX_BYTES + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut message).await {
            Ok(received) => received,
            // An answer that could not be delivered is reported here.
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let message = message.get(..length).unwrap_or_default();
        if let Some(answer) = zones.notified(message, from.ip(), now_ms()) {
            // Who does not hear it asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn streams(listener: TcpListener, zones: Arc<Zones>) {
    let places = Places::new(CONNECTIONS);
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let zones = zones.clone();
        tokio::spawn(places.hold(from.ip(), async move {
            let _ = tokio::time::timeout(PATIENCE, stream_of(stream, from.ip(), zones)).await;
        }));
    }
}

async fn stream_of(mut stream: TcpStream, from: IpAddr, zones: Arc<Zones>) -> std::io::Result<()> {
    loop {
        let length = usize::from(stream.read_u16().await?);
        if length > MAX_BYTES {
            return Ok(());
        }
        let mut message = vec![0; length];
        stream.read_exact(&mut message).await?;
        let Some(answer) = zones.notified(&message, from, now_ms()) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
    }
}

impl Zones {
    /// Takes a message from an address. Returns the answer, if it deserves one.
    fn notified(&self, message: &[u8], from: IpAddr, now_ms: u64) -> Option<Vec<u8>> {
        let now_s = now_ms / 1000;
        let keys = self.keys(notify::apex(message).as_ref());
        let notify = match notify::parse(message, &keys, now_s) {
            Ok(notify) => notify,
            Err(rejection) => return rejection.answer,
        };
        let code = self.hint(&notify, from.to_canonical(), now_ms);
        notify::answer(notify, code, now_s)
    }

    /// Acts on a hint, if it is from whom it should be.
    fn hint(&self, notify: &Notify, from: IpAddr, now_ms: u64) -> ResponseCode {
        let mut code = ResponseCode::NOTAUTH;
        for loaded in &self.current().zones {
            let row = &loaded.row;
            let Source::Transfer { primary, tsig } = &row.source else { continue };
            if loaded.contents.zone.apex() != &notify.apex {
                continue;
            }
            let is_key = |name: &Name| tsig.as_ref().is_some_and(|tsig| tsig.name == name.to_string());
            let is_primary = primary.parse::<SocketAddr>().is_ok_and(|primary| primary.ip().to_canonical() == from);
            let is_believed = match (&notify.key, tsig) {
                (Some(name), _) => is_key(name),
                (None, _) => is_primary,
            };
            if !is_believed {
                if code == ResponseCode::NOTAUTH {
                    code = ResponseCode::REFUSED;
                }
                continue;
            }
            code = ResponseCode::NOERROR;
            let is_known = notify.serial.zip(row.serial).is_some_and(|(theirs, ours)| !serial::is_newer(theirs, ours));
            let is_recent = row.checked_ms.is_some_and(|checked_ms| now_ms < checked_ms + LEAST_PAUSE_MS);
            if !is_known || !is_recent {
                self.want(row.id);
            }
        }
        code
    }

    /// The keys of all zones, those of this zone first: others may have other keys of the same name.
    fn keys(&self, apex: Option<&Name>) -> Vec<TsigKey> {
        let current = self.current();
        let (its, others): (Vec<_>, Vec<_>) =
            current.zones.iter().partition(|loaded| apex.is_some_and(|apex| loaded.contents.zone.apex() == apex));
        let keys = its.into_iter().chain(others).filter_map(|loaded| match &loaded.row.source {
            Source::Transfer { primary, tsig: Some(tsig) } => source::primary(primary, Some(tsig)).ok()?.tsig,
            _ => None,
        });
        keys.collect()
    }
}
