//! Owner names, and names of zones, in SQL, in any spelling.
//!
//! The tables have owner names in one spelling: lower case with a final dot. A literal that `host` is compared with (`=`,
//! `<>`, `IN`, `CASE`, `IS DISTINCT FROM`) is rewritten to it during analysis, before filters are pushed down, so that
//! it means the same in a scan, a filter above it, a join and a projection. A `LIKE` pattern remains text, but gets lower
//! case and the final dot where it could match no name without them. A literal that cannot be a name is an error.
//!
//! A table's `host` is tracked through aliases and subqueries; anything computed from it is ordinary text.

use crate::Error;
use crate::columns;
use crate::listed::CatalogueTable;
use crate::names::{canonical, to_ascii};
use crate::tables::StoreTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue, plan_err};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{Case, InList, Like};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;
use zonepulse_dns::name;
use zonepulse_store::OTHER;

/// Rewrites the names that `host` is compared with.
#[derive(Debug)]
pub(crate) struct CanonicalHosts;

impl AnalyzerRule for CanonicalHosts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let inputs: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
            // A column without an alias is named after its expression, including literals.
            let names = NamePreserver::new(&node);
            let rewritten = node.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr.transform_up(|expr| compared(expr, &inputs))?.update_data(|expr| name.restore(expr)))
            })?;
            rewritten.map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(rewritten.data)
    }

    fn name(&self) -> &'static str {
        "canonical_hosts"
    }
}

/// Rewrites the literals of an expression that compares them with `host`.
fn compared(expr: Expr, inputs: &[LogicalPlan]) -> Result<Transformed<Expr>> {
    let host = |expr: &Expr| matches!(expr, Expr::Column(column) if inputs.iter().any(|input| is_host(input, column)));
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_equality(op) && (host(&left) || host(&right)) => {
            let (left, right) = (of_name(*left)?, of_name(*right)?);
            let transformed = left.transformed || right.transformed;
            let (left, right) = (Box::new(left.data), Box::new(right.data));
            Ok(Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr { left, op, right }), transformed))
        }
        Expr::InList(InList { expr, list, negated }) if host(&expr) => {
            let list = list.into_iter().map(|item| Ok(of_name(item)?.data)).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        Expr::Like(Like { negated, expr, pattern, escape_char, case_insensitive }) if host(&expr) => {
            let pattern = Box::new(of_text(*pattern, |text| pattern_of(text, case_insensitive))?.data);
            Ok(Transformed::yes(Expr::Like(Like { negated, expr, pattern, escape_char, case_insensitive })))
        }
        Expr::Case(Case { expr: Some(of), when_then_expr, else_expr }) if host(&of) => {
            let when = when_then_expr.into_iter().map(|(when, then)| Ok((Box::new(of_name(*when)?.data), then)));
            let when_then_expr = when.collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::Case(Case { expr: Some(of), when_then_expr, else_expr })))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_equality(op: Operator) -> bool {
    matches!(op, Operator::Eq | Operator::NotEq | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn of_name(expr: Expr) -> Result<Transformed<Expr>> {
    of_text(expr, spelt)
}

/// Changes a text literal.
fn of_text(expr: Expr, change: impl FnOnce(&str) -> Result<String>) -> Result<Transformed<Expr>> {
    let Expr::Literal(value, metadata) = expr else { return Ok(Transformed::no(expr)) };
    let Some(text) = value.try_as_str().flatten() else { return Ok(Transformed::no(Expr::Literal(value, metadata))) };
    let changed = change(text)?;
    let changed = match value {
        ScalarValue::Utf8View(_) => ScalarValue::Utf8View(Some(changed)),
        ScalarValue::LargeUtf8(_) => ScalarValue::LargeUtf8(Some(changed)),
        ScalarValue::Utf8(_) => ScalarValue::Utf8(Some(changed)),
        // A statement cannot write a dictionary of texts.
        other => return Ok(Transformed::no(Expr::Literal(other, metadata))),
    };
    Ok(Transformed::yes(Expr::Literal(changed, metadata)))
}

/// A name as the tables have it. The empty text, which tools compare any text with, is kept.
fn spelt(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    match canonical(text) {
        Ok(host) => Ok(host),
        Err(Error::BadArgument { reason, .. }) => plan_err!("host is compared with {text:?}: {reason}"),
        Err(error) => plan_err!("host is compared with {text:?}: {error}"),
    }
}

/// A `LIKE` pattern that can match a name: all names are lower-case ASCII and, except for `<other>`, end with a dot.
fn pattern_of(text: &str, case_insensitive: bool) -> Result<String> {
    if !text.is_ascii() {
        let written = to_ascii(text).map_or(String::new(), |ascii| format!(", such as {ascii:?}"));
        return plan_err!("host LIKE {text:?}: names are in ASCII: write labels in Unicode as punycode{written}");
    }
    let mut pattern = if case_insensitive { text.to_owned() } else { text.to_ascii_lowercase() };
    let is_other = pattern.eq_ignore_ascii_case(OTHER) || pattern.ends_with('>');
    let is_open = matches!(pattern.bytes().last(), None | Some(b'%' | b'_' | b'.' | b'\\'));
    if !is_open && !is_other && pattern.len() < name::MAX_TEXT {
        pattern.push('.');
    }
    Ok(pattern)
}

/// Whether a column of a plan's rows is the `host` of one of the tables, or the `zone` of one of the catalogue.
fn is_host(plan: &LogicalPlan, column: &Column) -> bool {
    plan.schema().maybe_index_of_column(column).is_some_and(|index| is_host_at(plan, index))
}

fn is_host_at(plan: &LogicalPlan, index: usize) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let named =
                |column: columns::Column| plan.schema().fields().get(index).is_some_and(|field| field.name() == column.name());
            source_as_provider(&scan.source).is_ok_and(|provider| {
                let of_catalogue = provider.is::<CatalogueTable>();
                (of_catalogue || provider.is::<StoreTable>()) && named(columns::Column::Host)
                    || of_catalogue && named(columns::Column::Zone)
            })
        }
        LogicalPlan::SubqueryAlias(alias) => is_host_at(&alias.input, index),
        LogicalPlan::Filter(filter) => is_host_at(&filter.input, index),
        LogicalPlan::Sort(sort) => is_host_at(&sort.input, index),
        LogicalPlan::Limit(limit) => is_host_at(&limit.input, index),
        LogicalPlan::Distinct(distinct) => is_host_at(distinct.input(), index),
        LogicalPlan::Projection(projection) => names_host(projection.expr.get(index), &projection.input),
        LogicalPlan::Aggregate(aggregate) => names_host(aggregate.group_expr.get(index), &aggregate.input),
        // Columns that a window adds come after those of its input.
        LogicalPlan::Window(window) => index < window.input.schema().fields().len() && is_host_at(&window.input, index),
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| is_host_at(input, index)),
        LogicalPlan::Join(join) => {
            let (relation, field) = plan.schema().qualified_field(index);
            let column = Column::new(relation.cloned(), field.name());
            is_host(&join.left, &column) || is_host(&join.right, &column)
        }
        _ => false,
    }
}

