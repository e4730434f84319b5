//! Why a verdict is what it is.

use super::judge::{Inputs, Subject, Verdicts, is_structural};
use super::observed::{self, Observed};
use super::{Created, Evidence, Verdict, Why};
use crate::Name;
use crate::protection::Protection;
use crate::set::{Entry, Slot, ZoneIndex};
use crate::usage::{Used, Via};
use crate::zone::RrsetRef;
use zonepulse_dns::RecordType;

/// Part of the explanation of a verdict. Its text, with the numbers behind it, is [`Reason::text`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The zone does not work without records of this type.
    Structural(RecordType),
    /// Another RRset leads here.
    Referred {
        /// Owner and type of the RRset that refers to this one directly.
        by: (Name, RecordType),
        /// Owner and type of the RRset at the beginning of the way, if it is another.
        from: Option<(Name, RecordType)>,
        /// Why that one is needed.
        root: Root,
    },
    /// A rule protects it.
    Protected {
        /// The rule's reason.
        reason: String,
        /// The rule's source.
        source: String,
    },
    /// The operator protects it.
    ProtectedByOperator(String),
    /// The operator lifted this rule's protection.
    Allowed(String),
    /// Used within the window.
    Used(Used),
    /// Every use was by queries of type ANY.
    OnlyAny,
    /// Created within the grace period, at this time.
    New(i64),
    /// An RRset leads here that cannot be judged yet: its owner and type.
    Awaited(Name, RecordType),
    /// Our servers do not serve the zone.
    NoServers,
    /// Others serve the zone, too.
    OthersServe,
    /// Others serve the zone, too, and the operator judges it by our servers.
    OthersWaived,
    /// A server was not observed in part of the period.
    NotObserved {
        /// The server.
        server: String,
        /// The beginning of the longest period in which it was not.
        from_ms: i64,
        /// How long that was.
        length_ms: i64,
        /// Why.
        why: Why,
        /// How many further periods there are, and how long all are together.
        more: Option<(usize, i64)>,
    },
    /// How much was observed.
    Share {
        /// Servers without a gap.
        complete: usize,
        /// All servers.
        servers: usize,
        /// The observed share of the time of all servers.
        share: f64,
    },
    /// The period is shorter than the largest TTL and the margin.
    TooShort {
        /// Its length.
        length_ms: i64,
        /// The required length.
        required_ms: i64,
    },
    /// Used before the window, at this time, and every server was observed since the beginning of the period.
    Unused {
        /// The last use.
        last_ms: i64,
        /// The beginning of the period.
        since_ms: i64,
    },
    /// Never used, and every server was observed since the beginning of the period.
    NeverUsed {
        /// The beginning of the period.
        since_ms: i64,
        /// Whether that is its creation.
        is_creation: bool,
    },
    /// Below the zone cut or DNAME of this owner and type, so that servers never answer with it.
    Occluded(Name, RecordType),
    /// What rhythm of use can be ruled out.
    Rhythm {
        /// The rarest, in words; `None` if not even weekly use can.
        rarest: Option<&'static str>,
        /// The length of the period that rules it out.
        length_ms: i64,
        /// Which period that is.
        period: Period,
    },
    /// What the verdict is based on.
    Evidence(Evidence),
}

/// A period without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// The window, or its part since the creation of the RRset.
    Window,
    /// The time since the last gap.
    SinceGap,
    /// None, as there are servers that cannot be seen.
    Nothing,
}

/// Why an RRset keeps what it refers to.
#[derive(Debug, Clone, PartialEq)]
pub enum Root {
    /// It was used.
    Used(Used),
    /// It is protected, for this reason.
    Protected(String),
    /// It is structural.
    Structural,
}

/// How many servers with gaps are listed.
const MAX_SERVERS: usize = 3;

