//! The protocol between probe and central: a [`Message`], and its only codec.
//!
//! A message is a [`Batch`] of DNS hits or a [`SystemBatch`] of system metrics.
//!
//! A probe tallies the DNS messages of an interval per record, action and response code. The totals
//! of one interval form a batch, which carries everything that the central needs to count it
//! exactly once and to assess it:
//!
//! * what it is about: the server and the interval;
//! * its identity `(server, epoch, seq)`: a batch with an identity that was committed before has no
//!   effect;
//! * what was observed: [`Coverage`], the part of the interval in which the probe was listening,
//!   and the counters of [`Counter`], including everything that was seen but could not be counted;
//! * the rows.
//!
//! [`Message::encode`] and [`Message::decode`] are the only way to write and read messages. The
//! fifth byte is the version of the format, which also determines the kind of message. A reader
//! rejects an unknown version ([`Error::UnknownVersion`]), and the message's owner keeps it. The
//! format is described in `envelope.rs`, `codec.rs` and `system.rs`, and its limits in `bounds.rs`.
//!
//! Besides batches, probe and central exchange JSON: a [`Heartbeat`] and the [`ProbeSettings`] in
//! its answer, an [`Enrollment`], and the messages for pulling ([`pull`]). A batch sent through a
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
mod kept;
mod mac;
mod message;
mod system;
mod utc;

pub use batch::{Batch, Coverage, Records, Row};
pub use bounds::{END_OF_TIME_S, MAX_COUNTER, MAX_COUNTERS, MAX_EVICTED, MAX_HITS, MAX_SEQ, MAX_VALUE};
pub use codec::{MAX_RECORDS, MAX_ROWS, OTHER};
pub use counter::{Counter, Counters};
pub use enrollment::{Enrollment, EnrollmentRequest};
pub use envelope::{Error, MAX_BODY_BYTES, MAX_ENCODED_BYTES, VERSION, peek_identity, peek_version};
pub use heartbeat::{
    BlindReason, Blindness, CaptureState, Component, Components, Heartbeat, HeartbeatAnswer, Resend, SpoolState, State,
};
pub use kept::{KEPT_FROM_HEADER, KeptFrom, NotKeptFrom};
pub use mac::{MAC_HEADER, MacKey};
pub use message::{MEDIA_TYPE, Message, SERVER_HEADER};
pub use settings::{ProbeSettings, RabbitmqSettings};
pub use system::{MAX_LABEL_BYTES, MAX_METRIC_BYTES, MAX_SERIES, MAX_SLOTS, MAX_SYSTEM_POINTS, Series, SystemBatch, is_metric};
pub use utc::Utc;
