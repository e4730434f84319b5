//! From a filter of a plan to a selection of the store.
//!
//! A selection has four dimensions: records, servers, kinds and time. All values of the first
//! three are known (the dictionary, the registry, the 4103 kinds), so a predicate over
//! the columns of one dimension is evaluated over all of its values, and the values that pass are the
//! selection. Whatever the predicate is, `host LIKE '%.example.com.'` or `rcode IS NULL`,
//! the selection is exact. Time is compared by number.

use crate::columns::{Column, Dimension, Source, Table};
use crate::reading::{Data, Request, RowsRequest};
use crate::time::Piece;
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::UInt32Type;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use futures::TryStreamExt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{IdSet, RecordId, ServerId};
use zonepulse_store::{Kinds, Level, Selection};

/// The number of rows that a predicate is evaluated over at a time.
pub(crate) const BATCH_ROWS: usize = 8192;

/// All kinds of messages by number: thousands, and always the same.
static MESSAGES: LazyLock<Result<RecordBatch, String>> =
    LazyLock::new(|| every_kind(0..MessageKind::MESSAGES, &[Column::Kind, Column::Action, Column::Rcode]));
/// All classes of what is served by number.
static SERVED: LazyLock<Result<RecordBatch, String>> =
    LazyLock::new(|| every_kind(MessageKind::MESSAGES..MessageKind::COUNT, &[Column::Kind, Column::Class]));

fn every_kind(numbers: Range<u16>, columns: &[Column]) -> Result<RecordBatch, String> {
    let numbers: Vec<u16> = numbers.collect();
    let values = columns.iter().map(|column| Source::of_kinds(*column, &numbers)).collect::<Result<Vec<_>>>();
    let batch = values.and_then(|values| Ok(RecordBatch::try_new(Column::schema(columns), values)?));
    batch.map_err(|error| error.to_string())
}

/// The one dimension among these that a filter restricts; `None` if it is another, or more than one.
pub(crate) fn dimension(selectable: &[Dimension], filter: &Expr) -> Option<Dimension> {
    if filter.is_volatile() || filter.contains_outer() || asks_again(filter) {
        return None;
    }
    let columns = filter.column_refs();
    let mut columns = columns.iter().map(|column| Column::named(&column.name));
    let first = columns.next()??;
    let dimension = first.dimension().filter(|dimension| selectable.contains(dimension))?;
    if dimension == Dimension::Time {
        // Only comparisons of `time` itself with a constant.
        return (first == Column::Time && columns.next().is_none() && seconds(filter).is_some()).then_some(dimension);
    }
    columns.all(|column| column.and_then(Column::dimension) == Some(dimension)).then_some(dimension)
}

/// Whether a filter contains a subquery.
fn asks_again(filter: &Expr) -> bool {
    let within = filter.exists(|expr| {
        Ok(matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_)))
    });
    within.unwrap_or(true)
}

/// A table's selection, restricted by filters that [`dimension`] accepted.
pub(crate) async fn apply(
    table: Table,
    data: &Data,
    selection: &Selection,
    state: &dyn Session,
    filters: &[Expr],
) -> Result<Selection> {
    let mut selection = selection.clone();
    let selectable = table.selectable();
    let of = |wanted: Dimension| filters.iter().filter(move |filter| dimension(selectable, filter) == Some(wanted));
    for filter in of(Dimension::Time) {
        if let Some((from_s, until_s)) = seconds(filter) {
            selection.from_s = selection.from_s.max(from_s);
            selection.until_s = selection.until_s.min(until_s);
        }
    }
    let parts_of = |wanted: Dimension| -> Vec<&Expr> { of(wanted).flat_map(split_conjunction).collect() };
    let named = names(&parts_of(Dimension::Record));
    let numbered = numbers(&parts_of(Dimension::Server));
    let mut predicates = Vec::new();
    for wanted in [Dimension::Record, Dimension::Server, Dimension::Kind] {
        if let Some(predicate) = conjunction(of(wanted).cloned()) {
            predicates.push((wanted, Predicate::new(&predicate, table, state)?));
        }
    }
    for (of, predicate) in &predicates {
        match of {
            Dimension::Record => {
                selection.records = Some(records(data, state, predicate, named.as_deref(), selection.records.take()).await?);
            }
            Dimension::Server => {
                selection.servers = Some(servers(data, state, predicate, numbered.as_deref(), selection.servers.take()).await?);
            }
            Dimension::Kind => selection.kinds = kinds(table, predicate, &selection.kinds)?,
            Dimension::Time | Dimension::Series | Dimension::Report | Dimension::Zone => {}
        }
    }
    Ok(selection)
}

