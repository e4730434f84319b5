//! An existing fleet as observed by its central, which is queried in SQL.

use crate::source::integers;
use crate::{Error, Source};
use futures::StreamExt;
use serde::Serialize;
use zonepulse_wire::Utc;

const HOUR_MS: u64 = 3_600_000;
/// How far back the observation goes.
const OBSERVED_MS: u64 = 24 * HOUR_MS;
/// Minimum observation of a server that can show its busiest hour, in minutes.
const ENOUGH_MINUTES: u64 = 60;

/// A fleet as observed by a central. Times in which a server was blind or absent are ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Running {
    /// Servers that reported.
    pub servers: u32,
    /// Average records per observed server: all that were ever requested.
    pub records: u32,
    /// Records with requests in an observed interval: the average of the busiest hour.
    pub active: u32,
    /// The longest interval, in seconds.
    pub interval_s: u32,
    /// Average series of metrics per server.
    pub metrics: u32,
    /// Requests per second per observed server: the average of the busiest hour.
    pub requests_per_s: f64,
    /// The extent of the observation.
    pub observed: Observed,
}

/// The extent of the observation of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// Average observed minutes per server.
    pub minutes: u64,
    /// Servers that were observed at all.
    pub servers: u32,
    /// Servers that reported.
    pub reported: u32,
    /// Servers that reported but were blind or absent for some or all of the time.
    pub not_throughout: u32,
}

impl Observed {
    /// The extent of the observation, as a note on a plan.
    pub(super) fn told(&self) -> String {
        let Observed { minutes, servers, reported, not_throughout } = self;
        let each = if *servers == 1 { "1 server".to_owned() } else { format!("{servers} servers, on average") };
        format!(
            "records, active records and requests of --from-running: from {minutes} minutes of {each}; \
             {not_throughout} of the {reported} that reported not observed throughout, and the time in which they were not counts nowhere"
        )
    }

    /// A warning, if too little was observed.
    pub fn too_short(&self) -> Option<String> {
        let minutes = self.minutes;
        (minutes < ENOUGH_MINUTES).then(|| {
            format!(
                "--from-running: {minutes} observed minutes of a server are too few for a plan: records that are asked for later \
                 and the busiest hour are missing; plan again after a day, or say --records, --active and --requests"
            )
        })
    }
}

/// SQL for the intervals in which a server was observed: covered, and never blind. Two runs of a probe may share an interval.
fn observed(since: &str) -> String {
    format!(
        "(SELECT server_id, time, CASE WHEN covered_ms > interval_ms THEN interval_ms ELSE covered_ms END AS observed_ms FROM (\
         SELECT server_id, time, CAST(max(interval_s) AS BIGINT) * 1000 AS interval_ms, \
         CAST(sum(CAST(covered_until AS BIGINT) - CAST(covered_from AS BIGINT)) AS BIGINT) AS covered_ms \
         FROM coverage WHERE time >= '{since}' AND covered_until > covered_from GROUP BY server_id, time HAVING max(blind_ms) = 0\
         ) AS intervals)"
    )
}

