//! The running central: startup, listening and orderly shutdown.
//!
//! Shutdown is ordered, too: stop accepting connections, stop consuming batches from a broker, answer what was
//! accepted, then flush what the store holds only in memory.

use crate::config::{Proxy, Pull, Query, RabbitMq, Retirement, Settings, Tls};
use crate::data::open;
use crate::http::{App, Door, certificate, monitoring_router, router};
use crate::{Error, describe, open_files, remote};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zonepulse_central::accounts::{self, Administrator};
use zonepulse_central::backups::Scheduler;
use zonepulse_central::probes::pulling::Pulling;
use zonepulse_central::retirements::webhook::{Alerter, Webhook};
use zonepulse_central::zones::{self, Refresher, notify};
use zonepulse_central::{Central, Options, push, readiness, sessions};
use zonepulse_ingest::pull::{self, Puller};
use zonepulse_ingest::{Ingest, amqp};
use zonepulse_net::tls::Acceptor;
use zonepulse_net::{Bounds, Places as Connections, Trust};
use zonepulse_query::{Engine, SqlWorkers};
use zonepulse_store::Upkeep;
use zonepulse_wire::Counter;

/// Maximum number of concurrent connections to the monitoring listener.
const MONITORING_CONNECTIONS: usize = 64;

/// A central that is listening.
pub struct Serving {
    address: SocketAddr,
    monitoring: Option<SocketAddr>,
    administrator: Administrator,
    live: Live,
    running: JoinHandle<Result<(), Error>>,
}

impl Serving {
    /// The address it listens on; if the settings say port 0, with the assigned port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the monitoring listener.
    pub fn monitoring_address(&self) -> Option<SocketAddr> {
        self.monitoring
    }

