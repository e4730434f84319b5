//! The audit log: who changed what, when and from where.
//!
//! An entry is part of the write that it describes, so there is no change without an entry. It contains the fields
//! that differ, before and after; of a secret it only records that it changed. Only the newest [`KEPT`] entries are
//! kept.

use super::{Change, Registry};
use crate::Error;
use crate::database::key;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const AUDIT: &[u8] = b"audit/";
/// Maximum number of entries; the oldest are removed.
const KEPT: u64 = if cfg!(test) { 20 } else { 10_000 };
/// Names of fields whose values are never logged.
const SECRETS: [&str; 6] = ["token_hash", "password_hash", "hash", "token", "rabbitmq_password", "secret"];

/// The author of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// A user, a server or anything else, as text.
    pub who: String,
    /// The address or location, as text.
    pub from: String,
    /// When, Unix milliseconds.
    pub now_ms: u64,
}

/// A change recorded in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Sequential number.
    pub id: u64,
    /// When, Unix milliseconds.
    pub time_ms: u64,
    /// Who.
    pub who: String,
    /// From where.
    pub from: String,
    /// The action, such as `server.change`.
    pub action: String,
    /// The object of the action, as text.
    pub what: String,
    /// The fields that differ, before the change; null if there was nothing.
    pub before: Value,
    /// The fields that differ, after the change; null if there is nothing.
    pub after: Value,
}

impl Registry<'_> {
    /// Logs something that changes nothing in the store.
    pub fn log(&self, action: &str, what: &str) -> Result<(), Error> {
        let mut work = self.change();
        work.audit(action, what, &Value::Null, &Value::Null)?;
        work.commit()
    }

    /// Entries of the audit log, newest first, skipping the first `offset`; and the total number of entries.
    pub fn audit(&self, offset: u64, limit: usize) -> Result<(Vec<AuditEntry>, u64), Error> {
        let (first, next) = self.audit_range()?;
        let total = next - first;
        let until = next.saturating_sub(offset).max(first);
        let from = until.saturating_sub(limit as u64).max(first);
        let mut found = Vec::new();
        self.inner.database.visit("default", &audit_key(from), |key, value| {
            let ours = *key < *audit_key(until);
            if ours {
                found.push(super::parse(key, value)?);
            }
            Ok(ours)
        })?;
        found.reverse();
        Ok((found, total))
    }

    /// The number of the oldest entry, and the number of the next one to be added.
    fn audit_range(&self) -> Result<(u64, u64), Error> {
        let mut iterator = self.inner.database.iterator("default");
        iterator.seek(AUDIT);
        let number = |key: Option<&[u8]>| key.and_then(|key| key::u64_at(key.strip_prefix(AUDIT)?, 0));
        let Some(first) = number(iterator.key()) else { return Ok((0, 0)) };
        iterator.seek_for_prev(audit_key(u64::MAX));
        let last = number(iterator.key()).unwrap_or(first);
        iterator.status()?;
        Ok((first, last + 1))
    }
}

impl Change<'_> {
    /// Logs a change, in the write that makes it.
    pub(crate) fn audit(
        &mut self,
        action: &str,
        what: &str,
        before: &impl Serialize,
        after: &impl Serialize,
    ) -> Result<(), Error> {
        let Some(actor) = self.registry.actor.clone() else { return Ok(()) };
        let (first, id) = self.registry.audit_range()?;
        let json = |value: Result<Value, serde_json::Error>| value.map_err(|error| Error::damaged(error.to_string(), AUDIT));
        let (before, after) = differences(json(serde_json::to_value(before))?, json(serde_json::to_value(after))?);
        let Actor { who, from, now_ms } = actor;
        let (action, what) = (action.to_owned(), what.to_owned());
        self.put(&audit_key(id), &AuditEntry { id, time_ms: now_ms, who, from, action, what, before, after })?;
        for old in first..(id + 1).saturating_sub(KEPT) {
            self.batch.delete(audit_key(old));
        }
        Ok(())
    }
}

/// The fields in which two values differ, with secrets redacted.
fn differences(before: Value, after: Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let (mut was, mut is) = (Map::new(), Map::new());
            let mut before = before;
            for (name, after) in after {
                let before = before.remove(&name);
                if before.as_ref() != Some(&after) {
                    difference(&name, before, Some(after), &mut was, &mut is);
                }
            }
            before.into_iter().for_each(|(name, before)| difference(&name, Some(before), None, &mut was, &mut is));
            (was.into(), is.into())
        }
        (before, after) => (without_secrets(before), without_secrets(after)),
    }
}

fn difference(
    name: &str,
    before: Option<Value>,
    after: Option<Value>,
    was: &mut Map<String, Value>,
    is: &mut Map<String, Value>,
) {
    if SECRETS.contains(&name) {
        let changed = before.is_some();
        was.extend(before.map(|_| (name.to_owned(), "(secret)".into())));
        is.extend(after.map(|_| (name.to_owned(), if changed { "(another secret)" } else { "(secret)" }.into())));
        return;
    }
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => {
            let (before, after) = differences(before, after);
            (Some(before), Some(after))
        }
        (before, after) => (before.map(without_secrets), after.map(without_secrets)),
    };
    was.extend(before.map(|before| (name.to_owned(), before)));
    is.extend(after.map(|after| (name.to_owned(), after)));
}

fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let hidden = |(name, value): (String, Value)| {
                let value = if SECRETS.contains(&name.as_str()) { "(secret)".into() } else { without_secrets(value) };
                (name, value)
            };
            fields.into_iter().map(hidden).collect()
        }
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        other => other,
    }
}

fn audit_key(id: u64) -> Vec<u8> {
    [AUDIT, &id.to_be_bytes()[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_told() {
        let (before, after) = differences(
            json!({"name": "a", "same": 1, "deep": {"x": 1, "y": 2}, "gone": true}),
            json!({"name": "b", "same": 1, "deep": {"x": 1, "y": 3}, "new": [1]}),
        );
        assert_eq!(before, json!({"name": "a", "deep": {"y": 2}, "gone": true}));
        assert_eq!(after, json!({"name": "b", "deep": {"y": 3}, "new": [1]}));
    }

    #[test]
    fn no_secret_is_told_wherever_it_stands() {
        let (before, after) = differences(
            json!({"token_hash": "s1", "tokens": [{"hash": "s2", "name": "a"}], "pull": {"token": "s3"}}),
            json!({"token_hash": "s4", "tokens": [], "pull": {"token": "s5"}, "overrides": {"rabbitmq_password": "s6"}}),
        );
        for secret in 1..=6 {
            assert!(!format!("{before}{after}").contains(&format!("s{secret}")), "{before} {after}");
        }
        assert_eq!((&before["token_hash"], &after["token_hash"]), (&json!("(secret)"), &json!("(another secret)")));
        assert_eq!(differences(Value::Null, json!({"password_hash": "s1"})).1, json!({"password_hash": "(secret)"}));
    }
}