impl Running {
    /// Queries the last 24 hours.
    ///
    /// Fails with [`Error::Unobserved`] if they do not show the composition of the fleet.
    pub async fn of(source: &Source, now_ms: u64) -> Result<Running, Error> {
        let since = Utc(now_ms.saturating_sub(OBSERVED_MS) / HOUR_MS * HOUR_MS / 1000).to_string();
        let reported = format!(
            "SELECT count(DISTINCT server_id) AS servers, CAST(max(interval_s) AS BIGINT) AS interval_s, \
             CAST(min(covered_from) AS BIGINT) AS from_ms, CAST(max(covered_until) AS BIGINT) AS until_ms \
             FROM coverage WHERE time >= '{since}' AND covered_until > covered_from"
        );
        let [servers, interval_s, from_ms, until_ms] =
            one(source, &reported, ["servers", "interval_s", "from_ms", "until_ms"]).await?;
        if servers == 0 || interval_s == 0 {
            return Err(Error::Unobserved("no server has reported in the last 24 hours"));
        }
        let observed = observed(&since);
        // The last report of one server may arrive before that of another, and coverage begins within an interval.
        let throughout_ms = until_ms.saturating_sub(from_ms).saturating_sub(2 * interval_s * 1000);
        let by_server = format!(
            "SELECT count(*) AS servers, CAST(sum(observed_ms) AS BIGINT) AS observed_ms, \
             CAST(sum(CASE WHEN observed_ms >= {throughout_ms} THEN 1 ELSE 0 END) AS BIGINT) AS throughout FROM (\
             SELECT server_id, CAST(sum(observed_ms) AS BIGINT) AS observed_ms FROM {observed} AS observed GROUP BY server_id) AS by_server"
        );
        let [seen, observed_ms, throughout] = one(source, &by_server, ["servers", "observed_ms", "throughout"]).await?;
        if seen == 0 {
            return Err(Error::Unobserved("no server was observed without being blind in the last 24 hours"));
        }
        // A record has a single total of its requests. The totals of removed and silent servers stay forever, so they
        // are excluded.
        let known = format!(
            "SELECT count(*) AS records FROM records WHERE action = 'request' AND NOT folded \
             AND server_id IN (SELECT server_id FROM {observed} AS observed)"
        );
        let [records] = one(source, &known, ["records"]).await?;
        let series = "SELECT count(*) AS series FROM (SELECT DISTINCT server_id, metric, label FROM system_1h WHERE time >= ";
        let [series] = one(source, &format!("{series}'{since}')"), ["series"]).await?;
        let (active, requests_per_s) = busiest(source, &observed, &since).await?;
        if records == 0 || active == 0.0 {
            return Err(Error::Unobserved("no requests were counted in the last 24 hours, or their raw points have expired"));
        }
        let records = small(records.div_ceil(seen));
        Ok(Running {
            servers: small(servers),
            records,
            // Servers with more records than average may exceed it.
            active: (active.ceil() as u32).clamp(1, records),
            interval_s: small(interval_s),
            metrics: small(series.div_ceil(servers)),
            requests_per_s,
            observed: Observed {
                minutes: observed_ms / seen / 60_000,
                servers: small(seen),
                reported: small(servers),
                not_throughout: small(servers.saturating_sub(throughout)),
            },
        })
    }
}

