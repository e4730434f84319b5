//! HTTP clients that send only to the intended address, and limit what they receive.

use crate::{Error, Trust, tls};
use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, Url, redirect};
use rustls::ClientConfig;

/// A client for a URL. With `https://` it trusts certificates as `trust` says; otherwise no
/// certificates are required.
///
/// It follows no redirects and uses no proxy: a token is only for the URL for which it was issued.
pub fn client(url: &str, trust: &Trust) -> Result<ClientBuilder, Error> {
    Ok(client_with(if is_https(url) { trust.client_config()? } else { tls::nobody()? }))
}

/// The same, from a finished TLS configuration.
pub fn client_with(config: ClientConfig) -> ClientBuilder {
    Client::builder().tls_backend_preconfigured(config).redirect(redirect::Policy::none()).no_proxy()
}

/// Builds a client.
pub fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder.build().map_err(Error::setup)
}

/// Whether a URL is HTTPS.
pub fn is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// The URL of a path of an API.
pub fn address(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}

/// Why the body of an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It exceeds the limit.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// The connection ended, or was silent for too long.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// Reads the body of an answer, up to a limit.
pub async fn body(mut response: Response, max_bytes: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > max_bytes {
            return Err(BodyError::TooLong(max_bytes));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The beginning of a body as text, for a log or a person, as far as it arrives and up to the
/// limit.
pub async fn start_of_body(mut response: Response, max_bytes: usize) -> String {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let room = max_bytes - body.len();
        body.extend(piece.iter().take(room));
        if piece.len() >= room {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// The answer of a server that sends this and closes the connection.
    async fn answer(head: &'static str, body: &'static str) -> Response {
        crate::tls::install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.unwrap();
        });
        build(client(&url, &Trust::System).unwrap()).unwrap().get(&url).send().await.unwrap()
    }

    #[tokio::test]
    async fn a_body_has_a_bound() {
        assert_eq!(body(answer("200 OK", "12345").await, 5).await.unwrap(), "12345");
        assert!(matches!(body(answer("200 OK", "123456").await, 5).await, Err(BodyError::TooLong(5))));
        assert_eq!(start_of_body(answer("200 OK", "123456").await, 5).await, "12345");
        assert_eq!(start_of_body(answer("200 OK", "").await, 5).await, "");
    }

    #[tokio::test]
    async fn no_redirect_is_followed() {
        assert_eq!(answer("302 Found\r\nlocation: http://127.0.0.1:1/", "").await.status(), 302);
    }

    #[test]
    fn an_address_has_one_slash_before_its_path() {
        assert_eq!(address("https://one/", "/api"), "https://one/api");
        assert_eq!(address("https://one/below", "/api"), "https://one/below/api");
        assert!(is_https("https://one") && !is_https("http://one") && !is_https("one"));
    }
}
