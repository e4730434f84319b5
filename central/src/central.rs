//! The services of one central, assembled over its store, query engine and ingest.

use crate::Error;
use crate::addresses::Addresses;
use crate::backups::{self, Backups};
use crate::credentials::Credentials;
use crate::fleet::Fleet;
use crate::fleet::refusals::Refusals;
use crate::fleet::watch::Watch;
use crate::pending::Pending;
use crate::retirements::Retirements;
use crate::retirements::alerts::Alert;
use crate::sessions::{self, Sessions};
use crate::time::now_ms;
use crate::verdicts::Verdicts;
use crate::zones::{self, Tables, Zones};
use std::sync::Arc;
use zonepulse_catalogue::protection::{Rule, Rules};
use zonepulse_ingest::{Ingest, pull};
use zonepulse_model::ServerId;
use zonepulse_query::Engine;
use zonepulse_store::Store;

/// Options of a central, apart from its parts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Maximum memory for batches being received, in total, bytes.
    pub max_pending_bytes: u64,
    /// The addresses at which probes reach it.
    pub addresses: Addresses,
    /// Settings of the zones.
    pub zones: zones::Options,
    /// Rules for what is protected, before the built-in ones.
    pub protection: Vec<Rule>,
    /// How long sessions last.
    pub sessions: sessions::Options,
    /// Where and how the store is saved; not at all without it.
    pub backups: Option<backups::Options>,
}

/// A central without an endpoint. Cheap to clone; clones share state.
#[derive(Clone)]
pub struct Central {
    parts: Arc<Parts>,
}

struct Parts {
    store: Store,
    engine: Engine,
    ingest: Ingest,
    credentials: Credentials,
    sessions: Sessions,
    fleet: Arc<Fleet>,
    addresses: Addresses,
    pending: Pending<u32>,
    pulled: pull::Progress,
    refusals: Arc<Refusals>,
    watch: Arc<Watch>,
    zones: Arc<Zones>,
    verdicts: Arc<Verdicts>,
    retirements: Arc<Retirements>,
    backups: Arc<Backups>,
}

impl Central {
    /// Builds a central over an open store. Takes as long as hashing a password.
    pub fn new(store: Store, engine: Engine, ingest: Ingest, options: Options) -> Result<Self, Error> {
        let Options { max_pending_bytes, addresses, zones, protection, sessions, backups } = options;
        let backups = Arc::new(Backups::new(store.clone(), backups));
        let zones = Arc::new(Zones::open(store.clone(), zones)?);
        let of_names = Arc::downgrade(&zones);
        store.keep_names_in_use(Box::new(move |name, rtype| {
            of_names.upgrade().is_some_and(|zones| zones.current().is_used_by(name, rtype))
        }));
        let verdicts = Arc::new(Verdicts::new(store.clone(), zones.clone(), Rules::new(protection)));
        let retirements = Arc::new(Retirements::new(store.clone(), zones.clone()));
        engine.provide(Arc::new(Tables { zones: zones.clone(), verdicts: verdicts.clone() }));
        let credentials = Credentials::new(store.clone())?;
        let sessions = Sessions::new(store.clone(), sessions);
        let fleet = Arc::new(Fleet::new(store.clone(), now_ms())?);
        let pulled = pull::Progress::default();
        let refusals = Arc::<Refusals>::default();
        let watch = Watch::new(store.clone(), ingest.clone(), fleet.clone(), refusals.clone(), pulled.clone());
        let (pending, watch) = (Pending::new(max_pending_bytes), Arc::new(watch));
        let parts = Parts {
            store,
            engine,
            ingest,
            credentials,
            sessions,
            fleet,
            addresses,
            pending,
            pulled,
            refusals,
            watch,
            zones,
            verdicts,
            retirements,
            backups,
        };
        Ok(Central { parts: Arc::new(parts) })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The query engine.
    pub fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// The ingest service.
    pub fn ingest(&self) -> &Ingest {
        &self.parts.ingest
    }

    /// Checks the credentials of callers.
    pub fn credentials(&self) -> &Credentials {
        &self.parts.credentials
    }

    /// Sessions of users who have logged in.
    pub fn sessions(&self) -> &Sessions {
        &self.parts.sessions
    }

    /// Heartbeats received from the servers.
    pub fn fleet(&self) -> &Fleet {
        &self.parts.fleet
    }

    /// The addresses at which probes reach this central.
    pub fn addresses(&self) -> &Addresses {
        &self.parts.addresses
    }

    /// Memory accounting for batches being received, by server.
    pub fn pending(&self) -> &Pending<u32> {
        &self.parts.pending
    }

    /// Progress of pulling.
    pub fn pulled(&self) -> pull::Progress {
        self.parts.pulled.clone()
    }

    /// Refused requests, for the log and metrics.
    pub fn refusals(&self) -> &Refusals {
        &self.parts.refusals
    }

    /// Health of the servers.
    pub fn watch(&self) -> &Arc<Watch> {
        &self.parts.watch
    }

    /// The zones.
    pub fn zones(&self) -> &Arc<Zones> {
        &self.parts.zones
    }

    /// Verdicts on their records.
    pub fn verdicts(&self) -> &Verdicts {
        &self.parts.verdicts
    }

    /// Plans for deleting records.
    pub fn retirements(&self) -> &Arc<Retirements> {
        &self.parts.retirements
    }

    /// Backups of the store.
    pub fn backups(&self) -> &Arc<Backups> {
        &self.parts.backups
    }

    /// Records of plans that were asked for after they were marked.
    pub fn alerts(&self) -> Result<Vec<Alert>, Error> {
        if self.retirements().list()?.is_empty() {
            return Ok(Vec::new());
        }
        let (current, usage) = self.verdicts().usage()?;
        self.retirements().alerts(&current, &usage)
    }

    /// Rejects unknown server ids: an empty answer would look like a server without traffic.
    pub fn known_servers(&self, ids: &[u32]) -> Result<(), Error> {
        for id in ids {
            if self.store().registry().server(ServerId::new(*id))?.is_none() {
                return Err(Error::bad_value("server_id", format_args!("there is no server {id}")));
            }
        }
        Ok(())
    }
}
