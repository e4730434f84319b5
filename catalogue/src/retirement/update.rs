//! DNS UPDATE as text (RFC 2136), for `nsupdate` and `knsupdate`.
//!
//! A message is applied as a whole or not at all. A plan is one message wherever it fits; a larger one consists of
//! chunks, the commands up to each `send`. Chunks are not atomic together, and `nsupdate` goes on after one that was
//! refused (`knsupdate` stops). Therefore:
//!
//! * the first chunk of a removal also requires the values of as many later RRsets as its message has room for;
//! * each chunk that removes or restores requires that the one before it was applied: the first chunk that is refused
//!   stops all that follow;
//! * a stage and its undo have the same chunks, so the undo takes back exactly those that were applied. That is why a
//!   restoration does not require anything of later chunks: they may be the ones that were never removed.
//!
//! A chunk that only changes TTLs does not depend on others.

use super::{Change, Direction, Export, Plan, Stage, export, purpose, text};
use crate::{Error, rdata};
use std::fmt::Write;
use std::net::SocketAddr;
use zonepulse_dns::RecordType;

/// Most octets of a message's records, uncompressed. The rest of 64 KiB is for the header, the zone and the signature.
const MAX_MESSAGE: usize = 60_000;
/// Most octets of a chunk's own records if there are several chunks. Next to them, a message has room for the names of
/// the chunk before it, which are at most half as long again, or for requirements of later ones.
const MAX_CHUNK: usize = 20_000;
/// Most octets of a chunk of one RRset.
const MAX_CHUNK_ALONE: usize = 40_000;
/// Octets of a record besides its owner and RDATA.
const RECORD_HEAD: usize = 10;

/// The program that reads the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// `nsupdate` of BIND. For RRsets it would refuse for their names, the script says `check-names no`, which is the
    /// only difference.
    Nsupdate,
    /// `knsupdate` of Knot DNS.
    Knsupdate,
}

/// The DNS UPDATE commands of a stage, for a zone's primary server.
///
/// # Errors
///
/// If an RRset is too large to be checked and changed in one message.
pub fn nsupdate(plan: &Plan, stage: Stage, client: Client, server: Option<SocketAddr>) -> Result<Export, Error> {
    export(plan, stage, |changes, direction| script(plan, stage, client, server, changes, direction))
}

