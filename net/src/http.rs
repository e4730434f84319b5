//! HTTP clients: what is sent goes to the address that it is for, and what is received has a bound.

use crate::{Error, Trust, tls};
use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, Response, Url, redirect};
use rustls::ClientConfig;

/// A client for an address. With `https://` it believes whom `trust` says; otherwise no certificates need to be there.
///
/// It follows no redirects and uses no proxy: a token is for the address that it was given for.
pub fn client(url: &str, trust: &Trust) -> Result<ClientBuilder, Error> {
    Ok(client_with(if is_https(url) { trust.client_config()? } else { tls::nobody()? }))
}

/// The same, with what TLS needs to connect.
pub fn client_with(config: ClientConfig) -> ClientBuilder {
    Client::builder().tls_backend_preconfigured(config).redirect(redirect::Policy::none()).no_proxy()
}

/// Finishes a client.
pub fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder.build().map_err(Error::setup)
}

/// Whether an address is HTTPS.
pub fn is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// The address of a path of an API.
pub fn address(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}

/// Why there is no body of an answer.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than it may be.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// The connection ended, or was silent for too long.
    #[error(transparent)]
    Broken(#[from] reqwest::Error),
}

/// The body of an answer, up to a bound.
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

/// The beginning of a body as text, for a log or a person: what does not come, or is past the bound, is left out.
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

    /// The answer of somebody who says this, whole.
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
