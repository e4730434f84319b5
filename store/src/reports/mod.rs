//! Reports: what a probe covered in an interval and what it lost, beside the points.

use zonepulse_model::{IdSet, ServerId};

mod coverage;
pub(crate) mod kept;
pub(crate) mod listened;
pub(crate) mod report;

/// The next server to look at: the first that is asked for from `least` on,
/// or when all are, the one that is known to come next.
fn following(servers: Option<&IdSet<ServerId>>, least: ServerId, known: ServerId) -> Option<ServerId> {
    match servers {
        None => Some(known),
        Some(servers) => servers.starting_at(least).first().copied(),
    }
}
