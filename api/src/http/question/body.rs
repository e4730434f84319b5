//! Bodies in JSON: from an object's members to typed arguments.
//!
//! Like parameters: a member that is not known, that comes twice, or that cannot be
//! read is an error that names it. In a change, a member that is absent stays as it is and
//! `null` resets it to its default (RFC 7396).

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

/// What a body may be called.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/merge-patch+json"];

/// The members of an object.
pub struct Members(Map<String, Value>);

impl Members {
    /// The largest body, bytes: nobody writes more by hand.
    pub const MAX_BYTES: usize = 64 << 10;

    /// Of a request's body; no body at all is an object without members.
    pub async fn read(headers: &HeaderMap, body: Body, known: &[&str]) -> Result<Self, Problem> {
        match json(headers, body, Self::MAX_BYTES).await? {
            Value::Object(members) => Self::of(members, known),
            _ => Err(Problem::parameter("body", "it has to be an object")),
        }
    }

    /// Of a request whose body may be left out, or be `null`.
    pub async fn read_optional(headers: &HeaderMap, body: Body, known: &[&str]) -> Result<Self, Problem> {
        match json(headers, body, Self::MAX_BYTES).await? {
            Value::Object(members) => Self::of(members, known),
            Value::Null => Ok(Members(Map::new())),
            _ => Err(Problem::parameter("body", "it has to be an object")),
        }
    }

    /// Of an object.
    pub fn of(members: Map<String, Value>, known: &[&str]) -> Result<Self, Problem> {
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => {
                Err(Problem::parameter(shown(unknown), format_args!("there is no such member; there are {}", known.join(", "))))
            }
            None => Ok(Members(members)),
        }
    }

    /// Of a request's body in which members may have an old name; and a warning for each that has.
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

    /// A member that may be absent; `null` is what there is by default.
    pub fn take<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(T::default())),
            Some(value) => typed(name, value).map(Some),
        }
    }

    /// A member that may be absent or `null`, which is the same.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        Ok(self.take::<Option<T>>(name)?.flatten())
    }

    /// A member that has to be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Problem> {
        let value = self.0.remove(name).ok_or_else(|| Problem::parameter(name, "it is missing"))?;
        typed(name, value)
    }
}

/// Declares a body once: what is documented is what is read. Behind a member stands the way it is read by, which is a function
/// of [`Members`].
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

/// A value of a member, or what is wrong with it.
pub fn typed<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| Problem::parameter(name.to_owned(), error))
}

/// The media type that a `Content-Type` names, in lower case.
pub fn media_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body in JSON of at most so many bytes.
pub async fn json(headers: &HeaderMap, body: Body, most_bytes: usize) -> Result<Value, Problem> {
    let given = media_type(headers);
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

/// All of a body of at most so many bytes. `take` is asked for room before bytes are kept.
pub async fn whole(body: Body, most_bytes: usize, mut take: impl FnMut(usize) -> Result<(), Problem>) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Case::RequestTooLarge, format!("a request has at most {most_bytes} bytes"));
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > most_bytes as u64) {
        return Err(too_large());
    }
    // Pages that nothing is written to take no memory.
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

/// Why a body ended too early.
fn broken(error: &axum::Error) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(slow) = error.downcast_ref::<TooSlow>() {
            return Problem::new(Case::TooSlow, slow.to_string());
        }
        cause = error.source();
    }
    // Whoever went away does not see this; whoever sent a malformed body does.
    Problem::parameter("body", format_args!("it is not complete: {error}"))
}
