//! Random filters of the API, and the points that they select.

use super::model::{Model, Point};
use super::random::Random;
use std::collections::BTreeSet;
use std::sync::Arc;
use zonepulse_dns::{Action, RecordType, ResponseCode};

/// Parameters of a call, in order.
pub type Parameters = Vec<(&'static str, String)>;

/// The points that a question is about.
#[derive(Debug, Default)]
pub struct Filter {
    pub servers: Vec<u32>,
    pub action: Option<Action>,
    pub rcodes: Vec<ResponseCode>,
    types: Vec<RecordType>,
    hosts: Option<BTreeSet<Arc<str>>>,
    /// Whether a nonexistent resource is given.
    no_resource: bool,
}

impl Filter {
    /// Creates a filter, and adds its parameters.
    pub fn random(random: &mut Random, model: &Model, parameters: &mut Parameters) -> Self {
        let mut filter = Filter::default();
        if random.one_in(3) {
            let ids: Vec<u32> = model.servers.iter().map(|(id, _)| *id).collect();
            filter.servers = random.some(&ids, 3);
            parameters.extend(filter.servers.iter().map(|id| ("server_id", id.to_string())));
        }
        if random.one_in(2) {
            filter.hosts = hosts(random, model, parameters);
        }
        if random.one_in(3) {
            for _ in 0..1 + random.below(3) {
                let record_type = RecordType::new(*random.of(&[1, 28, 15, 16, 65, 255, 0, 65_280, 257]));
                let text = match random.below(3) {
                    0 => format!("TYPE{}", record_type.value()),
                    1 => record_type.to_string().to_lowercase(),
                    _ => record_type.to_string(),
                };
                parameters.push(("type", text));
                filter.types.push(record_type);
            }
        }
        if random.one_in(3) {
            filter.action = Some(*random.of(&[Action::Request, Action::Response]));
            parameters.extend(filter.action.map(|action| ("action", action.to_string())));
        }
        if random.one_in(4) && filter.action != Some(Action::Request) {
            for _ in 0..1 + random.below(3) {
                let code = ResponseCode::from_masked(*random.of(&[0, 0, 3, 2, 16, 5, 29, 4095]));
                let text = match random.below(4) {
                    0 => format!("rcode{}", code.value()),
                    1 => code.value().to_string(),
                    2 => code.to_string().to_lowercase(),
                    _ => code.to_string(),
                };
                parameters.push(("rcode", text));
                filter.rcodes.push(code);
            }
        }
        if random.one_in(20) {
            filter.no_resource = random.one_in(4);
            parameters.push(("resource_id", if filter.no_resource { "17" } else { "0" }.to_owned()));
        }
        filter
    }

    /// Whether a server is selected.
    pub fn is_of_server(&self, server_id: u32) -> bool {
        self.servers.is_empty() || self.servers.contains(&server_id)
    }

    /// Whether a row about this point is selected.
    pub fn takes(&self, point: &Point) -> bool {
        let code = point.kind.response_code();
        self.is_of_server(point.server_id)
            && !self.no_resource
            && self.hosts.as_ref().is_none_or(|hosts| hosts.contains(&point.host))
            && (self.types.is_empty() || self.types.contains(&point.record_type))
            && self.action.is_none_or(|action| Some(action) == point.kind.action())
            && (self.rcodes.is_empty() || code.is_some_and(|code| self.rcodes.contains(&code)))
    }

    /// Whether a sum counts this point: a request and its response count as one, unless they are
    /// distinguished.
    pub fn counts(&self, point: &Point, by_action: bool) -> bool {
        let says_kind = by_action || self.action.is_some() || !self.rcodes.is_empty();
        self.takes(point) && (says_kind || point.kind.action() == Some(Action::Request))
    }
}

/// An octet of a label, or the dot between labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Octet(u8),
    Dot,
}