impl Verdicts {
    /// Why the verdict on an RRset is what it is, the most important reason first.
    pub fn reasons(&self, inputs: &Inputs<'_>, slot: Slot) -> Vec<Reason> {
        let located = inputs.zones.locate(slot).and_then(|(zone, rrset)| Some((zone, inputs.zones.entry(zone)?, rrset)));
        let row = self.rows.get(slot.at());
        let (Some((zone, entry, rrset)), Some(row)) = (located, row) else { return Vec::new() };
        let Some(observed) = self.observed.get(zone.0 as usize) else { return Vec::new() };
        let subject = Subject::new(inputs, observed, slot, rrset.ttl());
        let mut reasons = Vec::with_capacity(4);
        match row.verdict {
            Verdict::Needed => reasons.extend(self.needed(inputs, entry, slot, rrset)),
            Verdict::Protected => reasons.extend(inputs.protected.get(slot).map(protected)),
            Verdict::Used => used(inputs, slot, &mut reasons),
            Verdict::New => reasons.extend(subject.created_ms().map(Reason::New)),
            Verdict::Unobserved => unobserved(inputs, zone, observed, &subject, &mut reasons),
            Verdict::Unused | Verdict::NeverUsed => reasons.push(quiet(inputs, slot, &subject)),
        }
        if row.verdict >= Verdict::Used {
            reasons.extend(inputs.protected.allowed(slot).map(|rule| Reason::Allowed(rule.reason.clone())));
            reasons.extend(occluded(entry, rrset));
        }
        if row.verdict >= Verdict::Unused {
            let observation = inputs.observation.get(zone.0 as usize);
            let waived = observation.is_some_and(|zone| zone.others_serve_it && zone.others_waived);
            reasons.extend(waived.then_some(Reason::OthersWaived));
            let newcomer = self.awaited.referrer(slot).and_then(|referrer| inputs.zones.locate(referrer));
            reasons.extend(newcomer.map(|(_, rrset)| Reason::Awaited(rrset.owner(), rrset.rtype())));
        }
        reasons.push(rhythm(&subject, inputs.window.now_ms));
        reasons.push(Reason::Evidence(Evidence::Queries));
        reasons
    }

    fn needed(&self, inputs: &Inputs<'_>, entry: &Entry, slot: Slot, rrset: RrsetRef<'_>) -> Option<Reason> {
        let is_at_apex = (rrset.index().get() as usize) < entry.zone.at(entry.zone.apex()).len();
        if is_structural(rrset, is_at_apex) {
            return Some(Reason::Structural(rrset.rtype()));
        }
        let (referrer, root) = self.reached.referrer(slot).zip(self.reached.root(slot))?;
        let name = |slot: Slot| inputs.zones.locate(slot).map(|(_, rrset)| (rrset.owner(), rrset.rtype()));
        let why = match (inputs.usage.get(root).filter(|used| inputs.window.contains(used)), inputs.protected.get(root)) {
            (Some(used), _) => Root::Used(used),
            (None, Some(Protection::Rule(rule))) => Root::Protected(rule.reason.clone()),
            (None, Some(Protection::Operator(reason))) => Root::Protected(reason.to_owned()),
            (None, None) => Root::Structural,
        };
        let from = if referrer == root { None } else { name(root) };
        Some(Reason::Referred { by: name(referrer)?, from, root: why })
    }
}

impl Subject<'_> {
    fn created_ms(&self) -> Option<i64> {
        match self.created() {
            Created::At(created_ms) => Some(created_ms),
            Created::Before => None,
        }
    }
}

fn protected(protection: Protection<'_>) -> Reason {
    match protection {
        Protection::Rule(rule) => Reason::Protected { reason: rule.reason.clone(), source: rule.source.clone() },
        Protection::Operator(reason) => Reason::ProtectedByOperator(reason.to_owned()),
    }
}

fn used(inputs: &Inputs<'_>, slot: Slot, reasons: &mut Vec<Reason>) {
    let Some(used) = inputs.usage.get(slot) else { return };
    reasons.push(Reason::Used(used));
    reasons.extend(used.vias.is_only(Via::Any).then_some(Reason::OnlyAny));
}

fn quiet(inputs: &Inputs<'_>, slot: Slot, subject: &Subject<'_>) -> Reason {
    let since_ms = subject.start_ms();
    match inputs.usage.get(slot) {
        Some(used) => Reason::Unused { last_ms: used.last_ms, since_ms },
        None => {
            let is_creation = subject.created_ms().is_some_and(|created_ms| created_ms >= since_ms);
            Reason::NeverUsed { since_ms, is_creation }
        }
    }
}

