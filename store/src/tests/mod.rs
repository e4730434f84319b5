//! What concerns the whole store: random schedules, damage, formats of earlier versions.

mod damage;
pub(crate) mod driver;
mod format;
mod migration;
pub(crate) mod minute;
mod model;
pub(crate) mod random;
