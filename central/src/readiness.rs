//! Whether the central can do its work now.
//!
//! A central with a full disk is alive: restarting it would not help. But it is not ready, so load balancers and
//! scripts that wait for startup should wait.

use crate::Central;
use zonepulse_store::Store;

/// What is missing; empty if the central is ready. Reads the database, not only memory.
pub fn missing(central: &Central) -> Vec<String> {
    let mut missing = Vec::new();
    if let Err(error) = central.store().registry().users() {
        missing.push(format!("the store does not answer: {error}"));
    }
    missing.extend(room(central.store()));
    if !central.ingest().is_alive() {
        missing.push("the committer has ended: no batch can be written".to_owned());
    }
    missing.extend(central.ingest().broker().into_iter().flat_map(|broker| broker.troubles));
    missing
}

/// Why no batches are accepted, if that is for lack of disk space. Reported wherever someone may look: in the readiness
/// answer, on the page, and in the log at startup.
pub fn room(store: &Store) -> Option<String> {
    let error = store.has_room().err()?;
    let path = store.path().display();
    Some(match error {
        zonepulse_store::Error::NoSpace { free_bytes, min_free_bytes } => format!(
            "the disk is nearly full: {free_bytes} bytes are free on the disk of {path}, and {min_free_bytes} are needed ([store] min_free_bytes); until then no batch is taken, and probes keep theirs"
        ),
        error => format!("whether there is room on the disk of {path} is not known: {error}"),
    })
}
