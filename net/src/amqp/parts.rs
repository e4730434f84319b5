//! The parts of a broker's address, which the library takes whatever they are.

/// What may follow the virtual host: what is read of it.
const PARAMETERS: [&str; 5] = ["frame_max", "channel_max", "heartbeat", "connection_timeout", "auth_mechanism"];

/// What is wrong with the parts of `amqp://user:password@host:port/vhost`, if anything. It is never shown: a password
/// may be in it. Whether it is a URL at all, whoever parses it says.
pub(super) fn fault(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    if rest.contains('#') {
        return Some("has a fragment; write amqps://user:password@host:port/vhost");
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, host_path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return Some("has no host; write amqps://user:password@host:port/vhost");
    }
    // The virtual host that every broker has is often written as it is called.
    if host_path != "/" && host_path.contains('/') {
        return Some("has more than a virtual host after the host; a slash in its name is written %2f");
    }
    if !is_percent_encoded(host_path) {
        return Some("has a virtual host with a % that no two hexadecimal digits follow; a % in its name is written %25");
    }
    let is_known = |pair: &str| PARAMETERS.contains(&pair.split('=').next().unwrap_or_default());
    if !query.split('&').filter(|pair| !pair.is_empty()).all(is_known) {
        return Some("has a query that is not read; write amqps://user:password@host:port/vhost");
    }
    None
}

/// Whether two hexadecimal digits follow every `%`.
fn is_percent_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_brokers_are_taken() {
        for url in [
            "amqp://broker",
            "amqp://broker/",
            "amqp://broker//",
            "amqps://me:hush@broker.example:5671/%2f",
            "amqp://me@192.0.2.1:5672/a%25b?heartbeat=10&frame_max=4096",
        ] {
            assert_eq!(fault(url), None, "{url}");
        }
    }

    #[test]
    fn what_can_never_work_is_refused_and_not_shown() {
        for (url, expected) in [
            ("amqp://", "has no host"),
            ("amqp:///vhost", "has no host"),
            ("amqp://me:hush@", "has no host"),
            ("amqp://me:hush@:5672/%2f", "has no host"),
            ("amqp://broker/%zz", "no two hexadecimal digits"),
            ("amqp://broker/a%2", "no two hexadecimal digits"),
            ("amqp://broker/a/b", "more than a virtual host"),
            ("amqp://broker/%2f/", "more than a virtual host"),
            ("amqp://broker/%2f?a=b", "a query that is not read"),
            ("amqp://me:hush@broker/%2f#a", "has a fragment"),
        ] {
            let said = fault(url).unwrap_or_default();
            assert!(said.contains(expected) && !said.contains("hush"), "{url}: {said}");
        }
    }
}