    /// The URL at which it is reachable from this machine.
    pub fn url(&self) -> String {
        let scheme = if self.live.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// State of the first administrator at startup.
    pub fn administrator(&self) -> &Administrator {
        &self.administrator
    }

    /// A handle for changes while it runs.
    pub fn live(&self) -> Live {
        self.live.clone()
    }

    /// Waits until it has stopped and everything is on disk.
    pub async fn finished(self) -> Result<(), Error> {
        self.running.await?
    }
}

/// The parts of a running central that can be changed.
#[derive(Clone)]
pub struct Live {
    tls: Option<Acceptor>,
    app: App,
}

impl Live {
    /// Applies settings that can change at run time: reloads the certificate, turns the request log on or off.
    pub fn apply(&self, settings: &Settings) -> Result<(), Error> {
        self.app.log_requests(settings.log.requests);
        if let Some(tls) = &self.tls {
            restrict_key(&settings.tls)?;
            certificate(&settings.tls)?.into_iter().for_each(|certificate| tls.replace(certificate));
        }
        Ok(())
    }
}

/// Opens the store, listens, and serves until `shutdown`.
///
/// Returns as soon as connections are accepted. Fails with [`Error::InUse`] if another process holds the data
/// directory, with [`Error::Listen`] if an address is not available, and with [`Error::Certificate`] if the certificate
/// cannot be used.
pub async fn serve(
    settings: &Settings,
    sql_workers: SqlWorkers,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Serving, Error> {
    restrict_key(&settings.tls)?;
    let tls = certificate(&settings.tls)?.map(Acceptor::new);
    let broker = broker(&settings.rabbitmq)?;
    let probes = authority(&settings.pull)?;
    // Bind first, to fail early if an address is taken.
    let listener = bind(settings.listen).await?;
    let monitoring = match settings.metrics.listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let notify = match settings.zones.notify_listen {
        Some(address) => Some(notify::Listener::bind(address).await.map_err(|source| Error::Listen { address, source })?),
        None => None,
    };
    let webhook = webhook(&settings.retirement)?;
    let address = listener.local_addr()?;
    let monitoring_address = monitoring.as_ref().map(TcpListener::local_addr).transpose()?;
    warn_of_clear_text(settings, address);
    open_files::raise(&settings.limits);
    let (data, options) = (settings.data.clone(), settings.store.into());
    let opening = tokio::task::spawn_blocking(move || {
        let store = open(&data, &options)?;
        let administrator = accounts::administrator(&store, &data)?;
        Ok::<_, Error>((store, administrator))
    });
    let (store, administrator) = opening.await??;
    if let Some(missing) = readiness::room(&store) {
        tracing::warn!("{missing}");
    }
    let ingest = Ingest::start(store.clone(), settings.ingest.into())?;
    let engine = Engine::new(store.clone(), zonepulse_query::Options { sql_workers, ..query_options(settings) })?;
    // A central that cannot answer SQL still accepts batches.
    if let Err(error) = engine.warm().await {
        tracing::error!(error = describe(&error), "statements of SQL cannot be answered");
    }
    let statements = engine.clone();
    let options = Options {
        max_pending_bytes: settings.limits.max_pending_bytes.into(),
        addresses: settings.addresses(address),
        zones: zones::Options { directory: settings.zones.directory.clone() },
        protection: settings.zones.protected.iter().map(|protected| protected.rule.clone()).collect(),
        sessions: sessions::Options { idle_ms: settings.limits.session_s * 1000, ..sessions::Options::default() },
        images: crate::data::images(&settings.data, &settings.images.directory),
        push: push::Options { directory: Some(settings.data.join(crate::data::PUSH)) },
        backups: settings.backup.options(&settings.data)?,
    };
    let central = Central::new(store.clone(), engine, ingest.clone(), options)?;
    let upkeep = Upkeep::start(store.clone())?;
    let app = App::new(central.clone(), settings.limits);
    app.log_requests(settings.log.requests);

    let (end, ending) = watch::channel(false);
    let consumer = broker.map(|broker| tokio::spawn(amqp::consume(ingest.clone(), broker, ended(ending.clone()))));
    let pulling = Arc::new(Pulling::new(central.clone(), probes));
    let puller = Puller::new(ingest.clone(), pulling, pull_settings(&settings.pull), central.pulled());
    let puller = tokio::spawn(puller.run(ended(ending.clone())));
    let watching = tokio::spawn(central.watch().clone().run(ended(ending.clone())));
    let refreshing = tokio::spawn(Refresher::new(central.zones().clone()).run(ended(ending.clone())));
    let alerting = tokio::spawn(Alerter::new(central.clone(), webhook).run(ended(ending.clone())));
    let saving = tokio::spawn(Scheduler::new(central.backups().clone()).run(ended(ending.clone())));
    let notified = notify.map(|notify| tokio::spawn(notify.run(central.zones().clone(), ended(ending.clone()))));
    let live = Live { tls: tls.clone(), app: app.clone() };
    let (limits, proxy) = (settings.limits, settings.proxy.clone());
    let listener = Door { listener, tls, connections: app.connections().clone(), limits, proxy };
    let monitoring = monitoring.map(|listener| {
        let connections = Connections::new(Bounds::at_most(MONITORING_CONNECTIONS));
        Door { listener, tls: None, connections, limits, proxy: Proxy::default() }
    });
    let servers = listening(app, listener, monitoring, ending);
    let longest = Duration::from_secs(settings.limits.shutdown_s);
    let running = tokio::spawn(async move {
        let too_long = async {
            shutdown.await;
            tracing::info!("ending");
            statements.end_statements();
            // The receiver may have failed and be gone.
            let _ = end.send(true);
            tokio::time::sleep(longest).await;
        };
        tokio::select! {
            () = servers => {}
            () = too_long => tracing::warn!("some requests did not finish in {} s", longest.as_secs()),
        }
        drop(end);
        if let Some(consumer) = consumer {
            consumer.await?;
        }
        puller.await?;
        watching.await?;
        refreshing.await?;
        alerting.await?;
        saving.await?;
        if let Some(notified) = notified {
            notified.await?;
        }
        central.jobs().end().await;
        // Dropping the last reference to the committer waits for its thread.
        let closing = move || {
            if let Err(error) = central.fleet().write_all() {
                tracing::warn!(%error, "the last heartbeats were not written down");
            }
            drop(central);
            drop(ingest);
            drop(upkeep);
            store.close()
        };
        tokio::task::spawn_blocking(closing).await??;
        tracing::info!("ended");
        Ok(())
    });
    Ok(Serving { address, monitoring: monitoring_address, administrator, live, running })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Serves on one or two listeners until told to stop and all accepted requests are answered.
async fn listening(app: App, listener: Door, monitoring: Option<Door>, ending: watch::Receiver<bool>) {
    let main = listener.serve(router(app.clone()), ended(ending.clone()));
    let monitoring = async {
        if let Some(listener) = monitoring {
            listener.serve(monitoring_router(app), ended(ending)).await;
        }
    };
    tokio::join!(main, monitoring);
}

/// Warns if credentials would travel in clear text where others can listen.
fn warn_of_clear_text(settings: &Settings, address: SocketAddr) {
    if settings.tls.certificate_file.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "PASSWORDS AND TOKENS TRAVEL IN THE CLEAR: this address is reached from other machines and has no TLS; \
             set tls.certificate_file and tls.key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS"
        );
    }
    if let Some(address) = settings.metrics.listen.filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(%address, "whoever reaches this address reads the metrics: it asks for no credentials");
    }
    if settings.rabbitmq.url.is_some() && !settings.rabbitmq.verify_ca {
        tracing::warn!("rabbitmq.verify_ca is off: whoever answers in the broker's place is believed");
    }
}

