//! What an authoritative server answers.
//!
//! RFC 1034 section 4.3.2 goes down from the apex, label by label, and stops at the first of these:
//!
//! * a zone cut (NS below the apex): the answer is a referral, and everything below is occluded;
//! * a DNAME above the name: the name is rewritten, and the search starts again (RFC 6672 section 3.2);
//! * the name itself: its RRset, its CNAME, or nothing of that type (NODATA);
//! * the closest encloser, below which the next label does not exist: the wildcard there answers (RFC 4592), or the name
//!   does not exist (NXDOMAIN). A name exists if it has records or if a name below it does (RFC 8020).
//!
//! Servers agree on nearly all of this. They differ (Knot DNS 3.2, NSD 4.6 and BIND 9.18 were tried) in:
//!
//! * chains: Knot follows 5 CNAMEs, BIND 12 and then says SERVFAIL, NSD has no limit. Here it is [`MAX_CHAIN`].
//! * loops: Knot and NSD answer NOERROR with the CNAMEs of the loop, BIND SERVFAIL. Here it is NOERROR.
//! * NS at a wildcard, which RFC 4592 section 4.2 leaves undefined: Knot refers, NSD answers with it as with any other
//!   type, BIND does not load the zone. Here it is an answer as RFC 1034 says, but the NS RRset is credited in any case.
//! * ANY: Knot and NSD choose one RRset (RFC 8482), BIND answers with all, and so does this module. Below a DNAME, Knot
//!   and NSD go on with the name that it is rewritten to, BIND stops. Here, the lookup goes on.
//! * records below a DNAME: NSD does not load the zone, Knot only if told to and then answers with them, BIND occludes
//!   them. Here they are occluded (RFC 6672 section 2.4).
//! * RRSIG, NSEC and KEY at a CNAME: Knot and BIND answer with RRSIG and NSEC, NSD follows the CNAME, only BIND excepts
//!   KEY. Here it is as in Knot.

mod find;
mod print;

pub use print::print;

use crate::Name;
use crate::zone::{RrsetIndex, RrsetRef, Zone};
use find::Found;
use hashbrown::HashSet;
use zonepulse_dns::{RecordType, ResponseCode};

/// Maximum number of CNAMEs, synthesised ones included, in a chain. [`Answer::next`] says where it would go on.
pub const MAX_CHAIN: usize = 16;

const REFUSED: ResponseCode = ResponseCode::from_masked(5);
const YXDOMAIN: ResponseCode = ResponseCode::from_masked(6);

/// A zone, possibly without some of its RRsets.
#[derive(Clone, Copy)]
pub struct View<'a> {
    zone: &'a Zone,
    removed: Removed<'a>,
}

/// What is missing in a view.
#[derive(Clone, Copy)]
enum Removed<'a> {
    Nothing,
    Where(&'a dyn Fn(RrsetIndex) -> bool),
    Sorted(&'a [RrsetIndex]),
}

impl<'a> View<'a> {
    /// The whole zone.
    pub fn new(zone: &'a Zone) -> Self {
        View { zone, removed: Removed::Nothing }
    }

    /// The zone without the RRsets for which `removed` returns true.
    ///
    /// To learn whether a name exists, a lookup may ask about every RRset below it until one remains.
    pub fn without(zone: &'a Zone, removed: &'a dyn Fn(RrsetIndex) -> bool) -> Self {
        View { zone, removed: Removed::Where(removed) }
    }

    /// The zone without these RRsets, which are in order and listed once. However many they are, a lookup asks whether a
    /// name exists in logarithmic time.
    pub fn without_sorted(zone: &'a Zone, removed: &'a [RrsetIndex]) -> Self {
        View { zone, removed: Removed::Sorted(removed) }
    }

    /// The zone of which this is a view.
    pub fn zone(&self) -> &'a Zone {
        self.zone
    }

    /// Whether an RRset is in the view.
    pub fn has(&self, index: RrsetIndex) -> bool {
        match self.removed {
            Removed::Nothing => true,
            Removed::Where(removed) => !removed(index),
            Removed::Sorted(removed) => removed.binary_search(&index).is_err(),
        }
    }
}

