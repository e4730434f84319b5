//! Which servers are pulled from, and the answers to their probes.

use super::heartbeat;
use crate::Central;
use crate::time::now_ms;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zonepulse_ingest::Error;
use zonepulse_ingest::pull::{Diagnosed, Fleet, Target};
use zonepulse_model::{Communication, ServerId};
use zonepulse_net::Trust;
use zonepulse_wire::{Heartbeat, HeartbeatAnswer};

/// The servers of this central whose settings say `pull`.
pub struct Pulling {
    central: Central,
    /// Certificate authorities trusted for probes whose certificates are verified.
    trust: Trust,
    /// The targets found, and the generation of the registry they were found at.
    found: Mutex<Option<(u64, Vec<Target>)>>,
}

impl Pulling {
    /// The pulled servers of a central.
    pub fn new(central: Central, trust: Trust) -> Self {
        Pulling { central, trust, found: Mutex::default() }
    }

    fn look(&self) -> Result<Vec<Target>, zonepulse_store::Error> {
        let registry = self.central.store().registry();
        let mut targets = Vec::new();
        for server in registry.servers()? {
            if server.is_removed() || server.pull.url.is_empty() {
                continue;
            }
            let Some(token) = server.pull.token else { continue };
            let settings = registry.effective_settings(server.id)?;
            if settings.communication == Communication::Pull {
                let trust = if settings.verify_ca { self.trust.clone() } else { Trust::Anybody };
                targets.push(Target {
                    server_id: server.id,
                    url: server.pull.url,
                    token: token.into(),
                    trust,
                    connect_timeout: Duration::from_millis(u64::from(settings.api_timeout_ms)),
                });
            }
        }
        Ok(targets)
    }
}

impl Fleet for Pulling {
    fn targets(&self) -> Result<Vec<Target>, Error> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // Changes made meanwhile are picked up the next time.
        let generation = self.central.store().registry().generation();
        if let Some((of, targets)) = &*found
            && *of == generation
        {
            return Ok(targets.clone());
        }
        let targets = self.look()?;
        *found = Some((generation, targets.clone()));
        Ok(targets)
    }

    fn heartbeat(&self, server_id: ServerId, heartbeat: Heartbeat) -> Result<HeartbeatAnswer, String> {
        let known = self.central.store().registry().server(server_id).map_err(|error| error.to_string())?;
        if known.is_none_or(|server| server.is_removed()) {
            return Err(format!("no server has the id {server_id}"));
        }
        heartbeat::hear(&self.central, server_id.get(), heartbeat, None, now_ms()).map_err(|error| error.to_string())
    }

    fn diagnosing(&self, server_id: ServerId) -> Option<u64> {
        self.central.diagnostics().to_pull(server_id.get(), now_ms())
    }

    fn diagnosed(&self, server_id: ServerId, run: u64, result: Diagnosed) {
        self.central.diagnostics().pulled(server_id.get(), run, result, now_ms());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::addresses::Addresses;
    use std::net::{Ipv4Addr, SocketAddr};
    use zonepulse_ingest::Ingest;
    use zonepulse_net::tls::Authorities;
    use zonepulse_query::Engine;
    use zonepulse_store::{Server, Store};

    #[test]
    fn a_server_is_pulled_from_while_its_settings_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Default::default()).unwrap();
        let engine = Engine::new(store.clone(), Default::default()).unwrap();
        let ingest = Ingest::start(store.clone(), Default::default()).unwrap();
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8053));
        let addresses = Addresses { listen, public_urls: Vec::new(), scheme: "http", ca_file: None };
        let options = Options {
            max_pending_bytes: 1 << 20,
            addresses,
            zones: Default::default(),
            protection: Vec::new(),
            sessions: Default::default(),
            images: Default::default(),
            push: Default::default(),
            backups: None,
        };
        let central = Central::new(store.clone(), engine, ingest, options).unwrap();
        let authority = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem();
        let own = Trust::Own(Authorities::from_pem(authority.as_bytes()).unwrap());
        let pulling = Pulling::new(central, own.clone());
        assert!(pulling.targets().unwrap().is_empty());

        let server = store.registry().add_server("ns1", false, None, 0).unwrap();
        let change = |fill: fn(&mut Server)| {
            let registry = store.registry().as_owner();
            let changed = registry.change_server(server.id, "changed", |server| {
                fill(server);
                Ok::<_, zonepulse_store::Error>(())
            });
            changed.unwrap();
            pulling.targets().unwrap()
        };
        let targets = change(|server| {
            server.overrides.communication = Some(Communication::Pull);
            server.pull.url = "https://ns1.example:8054".to_owned();
            server.pull.token = Some("token".to_owned());
        });
        let expected = Target {
            server_id: ServerId::new(1),
            url: "https://ns1.example:8054".to_owned(),
            token: "token".into(),
            trust: own,
            connect_timeout: Duration::from_millis(300),
        };
        assert!(targets == [expected]);
        let slow = change(|server| server.overrides.api_timeout_ms = Some(2500));
        assert_eq!(slow[0].connect_timeout, Duration::from_millis(2500));
        assert!(change(|server| server.overrides.verify_ca = Some(false))[0].trust == Trust::Anybody);
        assert!(change(|server| server.overrides.communication = None).is_empty());
    }
}