fn script(
    plan: &Plan,
    stage: Stage,
    client: Client,
    server: Option<SocketAddr>,
    changes: &[Change<'_>],
    direction: Direction,
) -> Result<String, Error> {
    let chunks = chunks(changes)?;
    let mut out = head(plan, stage, changes, direction, &chunks);
    if chunks.is_empty() {
        return Ok(out);
    }
    match server {
        Some(server) => push(&mut out, format_args!("server {} {}", server.ip(), server.port())),
        None => push(&mut out, format_args!("; server ADDRESS PORT")),
    }
    push(&mut out, format_args!("zone {}", text::name(&plan.zone)));
    if client == Client::Nsupdate && changes.iter().any(|change| change.after.is_some() && !has_host_names(change)) {
        push(&mut out, format_args!("check-names no"));
    }
    let mut previous: &[Change<'_>] = &[];
    for (at, chunk) in chunks.iter().enumerate() {
        push(&mut out, format_args!("; chunk {} of {}", at + 1, chunks.len()));
        after(&mut out, previous);
        let ahead = if at == 0 { ahead(changes, chunk) } else { &[] };
        let required = || chunk.iter().chain(ahead);
        let owners = std::iter::once(None).chain(required().map(|change| Some(&change.rrset.owner)));
        for (change, above) in required().zip(owners) {
            require(&mut out, change, above == Some(&change.rrset.owner));
        }
        chunk.iter().for_each(|change| update(&mut out, change));
        push(&mut out, format_args!("send"));
        previous = chunk;
    }
    Ok(out)
}

fn head(plan: &Plan, stage: Stage, changes: &[Change<'_>], direction: Direction, chunks: &[&[Change<'_>]]) -> String {
    let mut out = String::new();
    push(&mut out, format_args!("; {}", purpose(plan, stage, direction, changes)));
    let Some(first) = chunks.first() else { return out };
    push(&mut out, format_args!("; Run: nsupdate -v -k KEYFILE THIS_FILE, or knsupdate -v -k KEYFILE THIS_FILE"));
    let each = if chunks.len() == 1 { "It" } else { "Each chunk" };
    push(&mut out, format_args!("; {each} is applied as a whole, or refused if the zone has changed since the plan was made."));
    if chunks.len() == 1 {
        return out;
    }
    if changes.iter().all(|change| change.keeps_values()) {
        push(&mut out, format_args!("; If a chunk is refused, the others still apply: only its own TTLs stay as they were."));
        return out;
    }
    let (required, all) = (first.len() + ahead(changes, first).len(), changes.len());
    if required == all {
        push(&mut out, format_args!("; The first chunk is refused if any of the {all} RRsets has changed."));
    } else if required > first.len() {
        push(&mut out, format_args!("; The first chunk is refused if any of the first {required} of {all} RRsets has changed."));
    }
    let other = if direction == Direction::Apply { "the undo" } else { "the first" };
    push(&mut out, format_args!("; If a chunk is refused, those before it stay applied, and none after it is applied:"));
    push(&mut out, format_args!("; {other} script then takes back exactly what was applied."));
    out
}

/// That the chunk before was applied: whoever refused it left at least one of its RRsets as it was.
fn after(out: &mut String, previous: &[Change<'_>]) {
    for Change { rrset, after, .. } in previous.iter().filter(|change| !change.keeps_values()) {
        let condition = if after.is_some() { "yxrrset" } else { "nxrrset" };
        push(out, format_args!("prereq {condition} {} IN {}", text::name(&rrset.owner), text::rtype(rrset.rtype)));
    }
}

/// The changes of later chunks whose values the first one requires, too.
fn ahead<'a, 'b>(changes: &'a [Change<'b>], first: &[Change<'b>]) -> &'a [Change<'b>] {
    let later = changes.get(first.len()..).unwrap_or_default();
    let mut room = MAX_MESSAGE.saturating_sub(first.iter().map(|change| change.sizes().total()).sum());
    let fits = later.iter().take_while(|change| {
        let left = room.checked_sub(change.sizes().required);
        room = left.unwrap_or_default();
        left.is_some() && change.after.is_none()
    });
    let count = fits.count();
    later.get(..count).unwrap_or_default()
}

/// That the RRset is as the plan knows it (RFC 2136 section 2.4). What concerns the owner as a whole is said once.
fn require(out: &mut String, change: &Change<'_>, is_same_owner: bool) {
    let (owner, rtype) = (text::name(&change.rrset.owner), change.rrset.rtype);
    if change.before.is_some() {
        for value in text::values(change.rrset) {
            push(out, format_args!("prereq yxrrset {owner} IN {} {value}", text::rtype(rtype)));
        }
        return;
    }
    // A server ignores, without an error, a CNAME next to other data and other data next to a CNAME (section 3.4.2.2).
    if rtype == RecordType::CNAME {
        push(out, format_args!("prereq nxdomain {owner}"));
    } else {
        push(out, format_args!("prereq nxrrset {owner} IN {}", text::rtype(rtype)));
        if !is_same_owner {
            push(out, format_args!("prereq nxrrset {owner} IN CNAME"));
        }
    }
}

fn update(out: &mut String, change: &Change<'_>) {
    if !change.is_change() {
        return;
    }
    let (owner, rtype) = (text::name(&change.rrset.owner), text::rtype(change.rrset.rtype));
    if change.before.is_some() {
        push(out, format_args!("update delete {owner} IN {rtype}"));
    }
    if let Some(ttl) = change.after {
        for value in text::values(change.rrset) {
            push(out, format_args!("update add {owner} {ttl} IN {rtype} {value}"));
        }
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

/// The changes in groups that each fit in one message; none if nothing changes. The groups of a stage and of its undo
/// are the same.
fn chunks<'a, 'b>(changes: &'a [Change<'b>]) -> Result<Vec<&'a [Change<'b>]>, Error> {
    if !changes.iter().any(|change| change.is_change()) {
        return Ok(Vec::new());
    }
    let size_bytes = |change: &Change<'_>| change.sizes().total().max(change.undone().sizes().total());
    if changes.iter().map(size_bytes).sum::<usize>() <= MAX_MESSAGE {
        return Ok(vec![changes]);
    }
    let mut chunks = Vec::new();
    let (mut begin, mut sum_bytes) = (0, 0);
    for (at, change) in changes.iter().enumerate() {
        let own = size_bytes(change);
        if own > MAX_CHUNK_ALONE {
            let (owner, rtype) = (change.rrset.owner.clone(), change.rrset.rtype);
            return Err(Error::RrsetTooLarge { owner, rtype, size_bytes: own, limit_bytes: MAX_CHUNK_ALONE });
        }
        if sum_bytes + own > MAX_CHUNK && at > begin {
            chunks.extend(changes.get(begin..at));
            (begin, sum_bytes) = (at, 0);
        }
        sum_bytes += own;
    }
    chunks.extend(changes.get(begin..));
    Ok(chunks)
}

/// Octets in a message, without compression.
struct Sizes {
    required: usize,
    updated: usize,
}

impl Sizes {
    fn total(&self) -> usize {
        self.required + self.updated
    }
}

impl Change<'_> {
    fn sizes(&self) -> Sizes {
        let bare = self.rrset.owner.wire().len() + RECORD_HEAD;
        let with_values: usize = self.rrset.rdatas.iter().map(|rdata| bare + rdata.len()).sum();
        let required = if self.before.is_some() { with_values } else { 2 * bare };
        let deleted = if self.before.is_some() { bare } else { 0 };
        let added = if self.after.is_some() { with_values } else { 0 };
        Sizes { required, updated: if self.is_change() { deleted + added } else { 0 } }
    }
}

/// Whether the owner and the names in the RDATA are host names (RFC 952, RFC 1123 section 2.1), as `nsupdate` wants them
/// for some types; only an owner may be a wildcard. This is stricter than `nsupdate`, because the server decides anyway.
fn has_host_names(change: &Change<'_>) -> bool {
    let rrset = change.rrset;
    let skipped = usize::from(rrset.owner.is_wildcard());
    let mut names = rrset.rdatas.iter().flat_map(|rdata| rdata::names(rrset.rtype, rdata));
    rrset.owner.labels().skip(skipped).all(is_host_label) && names.all(|name| name.labels().all(is_host_label))
}

fn is_host_label(label: &[u8]) -> bool {
    let is_letter = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_alphanumeric);
    let is_inner = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    is_letter(label.first()) && is_letter(label.last()) && label.iter().all(is_inner)
}
