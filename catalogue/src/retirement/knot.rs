//! A shell script around one transaction of Knot DNS.
//!
//! `knotc zone-unset` with a value fails if the zone does not have that value, whatever way it is written. So the script
//! removes every value that the plan knows, and then requires that none is left: that is the comparison with the zone
//! as it is, inside the transaction, and without comparing texts. Nothing is visible before the commit; any failure
//! aborts the transaction.

use super::{Change, Direction, Export, Plan, Rrset, Stage, export, purpose, text};
use crate::{Error, Name};
use std::fmt::Write;
use zonepulse_dns::RecordType;

/// Longest RDATA that is passed to `knotc` as an argument, octets. In presentation format it may be four times as long,
/// and the server's control socket takes 64 KiB.
const MAX_RDATA: usize = 16_000;

/// Functions of the script. `take` and `put` change the transaction, `absent` and `unused` check it.
const FUNCTIONS: &str = r#"set -eu
# Set KNOTC to pass options: KNOTC='knotc -s /run/knot/knot.sock' sh THIS_FILE
KNOTC=${KNOTC:-knotc}
export LC_ALL=C

finish() {
    if [ "$open" = yes ]; then
        $KNOTC zone-abort "$zone" >/dev/null 2>&1 || :
        echo "Stopped: the zone $zone is unchanged." >&2
    fi
}
stop() {
    printf '%s\n' "$*" >&2
    exit 1
}
# take OWNER TYPE VALUE: removes a value that must be there.
take() {
    $KNOTC zone-unset "$zone" "$1" "$2" "$3" >/dev/null || stop "The zone has no longer this value: $1 $2 $3"
}
# absent OWNER [TYPE]: there must be no record of this type, or no record at all.
absent() {
    if found=$($KNOTC zone-get "$zone" "$@" 2>&1); then
        [ -z "$found" ] || stop "The zone has changed, it also has: $found"
    else
        case $found in
        *'(no such node in zone found)'* | *'(no such record in zone found)'*) ;;
        *) stop "$found" ;;
        esac
    fi
}
# put OWNER TTL TYPE VALUE: adds a value.
put() {
    $KNOTC zone-set "$zone" "$1" "$2" "$3" "$4" >/dev/null || stop "The server refused: $1 $2 $3 $4"
}
"#;

/// The `knotc` script of a stage. It needs a POSIX shell, and access to the server's control socket.
///
/// # Errors
///
/// If a value is too long for an argument of `knotc`.
pub fn knotc(plan: &Plan, stage: Stage) -> Result<Export, Error> {
    let too_long = |rrset: &&Rrset| rrset.rdatas.iter().any(|rdata| rdata.len() > MAX_RDATA);
    if let Some(rrset) = plan.rrsets.iter().find(too_long) {
        let size_bytes = rrset.rdatas.iter().map(|rdata| rdata.len()).max().unwrap_or_default();
        let (owner, rtype) = (rrset.owner.clone(), rrset.rtype);
        return Err(Error::RrsetTooLarge { owner, rtype, size_bytes, limit_bytes: MAX_RDATA });
    }
    export(plan, stage, |changes, direction| Ok(script(plan, stage, changes, direction)))
}

fn script(plan: &Plan, stage: Stage, changes: &[Change<'_>], direction: Direction) -> String {
    let mut out = format!("#!/bin/sh\n# {}\n", purpose(plan, stage, direction, changes));
    if !changes.iter().any(|change| change.is_change()) {
        return out;
    }
    out.push_str("# One transaction: applied as a whole, or not at all if the zone has changed since the plan was made.\n");
    out.push_str(FUNCTIONS);
    let _ = write!(out, "\nzone={}\nopen=no\ntrap finish EXIT\n", owner(&plan.zone));
    out.push_str("trap 'exit 1' HUP INT TERM\n$KNOTC zone-begin \"$zone\" >/dev/null\nopen=yes\n\n");
    changes.iter().for_each(|change| check(&mut out, change));
    changes.iter().for_each(|change| add(&mut out, change));
    out.push_str("\n$KNOTC zone-diff \"$zone\"\n$KNOTC zone-commit \"$zone\" >/dev/null\nopen=no\n");
    out
}

/// Takes the values that the plan knows, and requires that there are no others.
fn check(out: &mut String, change: &Change<'_>) {
    let (owner, rtype) = (owner(&change.rrset.owner), text::rtype(change.rrset.rtype));
    if change.before.is_some() {
        for value in text::values(change.rrset) {
            let _ = writeln!(out, "take {owner} {rtype} {}", quoted(&value));
        }
        let _ = writeln!(out, "absent {owner} {rtype}");
    } else if change.rrset.rtype == RecordType::CNAME {
        let _ = writeln!(out, "absent {owner}");
    } else {
        let _ = writeln!(out, "absent {owner} {rtype}\nabsent {owner} CNAME");
    }
}

fn add(out: &mut String, change: &Change<'_>) {
    let (owner, rtype) = (owner(&change.rrset.owner), text::rtype(change.rrset.rtype));
    let Some(ttl) = change.after else { return };
    for value in text::values(change.rrset) {
        let _ = writeln!(out, "put {owner} {ttl} {rtype} {}", quoted(&value));
    }
}

fn owner(name: &Name) -> String {
    quoted(&text::name(name))
}

/// One argument of a POSIX shell: nothing is special between single quotes but the quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
