//! How EXPLAIN shows a selection.

use std::fmt::{Formatter, Result};
use zonepulse_dns::{Action, MessageKind};
use zonepulse_store::{Kinds, Selection};

/// A longer list is shown as its length.
const SHOWN: usize = 8;

/// `, servers=… , from_s=…, until_s=…, records=…, kinds=…`, each only if it restricts.
pub(crate) fn selection(f: &mut Formatter<'_>, selection: &Selection, until_s: u64) -> Result {
    if let Some(servers) = &selection.servers {
        write!(f, ", servers={}", list(servers))?;
    }
    if selection.from_s > 0 {
        write!(f, ", from_s={}", selection.from_s)?;
    }
    if until_s < u64::MAX {
        write!(f, ", until_s={until_s}")?;
    }
    if let Some(records) = &selection.records {
        write!(f, ", records={}", list(records))?;
    }
    match &selection.kinds {
        Kinds::Messages => Ok(()),
        Kinds::Responses => write!(f, ", kinds=responses"),
        Kinds::Served => write!(f, ", kinds=served"),
        Kinds::Only(kinds) => {
            let names: Vec<String> = kinds.iter().map(|kind| name(*kind)).collect();
            write!(f, ", kinds={}", list(&names))
        }
    }
}

fn name(kind: MessageKind) -> String {
    match (kind.response_code(), kind.class()) {
        (Some(code), _) => code.to_string(),
        (None, Some(class)) => class.as_str().to_owned(),
        (None, None) => Action::Request.to_string(),
    }
}

fn list<T: ToString>(values: &[T]) -> String {
    if values.len() > SHOWN {
        return format!("({})", values.len());
    }
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    format!("[{}]", values.join(", "))
}
