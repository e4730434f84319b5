//! JSON without duplicate members.
//!
//! For members with the same name, some parsers take the first and some the last (RFC 8259 section 4), so an
//! intermediary that checked the body may have checked another value than the one used here.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Why a text is rejected.
#[derive(Debug)]
pub enum Fault {
    /// It is not JSON.
    Syntax(serde_json::Error),
    /// A member occurs more than once.
    Twice {
        /// Its name.
        name: String,
        /// The path of the object that contains it, from the outermost member on; empty at the top level.
        within: String,
    },
}

/// Parses JSON.
pub fn from_slice(bytes: &[u8]) -> Result<Value, Fault> {
    let mut walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = walk.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| match walk.twice {
        Some(name) => Fault::Twice { name, within: walk.path.join(".") },
        None => Fault::Syntax(error),
    })
}

/// The parser's position.
#[derive(Default)]
struct Walk {
    /// The members that contain it.
    path: Vec<String>,
    /// The duplicate member, if one was found.
    twice: Option<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Walk {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Walk {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(&mut *self)? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if read.contains_key(&name) {
                self.twice = Some(name);
                return Err(A::Error::custom("a member is there more than once"));
            }
            self.path.push(name);
            let value = members.next_value_seed(&mut *self)?;
            if let Some(name) = self.path.pop() {
                read.insert(name, value);
            }
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_ever() {
        for text in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            "-9223372036854775808",
            "1.5e300",
            r#""a\u00fc\n""#,
            "[]",
            "{}",
            r#"{"a": {"b": [1, {"b": 2, "a": null}], "a": "b"}, "b": {}}"#,
            r#"[{"a": 1}, {"a": 2}]"#,
        ] {
            assert_eq!(from_slice(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn a_member_that_is_there_twice_is_named() {
        for (text, expected) in [
            (r#"{"a": 1, "a": 1}"#, ("a", "")),
            (r#"{"a": 1, "b": 2, "\u0061": 3}"#, ("a", "")),
            (r#"{"": null, "": null}"#, ("", "")),
            (r#"{"server": "x", "settings": {"b": 1, "verify_ca": true, "verify_ca": false}}"#, ("verify_ca", "settings")),
            (r#"{"a": [{"b": {}}, {"b": {"c": 1, "c": 2}}]}"#, ("c", "a.b")),
        ] {
            match from_slice(text.as_bytes()) {
                Err(Fault::Twice { name, within }) => assert_eq!((&*name, &*within), expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(10_000);
        for text in ["", "{", "{} {}", r#"{"a"}"#, r#"{"a": 1,}"#, "nul", "\u{feff}{}", &deep] {
            assert!(matches!(from_slice(text.as_bytes()), Err(Fault::Syntax(_))), "{text}");
        }
        assert!(matches!(from_slice(b"\"\xff\""), Err(Fault::Syntax(_))));
    }
}
