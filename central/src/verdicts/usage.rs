//! What was used: totals, credited to RRsets, and what was credited before the zones were as they are.

use super::basis::{Basis, ways};
use crate::Error;
use crate::zones::{Current, named};
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_catalogue::set::ZoneSet;
use zonepulse_catalogue::usage::{Crediting, Usage};
use zonepulse_dns::MessageKind;
use zonepulse_store::{DictionaryReader, Store, Total};

/// Credits totals to RRsets. What a record credits is found once for each version of the zones.
#[derive(Default)]
pub(super) struct Crediter {
    zones: Option<Arc<ZoneSet>>,
    crediting: Crediting,
}

impl Crediter {
    /// The usage of all RRsets.
    pub(super) fn usage(&mut self, store: &Store, current: &Current, basis: &Basis) -> Result<Usage, Error> {
        if !self.zones.as_ref().is_some_and(|zones| Arc::ptr_eq(zones, &current.set)) {
            *self = Crediter { zones: Some(current.set.clone()), ..Crediter::default() };
        }
        let mut usage = Usage::new(current.set.len());
        let resources = store.resources();
        store.totals_by_record(None, None, &mut |part| {
            let dictionary = store.dictionary();
            for total in part.iter().filter(|total| total.kind == MessageKind::REQUEST) {
                self.add(&mut usage, total, resources.counts_from_ms(total.record_id), &dictionary);
            }
            ControlFlow::Continue(())
        });
        for (slot, credit) in &basis.frozen {
            for via in ways(credit.roles) {
                usage.add(*slot, via, credit.first_ms as i64, credit.last_ms as i64, 0);
            }
        }
        Ok(usage)
    }

    /// Adds a total, as far as it counts for the zones as they are.
    fn add(&mut self, usage: &mut Usage, total: &Total, counts_from_ms: u64, dictionary: &DictionaryReader<'_>) {
        let Some(zones) = &self.zones else { return };
        let record_id = total.record_id;
        if total.last_ms < counts_from_ms {
            return;
        }
        let number = record_id.get();
        if self.crediting.get(number).is_none() {
            match dictionary.get(record_id).and_then(named) {
                Some((name, rtype)) => _ = self.crediting.credit(number, &name, rtype, zones),
                None => self.crediting.credit_nothing(number),
            }
        }
        let credits = self.crediting.get(number).unwrap_or_default();
        let (first_ms, last_ms) = (total.first_ms.max(counts_from_ms) as i64, total.last_ms as i64);
        usage.add_asked(credits, zones, total.server_id.get(), first_ms, last_ms, total.hits);
    }
}
