//! The address of a broker, and the name of a queue there.

use super::parts::fault;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use std::fmt;
use zonepulse_private::Secret;

/// Seconds; a broker that is gone without a word is noticed after about two of them.
const HEARTBEAT_S: u16 = 15;
/// The longest name of a queue, bytes: AMQP's own bound, less what the central adds for its other queues.
pub const LONGEST_QUEUE: usize = 246;

/// Where a broker is, and as whom to speak to it. It prints without the password.
#[derive(Clone)]
pub struct Address(AMQPUri);

impl Address {
    /// Reads `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Says what is wrong with it and never repeats
    /// it, because a password may be in it.
    pub fn parse(url: &Secret) -> Result<Self, &'static str> {
        let url = url.reveal();
        if !url.starts_with("amqp://") && !url.starts_with("amqps://") {
            return Err("must begin with amqp:// or amqps://, as in amqps://user:password@host:5671/%2f");
        }
        if let Some(fault) = fault(url) {
            return Err(fault);
        }
        let mut uri: AMQPUri = url.parse().map_err(|_| "is no URL of a broker; write amqps://user:password@host:port/vhost")?;
        // The library takes an IPv6 address for no host at all, and connects to `localhost` instead.
        if let Some(host) = ipv6_host(url) {
            host.clone_into(&mut uri.authority.host);
        }
        if uri.authority.host.is_empty() || uri.authority.port == 0 {
            return Err("has no host or no port; write amqps://user:password@host:port/vhost");
        }
        Ok(Self::of(uri))
    }

    /// From its parts. An IPv6 address may be in brackets.
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

    /// Its name or address, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.0.authority.host.as_str();
        host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.authority.port
    }

    /// Whether it is spoken to with TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }
}

impl fmt::Display for Address {
    /// For the log: without user and password.
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

/// The host of a URL with its brackets, where it is an IPv6 address.
fn ipv6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.starts_with('[').then(|| host.split_inclusive(']').next()).flatten()
}

/// What is wrong with the name of a queue. Names that begin with `amq.` are the broker's own; those of the central's two
/// other queues are longer by up to nine bytes.
pub fn check_queue(queue: &str) -> Result<(), &'static str> {
    let is_name = (1..=LONGEST_QUEUE).contains(&queue.len()) && !queue.trim().is_empty();
    if is_name && !queue.chars().any(char::is_control) && !queue.starts_with("amq.") {
        return Ok(());
    }
    Err("must have 1 to 246 bytes, not blanks alone, no control characters, and not begin with amq.")
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
