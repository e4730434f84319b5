//! Making backups by themselves.

use super::{Backups, Status};
use crate::time::now_ms;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How often to look whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The earliest that a failed backup is tried again, milliseconds.
const EARLIEST_RETRY_MS: u64 = 60_000;

/// Makes backups when they are due.
pub struct Scheduler {
    backups: Arc<Backups>,
}

impl Scheduler {
    /// For these backups.
    pub fn new(backups: Arc<Backups>) -> Self {
        Scheduler { backups }
    }

    /// Runs until `shutdown` completes, then stops a backup that is being made.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let every_ms = self.backups.options().map_or(0, |options| options.every_s.saturating_mul(1000));
        let mut is_known = false;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.backups.options().is_none() {
                continue;
            }
            let backups = self.backups.clone();
            let looked = tokio::task::spawn_blocking(move || {
                // What there is after a restart is known to the destination only.
                if !is_known {
                    backups.look()?;
                }
                if is_due(&backups.status(), every_ms, now_ms()) {
                    backups.begin()?;
                }
                Ok::<_, crate::Error>(())
            });
            match looked.await {
                Ok(Ok(())) => is_known = true,
                // A destination that cannot be looked at fails the backup as well, which is told and tried again in time.
                Ok(Err(error)) if !is_known => {
                    tracing::warn!(%error, "the backups at the destination are not known");
                    is_known = true;
                }
                Ok(Err(error)) => tracing::debug!(%error, "no backup was begun"),
                Err(error) => tracing::error!(%error, "looking for backups ended"),
            }
        }
        let backups = self.backups;
        let _ = tokio::task::spawn_blocking(move || backups.end()).await;
    }
}

/// Whether a backup is due. One that failed is tried again after a tenth of the interval.
fn is_due(status: &Status, every_ms: u64, now_ms: u64) -> bool {
    if every_ms == 0 || status.running.is_some() {
        return false;
    }
    let last_ms = status.backups.iter().map(|backup| backup.manifest.time_ms).max();
    let failed_ms = status.failed.back().map(|failed| failed.ended_ms);
    let retry_ms = (every_ms / 10).max(EARLIEST_RETRY_MS).min(every_ms);
    let has_passed = |since_ms: Option<u64>, ms: u64| since_ms.is_none_or(|since_ms| now_ms.abs_diff(since_ms) >= ms);
    has_passed(last_ms, every_ms) && has_passed(failed_ms, retry_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backups::Failed;

    #[test]
    fn a_backup_is_due_when_there_is_none_and_never_if_none_are_to_be_made() {
        let status = Status::default();
        assert!(is_due(&status, 1000, 5) && !is_due(&status, 0, u64::MAX));
    }

    #[test]
    fn a_failed_backup_is_tried_again_after_a_tenth_of_the_interval() {
        let mut status = Status::default();
        let failed = |ended_ms| Failed { id: String::new(), began_ms: ended_ms, ended_ms, error: String::new() };
        status.failed.push_back(failed(1_000_000));
        let day_ms = 86_400_000;
        assert!(!is_due(&status, day_ms, 1_000_000 + day_ms / 10 - 1) && is_due(&status, day_ms, 1_000_000 + day_ms / 10));
        // At once is not possible, but not later than the interval either.
        assert!(!is_due(&status, 300_000, 1_059_999) && is_due(&status, 300_000, 1_060_000));
        assert!(is_due(&status, 10_000, 1_010_000));
    }
}
