//! From a filter of a plan to a selection of the store.
//!
//! A selection has four dimensions: records, servers, kinds and time. The values of the first
//! three are known one by one (the dictionary, the registry, the 4097 kinds), so a predicate over
//! the columns of one of them is evaluated over all of its values, and the values that pass are the
//! selection. Whatever the predicate is, `host LIKE '%.example.com.'` as well as `rcode IS NULL`,
//! the selection says exactly the same. Time is compared by number.

use crate::levels::Piece;
use crate::read::has_kind;
use crate::request::{Request, RowsRequest};
use crate::rows::{action_texts, rcode_texts};
use crate::table::{StoreTable, Table, field};
use arrow::array::{Array, ArrayRef, AsArray, UInt16Array, UInt32Array};
use arrow::datatypes::{Schema, SchemaRef, UInt32Type};
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
use std::sync::{Arc, LazyLock};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_store::{Kinds, Level, Selection};

/// What a selection of the store can restrict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Records,
    Servers,
    Kinds,
    Time,
}

const RECORD_COLUMNS: &[&str] = &["record_id", "resource_id", "host", "type", "folded"];
const SERVER_COLUMNS: &[&str] = &["server_id", "server"];
const KIND_COLUMNS: &[&str] = &["kind", "action", "rcode"];
/// How many rows a predicate is evaluated over at a time.
pub(crate) const BATCH_ROWS: usize = 8192;

/// All kinds, by number: always the same, and thousands.
static ALL_KINDS: LazyLock<Result<RecordBatch, String>> = LazyLock::new(|| {
    let numbers: Vec<u16> = (0..MessageKind::COUNT).collect();
    let (actions, rcodes) = (action_texts(&numbers), rcode_texts(&numbers));
    let columns: Vec<ArrayRef> = vec![Arc::new(UInt16Array::from(numbers)), actions, rcodes];
    let schema = Schema::new(KIND_COLUMNS.iter().map(|column| field(column)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).map_err(|error| error.to_string())
});

/// Which dimension a filter restricts; `None` where it is none, or more than one.
pub(crate) fn dimension(table: Table, filter: &Expr) -> Option<Dimension> {
    if filter.is_volatile() || filter.contains_outer() || asks_again(filter) {
        return None;
    }
    let columns = filter.column_refs();
    let within = |of: &[&str]| !columns.is_empty() && columns.iter().all(|column| of.contains(&column.name.as_str()));
    let (records, servers, kinds, time) = match table {
        Table::Dns(_) => (true, true, true, true),
        Table::Records => (true, true, true, false),
        Table::Coverage => (false, true, false, true),
        Table::Servers => (false, false, false, false),
        Table::Names => (true, false, false, false),
    };
    if records && within(RECORD_COLUMNS) {
        Some(Dimension::Records)
    } else if servers && within(SERVER_COLUMNS) {
        Some(Dimension::Servers)
    } else if kinds && within(KIND_COLUMNS) {
        Some(Dimension::Kinds)
    } else if time && within(&["time"]) && seconds(filter).is_some() {
        Some(Dimension::Time)
    } else {
        None
    }
}

/// Whether a filter has a query within.
pub(crate) fn asks_again(filter: &Expr) -> bool {
    let within = filter.exists(|expr| {
        Ok(matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) | Expr::ScalarSubquery(_)))
    });
    within.unwrap_or(true)
}

