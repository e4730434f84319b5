//! Reports: what a probe covered in an interval and what it lost, beside the points.

mod coverage;
pub(crate) mod kept;
pub(crate) mod listened;
pub(crate) mod report;

/// The next server to look at: the first that is asked for from `least` on,
/// or when all are, the one that is known to come next.
fn following(servers: Option<&[u32]>, least: u32, known: u32) -> Option<u32> {
    match servers {
        None => Some(known),
        Some(servers) => servers.iter().copied().filter(|server| *server >= least).min(),
    }
}
