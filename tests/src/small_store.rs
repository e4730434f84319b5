//! A central with known contents: every filter selects something and rejects something.

use super::batches::{Point, REQUEST, batch, point, response, send};
use super::{Central, unix_ms};
use zonepulse_dns::{Action, MessageKind};

/// A point and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Index in [`Central::servers`].
    pub server: usize,
    /// Start of its minute, Unix seconds.
    pub start_s: u64,
    /// The point.
    pub point: Point,
}

impl Known {
    /// Request or response.
    pub fn action(&self) -> Action {
        self.point.kind.action().expect("only messages are stored")
    }

    /// The text of its response code, `-` for a request.
    pub fn rcode(&self) -> String {
        self.point.kind.response_code().map_or("-".to_owned(), |code| code.to_string())
    }

    /// Its first hit, Unix milliseconds.
    pub fn first_ms(&self) -> u64 {
        self.start_s * 1000 + u64::from(self.point.first_ms)
    }

    /// Its last hit, Unix milliseconds.
    pub fn last_ms(&self) -> u64 {
        self.start_s * 1000 + u64::from(self.point.last_ms)
    }
}

/// The central and its contents.
pub struct SmallStore {
    /// Has the servers `alpha` and `beta`.
    pub central: Central,
    /// All points.
    pub known: Vec<Known>,
    /// The full hour at which the contents begin, Unix seconds.
    pub begin_s: u64,
    /// Every minute that a server reported: index of the server, and start, Unix seconds.
    pub reported: Vec<(usize, u64)>,
}

/// The time span of the contents, minutes.
pub const MINUTES: u64 = 90;

impl SmallStore {
    /// Starts it and fills it with batches over HTTP.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with settings from the environment.
    pub fn start_with(environment: &[(&str, &str)]) -> Self {
        let central = Central::start_on(&std::env::temp_dir(), &["alpha", "beta"], environment);
        let begin_s = (unix_ms() / 3_600_000 - 3) * 3600;
        let (mut known, mut reported) = (Vec::new(), Vec::new());
        for server in 0..2 {
            let api = central.api_of_server(server);
            for (seq, minute) in (0..MINUTES).filter(|minute| is_reported(server, *minute)).enumerate() {
                let start_s = begin_s + 60 * minute;
                let points = points(server, minute);
                send(&api, &batch(central.servers[server].id, 1, seq as u64, start_s, &points));
                reported.push((server, start_s));
                known.extend(points.into_iter().map(|point| Known { server, start_s, point }));
            }
        }
        SmallStore { central, known, begin_s, reported }
    }
}

/// `alpha` reports nothing from minute 20 to 24; `beta` begins at minute 10. In minute 50, nobody
/// reports.
fn is_reported(server: usize, minute: u64) -> bool {
    minute != 50 && if server == 0 { !(20..25).contains(&minute) } else { minute >= 10 }
}

/// What a server observed in a minute; nothing in every third minute.
fn points(server: usize, minute: u64) -> Vec<Point> {
    let spread = |host: &str, record_type: &str, kind: MessageKind, hits: u64| Point {
        last_ms: 59_000 + minute as u32,
        ..point(host, record_type, kind, hits, 17 * minute as u32)
    };
    let mut points = Vec::new();
    if minute.is_multiple_of(3) {
        return points;
    }
    points.push(spread("www.example.", "A", REQUEST, 10 + minute));
    points.push(spread("www.example.", "A", response("NOERROR"), 9 + minute));
    points.push(spread("www.example.", "A", response("SERVFAIL"), 1));
    points.push(spread("www.example.", "AAAA", REQUEST, 5));
    points.push(spread("www.example.", "AAAA", response("NOERROR"), 5));
    if minute < 30 {
        points.push(spread("old.example.", "MX", REQUEST, 2));
        points.push(spread("old.example.", "MX", response("NOERROR"), 2));
    }
    if server == 0 {
        points.push(spread("api.shop.example.", "A", REQUEST, 3));
        points.push(spread("api.shop.example.", "A", response("NXDOMAIN"), 3));
        points.push(spread(".", "NS", REQUEST, 1));
    } else {
        points.push(spread("a\\.b.example.", "TXT", REQUEST, 4));
        points.push(spread("*.example.", "A", REQUEST, 1));
        points.push(spread("www.shop.example.", "TYPE65280", REQUEST, 7));
        points.push(spread("www.shop.example.", "TYPE65280", response("REFUSED"), 7));
        points.push(spread("<other> example.", "TYPE0", REQUEST, 100));
        points.push(spread("<other>.example.", "A", REQUEST, 2));
    }
    points
}
