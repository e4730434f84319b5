//! JSON bodies: from the members of an object to typed arguments.
//!
//! As with parameters, a member that is unknown, duplicated or unreadable is an error that names it. In a change, an
//! absent member stays as it is and `null` resets it to its default (RFC 7396).

use super::query_string::shown;
use super::unique::{self, Fault};
use crate::http::answer::problem::{Case, Problem};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zonepulse_net::TooSlow;
use zonepulse_renamed::Renamed;

/// Accepted media types of a body.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// The members of an object.
pub struct Members(Map<String, Value>);

impl Members {
    /// Maximum size of a body, bytes: nobody writes more by hand.
    pub const MAX_BYTES: usize = 64 << 10;

    /// Reads a request's body; an absent body is an object without members.
    pub async fn read(headers: &HeaderMap, body: Body, known: &[&str]) -> Result<Self, Problem> {
        match json(headers, body, Self::MAX_BYTES).await? {
            Value::Object(members) => Self::of(members, known),
            _ => Err(Problem::parameter("body", "it has to be an object")),
        }
    }

    /// Reads a request's body, which may be absent or `null`.
    pub async fn read_optional(headers: &HeaderMap, body: Body, known: &[&str]) -> Result<Self, Problem> {
        match json(headers, body, Self::MAX_BYTES).await? {
            Value::Object(members) => Self::of(members, known),
            Value::Null => Ok(Members(Map::new())),
            _ => Err(Problem::parameter("body", "it has to be an object")),
        }
    }

    /// Takes the members of an object.
    pub fn of(members: Map<String, Value>, known: &[&str]) -> Result<Self, Problem> {
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => {
                Err(Problem::parameter(shown(unknown), format_args!("there is no such member; there are {}", known.join(", "))))
            }
            None => Ok(Members(members)),
        }
    }

    /// Reads a request's body whose members may have an old name, and returns a warning for each that does.
    pub async fn read_renamed(
        headers: &HeaderMap,
        body: Body,
        known: &[&str],
        table: &[Renamed],
    ) -> Result<(Self, Vec<String>), Problem> {
        let Value::Object(mut members) = json(headers, body, Self::MAX_BYTES).await? else {
            return Err(Problem::parameter("body", "it has to be an object"));
        };
        let mut warnings = Vec::new();
        for renamed in table {
            let Some(value) = members.remove(renamed.old) else { continue };
            if members.insert(renamed.new.to_owned(), value).is_some() {
                return Err(Problem::parameter(renamed.old, renamed.both(str::to_owned)));
            }
            warnings.push(renamed.to_string());
        }
        Ok((Self::of(members, known)?, warnings))
    }

    /// A member that may be absent; `null` means the default.
    pub fn take<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(T::default())),
            Some(value) => typed(name, value).map(Some),
        }
    }

    /// A member that may be absent or `null`, which means the default.
    pub fn take_or_default<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<T, Problem> {
        Ok(self.take(name)?.unwrap_or_default())
    }

    /// A member that may be absent or `null`, with the same meaning.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        Ok(self.take::<Option<T>>(name)?.flatten())
    }

    /// A member that may be absent or `null`, which are told apart.
    pub fn given<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Given<T>, Problem> {
        Ok(match self.take::<Option<T>>(name)? {
            None => Given::Absent,
            Some(None) => Given::Null,
            Some(Some(value)) => Given::Value(value),
        })
    }

    /// A required member.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Problem> {
        let value = self.0.remove(name).ok_or_else(|| missing(name))?;
        typed(name, value)
    }
}

/// A member of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<T> {
    /// It is not there.
    Absent,
    /// It is `null`.
    Null,
    /// It has a value.
    Value(T),
}

impl<T> Given<T> {
    /// Whether it is there, be it as `null`.
    pub const fn is_given(&self) -> bool {
        !matches!(self, Given::Absent)
    }

    /// Its value, if it has one.
    pub fn value(self) -> Option<T> {
        match self {
            Given::Absent | Given::Null => None,
            Given::Value(value) => Some(value),
        }
    }
}

impl<T: DeserializeOwned> Given<T> {
    /// Its value, which has to be there.
    pub fn needed(self, name: &'static str) -> Result<T, Problem> {
        match self {
            Given::Absent => Err(missing(name)),
            // Says which type it has to be of.
            Given::Null => typed(name, Value::Null),
            Given::Value(value) => Ok(value),
        }
    }
}

fn missing(name: &'static str) -> Problem {
    Problem::parameter(name, "it is missing")
}

