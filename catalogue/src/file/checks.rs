//! What is wrong with a zone as a whole, although every record can be read.
//!
//! An error is what `named` or `kzonecheck` refuses a zone for; a warning is what they load although it cannot work as
//! written, or what one of them refuses without a reason in an RFC. Data below a zone cut or a DNAME is never looked at:
//! no server answers with it.

mod addresses;
mod owners;
mod records;

pub use records::{Item, Records};

use super::{Problem, Severity};
use crate::Name;
use crate::rdata;
use addresses::Addresses;
use std::sync::Arc;

const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const MX: u16 = 15;
const SRV: u16 = 33;
const DNAME: u16 = 39;
const DS: u16 = 43;
const DNSKEY: u16 = 48;
const CDS: u16 = 59;
const CDNSKEY: u16 = 60;
/// What may stand next to a CNAME: its signatures and denials (RFC 4034 sections 3 and 4, RFC 2535), and KEY.
const NEXT_TO_CNAME: [u16; 7] = [CNAME, 24, 25, 30, 46, 47, 50];

/// All records of one name.
struct Node<'a> {
    name: Name,
    items: &'a [Item],
    is_apex: bool,
    /// Below a zone cut or a DNAME.
    occluded: bool,
}

impl<'a> Node<'a> {
    fn of_type(&self, rtype: u16) -> impl Iterator<Item = &'a Item> + use<'a> {
        self.items.iter().filter(move |item| item.rtype.value() == rtype)
    }

    fn first(&self, rtype: u16) -> Option<&'a Item> {
        self.of_type(rtype).next()
    }
}

/// Where problems go, and what the checks need besides a name.
struct Check<'a, 'b> {
    records: &'a Records,
    apex: &'a Name,
    report: &'b mut dyn FnMut(Problem),
}

/// Reports what is wrong with a zone. `file` is the name of its file, for problems that have no line.
pub fn check(records: &Records, apex: Option<&Name>, file: &Arc<str>, report: &mut dyn FnMut(Problem)) {
    let whole = |message: &str| Problem {
        severity: Severity::Error,
        file: file.clone(),
        line: 0,
        column: 0,
        message: message.to_owned(),
    };
    for (item, message) in records.differing_ttls() {
        report(problem(item, Severity::Warning, message.clone()));
    }
    let Some(apex) = apex else {
        return report(whole("expected an SOA record, found none"));
    };
    let mut check = Check { records, apex, report };
    let apex_key = apex.key();
    let mut cut: Option<&[u8]> = None;
    let mut has_soa = false;
    let mut has_ns = false;
    for items in records.below(&apex_key).chunk_by(|a, b| a.key == b.key) {
        let Some((first, name)) = items.first().and_then(|first| Some((first, Name::from_key(&first.key)?))) else { continue };
        let occluded = cut.is_some_and(|cut| first.key.starts_with(cut) && first.key.len() > cut.len());
        let node = Node { name, items, is_apex: first.key == apex_key, occluded };
        if node.is_apex {
            has_soa = node.first(SOA).is_some();
            has_ns = node.first(NS).is_some();
        }
        check.node(&node);
        let is_cut = node.first(DNAME).is_some() || (!node.is_apex && node.first(NS).is_some());
        if is_cut && !occluded {
            cut = Some(&first.key);
        }
    }
    if !has_soa {
        (check.report)(whole(&format!("expected an SOA record at {apex}, found none")));
    }
    if !has_ns {
        (check.report)(whole(&format!("expected NS records at {apex}, found none")));
    }
}

fn problem(item: &Item, severity: Severity, message: String) -> Problem {
    Problem { severity, file: item.file.clone(), line: item.line, column: 0, message }
}

impl Check<'_, '_> {
    fn error(&mut self, item: &Item, message: String) {
        (self.report)(problem(item, Severity::Error, message));
    }

    fn warn(&mut self, item: &Item, message: String) {
        (self.report)(problem(item, Severity::Warning, message));
    }

    fn node(&mut self, node: &Node<'_>) {
        self.single(node);
        self.cname(node);
        self.cuts(node);
        if node.is_apex {
            self.apex_keys(node);
        }
        owners::check(node, |severity, item, message| (self.report)(problem(item, severity, message)));
        if node.occluded {
            return;
        }
        for item in [NS, MX, SRV].into_iter().flat_map(|rtype| node.of_type(rtype)) {
            self.target(node, item);
        }
    }

