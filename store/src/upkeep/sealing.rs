//! Choosing the next hour to seal; hours that failed are retried later.

use super::step::Step;
use crate::engine::sealing::{Sealer, step};
use crate::waiting::Pair;
use crate::{Error, Inner};
use std::collections::BTreeMap;

/// Delay before an hour that could not be sealed is retried, seconds.
const RETRY_S: u64 = 600;

/// Sealing of points of one kind, across steps.
pub(super) struct Sealing<S> {
    sealer: Option<S>,
    /// Hours and servers that could not be sealed, and when they failed.
    failed: BTreeMap<Pair, u64>,
}

impl<S> Default for Sealing<S> {
    fn default() -> Self {
        Sealing { sealer: None, failed: BTreeMap::new() }
    }
}

impl<S: Sealer> Sealing<S> {
    /// Seals some blocks of an hour that is due, if there is one.
    pub(super) fn step(
        &mut self,
        inner: &Inner,
        now_s: u64,
        make: impl FnOnce() -> Result<S, Error>,
    ) -> Result<Option<Step>, Error> {
        self.failed.retain(|_, when_s| now_s.abs_diff(*when_s) < RETRY_S);
        let Some(pair) = self.due(inner, now_s) else { return Ok(None) };
        let sealer = match &mut self.sealer {
            Some(sealer) => sealer,
            None => self.sealer.insert(make()?),
        };
        let sealed = step(sealer, inner, pair).inspect_err(|_| {
            self.failed.insert(pair, now_s);
        })?;
        let (hour, server_id) = pair;
        Ok(Some(Step::Sealed { hour_s: u64::from(hour) * 3600, server_id, blocks: sealed.blocks, points: sealed.points }))
    }

    fn due(&self, inner: &Inner, now_s: u64) -> Option<Pair> {
        let failed = |pair: Pair| self.failed.contains_key(&pair);
        let expiry = inner.expiry.read().clone();
        let mut waiting = S::ENGINE.waiting(inner).lock();
        let due = waiting.due(now_s, &failed);
        if due.is_some() || !S::BEFORE_HORIZON {
            return due;
        }
        waiting.before(|server_id| expiry.due(server_id, now_s).raw_hour).filter(|pair| !failed(*pair))
    }
}