/// Declares a body once: the documentation and the parser share the definition. Each member is followed by the function
/// of [`Members`] that reads it.
macro_rules! body {
    ($(#[$outer:meta])* $visible:vis struct $name:ident {
        $($(#[$inner:meta])* $field:ident: $kind:ty = $read:ident,)*
    }) => {
        $(#[$outer])*
        #[derive(utoipa::ToSchema)]
        $visible struct $name {
            $($(#[$inner])* $field: $kind,)*
        }

        impl $name {
            /// The members that it may have.
            pub const MEMBERS: &[&str] = &[$(stringify!($field),)*];

            /// Reads them.
            pub fn read(members: &mut Members) -> Result<Self, Problem> {
                Ok($name { $($field: members.$read(stringify!($field))?,)* })
            }
        }
    };
}

pub(in crate::http) use body;

/// Converts a member's value, or says what is wrong with it.
pub fn typed<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| Problem::parameter(name.to_owned(), without_value(&error.to_string())))
}

/// What serde says of a value of the wrong type, without the value: it may be a secret in the wrong place.
fn without_value(said: &str) -> String {
    let shortened = said.strip_prefix("invalid type: ").and_then(|rest| {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        let kind = found.split(['"', '`']).next()?.trim_end();
        Some(format!("invalid type: {kind}, expected {expected}"))
    });
    shortened.unwrap_or_else(|| said.to_owned())
}

/// The media type of a `Content-Type`, in lower case. A body with a content coding (RFC 9110 section 8.4) is rejected,
/// because it would be read as if it had none.
pub fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"));
    let coding = text(header::CONTENT_ENCODING);
    if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
        let detail = format!("Content-Encoding is {:?}: send the body without one", shown(coding));
        return Err(Problem::new(Case::UnknownFormat, detail));
    }
    let given = text(header::CONTENT_TYPE);
    Ok(given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads a JSON body of at most this many bytes.
pub async fn json(headers: &HeaderMap, body: Body, most_bytes: usize) -> Result<Value, Problem> {
    let given = media_type(headers)?;
    let bytes = whole(body, most_bytes, |_| Ok(())).await?;
    if bytes.is_empty() {
        return Ok(Map::new().into());
    }
    if !MEDIA_TYPES.contains(&given.as_str()) {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type is {given:?}: send {}", MEDIA_TYPES[0])));
    }
    unique::from_slice(&bytes).map_err(|fault| match fault {
        Fault::Syntax(error) => Problem::parameter("body", format_args!("it is no JSON: {error}")),
        Fault::Twice { name, within } if within.is_empty() => Problem::parameter(shown(&name), "it is there more than once"),
        Fault::Twice { name, within } => {
            Problem::parameter(shown(&name), format_args!("it is there more than once in {}", shown(&within)))
        }
    })
}

/// Reads a whole body of at most this many bytes. `take` reserves room before bytes are kept.
pub async fn whole(body: Body, most_bytes: usize, mut take: impl FnMut(usize) -> Result<(), Problem>) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Case::RequestTooLarge, format!("a request has at most {most_bytes} bytes"));
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > most_bytes as u64) {
        return Err(too_large());
    }
    // Untouched pages take no memory.
    let mut bytes = BytesMut::with_capacity(announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default());
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| broken(&error))?;
        if piece.len() > most_bytes - bytes.len() {
            return Err(too_large());
        }
        take(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// Why a body ended prematurely.
pub fn broken(error: &axum::Error) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(slow) = error.downcast_ref::<TooSlow>() {
            return Problem::new(Case::TooSlow, slow.to_string());
        }
        cause = error.source();
    }
    // A client that has left does not see this; one that sent a malformed body does.
    Problem::parameter("body", format_args!("it is not complete: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(value: Value) -> Members {
        let Value::Object(members) = value else { panic!("{value}") };
        Members(members)
    }

    #[test]
    fn an_absent_member_is_not_a_null_one() {
        let mut members = members(serde_json::json!({"a": null, "b": 7, "c": "x"}));
        let mut given = |name| members.given::<u16>(name);
        assert_eq!((given("a"), given("b"), given("d")), (Ok(Given::Null), Ok(Given::Value(7)), Ok(Given::Absent)));
        assert!(given("c").unwrap_err().detail().starts_with("c: invalid type: string"));
        assert!(Given::<u16>::Null.is_given() && !Given::<u16>::Absent.is_given());
    }

    #[test]
    fn a_needed_member_has_a_value() {
        let needed = |given: Given<u16>| given.needed("port").map_err(|problem| problem.detail().to_owned());
        assert_eq!(needed(Given::Value(7)), Ok(7));
        assert_eq!(needed(Given::Absent), Err("port: it is missing".to_owned()));
        assert_eq!(needed(Given::Null), Err("port: invalid type: null, expected u16".to_owned()));
    }
}
