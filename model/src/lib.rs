//! The concepts that probe and central share, each declared once.
//!
//! * [`ServerId`], [`RecordId`] and [`SeriesId`] number what the central knows; an [`IdSet`] has them in order, each once.
//! * [`Identity`] says which batch a batch is, and [`Evicted`] which batches a probe had to drop.
//! * [`Interval`] is the length of time that is summed into one batch.
//! * [`Settings`] are a server's settings. Each setting is declared in one place with its name, type, range, default and
//!   description; [`Declaration`] makes that available to whoever parses, shows or documents settings.
//! * [`host`] and [`url`] check addresses that people enter.
//!
//! # What this crate is not
//!
//! It does no I/O, knows no format on disk or on the wire, and depends on nothing but serde: the probe links it.

mod batch;
pub mod host;
mod id;
mod id_set;
mod interval;
mod settings;
pub mod url;

pub use batch::{Evicted, Identity};
pub use id::{RecordId, SeriesId, ServerId};
pub use id_set::IdSet;
pub use interval::{Interval, NotAnInterval};
pub use settings::choice::{Communication, OverlappingProbes};
pub use settings::declaration::{Allowed, BadSetting, Declaration};
pub use settings::{Settings, SettingsOverride};
