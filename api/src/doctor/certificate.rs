//! The certificate that the central presents, and whether clients accept it.

use super::{Known, Subject};
use crate::http::certificate;
use crate::{describe, remote};
use zonepulse_doctor::certificate::Facts;
use zonepulse_doctor::network::Place;
use zonepulse_doctor::tls::{self, Fault, Peer};
use zonepulse_doctor::{Check, utc};
use zonepulse_net::tls::Certificate;

const SUBJECT: Subject = Subject::Tls;
/// How long before its end a certificate should be renewed, seconds.
const RENEW_S: u64 = 14 * 86_400;

pub(super) fn check(known: &Known) -> Check {
    let tls = &known.settings.tls;
    if tls.certificate_file.is_none() && tls.key_file.is_none() {
        return without_tls(known);
    }
    if let Some(key) = &tls.key_file
        && let Err(error) = zonepulse_private::check_key(key)
    {
        return Check::error(SUBJECT, error.to_string(), "make the key readable for the central's user only, as that says");
    }
    match certificate(tls) {
        Ok(Some(certificate)) => presented(known, &certificate),
        Ok(None) => Check::skipped(SUBJECT, "no certificate is configured"),
        Err(error) => {
            let advice = "set tls.certificate_file and tls.key_file to a certificate (PEM, with intermediate ones) and its key";
            Check::error(SUBJECT, describe(&error), advice)
        }
    }
}

fn without_tls(known: &Known) -> Check {
    let address = known.settings.listen;
    if address.ip().is_loopback() {
        return Check::ok(SUBJECT, format!("there is no TLS, but only this machine reaches {address}"));
    }
    if !known.settings.proxy.trusted.is_empty() {
        return Check::ok(SUBJECT, format!("there is no TLS at {address}: the proxies in proxy.trusted add it"));
    }
    Check::warning(
        SUBJECT,
        format!("passwords and tokens cross the network to {address} as plain text"),
        "set tls.certificate_file and tls.key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS",
    )
}

/// The hosts at which probes and browsers reach the central.
fn hosts(known: &Known) -> Vec<(String, &'static str)> {
    let urls = known.settings.public_urls.iter().filter_map(|url| Place::of(url)).filter(|place| place.is_https);
    urls.map(|place| (place.host, "public_urls")).collect()
}

fn presented(known: &Known, certificate: &Certificate) -> Check {
    let facts: Vec<Facts> = certificate.chain().iter().filter_map(|der| Facts::read(der)).collect();
    let Some(own) = facts.first() else {
        return Check::error(SUBJECT, "the certificate cannot be read", "replace it");
    };
    let tls = &known.settings.tls;
    let file = tls.certificate_file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    let until_s = facts.iter().map(|facts| facts.not_after_s).min().unwrap_or(own.not_after_s);
    let trust = match remote::trust(tls.ca_file.as_deref()) {
        Ok(trust) => trust,
        Err(error) => return Check::error(SUBJECT, describe(&error), "correct tls.ca_file"),
    };
    let hosts = hosts(known);
    let names = if own.names.is_empty() { own.subject.clone() } else { own.names.join(", ") };
    // Without a public URL, nobody knows by which name clients connect.
    let first = own.names.first().map(|name| name.trim_start_matches("*.").to_owned());
    let tried = if hosts.is_empty() { first.into_iter().map(|name| (name, "tls.certificate_file")).collect() } else { hosts };
    for (host, setting) in &tried {
        if let Err(error) = certificate.present(host, &trust) {
            let peer = Peer {
                who: "this central",
                host,
                ca_file: tls.ca_file.as_deref(),
                ca_setting: "tls.ca_file",
                setting,
                last: None,
            };
            let Fault { found, advice, .. } = tls::explain(&error, peer);
            return Check::error(SUBJECT, format!("clients refuse {file}: {found}"), advice).with("valid_until", utc(until_s));
        }
    }
    let found = format!("{file} matches its key, clients accept it for {names}, and it is valid until {}", utc(until_s));
    let check = if until_s.saturating_sub(known.now_ms / 1000) < RENEW_S {
        Check::warning(SUBJECT, found, "renew it, and have the central read it: systemctl reload zonepulse (SIGHUP)")
    } else {
        Check::ok(SUBJECT, found)
    };
    check.with("valid_until", utc(until_s)).with("names", own.names.clone())
}