/// Active records of an observed interval, and requests per observed second, each in its busiest hour.
async fn busiest(source: &Source, observed: &str, since: &str) -> Result<(f64, f64), Error> {
    let hours = format!(
        "SELECT CAST(time AS BIGINT) / {HOUR_MS} AS number, count(*) AS intervals, CAST(sum(observed_ms) AS BIGINT) AS observed_ms \
         FROM {observed} AS observed GROUP BY 1"
    );
    let hours = rows(source, &hours, ["number", "intervals", "observed_ms"]).await?;
    let points = format!(
        "SELECT CAST(points.time AS BIGINT) / {HOUR_MS} AS number, count(*) AS points, CAST(sum(points.hits) AS BIGINT) AS hits \
         FROM dns_raw AS points JOIN {observed} AS observed ON points.server_id = observed.server_id AND points.time = observed.time \
         WHERE points.time >= '{since}' AND points.action = 'request' GROUP BY 1"
    );
    let (mut active, mut requests_per_s) = (0.0_f64, 0.0_f64);
    for [number, points, hits] in rows(source, &points, ["number", "points", "hits"]).await? {
        let Some([_, intervals, ms]) = hours.iter().find(|[hour, ..]| *hour == number) else { continue };
        active = active.max(points as f64 / (*intervals).max(1) as f64);
        requests_per_s = requests_per_s.max(hits as f64 * 1000.0 / (*ms).max(1) as f64);
    }
    Ok((active, requests_per_s))
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The first row of an answer.
async fn one<const N: usize>(source: &Source, statement: &str, columns: [&str; N]) -> Result<[u64; N], Error> {
    let found = rows(source, statement, columns).await?;
    found.first().copied().ok_or_else(|| Error::Answer("an answer without rows".to_owned()))
}

/// The rows of an answer, with columns of integers.
async fn rows<const N: usize>(source: &Source, statement: &str, columns: [&str; N]) -> Result<Vec<[u64; N]>, Error> {
    let mut answer = source.ask(statement).await?;
    let mut rows = Vec::new();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        let first = rows.len();
        rows.resize(first + batch.num_rows(), [0; N]);
        for (place, name) in columns.iter().enumerate() {
            for (row, value) in rows.iter_mut().skip(first).zip(integers(&batch, name, 0)?) {
                if let Some(cell) = row.get_mut(place) {
                    *cell = value;
                }
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now_ms;
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_model::{Identity, ServerId};
    use zonepulse_query::{Engine, Options};
    use zonepulse_store::{Intake, IntakeRow, SeriesIntake, Store, SystemIntake};
    use zonepulse_wire::Counter;

    /// A minute of a server: so many records, each asked for ten times and answered.
    fn commit(store: &Store, server_id: u32, seq: u64, start_s: u64, active: u64) {
        commit_blind(store, server_id, seq, start_s, active, 0);
    }

    /// The same, blind for so long.
    fn commit_blind(store: &Store, server_id: u32, seq: u64, start_s: u64, active: u64, blind_ms: u64) {
        let mut write = store.begin();
        let names: Vec<String> = (0..active).map(|number| format!("n{number}.example.")).collect();
        let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (name.as_str(), RecordType::A)));
        let at_ms = start_s * 1000;
        let row = |(record_id, kind)| {
            let kind = MessageKind::from_number(kind).unwrap();
            IntakeRow { record_id, kind, hits: 10, first_ms: at_ms, last_ms: at_ms }
        };
        let intake = Intake {
            identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq },
            start_s,
            interval_s: 60,
            covered_from_ms: at_ms,
            covered_until_ms: at_ms + 60_000,
            counters: if blind_ms > 0 { vec![(Counter::BlindMs.number(), blind_ms)] } else { Vec::new() },
            loss: Default::default(),
            evicted: None,
            rows: ids.into_iter().flat_map(|id| [(id, 0), (id, 1)]).map(row).collect(),
        };
        write.add(intake).unwrap();
        let series = write.series_ids(ServerId::new(server_id), [("load_1m", ""), ("disk_free_bytes", "/var")].into_iter());
        let series = series.into_iter().map(|id| SeriesIntake { series_id: id, values: vec![Some(1.0); 12] }).collect();
        let identity = Identity { server_id: ServerId::new(server_id), epoch: 2, seq };
        write.add_system(&SystemIntake { identity, start_s, interval_s: 5, slots: 12, evicted: None, series }).unwrap();
        write.commit().unwrap();
    }

    fn scene() -> (tempfile::TempDir, Store, Source) {
        let data = tempfile::tempdir().unwrap();
        let options = zonepulse_store::Options { min_free_bytes: 0, ..Default::default() };
        let store = Store::open(data.path(), &options).unwrap();
        for name in ["alpha", "beta"] {
            store.registry().add_server(name, false, None, 0).unwrap();
        }
        // Reports have a column for each counter that is named here.
        let counter_names = Counter::ALL.iter().map(|counter| (counter.number(), counter.as_str())).collect();
        let options = Options { counter_names, ..Options::default() };
        let source = Source::Local(Box::new(Engine::new(store.clone(), options).unwrap()));
        (data, store, source)
    }

    #[tokio::test]
    async fn a_fleet_is_found_as_it_is_in_its_busiest_hour() {
        let (_data, store, source) = scene();
        let hour_s = now_ms() / HOUR_MS * 3600;
        let servers: Vec<u32> = store.registry().servers().unwrap().iter().map(|server| server.id.get()).collect();
        for server in &servers {
            // A quiet hour, and one in which 40 and then 20 of the 40 records are active.
            commit(&store, *server, 1, hour_s - 3 * 3600, 4);
            commit(&store, *server, 2, hour_s - 2 * 3600, 40);
            commit(&store, *server, 3, hour_s - 2 * 3600 + 60, 20);
        }
        // One that has been silent since.
        let silent = store.registry().add_server("silent", false, None, 0).unwrap();
        commit(&store, silent.id.get(), 1, hour_s - 30 * 3600, 400);
        let found = Running::of(&source, now_ms()).await.unwrap();
        let observed = Observed { minutes: 3, servers: 2, reported: 2, not_throughout: 2 };
        let expected = Running { servers: 2, records: 40, active: 30, interval_s: 60, metrics: 2, requests_per_s: 5.0, observed };
        assert_eq!(found, expected);
    }

    /// Four minutes of a server with 15 requests a second, and what came of another meanwhile.
    async fn beside(other: impl Fn(&Store, u32, u64, u64)) -> Running {
        let (_data, store, source) = scene();
        let start_s = now_ms() / HOUR_MS * 3600 - 3600;
        for minute in 0..4 {
            commit(&store, 1, minute, start_s + 60 * minute, 90);
            other(&store, 2, minute, start_s + 60 * minute);
        }
        Running::of(&source, now_ms()).await.unwrap()
    }

    #[tokio::test]
    async fn a_blind_server_is_not_taken_for_a_quiet_one() {
        let found = beside(|store, server, seq, start_s| commit_blind(store, server, seq, start_s, 0, 60_000)).await;
        assert_eq!((found.requests_per_s, found.records, found.active), (15.0, 90, 90));
        assert_eq!(found.observed, Observed { minutes: 4, servers: 1, reported: 2, not_throughout: 1 });
    }

    #[tokio::test]
    async fn what_a_blind_server_saw_nevertheless_is_no_rate() {
        let found = beside(|store, server, seq, start_s| commit_blind(store, server, seq, start_s, 1, 30_000)).await;
        assert_eq!((found.requests_per_s, found.records, found.active), (15.0, 90, 90));
    }

    #[tokio::test]
    async fn an_absent_server_is_not_taken_for_a_quiet_one() {
        let found = beside(|store, server, seq, start_s| {
            if seq == 0 {
                commit(store, server, seq, start_s, 90);
            }
        });
        let found = found.await;
        assert_eq!((found.requests_per_s, found.records, found.active), (15.0, 90, 90));
        assert_eq!((found.observed.servers, found.observed.not_throughout), (2, 1));
    }

    #[tokio::test]
    async fn a_quiet_server_is_averaged() {
        let found = beside(|store, server, seq, start_s| commit(store, server, seq, start_s, 0)).await;
        assert_eq!((found.requests_per_s, found.records, found.active), (7.5, 45, 45));
        assert_eq!(found.observed, Observed { minutes: 4, servers: 2, reported: 2, not_throughout: 0 });
    }

    #[tokio::test]
    async fn where_all_were_blind_nothing_is_planned() {
        let (_data, store, source) = scene();
        commit_blind(&store, 1, 1, now_ms() / HOUR_MS * 3600 - 3600, 0, 60_000);
        assert!(
            Running::of(&source, now_ms()).await.unwrap_err().to_string().contains("no server was observed without being blind")
        );
    }

    #[tokio::test]
    async fn where_nothing_came_nothing_is_planned() {
        let (_data, _store, source) = scene();
        assert!(Running::of(&source, now_ms()).await.unwrap_err().to_string().contains("no server has reported"));
    }
}
