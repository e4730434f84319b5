//! Services for probes: enrolment, batches and heartbeats; and pulling from probes that wait to be asked.

pub mod batches;
pub mod enrollment;
pub mod heartbeat;
pub mod pulling;
