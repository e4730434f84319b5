//! Bodies in JSON: from an object's members to typed arguments.
//!
//! Like parameters: a member that is not known, or that cannot be read, is an
//! error that names it. In a change, a member that is absent stays as it is and
//! `null` puts it back to what it is without being set (RFC 7396).

use crate::problem::{Case, Problem};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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

    /// Of an object.
    pub fn of(members: Map<String, Value>, known: &[&str]) -> Result<Self, Problem> {
        match members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => {
                let name: String = unknown.chars().take(100).collect();
                Err(Problem::parameter(name, format_args!("there is no such member; there are {}", known.join(", "))))
            }
            None => Ok(Members(members)),
        }
    }

    /// A member that may be absent; `null` is what there is by default.
    pub fn take<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(T::default())),
            Some(value) => typed(name, value).map(Some),
        }
    }

    /// A member that has to be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Problem> {
        let value = self.0.remove(name).ok_or_else(|| Problem::parameter(name, "it is missing"))?;
        typed(name, value)
    }
}

/// A value of a member, or what is wrong with it.
pub fn typed<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| Problem::parameter(name.to_owned(), error))
}

/// A body in JSON of at most so many bytes.
pub async fn json(headers: &HeaderMap, body: Body, most_bytes: usize) -> Result<Value, Problem> {
    let given = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let media_type = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let bytes = to_bytes(body, most_bytes).await;
    let bytes = bytes.map_err(|_| Problem::new(Case::RequestTooLarge, format!("this request has at most {most_bytes} bytes")))?;
    if bytes.is_empty() {
        return Ok(Map::new().into());
    }
    if !MEDIA_TYPES.contains(&media_type.as_str()) {
        return Err(Problem::new(Case::UnknownFormat, format!("Content-Type is {given:?}: send {}", MEDIA_TYPES[0])));
    }
    serde_json::from_slice(&bytes).map_err(|error| Problem::parameter("body", format_args!("it is no JSON: {error}")))
}
