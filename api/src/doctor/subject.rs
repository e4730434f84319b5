//! What a central's doctor checks.

use zonepulse_doctor as doctor;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The configuration and the files that it refers to.
    Configuration,
    /// The central that runs with the data directory.
    Process,
    /// The data directory.
    Data,
    /// The store in it.
    Store,
    /// Space on its disk.
    Disk,
    /// The address to listen on.
    Listen,
    /// Whether the running central is ready.
    Ready,
    /// Its version.
    Version,
    /// The certificate and its key.
    Tls,
    /// This machine's clock.
    Clock,
    /// The limit on open files.
    OpenFiles,
    /// Memory.
    Memory,
    /// The processes that run statements of SQL.
    SqlWorkers,
    /// The broker and its queue.
    Broker,
    /// Probes that batches are fetched from.
    Pull,
    /// Where zones come from.
    Zones,
    /// The address where primaries send NOTIFY.
    Notify,
    /// The receiver of alerts.
    Webhook,
    /// Servers that are not heard from.
    Servers,
    /// The versions of probes.
    Probes,
}

/// Each with its id and what is checked, in the order of the report.
const TABLE: [(Subject, &str, &str); 20] = [
    (Subject::Configuration, "configuration", "the configuration is readable, valid and private"),
    (Subject::Process, "process", "a central is running with this data directory"),
    (Subject::Data, "data", "the data directory exists, is private and can be written to"),
    (Subject::Store, "store", "the store is sound as far as that can be seen, and of a format that this version reads"),
    (Subject::Disk, "disk", "the disk of the store has room"),
    (Subject::Listen, "listen", "the central listens where the configuration says, or could"),
    (Subject::Ready, "ready", "the running central is ready"),
    (Subject::Version, "version", "the running central is of this version"),
    (Subject::Tls, "tls", "connections are encrypted, and clients accept the certificate"),
    (Subject::Clock, "clock", "this machine's clock is plausible and agrees with those of the probes"),
    (Subject::OpenFiles, "open_files", "enough files may be open"),
    (Subject::Memory, "memory", "there is enough memory for what the configuration allows"),
    (Subject::SqlWorkers, "sql_workers", "processes for SQL can be started"),
    (Subject::Broker, "broker", "the broker accepts the login and lets the central receive"),
    (Subject::Pull, "pull", "the probes to fetch from can be reached and accept the token"),
    (Subject::Zones, "zones", "the zones' primaries answer, and their files are there"),
    (Subject::Notify, "notify", "the central listens for NOTIFY, or could"),
    (Subject::Webhook, "webhook", "the receiver of alerts can be reached"),
    (Subject::Servers, "servers", "all servers are heard from"),
    (Subject::Probes, "probes", "probes are not older or newer than this central"),
];

impl Subject {
    fn row(self) -> (&'static str, &'static str) {
        let found = TABLE.iter().find(|(subject, ..)| *subject == self);
        found.map_or(("unknown", "unknown"), |(_, id, title)| (*id, *title))
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