/// How an RRset takes part in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// In the answer section.
    Answer,
    /// NS or DS of a referral.
    Referral,
    /// Address of a name server in a referral.
    Glue,
    /// SOA of a negative answer (RFC 2308 section 3).
    Denial,
}

/// An RRset that a response was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Used {
    /// The RRset.
    pub index: RrsetIndex,
    /// What it was used as.
    pub role: Role,
}

/// An RRset in the answer section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Owner in the message: for a wildcard, the name in question.
    pub owner: Name,
    /// The RRset it comes from.
    pub index: RrsetIndex,
    /// The target, if this is a CNAME that the server synthesises from the DNAME at `index`, with that DNAME's TTL.
    pub synthesised: Option<Name>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// NOERROR, NXDOMAIN, YXDOMAIN, or REFUSED for a name outside the zone.
    pub rcode: ResponseCode,
    /// The answer section.
    pub answer: Vec<Answered>,
    /// Every RRset that the query credits, once per role.
    pub used: Vec<Used>,
    /// Where a chain leaves the zone, or exceeds [`MAX_CHAIN`].
    pub next: Option<Name>,
    /// The NS RRset to which the response refers.
    pub cut: Option<RrsetIndex>,
    /// The closest encloser of the last name of the chain, if that name does not exist (RFC 4592 section 3.3.1).
    pub closest_encloser: Option<Name>,
    /// Whether the last name of the chain, or the wildcard that it matches, is an empty non-terminal.
    pub empty_non_terminal: bool,
}

/// Answers a query, which may be for ANY, as an authoritative server does.
pub fn lookup(view: &View<'_>, name: &Name, rtype: RecordType) -> Answer {
    let mut lookup = Lookup { view: *view, rtype, response: empty(ResponseCode::NOERROR), earlier: 0 };
    if !name.is_at_or_below(view.zone.apex()) {
        return empty(REFUSED);
    }
    let mut next = lookup.step(name);
    for _ in 1..MAX_CHAIN {
        let Some(name) = next.take_if(|next| next.is_at_or_below(view.zone.apex())) else { break };
        next = lookup.step(&name);
    }
    lookup.finish(next)
}

fn empty(rcode: ResponseCode) -> Answer {
    Answer {
        rcode,
        answer: Vec::new(),
        used: Vec::new(),
        next: None,
        cut: None,
        closest_encloser: None,
        empty_non_terminal: false,
    }
}

/// A response in the making.
struct Lookup<'a> {
    view: View<'a>,
    rtype: RecordType,
    response: Answer,
    /// Length of the answer section when the last name of the chain was reached.
    earlier: usize,
}

