//! Constraints on values beyond their types. An error names the key, the value, and what is allowed.

use super::Settings;
use crate::Error;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use zonepulse_model::url;
use zonepulse_net::amqp::{Address, check_queue};
use zonepulse_private::Secret;
use zonepulse_program::config::values;

/// More memory than any machine has, bytes.
const MOST_MEMORY: u64 = 1 << 44;
/// More disk than any machine has, bytes.
const MOST_DISK: u64 = 1 << 50;
/// An hour and a day, seconds.
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

impl Settings {
    /// The first key with an invalid value, and what is wrong with it.
    pub(super) fn bad_value(&self) -> Option<(&'static str, String)> {
        self.bad_text().or_else(|| self.bad_number())
    }

    fn bad_text(&self) -> Option<(&'static str, String)> {
        if self.data.as_os_str().is_empty() {
            return Some(("data", "is empty; give a directory".to_owned()));
        }
        if let Some(bad) = self.paths().into_iter().find_map(|(key, path)| Some((key, values::absolute(path).err()?))) {
            return Some(bad);
        }
        if let Some((url, what)) = self.public_urls.iter().find_map(|url| Some((url, url::fault(url)?))) {
            return Some(("public_urls", format!("{url:?} {what}")));
        }
        if let Err(what) = values::one_machine(&self.listen) {
            return Some(("listen", what));
        }
        if let Some(what) = self.metrics.listen.and_then(|listen| values::with_port(&listen).err()) {
            return Some(("metrics.listen", what));
        }
        if let Some(what) = self.zones.notify_listen.and_then(|listen| values::with_port(&listen).err()) {
            return Some(("zones.notify_listen", what));
        }
        let retirement = &self.retirement;
        if let Some((url, what)) = retirement.webhook_url.as_ref().and_then(|url| Some((url, url::fault(url)?))) {
            return Some(("retirement.webhook_url", format!("{url:?} {what}")));
        }
        if retirement.webhook_url.is_some() && retirement.webhook_secret.as_ref().is_none_or(Secret::is_empty) {
            return Some(("retirement.webhook_secret", "is missing: alerts are signed with it".to_owned()));
        }
        if let Some(bad) = self.backup.bad_value().or_else(|| self.backup.bad_recipient()) {
            return Some(bad);
        }
        // Not the URL itself: a password may be in it.
        if let Some(what) = self.rabbitmq.url.as_ref().and_then(|url| Address::parse(url).err()) {
            return Some(("rabbitmq.url", what.to_owned()));
        }
        let queue = &self.rabbitmq.queue;
        check_queue(queue).err().map(|what| ("rabbitmq.queue", format!("{what}, not {queue:?}")))
    }

    fn paths(&self) -> Vec<(&'static str, &Path)> {
        let Settings { data, tls, rabbitmq, pull, zones, retirement, images, backup, .. } = self;
        let named = [
            ("tls.certificate_file", tls.certificate_file.as_deref()),
            ("tls.key_file", tls.key_file.as_deref()),
            ("tls.ca_file", tls.ca_file.as_deref()),
            ("rabbitmq.ca_file", rabbitmq.ca_file.as_deref()),
            ("pull.ca_file", pull.ca_file.as_deref()),
            ("zones.directory", zones.directory.as_deref()),
            ("retirement.webhook_ca_file", retirement.webhook_ca_file.as_deref()),
            ("images.directory", Some(images.directory.as_path())),
        ];
        let named = named.into_iter().chain(backup.paths()).filter_map(|(key, path)| Some((key, path?)));
        std::iter::once(("data", data.as_path())).chain(named).collect()
    }

    fn bad_number(&self) -> Option<(&'static str, String)> {
        self.numbers().into_iter().find_map(|(key, value, range)| Some((key, values::within(value, &range).err()?)))
    }

