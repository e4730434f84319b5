//! From a filter of a plan to a selection of the store.
//!
//! A selection has four dimensions: records, servers, kinds and time. The values of the first
//! three are known one by one (the dictionary, the registry, the 4097 kinds), so a predicate over
//! the columns of one of them is evaluated over all of its values, and the values that pass are the
//! selection. Whatever the predicate is, `host LIKE '%.example.com.'` as well as `rcode IS NULL`,
//! the selection says exactly the same. Time is compared by number.

use crate::rows::{Rows, Source, action_texts, rcode_texts};
use crate::scan::has_kind;
use crate::table::{StoreTable, Table, field};
use arrow::array::{Array, ArrayRef, AsArray, UInt16Array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use std::sync::{Arc, LazyLock};
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_store::{Kinds, Selection, Store};

/// What a selection of the store can restrict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dimension {
    Records,
    Servers,
    Kinds,
    Time,
}

const RECORD_COLUMNS: &[&str] = &["record_id", "resource_id", "host", "type"];
const SERVER_COLUMNS: &[&str] = &["server_id", "server"];
const KIND_COLUMNS: &[&str] = &["kind", "action", "rcode"];
/// How many records are looked at while the dictionary is held.
const CHUNK: u32 = 8192;

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
    let ours = |filter: &&Expr| dimension(table.table, filter) == Some(Dimension::Records);
    let named = names(&filters.iter().filter(ours).flat_map(split_conjunction).collect::<Vec<_>>());
    let mut predicates = Vec::new();
    for of in [Dimension::Records, Dimension::Servers, Dimension::Kinds] {
        let ours = filters.iter().filter(|filter| dimension(table.table, filter) == Some(of)).cloned();
        if let Some(predicate) = conjunction(ours) {
            predicates.push((of, Predicate::new(&predicate, table.table, state)?));
        }
    }
    let store = table.store.clone();
    let looks_through = named.is_none() && predicates.iter().any(|(of, _)| *of == Dimension::Records);
    let restrict = move || {
        for (of, predicate) in &predicates {
            match of {
                Dimension::Records => {
                    let among = narrowed(&store, named.as_deref(), selection.records.take());
                    selection.records = Some(records(&store, predicate, among)?);
                }
                Dimension::Servers => selection.servers = Some(servers(&store, predicate, selection.servers.take())?),
                Dimension::Kinds => selection.kinds = kinds(predicate, &selection.kinds)?,
                Dimension::Time => {}
            }
        }
        Ok(selection)
    };
    // A look at every record is no work for a thread that serves others; a look at some is shorter than the way to another.
    if !looks_through {
        return restrict();
    }
    tokio::task::spawn_blocking(restrict).await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
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

    fn rows(&self) -> Rows {
        Rows::new(self.schema.clone())
    }

    /// Which of the rows pass.
    fn passes(&self, rows: &mut Rows, source: &Source) -> Result<Vec<bool>> {
        self.passes_of(&rows.take(source)?)
    }

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
fn names(filters: &[&Expr]) -> Option<Vec<(String, RecordType)>> {
    let listed = |column: &str| filters.iter().find_map(|filter| values(filter, column));
    let (hosts, types) = (listed("host")?, listed("type")?);
    // What is no type is no record's.
    let types: Vec<RecordType> = types.iter().filter_map(|text| text.parse().ok()).collect();
    Some(hosts.iter().flat_map(|host| types.iter().map(|record_type| ((*host).to_owned(), *record_type))).collect())
}

/// The values of `column = 'value'` or `column IN ('value', …)`.
fn values<'a>(filter: &'a Expr, column: &str) -> Option<Vec<&'a str>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name == column);
    let text = |expr: &'a Expr| match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(left) => Some(vec![text(right)?]),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_column(right) => Some(vec![text(left)?]),
        // A few values come as equalities.
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some([values(left, column)?, values(right, column)?].concat())
        }
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr) => list.iter().map(text).collect(),
        _ => None,
    }
}

/// The records that are left of those that there are when only some names will do.
fn narrowed(store: &Store, named: Option<&[(String, RecordType)]>, among: Option<Vec<u32>>) -> Option<Vec<u32>> {
    let Some(named) = named else { return among };
    let dictionary = store.dictionary();
    let mut found: Vec<u32> = named.iter().filter_map(|(host, record_type)| dictionary.find(host, *record_type)).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|id| among.as_ref().is_none_or(|among| among.binary_search(id).is_ok()));
    Some(found)
}

fn records(store: &Store, predicate: &Predicate, among: Option<Vec<u32>>) -> Result<Vec<u32>> {
    let source = Source::without_servers(store);
    let mut rows = predicate.rows();
    let mut chosen = Vec::new();
    let mut check = |ids: &[u32]| -> Result<()> {
        ids.iter().for_each(|id| rows.push_record(*id));
        let passes = predicate.passes(&mut rows, &source)?;
        chosen.extend(ids.iter().zip(passes).filter(|(_, passes)| *passes).map(|(id, _)| *id));
        Ok(())
    };
    match among {
        Some(ids) => ids.chunks(CHUNK as usize).try_for_each(check)?,
        None => {
            let count = u32::try_from(store.dictionary().len()).unwrap_or(u32::MAX);
            for start in (0..count).step_by(CHUNK as usize) {
                let ids: Vec<u32> = (start..count.min(start.saturating_add(CHUNK))).collect();
                check(&ids)?;
            }
        }
    }
    Ok(chosen)
}

fn servers(store: &Store, predicate: &Predicate, among: Option<Vec<u32>>) -> Result<Vec<u32>> {
    let source = Source::with_servers(store)?;
    let ids = among.unwrap_or_else(|| source.servers().keys().copied().collect());
    let mut rows = predicate.rows();
    ids.iter().for_each(|id| rows.push_server(*id));
    let passes = predicate.passes(&mut rows, &source)?;
    Ok(ids.into_iter().zip(passes).filter(|(_, passes)| *passes).map(|(id, _)| id).collect())
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
