//! Stored rows: raw points and coverage reports.

use super::plan::Plan;
use super::question::Question;
use super::selection::{Counts, servers};
use super::shape::Shape;
use crate::columns::{COVERAGE, Column, POINT, Table};
use crate::time::{Range, TimeRange};
use crate::{Answer, Error, Filter, Page};
use zonepulse_store::{Kinds, Level, Selection};

/// The shortest stretch in which a page is looked for, seconds: an interval or two.
const LEAST_STRETCH_S: u64 = 120;
/// From this offset on, the rows before a page are counted instead of sorted.
const FAR: u64 = if cfg!(test) { 10 } else { 10_000 };
/// Batches further ahead of the clock are rejected, seconds.
const LONGEST_AHEAD_S: u64 = 1 << 32;

impl Question {
    /// [`Engine::raw`](crate::Engine::raw).
    pub(super) async fn raw(&self, filter: &Filter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let range = Range::at(range, self.now)?;
        let _turn = self.engine.turn().await?;
        let selection = self.selected(filter, Counts::Each, range.begin_s(), range.end_s()).await?;
        let ties = vec![Column::Time, Column::ServerId, Column::Kind, Column::RecordId, Column::IntervalS];
        let shape = Shape { columns: POINT.clone(), order: Vec::new(), ties };
        let numbers =
            [Column::Time, Column::IntervalS, Column::ServerId, Column::RecordId, Column::Kind, Column::Hits, Column::LastAccess];
        self.stored(Table::Dns(Level::Raw), selection, &numbers, &shape, page).await
    }

    /// [`Engine::coverage`](crate::Engine::coverage).
    pub(super) async fn coverage(&self, of: &[u32], range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let range = Range::at(range, self.now)?;
        let _turn = self.engine.turn().await?;
        let filter = Filter { servers: of.to_vec(), ..Filter::default() };
        let selection = Selection {
            servers: servers(&filter),
            from_s: range.begin_s(),
            until_s: range.end_s(),
            kinds: Kinds::Messages,
            records: None,
        };
        let columns = COVERAGE.to_vec();
        let numbers: Vec<Column> = columns.iter().copied().filter(|column| *column != Column::Server).collect();
        let ties = vec![Column::Time, Column::ServerId, Column::Epoch, Column::Seq];
        let shape = Shape { columns, order: Vec::new(), ties };
        self.stored(Table::Coverage, selection, &numbers, &shape, page).await
    }

    /// A page of a table's rows, and the number of rows.
    async fn stored(
        &self,
        table: Table,
        selection: Selection,
        numbers: &[Column],
        shape: &Shape,
        page: &Page,
    ) -> Result<Answer, Error> {
        let mut order = shape.order(page)?;
        let rising = match order.first() {
            Some((Column::Time, descending)) => Some(!descending),
            _ => None,
        };
        if table == Table::Dns(Level::Raw) && rising == Some(true) {
            // The store yields points hour by hour: a page is complete as soon as its hour is over.
            order.insert(0, (Column::Hour, false));
        }
        let mut columns = numbers.to_vec();
        for (column, _) in &order {
            if !columns.contains(column) {
                columns.push(*column);
            }
        }
        let (mut all, mut rest, mut stretch, mut left) = (None, selection.clone(), selection.clone(), page.clone());
        // Certain records have few points, and counting them means reading them.
        if let (Table::Dns(Level::Raw), Some(rising), None) = (table, rising, &selection.records) {
            let count = self.count(table, selection.clone()).await?;
            if (FAR..count).contains(&page.offset) {
                (rest, left.offset) = self.skip(selection.clone(), page.offset, rising).await?;
            }
            let skipped = page.offset - left.offset;
            stretch = self.stretch(&rest, count.saturating_sub(skipped), &left, rising).await?;
            all = Some(count);
        }
        let mut rows = self.rows_of(table, stretch.clone(), &columns, &order, &left).await?;
        if (rows.rows as u64) < page.limit && stretch != rest {
            rows = self.rows_of(table, rest, &columns, &order, &left).await?;
        }
        let seen = if rows.rows > 0 { page.offset + rows.rows as u64 } else { 0 };
        let ended = (rows.rows as u64) < page.limit && (rows.rows > 0 || page.offset == 0);
        let total = match all {
            // Batches may arrive between count and page: never report fewer rows than were seen.
            Some(all) => all.max(seen),
            // A page that is not full ends with the last row.
            None if ended => seen,
            None => self.count(table, selection).await?.max(seen),
        };
        let source = self.source(&shape.columns)?;
        let batches = rows.batches.iter().map(|batch| shape.finish(batch, &source, None)).collect::<Result<_, _>>()?;
        Ok(Answer { batches, schema: shape.schema(), total })
    }