    fn numbers(&self) -> Vec<(&'static str, u64, RangeInclusive<u64>)> {
        let Settings { rabbitmq, pull, query, sql, store, ingest, limits, backup, .. } = self;
        let any = 1..=u64::from(u32::MAX);
        vec![
            ("rabbitmq.prefetch", rabbitmq.prefetch.into(), 1..=4096),
            ("pull.max_bytes", pull.max_bytes.into(), 64 << 10..=1 << 30),
            ("pull.max_concurrent", pull.max_concurrent as u64, 1..=1024),
            ("query.memory_bytes", query.memory_bytes as u64, 1 << 20..=MOST_MEMORY),
            ("query.threads", query.threads as u64, 0..=1024),
            ("query.max_concurrent", query.max_concurrent as u64, 1..=1024),
            ("query.max_wait_ms", query.max_wait_ms, 0..=600_000),
            ("sql.memory_bytes", sql.memory_bytes as u64, 1 << 20..=MOST_MEMORY),
            ("sql.max_concurrent", sql.max_concurrent as u64, 1..=1024),
            ("sql.timeout_s", sql.timeout_s, 1..=DAY_S),
            ("sql.max_rows", sql.max_rows, 1..=1 << 53),
            ("sql.max_bytes", sql.max_bytes, 1..=MOST_DISK),
            ("store.block_cache_bytes", store.block_cache_bytes as u64, 1 << 20..=MOST_MEMORY),
            ("store.write_buffer_bytes", store.write_buffer_bytes as u64, 1 << 20..=MOST_MEMORY),
            ("store.max_records", store.max_records as u64, 1..=1 << 30),
            ("store.max_catalogue_names", store.max_catalogue_names as u64, 1..=1 << 30),
            ("store.max_totals", store.max_totals as u64, 1..=1 << 40),
            ("store.max_series", store.max_series as u64, 1..=1 << 30),
            ("store.new_names_burst", store.new_names_burst.into(), any.clone()),
            ("store.new_names_per_minute", store.new_names_per_minute.into(), any.clone()),
            ("store.raw_retention_minutes", store.raw_retention_minutes.into(), any.clone()),
            ("store.aggregated_retention_days", store.aggregated_retention_days.into(), any),
            ("store.seal_after_quiet_s", store.seal_after_quiet_s.into(), 0..=DAY_S),
            ("store.min_free_bytes", store.min_free_bytes, 0..=MOST_DISK),
            ("ingest.queue_batches", ingest.queue_batches as u64, 2..=1 << 20),
            ("ingest.queue_bytes", ingest.queue_bytes as u64, 1 << 20..=1 << 40),
            ("ingest.max_wait_ms", ingest.max_wait_ms, 0..=60_000),
            ("ingest.max_ahead_s", ingest.max_ahead_s, 0..=1 << 32),
            ("ingest.max_age_days", ingest.max_age_days.into(), 1..=36_500),
            ("limits.max_request_bytes", limits.max_request_bytes.into(), 64 << 10..=1 << 30),
            ("limits.max_pending_bytes", limits.max_pending_bytes.into(), 128 << 10..=u64::from(u32::MAX)),
            ("limits.max_connections", limits.max_connections.into(), 1..=1 << 20),
            ("limits.max_connections_per_address", limits.max_connections_per_address.into(), 1..=1 << 20),
            ("limits.reserved_connections", limits.reserved_connections.into(), 0..=1 << 20),
            ("limits.head_timeout_s", limits.head_timeout_s, 1..=300),
            ("limits.idle_timeout_s", limits.idle_timeout_s, 1..=HOUR_S),
            ("limits.min_bytes_per_s", limits.min_bytes_per_s.into(), 1..=1 << 30),
            ("limits.max_head_bytes", limits.max_head_bytes.into(), 20 << 10..=1 << 20),
            ("limits.request_timeout_s", limits.request_timeout_s, 1..=DAY_S),
            ("limits.shutdown_s", limits.shutdown_s, 0..=HOUR_S),
            ("limits.session_s", limits.session_s, 60..=DAY_S),
            ("backup.every_s", backup.every_s, 0..=366 * DAY_S),
            ("backup.keep_last", backup.keep_last.into(), 1..=10_000),
            ("backup.keep_daily", backup.keep_daily.into(), 0..=10_000),
            ("backup.keep_weekly", backup.keep_weekly.into(), 0..=10_000),
            ("backup.min_free_bytes", backup.min_free_bytes, 0..=MOST_DISK),
        ]
    }

