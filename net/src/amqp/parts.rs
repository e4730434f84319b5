//! Checks the parts of a broker's URL that the library accepts unchecked.

/// Query parameters that the library reads.
const PARAMETERS: [&str; 5] = ["frame_max", "channel_max", "heartbeat", "connection_timeout", "auth_mechanism"];

/// What is wrong with the parts of `amqp://user:password@host:port/vhost`, if anything. Errors
/// never show the URL: it may contain a password. The caller reports URLs that cannot be parsed.
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
    // The default virtual host is often written as it is called.
    if host_path != "/" && host_path.contains('/') {
        return Some("has more than a virtual host after the host; write %2f for a slash in its name");
    }
    if !is_percent_encoded(host_path) {
        return Some("has a virtual host with a % that is not followed by two hexadecimal digits; write %25 for a % in its name");
    }
    let is_known = |pair: &str| PARAMETERS.contains(&pair.split('=').next().unwrap_or_default());
    if !query.split('&').filter(|pair| !pair.is_empty()).all(is_known) {
        return Some("has an unknown query parameter; write amqps://user:password@host:port/vhost");
    }
    None
}

/// Whether every `%` is followed by two hexadecimal digits.
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
    fn invalid_urls_are_refused_and_not_shown() {
        for (url, expected) in [
            ("amqp://", "has no host"),
            ("amqp:///vhost", "has no host"),
            ("amqp://me:hush@", "has no host"),
            ("amqp://me:hush@:5672/%2f", "has no host"),
            ("amqp://broker/%zz", "not followed by two hexadecimal digits"),
            ("amqp://broker/a%2", "not followed by two hexadecimal digits"),
            ("amqp://broker/a/b", "more than a virtual host"),
            ("amqp://broker/%2f/", "more than a virtual host"),
            ("amqp://broker/%2f?a=b", "an unknown query parameter"),
            ("amqp://me:hush@broker/%2f#a", "has a fragment"),
        ] {
            let said = fault(url).unwrap_or_default();
            assert!(said.contains(expected) && !said.contains("hush"), "{url}: {said}");
        }
    }
}
