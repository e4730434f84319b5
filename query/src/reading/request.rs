//! Requests to a store: one partition of a scan, a count, or the names that a filter is evaluated over.
//!
//! A request is a plain value with a binary form, so the process that plans need not be the one that has the store.
//! It says *which* rows; it contains no expression, so the time and memory that it takes depend on the rows
//! that it reads and nothing else.

use crate::columns::{Column, Table, metrics};
use crate::listed::Listed;
use crate::time::Piece;
use arrow::datatypes::SchemaRef;
use zonepulse_codec::{Malformed, Reader, put};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::IdSet;
use zonepulse_store::{Kinds, Level, Selection, Split, SplitKind, SystemSelection};

/// Maximum number of rows per batch.
const MAX_BATCH_ROWS: u64 = 1 << 16;
/// Maximum number of columns: more than any table has.
const MAX_COLUMNS: usize = 64;
/// Maximum number of pieces of a count.
const MAX_PIECES: usize = 1 << 10;
/// The longest owner name in presentation format, octets: 255 octets, each of which may be written as `\DDD`.
const MAX_NAME_BYTES: usize = 4 * 255 + 1;

/// One request, answered by batches of the columns [`Request::schema`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Rows of a table of DNS points, totals, coverage, servers or names.
    Rows(RowsRequest),
    /// Rows of a table of metrics.
    System(SystemRequest),
    /// The number of points: one row, `rows`.
    Count(Vec<Piece>),
    /// The known records among these names and types: `record_id, resource_id, host, type, folded`.
    Named(Vec<(String, RecordType)>),
    /// Every series of metrics: `series_id, metric, label`.
    Series,
    /// Rows of a table of the catalogue.
    Listed(ListedRequest),
}

/// A scan of a table of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedRequest {
    pub(crate) table: Listed,
    pub(crate) columns: Vec<Column>,
    pub(crate) limit: Option<usize>,
}

/// One partition of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowsRequest {
    pub(crate) table: Table,
    /// For points, the piece that they are read from, whose level may be coarser than the table's.
    pub(crate) piece: Piece,
    /// How points are added up, if they are.
    pub(crate) summed: Option<Split>,
    pub(crate) columns: Vec<Column>,
    pub(crate) limit: Option<usize>,
    pub(crate) batch_rows: usize,
}

/// One partition of a scan of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SystemRequest {
    pub(crate) level: Level,
    pub(crate) selection: SystemSelection,
    pub(crate) columns: Vec<Column>,
    pub(crate) limit: Option<usize>,
    pub(crate) batch_rows: usize,
}