impl Lookup<'_> {
    /// Answers one name of a chain, and returns the next one.
    fn step(&mut self, name: &Name) -> Option<Name> {
        self.earlier = self.response.answer.len();
        match find::find(&self.view, name, self.rtype) {
            Found::Cut(ns) => {
                self.refer(ns);
                None
            }
            Found::Dname(dname) => self.rewrite(name, dname),
            Found::Name => self.match_node(name, name),
            Found::Wildcard { encloser, wildcard } => {
                self.credit_wildcard_ns(&wildcard);
                self.response.closest_encloser = Some(encloser);
                let next = self.match_node(name, &wildcard);
                if next.is_some() {
                    self.response.closest_encloser = None;
                }
                next
            }
            Found::Nothing { encloser } => {
                self.response.closest_encloser = Some(encloser);
                self.deny(ResponseCode::NXDOMAIN);
                None
            }
        }
    }

    /// RFC 1034 section 4.3.2, steps 3a and 3c: matches the type at `source`, which is the name or a wildcard.
    fn match_node(&mut self, name: &Name, source: &Name) -> Option<Name> {
        let (view, rtype) = (self.view, self.rtype);
        let keeps_cname = [RecordType::ANY, RecordType::CNAME, RecordType::RRSIG, RecordType::NSEC].contains(&rtype);
        if let Some(cname) = view.find(source.wire(), RecordType::CNAME).filter(|_| !keeps_cname) {
            let target = cname.rdatas().next().and_then(Name::from_wire);
            return self.answer(name, cname, None).then_some(target)?;
        }
        let mut sets = view.at(source.wire()).peekable();
        self.response.empty_non_terminal = sets.peek().is_none() && source != view.zone.apex();
        let mut found = false;
        for set in sets.filter(|set| rtype == RecordType::ANY || set.rtype() == rtype) {
            found = true;
            self.answer(name, set, None);
        }
        if !found {
            self.deny(ResponseCode::NOERROR);
        }
        None
    }

    /// RFC 6672 section 3.2, step 3c: the DNAME, and a CNAME synthesised from it.
    fn rewrite(&mut self, name: &Name, dname: RrsetRef<'_>) -> Option<Name> {
        let owner = dname.owner();
        self.answer(&owner, dname, None);
        let target = dname.rdatas().next().and_then(Name::from_wire)?;
        let Some(next) = name.replace_suffix(&owner, &target) else {
            self.response.rcode = YXDOMAIN;
            return None;
        };
        let is_new = self.answer(name, dname, Some(next.clone()));
        // The synthesised CNAME is what such a query asks for: all three servers stop here.
        (is_new && self.rtype != RecordType::CNAME).then_some(next)
    }

    /// RFC 1034 section 4.3.2, step 3b: a referral.
    fn refer(&mut self, ns: RrsetRef<'_>) {
        let view = self.view;
        self.response.cut = Some(ns.index());
        self.credit(ns, Role::Referral);
        let ds = view.find(ns.owner().wire(), RecordType::DS);
        ds.into_iter().for_each(|ds| self.credit(ds, Role::Referral));
        for target in ns.rdatas().filter_map(Name::from_wire) {
            self.credit_glue(&target);
        }
    }

    /// The addresses of a name server: those at its name, below a cut or not, or those of a wildcard, which Knot adds.
    fn credit_glue(&mut self, target: &Name) {
        if !target.is_at_or_below(self.view.zone.apex()) {
            return;
        }
        let source = match find::find_glue(&self.view, target) {
            Found::Wildcard { wildcard, .. } => wildcard,
            _ => target.clone(),
        };
        let addresses = self.view.at(source.wire()).filter(|set| [RecordType::A, RecordType::AAAA].contains(&set.rtype()));
        addresses.for_each(|address| self.credit(address, Role::Glue));
    }

    /// RFC 2308 section 3: negative answers carry the SOA.
    fn deny(&mut self, rcode: ResponseCode) {
        self.response.rcode = rcode;
        let soa = self.view.find(self.view.zone.apex().wire(), RecordType::SOA);
        soa.into_iter().for_each(|soa| self.credit(soa, Role::Denial));
    }

    /// Some servers refer to a wildcard's name servers, whatever the type.
    fn credit_wildcard_ns(&mut self, wildcard: &Name) {
        let ns = self.view.find(wildcard.wire(), RecordType::NS);
        ns.into_iter().for_each(|ns| self.credit(ns, Role::Referral));
    }

    /// Adds an RRset to the answer section. False if an earlier name did, and a chain is thus a loop.
    fn answer(&mut self, owner: &Name, set: RrsetRef<'_>, synthesised: Option<Name>) -> bool {
        let answered = Answered { owner: owner.clone(), index: set.index(), synthesised };
        let is_new = !self.response.answer.iter().take(self.earlier).any(|other| *other == answered);
        if is_new {
            self.response.answer.push(answered);
            self.credit(set, Role::Answer);
        }
        is_new
    }

    fn credit(&mut self, set: RrsetRef<'_>, role: Role) {
        self.response.used.push(Used { index: set.index(), role });
    }

    /// The response, in which every RRset is credited once per role.
    fn finish(self, next: Option<Name>) -> Answer {
        let mut answer = Answer { next, ..self.response };
        if answer.used.len() > 1 {
            let mut seen = HashSet::with_capacity(answer.used.len());
            answer.used.retain(|used| seen.insert(*used));
        }
        answer
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
