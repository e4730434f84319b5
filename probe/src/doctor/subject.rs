//! What a probe's doctor checks.

use zonepulse_doctor as doctor;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The configuration and the files that it refers to.
    Configuration,
    /// The probes that run on this machine.
    Process,
    /// The privilege to capture.
    CaptureRights,
    /// The device to capture on.
    CaptureDevice,
    /// The DNS server's sockets.
    DnsServer,
    /// Packets that nobody saw.
    Drops,
    /// The spool's directory.
    Spool,
    /// Batches that wait in the spool.
    Waiting,
    /// Batches that the central refused.
    Refused,
    /// Space on the spool's disk.
    Disk,
    /// The central's name.
    Name,
    /// TCP to the central.
    Connection,
    /// Encryption, and the central's certificate.
    Tls,
    /// HTTP with the central.
    Central,
    /// This machine's clock.
    Clock,
    /// The server's token.
    Token,
    /// Whose token it is.
    ServerId,
    /// The programs' versions.
    Version,
    /// The broker and its queue.
    Broker,
    /// The port for a central that fetches batches.
    Pull,
}

/// What a check needs, besides the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Only this machine.
    Machine,
    /// The central.
    Central,
    /// Neither, or both.
    Other,
}

/// Each with its id, what is checked, and what that needs, in the order of the report.
const TABLE: [(Subject, &str, &str, Needs); 20] = [
    (Subject::Configuration, "configuration", "the configuration is readable, valid and private", Needs::Other),
    (Subject::Process, "process", "one probe is running with this spool", Needs::Machine),
    (Subject::CaptureRights, "capture_rights", "the probe may capture", Needs::Machine),
    (Subject::CaptureDevice, "capture_device", "the capture device exists, is up and has addresses", Needs::Machine),
    (Subject::DnsServer, "dns_server", "the DNS server listens where the probe captures", Needs::Machine),
    (Subject::Drops, "drops", "no packets are dropped", Needs::Machine),
    (Subject::Spool, "spool", "the spool exists and can be written to", Needs::Machine),
    (Subject::Waiting, "waiting", "batches do not pile up in the spool", Needs::Machine),
    (Subject::Refused, "refused", "the central has not refused any batches", Needs::Machine),
    (Subject::Disk, "disk", "the spool's disk has room", Needs::Machine),
    (Subject::Name, "name", "the central's name resolves", Needs::Central),
    (Subject::Connection, "connection", "the central accepts connections", Needs::Central),
    (Subject::Tls, "tls", "the connection to the central is encrypted and its certificate is trusted", Needs::Central),
    (Subject::Central, "central", "the central answers and is ready", Needs::Central),
    (Subject::Clock, "clock", "this machine's clock agrees with the central's", Needs::Central),
    (Subject::Token, "token", "the central accepts the server's token", Needs::Central),
    (Subject::ServerId, "server_id", "the token, the saved settings and the waiting batches belong to server_id", Needs::Other),
    (Subject::Version, "version", "the probe and the central have the same version", Needs::Central),
    (Subject::Broker, "broker", "the broker accepts the login, has the queue, and lets the probe send", Needs::Other),
    (Subject::Pull, "pull", "the central can fetch batches here", Needs::Machine),
];

impl Subject {
    /// All that need this, in the order of the report.
    pub fn needing(needs: Needs) -> impl Iterator<Item = Subject> {
        TABLE.iter().filter(move |(.., needed)| *needed == needs).map(|(subject, ..)| *subject)
    }

    fn row(self) -> (&'static str, &'static str) {
        let found = TABLE.iter().find(|(subject, ..)| *subject == self);
        found.map_or(("unknown", "unknown"), |(_, id, title, _)| (*id, *title))
    }
}

impl doctor::Subject for Subject {
    fn all() -> Vec<Subject> {
        TABLE.iter().map(|(subject, ..)| *subject).collect()
    }

    fn id(self) -> &'static str {
        self.row().0
    }

    fn title(self) -> &'static str {
        self.row().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::{LONGEST_ID, Subject as _};

    #[test]
    fn subjects_are_listed_once_and_in_order() {
        let all = Subject::all();
        assert!(all.is_sorted_by(|one, next| one < next));
        let mut ids: Vec<&str> = all.iter().map(|subject| subject.id()).collect();
        assert!(ids.iter().all(|id| id.len() <= LONGEST_ID));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
    }
}
