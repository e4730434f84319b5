//! What can be asked, and where it is answered.
//!
//! Each call reads the clock once. The API's questions are answered on the engine's own threads; a SQL statement runs in
//! a process of its own.

use super::question::Question;
use crate::time::{Interval, TimeRange};
use crate::{Answer, By, Engine, Error, Filter, Kept, Page, SqlAnswer, SystemFilter};
use std::future::Future;

impl Engine {
    /// Runs something that takes long on the threads of questions.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        self.apart(async move { Ok(work()) }).await
    }

    /// Answers a question as of now.
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
            // What does not fit beside other questions may fit later.
            Err(Error::TooLarge(_)) if self.load().questions.running > 0 => Err(Error::Busy),
            done => done,
        }
    }

    /// Raw points: `time, interval_s, server_id, server, resource_id, host, type, folded, action, rcode,
    /// hits, last_access`.
    ///
    /// The range applies to `time`, the start of the interval; the default is the last 24 hours. The default
    /// order is by time, server, requests before responses.
    pub async fn raw(&self, filter: &Filter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.raw(&filter, range, &page).await }).await
    }

    /// Coverage reports of these servers, or of all if there are none: what their probes observed and lost.
    ///
    /// `time, interval_s, server_id, server, epoch, seq, covered_from, covered_until, hits, messages_seen,
    /// not_counted, kernel_dropped, interface_dropped, batches_evicted, evicted_from, evicted_until,
    /// overlap_ms, losses, blind_ms`: `losses` has all other counters as `name=value`. A batch of metrics has a row if it
    /// reports an eviction; that row covers no time. The range applies to `time`; the default is the last
    /// 24 hours. The default order is by time and server.
    pub async fn coverage(&self, of: &[u32], range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let (of, page) = (of.to_vec(), page.clone());
        self.ask(move |question| async move { question.coverage(&of, range, &page).await }).await
    }

    /// A row per record: `resource_id, host, type, folded, hits, first_seen, last_access`, followed by
    /// `server_id, server` and `action` if the sums are split by them.
    ///
    /// `kept` filters rows by last access and by whether the name exists. Without an action only requests
    /// count, unless response codes are given or the sums are split by action. The default order is by most
    /// hits, then host and type.
    pub async fn totals(&self, filter: &Filter, kept: impl Into<Kept>, by: By, page: &Page) -> Result<Answer, Error> {
        let (filter, kept, page) = (filter.clone(), kept.into(), page.clone());
        self.ask(move |question| async move { question.totals(&filter, kept, by, &page).await }).await
    }

    /// Totals over a time range: `hits, last_access`, followed by the columns that the sums are split by, a row
    /// for each group with hits.
    ///
    /// The range applies to the starts of intervals, as in [`Engine::series`]; the default is the last 24 hours. It is read
    /// from roll-ups where they fit. What counts without an action is as there. The default order is by most hits.
    pub async fn totals_over(&self, filter: &Filter, range: TimeRange, by: By, page: &Page) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.totals_over(&filter, range, by, &page).await }).await
    }

    /// A row per bucket with hits: `time, hits, last_access`, followed by the columns that the sums are split by
    /// (`resource_id, host, type, folded`, `server_id, server`, `action`) and by those about the step,
    /// `observed_servers, servers, open`, as in [`Engine::rps`].
    ///
    /// `time` is the start of the bucket or day. The range applies to the starts of the intervals that are added up,
    /// so a bucket at its ends may be partial; the default is the last 24 hours, from the start of a bucket on. An end
    /// where raw points have expired is moved to a boundary of five minutes, the finest level left. The newest,
    /// unfinished bucket is included. Without an action only requests count, unless response codes are given or the
    /// sums are split by action. The default order is by time.
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

    /// A row per step, and per series if the rates are split: `time, rps, hits`, followed by the
    /// columns that they are split by and by `observed_servers, servers, open`.
    ///
    /// A rate is the sum of the servers' rates, each of which is a server's hits divided by the seconds that its probe
    /// covered. Of the `servers` that existed in a step, `observed_servers` observed all of it; in a row for one server, that
    /// is 1 or 0 of 1, or 0 of 0 where it did not exist. A step is `open` while reports about it can still be expected.
    ///
    /// `step_s` is a multiple of the intervals that the probes report. The default is the smallest such multiple, or,
    /// where raw points have expired, the smallest that is also a multiple of 5 minutes. The steps cover the whole range,
    /// so the first may begin before it and the last end after it; the default range is the last 24 hours. Without an
    /// action only requests count, unless response codes are given or the rates are split by action. Split by record,
    /// the series are the records with hits in the range. The default order is by time.
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
    /// The range applies to `time`, the start of the slot; the default is the last 24 hours. The default order is
    /// by time, server, metric, label.
    pub async fn system_raw(&self, filter: &SystemFilter, range: TimeRange, page: &Page) -> Result<Answer, Error> {
        let (filter, page) = (filter.clone(), page.clone());
        self.ask(move |question| async move { question.system_raw(&filter, range, &page).await }).await
    }

    /// Buckets or days of metrics, including the newest, unfinished ones: `time, server_id, server, metric, label, min, max,
    /// avg, last, count`.
    ///
    /// The range applies to `time`, the start of the bucket, or for days to the buckets in them; the default is the last
    /// 24 hours. The default order is by time, server, metric, label.
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

    /// All series: `metric, label`, by default in that order.
    pub async fn system_series(&self, page: &Page) -> Result<Answer, Error> {
        let page = page.clone();
        self.ask(move |question| async move { question.system_series(&page).await }).await
    }

    /// Answers a SQL statement: `SELECT`, `EXPLAIN`, `DESCRIBE` or `SHOW` over the tables.
    ///
    /// An invalid statement is an [`Error::BadArgument`] with the argument `sql`, which says where. A limit that is
    /// exceeded on the way ends the rows with [`Error::TooLarge`], [`Error::TooSlow`] or [`Error::Unread`].
    pub async fn sql(&self, text: &str) -> Result<SqlAnswer, Error> {
        self.statements().run(None, text, self.now(), self.max_wait()).await
    }

    /// The same for one caller of many, who gets at most a share of the turns.
    pub async fn sql_for(&self, caller: &str, text: &str) -> Result<SqlAnswer, Error> {
        self.statements().run(Some(caller), text, self.now(), self.max_wait()).await
    }

    /// Starts a worker, so that the first statement need not wait for it. Fails if none can be started.
    pub async fn warm(&self) -> Result<(), Error> {
        self.statements().warm().await
    }

    /// Accepts no more statements, and ends running ones within a few seconds.
    pub fn end_statements(&self) {
        self.statements().end();
    }
}
