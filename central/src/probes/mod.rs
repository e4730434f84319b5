//! What probes ask of the central: to be enrolled, to have batches taken, and to be heard; and how it asks those that wait
//! to be asked.

pub mod batches;
pub mod enrollment;
pub mod heartbeat;
pub mod pulling;