    /// Types of which a name has one record (RFC 1035, RFC 2181 section 10.1, RFC 6672 section 2.4).
    fn single(&mut self, node: &Node<'_>) {
        for rtype in [SOA, CNAME, DNAME] {
            for item in node.of_type(rtype).skip(1) {
                self.error(item, format!("expected one {} record at {}, found several", item.rtype, node.name));
            }
        }
        if !node.is_apex
            && let Some(item) = node.first(SOA)
        {
            self.error(item, format!("expected the SOA record at {}, found one at {}", self.apex, node.name));
        }
    }

    fn cname(&mut self, node: &Node<'_>) {
        let Some(cname) = node.first(CNAME) else { return };
        if let Some(other) = node.items.iter().find(|item| !NEXT_TO_CNAME.contains(&item.rtype.value())) {
            let message =
                format!("expected nothing next to the CNAME at {}, found {} (line {})", node.name, other.rtype, other.line);
            self.error(cname, message);
        }
    }

    /// NS, DNAME and DS.
    fn cuts(&mut self, node: &Node<'_>) {
        if let Some(ns) = node.first(NS).filter(|_| node.name.is_wildcard()) {
            self.error(ns, format!("expected no NS records at a wildcard, found some at {}", node.name));
        }
        if let Some(dname) = node.first(DNAME) {
            if !node.is_apex && node.first(NS).is_some() {
                self.warn(
                    dname,
                    format!("DNAME and NS records at {}; Knot refuses them, others use one (RFC 6672 section 2.3)", node.name),
                );
            }
            if self.records.has_below(&node.name) {
                let fate = "Knot refuses them, others do not answer with them (RFC 6672 section 2.4)";
                self.warn(dname, format!("names below the DNAME {} exist; {fate}", node.name));
            }
        }
        let Some(ds) = node.first(DS) else { return };
        if node.is_apex {
            self.error(ds, format!("expected DS records in the parent zone, found some at the apex {}", node.name));
        } else if node.first(NS).is_none() {
            self.warn(ds, format!("DS records at {}, which is not delegated (RFC 4035 section 2.4)", node.name));
        }
    }

    /// CDS and CDNSKEY say what the parent should publish, so they must match a key (RFC 7344 section 4.1).
    fn apex_keys(&mut self, node: &Node<'_>) {
        let keys: Vec<&Item> = node.of_type(DNSKEY).collect();
        for cds in node.of_type(CDS) {
            let [high, low, algorithm, ..] = *cds.rdata else { continue };
            let tag = u16::from_be_bytes([high, low]);
            let matches = |key: &&&Item| key.rdata.get(3) == Some(&algorithm) && key_tag(&key.rdata) == tag;
            if algorithm != 0 && keys.iter().find(matches).is_none() {
                self.error(
                    cds,
                    format!("expected a DNSKEY with key tag {tag} and algorithm {algorithm} for this CDS, found none"),
                );
            }
        }
        for cdnskey in node.of_type(CDNSKEY) {
            let deletes = cdnskey.rdata.get(3) == Some(&0);
            if !deletes && !keys.iter().any(|key| key.rdata == cdnskey.rdata) {
                self.error(cdnskey, "expected a DNSKEY that equals this CDNSKEY, found none".to_owned());
            }
        }
    }

    /// Whether the host that NS, MX or SRV names has addresses.
    fn target(&mut self, node: &Node<'_>, item: &Item) {
        let names = rdata::names(item.rtype, &item.rdata);
        let Some(target) = names.last().filter(|target| !target.is_root()) else { return };
        let what = format!("{} at {}", item.rtype, node.name);
        if owners::is_address(target) {
            self.warn(item, format!("expected a name in {what}, found what looks like an address: {target}"));
        }
        let needed = item.rtype.value() == NS;
        let severity = if needed { Severity::Error } else { Severity::Warning };
        let message = match addresses::of(self.records, self.apex, &node.name, target) {
            Addresses::Present | Addresses::Elsewhere => return,
            Addresses::Alias => {
                format!("expected the name of a host in {what}, found the CNAME {target} (RFC 2181 section 10.3)")
            }
            Addresses::Missing => format!("expected an address (A or AAAA) of {target} in {what}, found none"),
        };
        (self.report)(problem(item, severity, message));
    }
}

/// RFC 4034 appendix B.
fn key_tag(rdata: &[u8]) -> u16 {
    let sum = rdata.chunks(2).fold(0u32, |sum, pair| match pair {
        [high, low] => sum.wrapping_add(u32::from(*high) << 8 | u32::from(*low)),
        [high] => sum.wrapping_add(u32::from(*high) << 8),
        _ => sum,
    });
    (sum + (sum >> 16)) as u16
}