    /// Rejects values that contradict each other, wherever each comes from.
    pub(super) fn check_together(&self) -> Result<(), Error> {
        let limits = &self.limits;
        if limits.max_pending_bytes / 2 < limits.max_request_bytes {
            return Err(Error::Config(format!(
                "limits.max_pending_bytes has to be at least twice limits.max_request_bytes, not {} and {}",
                limits.max_pending_bytes, limits.max_request_bytes
            )));
        }
        let (listen, metrics, notify) = (Some(self.listen), self.metrics.listen, self.zones.notify_listen);
        check_apart(("metrics.listen", metrics), ("listen", listen))?;
        check_apart(("zones.notify_listen", notify), ("listen", listen))?;
        check_apart(("zones.notify_listen", notify), ("metrics.listen", metrics))
    }

    /// Rejects a data directory that neither exists nor can be created.
    pub(crate) fn check_data(&self) -> Result<(), Error> {
        values::directory(&self.data).map_err(|what| Error::Config(format!("data: {what}")))
    }
}

/// Rejects addresses of which only one can be listened on.
fn check_apart((one, a): (&str, Option<SocketAddr>), (other, b): (&str, Option<SocketAddr>)) -> Result<(), Error> {
    match a.zip(b).filter(|(a, b)| overlap(a, b)) {
        None => Ok(()),
        Some((a, b)) if a == b => Err(Error::Config(format!("{one} and {other} are the same, {a}: give each its own"))),
        Some((a, b)) => Err(Error::Config(format!("{one} and {other} overlap, {a} and {b}: give each a port of its own"))),
    }
}

