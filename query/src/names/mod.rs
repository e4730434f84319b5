//! Owner names as people write them: in Unicode, exact or with `*`.

mod idn;
mod pattern;

pub use idn::to_ascii;
pub use pattern::HostPattern;
pub(crate) use pattern::canonical;
