//! The verdicts of all RRsets.

use super::Verdict;
use super::input::{Created, Facts, Window, ZoneObservation};
use super::observed::Observed;
use crate::protection::Protected;
use crate::references::{Reached, References};
use crate::set::{Slot, ZoneIndex, ZoneSet};
use crate::usage::{Usage, Used};
use crate::zone::RrsetRef;

/// What verdicts are computed from. Everything has the slots of `zones`.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The zones.
    pub zones: &'a ZoneSet,
    /// What refers to what.
    pub references: &'a References,
    /// What is protected.
    pub protected: &'a Protected,
    /// What was used.
    pub usage: &'a Usage,
    /// What is known of each RRset, by slot.
    pub facts: &'a [Facts],
    /// Which queries could be seen, by zone.
    pub observation: &'a [ZoneObservation],
    /// The period.
    pub window: Window,
}

/// The verdicts of all RRsets.
#[derive(Debug)]
pub struct Verdicts {
    pub(super) rows: Vec<Row>,
    pub(super) reached: Reached,
    /// What RRsets lead to that cannot be judged yet.
    pub(super) awaited: Reached,
    pub(super) observed: Vec<Observed>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub verdict: Verdict,
    pub quiet_for_s: u32,
}

impl Verdicts {
    /// Judges all RRsets.
    pub fn new(inputs: &Inputs<'_>) -> Self {
        let structural = structural(inputs.zones);
        let is_structural = |slot: Slot| structural.get(slot.at()).copied().unwrap_or_default();
        let is_used = |slot: Slot| inputs.usage.get(slot).is_some_and(|used| inputs.window.contains(&used));
        let is_root = |slot: Slot| is_structural(slot) || inputs.protected.contains(slot) || is_used(slot);
        let reached = inputs.references.reach(is_root);
        let mut rows = Vec::with_capacity(inputs.zones.len());
        let mut all_observed = Vec::new();
        let nothing = ZoneObservation::default();
        for (zone, entry) in inputs.zones.zones() {
            let observation = inputs.observation.get(zone.0 as usize).unwrap_or(&nothing);
            let observed = Observed::new(observation, &inputs.window);
            let slots = inputs.zones.slots(zone).filter_map(Slot::new);
            for (slot, rrset) in slots.zip(entry.zone.iter()) {
                let subject = Subject::new(inputs, &observed, slot, rrset.ttl());
                let is_needed = is_structural(slot) || reached.contains(slot);
                let verdict = subject.verdict(is_needed, inputs.protected.contains(slot));
                rows.push(Row { verdict, quiet_for_s: subject.quiet_for_s() });
            }
            all_observed.push(observed);
        }
        let is_awaited = |row: &Row| matches!(row.verdict, Verdict::New | Verdict::Unobserved);
        let has_idle = rows.iter().any(|row| row.verdict > Verdict::Unobserved);
        let awaited = match has_idle && rows.iter().any(is_awaited) {
            true => inputs.references.reach(|slot| rows.get(slot.at()).is_some_and(is_awaited)),
            false => Reached::default(),
        };
        Verdicts { rows, reached, awaited, observed: all_observed }
    }

    /// Number of RRsets.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no RRsets.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The verdict on an RRset.
    pub fn verdict(&self, slot: Slot) -> Option<Verdict> {
        self.rows.get(slot.at()).map(|row| row.verdict)
    }

    /// For how long nobody needed an RRset, as far as was observed; see the [module](super).
    pub fn quiet_for_s(&self, slot: Slot) -> Option<u32> {
        self.rows.get(slot.at()).map(|row| row.quiet_for_s)
    }

    /// The share of the window in which the servers of a zone were observed, from 0 to 1; 0 for a zone without servers.
    pub fn observed_share(&self, zone: ZoneIndex) -> Option<f64> {
        self.observed.get(zone.0 as usize).map(|observed| observed.share)
    }
}

impl Window {
    /// Whether an RRset was used within the window.
    pub(super) fn contains(&self, used: &Used) -> bool {
        used.last_ms >= self.start_ms()
    }
}

