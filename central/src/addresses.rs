//! Addresses at which probes reach this central: the configured ones, or otherwise the addresses of this machine's
//! interfaces on which the central listens.

use crate::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use sysinfo::Networks;
use zonepulse_model::Settings;
use zonepulse_net::tls::Authority;

/// Addresses of the central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The address it listens on.
    pub listen: SocketAddr,
    /// The URLs at which the configuration says it can be reached.
    pub public_urls: Vec<String>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The private certificate authority that issued this central's certificate, if any.
    pub ca_file: Option<PathBuf>,
}

impl Addresses {
    /// The URL at which a probe reaches this central: from the settings, from the configuration, or the host that the
    /// caller used.
    pub fn url(&self, settings: &Settings, asked_at: Option<&str>) -> String {
        let set = (!settings.api_url.is_empty()).then(|| settings.api_url.clone());
        let asked = || {
            let host = asked_at?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
            (!host.is_empty() && host.len() <= 255 && host.chars().all(allowed)).then(|| format!("{}://{host}", self.scheme))
        };
        let url = set.or_else(|| self.public_urls.first().cloned()).or_else(asked);
        url.unwrap_or_else(|| format!("{}://{}", self.scheme, self.listen))
    }

    /// The certificate authority that a probe must trust at this address, in addition to those that its machine trusts.
    pub fn authority(&self, url: &str) -> Result<Option<Authority>, Error> {
        self.ca_file.as_deref().filter(|_| url.starts_with("https://")).map(Authority::read).transpose().map_err(Error::from)
    }

    /// Every address at which the central may be reachable. Queries the machine for its interfaces.
    pub fn all(&self) -> Vec<Address> {
        let networks = Networks::new_with_refreshed_list();
        self.among(networks.values().flat_map(|network| network.ip_networks()).map(|network| network.addr))
    }

    fn among(&self, interfaces: impl Iterator<Item = IpAddr>) -> Vec<Address> {
        let configured = |url: &String| Address { url: url.clone(), source: Source::Configuration };
        let mut rows: Vec<Address> = self.public_urls.iter().map(configured).collect();
        let listen = self.listen.ip();
        let found: Vec<IpAddr> = if listen.is_unspecified() {
            // A link-local address needs a zone, and a loopback address is of no use to others. An IPv6 socket also
            // accepts IPv4.
            let usable = |address: &IpAddr| match address {
                IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
                IpAddr::V6(v6) => listen.is_ipv6() && !v6.is_loopback() && !v6.is_unicast_link_local(),
            };
            let mut found: Vec<IpAddr> = interfaces.filter(usable).collect();
            found.sort();
            found.dedup();
            found
        } else {
            vec![listen]
        };
        rows.extend(found.into_iter().map(|address| Address {
            url: format!("{}://{}", self.scheme, SocketAddr::new(address, self.listen.port())),
            source: Source::Interface,
        }));
        rows
    }
}

/// An address at which probes may reach this central.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub url: String,
    /// Where the address comes from.
    pub source: Source,
}

/// Source of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The configuration names it.
    Configuration,
    /// It is an address of this machine on which the central listens.
    Interface,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(listen: &str, public_urls: &[&str]) -> Addresses {
        let public_urls = public_urls.iter().map(|url| (*url).to_owned()).collect();
        Addresses { listen: listen.parse().unwrap(), public_urls, scheme: "http", ca_file: None }
    }

    fn urls(listen: &str, public_urls: &[&str]) -> Vec<String> {
        let interfaces = ["127.0.0.1", "::1", "192.0.2.7", "fe80::1", "2001:db8::7", "192.0.2.7"];
        let interfaces = interfaces.into_iter().map(|address| address.parse().unwrap());
        addresses(listen, public_urls).among(interfaces).into_iter().map(|row| row.url).collect()
    }

    #[test]
    fn the_addresses_are_those_on_which_it_listens() {
        assert_eq!(urls("0.0.0.0:8053", &[]), ["http://192.0.2.7:8053"]);
        assert_eq!(urls("[::]:80", &[]), ["http://192.0.2.7:80", "http://[2001:db8::7]:80"]);
        assert_eq!(urls("127.0.0.1:8053", &[]), ["http://127.0.0.1:8053"]);
        assert_eq!(urls("192.0.2.7:1", &["https://c.example"]), ["https://c.example", "http://192.0.2.7:1"]);
    }

    #[test]
    fn a_probe_is_sent_where_it_is_set_or_configured_or_asked() {
        let asked_at = Some("asked.example:8053");
        let set = Settings { api_url: "https://set.example".to_owned(), ..Settings::default() };
        let configured = addresses("0.0.0.0:1", &["https://configured.example"]);
        assert_eq!(configured.url(&set, asked_at), "https://set.example");
        assert_eq!(configured.url(&Settings::default(), asked_at), "https://configured.example");
        let plain = addresses("127.0.0.1:1", &[]);
        assert_eq!(plain.url(&Settings::default(), asked_at), "http://asked.example:8053");
        assert_eq!(plain.url(&Settings::default(), Some("\"; rm -rf")), "http://127.0.0.1:1");
    }
}