/// Restricts access to the certificate's key to its owner.
fn restrict_key(tls: &Tls) -> Result<(), Error> {
    Ok(tls.key_file.as_deref().map_or(Ok(()), zonepulse_private::key)?)
}

/// The configured query limits.
pub(crate) fn query_options(settings: &Settings) -> zonepulse_query::Options {
    let Query { memory_bytes, threads, max_concurrent, max_wait_ms } = settings.query;
    let defaults = zonepulse_query::Options::default();
    let threads = if threads == 0 { defaults.threads } else { threads };
    zonepulse_query::Options {
        memory_bytes,
        threads,
        max_concurrent,
        max_wait_ms,
        sql: settings.sql.into(),
        sql_workers: SqlWorkers::Threads,
        counter_names: Counter::ALL.iter().map(|counter| (counter.number(), counter.as_str())).collect(),
        not_counted: Counter::NOT_COUNTED.iter().map(|counter| counter.number()).collect(),
    }
}

/// The consumer's settings for the broker, if one is configured. Reads the certificate authority file.
pub(crate) fn broker(settings: &RabbitMq) -> Result<Option<amqp::Settings>, Error> {
    let Some(url) = &settings.url else { return Ok(None) };
    let trust = match &settings.ca_file {
        _ if !settings.verify_ca => Trust::Anybody,
        path => remote::trust(path.as_deref())?,
    };
    if url.reveal().starts_with("amqps:") {
        trust.client_config()?;
    }
    Ok(Some(amqp::Settings { url: url.clone(), trust, queue: settings.queue.clone(), prefetch: settings.prefetch }))
}

/// Trust for pulling from probes. Reads the certificate authority file.
pub(crate) fn authority(settings: &Pull) -> Result<Trust, Error> {
    remote::trust(settings.ca_file.as_deref())
}

/// Where alerts are sent, if anywhere. Reads the certificate authority file.
fn webhook(settings: &Retirement) -> Result<Option<Webhook>, Error> {
    let Some((url, secret)) = settings.webhook_url.as_deref().zip(settings.webhook_secret.clone()) else { return Ok(None) };
    let trust = remote::trust_at(url, settings.webhook_ca_file.as_deref())?;
    Ok(Some(Webhook::new(url, secret, &trust)?))
}

fn pull_settings(settings: &Pull) -> pull::Settings {
    let Pull { max_bytes, max_concurrent, .. } = *settings;
    pull::Settings { max_bytes, max_concurrent, ..pull::Settings::default() }
}

async fn ended(mut ending: watch::Receiver<bool>) {
    // An error means that the sender is gone, which also means stop.
    let _ = ending.wait_for(|ending| *ending).await;
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
