//! A message of a probe, of whichever kind.

use crate::envelope::{self, peek_version};
use crate::system::SystemBatch;
use crate::{Batch, Error, peek_identity};
use zonepulse_model::{Evicted, Identity};

/// The media type of an encoded message, for HTTP and AMQP.
pub const MEDIA_TYPE: &str = "application/vnd.zonepulse.batch";
/// The header with the server's number in every answer to a server's token.
pub const SERVER_HEADER: &str = "x-zonepulse-server-id";

/// A message of any kind.
///
/// All kinds are numbered in one sequence `(server, epoch, seq)`, share a spool, and are counted
/// exactly once in the same way.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The DNS hits of an interval.
    Dns(Batch),
    /// System metrics.
    System(SystemBatch),
}

impl Message {
    /// Decodes a message, and validates all documented invariants.
    pub fn decode(bytes: &[u8]) -> Result<Message, Error> {
        match kind(bytes)? {
            Kind::Dns => Batch::decode(bytes).map(Message::Dns),
            Kind::System => SystemBatch::decode(bytes).map(Message::System),
        }
    }

    /// Decodes what a message is about and what it reports, without rows or series: this costs no
    /// more for a large message than for a small one.
    pub fn decode_head(bytes: &[u8]) -> Result<Message, Error> {
        match kind(bytes)? {
            Kind::Dns => Batch::decode_head(bytes).map(Message::Dns),
            Kind::System => SystemBatch::decode_head(bytes).map(Message::System),
        }
    }

    /// Encodes the message.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        match self {
            Message::Dns(batch) => batch.encode(),
            Message::System(batch) => batch.encode(),
        }
    }

    /// The message's identity.
    pub fn identity(&self) -> Identity {
        match self {
            Message::Dns(batch) => batch.identity,
            Message::System(batch) => batch.identity,
        }
    }

    /// Start of the time it covers, Unix seconds.
    pub fn start_s(&self) -> u64 {
        match self {
            Message::Dns(batch) => batch.start_s,
            Message::System(batch) => batch.start_s,
        }
    }

    /// End of the time it covers, Unix seconds.
    pub fn end_s(&self) -> u64 {
        match self {
            Message::Dns(batch) => batch.start_s.saturating_add(u64::from(batch.interval_s)),
            Message::System(batch) => batch.end_s(),
        }
    }

    /// Start of the last interval or slot it covers, Unix seconds: a correct clock showed that time
    /// before it was created.
    pub fn latest_start_s(&self) -> u64 {
        let interval_s = match self {
            Message::Dns(batch) => batch.interval_s,
            Message::System(batch) => batch.interval_s,
        };
        self.end_s().saturating_sub(u64::from(interval_s))
    }

    /// Messages that the probe discarded since the previous one, if any.
    pub fn evicted(&self) -> Option<Evicted> {
        match self {
            Message::Dns(batch) => batch.evicted,
            Message::System(batch) => batch.evicted,
        }
    }

    /// Size in memory, bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Message::Dns(batch) => batch.size_bytes(),
            Message::System(batch) => batch.size_bytes(),
        }
    }
}

impl From<Batch> for Message {
    fn from(batch: Batch) -> Self {
        Message::Dns(batch)
    }
}

impl From<SystemBatch> for Message {
    fn from(batch: SystemBatch) -> Self {
        Message::System(batch)
    }
}

enum Kind {
    Dns,
    System,
}

fn kind(bytes: &[u8]) -> Result<Kind, Error> {
    peek_identity(bytes)?;
    match peek_version(bytes) {
        envelope::VERSION => Ok(Kind::Dns),
        envelope::SYSTEM_VERSION => Ok(Kind::System),
        found => Err(Error::UnknownVersion { found, known: envelope::LATEST_VERSION }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::with_body;
    use zonepulse_model::ServerId;

    const IDENTITY: Identity = Identity { server_id: ServerId::new(7), epoch: 8, seq: 9 };

    #[test]
    fn a_message_is_read_as_what_its_version_says() {
        // start 0, interval 60, coverage, no counters, nothing evicted, no records, no rows.
        let dns = Message::decode(&with_body(1, &IDENTITY, &[0, 60, 0, 0, 0, 0, 0, 0])).unwrap();
        assert!(matches!(&dns, Message::Dns(batch) if batch.interval_s == 60), "{dns:?}");
        // start 0, interval 5, 12 slots, nothing evicted, no metrics.
        let system = Message::decode(&with_body(2, &IDENTITY, &[0, 5, 12, 0, 0])).unwrap();
        assert!(matches!(&system, Message::System(batch) if batch.slots == 12), "{system:?}");
        for message in [dns, system] {
            assert_eq!((message.identity(), message.start_s(), message.end_s()), (IDENTITY, 0, 60));
            assert_eq!(Message::decode(&message.encode().unwrap()).as_ref(), Ok(&message));
            assert_eq!(Message::decode_head(&message.encode().unwrap()), Ok(message));
        }
    }

    #[test]
    fn the_latest_start_is_that_of_the_last_slot() {
        let dns = Message::decode(&with_body(1, &IDENTITY, &[0, 60, 0, 0, 0, 0, 0, 0])).unwrap();
        let system = Message::decode(&with_body(2, &IDENTITY, &[0, 5, 12, 0, 0])).unwrap();
        assert_eq!((dns.latest_start_s(), system.latest_start_s()), (0, 55));
    }

    #[test]
    fn a_version_that_nobody_knows_yet_is_named() {
        let bytes = with_body(3, &IDENTITY, &[]);
        assert_eq!(Message::decode(&bytes), Err(Error::UnknownVersion { found: 3, known: 2 }));
        assert_eq!(Message::decode(b"rubbish"), Err(Error::NotABatch));
    }
}
