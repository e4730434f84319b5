//! Limits on what the central may set: where this probe may be redirected, and with what security.
//!
//! The central's settings override the configuration, and include addresses: of its own API, where
//! the probe presents its token, and of a broker, which sees the batches. Someone who takes over
//! the central, or a user account there, must not obtain the token or turn off encryption. So the
//! configuration has the last word:
//!
//! * The API must be on a host in `[central] pin`, by default the host of `deliver.http.url`, and
//!   never over HTTP if the configured URL is HTTPS.
//! * The broker must use TLS if the configured URL of the central or of the broker is encrypted,
//!   unless it is on this machine; and if `pin` is set, it must be on one of its hosts. (The token
//!   is not sent there: batches are signed with it.)
//! * Certificates are verified if `tls.verify_ca` says so, whatever the central says.

use crate::central;
use reqwest::Url;
use std::net::IpAddr;
use zonepulse_wire::RabbitmqSettings;

/// A host, optionally with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: Option<u16>,
}

/// What the configuration allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The configured URL of the central.
    url: String,
    /// Whether the configured transport of batches is encrypted.
    encrypted: bool,
    /// Where the central may redirect this probe; by default the configured host.
    places: Option<Vec<Place>>,
}

impl Place {
    /// Parses `host`, `host:port`, or an IPv6 address, in brackets if a port follows.
    pub fn parse(text: &str) -> Result<Place, String> {
        let wrong = || format!("{text:?} is neither a host nor host:port, such as \"central.example\" or \"192.0.2.1:8053\"");
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without a port ends in something that looks like one.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        let bracketed = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        // Normalise the spelling by parsing it as part of a URL.
        let url = Url::parse(&format!("http://{bracketed}/")).map_err(|_| wrong())?;
        let is_host = url.path() == "/" && url.username().is_empty() && url.password().is_none() && url.port().is_none();
        let plain = !bracketed.contains(['/', '?', '#', '@', '\\']);
        match url.host_str() {
            Some(host) if is_host && central::has_host(&url) && plain && port != Some(0) => {
                Ok(Place { host: host.to_owned(), port })
            }
            _ => Err(wrong()),
        }
    }

    fn covers(&self, other: &Place) -> bool {
        self.host == other.host && (self.port.is_none() || self.port == other.port)
    }
}

impl Pin {
    /// The limits for this URL of the central, these places, and possibly a broker that uses TLS.
    pub fn new(url: &str, places: Option<&[String]>, amqps: bool) -> Result<Pin, String> {
        let places = places.map(|places| places.iter().map(|place| Place::parse(place)).collect()).transpose()?;
        Ok(Pin { url: url.to_owned(), encrypted: amqps || url_scheme_is_https(url), places })
    }

    /// Checks whether the central's API may be at this URL; the error says why not. `Ok(true)` if
    /// it differs from the configured one.
    pub fn check_api(&self, url: &str) -> Result<bool, String> {
        let (Some(own), Some(there)) = (place_of(&self.url), place_of(url)) else { return Err(format!("{url} has no host")) };
        if url_scheme_is_https(&self.url) && !url_scheme_is_https(url) {
            return Err(format!("{url} is not encrypted, but the configured URL is; the token is only sent encrypted"));
        }
        let is_own = own == there;
        let any_port = Place { port: None, ..own };
        let allowed = match &self.places {
            Some(places) => is_own || places.iter().any(|place| place.covers(&there)),
            None => any_port.covers(&there),
        };
        if allowed { Ok(!is_own) } else { Err(format!("{url} is on a host that [central] pin does not allow")) }
    }

    /// Checks whether this broker may be used; the error says why not.
    pub fn check_broker(&self, broker: &RabbitmqSettings) -> Result<(), String> {
        let address = &broker.address;
        // Anything that is not a valid host in a URL, such as a link-local address with its zone,
        // is at least not pinned.
        let host = Place::parse(address).map_or_else(|_| address.to_ascii_lowercase(), |place| place.host);
        let there = Place { host, port: Some(broker.port) };
        if self.encrypted && !broker.tls && !is_loopback(&there.host) {
            return Err(format!("{address} is used without TLS, but this probe is configured for encryption"));
        }
        match &self.places {
            Some(places) if !places.iter().any(|place| place.covers(&there)) => {
                Err(format!("{address} is a host that [central] pin does not allow"))
            }
            _ => Ok(()),
        }
    }
}

