//! From a question's filter to a selection of the store.

use crate::time::{Now, Range};
use crate::{By, Filter, HostPattern};
use std::sync::Arc;
use zonepulse_dns::{Action, MessageKind, RecordType};
use zonepulse_model::{IdSet, RecordId, ResourceId, ServerId};
use zonepulse_store::{Kinds, Level, ResourceMap, Selection, Server, Store, is_folded};

/// The number of records that are checked while the dictionary is locked.
const CHUNK: u32 = 8192;
/// The finest roll-up's buckets, seconds.
const BUCKET_S: u64 = 300;

/// Whether a question adds up points or shows each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    Each,
    Sums(By),
}

/// Whether a filter can be resolved without checking every record.
pub(crate) fn is_quick(filter: &Filter) -> bool {
    let named = !filter.types.is_empty() && filter.hosts.iter().all(|host| host.exact().is_some());
    let all = filter.hosts.is_empty() && filter.types.is_empty() && filter.folded.is_none() && filter.resource_ids.is_empty();
    let resources = !filter.resource_ids.is_empty() && !filter.resource_ids.contains(&0);
    all || resources || !filter.hosts.is_empty() && named
}

/// The points that a filter selects. This blocks unless the filter [`is_quick`].
pub(crate) fn selection(store: &Store, filter: &Filter, counts: Counts, from_s: u64, until_s: u64) -> Selection {
    Selection { servers: servers(filter), from_s, until_s, kinds: kinds(filter, counts), records: records(store, filter) }
}

/// Begin and end of a range in seconds, for sums. An end where the raw points of a selected server have expired is moved
/// outwards to a boundary of five minutes: a bucket cannot be split, and leaving it out would lose known hits.
pub(crate) fn widened(range: Range, store: &Store, filter: &Filter, known: &[Server], now: Now) -> (u64, u64) {
    let selected = servers(filter).unwrap_or_else(|| known.iter().map(|server| server.id).collect());
    let kept = selected.iter().map(|server_id| store.kept_from_s(*server_id, Level::Raw, now.s()));
    let kept_from_s = kept.max().unwrap_or(0);
    let (begin_s, end_s) = (range.begin_s(), range.end_s());
    let begin_s = if begin_s < kept_from_s { begin_s - begin_s % BUCKET_S } else { begin_s };
    let end_s = if end_s - end_s % BUCKET_S < kept_from_s { end_s.next_multiple_of(BUCKET_S) } else { end_s };
    (begin_s, end_s)
}

pub(crate) fn servers(filter: &Filter) -> Option<IdSet<ServerId>> {
    (!filter.servers.is_empty()).then(|| filter.servers.iter().copied().map(ServerId::new).collect())
}

fn kinds(filter: &Filter, counts: Counts) -> Kinds {
    if !filter.rcodes.is_empty() {
        // Only responses have a code.
        let mut kinds: Vec<MessageKind> = filter.rcodes.iter().copied().map(MessageKind::response).collect();
        kinds.sort_unstable();
        kinds.dedup();
        return Kinds::Only(if filter.action == Some(Action::Request) { Vec::new() } else { kinds });
    }
    match (filter.action, counts) {
        (Some(Action::Request), _) => Kinds::Only(vec![MessageKind::REQUEST]),
        (Some(Action::Response), _) => Kinds::Responses,
        // A request and its response count once, unless they are shown side by side.
        (None, Counts::Sums(By { action: false, .. })) => Kinds::Only(vec![MessageKind::REQUEST]),
        (None, _) => Kinds::Messages,
    }
}

/// The ids of the records; `None` for all.
fn records(store: &Store, filter: &Filter) -> Option<IdSet<RecordId>> {
    let any_host = filter.hosts.is_empty() || filter.hosts.iter().any(HostPattern::is_any);
    let mut wanted = Wanted { filter, any_host, resources: None, scratch: Vec::new() };
    if !filter.resource_ids.is_empty() {
        let resources = wanted.resources.insert(store.resources()).clone();
        if !filter.resource_ids.contains(&0) {
            let ids = filter.resource_ids.iter().filter_map(|id| u32::try_from(*id).ok()).map(ResourceId::new);
            let records: Vec<RecordId> = ids.filter_map(|id| resources.place(id)).map(|(_, record_id)| record_id).collect();
            let dictionary = store.dictionary();
            let mut is_wanted = |record_id: &RecordId| {
                dictionary.get(*record_id).is_some_and(|(name, record_type)| wanted.is(*record_id, name, record_type))
            };
            return Some(records.into_iter().filter(|record_id| is_wanted(record_id)).collect());
        }
    } else if any_host && filter.types.is_empty() && filter.folded.is_none() {
        return None;
    }
    let exact: Option<Vec<&str>> = filter.hosts.iter().map(HostPattern::exact).collect();
    let records = match exact {
        Some(names) if !any_host && !filter.types.is_empty() => {
            let dictionary = store.dictionary();
            let pairs = names.into_iter().flat_map(|name| filter.types.iter().map(move |record_type| (name, *record_type)));
            let mut found = |(name, record_type)| {
                dictionary.find(name, record_type).filter(|record_id| wanted.is(*record_id, name, record_type))
            };
            pairs.filter_map(&mut found).collect()
        }
        _ => look_through(store, wanted),
    };
    Some(IdSet::from(records))
}

/// Which records a filter accepts.
struct Wanted<'a> {
    filter: &'a Filter,
    any_host: bool,
    /// If it restricts resources.
    resources: Option<Arc<ResourceMap>>,
    scratch: Vec<u16>,
}

impl Wanted<'_> {
    fn is(&mut self, record_id: RecordId, name: &str, record_type: RecordType) -> bool {
        let Wanted { filter, any_host, resources, scratch } = self;
        let is_of = |resources: &Arc<ResourceMap>| filter.resource_ids.contains(&resources.lowest(record_id).get().into());
        (filter.types.is_empty() || filter.types.contains(&record_type))
            && filter.folded.is_none_or(|folded| is_folded(name) == folded)
            && resources.as_ref().is_none_or(is_of)
            && (*any_host || filter.hosts.iter().any(|host| host.matches(name, scratch)))
    }
}

fn look_through(store: &Store, mut wanted: Wanted<'_>) -> Vec<RecordId> {
    let mut records = Vec::new();
    let mut start = 0;
    loop {
        // Locked for one chunk at a time, because writers need it too.
        let dictionary = store.dictionary();
        let count = u32::try_from(dictionary.len()).unwrap_or(u32::MAX);
        if start >= count {
            return records;
        }
        let end = count.min(start.saturating_add(CHUNK));
        for id in (start..end).map(RecordId::new) {
            let Some((name, record_type)) = dictionary.get(id) else { continue };
            if wanted.is(id, name, record_type) {
                records.push(id);
            }
        }
        start = end;
    }
}
