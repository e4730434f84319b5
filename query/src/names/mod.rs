//! Owner names as people write them: in Unicode, exact or with `*`.

mod idn;
mod pattern;

pub(crate) use idn::to_ascii;
pub use pattern::HostPattern;
pub(crate) use pattern::canonical;