fn place_of(url: &str) -> Option<Place> {
    let url = Url::parse(url).ok()?;
    Some(Place { host: url.host_str()?.to_owned(), port: url.port_or_known_default() })
}

fn url_scheme_is_https(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(url: &str, places: Option<&[&str]>) -> Pin {
        let places = places.map(|places| places.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>());
        Pin::new(url, places.as_deref(), false).unwrap()
    }

    fn broker(address: &str, tls: bool) -> RabbitmqSettings {
        RabbitmqSettings {
            address: address.to_owned(),
            port: 5671,
            tls,
            virtual_host: "/".to_owned(),
            user: "u".to_owned(),
            password: "p".into(),
        }
    }

    #[test]
    fn the_configured_host_is_allowed_and_no_other() {
        let pin = pin("https://central.example:8053", None);
        assert_eq!(pin.check_api("https://central.example:8053"), Ok(false));
        assert_eq!(pin.check_api("https://CENTRAL.example:9000/zonepulse"), Ok(true));
        for evil in ["https://evil.example:8053", "https://central.example.evil:8053", "https://192.0.2.1", "rubbish"] {
            assert!(pin.check_api(evil).is_err(), "{evil}");
        }
    }

    #[test]
    fn nothing_leads_from_https_to_http() {
        assert!(pin("https://central.example", None).check_api("http://central.example").is_err());
        assert!(pin("https://one.example", Some(&["two.example"])).check_api("http://two.example").is_err());
        assert_eq!(pin("http://central.example", None).check_api("https://central.example"), Ok(true));
    }

    #[test]
    fn other_hosts_are_allowed_by_name_and_port() {
        let pin = pin("https://one.example", Some(&["two.example", "three.example:8053", "2001:db8::1", "[2001:db8::2]:443"]));
        for (url, allowed) in [
            ("https://one.example", true),
            ("https://one.example:444", false),
            ("https://two.example:9", true),
            ("https://three.example:8053", true),
            ("https://three.example", false),
            ("https://[2001:db8:0::1]:9", true),
            ("https://[2001:db8::2]", true),
            ("https://[2001:db8::2]:9", false),
            ("https://four.example", false),
        ] {
            assert_eq!(pin.check_api(url).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn a_broker_is_used_as_securely_as_the_central() {
        let secure = pin("https://central.example", None);
        assert_eq!(secure.check_broker(&broker("broker.example", true)), Ok(()));
        assert!(secure.check_broker(&broker("broker.example", false)).is_err());
        assert_eq!(secure.check_broker(&broker("127.0.0.1", false)), Ok(()));
        assert_eq!(pin("http://central.example", None).check_broker(&broker("broker.example", false)), Ok(()));
        let amqps = Pin::new("http://127.0.0.1:8053", None, true).unwrap();
        assert!(amqps.check_broker(&broker("broker.example", false)).is_err());
    }

    #[test]
    fn a_broker_is_at_a_pinned_host_when_hosts_are_pinned() {
        let pin = pin("https://central.example", Some(&["broker.example:5671", "::1"]));
        assert_eq!(pin.check_broker(&broker("broker.example", true)), Ok(()));
        assert_eq!(pin.check_broker(&broker("::1", true)), Ok(()));
        for evil in ["evil.example", "central.example"] {
            assert!(pin.check_broker(&broker(evil, true)).is_err(), "{evil}");
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for good in ["central.example", "Central.Example:1", "192.0.2.1:8053", "::1", "[::1]", "[::1]:65535", "localhost"] {
            assert!(Place::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "https://central.example",
            "central.example/x",
            "a b",
            "me@x",
            "x:0",
            "x:70000",
            "x:",
            ":1",
            "[::1",
            "x?y",
            "x#y",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
