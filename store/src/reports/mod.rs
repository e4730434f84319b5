//! Reports: what a probe covered and lost in an interval, stored alongside the points.

use zonepulse_model::{IdSet, ServerId};

mod coverage;
pub(crate) mod kept;
pub(crate) mod listened;
pub(crate) mod report;

/// The next server to read: the first requested one that is not below `least`, or, if all are requested, the one that
/// is known to come next.
fn following(servers: Option<&IdSet<ServerId>>, least: ServerId, known: ServerId) -> Option<ServerId> {
    match servers {
        None => Some(known),
        Some(servers) => servers.starting_at(least).first().copied(),
    }
}
