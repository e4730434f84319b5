//! What a central has of a fleet that is there: asked in SQL, of one that runs or of its store.

use crate::Error;
use crate::export::Source;
use crate::time::{now_ms, text};
use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use futures::StreamExt;

const HOUR_MS: u64 = 3_600_000;
/// So far back is looked.
const LOOKED_AT_MS: u64 = 24 * HOUR_MS;

/// A fleet as a central knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Running {
    /// Servers that reported.
    pub servers: u32,
    /// Records of each that were ever asked for, on average.
    pub records: u32,
    /// Records with requests in a batch, on average, in the busiest hour.
    pub active: u32,
    /// The longest interval.
    pub interval_s: u32,
    /// Series of metrics of each, on average.
    pub metrics: u32,
    /// Requests a second of each, on average, in the busiest hour.
    pub requests_per_s: f64,
}

impl Running {
    /// Asks for the last 24 hours.
    pub async fn of(source: &Source) -> Result<Running, Error> {
        let since = text(now_ms().saturating_sub(LOOKED_AT_MS) / HOUR_MS * HOUR_MS);
        let [servers, interval_s] = one(
            source,
            &format!(
                "SELECT count(DISTINCT server_id) AS a, CAST(coalesce(max(interval_s), 0) AS BIGINT) AS b FROM coverage WHERE time >= '{since}'"
            ),
        )
        .await?;
        let nothing = || Error::Argument("--from-running: no server has reported in the last 24 hours".to_owned());
        if servers == 0 || interval_s == 0 {
            return Err(nothing());
        }
        // Each has one total of its requests. Servers that were removed, or are silent, have theirs for ever.
        let known = format!(
            "SELECT count(*) AS a, 0 AS b FROM records WHERE action = 'request' AND NOT folded \
             AND server_id IN (SELECT server_id FROM coverage WHERE time >= '{since}')"
        );
        let [records, _] = one(source, &known).await?;
        let series = "SELECT count(*) AS a, 0 AS b FROM (SELECT DISTINCT server_id, metric, label FROM system_1h WHERE time >= ";
        let [series, _] = one(source, &format!("{series}'{since}')")).await?;
        let hour = format!("CAST(time AS BIGINT) / {HOUR_MS} AS number");
        let batches = rows(
            source,
            &format!("SELECT {hour}, count(*) AS a, CAST(sum(interval_s) AS BIGINT) AS b FROM coverage WHERE time >= '{since}' GROUP BY 1"),
            ["number", "a", "b"],
        )
        .await?;
        let points = rows(
            source,
            &format!(
                "SELECT {hour}, count(*) AS a, CAST(sum(hits) AS BIGINT) AS b FROM dns_raw WHERE time >= '{since}' AND action = 'request' GROUP BY 1"
            ),
            ["number", "a", "b"],
        )
        .await?;
        let (mut active, mut requests_per_s) = (0.0_f64, 0.0_f64);
        for [number, found, hits] in points {
            let Some([_, batches, seconds]) = batches.iter().find(|[hour, ..]| *hour == number) else { continue };
            active = active.max(found as f64 / (*batches).max(1) as f64);
            requests_per_s = requests_per_s.max(hits as f64 / (*seconds).max(1) as f64);
        }
        if records == 0 || active == 0.0 {
            return Err(Error::Argument(
                "--from-running: no requests were counted in the last 24 hours, or their raw points have expired".to_owned(),
            ));
        }
        let records = small(records.div_ceil(servers));
        Ok(Running {
            servers: small(servers),
            records,
            // Some servers may have more than the average has records.
            active: (active.ceil() as u32).clamp(1, records),
            interval_s: small(interval_s),
            metrics: small(series.div_ceil(servers)),
            requests_per_s,
        })
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

async fn one(source: &Source, statement: &str) -> Result<[u64; 2], Error> {
    let found = rows(source, statement, ["a", "b"]).await?;
    found.first().copied().ok_or_else(|| Error::Remote("an answer without rows".to_owned()))
}

/// Columns of whole numbers.
async fn rows<const N: usize>(source: &Source, statement: &str, columns: [&str; N]) -> Result<Vec<[u64; N]>, Error> {
    let mut answer = source.ask(statement).await?;
    let mut rows = Vec::new();
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        let first = rows.len();
        rows.resize(first + batch.num_rows(), [0; N]);
        for (place, name) in columns.iter().enumerate() {
            let unlike = || Error::Remote(format!("no column {name} of whole numbers in the answer"));
            let column = batch.column_by_name(name).filter(|column| column.data_type().is_integer()).ok_or_else(unlike)?;
            let column = cast(column, &DataType::Int64).map_err(|error| Error::Remote(error.to_string()))?;
            let values = column.as_primitive::<Int64Type>();
            for (row, value) in rows.iter_mut().skip(first).zip(values) {
                if let Some(cell) = row.get_mut(place) {
                    *cell = u64::try_from(value.unwrap_or(0)).unwrap_or(0);
                }
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_dns::{MessageKind, RecordType};
    use zonepulse_query::{Engine, Options};
    use zonepulse_store::{Identity, Intake, IntakeRow, SeriesIntake, Store, SystemIntake};

    /// A minute of a server: so many records, each asked for ten times and answered.
    fn commit(store: &Store, server_id: u32, seq: u64, start_s: u64, active: u64) {
        let mut write = store.begin();
        let names: Vec<String> = (0..active).map(|number| format!("n{number}.example.")).collect();
        let ids = write.record_ids(server_id, names.iter().map(|name| (name.as_str(), RecordType::A)));
        let at_ms = start_s * 1000;
        let row = |(record_id, kind)| {
            let kind = MessageKind::from_number(kind).unwrap();
            IntakeRow { record_id, kind, hits: 10, first_ms: at_ms, last_ms: at_ms }
        };
        let intake = Intake {
            identity: Identity { server_id, epoch: 1, seq },
            start_s,
            interval_s: 60,
            covered_from_ms: at_ms,
            covered_until_ms: at_ms + 60_000,
            counters: Vec::new(),
            evicted: None,
            rows: ids.into_iter().flat_map(|id| [(id, 0), (id, 1)]).map(row).collect(),
        };
        write.add(intake).unwrap();
        let series = write.series_ids(server_id, [("load_1m", ""), ("disk_free_bytes", "/var")].into_iter());
        let series = series.into_iter().map(|id| SeriesIntake { series_id: id, values: vec![Some(1.0); 12] }).collect();
        let identity = Identity { server_id, epoch: 2, seq };
        write.add_system(&SystemIntake { identity, start_s, interval_s: 5, slots: 12, evicted: None, series }).unwrap();
        write.commit().unwrap();
    }

    fn scene() -> (tempfile::TempDir, Store, Source) {
        let data = tempfile::tempdir().unwrap();
        let options = zonepulse_store::Options { min_free_bytes: 0, ..Default::default() };
        let store = Store::open(data.path(), &options).unwrap();
        for name in ["alpha", "beta"] {
            store.registry().add_server(name, false, String::new(), 0).unwrap();
        }
        let source = Source::Local(Box::new(Engine::new(store.clone(), Options::default()).unwrap()));
        (data, store, source)
    }

    #[tokio::test]
    async fn a_fleet_is_found_as_it_is_in_its_busiest_hour() {
        let (_data, store, source) = scene();
        let hour_s = now_ms() / HOUR_MS * 3600;
        let servers: Vec<u32> = store.registry().servers().unwrap().iter().map(|server| server.id).collect();
        for server in &servers {
            // A quiet hour, and one in which 40 and then 20 of the 40 records are active.
            commit(&store, *server, 1, hour_s - 3 * 3600, 4);
            commit(&store, *server, 2, hour_s - 2 * 3600, 40);
            commit(&store, *server, 3, hour_s - 2 * 3600 + 60, 20);
        }
        // One that has been silent since.
        let silent = store.registry().add_server("silent", false, String::new(), 0).unwrap();
        commit(&store, silent.id, 1, hour_s - 30 * 3600, 400);
        let found = Running::of(&source).await.unwrap();
        assert_eq!(found, Running { servers: 2, records: 40, active: 30, interval_s: 60, metrics: 2, requests_per_s: 5.0 });
    }

    #[tokio::test]
    async fn where_nothing_came_nothing_is_planned() {
        let (_data, _store, source) = scene();
        assert!(Running::of(&source).await.unwrap_err().to_string().contains("no server has reported"));
    }
}
