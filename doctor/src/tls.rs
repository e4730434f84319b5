//! TLS handshakes, and what their failures mean.

use crate::certificate::Facts;
use crate::{PATIENCE, utc};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zonepulse_net::Trust;
use zonepulse_net::tls::Fingerprint;

/// A completed handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shaken {
    /// Until when the certificates are valid, Unix seconds.
    pub until_s: Option<u64>,
    /// The fingerprint of the last certificate presented, which is the authority's or nearest to it.
    pub last: Option<String>,
}

/// Why TLS does not work, for a peer and a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was found.
    pub found: String,
    /// What to do.
    pub advice: String,
    /// Whether the peer seems not to speak TLS at all.
    pub is_plain: bool,
}

/// Whom a handshake was with, in the words of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// `the central`
    pub who: &'a str,
    /// Its name or address.
    pub host: &'a str,
    /// The file with the authorities that are trusted; none for those of this machine.
    pub ca_file: Option<&'a Path>,
    /// The setting that names it.
    pub ca_setting: &'a str,
    /// The setting with its URL.
    pub setting: &'a str,
    /// What the last certificate presented is, if that is known.
    pub last: Option<&'a str>,
}

/// Connects and shakes hands, within the time limit.
pub async fn shake(address: SocketAddr, host: &str, trust: &Trust) -> io::Result<Shaken> {
    let config = trust.client_config().map_err(io::Error::other)?;
    let host = host.to_owned();
    let shaking = spawn_blocking(move || shake_hands(address, host, config));
    match timeout(2 * PATIENCE, shaking).await {
        Ok(shaken) => shaken.map_err(io::Error::other)?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn shake_hands(address: SocketAddr, host: String, config: ClientConfig) -> io::Result<Shaken> {
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let mut stream = connect(address)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let certificates = connection.peer_certificates().unwrap_or_default();
    let shaken = Shaken {
        until_s: certificates.iter().filter_map(|certificate| Some(Facts::read(certificate)?.not_after_s)).min(),
        last: certificates.last().map(|certificate| Fingerprint::of(certificate).to_string()),
    };
    connection.send_close_notify();
    // The handshake is over; whether the peer hears of the end does not matter.
    let _ = connection.write_tls(&mut stream);
    Ok(shaken)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whether a peer answers HTTP without TLS.
pub async fn speaks_plain_http(address: SocketAddr, host: &str) -> bool {
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let asking = spawn_blocking(move || -> io::Result<bool> {
        let mut stream = connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/")
    });
    matches!(timeout(2 * PATIENCE, asking).await, Ok(Ok(Ok(true))))
}

/// Whether a handshake failed because of the certificate.
pub fn is_untrusted(error: &io::Error) -> bool {
    zonepulse_net::tls::is_untrusted(error)
}

/// What a failed handshake means.
pub fn explain(error: &io::Error, peer: Peer<'_>) -> Fault {
    let Peer { who, host, setting, .. } = peer;
    let fault = |found: String, advice: String| Fault { found, advice, is_plain: false };
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return fault(
            format!("{who} did not complete the TLS handshake within {} s", PATIENCE.as_secs()),
            format!("check what listens at the port in {setting}: openssl s_client -connect {host}:PORT"),
        );
    }
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) else {
        let found = format!("{who} ended the connection in the TLS handshake: {error}");
        let advice = format!("check that TLS is spoken at the port in {setting}: openssl s_client -connect {host}:PORT");
        return Fault {
            is_plain: matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
            ..fault(found, advice)
        };
    };
    match error {
        rustls::Error::InvalidCertificate(certificate) => {
            let (found, advice) = explain_certificate(certificate, peer);
            fault(found, advice)
        }
        rustls::Error::InvalidMessage(_) => Fault {
            is_plain: true,
            ..fault(format!("{who} does not speak TLS at that port"), format!("correct the port or the scheme in {setting}"))
        },
        error => fault(
            format!("the TLS handshake with {who} failed: {error}"),
            format!("compare the TLS versions and certificates of both sides: openssl s_client -connect {host}:PORT"),
        ),
    }
}

fn explain_certificate(error: &CertificateError, peer: Peer<'_>) -> (String, String) {
    let Peer { who, host, ca_file, ca_setting, setting, last } = peer;
    let renew = |found: String| (found, format!("install a new certificate at {who}, and reload it there"));
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            renew(format!("the certificate of {who} expired at {}", utc(not_after.as_secs())))
        }
        CertificateError::Expired => renew(format!("the certificate of {who} has expired")),
        CertificateError::NotValidYetContext { time, not_before } => (
            format!(
                "the certificate of {who} is valid only from {} on, and this machine's clock says {}",
                utc(not_before.as_secs()),
                utc(time.as_secs())
            ),
            "correct this machine's clock, or install another certificate: timedatectl set-ntp true".to_owned(),
        ),
        CertificateError::NotValidYet => (
            format!("the certificate of {who} is not valid yet"),
            "correct this machine's clock, or install another certificate: timedatectl set-ntp true".to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match error {
                CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    format!(", only for {}", presented.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "))
                }
                _ => String::new(),
            };
            (
                format!("the certificate of {who} is not valid for {host}{names}"),
                format!("use one of its names in {setting}, or install a certificate for {host} at {who}"),
            )
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let last = last
                .map(|last| format!(" (the last certificate presented has the SHA-256 fingerprint {last})"))
                .unwrap_or_default();
            match ca_file {
                Some(file) => (
                    format!("the certificate of {who} was not issued by an authority in {ca_setting}, {}{last}", file.display()),
                    format!("put the certificate of the authority that issued it into {}", file.display()),
                ),
                None => (
                    format!("the certificate of {who} was issued by an authority that this machine does not trust{last}"),
                    format!("set {ca_setting} to a file with that authority's certificate (PEM)"),
                ),
            }
        }
        error => renew(format!("the certificate of {who} is not acceptable: {error}")),
    }
}

