//! `GET /api/v2/monitoring/pvips`: where probes find this central.
//!
//! What the configuration says (`public_urls`), or else the addresses of this
//! machine's interfaces on which the central listens.

use crate::app::App;
use crate::listing::{self, blocking};
use crate::parameters::Listed;
use crate::problem::Problem;
use crate::{Error, config};
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use sysinfo::Networks;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zonepulse_net::tls::Authority;
use zonepulse_store::Settings;

/// Where the central is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What the configuration says that it is reached at.
    pub public_urls: Vec<String>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The private authority that vouches for this central, if it has one.
    pub ca_file: Option<PathBuf>,
}

impl Addresses {
    /// What a configuration says, where it listens at this address.
    pub fn of(settings: &config::Settings, listen: SocketAddr) -> Self {
        let scheme = if settings.tls.certificate_file.is_some() { "https" } else { "http" };
        Addresses { listen, public_urls: settings.public_urls.clone(), scheme, ca_file: settings.tls.ca_file.clone() }
    }

    /// Where a probe finds this central: what is set, what is configured, or where whoever asks found it.
    pub fn url(&self, settings: &Settings, headers: &HeaderMap) -> String {
        let set = (!settings.api_url.is_empty()).then(|| settings.api_url.clone());
        let asked = || {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
            (!host.is_empty() && host.len() <= 255 && host.chars().all(allowed)).then(|| format!("{}://{host}", self.scheme))
        };
        let url = set.or_else(|| self.public_urls.first().cloned()).or_else(asked);
        url.unwrap_or_else(|| format!("{}://{}", self.scheme, self.listen))
    }

    /// The authority that a probe has to trust at this address, besides those that its machine trusts.
    pub fn authority(&self, url: &str) -> Result<Option<Authority>, Error> {
        self.ca_file.as_deref().filter(|_| url.starts_with("https://")).map(Authority::read).transpose().map_err(Error::from)
    }

    /// Every address at which it may be found.
    fn all(&self, interfaces: impl Iterator<Item = IpAddr>) -> Vec<AddressRow> {
        let configured = |url: &String| AddressRow { url: url.clone(), source: Source::Configuration };
        let mut rows: Vec<AddressRow> = self.public_urls.iter().map(configured).collect();
        let listen = self.listen.ip();
        let found: Vec<IpAddr> = if listen.is_unspecified() {
            // An address of one link needs a zone, and a loopback's is of no use to others. A socket of
            // IPv6 takes IPv4, too.
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
        rows.extend(found.into_iter().map(|address| AddressRow {
            url: format!("{}://{}", self.scheme, SocketAddr::new(address, self.listen.port())),
            source: Source::Interface,
        }));
        rows
    }
}

/// The route, for users.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// An address at which probes may find this central.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct AddressRow {
    /// The address.
    #[schema(example = "https://192.0.2.1:8053")]
    url: String,
    /// Whether the configuration says so, or it is an address of this machine on which the central listens.
    source: Source,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    Configuration,
    Interface,
}

/// Where probes find this central
///
/// What the configuration says, and the addresses of this machine's interfaces on which it listens.
#[utoipa::path(
    get, path = "/api/v2/monitoring/pvips", operation_id = "pvips", tag = "Monitoring",
    params(
        ("offset" = Option<u64>, Query, description = "How many rows to skip.", minimum = 0),
        ("limit" = Option<u32>, Query, description = "How many rows to give; 1000 unless told otherwise.", maximum = 100000),
    ),
    responses((status = 200, description = "The addresses.", body = Vec<AddressRow>)),
)]
async fn list(State(app): State<App>, uri: Uri) -> Result<Response, Problem> {
    let page = Listed::read(&uri, &[])?;
    let rows = blocking(move || {
        let networks = Networks::new_with_refreshed_list();
        let interfaces = networks.values().flat_map(|network| network.ip_networks()).map(|network| network.addr);
        Ok(app.addresses().all(interfaces))
    });
    Ok(listing::page(rows.await?, &page, &uri))
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
        addresses(listen, public_urls).all(interfaces).into_iter().map(|row| row.url).collect()
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
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "asked.example:8053".parse().unwrap());
        let set = Settings { api_url: "https://set.example".to_owned(), ..Settings::default() };
        let configured = addresses("0.0.0.0:1", &["https://configured.example"]);
        assert_eq!(configured.url(&set, &headers), "https://set.example");
        assert_eq!(configured.url(&Settings::default(), &headers), "https://configured.example");
        let plain = addresses("127.0.0.1:1", &[]);
        assert_eq!(plain.url(&Settings::default(), &headers), "http://asked.example:8053");
        headers.insert(header::HOST, "\"; rm -rf".parse().unwrap());
        assert_eq!(plain.url(&Settings::default(), &headers), "http://127.0.0.1:1");
    }
}
