//! The services of one central, assembled over its store, query engine and ingest.

use crate::Error;
use crate::addresses::Addresses;
use crate::credentials::Credentials;
use crate::fleet::Fleet;
use crate::fleet::refusals::Refusals;
use crate::fleet::watch::Watch;
use crate::pending::Pending;
use crate::time::now_ms;
use std::sync::Arc;
use zonepulse_ingest::{Ingest, pull};
use zonepulse_model::ServerId;
use zonepulse_query::Engine;
use zonepulse_store::Store;

/// Options of a central, apart from its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Maximum memory for batches being received, in total, bytes.
    pub max_pending_bytes: u64,
    /// The addresses at which probes reach it.
    pub addresses: Addresses,
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
    fleet: Arc<Fleet>,
    addresses: Addresses,
    pending: Pending<u32>,
    pulled: pull::Progress,
    refusals: Arc<Refusals>,
    watch: Arc<Watch>,
}

impl Central {
    /// Builds a central over an open store. Takes as long as hashing a password.
    pub fn new(store: Store, engine: Engine, ingest: Ingest, options: Options) -> Result<Self, Error> {
        let Options { max_pending_bytes, addresses } = options;
        let credentials = Credentials::new(store.clone())?;
        let fleet = Arc::new(Fleet::new(store.clone(), now_ms())?);
        let pulled = pull::Progress::default();
        let refusals = Arc::<Refusals>::default();
        let watch = Watch::new(store.clone(), ingest.clone(), fleet.clone(), refusals.clone(), pulled.clone());
        let (pending, watch) = (Pending::new(max_pending_bytes), Arc::new(watch));
        let parts = Parts { store, engine, ingest, credentials, fleet, addresses, pending, pulled, refusals, watch };
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