/// Whether listening on one address prevents listening on the other. The unspecified IPv6 address includes all of IPv4.
fn overlap(one: &SocketAddr, other: &SocketAddr) -> bool {
    let is_all = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && (a == b || is_all(a, b) || is_all(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const EXAMPLE: &str = include_str!("../../zonepulse.example.toml");

    /// Every key that can have an invalid value of the right type: the key, such a value as TOML, and the error.
    const INVALID: &[(&str, &str, &str)] = &[
        ("data", "\"\"", "is empty"),
        ("data", "\"data\"", "must be an absolute path, not \"data\""),
        ("tls.certificate_file", "\"central.crt\"", "must be an absolute path, not \"central.crt\""),
        ("tls.key_file", "\"keys/central.key\"", "must be an absolute path, not \"keys/central.key\""),
        ("tls.ca_file", "\"private-ca.crt\"", "must be an absolute path, not \"private-ca.crt\""),
        ("rabbitmq.ca_file", "\"ca.crt\"", "must be an absolute path, not \"ca.crt\""),
        ("pull.ca_file", "\"./ca.crt\"", "must be an absolute path, not \"./ca.crt\""),
        ("listen", "\"central\"", ""),
        ("listen", "\"224.0.0.1:8053\"", "224.0.0.1:8053 is a multicast or broadcast address"),
        ("listen", "\"255.255.255.255:8053\"", "is a multicast or broadcast address"),
        ("metrics.listen", "\"[ff02::1]:9000\"", "is a multicast or broadcast address"),
        ("public_urls", "[\"central\"]", "\"central\" does not begin with http:// or https://"),
        ("public_urls", "[\"https://one\", \"https://\"]", "\"https://\" has no host"),
        ("public_urls", "[\"https://one..two\"]", "has a host that is neither"),
        ("public_urls", "[\"https://one:0\"]", "\"https://one:0\" has a port that is none"),
        ("public_urls", "[\"https://one:99999\"]", "\"https://one:99999\" has a port that is none; give one from 1 to 65535"),
        ("public_urls", "[\"https://me@one\"]", "has more than a host"),
        ("public_urls", "[\"https://one/?a=b\"]", "has more than a host"),
        ("public_urls", "[\"https://one two\"]", "has spaces"),
        ("log.level", "\"loud\"", "unknown variant"),
        ("log.format", "\"xml\"", "unknown variant"),
        ("metrics.listen", "\"127.0.0.1:0\"", "127.0.0.1:0 has no port"),
        ("rabbitmq.url", "\"http://broker\"", "must begin with amqp:// or amqps://"),
        ("rabbitmq.url", "\"amqp://\"", "has no host"),
        ("rabbitmq.url", "\"amqp://broker/%zz\"", "hexadecimal digits"),
        ("rabbitmq.url", "\"amqp://broker/a/b\"", "more than a virtual host"),
        ("rabbitmq.url", "\"amqp://broker/a?b=c\"", "an unknown query parameter"),
        ("rabbitmq.url", "\"amqp://broker/a#b\"", "has a fragment"),
        ("rabbitmq.url", "\"amqp://broker:0\"", "has no host or no port"),
        ("rabbitmq.url", "\"amqp://broker:no\"", "is not a broker's URL"),
        (
            "rabbitmq.queue",
            "\"\"",
            "must have 1 to 246 bytes, not only spaces, no control characters, and not begin with amq., not \"\"",
        ),
        ("rabbitmq.queue", "\"  \"", "not only spaces"),
        ("rabbitmq.queue", "\"amq.batches\"", "not \"amq.batches\""),
        ("rabbitmq.prefetch", "0", "must be from 1 to 4096, not 0"),
        ("pull.max_bytes", "0", "must be from 65536 to 1073741824, not 0"),
        ("pull.max_concurrent", "0", "must be from 1 to 1024, not 0"),
        ("query.memory_bytes", "0", "must be from 1048576 to"),
        ("query.threads", "5000", "must be from 0 to 1024, not 5000"),
        ("query.max_concurrent", "0", "must be from 1 to 1024, not 0"),
        ("query.max_wait_ms", "700000", "must be from 0 to 600000, not 700000"),
        ("sql.memory_bytes", "0", "must be from 1048576 to"),
        ("sql.max_concurrent", "0", "must be from 1 to 1024, not 0"),
        ("sql.timeout_s", "0", "must be from 1 to 86400, not 0"),
        ("sql.max_rows", "0", "must be from 1 to"),
        ("sql.max_bytes", "0", "must be from 1 to"),
        ("store.block_cache_bytes", "0", "must be from 1048576 to"),
        ("store.write_buffer_bytes", "0", "must be from 1048576 to"),
        ("store.max_records", "0", "must be from 1 to"),
        ("store.max_catalogue_names", "0", "must be from 1 to"),
        ("store.max_totals", "0", "must be from 1 to"),
        ("store.max_series", "0", "must be from 1 to"),
        ("store.new_names_burst", "0", "must be from 1 to 4294967295, not 0"),
        ("store.new_names_per_minute", "0", "must be from 1 to 4294967295, not 0"),
        ("store.raw_retention_minutes", "0", "must be from 1 to 4294967295, not 0"),
        ("store.aggregated_retention_days", "0", "must be from 1 to 4294967295, not 0"),
        ("store.raw_last_access", "\"us\"", "unknown variant"),
        ("store.seal_after_quiet_s", "86401", "must be from 0 to 86400, not 86401"),
        ("store.min_free_bytes", "2000000000000000", "must be from 0 to"),
        ("ingest.queue_batches", "1", "must be from 2 to 1048576, not 1"),
        ("ingest.queue_bytes", "1000", "must be from 1048576 to"),
        ("ingest.max_wait_ms", "90000", "must be from 0 to 60000, not 90000"),
        ("ingest.max_ahead_s", "4294967297", "must be from 0 to 4294967296, not 4294967297"),
        ("ingest.max_age_days", "0", "must be from 1 to 36500, not 0"),
        ("limits.max_request_bytes", "100", "must be from 65536 to 1073741824, not 100"),
        ("limits.max_pending_bytes", "100", "must be from 131072 to 4294967295, not 100"),
        ("limits.max_connections", "0", "must be from 1 to 1048576, not 0"),
        ("limits.max_connections_per_address", "0", "must be from 1 to 1048576, not 0"),
        ("limits.reserved_connections", "2000000", "must be from 0 to 1048576, not 2000000"),
        ("limits.head_timeout_s", "0", "must be from 1 to 300, not 0"),
        ("limits.idle_timeout_s", "0", "must be from 1 to 3600, not 0"),
        ("limits.min_bytes_per_s", "0", "must be from 1 to 1073741824, not 0"),
        ("limits.max_head_bytes", "100", "must be from 20480 to 1048576, not 100"),
        ("limits.request_timeout_s", "0", "must be from 1 to 86400, not 0"),
        ("limits.shutdown_s", "3601", "must be from 0 to 3600, not 3601"),
        ("limits.session_s", "59", "must be from 60 to 86400, not 59"),
        ("proxy.trusted", "[\"proxy.example\"]", "neither an address nor an address block"),
        ("proxy.header", "\"via\"", "unknown variant"),
        ("zones.directory", "\"zones\"", "must be an absolute path, not \"zones\""),
        ("zones.notify_listen", "\"192.0.2.1:0\"", "192.0.2.1:0 has no port"),
        ("zones.protected", "[\": why\"]", "names no owner"),
        ("zones.protected", "[\"a..b\"]", "a label has 1 to 63 characters"),
        ("zones.protected", "[\"www A AAAAA\"]", "AAAAA"),
        ("retirement.webhook_url", "\"alerts.example\"", "\"alerts.example\" does not begin with http:// or https://"),
        ("retirement.webhook_ca_file", "\"ca.pem\"", "must be an absolute path, not \"ca.pem\""),
        ("images.directory", "\"images\"", "must be an absolute path, not \"images\""),
        ("backup.destination", "\"backups\"", "\"backups\": give an absolute path, ssh://"),
        ("backup.destination", "\"ssh://backup.example/srv\"", "has no user"),
        ("backup.recipients", "[\"age1abc\"]", "only recipients age1… of X25519"),
        ("backup.recipients", "[\"AGE-SECRET-KEY-1ABC\"]", "this is a private key"),
        ("backup.every_s", "40000000", "must be from 0 to 31622400, not 40000000"),
        ("backup.keep_last", "0", "must be from 1 to 10000, not 0"),
        ("backup.keep_daily", "10001", "must be from 0 to 10000, not 10001"),
        ("backup.keep_weekly", "10001", "must be from 0 to 10000, not 10001"),
        ("backup.min_free_bytes", "2000000000000000", "must be from 0 to"),
        ("backup.ssh_identity_file", "\"id\"", "must be an absolute path, not \"id\""),
        ("backup.ssh_known_hosts_file", "\"hosts\"", "must be an absolute path, not \"hosts\""),
        ("backup.s3_endpoint", "\"s3.example\"", "\"s3.example\" does not begin with http:// or https://"),
        ("backup.s3_credentials_file", "\"key\"", "must be an absolute path, not \"key\""),
        ("backup.s3_ca_file", "\"ca.pem\"", "must be an absolute path, not \"ca.pem\""),
    ];

    /// Keys for which any value of the right type is valid.
    const FREE: &[&str] =
        &["log.requests", "rabbitmq.verify_ca", "retirement.webhook_secret", "backup.verify_all", "backup.s3_region"];

    fn read(text: &str) -> Result<Settings, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Settings::read(Some(file.path()))
    }

    #[test]
    fn every_invalid_value_is_refused_with_its_place_its_key_and_what_is_allowed() {
        for (key, value, expected) in INVALID {
            let said = read(&format!("# first\n{key} = {value}")).expect_err(&format!("{key} = {value}")).to_string();
            // Of a list the place is named, too.
            let (_, said) = said.split_once(&format!(":2: {key}")).unwrap_or_else(|| panic!("{key} = {value}: {said}"));
            assert!(said.starts_with([':', '.']) && said.contains(expected), "{key} = {value}: {said}");
        }
    }

    #[test]
    fn every_key_has_an_invalid_value_or_none_at_all() {
        let keys = zonepulse_fixtures::example::keys(EXAMPLE);
        for key in &keys {
            let known = INVALID.iter().any(|(invalid, ..)| *invalid == key.name) || FREE.contains(&key.name.as_str());
            assert!(known, "{}", key.name);
        }
        assert!(keys.len() > 45, "{}", keys.len());
    }

    #[test]
    fn every_limit_of_a_number_is_in_the_example_file() {
        let keys = zonepulse_fixtures::example::keys(EXAMPLE);
        let told: std::collections::BTreeMap<_, _> = keys.into_iter().map(|key| (key.name, key.comment)).collect();
        for (key, _, range) in Settings::default().numbers() {
            let limits = format!("From {} to {}.", range.start(), range.end());
            assert!(told[key].contains(&limits), "{key}: {limits}");
        }
    }

    #[test]
    fn values_that_cannot_be_together_are_refused_with_both() {
        let said = read("[limits]\nmax_pending_bytes = 20000000").unwrap_err().to_string();
        assert!(
            said.contains("limits.max_pending_bytes has to be at least twice limits.max_request_bytes, not 20000000"),
            "{said}"
        );
        let said = read("listen = \"127.0.0.1:8053\"\n[metrics]\nlisten = \"127.0.0.1:8053\"").unwrap_err().to_string();
        assert!(said.contains("metrics.listen and listen are the same"), "{said}");
        for (other, key) in [("listen", "listen"), ("[metrics]\nlisten", "metrics.listen")] {
            let said = read(&format!("{other} = \"127.0.0.1:8054\"\n[zones]\nnotify_listen = \"127.0.0.1:8054\"")).unwrap_err();
            assert!(said.to_string().contains(&format!("zones.notify_listen and {key} are the same")), "{said}");
        }
    }

    #[test]
    fn alerts_without_a_secret_are_refused() {
        let with = |secret: &str| read(&format!("[retirement]\nwebhook_url = \"https://alerts.example/\"\n{secret}"));
        for missing in ["", "webhook_secret = \"\""] {
            let said = with(missing).unwrap_err().to_string();
            assert!(said.contains("retirement.webhook_secret: is missing"), "{said}");
        }
        with("webhook_secret = \"hush\"").unwrap();
    }

    #[test]
    fn backups_without_a_key_are_refused_and_a_private_one_is_not_shown() {
        let said = read("[backup]\ndestination = \"/backups\"").unwrap_err().to_string();
        assert!(said.contains("backup.recipients: is empty"), "{said}");
        let said = read("[backup]\nrecipients = [\"AGE-SECRET-KEY-1HUSH\"]").unwrap_err().to_string();
        assert!(!said.contains("HUSH"), "{said}");
        let recipient = "age1ldswndj4dwnpdh0kt9668g9hghr4w252x0z0ky70r0wkrgrftgjqfj3f8e";
        let settings = read(&format!("[backup]\ndestination = \"/backups\"\nrecipients = [\"{recipient}\"]")).unwrap();
        let options = settings.backup.options(Path::new("/data")).unwrap().unwrap();
        assert_eq!(options.recipients[0].to_string(), recipient);
    }

    #[test]
    fn addresses_to_listen_at_that_overlap_are_refused_with_both() {
        let with = |listen: &str, metrics: &str| read(&format!("listen = \"{listen}\"\n[metrics]\nlisten = \"{metrics}\""));
        for (listen, metrics) in [
            ("127.0.0.1:9000", "0.0.0.0:9000"),
            ("0.0.0.0:9000", "127.0.0.1:9000"),
            ("127.0.0.1:9000", "[::]:9000"),
            ("[::]:9000", "[::1]:9000"),
            ("0.0.0.0:9000", "[::]:9000"),
        ] {
            let said = with(listen, metrics).unwrap_err().to_string();
            assert!(said.contains("overlap") && said.contains(listen) && said.contains(metrics), "{said}");
        }
        for (listen, metrics) in
            [("127.0.0.1:9000", "0.0.0.0:9001"), ("127.0.0.1:9000", "127.0.0.2:9000"), ("[::1]:9000", "0.0.0.0:9000")]
        {
            with(listen, metrics).unwrap();
        }
    }

    #[test]
    fn data_that_is_a_file_or_below_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for data in [file.clone(), file.join("below")] {
            let said = Settings { data, ..Settings::default() }.check_data().unwrap_err().to_string();
            assert!(said.contains("data: ") && said.contains("is not a directory"), "{said}");
        }
        for data in [dir.path().to_owned(), dir.path().join("new/below"), "relative".into()] {
            Settings { data, ..Settings::default() }.check_data().unwrap();
        }
    }

    #[test]
    fn no_refusal_shows_the_password_of_the_broker() {
        for url in ["http://me:hush@broker", "amqp://me:hush@broker:0", "amqp://me:hush@broker:no"] {
            let said = read(&format!("[rabbitmq]\nurl = \"{url}\"")).unwrap_err().to_string();
            assert!(said.contains("rabbitmq.url: ") && !said.contains("hush"), "{said}");
        }
    }
}
