//! What can be asked, and where it is answered.
//!
//! Each call looks at the clock once. Questions of the API are answered on the engine's own threads; a statement of SQL runs in
//! a process of its own.

use super::question::Question;
use crate::time::{Interval, TimeRange};
use crate::{Answer, By, Engine, Error, Filter, Kept, Page, SqlAnswer, SystemFilter};
use std::future::Future;

impl Engine {
    /// Does on the threads of questions what takes long.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        self.apart(async move { Ok(work()) }).await
    }

    /// Answers a question, for which it is now from its beginning to its end.
    async fn ask<T, F>(&self, answer: impl FnOnce(Question) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.apart(answer(Question { engine: self.clone(), now: self.now() })).await
    }

    async fn apart<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
        let mut task = self.threads_apart().spawn(work).ok_or(Error::Busy)?;
        match task.done().await? {
            // What is too much beside others may not be too much later.
            Err(Error::TooLarge(_)) if self.load().questions.running > 0 => Err(Error::Busy),
            done => done,
        }
    }

    /// Raw points: `time, interval_s, server_id, server, resource_id, host, type, folded, action, rcode,
    /// hits, last_access`.
    ///
    /// The range is about `time`, the start of the interval; without it, the last 24 hours. By itself
    /// in the order of time, server, requests before responses.
    pub async fn raw(&self, filter: &Filter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.raw(&filter, range, &page).await }).await
    }

    /// Coverage reports of these servers, or of all: what their probes observed and what they lost.
    ///
    /// `time, interval_s, server_id, server, epoch, seq, covered_from, covered_until, hits, messages_seen,
    /// not_counted, kernel_dropped, interface_dropped, batches_evicted, evicted_from, evicted_until,
    /// overlap_ms, losses, blind_ms`: `losses` has all other counters as `name=value`. A batch of metrics has a row when it
    /// tells of something that was given up, and the row covers no time. By itself in the order of time and
    /// server. The range is about `time`; without it, the last 24 hours.
    pub async fn coverage(&self, of: &[u32], range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let (of, page) = (of.to_vec(), page.clone());
        self.ask(move |question| async move { question.coverage(&of, range, &page).await }).await
    }

    /// A row per record: `resource_id, host, type, folded, hits, first_seen, last_access`, and at the end
    /// `server_id, server` and `action` where the sums are split by them.
    ///
    /// `kept` says which rows, by last access and by whether the name exists. Without an action only requests
    /// count, unless response codes are named or the sums are split by action. By itself in the order
    /// of most hits first, then host and type.
    pub async fn totals(&self, filter: &Filter, kept: impl Into<Kept>, by: By, page: &Page) -> Result<Answer, Error> {
        let (filter, kept, page) = (filter.clone(), kept.into(), page.clone());
        self.ask(move |question| async move { question.totals(&filter, kept, by, &page).await }).await
    }

    /// Totals over a range of time: `hits, last_access`, and at the end the columns of what the sums are split by, a row
    /// for each group with hits.
    ///
    /// The range is about the starts of intervals, as in [`Engine::series`]; without it, the last 24 hours. It is read from
    /// roll-ups where they fit. What counts without an action is as there. By itself in the order of most hits first.
    pub async fn totals_over(&self, filter: &Filter, range: TimeRange, by: By, page: &Page) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.totals_over(&filter, range, by, &page).await }).await
    }

    /// A row per bucket in which there were hits: `time, hits, last_access`, and at the end the columns
    /// of what the sums are split by: `resource_id, host, type, folded`, `server_id, server`, `action`, and then what is said
    /// of the step: `observed_servers, servers, open`, as in [`Engine::rps`].
    ///
    /// `time` is the start of the bucket or day. The range is about the starts of the intervals that are added up,
    /// so a bucket at its ends may be partial; without it, the last 24 hours, from a bucket's start on. An end
    /// where raw points have expired is that of five minutes, the finest that is left. The
    /// newest, unfinished bucket is there. Without an action only requests count, unless response codes are named or the
    /// sums are split by action. By itself in the order of time.
    pub async fn series(
        &self,
        filter: &Filter,
        range: TimeRange,
        interval: impl Into<Interval>,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let (filter, interval, page) = (filter.clone(), interval.into(), page.clone());
        self.ask(move |question| async move { question.series(&filter, range, interval, by, &page).await }).await
    }

    /// A row per step, and per series where the rates are split: `time, rps, hits`, and at the end the
    /// columns of what they are split by, and then `observed_servers, servers, open`.
    ///
    /// A rate is the sum of the servers' rates, each of which is a server's hits by the seconds that its probe covered. Of
    /// `servers` that existed in a step, `observed_servers` observed all of it; with a row for each server, that is 1 or 0 of
    /// 1, or of 0 where it did not exist. `open` steps are those of which reports can be expected to come.
    ///
    /// `step_s` is a multiple of the intervals that the probes report, and by itself the smallest
    /// there is, or the smallest that is one of 5 minutes, too, where raw points have expired. The steps cover the whole range, so the first may begin before it and the last end
    /// after it; without a range, the last 24 hours. Without an action only requests count, unless
    /// response codes are named or the rates are split by action. Split by record, it is about the
    /// records that were asked for in the range. By itself in the order of time.
    pub async fn rps(
        &self,
        filter: &Filter,
        range: TimeRange,
        step_s: Option<u32>,
        by: By,
        page: &Page,
    ) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.rps(&filter, range, step_s, by, &page).await }).await
    }

    /// Metrics as they were measured: `time, server_id, server, metric, label, value`.
    ///
    /// The range is about `time`, the start of the slot; without it, the last 24 hours. By itself in the order
    /// of time, server, metric, label.
    pub async fn system_raw(&self, filter: &SystemFilter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.system_raw(&filter, range, &page).await }).await
    }

    /// Buckets or days of metrics, the newest and unfinished ones too: `time, server_id, server, metric, label, min, max,
    /// avg, last, count`.
    ///
    /// The range is about `time`, the start of the bucket, of a day the buckets in it; without it, the last 24 hours. By
    /// itself in the order of time, server, metric, label.
    pub async fn system_aggregate(
        &self,
        filter: &SystemFilter,
        range: TimeRange,
        interval: impl Into<Interval>,
        page: &Page,
    ) -> Result<Answer, Error> {
        let (filter, interval, page) = (filter.clone(), interval.into(), page.clone());
        self.ask(move |question| async move { question.system_aggregate(&filter, range, interval, &page).await }).await
    }

    /// Which series there are: `metric, label`, by itself in that order.
    pub async fn system_series(&self, page: &Page) -> Result<Answer, Error> {
        let page = page.clone();
        self.ask(move |question| async move { question.system_series(&page).await }).await
    }

    /// Answers a statement of SQL: `SELECT`, `EXPLAIN`, `DESCRIBE` or `SHOW` over the tables.
    ///
    /// What is wrong with the statement is [`Error::BadArgument`] with the argument `sql`, which says where. A bound that
    /// is met on the way ends the rows with [`Error::TooLarge`], [`Error::TooSlow`] or [`Error::Unread`].
    pub async fn sql(&self, text: &str) -> Result<SqlAnswer, Error> {
        self.statements().run(None, text, self.now(), self.max_wait()).await
    }

    /// The same for one caller of many, who gets no more than a share of the turns.
    pub async fn sql_for(&self, caller: &str, text: &str) -> Result<SqlAnswer, Error> {
        self.statements().run(Some(caller), text, self.now(), self.max_wait()).await
    }

    /// Starts a worker, so that the first statement need not wait for it. Says what is wrong when none can be started.
    pub async fn warm(&self) -> Result<(), Error> {
        self.statements().warm().await
    }

    /// Takes no more statements, and ends those that run within a few seconds.
    pub fn end_statements(&self) {
        self.statements().end();
    }
}
