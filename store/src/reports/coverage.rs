//! Reading full reports.

use super::following;
use super::report::{Report, SystemReport};
use crate::database::key;
use crate::{Error, Level, Store};
use std::ops::ControlFlow;
use zonepulse_codec::Malformed;
use zonepulse_model::{IdSet, Identity, ServerId};

impl Store {
    /// The reports on intervals that start in `from_s..until_s`, by server, then start, including batches of metrics
    /// that report evictions: an eviction is reported by the next batch of either kind. Reports that have expired at
    /// `now_s`, Unix seconds, are omitted: reports are kept as long as roll-ups.
    pub fn coverage(
        &self,
        servers: Option<&IdSet<ServerId>>,
        from_s: u64,
        until_s: u64,
        now_s: u64,
        each: &mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.reports(servers, from_s, until_s, now_s, |identity, start_s, value| {
            let report = match SystemReport::is(value) {
                true => SystemReport::decode(value)?.of_loss(identity, start_s),
                false => Some(Report::decode(identity, start_s, value)?),
            };
            Ok(report.map_or(ControlFlow::Continue(()), |report| each(&report)))
        })
    }

    fn reports(
        &self,
        servers: Option<&IdSet<ServerId>>,
        from_s: u64,
        until_s: u64,
        now_s: u64,
        mut each: impl FnMut(&Identity, u64, &[u8]) -> Result<ControlFlow<()>, Malformed>,
    ) -> Result<(), Error> {
        let (mut iterator, expiry) = {
            let expiry = self.inner.expiry.read();
            (self.inner.database.iterator(key::REPORTS), expiry.clone())
        };
        let mut next_server = servers.map_or(Some(ServerId::MIN), |servers| servers.first().copied());
        while let Some(server) = next_server {
            let from_s = from_s.max(expiry.kept_from_s(server, Level::H1, now_s));
            iterator.seek(key::report_prefix(server, from_s));
            let Some((found, _)) = iterator.item() else { break };
            let (identity, start_s) = key::parse_report(found).ok_or_else(|| Error::damaged("report", found))?;
            if identity.server_id != server {
                // This server has no reports: continue at the next one requested.
                next_server = server.next().and_then(|next| following(servers, next, identity.server_id));
                continue;
            }
            let mut start_s = start_s;
            while start_s < until_s {
                let Some((key, value)) = iterator.item() else { break };
                let (identity, start) = key::parse_report(key).ok_or_else(|| Error::damaged("report", key))?;
                if identity.server_id != server || start >= until_s {
                    break;
                }
                start_s = start;
                if each(&identity, start, value).map_err(|Malformed(what)| Error::damaged(what, key))?.is_break() {
                    return Ok(());
                }
                iterator.next();
            }
            next_server = server.next().and_then(|next| following(servers, next, next));
        }
        Ok(iterator.status()?)
    }
}