/// The table's selection, restricted by filters that [`dimension`] knew.
pub(crate) async fn apply(table: &StoreTable, state: &dyn Session, filters: &[Expr]) -> Result<Selection> {
    let mut selection = table.selection.clone();
    for filter in filters {
        if dimension(table.table, filter) == Some(Dimension::Time)
            && let Some((from_s, until_s)) = seconds(filter)
        {
            selection.from_s = selection.from_s.max(from_s);
            selection.until_s = selection.until_s.min(until_s);
        }
    }
    let parts_of = |of: Dimension| -> Vec<&Expr> {
        let ours = filters.iter().filter(|filter| dimension(table.table, filter) == Some(of));
        ours.flat_map(split_conjunction).collect()
    };
    let named = names(&parts_of(Dimension::Records));
    let numbered = numbers(&parts_of(Dimension::Servers));
    let mut predicates = Vec::new();
    for of in [Dimension::Records, Dimension::Servers, Dimension::Kinds] {
        let ours = filters.iter().filter(|filter| dimension(table.table, filter) == Some(of)).cloned();
        if let Some(predicate) = conjunction(ours) {
            predicates.push((of, Predicate::new(&predicate, table.table, state)?));
        }
    }
    for (of, predicate) in &predicates {
        match of {
            Dimension::Records => {
                selection.records = Some(records(table, state, predicate, named.as_deref(), selection.records.take()).await?);
            }
            Dimension::Servers => {
                selection.servers = Some(servers(table, state, predicate, numbered.as_deref(), selection.servers.take()).await?);
            }
            Dimension::Kinds => selection.kinds = kinds(predicate, &selection.kinds)?,
            Dimension::Time => {}
        }
    }
    Ok(selection)
}

/// A predicate, and the columns that it looks at.
struct Predicate {
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl Predicate {
    fn new(predicate: &Expr, table: Table, state: &dyn Session) -> Result<Self> {
        let used = predicate.column_refs();
        let schema = table.schema();
        let fields = schema.fields().iter().filter(|field| used.iter().any(|column| column.name == *field.name()));
        let schema = Schema::new(fields.cloned().collect::<Vec<_>>());
        let predicate = state.create_physical_expr(predicate.clone(), &DFSchema::try_from(schema.clone())?)?;
        Ok(Predicate { predicate, schema: Arc::new(schema) })
    }

    /// A request for the columns that it looks at, and the number of each row.
    fn rows_of(&self, table: Table, id: &str, selection: Selection) -> Result<Request> {
        let whole = table.schema();
        let mut columns = vec![whole.index_of(id)?];
        for field in self.schema.fields().iter().filter(|field| field.name() != id) {
            columns.push(whole.index_of(field.name())?);
        }
        let piece = Piece { level: Level::Raw, selection };
        Ok(Request::Rows(RowsRequest { table, piece, summed: None, columns, limit: None, batch_rows: BATCH_ROWS }))
    }

    fn looks_only_at(&self, column: &str) -> bool {
        self.schema.fields().iter().all(|field| field.name() == column)
    }

    /// The numbers of the rows that pass.
    async fn chosen(&self, table: &StoreTable, state: &dyn Session, request: Request, id: &str) -> Result<Vec<u32>> {
        let pool = &state.runtime_env().memory_pool;
        let held = MemoryConsumer::new("numbers that a filter chose").register(pool);
        let memory = MemoryConsumer::new("rows that a filter looks at").register(pool);
        let mut rows = table.data.read(request, memory)?;
        let mut chosen = Vec::new();
        while let Some(batch) = rows.try_next().await? {
            let columns = self.schema.fields().iter().map(|field| batch.schema_ref().index_of(field.name()));
            let looked_at = batch.project(&columns.collect::<Result<Vec<_>, _>>()?)?;
            let passes = self.passes_of(&looked_at)?;
            let ids = batch.column_by_name(id).and_then(|ids| ids.as_primitive_opt::<UInt32Type>());
            let ids = ids.ok_or_else(|| DataFusionError::Internal(format!("rows without {id}")))?;
            held.try_grow(batch.num_rows() * size_of::<u32>())?;
            chosen.extend(ids.values().iter().zip(passes).filter(|(_, passes)| *passes).map(|(id, _)| *id));
        }
        Ok(chosen)
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

/// The names and types that filters allow at most, where they list both: these are looked up, and
/// not every record is looked at.
fn names<'a>(filters: &[&'a Expr]) -> Option<Vec<(String, RecordType)>> {
    let text = |value: &'a ScalarValue| value.try_as_str().flatten();
    let listed = |column: &str| filters.iter().find_map(|filter| values(filter, column, text));
    let (hosts, types) = (listed("host")?, listed("type")?);
    // What is no type is no record's.
    let types: Vec<RecordType> = types.iter().filter_map(|text| text.parse().ok()).collect();
    Some(hosts.iter().flat_map(|host| types.iter().map(|record_type| ((*host).to_owned(), *record_type))).collect())
}

/// The numbers of servers that filters allow at most, where they list them, rising: the servers need not be asked for.
fn numbers(filters: &[&Expr]) -> Option<Vec<u32>> {
    let number = |value: &ScalarValue| match value {
        ScalarValue::UInt32(number) => *number,
        _ => None,
    };
    let mut listed = filters.iter().find_map(|filter| values(filter, "server_id", number))?;
    listed.sort_unstable();
    listed.dedup();
    Some(listed)
}

/// The values of `column = value` or `column IN (value, …)`, where all of them are constants that `read` knows.
fn values<'a, T>(filter: &'a Expr, column: &str, read: impl Fn(&'a ScalarValue) -> Option<T> + Copy) -> Option<Vec<T>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name == column);
    let value = |expr: &'a Expr| match expr {
        Expr::Literal(value, _) => read(value),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(left) => Some(vec![value(right)?]),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(right) => Some(vec![value(left)?]),
        // A few values come as equalities.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut both = values(left, column, read)?;
            both.extend(values(right, column, read)?);
            Some(both)
        }
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr) => list.iter().map(value).collect(),
        _ => None,
    }
}