fn names_host(expr: Option<&Expr>, input: &LogicalPlan) -> bool {
    match expr {
        Some(Expr::Alias(alias)) => names_host(Some(&alias.expr), input),
        Some(Expr::Column(column)) => is_host(input, column),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_tables_have_in_any_spelling() {
        for (text, expected) in [
            ("h1.corp.example", "h1.corp.example."),
            ("H1.Corp.Example.", "h1.corp.example."),
            (".", "."),
            ("bücher.example", "xn--bcher-kva.example."),
            ("*.example", "*.example."),
            ("\\*.example.", "*.example."),
            ("<other>", "<other>"),
            ("<OTHER> Example", "<other> example."),
            ("A\\\\*.example", "a\\\\*.example."),
            ("", ""),
        ] {
            assert_eq!(spelt(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_can_be_no_name_is_refused() {
        for text in ["a..b", ".example", "a\u{a0}b.example"] {
            assert!(spelt(text).unwrap_err().to_string().contains("host is compared with"), "{text}");
        }
        let error = pattern_of("%.bücher.example", false).unwrap_err().to_string();
        assert!(error.contains("punycode") && error.contains("%.xn--bcher-kva.example"), "{error}");
    }

    #[test]
    fn a_pattern_can_match_a_name() {
        for (text, expected) in [
            ("%.example.com", "%.example.com."),
            ("%.Example.com.", "%.example.com."),
            ("www.%", "www.%"),
            ("www.exampl_", "www.exampl_"),
            ("<other>", "<other>"),
            ("%other>", "%other>"),
            ("", ""),
        ] {
            assert_eq!(pattern_of(text, false).unwrap(), expected, "{text}");
        }
        assert_eq!(pattern_of("%.Example.com", true).unwrap(), "%.Example.com.");
    }
}
