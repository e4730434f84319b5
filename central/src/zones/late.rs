//! Crediting late accesses: queries that were reported after their zone had changed.

use super::import::apex;
use super::source::Remembered;
use super::{Contents, Current, Loaded, Zones, freeze, named};
use crate::Error;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_catalogue::usage::{Crediting, Usage};
use zonepulse_catalogue::zone::{Row, Rows};
use zonepulse_dns::MessageKind;
use zonepulse_model::ZoneId;
use zonepulse_store::LateAccess;

/// Number of late accesses that are credited at once.
const CHUNK: usize = 4096;

impl Zones {
    /// Credits all late accesses that wait.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let catalogue = self.store.catalogue();
        while catalogue.late_counts().0 > 0 {
            let _changing = self.changing.lock();
            let late = catalogue.late(CHUNK)?;
            if late.is_empty() {
                break;
            }
            self.credit(&late)?;
        }
        Ok(())
    }

    fn credit(&self, late: &[LateAccess]) -> Result<(), Error> {
        let current = self.current();
        // Accesses between the same changes of zones saw the same zones.
        let mut by_version: BTreeMap<Vec<usize>, Vec<&LateAccess>> = BTreeMap::new();
        let changes: Vec<Vec<u64>> = current.zones.iter().map(|loaded| Remembered::of(&loaded.row).changes_ms).collect();
        let requests = late.iter().filter(|access| access.late.kind == MessageKind::REQUEST.number());
        for access in requests {
            let version = changes.iter().map(|changes_ms| changes_ms.partition_point(|at_ms| *at_ms <= access.late.first_ms));
            by_version.entry(version.collect()).or_default().push(access);
        }
        let mut credits = Vec::new();
        for accesses in by_version.values() {
            let Some(at_ms) = accesses.first().map(|access| access.late.first_ms) else { continue };
            let then = self.at(&current, at_ms, &changes)?;
            let (mut usage, mut crediting) = (Usage::new(then.set.len()), Crediting::default());
            let dictionary = self.store.dictionary();
            for access in accesses {
                let late = access.late;
                let Some((name, rtype)) = dictionary.get(late.record_id).and_then(named) else { continue };
                let ways = crediting.credit(late.record_id.get(), &name, rtype, &then.set);
                let (first_ms, last_ms) = (late.first_ms as i64, access.last_ms as i64);
                usage.add_asked(ways, &then.set, late.server_id.get(), first_ms, last_ms, access.hits);
            }
            drop(dictionary);
            credits.extend(freeze::credits_of(&usage, &then));
        }
        Ok(self.store.catalogue().settle(&credits, late)?)
    }

    /// The catalogue as it was.
    fn at(&self, current: &Current, at_ms: u64, changes: &[Vec<u64>]) -> Result<Current, Error> {
        let mut then = current.with_same();
        for (loaded, changes_ms) in current.zones.iter().zip(changes) {
            if changes_ms.last().is_some_and(|last_ms| *last_ms > at_ms) {
                let contents = Arc::new(self.contents_at(loaded, at_ms)?);
                then = then.with(Loaded { row: loaded.row.clone(), contents });
            }
        }
        Ok(then)
    }

    fn contents_at(&self, loaded: &Loaded, at_ms: u64) -> Result<Contents, Error> {
        let apex = apex(&loaded.row)?;
        let apex_key = apex.key();
        let (mut rows, mut ids, mut failed, mut encoded) = (Rows::new(apex), Vec::new(), None, Vec::new());
        let id: ZoneId = loaded.row.id;
        self.store.catalogue().visit_at(id, at_ms, &mut |resource, ttl, rdatas| {
            encoded.clear();
            for rdata in rdatas {
                encoded.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
                encoded.extend_from_slice(rdata);
            }
            let key = resource.owner.strip_prefix(&*apex_key).unwrap_or_default();
            match rows.push(Row { key, rtype: resource.rtype, ttl, rdatas: &encoded }) {
                Ok(()) => {
                    ids.push(resource.resource_id);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        let fault = |error: zonepulse_catalogue::Error| Error::Fault(error.to_string());
        if let Some(error) = failed {
            return Err(fault(error));
        }
        let zone = Arc::new(rows.finish().map_err(fault)?);
        Ok(Contents { zone, ids, created_ms: Vec::new(), earlier_ttls: Vec::new() })
    }
}