impl Request {
    /// The columns of the answer.
    pub(crate) fn columns(&self) -> &[Column] {
        match self {
            Request::Rows(rows) => &rows.columns,
            Request::System(rows) => &rows.columns,
            Request::Count(_) => &[Column::Rows],
            Request::Named(_) => Table::Names.columns(),
            Request::Series => &[Column::SeriesId, Column::Metric, Column::Label],
            Request::Listed(rows) => &rows.columns,
        }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Request::Listed(rows) => rows.table.schema_of(&rows.columns),
            _ => Column::schema(self.columns()),
        }
    }

    /// The binary form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Request::Rows(RowsRequest { table, piece, summed, columns, limit, batch_rows }) => {
                put(&mut out, 0);
                put_position(&mut out, &Table::ALL, table);
                put_piece(&mut out, piece);
                put_split(&mut out, *summed);
                put_rest(&mut out, table.columns(), columns, *limit, *batch_rows);
            }
            Request::System(SystemRequest { level, selection, columns, limit, batch_rows }) => {
                put(&mut out, 1);
                put_position(&mut out, &Level::ALL, level);
                put_ids(&mut out, selection.servers.as_ref());
                put(&mut out, selection.from_s);
                put(&mut out, selection.until_s);
                put_ids(&mut out, selection.series.as_ref());
                put_rest(&mut out, metrics::columns(*level), columns, *limit, *batch_rows);
            }
            Request::Count(pieces) => {
                put(&mut out, 2);
                put(&mut out, pieces.len() as u64);
                pieces.iter().for_each(|piece| put_piece(&mut out, piece));
            }
            Request::Named(names) => {
                put(&mut out, 3);
                put(&mut out, names.len() as u64);
                for (host, record_type) in names {
                    put(&mut out, host.len() as u64);
                    out.extend_from_slice(host.as_bytes());
                    put(&mut out, u64::from(record_type.value()));
                }
            }
            Request::Series => put(&mut out, 4),
            Request::Listed(ListedRequest { table, columns, limit }) => {
                put(&mut out, 5);
                put_position(&mut out, &Listed::ALL, table);
                put_rest(&mut out, table.columns(), columns, *limit, 1);
            }
        }
        out
    }

    /// Parses the binary form, in at most four times its bytes of memory.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Request, Malformed> {
        let mut from = Reader::new(bytes);
        let request = match from.number("request")? {
            0 => {
                let table = position(&mut from, &Table::ALL, "table")?;
                Request::Rows(RowsRequest {
                    table,
                    piece: piece(&mut from)?,
                    summed: split(&mut from)?,
                    columns: columns(&mut from, table.columns())?,
                    limit: limit(&mut from)?,
                    batch_rows: batch_rows(&mut from)?,
                })
            }
            1 => {
                let level = position(&mut from, &Level::ALL, "level")?;
                Request::System(SystemRequest {
                    level,
                    selection: SystemSelection {
                        servers: ids(&mut from, "servers")?,
                        from_s: from.number("from_s")?,
                        until_s: from.number("until_s")?,
                        series: ids(&mut from, "series")?,
                    },
                    columns: columns(&mut from, metrics::columns(level))?,
                    limit: limit(&mut from)?,
                    batch_rows: batch_rows(&mut from)?,
                })
            }
            2 => {
                let pieces = from.count(MAX_PIECES, "pieces")?;
                Request::Count((0..pieces).map(|_| piece(&mut from)).collect::<Result<_, _>>()?)
            }
            3 => {
                let names = from.count(bytes.len(), "names")?;
                Request::Named((0..names).map(|_| name(&mut from)).collect::<Result<_, _>>()?)
            }
            4 => Request::Series,
            5 => {
                let table = position(&mut from, &Listed::ALL, "table")?;
                let columns = columns(&mut from, table.columns())?;
                let limit = limit(&mut from)?;
                // The catalogue decides how large its batches are.
                batch_rows(&mut from)?;
                Request::Listed(ListedRequest { table, columns, limit })
            }
            _ => return Err(Malformed("request")),
        };
        if from.is_empty() { Ok(request) } else { Err(Malformed("end of request")) }
    }
}

fn put_position<T: PartialEq>(out: &mut Vec<u8>, all: &[T], one: &T) {
    put(out, all.iter().position(|known| known == one).unwrap_or(all.len()) as u64);
}

fn position<T: Copy>(from: &mut Reader<'_>, all: &[T], what: &'static str) -> Result<T, Malformed> {
    let at = from.below(all.len() as u64, what)? as usize;
    all.get(at).copied().ok_or(Malformed(what))
}

fn put_piece(out: &mut Vec<u8>, Piece { level, selection }: &Piece) {
    put_position(out, &Level::ALL, level);
    put_ids(out, selection.servers.as_ref());
    put(out, selection.from_s);
    put(out, selection.until_s);
    match &selection.kinds {
        Kinds::Messages => put(out, 0),
        Kinds::Responses => put(out, 1),
        Kinds::Served => put(out, 2),
        Kinds::Only(kinds) => {
            put(out, 3);
            put(out, kinds.len() as u64);
            kinds.iter().for_each(|kind| put(out, u64::from(kind.number())));
        }
    }
    put_ids(out, selection.records.as_ref());
}

