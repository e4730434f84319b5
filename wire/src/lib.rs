//! What a probe says to the central service: a [`Message`], and its one codec.
//!
//! A message is a [`Batch`] of DNS or a [`SystemBatch`] of the machine's metrics.
//!
//! A probe sums the DNS messages of one interval per record, action and
//! response code. The sums of one interval are a batch. A batch carries all
//! that the central needs to count it exactly once and to judge it:
//!
//! * who and when: the server, the interval;
//! * its identity `(server, epoch, seq)`: a batch with an identity that was
//!   committed before changes nothing;
//! * what was observed: [`Coverage`], the part of the interval in which the
//!   probe was listening, and the counters of [`Counter`], among them
//!   everything that was seen and could not be counted;
//! * the rows.
//!
//! [`Message::encode`] and [`Message::decode`] are the only way in and out. The
//! format is versioned by its fifth byte, which says the kind of message, too; a
//! reader refuses a version that it does not know ([`Error::UnknownVersion`]), and
//! whoever holds the message keeps it. What the bytes mean is written down in
//! `envelope.rs`, `codec.rs` and `system.rs`, and how large numbers may be in `bounds.rs`.
//!
//! Besides batches, probe and central speak JSON: a [`Heartbeat`] and the [`ProbeSettings`]
//! in its answer, an [`Enrollment`], and what a pull needs ([`pull`]). A batch that comes through a
//! broker is signed ([`MacKey`]).

pub mod enrollment;
pub mod heartbeat;
pub mod pull;
pub mod settings;

mod batch;
mod bounds;
mod codec;
mod counter;
mod envelope;
#[cfg(test)]
mod extremes;
mod kept;
mod mac;
mod message;
mod system;
mod utc;

pub use batch::{Batch, Coverage, Evicted, Identity, Records, Row};
pub use bounds::{END_OF_TIME_S, MAX_COUNTER, MAX_COUNTERS, MAX_EVICTED, MAX_HITS, MAX_SEQ, MAX_VALUE};
pub use codec::{MAX_RECORDS, MAX_ROWS, OTHER, VERSION};
pub use counter::{Counter, Counters};
pub use enrollment::{Enrollment, EnrollmentRequest};
pub use envelope::{Error, MAX_BODY_BYTES, MAX_ENCODED_BYTES, peek_identity, peek_version};
pub use heartbeat::{BlindReason, Blindness, CaptureState, Component, Components, Heartbeat, HeartbeatAnswer, SpoolState, State};
pub use kept::{KEPT_FROM_HEADER, KeptFrom, NotKeptFrom};
pub use mac::{MAC_HEADER, MacKey};
pub use message::{MEDIA_TYPE, Message};
pub use settings::{Communication, ProbeSettings, RabbitmqSettings};
pub use system::{MAX_LABEL_BYTES, MAX_METRIC_BYTES, MAX_SERIES, MAX_SLOTS, MAX_SYSTEM_POINTS, Series, SystemBatch, is_metric};
pub use utc::Utc;