fn unobserved(inputs: &Inputs<'_>, zone: ZoneIndex, observed: &Observed, subject: &Subject<'_>, reasons: &mut Vec<Reason>) {
    let observation = inputs.observation.get(zone.0 as usize).filter(|observation| !observation.servers.is_empty());
    let Some(observation) = observation else { return reasons.push(Reason::NoServers) };
    reasons.extend(observed.is_hidden.then_some(Reason::OthersServe));
    let mut gaps = Vec::new();
    for (at, server) in observation.servers.iter().enumerate() {
        let periods = observed::missing(observation, at, &inputs.window, subject.start_ms());
        let total_ms = observed::length_ms(&periods);
        let longest = periods.iter().max_by_key(|period| period.to_ms.saturating_sub(period.from_ms));
        if let Some(longest) = longest {
            let length_ms = longest.to_ms.saturating_sub(longest.from_ms);
            let more = (periods.len() > 1).then(|| (periods.len() - 1, total_ms));
            let (server, why) = (server.name.clone(), longest.why.clone());
            let gap = Reason::NotObserved { server, from_ms: longest.from_ms, length_ms, why, more };
            gaps.push((total_ms, gap));
        }
    }
    let servers = observation.servers.len();
    if !gaps.is_empty() {
        let (all_ms, missing_ms) = (subject.length_ms(), gaps.iter().map(|(total_ms, _)| *total_ms as f64).sum::<f64>());
        let share = if all_ms > 0 { 1.0 - missing_ms / (all_ms as f64 * servers as f64) } else { 0.0 };
        gaps.sort_by_key(|(total_ms, _)| std::cmp::Reverse(*total_ms));
        reasons.push(Reason::Share { complete: servers - gaps.len(), servers, share });
        reasons.extend(gaps.into_iter().take(MAX_SERVERS).map(|(_, gap)| gap));
    }
    let (length_ms, required_ms) = (subject.length_ms(), subject.required_ms());
    reasons.extend((length_ms < required_ms).then_some(Reason::TooShort { length_ms, required_ms }));
}

/// The cut or DNAME that hides an RRset, unless the RRset belongs to the parent's side of the cut or is glue.
fn occluded(entry: &Entry, rrset: RrsetRef<'_>) -> Option<Reason> {
    let owner = rrset.owner();
    let apex = entry.zone.apex();
    let mut above: Vec<Name> = owner.ancestors().filter_map(Name::from_wire).take_while(|name| name != apex).collect();
    above.push(apex.clone());
    for name in above.iter().rev() {
        let is_owner = *name == owner;
        let types = entry.zone.at(name).map(|set| set.rtype());
        // NS, then DNAME. At the cut itself, NS, DS and NSEC belong to this zone (RFC 4035 section 2).
        let hides = |rtype: &RecordType| match rtype.value() {
            2 => name != apex && !(is_owner && matches!(rrset.rtype().value(), 2 | 43 | 46 | 47)),
            39 => !is_owner,
            _ => false,
        };
        if let Some(rtype) = types.into_iter().find(hides) {
            return (!is_glue(entry, rrset, &owner)).then(|| Reason::Occluded(name.clone(), rtype));
        }
    }
    None
}

/// Whether an address is that of a name server of one of the zone's cuts above it.
fn is_glue(entry: &Entry, rrset: RrsetRef<'_>, owner: &Name) -> bool {
    if !matches!(rrset.rtype().value(), 1 | 28) {
        return false;
    }
    let ancestors = owner.ancestors().filter_map(Name::from_wire);
    let mut cuts = ancestors.filter_map(|name| entry.zone.find(&name, RecordType::NS));
    cuts.any(|ns| ns.rdatas().any(|rdata| rdata == owner.wire()))
}

/// The rarest rhythm that can be ruled out.
fn rhythm(subject: &Subject<'_>, now_ms: i64) -> Reason {
    let (period, length_ms) = match subject.last_gap_ms() {
        _ if subject.is_hidden() => (Period::Nothing, 0),
        Some(end_ms) => (Period::SinceGap, now_ms.saturating_sub(end_ms)),
        None => (Period::Window, subject.length_ms()),
    };
    let rarest = match length_ms / 86_400_000 {
        400.. => Some("yearly"),
        100.. => Some("quarterly"),
        35.. => Some("monthly"),
        8.. => Some("weekly"),
        _ => None,
    };
    Reason::Rhythm { rarest, length_ms, period }
}
