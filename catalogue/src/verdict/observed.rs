//! What of a window was observed.

use super::input::{Missing, Why, Window, ZoneObservation};

/// The observation of a zone within a window, as far as its RRsets have it in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    /// Whether servers answer for the zone that cannot be seen, or it has none.
    pub is_hidden: bool,
    /// The end of the last period within the window in which a server was not observed.
    pub last_missing_ms: Option<i64>,
    /// Up to when all servers have reported.
    pub end_ms: i64,
    /// The observed share of the time of all servers, from 0 to 1.
    pub share: f64,
}

impl Observed {
    pub fn new(observation: &ZoneObservation, window: &Window) -> Self {
        let (start_ms, now_ms) = (window.start_ms(), window.now_ms);
        let mut observed = Observed {
            is_hidden: observation.servers.is_empty() || (observation.others_serve_it && !observation.others_waived),
            last_missing_ms: None,
            end_ms: now_ms,
            share: 0.0,
        };
        let mut missing_ms = 0_i64;
        for at in 0..observation.servers.len() {
            let missing = missing(observation, at, window, start_ms);
            missing_ms = missing_ms.saturating_add(length_ms(&missing));
            observed.last_missing_ms = observed.last_missing_ms.max(missing.iter().map(|period| period.to_ms).max());
            if let Some(until_ms) = observation.servers.get(at).and_then(|server| tail(server.reported_until_ms, window)) {
                observed.end_ms = observed.end_ms.min(until_ms);
            }
        }
        let all_ms = now_ms.saturating_sub(start_ms).saturating_mul(observation.servers.len() as i64);
        if all_ms > 0 {
            observed.share = 1.0 - missing_ms as f64 / all_ms as f64;
        }
        observed
    }
}

/// The time of a last report that is recent enough to wait for the next.
fn tail(reported_until_ms: Option<i64>, window: &Window) -> Option<i64> {
    reported_until_ms.filter(|until_ms| window.now_ms.saturating_sub(*until_ms) <= window.lag_ms)
}

/// The periods from `start_ms` to now that were not observed on the server at position `at`, in order, without overlaps.
pub(super) fn missing(observation: &ZoneObservation, at: usize, window: &Window, start_ms: i64) -> Vec<Missing> {
    let Some(server) = observation.servers.get(at) else { return Vec::new() };
    let mut periods: Vec<Missing> = server.missing.clone();
    if tail(server.reported_until_ms, window).is_none() {
        let from_ms = server.reported_until_ms.unwrap_or(i64::MIN);
        let why = if server.reported_until_ms.is_some() { Why::NoReport } else { Why::NotYet };
        periods.push(Missing { from_ms, to_ms: window.now_ms, why });
    }
    periods.sort_by_key(|period| (period.from_ms, period.to_ms));
    let mut end_ms = start_ms;
    let mut clipped = Vec::new();
    for mut period in periods {
        period.from_ms = period.from_ms.max(end_ms);
        period.to_ms = period.to_ms.min(window.now_ms);
        if period.from_ms < period.to_ms {
            end_ms = period.to_ms;
            clipped.push(period);
        }
    }
    clipped
}

pub(super) fn length_ms(periods: &[Missing]) -> i64 {
    periods.iter().fold(0, |sum, period| sum.saturating_add(period.to_ms.saturating_sub(period.from_ms)))
}
