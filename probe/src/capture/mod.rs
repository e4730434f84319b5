//! Where frames come from: capture files and live devices.

pub mod file;
pub mod live;