/// One RRset, and everything that its verdict depends on.
pub(super) struct Subject<'a> {
    window: &'a Window,
    observed: &'a Observed,
    used: Option<Used>,
    created: Created,
    /// T, in milliseconds.
    ttl_ms: i64,
}

impl<'a> Subject<'a> {
    pub fn new(inputs: &'a Inputs<'_>, observed: &'a Observed, slot: Slot, ttl: u32) -> Self {
        let facts = inputs.facts.get(slot.at()).copied().unwrap_or_default();
        let ttl_ms = i64::from(ttl.max(facts.largest_ttl).min(inputs.window.ttl_cap_s)) * 1000;
        Subject { window: &inputs.window, observed, used: inputs.usage.get(slot), created: facts.created, ttl_ms }
    }

    /// When the RRset was created.
    pub fn created(&self) -> Created {
        self.created
    }

    /// When the period begins by which this RRset is judged.
    pub fn start_ms(&self) -> i64 {
        let start_ms = self.window.start_ms();
        match self.created {
            Created::Before => start_ms,
            Created::At(created_ms) => start_ms.max(created_ms),
        }
    }

    /// How long the period must be at least.
    pub fn required_ms(&self) -> i64 {
        self.ttl_ms.saturating_add(self.window.margin_ms)
    }

    /// How long the period is.
    pub fn length_ms(&self) -> i64 {
        self.window.now_ms.saturating_sub(self.start_ms())
    }

    /// When the last gap within the period ended.
    pub fn last_gap_ms(&self) -> Option<i64> {
        self.observed.last_missing_ms.filter(|end_ms| *end_ms > self.start_ms())
    }

    /// Whether servers answer that cannot be seen.
    pub fn is_hidden(&self) -> bool {
        self.observed.is_hidden
    }

    fn is_new(&self) -> bool {
        let newest = self.window.now_ms.saturating_sub(self.window.grace_ms);
        matches!(self.created, Created::At(created_ms) if created_ms > newest)
    }

    fn is_unobserved(&self) -> bool {
        self.is_hidden() || self.last_gap_ms().is_some() || self.length_ms() < self.required_ms()
    }

    /// The first that applies.
    fn verdict(&self, is_needed: bool, is_protected: bool) -> Verdict {
        match self.used {
            _ if is_needed => Verdict::Needed,
            _ if is_protected => Verdict::Protected,
            Some(used) if self.window.contains(&used) => Verdict::Used,
            _ if self.is_new() => Verdict::New,
            _ if self.is_unobserved() => Verdict::Unobserved,
            Some(_) => Verdict::Unused,
            None => Verdict::NeverUsed,
        }
    }

    fn quiet_for_s(&self) -> u32 {
        if self.is_hidden() {
            return 0;
        }
        let last_use_ms = self.used.map_or(i64::MIN, |used| used.last_ms);
        let last_missing_ms = self.observed.last_missing_ms.unwrap_or(i64::MIN);
        let start_ms = self.start_ms().max(last_use_ms).max(last_missing_ms);
        let quiet_ms = self.observed.end_ms.saturating_sub(start_ms).saturating_sub(self.ttl_ms);
        u32::try_from(quiet_ms.max(0) / 1000).unwrap_or(u32::MAX)
    }
}

/// Whether an RRset belongs to the structure of its zone.
pub(super) fn is_structural(rrset: RrsetRef<'_>, is_at_apex: bool) -> bool {
    match rrset.rtype().value() {
        // NS
        2 => is_at_apex,
        // SOA, RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY, CSYNC, ZONEMD
        6 | 46 | 47 | 48 | 50 | 51 | 59 | 60 | 62 | 63 => true,
        _ => false,
    }
}

/// By slot, whether an RRset belongs to the structure of its zone.
fn structural(zones: &ZoneSet) -> Vec<bool> {
    let mut all = Vec::with_capacity(zones.len());
    for (index, entry) in zones.zones() {
        let at_apex = entry.zone.at(entry.zone.apex()).len();
        let rrsets = entry.zone.iter().take(zones.slots(index).len());
        all.extend(rrsets.map(|rrset| is_structural(rrset, (rrset.index().get() as usize) < at_apex)));
    }
    all
}