fn piece(from: &mut Reader<'_>) -> Result<Piece, Malformed> {
    Ok(Piece {
        level: position(from, &Level::ALL, "level")?,
        selection: Selection {
            servers: ids(from, "servers")?,
            from_s: from.number("from_s")?,
            until_s: from.number("until_s")?,
            kinds: match from.below(4, "kinds")? {
                0 => Kinds::Messages,
                1 => Kinds::Responses,
                2 => Kinds::Served,
                _ => {
                    let count = from.count(MessageKind::COUNT.into(), "kinds")?;
                    let kind = |from: &mut Reader<'_>| {
                        let number = from.below(MessageKind::COUNT.into(), "kind")?;
                        MessageKind::from_number(number as u16).ok_or(Malformed("kind"))
                    };
                    Kinds::Only((0..count).map(|_| kind(from)).collect::<Result<_, _>>()?)
                }
            },
            records: ids(from, "records")?,
        },
    })
}

/// Ids as differences: most are consecutive and take one byte.
fn put_ids<T: Copy + Into<u32>>(out: &mut Vec<u8>, ids: Option<&IdSet<T>>) {
    let Some(ids) = ids else { return put(out, 0) };
    put(out, ids.len() as u64 + 1);
    let mut last = 0;
    for id in ids {
        let id = (*id).into();
        put(out, u64::from(id - last));
        last = id;
    }
}

fn ids<T: Copy + Ord + From<u32>>(from: &mut Reader<'_>, what: &'static str) -> Result<Option<IdSet<T>>, Malformed> {
    let Some(count) = from.number(what)?.checked_sub(1) else { return Ok(None) };
    let count = usize::try_from(count).ok().filter(|count| *count <= from.rest().len()).ok_or(Malformed(what))?;
    let mut last = 0u32;
    let mut id = || -> Result<T, Malformed> {
        last = last.wrapping_add(u32::try_from(from.number(what)?).map_err(|_| Malformed(what))?);
        Ok(last.into())
    };
    Ok(Some((0..count).map(|_| id()).collect::<Result<_, _>>()?))
}

fn put_split(out: &mut Vec<u8>, split: Option<Split>) {
    let Some(Split { server, record, kind, length_s, shift_s }) = split else { return put(out, 0) };
    put(out, 1);
    put(out, u64::from(server));
    put(out, u64::from(record));
    put_position(out, &KINDS, &kind);
    put(out, length_s.map_or(0, |length_s| u64::from(length_s) + 1));
    put(out, u64::from(shift_s));
}

const KINDS: [SplitKind; 3] = [SplitKind::Together, SplitKind::ByAction, SplitKind::Each];

fn split(from: &mut Reader<'_>) -> Result<Option<Split>, Malformed> {
    if from.below(2, "summed")? == 0 {
        return Ok(None);
    }
    let server = from.below(2, "split by server")? == 1;
    let record = from.below(2, "split by record")? == 1;
    let kind = position(from, &KINDS, "split by kind")?;
    let length_s = match from.number("length of a stretch")?.checked_sub(1) {
        None => None,
        // It is a divisor.
        Some(0) => return Err(Malformed("length of a stretch")),
        Some(length_s) => Some(u32::try_from(length_s).map_err(|_| Malformed("length of a stretch"))?),
    };
    let shift_s = u32::try_from(from.number("shift of stretches")?).map_err(|_| Malformed("shift of stretches"))?;
    Ok(Some(Split { server, record, kind, length_s, shift_s }))
}

fn put_rest(out: &mut Vec<u8>, all: &[Column], columns: &[Column], limit: Option<usize>, batch_rows: usize) {
    put(out, columns.len() as u64);
    columns.iter().for_each(|column| put_position(out, all, column));
    put(out, limit.map_or(0, |limit| (limit as u64).saturating_add(1)));
    put(out, batch_rows as u64);
}

fn columns(from: &mut Reader<'_>, all: &[Column]) -> Result<Vec<Column>, Malformed> {
    let count = from.count(MAX_COLUMNS, "columns")?;
    (0..count).map(|_| position(from, all, "column")).collect()
}