/// The tokens of a canonical name.
fn tokens(canonical: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = canonical.bytes();
    while let Some(octet) = rest.next() {
        tokens.push(match octet {
            b'.' => Token::Dot,
            b'\\' => match rest.next().expect("something is escaped") {
                first @ b'0'..=b'9' => {
                    let digits = [first, rest.next().expect("three digits"), rest.next().expect("three digits")];
                    Token::Octet(std::str::from_utf8(&digits).expect("digits").parse().expect("an octet"))
                }
                octet => Token::Octet(octet),
            },
            octet => Token::Octet(octet),
        });
    }
    tokens
}

/// A spelling that a user might enter.
fn typed(random: &mut Random, tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match *token {
            Token::Dot => text.push('.'),
            Token::Octet(octet) if !octet.is_ascii_graphic() || random.one_in(40) => text.push_str(&format!("\\{octet:03}")),
            Token::Octet(octet) if octet.is_ascii_alphanumeric() => {
                let upper = random.one_in(4);
                text.push(char::from(if upper { octet.to_ascii_uppercase() } else { octet }));
            }
            Token::Octet(octet @ (b'-' | b'_')) => text.push(char::from(octet)),
            Token::Octet(octet) => {
                text.push('\\');
                text.push(char::from(octet));
            }
        }
    }
    text
}

/// Some names or patterns; returns all names that they match.
fn hosts(random: &mut Random, model: &Model, parameters: &mut Parameters) -> Option<BTreeSet<Arc<str>>> {
    let is_folded = |host: &str| host.starts_with("<other>");
    let usual: Vec<&Arc<str>> = model.hosts().iter().filter(|host| !host.contains(".flood.") && !is_folded(host)).collect();
    let mut meant: Option<BTreeSet<Arc<str>>> = None;
    for _ in 0..1 + random.below(2) {
        let all = model.hosts();
        let host = if random.one_in(8) || usual.is_empty() { random.of(all) } else { *random.of(&usual) };
        if is_folded(host) {
            continue;
        }
        let whole = tokens(host);
        let (text, matching) = if random.one_in(2) {
            // The final dot may be omitted.
            let shown = if whole.len() > 1 && random.one_in(2) { &whole[..whole.len() - 1] } else { &whole[..] };
            let exact: Vec<Arc<str>> = vec![host.clone()];
            (typed(random, shown), exact)
        } else {
            pattern(random, &whole, all)
        };
        if matching.iter().any(|host| is_folded(host)) {
            // Folded records are requested with another parameter.
            continue;
        }
        parameters.push(("host", text));
        meant.get_or_insert_default().extend(matching);
    }
    meant
}

/// A pattern that matches at least this name.
fn pattern(random: &mut Random, name: &[Token], all: &[Arc<str>]) -> (String, Vec<Arc<str>>) {
    // Parts of the name are kept, and everything in between is replaced by a star.
    let mut cuts: Vec<usize> = (0..2 * (1 + random.below(2))).map(|_| random.below(name.len() as u64 + 1) as usize).collect();
    cuts.sort_unstable();
    let mut parts: Vec<&[Token]> = Vec::new();
    let mut at = 0;
    for star in cuts.chunks(2) {
        parts.push(&name[at..star[0]]);
        at = star[1];
    }
    let mut last = &name[at..];
    if last.len() > 1 && random.one_in(2) {
        // The final dot may be omitted here, too.
        last = &last[..last.len() - 1];
    }
    let mut text = String::new();
    for part in &parts {
        text.push_str(&typed(random, part));
        text.push('*');
    }
    text.push_str(&typed(random, last));
    parts.push(&name[at..]);
    let matching = all.iter().filter(|host| is_match(&parts, &tokens(host))).cloned().collect();
    (text, matching)
}

/// Tries every position for every part.
fn is_match(parts: &[&[Token]], name: &[Token]) -> bool {
    match parts {
        [] => name.is_empty(),
        [last] => name == *last,
        [first, rest @ ..] => {
            let Some(after) = name.strip_prefix(*first) else { return false };
            (0..=after.len()).any(|at| is_match(rest, &after[at..]))
        }
    }
}
