//! The columns of what numbers stand for: a server's, a record's, a kind's.
//!
//! The store and plans speak of numbers. A [`Source`] makes columns of them: it has the dictionary as it is and the servers as
//! they were when it was made. A column that is added to [`Dimension::Record`] gets its values here, and nowhere else.

use super::{Column, Dimension, external};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringBuilder, UInt16Array, UInt32Array};
use datafusion::common::{DataFusionError, Result};
use std::fmt::Write;
use std::sync::Arc;
use zonepulse_dns::{Action, MessageKind, RecordType, Served};
use zonepulse_model::{RecordId, ServerId};
use zonepulse_store::{ServerNames, Store, is_folded};

/// So many types are looked through sooner than the registry of all.
const FEW_TYPES: usize = 8;

/// Where numbers get their texts from.
pub(crate) struct Source {
    store: Store,
    servers: ServerNames,
}

impl Source {
    /// For these columns. Reads the store where the names of servers are among them: not on a thread that may not block.
    pub(crate) fn of(store: &Store, columns: &[Column]) -> Result<Self> {
        let named = columns.contains(&Column::Server);
        let servers = if named { store.registry().server_names().map_err(external)? } else { ServerNames::default() };
        Ok(Source { store: store.clone(), servers })
    }

    /// The servers' names.
    pub(crate) fn servers(&self) -> &ServerNames {
        &self.servers
    }

    /// A column of servers.
    pub(crate) fn of_servers(&self, column: Column, ids: &[u32]) -> Result<ArrayRef> {
        match column {
            Column::ServerId => Ok(Arc::new(UInt32Array::from(ids.to_vec()))),
            Column::Server => Ok(self.server_names(ids)),
            _ => Err(unknown(column, Dimension::Server)),
        }
    }

    /// A column of records.
    pub(crate) fn of_records(&self, column: Column, ids: &[u32]) -> Result<ArrayRef> {
        match column {
            Column::RecordId => Ok(Arc::new(UInt32Array::from(ids.to_vec()))),
            Column::ResourceId => {
                let resources = self.store.resources();
                let of = |id: &u32| i64::from(resources.lowest(RecordId::new(*id)).get());
                Ok(Arc::new(Int64Array::from_iter_values(ids.iter().map(of))))
            }
            Column::Host => Ok(self.hosts(ids)),
            Column::Type => Ok(self.types(ids)),
            Column::Folded => Ok(self.folded(ids)),
            _ => Err(unknown(column, Dimension::Record)),
        }
    }

    /// A column of kinds.
    pub(crate) fn of_kinds(column: Column, kinds: &[u16]) -> Result<ArrayRef> {
        match column {
            Column::Kind => Ok(Arc::new(UInt16Array::from(kinds.to_vec()))),
            Column::Action => Ok(actions(kinds)),
            Column::Rcode => Ok(rcodes(kinds)),
            Column::Class => Ok(classes(kinds)),
            _ => Err(unknown(column, Dimension::Kind)),
        }
    }

    fn server_names(&self, ids: &[u32]) -> ArrayRef {
        let mut texts = StringBuilder::with_capacity(ids.len(), ids.len() * 16);
        ids.iter().for_each(|id| texts.append_option(self.servers.get(&ServerId::new(*id))));
        Arc::new(texts.finish())
    }

    /// The owner names, which the dictionary has in canonical text.
    fn hosts(&self, record_ids: &[u32]) -> ArrayRef {
        let dictionary = self.store.dictionary();
        let mut texts = StringBuilder::with_capacity(record_ids.len(), record_ids.len() * 32);
        for id in record_ids {
            // A record that points or totals name is in the dictionary.
            texts.append_value(dictionary.get(RecordId::new(*id)).map_or("", |(name, _)| name));
        }
        Arc::new(texts.finish())
    }

    /// Which of them stand for messages that were summed up because a table was full.
    fn folded(&self, record_ids: &[u32]) -> ArrayRef {
        let dictionary = self.store.dictionary();
        let folded = |id: &u32| dictionary.get(RecordId::new(*id)).is_some_and(|(name, _)| is_folded(name));
        Arc::new(BooleanArray::from(record_ids.iter().map(folded).collect::<Vec<bool>>()))
    }

    fn types(&self, record_ids: &[u32]) -> ArrayRef {
        let dictionary = self.store.dictionary();
        let mut texts = StringBuilder::with_capacity(record_ids.len(), record_ids.len() * 4);
        // The same few types come again and again.
        let mut known: Vec<(RecordType, Option<&'static str>)> = Vec::new();
        let mut mnemonic = |record_type: RecordType| match known.iter().find(|(known, _)| *known == record_type) {
            Some((_, mnemonic)) => *mnemonic,
            None => {
                let mnemonic = record_type.mnemonic();
                if known.len() < FEW_TYPES {
                    known.push((record_type, mnemonic));
                }
                mnemonic
            }
        };
        for id in record_ids {
            let record_type = dictionary.get(RecordId::new(*id)).map(|(_, record_type)| record_type);
            match record_type.and_then(&mut mnemonic) {
                Some(mnemonic) => texts.append_value(mnemonic),
                None => {
                    if let Some(record_type) = record_type {
                        put_text(&mut texts, record_type);
                    }
                    texts.append_value("");
                }
            }
        }
        Arc::new(texts.finish())
    }
}

fn actions(kinds: &[u16]) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(kinds.len(), kinds.len() * 8);
    let action = |kind: u16| if kind == MessageKind::REQUEST.number() { Action::Request } else { Action::Response };
    kinds.iter().for_each(|kind| texts.append_value(action(*kind).as_str()));
    Arc::new(texts.finish())
}

fn classes(kinds: &[u16]) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(kinds.len(), kinds.len() * 8);
    let class = |kind: u16| MessageKind::from_number(kind).and_then(MessageKind::class);
    kinds.iter().for_each(|kind| texts.append_value(class(*kind).map_or("", Served::as_str)));
    Arc::new(texts.finish())
}

fn rcodes(kinds: &[u16]) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(kinds.len(), kinds.len() * 8);
    for kind in kinds {
        match MessageKind::from_number(*kind).and_then(MessageKind::response_code) {
            Some(code) => match code.mnemonic() {
                Some(mnemonic) => texts.append_value(mnemonic),
                None => {
                    put_text(&mut texts, code);
                    texts.append_value("");
                }
            },
            None => texts.append_null(),
        }
    }
    Arc::new(texts.finish())
}

/// Writes into the value that `append_value` is about to close.
fn put_text(texts: &mut StringBuilder, value: impl std::fmt::Display) {
    // Writing into memory cannot fail.
    let _ = write!(texts, "{value}");
}

fn unknown(column: Column, dimension: Dimension) -> DataFusionError {
    DataFusionError::Internal(format!("no numbers of {dimension:?} say {column}"))
}
