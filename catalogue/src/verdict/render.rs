//! Reasons in words.

use super::reason::{Period, Reason, Root};
use super::time::{date, duration};
use super::{Evidence, Why};
use crate::Name;
use crate::usage::{Used, Via, Vias};
use zonepulse_dns::RecordType;

/// A reason as text.
pub type Sentence = String;

impl Reason {
    /// The reason in words that an operator understands, with the numbers behind it.
    pub fn text(&self, now_ms: i64) -> Sentence {
        match self {
            Reason::Structural(rtype) => format!("the zone does not work without its {rtype}"),
            Reason::Referred { by, from, root } => referred(by, from.as_ref(), root),
            Reason::Protected { reason, source } => format!("protected: {reason} ({source})"),
            Reason::ProtectedByOperator(reason) => format!("protected by the operator: {reason}"),
            Reason::Allowed(reason) => format!("the operator lifted its protection ({reason})"),
            Reason::Used(used) => self::used(used, now_ms),
            Reason::OnlyAny => "all of these were queries of type ANY, which is weak evidence (RFC 8482)".to_owned(),
            Reason::New(created_ms) => {
                format!("in the zone since {} ({} ago), too recently to judge", date(*created_ms), since(*created_ms, now_ms))
            }
            Reason::Awaited(owner, rtype) => {
                format!("{rtype} of {owner} leads here, and whether that way is used cannot be said yet")
            }
            Reason::OthersWaived => "others serve the zone too, which the operator chose to disregard".to_owned(),
            Reason::Unused { last_ms, since_ms } => format!(
                "no query since {} ({}); every server was observed without a gap since {}",
                date(*last_ms),
                since(*last_ms, now_ms),
                date(*since_ms)
            ),
            Reason::NeverUsed { since_ms, is_creation } => {
                let (day, length) = (date(*since_ms), since(*since_ms, now_ms));
                let what = match is_creation {
                    true => format!("no query since it came into the zone on {day} ({length})"),
                    false => format!("no query since the window began on {day} ({length}), and none is known before"),
                };
                format!("{what}; every server was observed without a gap")
            }
            Reason::Occluded(owner, rtype) => {
                format!("occluded: it is below the {rtype} of {owner}, so servers never answer with it")
            }
            Reason::Rhythm { rarest, length_ms, period } => rhythm(*rarest, *length_ms, *period),
            Reason::Evidence(Evidence::Queries) => "based on queries only, not on what servers answered".to_owned(),
            unobserved => unobserved.unobserved_text(),
        }
    }

    fn unobserved_text(&self) -> Sentence {
        match self {
            Reason::NoServers => "no server is known to serve the zone, so any query was missed".to_owned(),
            Reason::OthersServe => {
                "others serve the zone too: clients that asked only them were missed; waive this for the zone if they \
                 answer no clients"
                    .to_owned()
            }
            Reason::Share { complete, servers, share } => {
                format!("{complete} of {servers} servers observed without a gap ({} of their time)", percent(*share))
            }
            Reason::NotObserved { server, from_ms, length_ms, why, more } => {
                let more = more.map_or(String::new(), |(count, total_ms)| {
                    let times = if count == 1 { "once more".to_owned() } else { format!("{count} more times") };
                    format!(" and {times}, {} in total", duration(total_ms))
                });
                not_observed(server, *from_ms, *length_ms, why, &more)
            }
            Reason::TooShort { length_ms, required_ms } => format!(
                "only {} are covered, {} are required: resolvers may have answered from their caches",
                duration(*length_ms),
                duration(*required_ms)
            ),
            _ => String::new(),
        }
    }
}

fn not_observed(server: &str, from_ms: i64, length_ms: i64, why: &Why, more: &str) -> Sentence {
    let length = duration(length_ms);
    match why {
        Why::Folded => format!(
            "the names of the zone were folded on {server} for {length} from {} (flood){more}: a query in that time could \
             have been for this record",
            date(from_ms)
        ),
        _ => format!(
            "{server} was not observed for {length} from {} ({why}){more}: a client that asked only there and then was missed",
            date(from_ms)
        ),
    }
}

fn referred(by: &(Name, RecordType), from: Option<&(Name, RecordType)>, root: &Root) -> Sentence {
    let (owner, rtype) = by;
    let why = match root {
        Root::Used(used) if used.vias.contains(Via::Asked) => format!("was queried on {}", date(used.last_ms)),
        Root::Used(used) => format!("was used on {}", date(used.last_ms)),
        Root::Protected(reason) => format!("is protected: {reason}"),
        Root::Structural => "belongs to the structure of its zone".to_owned(),
    };
    match from {
        None => format!("{rtype} of {owner} leads here, and it {why}"),
        Some((root, root_type)) => {
            format!("{rtype} of {owner} leads here; {root_type} of {root} leads to that, and it {why}")
        }
    }
}

fn used(used: &Used, now_ms: i64) -> Sentence {
    let Used { last_ms, asked_hits, vias, .. } = *used;
    let hits = match asked_hits {
        0 => String::new(),
        1 => ", 1 query for it in all".to_owned(),
        hits => format!(", {hits} queries for it in all"),
    };
    format!("used on {} ({} ago){hits}: {}", date(last_ms), since(last_ms, now_ms), ways(vias))
}

fn ways(vias: Vias) -> String {
    let word = |via| match via {
        Via::Asked => "by queries for it",
        Via::Alias => "through an alias",
        Via::Wildcard => "as a wildcard",
        Via::Delegation => "by queries below the delegation",
        Via::Glue => "as glue",
        Via::Any => "by queries of type ANY",
        Via::Denial => "in negative answers",
    };
    vias.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn rhythm(rarest: Option<&str>, length_ms: i64, period: Period) -> Sentence {
    let length = duration(length_ms);
    let subject = match period {
        Period::Nothing => return "no rhythm of use can be ruled out".to_owned(),
        Period::Window => format!("a window of {length}"),
        Period::SinceGap => format!("the time since the last gap ({length})"),
    };
    match rarest {
        Some(rarest) => format!("{subject} can rule out {rarest} use, but nothing rarer"),
        None => format!("{subject} cannot rule out even weekly use"),
    }
}

fn since(time_ms: i64, now_ms: i64) -> String {
    duration(now_ms.saturating_sub(time_ms))
}

/// A share in percent. Only a complete one is 100 %.
fn percent(share: f64) -> String {
    match share {
        1.0.. => "100 %".to_owned(),
        share => format!("{:.2} %", (share * 10_000.0).floor() / 100.0),
    }
}
