//! What an import did.

use serde::Serialize;
use zonepulse_dns::RecordType;

/// Maximum number of examples of each kind.
const EXAMPLES: usize = 10;
/// Minimum number of removed resources for an import to wait for confirmation.
const FEW: u64 = 20;
/// Share of a zone's resources that an import may remove without confirmation, percent.
const FEW_PERCENT: u64 = 30;

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Resources that are new, or returned.
    pub added: u64,
    /// Resources among them that returned.
    pub returned: u64,
    /// Resources whose TTL or RDATAs changed.
    pub changed: u64,
    /// Resources that were removed.
    pub removed: u64,
    /// Resources that stay as they were.
    pub unchanged: u64,
    /// The first few that were added, by owner and type.
    pub examples_added: Vec<(String, RecordType)>,
    /// The first few that changed.
    pub examples_changed: Vec<(String, RecordType)>,
    /// The first few that were removed.
    pub examples_removed: Vec<(String, RecordType)>,
}

impl Summary {
    /// Whether any resource was added, changed or removed.
    pub fn is_change(&self) -> bool {
        self.added + self.changed + self.removed > 0
    }

    /// Whether it removes so many of a zone's resources that it waits for confirmation.
    pub(super) fn is_mass_removal(&self, resources: u64) -> bool {
        self.removed > FEW && self.removed.saturating_mul(100) > resources.saturating_mul(FEW_PERCENT)
    }

    pub(super) fn counts(&self) -> Counts {
        let Summary { added, returned, changed, removed, unchanged, .. } = *self;
        Counts { added, returned, changed, removed, unchanged }
    }
}

/// The numbers alone, as the audit log has them.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    added: u64,
    returned: u64,
    changed: u64,
    removed: u64,
    unchanged: u64,
}

/// Adds an example, if there are not enough.
pub(super) fn example(examples: &mut Vec<(String, RecordType)>, of: impl FnOnce() -> Option<(String, RecordType)>) {
    if examples.len() < EXAMPLES {
        examples.extend(of());
    }
}
