//! The servers: which are not heard from, and the versions of their probes.
//!
//! The running central writes the last heartbeat of each server to the store about once a minute.

use super::{Known, Subject};
use std::cmp::Ordering;
use zonepulse_central::fleet::Last;
use zonepulse_doctor::Check;
use zonepulse_store::Server;

/// How old the last heartbeat may be, milliseconds: four are missing, and the store is a minute behind.
const SILENT_MS: u64 = 210_000;
/// How long a new server may take until its probe is heard, milliseconds.
const NEW_MS: u64 = 3_600_000;
/// How many servers are named.
const MOST_NAMED: usize = 10;

pub(super) fn check(known: &Known) -> Vec<Check> {
    if let Err(why) = known.store() {
        return vec![Check::skipped(Subject::Servers, why.clone()), Check::skipped(Subject::Probes, why)];
    }
    let heard = last_heard(known);
    vec![servers(known, &heard), probes(&heard)]
}

/// The servers with probes, and the last heartbeat of each that was ever heard.
pub(super) fn last_heard(known: &Known) -> Vec<(&Server, Last)> {
    let Ok(peek) = known.store() else { return Vec::new() };
    let last = |server: &Server| {
        let (_, value) = peek.seen.iter().find(|(id, _)| *id == server.id)?;
        serde_json::from_value(value.clone()).ok()
    };
    with_probes(known).filter_map(|server| Some((server, last(server)?))).collect()
}

fn with_probes(known: &Known) -> impl Iterator<Item = &Server> {
    let servers = known.store().map(|peek| peek.servers.as_slice()).unwrap_or_default();
    servers.iter().filter(|server| !server.is_removed() && !server.sample)
}

fn servers(known: &Known, heard: &[(&Server, Last)]) -> Check {
    const SUBJECT: Subject = Subject::Servers;
    let all = with_probes(known).count();
    if all == 0 {
        return Check::ok(SUBJECT, "there are no servers yet");
    }
    if known.process.is_none() {
        return Check::skipped(SUBJECT, "no central is running that could hear from them");
    }
    let is_silent = |last: &Last| known.now_ms.saturating_sub(last.received_ms) > SILENT_MS;
    let silent = heard.iter().filter(|(_, last)| is_silent(last)).map(|(server, _)| *server);
    let is_late = |server: &&Server| {
        heard.iter().all(|(other, _)| other.id != server.id) && known.now_ms.saturating_sub(server.created_ms) > NEW_MS
    };
    let silent: Vec<&Server> = silent.chain(with_probes(known).filter(is_late)).collect();
    judge_servers(all, heard.len(), &silent)
}

fn judge_servers(all: usize, heard: usize, silent: &[&Server]) -> Check {
    const SUBJECT: Subject = Subject::Servers;
    let check = if silent.is_empty() {
        Check::ok(SUBJECT, format!("no server is silent ({all} servers, {heard} were heard from)"))
    } else {
        let found = format!("{} of {all} servers are not heard from: {}", silent.len(), named(silent.iter().copied()));
        let advice = "there, see what zonepulse-probe doctor says; GET /api/v2/monitoring/heartbeat has what is known here";
        Check::warning(SUBJECT, found, advice)
    };
    check.with("servers", all).with("silent", silent.iter().map(|server| server.id.get()).collect::<Vec<_>>())
}

fn named<'a>(servers: impl ExactSizeIterator<Item = &'a Server>) -> String {
    let more = servers.len().saturating_sub(MOST_NAMED);
    let names: Vec<String> = servers.take(MOST_NAMED).map(|server| format!("{} ({})", server.name, server.id)).collect();
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

fn probes(heard: &[(&Server, Last)]) -> Check {
    const SUBJECT: Subject = Subject::Probes;
    let ours = env!("CARGO_PKG_VERSION");
    let with = |order: Ordering| -> Vec<&Server> {
        let differs = |last: &Last| compare(&last.heartbeat.probe_version, ours) == order;
        heard.iter().filter(|(_, last)| differs(last)).map(|(server, _)| *server).collect()
    };
    let (older, newer) = (with(Ordering::Less), with(Ordering::Greater));
    let check = if !newer.is_empty() {
        let found = format!("probes are newer than this central ({ours}): {}", named(newer.iter().copied()));
        Check::warning(SUBJECT, found, "update the central first, then the probes")
    } else if !older.is_empty() {
        let found = format!("probes are older than this central ({ours}): {}", named(older.iter().copied()));
        Check::warning(SUBJECT, found, "update those probes")
    } else {
        Check::ok(SUBJECT, format!("no probe is of another version than {ours} ({} were heard from)", heard.len()))
    };
    check.with("older", older.len()).with("newer", newer.len())
}

/// Compares versions by their numbers.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let numbers =
        |version: &str| version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0)).take(3).collect::<Vec<u32>>();
    numbers(one).cmp(&numbers(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(compare("0.10.0", "0.9.3"), Ordering::Greater);
        assert_eq!(compare("0.1.0-rc1", "0.1.0"), Ordering::Equal);
        assert_eq!(compare("0.0.9", "0.1.0"), Ordering::Less);
    }
}