    /// Skips as many whole seconds as hold no more rows than `offset`: returns the rest of the selection in time order, and
    /// how many of its rows remain to be skipped. Rows are counted hour by hour, not read.
    async fn skip(&self, selection: Selection, offset: u64, rising: bool) -> Result<(Selection, u64), Error> {
        let reading = self.reading(Level::Raw);
        self.engine
            .blocking(move |store| {
                let first_s = store.first_hour_s(&reading, &selection)?.unwrap_or(0);
                let latest_s = reading.now_s.saturating_add(LONGEST_AHEAD_S);
                let (mut from_s, mut until_s) = (selection.from_s.max(first_s), selection.until_s.min(latest_s));
                let mut left = offset;
                for unit_s in [3600, 60, 1] {
                    let within = |units: u64| {
                        let length_s = units * unit_s;
                        if rising { (from_s, from_s + length_s) } else { (until_s - length_s, until_s) }
                    };
                    // The largest number of units that hold no more rows than that, and how many they hold.
                    let (mut fit, mut fit_rows, mut most) = (0, 0, until_s.saturating_sub(from_s) / unit_s);
                    while fit < most {
                        let units = fit + (most - fit).div_ceil(2);
                        let (from_s, until_s) = within(units);
                        let rows = store.count(&reading, &Selection { from_s, until_s, ..selection.clone() })?;
                        if rows <= left {
                            (fit, fit_rows) = (units, rows);
                        } else {
                            most = units - 1;
                        }
                    }
                    left -= fit_rows;
                    if rising {
                        from_s += fit * unit_s;
                    } else {
                        until_s -= fit * unit_s;
                    }
                }
                // The other end stays: nothing was skipped there.
                let rest = if rising { Selection { from_s, ..selection } } else { Selection { until_s, ..selection } };
                Ok((rest, left))
            })
            .await
    }

    /// The stretch of time in which a page in time order should be: twice as long as it would take
    /// if the points were spread evenly.
    async fn stretch(&self, selection: &Selection, all: u64, page: &Page, rising: bool) -> Result<Selection, Error> {
        let needed = page.offset.saturating_add(page.limit).saturating_mul(2);
        if needed >= all {
            return Ok(selection.clone());
        }
        let asked = selection.clone();
        let reading = self.reading(Level::Raw);
        let first_s = self.engine.blocking(move |store| Ok(store.first_hour_s(&reading, &asked)?)).await?;
        let Selection { from_s, until_s, .. } = *selection;
        let (from_s, end_s) = (from_s.max(first_s.unwrap_or(0)), until_s.min(reading.now_s.max(from_s)));
        let span_s = end_s.saturating_sub(from_s);
        let length_s = u64::try_from(u128::from(span_s) * u128::from(needed) / u128::from(all)).unwrap_or(u64::MAX);
        let length_s = length_s.max(LEAST_STRETCH_S);
        let within = if rising {
            Selection { until_s: from_s.saturating_add(length_s).min(until_s), ..selection.clone() }
        } else {
            Selection { from_s: from_s.max(end_s.saturating_sub(length_s)), ..selection.clone() }
        };
        Ok(within)
    }

    async fn count(&self, table: Table, selection: Selection) -> Result<u64, Error> {
        if let Table::Dns(level) = table {
            let reading = self.reading(level);
            return self.engine.blocking(move |store| Ok(store.count(&reading, &selection)?)).await;
        }
        Ok(self.gather(Plan::of(self.scan(table, selection, &[], 1))).await?.rows as u64)
    }
}
