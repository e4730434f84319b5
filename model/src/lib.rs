//! The concepts that probe and central share, each declared once.
//!
//! * [`ServerId`], [`RecordId`] and [`SeriesId`] identify what the central knows; an [`IdSet`] holds unique ids in
//!   order.
//! * [`Identity`] identifies a batch, and [`Evicted`] describes the batches that a probe had to drop.
//! * [`Interval`] is the time span that is summed into one batch.
//! * [`Settings`] are a server's settings. Each setting is declared in one place with its name, type, range, default
//!   and description; [`Declaration`] makes that available to code that parses, displays or documents settings.
//! * [`host`] and [`url`] validate addresses entered by people.
//!
//! # What this crate is not
//!
//! It does no I/O, knows no disk or wire format, and depends on nothing but serde: the probe links it.

mod batch;
pub mod host;
mod id;
mod id_set;
mod interval;
mod settings;
pub mod url;

pub use batch::{Evicted, Identity};
pub use id::{RecordId, ResourceId, RetirementId, SeriesId, ServerId, ZoneId};
pub use id_set::IdSet;
pub use interval::{Interval, NotAnInterval};
pub use settings::choice::{Communication, OverlappingProbes};
pub use settings::declaration::{Allowed, BadSetting, ChangedBy, Declaration};
pub use settings::{Settings, SettingsOverride};
