//! The calls, a family each: what a call says of itself, its body and its answer, and the service that it asks.

pub mod addresses;
pub mod audit;
pub mod backups;
pub mod batches;
pub mod broker_trial;
pub mod diagnostics;
pub mod enrollments;
pub mod health;
pub mod heartbeat;
pub mod images;
pub mod metrics;
pub mod monitoring;
pub mod push;
pub mod resources;
pub mod retirements;
pub mod servers;
pub mod session;
pub mod settings;
pub mod settings_schema;
pub mod setup;
pub mod sql;
pub mod system;
pub mod users;
pub mod verdicts;
pub mod zones;