fn limit(from: &mut Reader<'_>) -> Result<Option<usize>, Malformed> {
    Ok(from.number("limit")?.checked_sub(1).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

fn batch_rows(from: &mut Reader<'_>) -> Result<usize, Malformed> {
    Ok(from.below(MAX_BATCH_ROWS + 1, "rows of a batch")?.max(1) as usize)
}

fn name(from: &mut Reader<'_>) -> Result<(String, RecordType), Malformed> {
    let length = from.count(MAX_NAME_BYTES, "length of a name")?;
    let host = str::from_utf8(from.bytes(length, "name")?).map_err(|_| Malformed("name"))?.to_owned();
    let record_type = u16::try_from(from.number("type")?).map_err(|_| Malformed("type"))?;
    Ok((host, RecordType::new(record_type)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_ids<T: Copy + Ord + From<u32> + std::fmt::Debug>() -> impl Strategy<Value = Option<IdSet<T>>> {
        let numbers = proptest::collection::vec(prop_oneof![0u32..300, Just(u32::MAX), any::<u32>()], 0..20);
        proptest::option::of(numbers.prop_map(|numbers| numbers.into_iter().map(T::from).collect()))
    }

    fn a_time() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]
    }

    fn a_piece() -> impl Strategy<Value = Piece> {
        let kinds = prop_oneof![
            Just(Kinds::Messages),
            Just(Kinds::Responses),
            Just(Kinds::Served),
            proptest::collection::vec(0..MessageKind::COUNT, 0..5)
                .prop_map(|kinds| Kinds::Only(kinds.into_iter().filter_map(MessageKind::from_number).collect())),
        ];
        (0usize..5, some_ids(), a_time(), a_time(), kinds, some_ids()).prop_map(
            |(level, servers, from_s, until_s, kinds, records)| Piece {
                level: Level::ALL[level],
                selection: Selection { servers, from_s, until_s, kinds, records },
            },
        )
    }

    fn a_split() -> impl Strategy<Value = Option<Split>> {
        let length_s = proptest::option::of(1u32..);
        proptest::option::of(
            (any::<bool>(), any::<bool>(), 0usize..3, length_s, any::<u32>()).prop_map(
                |(server, record, kind, length_s, shift_s)| Split { server, record, kind: KINDS[kind], length_s, shift_s },
            ),
        )
    }

    fn some(all: &[Column], places: Vec<usize>) -> Vec<Column> {
        places.into_iter().map(|place| all[place % all.len()]).collect()
    }

    fn a_request() -> impl Strategy<Value = Request> {
        let rest = || (proptest::collection::vec(0usize..64, 0..14), proptest::option::of(0usize..1 << 40), 1usize..9000);
        prop_oneof![
            (0usize..9, a_piece(), a_split(), rest()).prop_map(|(table, piece, summed, (places, limit, batch_rows))| {
                let table = Table::ALL[table];
                let columns = some(table.columns(), places);
                Request::Rows(RowsRequest { table, piece, summed, columns, limit, batch_rows })
            }),
            (0usize..5, some_ids(), a_time(), a_time(), some_ids(), rest()).prop_map(
                |(level, servers, from_s, until_s, series, (places, limit, batch_rows))| {
                    let selection = SystemSelection { servers, from_s, until_s, series };
                    let level = Level::ALL[level];
                    let columns = some(metrics::columns(level), places);
                    Request::System(SystemRequest { level, selection, columns, limit, batch_rows })
                }
            ),
            proptest::collection::vec(a_piece(), 0..4).prop_map(Request::Count),
            proptest::collection::vec(("[a-z.\\\\0-9]{1,40}", any::<u16>()), 0..5).prop_map(|names| {
                Request::Named(names.into_iter().map(|(host, number)| (host, RecordType::new(number))).collect())
            }),
            Just(Request::Series),
            (0usize..4, rest()).prop_map(|(table, (places, limit, _))| {
                let table = Listed::ALL[table];
                Request::Listed(ListedRequest { table, columns: some(table.columns(), places), limit })
            }),
        ]
    }

    proptest! {
        #[test]
        fn every_request_survives_its_binary_form(request in a_request()) {
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::decode(&bytes).map(|request| request.schema());
        }
    }
}
