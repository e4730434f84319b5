//! Batches as probes make them, for whoever plays one (`zonepulse simulate`): the wire's types and its one codec.

pub use zonepulse_wire::{Batch, Counter, Counters, Coverage, Identity, Message, Records, Row, Series, SystemBatch};
