//! Whether the central can do its work now.
//!
//! A central whose disk is full is alive: starting it again would help nobody. It is not ready, so whoever balances load, or
//! waits for a start to be over, should wait.

use crate::Central;
use zonepulse_store::Store;

/// What is missing; nothing when it is ready. Reads the database, not only what is in memory.
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

/// Why no batch is taken, when that is for want of room on the disk. It is said wherever somebody may look: in the answer that
/// the central is not ready, on the page, and in the log at the start.
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
