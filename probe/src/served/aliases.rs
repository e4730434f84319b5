//! How far the aliases in an answer section lead.
//!
//! A server follows CNAMEs from the name in the question as far as its zones reach (RFC 1034 section
//! 4.3.2), and rewrites names below a DNAME by adding a CNAME that no zone contains (RFC 6672
//! section 3.1).

use super::names::Name;
use super::records::{Data, Record};
use zonepulse_dns::RecordType;

/// Maximum number of aliases that are followed. Servers stop much earlier.
const MAX_ALIASES: usize = 64;
/// Maximum number of DNAMEs in an answer, for the same reason.
const MAX_DNAMES: usize = 64;

/// The aliases of an answer section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aliases<'r> {
    message: &'r [u8],
    answers: &'r [Record],
    /// Whether there is any DNAME.
    redirects: bool,
}

impl<'r> Aliases<'r> {
    /// `None` if there are more DNAMEs than any server sends.
    pub(super) fn new(message: &'r [u8], answers: &'r [Record]) -> Option<Self> {
        let dnames = answers.iter().filter(|record| record.record_type == RecordType::DNAME).count();
        (dnames <= MAX_DNAMES).then_some(Aliases { message, answers, redirects: dnames > 0 })
    }

    /// Whether a record is a CNAME made from a DNAME: its owner is below the DNAME's, and its target
    /// is what the DNAME makes of it.
    pub(super) fn is_synthetic(&self, record: &Record) -> bool {
        if !self.redirects {
            return false;
        }
        let (RecordType::CNAME, Data::Target(target)) = (record.record_type, record.data) else { return false };
        let dnames = self.answers.iter().filter(|record| record.record_type == RecordType::DNAME);
        dnames.into_iter().any(|dname| match dname.data {
            Data::Target(instead) => self.is_substitution(record.owner, dname.owner, target, instead),
            _ => false,
        })
    }

    /// Whether replacing `suffix` at the end of `owner` with `instead` gives `target`.
    fn is_substitution(&self, owner: Name, suffix: Name, target: Name, instead: Name) -> bool {
        let message = self.message;
        let Some(depth @ 1..) = owner.depth_below(suffix, message) else { return false };
        let (mut labels, mut target) = (owner.labels(message), target.labels(message));
        let same = |_| match (labels.next(), target.next()) {
            (Some(label), Some(other)) => label.eq_ignore_ascii_case(other),
            _ => false,
        };
        (0..depth).all(same) && target.is(instead.labels(message))
    }

    /// The name that the answer leads to from that of the question. If `are_meant`, CNAMEs are
    /// what was asked for, and are followed only if a DNAME made them.
    pub(super) fn end(&self, are_meant: bool) -> Name {
        let mut name = Name::QUESTION;
        for _ in 0..MAX_ALIASES {
            match self.target(name, are_meant) {
                Some(target) => name = target,
                None => break,
            }
        }
        name
    }

    fn target(&self, name: Name, are_meant: bool) -> Option<Name> {
        self.answers.iter().find_map(|record| match (record.record_type, record.data) {
            (RecordType::CNAME, Data::Target(target)) if record.owner.is(name, self.message) => {
                (!are_meant || self.is_synthetic(record)).then_some(target)
            }
            _ => None,
        })
    }
}