/// A name in a certificate as rustls prints it, `DnsName("localhost")`, without the decoration.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::UnixTime;
    use std::time::Duration;

    fn peer(ca_file: Option<&'static str>) -> Peer<'static> {
        Peer {
            who: "the central",
            host: "central.example",
            ca_file: ca_file.map(Path::new),
            ca_setting: "tls.ca_file",
            setting: "deliver.http.url",
            last: None,
        }
    }

    fn explained(error: CertificateError, ca_file: Option<&'static str>) -> (String, String) {
        let Fault { found, advice, is_plain } =
            explain(&io::Error::other(rustls::Error::InvalidCertificate(error)), peer(ca_file));
        assert!(!is_plain);
        (found, advice)
    }

    fn at(s: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(s))
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_advice() {
        let presented = vec!["DnsName(\"other.example\")".to_owned(), "IpAddress(192.0.2.1)".to_owned()];
        let expected = ServerName::try_from("central.example").unwrap();
        for (error, found, advice) in [
            (
                CertificateError::ExpiredContext { time: at(100), not_after: at(60) },
                "expired at 1970-01-01T00:01:00Z",
                "install a new certificate",
            ),
            (
                CertificateError::NotValidYetContext { time: at(0), not_before: at(60) },
                "valid only from 1970-01-01T00:01:00Z on",
                "timedatectl",
            ),
            (
                CertificateError::NotValidForNameContext { expected, presented },
                "not valid for central.example, only for other.example, 192.0.2.1",
                "use one of its names in deliver.http.url",
            ),
            (CertificateError::UnknownIssuer, "does not trust", "set tls.ca_file"),
            (CertificateError::Revoked, "not acceptable", "install a new certificate"),
        ] {
            let (said, advised) = explained(error, None);
            assert!(said.contains(found) && advised.contains(advice), "{said}: {advised}");
        }
        let (found, advice) = explained(CertificateError::UnknownIssuer, Some("/etc/ca.pem"));
        assert!(found.contains("tls.ca_file, /etc/ca.pem") && advice.ends_with("into /etc/ca.pem"), "{found}: {advice}");
    }

    #[test]
    fn a_peer_without_tls_is_recognised() {
        let plain = |error: io::Error| explain(&error, peer(None)).is_plain;
        assert!(plain(io::Error::other(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType))));
        assert!(plain(io::ErrorKind::UnexpectedEof.into()));
        assert!(!plain(io::ErrorKind::TimedOut.into()));
        assert!(!plain(io::Error::other(rustls::Error::HandshakeNotComplete)));
    }

    #[test]
    fn names_are_shown_without_decoration() {
        assert_eq!(["DnsName(\"a.test\")", "IpAddress(192.0.2.1)", "a.test"].map(plain), ["a.test", "192.0.2.1", "a.test"]);
    }
}
