//! Random SQL conditions, and the points for which they are true.

use super::model::{Model, Point};
use super::question::moment;
use super::random::Random;
use zonepulse_dns::{RecordType, ResponseCode};
use zonepulse_tests::api::rfc3339;

type Holds = Box<dyn Fn(&Point) -> Option<bool>>;

/// A condition.
pub struct Condition {
    pub text: String,
    /// `None` if it is unknown, as for a comparison with null.
    holds: Holds,
}

fn condition(text: String, holds: impl Fn(&Point) -> Option<bool> + 'static) -> Condition {
    Condition { text, holds: Box::new(holds) }
}

/// Quotes a string literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// A comparison operator and its meaning.
fn comparison(random: &mut Random) -> (&'static str, fn(u128, u128) -> bool) {
    *random.of(&[
        ("<", (|a, b| a < b) as fn(u128, u128) -> bool),
        ("<=", |a, b| a <= b),
        (">", |a, b| a > b),
        (">=", |a, b| a >= b),
        ("=", |a, b| a == b),
        ("<>", |a, b| a != b),
    ])
}

impl Condition {
    /// A condition of a few parts on the rows of this table.
    pub fn random(random: &mut Random, model: &Model, table: &str) -> Self {
        match random.below(10) {
            0 => Condition { text: "true".to_owned(), holds: Box::new(|_| Some(true)) },
            1..6 => part(random, model, table),
            6 | 7 => {
                let (a, b) = (part(random, model, table), part(random, model, table));
                let text = format!("{} AND {}", a.text, b.text);
                condition(text, move |point| match ((a.holds)(point), (b.holds)(point)) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                })
            }
            8 => {
                let (a, b) = (part(random, model, table), part(random, model, table));
                let text = format!("({} OR {})", a.text, b.text);
                condition(text, move |point| match ((a.holds)(point), (b.holds)(point)) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                })
            }
            _ => {
                let a = part(random, model, table);
                condition(format!("NOT ({})", a.text), move |point| (a.holds)(point).map(|holds| !holds))
            }
        }
    }

    /// Whether it is true for a point.
    pub fn takes(&self, point: &Point) -> bool {
        (self.holds)(point) == Some(true)
    }
}

fn part(random: &mut Random, model: &Model, table: &str) -> Condition {
    match random.below(12) {
        0 => server(random, model),
        1..4 => host(random, model),
        4 => record_type(random),
        5 => {
            let is_request = random.one_in(2);
            let text = format!("action = '{}'", if is_request { "request" } else { "response" });
            condition(text, move |point| Some(point.kind.response_code().is_none() == is_request))
        }
        6 | 7 => rcode(random),
        8 | 9 if table != "records" => {
            let (word, compare) = comparison(random);
            let at_ms = moment(random, model);
            let text = format!("time {word} '{}'", rfc3339(at_ms));
            condition(text, move |point| Some(compare((point.start_s * 1000).into(), at_ms.into())))
        }
        8 => {
            let (word, compare) = comparison(random);
            let at_ms = moment(random, model);
            let text = format!("first_seen {word} '{}'", rfc3339(at_ms));
            condition(text, move |point| Some(compare(point.first_ms.into(), at_ms.into())))
        }
        9 | 10 => {
            let (word, compare) = comparison(random);
            let at_ms = moment(random, model);
            let text = format!("last_access {word} '{}'", rfc3339(at_ms));
            condition(text, move |point| Some(compare(point.last_ms.into(), at_ms.into())))
        }
        _ => {
            let (word, compare) = comparison(random);
            let hits = *random.of(&[1, 10, 49, 100, 100_000, 1 << 32, (1 << 40) - 1, 1 << 40]);
            condition(format!("hits {word} {hits}"), move |point| Some(compare(point.hits, hits)))
        }
    }
}

fn server(random: &mut Random, model: &Model) -> Condition {
    let meant = random.some(&model.servers, 2);
    let (id, name) = meant[0];
    match random.below(4) {
        0 => condition(format!("server_id = {id}"), move |point| Some(point.server_id == id)),
        1 => condition(format!("server = '{name}'"), move |point| Some(point.server == name)),
        2 => condition(format!("server <> '{name}'"), move |point| Some(point.server != name)),
        _ => {
            let ids: Vec<String> = meant.iter().map(|(id, _)| id.to_string()).collect();
            let text = format!("server_id IN ({})", ids.join(", "));
            condition(text, move |point| Some(meant.iter().any(|(id, _)| *id == point.server_id)))
        }
    }
}

fn host(random: &mut Random, model: &Model) -> Condition {
    let mut name = || random.of(&model.told).points.first().map_or("a.", |point| &*point.host).to_owned();
    let names = [name(), name(), name()];
    let name = names[0].clone();
    match random.below(6) {
        0 | 1 => condition(format!("host = {}", quoted(&name)), move |point| Some(*point.host == *name)),
        2 => {
            let text = format!("host IN ({})", list(&names));
            condition(text, move |point| Some(names.iter().any(|name| *point.host == **name)))
        }
        3 => {
            let suffix = *random.of(&["shop.example.", ".example.", ".net.", "0.flood.example."]);
            condition(format!("host LIKE '%{suffix}'"), move |point| Some(point.host.ends_with(suffix)))
        }
        4 => {
            let part = *random.of(&["www", "shop", "l.ex", "other", "n1"]);
            condition(format!("host NOT LIKE '%{part}%'"), move |point| Some(!point.host.contains(part)))
        }
        _ => {
            let prefix = *random.of(&["www.", "n2", "a"]);
            condition(format!("host LIKE '{prefix}%'"), move |point| Some(point.host.starts_with(prefix)))
        }
    }
}

fn record_type(random: &mut Random) -> Condition {
    let types: Vec<RecordType> = [1, 28, 15, 65, 255, 65_280].into_iter().map(RecordType::new).collect();
    let meant = random.some(&types, 3);
    let texts: Vec<String> = meant.iter().map(RecordType::to_string).collect();
    match random.below(3) {
        0 => condition(format!("type = '{}'", texts[0]), move |point| Some(point.record_type == meant[0])),
        1 => condition(format!("type IN ({})", list(&texts)), move |point| Some(meant.contains(&point.record_type))),
        _ => condition(format!("type NOT IN ({})", list(&texts)), move |point| Some(!meant.contains(&point.record_type))),
    }
}

fn rcode(random: &mut Random) -> Condition {
    let codes: Vec<ResponseCode> = [0, 2, 3, 16, 12, 4095].into_iter().map(ResponseCode::from_masked).collect();
    let meant = random.some(&codes, 3);
    let texts: Vec<String> = meant.iter().map(ResponseCode::to_string).collect();
    match random.below(5) {
        0 => condition("rcode IS NULL".to_owned(), |point| Some(point.kind.response_code().is_none())),
        1 => condition("rcode IS NOT NULL".to_owned(), |point| Some(point.kind.response_code().is_some())),
        2 => condition(format!("rcode = '{}'", texts[0]), move |point| point.kind.response_code().map(|code| code == meant[0])),
        3 => condition(format!("rcode <> '{}'", texts[0]), move |point| point.kind.response_code().map(|code| code != meant[0])),
        _ => {
            let text = format!("rcode IN ({})", list(&texts));
            condition(text, move |point| point.kind.response_code().map(|code| meant.contains(&code)))
        }
    }
}