/// The numbers of the records for which a predicate holds, rising. It is evaluated here, over rows that are fetched:
/// where the store is, no expression of a statement is ever evaluated.
async fn records(
    table: &StoreTable,
    state: &dyn Session,
    predicate: &Predicate,
    named: Option<&[(String, RecordType)]>,
    among: Option<Vec<u32>>,
) -> Result<Vec<u32>> {
    let request = match named {
        Some(names) => Request::Named(names.to_vec()),
        None => predicate.rows_of(Table::Names, "record_id", Selection { records: among.clone(), ..Selection::all() })?,
    };
    let mut chosen = predicate.chosen(table, state, request, "record_id").await?;
    chosen.retain(|id| among.as_ref().is_none_or(|among| among.binary_search(id).is_ok()));
    Ok(chosen)
}

async fn servers(
    table: &StoreTable,
    state: &dyn Session,
    predicate: &Predicate,
    numbered: Option<&[u32]>,
    among: Option<Vec<u32>>,
) -> Result<Vec<u32>> {
    let mut chosen = match numbered {
        // Of a number that no server has there are no rows.
        Some(numbers) if predicate.looks_only_at("server_id") => {
            let column: ArrayRef = Arc::new(UInt32Array::from(numbers.to_vec()));
            let passes = predicate.passes_of(&RecordBatch::try_new(predicate.schema.clone(), vec![column])?)?;
            numbers.iter().zip(passes).filter(|(_, passes)| *passes).map(|(number, _)| *number).collect()
        }
        _ => {
            let request = predicate.rows_of(Table::Servers, "server_id", Selection::all())?;
            predicate.chosen(table, state, request, "server_id").await?
        }
    };
    chosen.retain(|id| among.as_ref().is_none_or(|among| among.contains(id)));
    Ok(chosen)
}

fn kinds(predicate: &Predicate, among: &Kinds) -> Result<Kinds> {
    let all = ALL_KINDS.as_ref().map_err(|error| DataFusionError::Internal(error.clone()))?;
    let columns = predicate.schema.fields().iter().map(|field| all.schema_ref().index_of(field.name()));
    let passes = predicate.passes_of(&all.project(&columns.collect::<Result<Vec<_>, _>>()?)?)?;
    let passing = (0..).zip(passes).filter(|(_, passes)| *passes).filter_map(|(number, _)| MessageKind::from_number(number));
    let chosen: Vec<MessageKind> = passing.filter(|kind| has_kind(among, *kind)).collect();
    let responses = usize::from(MessageKind::COUNT) - 1;
    Ok(match chosen.first() {
        Some(&MessageKind::REQUEST) if chosen.len() == responses + 1 => Kinds::All,
        Some(first) if *first != MessageKind::REQUEST && chosen.len() == responses => Kinds::Responses,
        _ => Kinds::Only(chosen),
    })
}

/// The interval starts that a comparison of `time` with a constant lets through: from inclusive,
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
    // Before 1970 there is nothing.
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
