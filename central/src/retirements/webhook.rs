//! Telling of alerts: in the log, and to a webhook.
//!
//! Every few seconds the records of plans are compared with what was asked. The first access after a record was marked is
//! told once; later ones are in the API only.

use super::alerts::Alert;
use crate::Central;
use crate::Error;
use crate::time::{now_ms, text};
use reqwest::Client;
use ring::hmac;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zonepulse_net::{Trust, http};
use zonepulse_private::Secret;

/// Interval between two comparisons.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of alerts of a message; more follow with the next one.
const MOST_ALERTS: usize = 1000;
/// The header with the signature.
pub const SIGNATURE: &str = "x-zonepulse-signature";

/// Where alerts are sent.
pub struct Webhook {
    url: String,
    key: hmac::Key,
    client: Client,
}

impl Webhook {
    /// A receiver at a URL, which knows the secret that messages are signed with.
    pub fn new(url: &str, secret: Secret, trust: &Trust) -> Result<Self, Error> {
        let client = http::build(http::client(url, trust)?.timeout(TIMEOUT))?;
        Ok(Webhook { url: url.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()), client })
    }

    async fn send(&self, body: String) -> Result<(), String> {
        let mut signature = "sha256=".to_owned();
        for octet in hmac::sign(&self.key, body.as_bytes()).as_ref() {
            // Writing into memory cannot fail.
            let _ = write!(signature, "{octet:02x}");
        }
        let request = self.client.post(&self.url).header("content-type", "application/json").header(SIGNATURE, signature);
        let answer = request.body(body).send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
    }
}

/// Tells of alerts until it is told to stop.
pub struct Alerter {
    central: Central,
    webhook: Option<Webhook>,
    /// Plans and resources that were logged, but not sent yet.
    logged: BTreeSet<(u32, u32)>,
}

impl Alerter {
    /// For the plans of a central.
    pub fn new(central: Central, webhook: Option<Webhook>) -> Self {
        Alerter { central, webhook, logged: BTreeSet::new() }
    }

    /// Runs until `shutdown` completes.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.look().await {
                tracing::error!(%error, "alerts about records that are being retired could not be told");
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let central = self.central.clone();
        let fault = |error: tokio::task::JoinError| Error::Fault(error.to_string());
        let alerts = tokio::task::spawn_blocking(move || central.alerts()).await.map_err(fault)??;
        self.central.retirements().standing.store(alerts.len() as u64, Ordering::Relaxed);
        let mut new: Vec<Alert> = alerts.into_iter().filter(|alert| !alert.is_told).collect();
        new.truncate(MOST_ALERTS);
        if new.is_empty() {
            return Ok(());
        }
        for alert in &new {
            if !self.logged.insert((alert.plan_id, alert.resource_id)) {
                continue;
            }
            tracing::warn!(
                retirement_id = alert.plan_id,
                resource_id = alert.resource_id,
                host = alert.host,
                r#type = alert.rtype,
                last_access = text(alert.last_access_ms),
                "a record that is being retired was asked for"
            );
        }
        if let Some(webhook) = &self.webhook
            && let Err(error) = webhook.send(body(&new)).await
        {
            // They are new the next time, too.
            tracing::warn!(error, "alerts could not be sent to the webhook: trying again");
            return Ok(());
        }
        self.logged.clear();
        let central = self.central.clone();
        tokio::task::spawn_blocking(move || central.retirements().told(&new)).await.map_err(fault)?
    }
}

fn body(alerts: &[Alert]) -> String {
    let alerts: Vec<_> = alerts
        .iter()
        .map(|alert| {
            json!({
                "retirement_id": alert.plan_id,
                "retirement": alert.plan,
                "zone": alert.zone,
                "resource_id": alert.resource_id,
                "host": alert.host,
                "type": alert.rtype,
                "stage": alert.stage,
                "last_access": text(alert.last_access_ms),
            })
        })
        .collect();
    json!({"time": text(now_ms()), "alerts": alerts}).to_string()
}
