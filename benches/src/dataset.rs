//! The points that every store is given, written once and identical for the same seed.
//!
//! Two files contain the same data. `batches` is what probes send: each batch preceded by its
//! length in four bytes, little-endian. `points.csv` is for other stores: `time, server_id, host,
//! type, action, hits, last_access`, with times in Unix seconds and last accesses in Unix
//! milliseconds.

use crate::workload::{Shape, Workload};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use zonepulse_wire::Batch;

/// 2026-01-01T00:00:00Z.
pub const START_S: u64 = 1_767_225_600;
/// Servers, numbered from 1.
pub const SERVERS: u32 = Shape::STANDARD.servers;
const SEED: u64 = 1;

/// A generated data set.
pub struct Dataset {
    folder: PathBuf,
    /// The time span, minutes.
    pub minutes: u64,
    /// The number of points.
    pub points: u64,
}

impl Dataset {
    /// The points of `ZONEPULSE_BENCH_MINUTES` (1440) minutes: reused from the build directory, or
    /// written there.
    pub fn standard() -> Self {
        let minutes = std::env::var("ZONEPULSE_BENCH_MINUTES").ok().filter(|text| !text.is_empty());
        Self::of(&folder(), minutes.map_or(1440, |text| text.parse().expect("a number of minutes")))
    }

    fn of(folder: &Path, minutes: u64) -> Self {
        let folder = folder.join(format!("points-{minutes}"));
        let done = folder.join("points");
        if let Ok(points) = fs::read_to_string(&done) {
            return Dataset { folder, minutes, points: points.trim().parse().expect("a number, as it was written") };
        }
        fs::create_dir_all(&folder).expect("the build's folder is writable");
        let dataset = Dataset { points: write(&folder, minutes), folder, minutes };
        fs::write(done, dataset.points.to_string()).expect("the build's folder is writable");
        dataset
    }

    /// The file for other stores.
    pub fn csv(&self) -> PathBuf {
        self.folder.join("points.csv")
    }

    /// The encoded batches of each server, in order.
    pub fn batches(&self) -> Vec<Vec<Vec<u8>>> {
        let mut file = BufReader::new(File::open(self.folder.join("batches")).expect("written"));
        let mut servers = vec![Vec::new(); SERVERS as usize];
        for number in 0..self.minutes * u64::from(SERVERS) {
            let mut length = [0; 4];
            file.read_exact(&mut length).expect("a length");
            let mut batch = vec![0; u32::from_le_bytes(length) as usize];
            file.read_exact(&mut batch).expect("a batch");
            servers[(number % u64::from(SERVERS)) as usize].push(batch);
        }
        servers
    }

    /// The end of the last minute, Unix seconds.
    pub fn until_s(&self) -> u64 {
        START_S + 60 * self.minutes
    }
}

/// The directory for points and for the stores being compared, next to the build output.
pub fn folder() -> PathBuf {
    std::env::current_exe().expect("a program has a path").ancestors().nth(2).expect("a folder").join("bench-store")
}

fn write(folder: &Path, minutes: u64) -> u64 {
    let create = |name: &str| BufWriter::with_capacity(1 << 20, File::create(folder.join(name)).expect("the folder is writable"));
    let (mut batches, mut csv) = (create("batches"), create("points.csv"));
    let mut workload = Workload::dying(SEED, Shape::STANDARD, minutes);
    let mut points = 0;
    csv.write_all(b"time,server_id,host,type,action,hits,last_access\n").expect("room on the disk");
    for minute in 0..minutes {
        for server in 1..=SERVERS {
            let batch = workload.batch(server, minute, START_S + 60 * minute);
            let encoded = batch.encode().expect("within the bounds of the format");
            batches.write_all(&(encoded.len() as u32).to_le_bytes()).expect("room on the disk");
            batches.write_all(&encoded).expect("room on the disk");
            lines(&batch, &mut csv);
            points += batch.rows.len() as u64;
        }
    }
    batches.flush().expect("room on the disk");
    csv.flush().expect("room on the disk");
    points
}

fn lines(batch: &Batch, csv: &mut impl Write) {
    let records: Vec<_> = batch.records.iter().collect();
    for row in &batch.rows {
        let (host, record_type) = records[row.record as usize];
        let last_ms = batch.start_s * 1000 + u64::from(row.last_ms);
        let action = row.kind.action().expect("only messages are generated");
        let (start_s, server_id, hits) = (batch.start_s, batch.identity.server_id, row.hits);
        writeln!(csv, "{start_s},{server_id},{host},{record_type},{action},{hits},{last_ms}").expect("room on the disk");
    }
}
