//! Verdicts as rows.

use super::{DEFAULT_WINDOW_MS, Judged, Verdicts};
use crate::Error;
use crate::zones::columns::{batch, instants, numbers, texts};
use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::ops::ControlFlow;
use std::sync::Arc;
use zonepulse_catalogue::Name;
use zonepulse_catalogue::set::{Slot, ZoneIndex};
use zonepulse_catalogue::usage::Used;
use zonepulse_catalogue::verdict::{Reason, Verdict, Window};
use zonepulse_catalogue::zone::RrsetRef;
use zonepulse_dns::RecordType;
use zonepulse_model::ResourceId;
use zonepulse_query::{Column, HostPattern, Listed};

/// Rows of a batch.
const BATCH_ROWS: usize = 4096;
/// What [`Judged`] and the order of its rows take for each RRset, bytes.
const BYTES_PER_RRSET: usize = 96;

/// Which verdicts a question is about. The parts are joined by *and*, the values of a part by *or*; an empty part means no
/// restriction.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Zones by apex, in all views.
    pub zones: Vec<Name>,
    /// Owners, exact or with `*`.
    pub hosts: Vec<HostPattern>,
    /// Types.
    pub types: Vec<RecordType>,
    /// Verdicts.
    pub verdicts: Vec<Verdict>,
    /// Resources.
    pub resource_ids: Vec<u64>,
}

/// In which order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The longest quiet first.
    #[default]
    Quiet,
    /// By zone, then in canonical order.
    Catalogue,
}

/// The verdicts of a question in their order, computed batch by batch as they are asked for.
pub struct Rows {
    judged: Judged,
    slots: Vec<Slot>,
    given: usize,
    total: u64,
}

impl Rows {
    /// How many there are before paging.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many are on the page.
    pub fn on_page(&self) -> usize {
        self.slots.len()
    }

    /// Their columns.
    pub fn schema() -> SchemaRef {
        Listed::Verdicts.schema_of(Listed::Verdicts.columns())
    }

    /// The next rows with these columns; `None` at the end.
    fn next_of(&mut self, columns: &[Column]) -> Option<Result<RecordBatch, Error>> {
        let rows = self.slots.get(self.given..).unwrap_or_default();
        let rows = rows.get(..BATCH_ROWS).unwrap_or(rows);
        self.given += rows.len();
        (!rows.is_empty()).then(|| self.judged.batch(columns, rows))
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_of(Listed::Verdicts.columns())
    }
}

impl Verdicts {
    /// A page of the verdicts over a window.
    pub fn rows(&self, window: Window, filter: &Filter, order: Order, offset: u64, limit: u64) -> Result<Rows, Error> {
        let judged = self.judge(window)?;
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (slots, total) = judged.rows(filter, order, place(offset), place(limit))?;
        Ok(Rows { judged, slots, given: 0, total })
    }

    /// The memory that an answer takes while it is read, bytes.
    pub fn answer_bytes(&self) -> usize {
        self.zones.current().set.len().saturating_mul(BYTES_PER_RRSET)
    }

