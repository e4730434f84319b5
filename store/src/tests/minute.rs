//! A batch of a minute, as tests of upkeep and of rebuilds commit it.

use crate::{Error, Intake, IntakeRow, Outcome, Store};
use zonepulse_dns::RecordType;
use zonepulse_model::{Identity, RecordId, ServerId};

/// Commits a batch with one row for each name, which `row` makes of its record.
pub(crate) fn commit(
    store: &Store,
    server_id: u32,
    seq: u64,
    start_s: u64,
    names: &[&str],
    row: impl Fn(RecordId) -> IntakeRow,
) -> Result<Outcome, Error> {
    let mut write = store.begin();
    let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (*name, RecordType::A)));
    let outcome = write.add(Intake {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
        start_s,
        interval_s: 60,
        covered_from_ms: start_s * 1000,
        covered_until_ms: (start_s + 60) * 1000,
        counters: Vec::new(),
        loss: Default::default(),
        evicted: None,
        rows: ids.into_iter().map(row).collect(),
    })?;
    write.commit()?;
    Ok(outcome)
}
