//! What concerns the whole store: random schedules, damage, formats of earlier versions.

mod damage;
pub(crate) mod extremes;
mod format;
mod model;
pub(crate) mod random;