/// A predicate, and the columns that it uses.
struct Predicate {
    predicate: Arc<dyn PhysicalExpr>,
    columns: Vec<Column>,
}

impl Predicate {
    fn new(predicate: &Expr, table: Table, state: &dyn Session) -> Result<Self> {
        let used = predicate.column_refs();
        let is_used = |column: &Column| used.iter().any(|used| used.name == column.name());
        let columns: Vec<Column> = table.columns().iter().copied().filter(is_used).collect();
        let schema = DFSchema::try_from(Column::schema(&columns))?;
        let predicate = state.create_physical_expr(predicate.clone(), &schema)?;
        Ok(Predicate { predicate, columns })
    }

    /// A request for the columns that it uses, and the id of each row.
    fn rows_of(&self, table: Table, id: Column, selection: Selection) -> Request {
        let others = self.columns.iter().copied().filter(|column| *column != id);
        let columns = std::iter::once(id).chain(others).collect();
        let piece = Piece { level: Level::Raw, selection };
        Request::Rows(RowsRequest { table, piece, summed: None, columns, limit: None, batch_rows: BATCH_ROWS })
    }

    /// The ids of the rows that pass.
    async fn chosen(&self, data: &Data, state: &dyn Session, request: Request, id: Column) -> Result<Vec<u32>> {
        let pool = &state.runtime_env().memory_pool;
        let held = MemoryConsumer::new("numbers that a filter chose").register(pool);
        let memory = MemoryConsumer::new("rows that a filter looks at").register(pool);
        let mut rows = data.read(request, memory)?;
        let mut chosen = Vec::new();
        while let Some(batch) = rows.try_next().await? {
            let passes = self.passes_of(&self.looked_at(&batch)?)?;
            let ids = batch.column_by_name(id.name()).and_then(|ids| ids.as_primitive_opt::<UInt32Type>());
            let ids = ids.ok_or_else(|| DataFusionError::Internal(format!("rows without {id}")))?;
            held.try_grow(batch.num_rows() * size_of::<u32>())?;
            chosen.extend(ids.values().iter().zip(passes).filter(|(_, passes)| *passes).map(|(id, _)| *id));
        }
        Ok(chosen)
    }

    /// The columns of a batch that it uses.
    fn looked_at(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let places = self.columns.iter().map(|column| batch.schema_ref().index_of(column.name()));
        Ok(batch.project(&places.collect::<Result<Vec<_>, _>>()?)?)
    }

    /// Which of the rows pass.
    fn passes_of(&self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let passes = self.predicate.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(passes) = passes.as_boolean_opt() else {
            return Err(DataFusionError::Internal(format!("a filter of type {}", passes.data_type())));
        };
        Ok(passes.iter().map(|passes| passes == Some(true)).collect())
    }
}

/// A superset of the names and types that filters allow, if they list both: these are looked up
/// instead of scanning all records.
fn names<'a>(filters: &[&'a Expr]) -> Option<Vec<(String, RecordType)>> {
    let text = |value: &'a ScalarValue| value.try_as_str().flatten();
    let listed = |column| filters.iter().find_map(|filter| values(filter, column, text));
    let (hosts, types) = (listed(Column::Host)?, listed(Column::Type)?);
    // No record has an invalid type.
    let types: Vec<RecordType> = types.iter().filter_map(|text| text.parse().ok()).collect();
    Some(hosts.iter().flat_map(|host| types.iter().map(|record_type| ((*host).to_owned(), *record_type))).collect())
}

/// A superset of the server ids that filters allow, if they list them, in ascending order: the servers need not be requested.
fn numbers(filters: &[&Expr]) -> Option<Vec<u32>> {
    let number = |value: &ScalarValue| match value {
        ScalarValue::UInt32(number) => *number,
        _ => None,
    };
    let mut listed = filters.iter().find_map(|filter| values(filter, Column::ServerId, number))?;
    listed.sort_unstable();
    listed.dedup();
    Some(listed)
}

/// The values of `column = value` or `column IN (value, …)`, if all are constants that `read` accepts.
fn values<'a, T>(filter: &'a Expr, column: Column, read: impl Fn(&'a ScalarValue) -> Option<T> + Copy) -> Option<Vec<T>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name == column.name());
    let value = |expr: &'a Expr| match expr {
        Expr::Literal(value, _) => read(value),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(left) => Some(vec![value(right)?]),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(right) => Some(vec![value(left)?]),
        // The optimizer rewrites a short list as equalities.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut both = values(left, column, read)?;
            both.extend(values(right, column, read)?);
            Some(both)
        }
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr) => list.iter().map(value).collect(),
        _ => None,
    }
}

