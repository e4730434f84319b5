//! Wrong keys, and connections that break or change what they carry.

use super::server::{Kind, SECRET, Server, apex, key};
use super::zone::zone;
use super::{run, test_with};
use libtest_mimic::Trial;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zonepulse_catalogue::Name;
use zonepulse_catalogue::transfer::{self, Error, Outcome, Primary, TsigFault, TsigKey};

const OTHER_SECRET: &str = "YW5vdGhlciBzZWNyZXQsIGFub3RoZXIgc2VjcmV0";

pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (kind, name) in [(Kind::Knot, "knot"), (Kind::Nsd, "nsd"), (Kind::Bind, "bind")] {
        trials.push(test_with(format!("a_wrong_key_at_{name}_is_explained"), move || kind.need(), move |()| wrong_keys(kind)));
        trials.push(test_with(format!("another_zone_at_{name}_is_refused"), move || kind.need(), move |()| other_zone(kind)));
    }
    trials.push(test_with("a_dropped_connection_is_an_error", || Kind::Knot.need(), |()| dropped()));
    trials.push(test_with("a_changed_octet_is_an_error", || Kind::Knot.need(), |()| changed()));
    trials
}

/// Reads a whole zone.
pub async fn drain(primary: &Primary, apex: &Name) -> Result<u64, Error> {
    let mut full = transfer::axfr(primary, apex).await?;
    let mut count = 0;
    loop {
        match full.next().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(count),
            Err(error) => {
                // Asking again must not look like the end of the zone.
                assert!(matches!(full.next().await, Err(Error::Failed)));
                return Err(error);
            }
        }
    }
}

fn wrong_keys(kind: Kind) {
    let server = Server::start(kind, &zone(100, 7));
    let ask = |tsig: Option<TsigKey>| {
        let primary = Primary::new(server.address, tsig);
        let full = run(drain(&primary, &apex())).unwrap_err();
        let incremental: Result<Outcome, Error> = run(transfer::ixfr(&primary, &apex(), 3));
        (full, incremental.unwrap_err())
    };
    let (full, incremental) = ask(Some(key("unknown", SECRET)));
    assert!(matches!(full, Error::Tsig(TsigFault::UnknownToPrimary)), "{full}");
    assert!(matches!(incremental, Error::Tsig(TsigFault::UnknownToPrimary)), "{incremental}");
    let (full, incremental) = ask(Some(key("transfer", OTHER_SECRET)));
    assert!(matches!(full, Error::Tsig(TsigFault::RejectedByPrimary)), "{full}");
    assert!(matches!(incremental, Error::Tsig(TsigFault::RejectedByPrimary)), "{incremental}");
    let (full, _) = ask(None);
    assert!(matches!(full, Error::Refused(_)), "{full}");
}

fn other_zone(kind: Kind) {
    let server = Server::start(kind, &zone(100, 7));
    let error = run(drain(&server.primary(), &Name::from_text("other.").unwrap())).unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    let error = run(transfer::soa(&server.primary(), &Name::from_text("below.example.").unwrap())).unwrap_err();
    assert!(matches!(error, Error::Message(1, _)), "{error}");
}

/// A proxy that passes requests on, and for every connection the octets of the answer through `alter` with their offset;
/// it closes the connection once that returns `false`.
async fn proxy(server: SocketAddr, alter: fn(usize, &mut [u8]) -> bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = TcpStream::connect(server).await.unwrap();
            let mut request = vec![0; 4096];
            let length = client.read(&mut request).await.unwrap();
            upstream.write_all(&request[..length]).await.unwrap();
            let mut offset = 0;
            let mut octets = vec![0; 16_384];
            loop {
                let length = upstream.read(&mut octets).await.unwrap();
                if length == 0 || !alter(offset, &mut octets[..length]) || client.write_all(&octets[..length]).await.is_err() {
                    break;
                }
                offset += length;
            }
        }
    });
    address
}

fn dropped() {
    let server = Server::start(Kind::Knot, &zone(20_000, 7));
    run(async {
        let address = proxy(server.address, |offset, _| offset < 200_000).await;
        let error = drain(&Primary { address, ..server.primary() }, &apex()).await.unwrap_err();
        assert!(matches!(error, Error::Closed(_, messages) | Error::Connection(_, messages, _) if messages > 1), "{error}");
    });
}

fn changed() {
    let server = Server::start(Kind::Knot, &zone(20_000, 7));
    run(async {
        let change = |offset: usize, octets: &mut [u8]| {
            // Somewhere in the text of a TXT record.
            if let Some(at) = (offset > 100_000).then(|| octets.windows(6).position(|window| window == b"length")).flatten() {
                octets[at] = b'L';
            }
            true
        };
        let address = proxy(server.address, change).await;
        let error = drain(&Primary { address, ..server.primary() }, &apex()).await.unwrap_err();
        assert!(matches!(error, Error::Tsig(TsigFault::BadSignature)), "{error}");
    });
}
