//! Rebuilding totals, with an entry in the audit log in the same write.

use super::{Change, Registry, server};
use crate::Error;
use crate::rebuild::{self, Rebuild, Rebuilt};
use serde_json::{Value, json};
use std::time::Instant;

impl Registry<'_> {
    /// Rebuilds a server's totals from the points that are kept, and removes points with impossible times if
    /// requested. All or nothing; acknowledged batches stay acknowledged.
    ///
    /// Blocks the thread, and all writers, until all points of the server have been read.
    pub fn rebuild_totals(&self, request: &Rebuild) -> Result<Rebuilt, Error> {
        request.check()?;
        let inner = self.inner;
        let mut keeper = inner.keeper.lock();
        let _no_sums = inner.sweeping.write();
        let mut work = self.change();
        let server = self.server(request.server_id)?.ok_or_else(|| Error::Missing("server", request.server_id.to_string()))?;
        if !request.dry_run {
            rebuild::prepare(inner, &mut work.alone)?;
        }
        let plan = rebuild::plan(inner, request)?;
        if request.dry_run || plan.rebuilt.is_nothing() {
            return Ok(plan.rebuilt);
        }
        work.audit("server.rebuild", &server::title(&server), &Value::Null, &told(request, &plan.rebuilt))?;
        let Change { alone: mut writer, batch, .. } = work;
        let rebuilt = plan.apply(inner, &mut writer, batch, Instant::now())?;
        // Records without any points or totals can now be swept.
        keeper.look_again();
        Ok(rebuilt)
    }
}

fn told(request: &Rebuild, rebuilt: &Rebuilt) -> Value {
    json!({
        "records": request.records.as_ref().map(|records| records.len()),
        "drop_before_s": request.drop_before_s,
        "drop_from_s": request.drop_from_s,
        "totals_changed": rebuilt.changed,
        "totals_removed": rebuilt.removed,
        "batches_removed": rebuilt.dropped_batches,
        "hits_removed": rebuilt.dropped_hits,
        "observation_removed_ms": rebuilt.uncovered_ms,
        "hours_of_metrics_removed": rebuilt.dropped_metric_hours,
    })
}