/// The ids of the records for which a predicate holds. It is evaluated here, over fetched rows:
/// the process that has the store never evaluates an expression of a statement.
async fn records(
    data: &Data,
    state: &dyn Session,
    predicate: &Predicate,
    named: Option<&[(String, RecordType)]>,
    among: Option<IdSet<RecordId>>,
) -> Result<IdSet<RecordId>> {
    let request = match named {
        Some(names) => Request::Named(names.to_vec()),
        None => predicate.rows_of(Table::Names, Column::RecordId, Selection { records: among.clone(), ..Selection::all() }),
    };
    let chosen = predicate.chosen(data, state, request, Column::RecordId).await?;
    Ok(both(among.as_ref(), chosen))
}

async fn servers(
    data: &Data,
    state: &dyn Session,
    predicate: &Predicate,
    numbered: Option<&[u32]>,
    among: Option<IdSet<ServerId>>,
) -> Result<IdSet<ServerId>> {
    let chosen = match numbered {
        // An id without a server has no rows.
        Some(numbers) if predicate.columns == [Column::ServerId] => {
            let column: ArrayRef = Arc::new(UInt32Array::from(numbers.to_vec()));
            let passes = predicate.passes_of(&RecordBatch::try_new(Column::schema(&predicate.columns), vec![column])?)?;
            numbers.iter().zip(passes).filter(|(_, passes)| *passes).map(|(number, _)| *number).collect()
        }
        _ => {
            let request = predicate.rows_of(Table::Servers, Column::ServerId, Selection::all());
            predicate.chosen(data, state, request, Column::ServerId).await?
        }
    };
    Ok(both(among.as_ref(), chosen))
}

/// The ids that are both in the set of before, if there was one, and among these numbers.
pub(crate) fn both<T: Copy + Ord + From<u32>>(before: Option<&IdSet<T>>, numbers: Vec<u32>) -> IdSet<T> {
    let ids = numbers.into_iter().map(T::from);
    ids.filter(|id| before.is_none_or(|before| before.has(*id))).collect()
}

fn kinds(table: Table, predicate: &Predicate, among: &Kinds) -> Result<Kinds> {
    let (first, all) = match table.kinds() {
        Kinds::Served => (MessageKind::MESSAGES, &*SERVED),
        _ => (0, &*MESSAGES),
    };
    let all = all.as_ref().map_err(|error| DataFusionError::Internal(error.clone()))?;
    let passes = predicate.passes_of(&predicate.looked_at(all)?)?;
    let numbers = (first..).zip(passes).filter(|(_, passes)| *passes);
    let chosen: Vec<MessageKind> =
        numbers.filter_map(|(number, _)| MessageKind::from_number(number)).filter(|kind| among.includes(*kind)).collect();
    // Thousands of numbers travel with the request otherwise.
    let whole = [Kinds::Messages, Kinds::Responses, Kinds::Served].into_iter().find(|whole| {
        let of = (0..MessageKind::COUNT).filter_map(MessageKind::from_number).filter(|kind| whole.includes(*kind));
        of.eq(chosen.iter().copied())
    });
    Ok(whole.unwrap_or(Kinds::Only(chosen)))
}

/// The interval starts that pass a comparison of `time` with a constant: from inclusive,
/// until exclusive, Unix seconds. Starts are whole seconds, so this is exact.
pub(crate) fn seconds(filter: &Expr) -> Option<(u64, u64)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (op, constant) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(_), Expr::Literal(value, _)) => (*op, value),
        (Expr::Literal(value, _), Expr::Column(_)) => (op.swap()?, value),
        _ => return None,
    };
    let ScalarValue::TimestampMillisecond(Some(ms), _) = constant else { return None };
    let whole = ms.div_euclid(1000);
    // There is nothing before 1970.
    let after = u64::try_from(whole + 1).unwrap_or(0);
    let at_or_after = if ms.rem_euclid(1000) == 0 { u64::try_from(whole).unwrap_or(0) } else { after };
    match op {
        Operator::GtEq => Some((at_or_after, u64::MAX)),
        Operator::Gt => Some((after, u64::MAX)),
        Operator::Lt => Some((0, at_or_after)),
        Operator::LtEq => Some((0, after)),
        Operator::Eq => Some((at_or_after, after)),
        _ => None,
    }
}