    /// All verdicts over the default window, in the order of the catalogue.
    pub fn all_rows(
        &self,
        columns: &[Column],
        now_ms: u64,
        each: &mut dyn FnMut(RecordBatch) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let window = Window::new(now_ms as i64, DEFAULT_WINDOW_MS as i64);
        let mut rows = self.rows(window, &Filter::default(), Order::Catalogue, 0, u64::MAX)?;
        while let Some(batch) = rows.next_of(columns) {
            if each(batch?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Judged {
    /// The RRsets of a page, and how many there are in all.
    pub fn rows(&self, filter: &Filter, order: Order, offset: usize, limit: usize) -> Result<(Vec<Slot>, u64), Error> {
        let wanted = self.wanted(filter);
        let total = wanted.iter().filter(|wanted| **wanted).count();
        let is_wanted = |slot: Slot| wanted.get(slot.at()).copied().unwrap_or_default();
        let rows = match order {
            Order::Quiet => self.all.page(is_wanted, offset, limit),
            Order::Catalogue => {
                let slots = (0..wanted.len() as u32).filter_map(Slot::new).filter(|slot| is_wanted(*slot));
                slots.skip(offset).take(limit).collect()
            }
        };
        Ok((rows, total as u64))
    }

    /// For each RRset, whether the filter accepts it.
    fn wanted(&self, filter: &Filter) -> Vec<bool> {
        let set = &self.current.set;
        let mut wanted = vec![false; set.len()];
        let mut ids: Vec<ResourceId> =
            filter.resource_ids.iter().filter_map(|id| u32::try_from(*id).ok()).map(ResourceId::new).collect();
        ids.sort_unstable();
        let mut scratch = Vec::new();
        for ((index, entry), loaded) in set.zones().zip(&self.current.zones) {
            if !filter.zones.is_empty() && !filter.zones.contains(entry.zone.apex()) {
                continue;
            }
            let ids_of = &loaded.contents.ids;
            for ((slot, rrset), id) in set.slots(index).filter_map(Slot::new).zip(entry.zone.iter()).zip(ids_of) {
                let is_wanted = (filter.verdicts.is_empty()
                    || self.all.verdict(slot).is_some_and(|verdict| filter.verdicts.contains(&verdict)))
                    && (filter.types.is_empty() || filter.types.contains(&rrset.rtype()))
                    && (ids.is_empty() && filter.resource_ids.is_empty() || ids.binary_search(id).is_ok())
                    && (filter.hosts.is_empty() || {
                        let host = rrset.owner().to_string();
                        filter.hosts.iter().any(|pattern| pattern.matches(&host, &mut scratch))
                    });
                wanted.get_mut(slot.at()).into_iter().for_each(|place| *place = is_wanted);
            }
        }
        wanted
    }

    /// Columns of rows.
    pub fn batch(&self, columns: &[Column], rows: &[Slot]) -> Result<RecordBatch, Error> {
        let inputs = self.inputs();
        let explained = columns.iter().any(|column| matches!(column, Column::Reasons | Column::RulesOut));
        let reasons: Vec<Vec<Reason>> = match explained {
            true => rows.iter().map(|slot| self.all.reasons(&inputs, *slot)).collect(),
            false => Vec::new(),
        };
        batch(Listed::Verdicts, columns, rows.len(), |column| self.column(column, rows, &reasons))
    }

    fn column(&self, column: Column, rows: &[Slot], reasons: &[Vec<Reason>]) -> Option<ArrayRef> {
        let each = rows.iter().copied();
        let used = |slot: Slot| self.usage.get(slot).filter(is_use);
        Some(match column {
            Column::ResourceId => numbers(each.map(|slot| self.id(slot).map(|id| id.get().into()))),
            Column::Label => texts(each.map(|slot| {
                Some(self.id(slot).and_then(|id| self.basis.labels.get(&id)).map(|label| label.to_string()).unwrap_or_default())
            })),
            Column::ZoneId | Column::Zone | Column::View => crate::zones::columns::of_zones(
                column,
                each.map(|slot| self.current.resource(slot).map(|(loaded, _, _)| &loaded.row)),
            )?,
            Column::Host => texts(each.map(|slot| self.rrset(slot).map(|(_, rrset)| rrset.owner().to_string()))),
            Column::Type => texts(each.map(|slot| self.rrset(slot).map(|(_, rrset)| rrset.rtype().to_string()))),
            Column::Ttl => numbers(each.map(|slot| self.rrset(slot).map(|(_, rrset)| rrset.ttl().into()))),
            Column::Verdict => texts(each.map(|slot| self.all.verdict(slot).map(|verdict| verdict.word().to_owned()))),
            Column::Reasons => texts(reasons.iter().map(|reasons| {
                let sentences: Vec<String> = reasons.iter().map(|reason| reason.text(self.window.now_ms)).collect();
                Some(sentences.join("; "))
            })),
            Column::Asked => {
                numbers(each.map(|slot| Some(self.usage.get(slot).map_or(0, |used| used.asked_hits.min(i64::MAX as u64) as i64))))
            }
            Column::FirstSeen => instants(each.map(|slot| used(slot).map(|used| used.first_ms))),
            Column::LastAccess => instants(each.map(|slot| used(slot).map(|used| used.last_ms))),
            Column::QuietForS => numbers(each.map(|slot| self.all.quiet_for_s(slot).map(i64::from))),
            Column::ObservedShare => {
                let share = |slot| self.rrset(slot).and_then(|(zone, _)| self.all.observed_share(zone)).unwrap_or_default();
                Arc::new(Float64Array::from_iter_values(each.map(share)))
            }
            Column::RulesOut => texts(reasons.iter().map(|reasons| {
                let rarest = |reason: &Reason| if let Reason::Rhythm { rarest, .. } = reason { *rarest } else { None };
                reasons.iter().find_map(rarest).map(str::to_owned)
            })),
            Column::Evidence => texts(each.map(|_| Some("queries".to_owned()))),
            _ => return None,
        })
    }

    fn id(&self, slot: Slot) -> Option<ResourceId> {
        self.current.resource(slot).map(|(_, _, id)| id)
    }

    fn rrset(&self, slot: Slot) -> Option<(ZoneIndex, RrsetRef<'_>)> {
        self.current.set.locate(slot)
    }
}

/// Whether it was used as something else than the SOA of a denial.
fn is_use(used: &Used) -> bool {
    !used.vias.is_only(zonepulse_catalogue::usage::Via::Denial)
}
