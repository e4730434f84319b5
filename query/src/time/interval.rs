//! The intervals of a series.

use crate::Error;
use crate::time::TimeZone;

/// The bucket lengths of the roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// 5 minutes.
    M5,
    /// 15 minutes.
    M15,
    /// 30 minutes.
    M30,
    /// 1 hour.
    H1,
}

impl Bucket {
    /// All lengths, shortest first.
    pub const ALL: [Bucket; 4] = [Bucket::M5, Bucket::M15, Bucket::M30, Bucket::H1];

    /// Its length, seconds.
    pub const fn length_s(self) -> u32 {
        match self {
            Bucket::M5 => 300,
            Bucket::M15 => 900,
            Bucket::M30 => 1800,
            Bucket::H1 => 3600,
        }
    }

    /// The value of the parameter `interval`: `5m`, `15m`, `30m` or `1h`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Bucket::M5 => "5m",
            Bucket::M15 => "15m",
            Bucket::M30 => "30m",
            Bucket::H1 => "1h",
        }
    }
}

/// The intervals of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Buckets of a roll-up.
    Bucket(Bucket),
    /// Days of a time zone.
    Day(TimeZone),
}

impl Interval {
    /// The value for days.
    const DAY: &'static str = "1d";

    /// All values of the parameter `interval`, shortest first.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Bucket::ALL.into_iter().map(Bucket::as_str).chain([Interval::DAY])
    }

    /// Parses the parameter `interval`: `5m`, `15m`, `30m`, `1h`, or `1d` for days of the zone.
    pub fn named(text: &str, zone: TimeZone) -> Result<Self, Error> {
        let bucket = || Bucket::ALL.into_iter().find(|bucket| bucket.as_str() == text);
        let interval = if text == Interval::DAY { Some(Interval::Day(zone)) } else { bucket().map(Interval::Bucket) };
        interval.ok_or_else(|| {
            let words: Vec<&str> = Interval::words().collect();
            Error::bad("interval", format!("{text:?} is none of {}", words.join(", ")))
        })
    }
}

impl From<Bucket> for Interval {
    fn from(bucket: Bucket) -> Self {
        Interval::Bucket(bucket)
    }
}
