//! From a connection to a request for the router.
//!
//! `zonepulse_net` bounds what a connection may do. Here it gets the central's certificate, and every request gets its
//! client's address, which behind a trusted proxy is the forwarded one.

use crate::config::{Limits, Proxy};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tower::Service;
use zonepulse_net::tls::Acceptor;
use zonepulse_net::{Bounds, Paced, Places as Connections, Server};

/// Maximum length of a request target.
pub const MAX_TARGET_BYTES: usize = 16 << 10;
/// Connections of one server or user that count as authenticated; further ones may be closed to make room.
const CONNECTIONS_PER_PRINCIPAL: usize = 16;

/// The address of a request's client.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Limits on the number of connections.
pub fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        connections: limits.max_connections as usize,
        per_address: limits.max_connections_per_address as usize,
        reserved: limits.reserved_connections as usize,
        per_principal: CONNECTIONS_PER_PRINCIPAL,
    }
}

/// A listener of the central.
pub struct Door {
    /// The listening socket.
    pub listener: TcpListener,
    /// The TLS acceptor, if TLS is enabled.
    pub tls: Option<Acceptor>,
    /// Its connection slots.
    pub connections: Connections,
    /// Limits per connection.
    pub limits: Limits,
    /// The proxies trusted to forward client addresses.
    pub proxy: Proxy,
}

impl Door {
    /// Serves requests until `ending`, and returns when those in progress are answered.
    pub async fn serve(self, router: Router, ending: impl Future<Output = ()>) {
        let Door { listener, tls, connections, limits, proxy } = self;
        let proxies = proxy.trusted.iter().map(|trusted| trusted.0).collect();
        let server = Server { listener, tls, places: connections, limits: of_connections(&limits), proxies };
        let answer = move |mut request: Request<Paced>, address: SocketAddr| {
            let client = proxy.client(address, request.headers());
            request.extensions_mut().insert(ConnectInfo(Peer(client)));
            let answering = router.clone().call(request);
            async move {
                let Ok(response) = answering.await;
                response
            }
        };
        server.serve(answer, ending).await;
    }
}

fn of_connections(limits: &Limits) -> zonepulse_net::Limits {
    zonepulse_net::Limits {
        head: Duration::from_secs(limits.head_timeout_s),
        idle: Duration::from_secs(limits.idle_timeout_s),
        min_bytes_per_s: limits.min_bytes_per_s,
        head_bytes: limits.max_head_bytes as usize,
        // Room for the method.
        target_bytes: MAX_TARGET_BYTES + 32,
        ..zonepulse_net::Limits::default()
    }
}
