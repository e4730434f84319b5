//! Rows on their way from the store into Arrow arrays.
//!
//! The store speaks of numbers (a record's, a server's, a kind's), a plan of columns. [`Rows`]
//! collects the numbers, only those that the wanted columns need, and makes the columns when a
//! batch is full; the dictionary is held just as long.

use crate::observed::{Mark, Marks};
use crate::table::field;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringBuilder, TimestampMillisecondArray, UInt16Array, UInt32Array};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{DataFusionError, Result};
use std::fmt::Write;
use std::sync::Arc;
use zonepulse_dns::{Action, MessageKind, RecordType};
use zonepulse_store::{Points, ServerNames, Store, Sum, Total, is_folded};

/// So many types are looked through sooner than the registry of all.
const FEW_TYPES: usize = 8;

/// Where numbers get their texts from: the dictionary as it is, the servers as they were.
pub(crate) struct Source {
    store: Store,
    servers: ServerNames,
    /// What is said of steps, where an answer has that.
    marks: Option<Arc<Marks>>,
}

impl Source {
    pub(crate) fn with_servers(store: &Store) -> Result<Self> {
        let servers = store.registry().server_names().map_err(external)?;
        Ok(Source { store: store.clone(), servers, marks: None })
    }

    pub(crate) fn without_servers(store: &Store) -> Self {
        Source { store: store.clone(), servers: ServerNames::default(), marks: None }
    }

    /// For these columns.
    pub(crate) fn for_columns(store: &Store, schema: &SchemaRef) -> Result<Self> {
        match schema.column_with_name("server") {
            Some(_) => Self::with_servers(store),
            None => Ok(Self::without_servers(store)),
        }
    }

    /// The same, of an answer whose rows are about steps.
    pub(crate) fn marked(self, marks: Option<Arc<Marks>>) -> Self {
        Source { marks, ..self }
    }

    /// What is said of the steps that begin at these times, of all servers or of these.
    pub(crate) fn marks(&self, starts_ms: &[i64], server_ids: Option<&[u32]>) -> Option<Vec<Mark>> {
        self.marks.as_ref().map(|marks| marks.of(starts_ms, server_ids))
    }

    /// The servers' names.
    pub(crate) fn servers(&self) -> &ServerNames {
        &self.servers
    }

    pub(crate) fn server_texts(&self, ids: &[u32]) -> ArrayRef {
        let mut texts = StringBuilder::with_capacity(ids.len(), ids.len() * 16);
        ids.iter().for_each(|id| texts.append_option(self.servers.get(id)));
        Arc::new(texts.finish())
    }

    /// The owner names, which the dictionary has in canonical text.
    pub(crate) fn host_texts(&self, record_ids: &[u32]) -> ArrayRef {
        let dictionary = self.store.dictionary();
        let mut texts = StringBuilder::with_capacity(record_ids.len(), record_ids.len() * 32);
        for id in record_ids {
            // A record that points or totals name is in the dictionary.
            texts.append_value(dictionary.get(*id).map_or("", |(name, _)| name));
        }
        Arc::new(texts.finish())
    }

    /// Which of them stand for messages that were summed up because a table was full.
    pub(crate) fn folded(&self, record_ids: &[u32]) -> ArrayRef {
        let dictionary = self.store.dictionary();
        let folded = |id: &u32| dictionary.get(*id).is_some_and(|(name, _)| is_folded(name));
        Arc::new(BooleanArray::from(record_ids.iter().map(folded).collect::<Vec<bool>>()))
    }

    pub(crate) fn type_texts(&self, record_ids: &[u32]) -> ArrayRef {
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
            let record_type = dictionary.get(*id).map(|(_, record_type)| record_type);
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

/// Writes into the value that `append_value` is about to close.
fn put_text(texts: &mut StringBuilder, value: impl std::fmt::Display) {
    // Writing into memory cannot fail.
    let _ = write!(texts, "{value}");
}

pub(crate) fn action_texts(kinds: &[u16]) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(kinds.len(), kinds.len() * 8);
    let action = |kind: u16| if kind == MessageKind::REQUEST.number() { Action::Request } else { Action::Response };
    kinds.iter().for_each(|kind| texts.append_value(action(*kind).as_str()));
    Arc::new(texts.finish())
}

pub(crate) fn rcode_texts(kinds: &[u16]) -> ArrayRef {
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

pub(crate) fn instants(ms: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(ms).with_timezone("UTC"))
}

/// Numbers of one column, or nothing where no wanted column needs them.
#[derive(Debug)]
struct Numbers<T>(Option<Vec<T>>);

impl<T: Copy> Numbers<T> {
    fn push(&mut self, value: T) {
        if let Some(values) = &mut self.0 {
            values.push(value);
        }
    }

    fn repeat(&mut self, value: T, count: usize) {
        if let Some(values) = &mut self.0 {
            values.resize(values.len() + count, value);
        }
    }

    fn extend(&mut self, more: impl Iterator<Item = T>) {
        if let Some(values) = &mut self.0 {
            values.extend(more);
        }
    }

    fn get(&self) -> &[T] {
        self.0.as_deref().unwrap_or_default()
    }

    fn clear(&mut self) {
        if let Some(values) = &mut self.0 {
            values.clear();
        }
    }
}

/// Rows that are being collected for the wanted columns.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    count: usize,
    start_ms: Numbers<i64>,
    interval_s: Numbers<i64>,
    server: Numbers<u32>,
    record: Numbers<u32>,
    kind: Numbers<u16>,
    hits: Numbers<i64>,
    first_ms: Numbers<i64>,
    last_ms: Numbers<i64>,
}

