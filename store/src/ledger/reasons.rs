//! Why time was not observed.

use std::fmt;
use zonepulse_dns::name;

/// Why DNS messages of a server may have been missed, or a record's messages cannot be told from others.
///
/// The number is part of the format of the ledger and of reports: numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Unobserved {
    /// No batch covers the time: no probe was listening, or its batch has not arrived.
    Gap = 0,
    /// The kernel dropped packets because the probe was too slow.
    KernelDrop = 1,
    /// The network interface or its driver dropped packets.
    InterfaceDrop = 2,
    /// No batch covers the time, and the probe evicted batches of around that time from a full spool.
    Evicted = 3,
    /// Messages or frames that may contain messages could not be read, or were cut by the snap length.
    Unreadable = 4,
    /// IP fragments whose packet never became complete.
    FragmentsLost = 5,
    /// Octets of TCP streams that could not be read as messages: segments are missing, or streams were evicted.
    StreamsSkipped = 6,
    /// dnstap connections that were refused at a limit or broke.
    ConnectionsLost = 7,
    /// Messages were counted under `<other>` instead of their record.
    Folded = 8,
    /// The probe had reason to believe that it did not see all messages, for example because the DNS server uses
    /// another port.
    Blind = 9,
    /// The probe's clock was set meanwhile, or messages were not counted because of their times.
    Clock = 10,
    /// No batch covers the time, and the store was restored from a backup: it may have had a batch that is lost.
    Restored = 11,
}

impl Unobserved {
    /// All reasons, by number.
    pub const ALL: [Unobserved; 12] = [
        Unobserved::Gap,
        Unobserved::KernelDrop,
        Unobserved::InterfaceDrop,
        Unobserved::Evicted,
        Unobserved::Unreadable,
        Unobserved::FragmentsLost,
        Unobserved::StreamsSkipped,
        Unobserved::ConnectionsLost,
        Unobserved::Folded,
        Unobserved::Blind,
        Unobserved::Clock,
        Unobserved::Restored,
    ];

    /// The name in answers and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unobserved::Gap => "gap",
            Unobserved::KernelDrop => "kernel_drop",
            Unobserved::InterfaceDrop => "interface_drop",
            Unobserved::Evicted => "evicted",
            Unobserved::Unreadable => "unreadable",
            Unobserved::FragmentsLost => "fragments_lost",
            Unobserved::StreamsSkipped => "streams_skipped",
            Unobserved::ConnectionsLost => "connections_lost",
            Unobserved::Folded => "folded",
            Unobserved::Blind => "blind",
            Unobserved::Clock => "clock",
            Unobserved::Restored => "restored",
        }
    }

    /// The reason that a counter of a report in format 3 or older implies, by counter number in the wire format.
    ///
    /// Reports contain their reasons since format 4. This table only judges older ones and must not change: the ledger
    /// was built with it.
    pub const fn of_old_counter(number: u16) -> Option<Unobserved> {
        match number {
            40 => Some(Unobserved::KernelDrop),
            41 => Some(Unobserved::InterfaceDrop),
            23 | 42 | 43 | 82 | 83 => Some(Unobserved::Unreadable),
            44 => Some(Unobserved::FragmentsLost),
            45 | 46 => Some(Unobserved::StreamsSkipped),
            84 | 85 => Some(Unobserved::ConnectionsLost),
            60 | 63 | 64 => Some(Unobserved::Folded),
            66 => Some(Unobserved::Blind),
            30 | 31 | 57 => Some(Unobserved::Clock),
            _ => None,
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// A set of reasons. The empty set means: observed.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reasons(u32);

impl Reasons {
    /// No reason: observed without loss.
    pub const NONE: Reasons = Reasons(0);

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a reason is in the set.
    pub const fn has(self, reason: Unobserved) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Whether all reasons of another set are in this one.
    pub const fn includes(self, other: Reasons) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds a reason.
    pub const fn insert(&mut self, reason: Unobserved) {
        self.0 |= reason.bit();
    }

    /// The reasons of either set.
    #[must_use]
    pub const fn union(self, other: Reasons) -> Reasons {
        Reasons(self.0 | other.0)
    }

    /// The reasons, by number.
    pub fn iter(self) -> impl Iterator<Item = Unobserved> {
        Unobserved::ALL.into_iter().filter(move |reason| self.has(*reason))
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// Keeps bits that only a later version knows: such time is not observed, either.
    pub(crate) const fn from_bits(bits: u32) -> Reasons {
        Reasons(bits)
    }
}

impl FromIterator<Unobserved> for Reasons {
    fn from_iter<I: IntoIterator<Item = Unobserved>>(reasons: I) -> Self {
        let mut set = Reasons::NONE;
        reasons.into_iter().for_each(|reason| set.insert(reason));
        set
    }
}

impl From<Unobserved> for Reasons {
    fn from(reason: Unobserved) -> Self {
        Reasons(reason.bit())
    }
}

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Unobserved::as_str)).finish()
    }
}

/// What a batch may have missed of the time that it covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// Why messages of any zone may have been missed.
    pub why: Reasons,
    /// The zones of which messages were counted under `<other> zone.`, by canonical name, at most [`Loss::MAX_ZONES`].
    pub folded: Vec<String>,
}

impl Loss {
    /// Maximum number of zones per batch; if more have folded messages, use [`Unobserved::Folded`] for all zones.
    pub const MAX_ZONES: usize = 64;

    /// Whether the zones are few enough and have canonical names.
    pub(crate) fn is_good(&self) -> bool {
        self.folded.len() <= Self::MAX_ZONES && self.folded.iter().all(|zone| name::is_canonical(zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_its_own_number_and_name() {
        let names: BTreeSet<&str> = Unobserved::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Unobserved::ALL.len());
        for (number, reason) in Unobserved::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            assert_eq!(Reasons::from(reason).iter().collect::<Vec<_>>(), [reason]);
        }
    }

    #[test]
    fn a_reason_of_a_later_version_is_not_observed() {
        let later = Reasons::from_bits(1 << 31);
        assert!(!later.is_empty());
        assert_eq!(later.iter().count(), 0);
    }
}
