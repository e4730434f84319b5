//! Plain HTTP on a TLS port: a client that used `http://` instead of `https://` gets an answer that
//! says so.

use crate::Limits;
use crate::places::Visitor;
use crate::stream::Stream;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The client left without sending anything.
    Nothing,
    /// Apparently an HTTP method.
    Http,
    /// Anything else, such as a TLS handshake.
    Other,
}

/// Peeks at the first byte. TLS records begin with their type, which is below 32.
pub(crate) async fn opening(stream: &TcpStream) -> io::Result<Opening> {
    let mut first = [0];
    Ok(match stream.peek(&mut first).await? {
        0 => Opening::Nothing,
        _ if first.first().is_some_and(u8::is_ascii_alphabetic) => Opening::Http,
        _ => Opening::Other,
    })
}

/// Reads the head of a request and answers 400. Returns the stream for the client's remaining
/// input.
pub(crate) async fn answer(mut stream: TcpStream, visitor: &Visitor, limits: &Limits) -> io::Result<Stream<TcpStream>> {
    let local = stream.local_addr()?;
    let head = head(&mut stream, limits.head_bytes).await?;
    let text = format!("this port speaks HTTPS: https://{}\n", place(&head, local));
    let response = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    visitor.leaves();
    stream.write_all(response.as_bytes()).await?;
    Ok(Stream::new(stream, visitor.clone(), limits))
}

/// Reads a request head, up to the limit. The phase of the connection bounds the time.
async fn head(stream: &mut TcpStream, max_bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.len() < max_bytes && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        head.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    Ok(head)
}

/// The host and port in the request, or else the local address.
fn place(head: &[u8], local: SocketAddr) -> String {
    let head = String::from_utf8_lossy(head);
    let host = head.lines().skip(1).filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("host"));
    match host.map(|(_, host)| host.trim()).filter(|host| is_host(host)) {
        Some(host) => host.to_owned(),
        None => local.to_string(),
    }
}

/// Whether a text can only be a host, optionally with a port.
fn is_host(text: &str) -> bool {
    (1..=261).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_host_that_the_client_wrote_or_else_the_address_it_reached() {
        let local = "192.0.2.1:8053".parse().unwrap();
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: central.example:8053\r\n\r\n", "central.example:8053"),
            ("GET / HTTP/1.1\r\nhost:[2001:db8::1]:8053\r\n\r\n", "[2001:db8::1]:8053"),
            ("GET / HTTP/1.0\r\n\r\n", "192.0.2.1:8053"),
            ("GET / HTTP/1.1\r\nhost: a b<c>\r\n\r\n", "192.0.2.1:8053"),
            ("GET / HTTP/1.1\r\nhost:\r\n\r\n", "192.0.2.1:8053"),
        ] {
            assert_eq!(place(head.as_bytes(), local), expected, "{head}");
        }
    }
}
