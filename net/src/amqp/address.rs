//! The address of a broker, and the name of a queue.

use super::parts::fault;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use std::fmt;
use zonepulse_private::Secret;

/// Seconds; an unresponsive broker is detected after about two heartbeats.
const HEARTBEAT_S: u16 = 15;
/// Maximum length of a queue name, bytes: AMQP's limit, minus what the central appends for its
/// other queues.
pub const LONGEST_QUEUE: usize = 246;

/// A broker's location and the login to use. Prints without the password.
#[derive(Clone)]
pub struct Address(AMQPUri);

impl Address {
    /// Parses `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Errors never repeat
    /// the URL, because it may contain a password.
    pub fn parse(url: &Secret) -> Result<Self, &'static str> {
        let url = url.reveal();
        if !url.starts_with("amqp://") && !url.starts_with("amqps://") {
            return Err("must begin with amqp:// or amqps://, as in amqps://user:password@host:5671/%2f");
        }
        if let Some(fault) = fault(url) {
            return Err(fault);
        }
        let mut uri: AMQPUri = url.parse().map_err(|_| "is not a broker's URL; write amqps://user:password@host:port/vhost")?;
        // The library does not recognise an IPv6 address as a host, and connects to `localhost`
        // instead.
        if let Some(host) = ipv6_host(url) {
            host.clone_into(&mut uri.authority.host);
        }
        if uri.authority.host.is_empty() || uri.authority.port == 0 {
            return Err("has no host or no port; write amqps://user:password@host:port/vhost");
        }
        Ok(Self::of(uri))
    }

    /// Builds an address from its parts. An IPv6 address may be in brackets.
    pub fn new(host: &str, port: u16, tls: bool, virtual_host: &str, user: &str, password: &Secret) -> Self {
        Self::of(AMQPUri {
            scheme: if tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: user.to_owned(), password: password.reveal().to_owned() },
                host: host.to_owned(),
                port,
            },
            vhost: virtual_host.to_owned(),
            query: AMQPQueryString::default(),
        })
    }

    fn of(mut uri: AMQPUri) -> Self {
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        Address(uri)
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    /// The host name or address, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.0.authority.host.as_str();
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.0.authority.port
    }

    /// Whether to connect with TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }
}

impl fmt::Display for Address {
    /// For logs: without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { authority, vhost, .. } = &self.0;
        let scheme = if self.is_encrypted() { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}:{} vhost {vhost}", authority.host, authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The host of a URL, including brackets, if it is an IPv6 address.
fn ipv6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.starts_with('[').then(|| host.split_inclusive(']').next()).flatten()
}

/// Checks a queue name; the error says what is wrong. Names that begin with `amq.` are reserved by
/// the broker; the names of the central's two other queues are up to nine bytes longer.
pub fn check_queue(queue: &str) -> Result<(), &'static str> {
    let is_name = (1..=LONGEST_QUEUE).contains(&queue.len()) && !queue.trim().is_empty();
    if is_name && !queue.chars().any(char::is_control) && !queue.starts_with("amq.") {
        return Ok(());
    }
    Err("must have 1 to 246 bytes, not only spaces, no control characters, and not begin with amq.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_work_is_found_before_it_is_used_and_never_repeated() {
        for good in ["amqp://127.0.0.1:5672/%2f", "amqp://me:secret@broker.example", "amqp://[::1]/zonepulse"] {
            assert_eq!(Address::parse(&good.into()).err(), None, "{good}");
        }
        for bad in ["", "me:secret@x", "http://me:secret@x", "amqp://me:secret@x:0", "amqp://me:secret@x:no"] {
            let error = Address::parse(&bad.into()).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_address_prints_without_user_and_password() {
        let address = Address::parse(&"amqps://me:hush@[2001:db8::1]:5671/zonepulse".into()).unwrap();
        assert_eq!(format!("{address:?}"), "amqps://[2001:db8::1]:5671 vhost zonepulse");
        assert_eq!((address.host(), address.port(), address.is_encrypted()), ("2001:db8::1", 5671, true));
        let same = Address::new("2001:db8::1", 5671, true, "zonepulse", "me", &"hush".into());
        assert_eq!(same.host(), address.host());
    }

    #[test]
    fn a_broker_at_an_ipv6_address_is_spoken_to_there() {
        for (url, host) in
            [("amqp://[::1]", "::1"), ("amqps://me:p@[2001:db8::1]/%2f", "2001:db8::1"), ("amqp://192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(Address::parse(&url.into()).unwrap().host(), host, "{url}");
        }
        assert!(Address::parse(&"amqp://[::no]".into()).is_err());
    }

    #[test]
    fn a_queue_of_another_name_than_the_broker_takes_is_refused() {
        for good in ["zonepulse.batches", "a", &"x".repeat(246)] {
            assert_eq!(check_queue(good), Ok(()), "{good}");
        }
        for bad in ["", "  ", "a\nb", "amq.batches", &"x".repeat(247)] {
            assert!(check_queue(bad).is_err(), "{bad}");
        }
    }
}
