//! Compares an answer with the model's.

use super::answer::{Cell, Row};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Maximum number of rows shown for a difference.
const SHOWN: usize = 8;

/// The model's answer.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The columns to compare; an answer may have others.
    pub columns: Vec<String>,
    /// All rows before paging, in any order.
    pub rows: Vec<Row>,
    /// The order that the answer must have: columns, and whether it is descending.
    pub order: Vec<(String, bool)>,
    /// The number of rows to skip, and the maximum number of rows.
    pub page: (usize, usize),
    /// Larger numbers are replaced by this one: where sums saturate.
    pub most: i128,
}

impl Expected {
    /// All of these rows, in any order.
    pub fn all(columns: &[&str], rows: Vec<Row>) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Expected { columns, rows, order: Vec::new(), page: (0, usize::MAX), most: i128::MAX }
    }

    pub fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"))
    }

    fn compare(&self, a: &Row, b: &Row) -> Ordering {
        let mut ordering = Ordering::Equal;
        for (column, descending) in &self.order {
            let at = self.column(column);
            ordering = ordering.then_with(|| match (&a[at], &b[at], descending) {
                // Nulls come last in either order.
                (Cell::Null, _, _) | (_, Cell::Null, _) | (_, _, false) => a[at].cmp(&b[at]),
                _ => b[at].cmp(&a[at]),
            });
        }
        ordering
    }

    /// Describes in a few lines what is wrong with an answer.
    pub fn differs(&self, found: &[Row]) -> Option<String> {
        let cap = |row: &Row| -> Row {
            let capped = row.iter().map(|cell| match cell {
                Cell::Number(number) => Cell::Number(*number.min(&self.most)),
                other => other.clone(),
            });
            capped.collect()
        };
        let found: Vec<Row> = found.iter().map(cap).collect();
        let mut rows: Vec<Row> = self.rows.iter().map(cap).collect();
        rows.sort_by(|a, b| self.compare(a, b).then_with(|| a.cmp(b)));
        let begin = self.page.0.min(rows.len());
        let end = begin.saturating_add(self.page.1).min(rows.len());
        let page = &rows[begin..end];

        let mut text = String::new();
        if found.len() != page.len() {
            let _ = writeln!(text, "  {} rows are right, of {}; there are {}", page.len(), rows.len(), found.len());
        }
        // Rows that are equal in the order may come in any order, and any of them may be at the
        // ends of a page.
        let mut left: BTreeMap<&Row, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *left.entry(row).or_default() += 1);
        let mut excess = Vec::new();
        for row in &found {
            match left.get_mut(row).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => excess.push(row),
            }
        }
        let whole = page.len() == rows.len();
        let is_inside = |row: &Row| {
            let before = begin == 0 || self.compare(row, &rows[begin - 1]).is_gt();
            before && (end == rows.len() || self.compare(row, &rows[end]).is_lt())
        };
        let missing = page.iter().filter(|row| left.get(row).is_some_and(|count| *count > 0) && (whole || is_inside(row)));
        self.show(&mut text, "only in the answer", excess.into_iter());
        self.show(&mut text, "missing", missing);
        if text.is_empty()
            && let Some(at) = found.iter().zip(page).position(|(found, right)| self.compare(found, right).is_ne())
        {
            let _ = writeln!(text, "  not in the order of {:?}: row {at} must be like", self.order);
            self.show(&mut text, "right", page[at..].iter().take(3));
            self.show(&mut text, "in the answer", found[at..].iter().take(3));
        }
        (!text.is_empty()).then_some(text)
    }

    fn show<'a>(&self, text: &mut String, what: &str, rows: impl Iterator<Item = &'a Row>) {
        for (at, row) in rows.enumerate() {
            if at == SHOWN {
                let _ = writeln!(text, "  … and more {what}");
                return;
            }
            let cells = self.columns.iter().zip(row).map(|(column, cell)| format!("{column}={cell}"));
            let _ = writeln!(text, "  {what}: {}", cells.collect::<Vec<_>>().join(" "));
        }
    }
}