impl Rows {
    /// For columns of the tables that are made of points, totals, records, servers or kinds.
    pub(crate) fn new(schema: SchemaRef) -> Self {
        let wants = |columns: &[&str]| columns.iter().any(|column| schema.column_with_name(column).is_some());
        fn list<T>(wanted: bool) -> Numbers<T> {
            Numbers(wanted.then(Vec::new))
        }
        Rows {
            count: 0,
            start_ms: list(wants(&["time", "hour"])),
            interval_s: list(wants(&["interval_s"])),
            server: list(wants(&["server_id", "server"])),
            record: list(wants(&["record_id", "host", "type", "folded"])),
            kind: list(wants(&["kind", "action", "rcode"])),
            hits: list(wants(&["hits"])),
            first_ms: list(wants(&["first_seen"])),
            last_ms: list(wants(&["last_access"])),
            schema,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds the points from `from` on, at most `count`, and gives how many it added.
    pub(crate) fn push_points(&mut self, points: &Points, from: usize, count: usize) -> usize {
        let until = points.record_ids.len().min(from.saturating_add(count));
        let count = until.saturating_sub(from);
        self.start_ms.extend(slice(&points.starts_s, from, until).iter().map(|start_s| ms(start_s.saturating_mul(1000))));
        self.interval_s.repeat(points.interval_s.into(), count);
        self.server.repeat(points.server_id, count);
        self.record.extend(slice(&points.record_ids, from, until).iter().copied());
        self.kind.extend(slice(&points.kinds, from, until).iter().map(|kind| kind.number()));
        self.hits.extend(slice(&points.hits, from, until).iter().copied().map(measure));
        self.last_ms.extend(slice(&points.last_ms, from, until).iter().copied().map(ms));
        self.count += count;
        count
    }

    pub(crate) fn push_total(&mut self, total: &Total) {
        self.server.push(total.server_id);
        self.record.push(total.record_id);
        self.kind.push(total.kind.number());
        self.hits.push(measure(total.hits));
        self.first_ms.push(ms(total.first_ms));
        self.last_ms.push(ms(total.last_ms));
        self.count += 1;
    }

    pub(crate) fn push_sum(&mut self, sum: &Sum) {
        self.start_ms.push(ms(sum.start_s.saturating_mul(1000)));
        self.server.push(sum.server_id);
        self.record.push(sum.record_id);
        self.kind.push(sum.kind.number());
        self.hits.push(measure(sum.hits));
        self.last_ms.push(ms(sum.last_ms));
        self.count += 1;
    }

    pub(crate) fn push_record(&mut self, record_id: u32) {
        self.record.push(record_id);
        self.count += 1;
    }

    /// The rows as columns; none are left.
    pub(crate) fn take(&mut self, source: &Source) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().map(|field| self.column(field.name(), source)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.clear();
        Ok(batch)
    }

    fn column(&self, name: &str, source: &Source) -> Result<ArrayRef> {
        Ok(match name {
            "time" => instants(self.start_ms.get().to_vec()),
            "hour" => instants(self.start_ms.get().iter().map(|start| start - start.rem_euclid(3_600_000)).collect()),
            "interval_s" => Arc::new(Int64Array::from(self.interval_s.get().to_vec())),
            "server_id" => Arc::new(UInt32Array::from(self.server.get().to_vec())),
            "server" => source.server_texts(self.server.get()),
            "record_id" => Arc::new(UInt32Array::from(self.record.get().to_vec())),
            "resource_id" => no_resources(self.count),
            "host" => source.host_texts(self.record.get()),
            "type" => source.type_texts(self.record.get()),
            "folded" => source.folded(self.record.get()),
            "kind" => Arc::new(UInt16Array::from(self.kind.get().to_vec())),
            "action" => action_texts(self.kind.get()),
            "rcode" => rcode_texts(self.kind.get()),
            "hits" => Arc::new(Int64Array::from(self.hits.get().to_vec())),
            "first_seen" => instants(self.first_ms.get().to_vec()),
            "last_access" => instants(self.last_ms.get().to_vec()),
            _ => return Err(DataFusionError::Internal(format!("no column {:?} of points", field(name)))),
        })
    }

    fn clear(&mut self) {
        self.count = 0;
        self.start_ms.clear();
        self.interval_s.clear();
        self.server.clear();
        self.record.clear();
        self.kind.clear();
        self.hits.clear();
        self.first_ms.clear();
        self.last_ms.clear();
    }
}

/// Resource ids: there is no catalogue yet, so every record is without a resource.
pub(crate) fn no_resources(count: usize) -> ArrayRef {
    Arc::new(Int64Array::from(vec![0; count]))
}

fn slice<T>(values: &[T], from: usize, until: usize) -> &[T] {
    values.get(from..until).unwrap_or_default()
}

/// A measure as tables and answers have it. What is past the largest one, which earlier versions took, is the largest one.
pub(crate) fn measure(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The last millisecond of the year 9999, the last that RFC 3339 can write, since 1970.
const LAST_MS: i64 = 253_402_300_799_999;

/// Unix milliseconds as Arrow counts them. What lies past the year 9999, which earlier versions took, is its last millisecond.
pub(crate) fn ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).min(LAST_MS)
}

/// An error of the store on its way through DataFusion.
pub(crate) fn external(error: zonepulse_store::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
