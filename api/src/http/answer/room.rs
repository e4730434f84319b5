//! Room for an answer while its client reads it, in fair shares.

use super::problem::{Case, Problem};
use zonepulse_central::pending::{Held, NoRoom, Pending};

/// Takes room for an answer that holds this many bytes, or says what to do. A larger one than half of the memory counts as half,
/// so that it fits while nobody else reads.
pub fn room(memory: &Pending<u64>, caller: u64, bytes: usize) -> Result<Held<u64>, Problem> {
    let half = usize::try_from(memory.most() / 2).unwrap_or(usize::MAX);
    let mut held = memory.of(caller);
    match held.take(bytes.min(half)) {
        Ok(()) => Ok(held),
        Err(NoRoom { held_bytes }) => {
            let detail = format!(
                "the answer takes {bytes} bytes, and your answers that are not read to their end hold {held_bytes}: read them first"
            );
            Err(Problem::new(Case::Busy, detail).retry_after_s(5))
        }
    }
}
