//! From RabbitMQ to disk: points per CPU second of the central, and bytes per point.

use crate::workload::{Shape, Workload};
use std::path::Path;
use std::time::{Duration, Instant};
use zonepulse_tests::central::Server;
use zonepulse_tests::{Central, RabbitMq, eventually, queue::Queue};

const SERVERS: u32 = Shape::STANDARD.servers;
const MINUTES: u64 = 360;
const START_S: u64 = 1_767_225_600;
const QUEUE: &str = "bench";

/// A backlog of six hours from ten servers waits in a quorum queue. The central starts, consumes it
/// with an fsync before every acknowledgement, and is measured until it is done.
pub fn run() {
    let names: Vec<String> = (1..=SERVERS).map(|number| format!("server {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let broker = RabbitMq::start();
    // Declares the queue and creates the servers, then stops so that the backlog can be published.
    let mut central = Central::start_with_broker(&names, &broker.url(), QUEUE);
    let queue = Queue::open(&broker, QUEUE);
    central.stop();
    let (batches, points, wire_bytes) = publish(&queue, &central.servers);

    central.start_again();
    let began = Instant::now();
    let api = central.api();
    let all_there = || {
        let total = api.get("/api/v2/monitoring/dns/coverage", &[("date_from", "0"), ("limit", "1")], "application/json");
        (total.header("x-total-count") == Some(batches.to_string().as_str())).then_some(())
    };
    eventually("the central has the backlog", Duration::from_secs(300), all_there);
    let wall_s = began.elapsed().as_secs_f64();
    let cpu_s = central.cpu_seconds();
    central.stop();
    let disk_bytes = size_bytes(&central.data());
    assert!(central.check().contains("sound"), "the store is sound");

    println!(
        "pipeline: {batches} batches, {points} points, RabbitMQ quorum queue to RocksDB, fsync before acknowledgement, fsyncs grouped"
    );
    println!("  wire, bytes per point        {:>12.2}", wire_bytes as f64 / points as f64);
    println!("  wire, bytes per batch        {:>12}", wire_bytes / batches);
    println!("  central, CPU seconds         {cpu_s:>12.2}");
    println!("  points per CPU second        {:>12.0}", points as f64 / cpu_s);
    println!("  points per second            {:>12.0}", points as f64 / wall_s);
    println!(
        "  disk, bytes per point        {:>12.2}   (everything in the directory after a clean stop)",
        disk_bytes as f64 / points as f64
    );
}

fn publish(queue: &Queue, servers: &[Server]) -> (u64, u64, u64) {
    let mut workload = Workload::new(1, Shape::STANDARD);
    let (mut batches, mut points, mut bytes) = (0, 0, 0);
    for minute in 0..MINUTES {
        for server in servers {
            let batch = workload.batch(server.id, minute, START_S + 60 * minute);
            let encoded = batch.encode().expect("within the bounds of the format");
            queue.publish(&encoded, &server.token);
            batches += 1;
            points += batch.rows.len() as u64;
            bytes += encoded.len() as u64;
        }
    }
    (batches, points, bytes)
}

fn size_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the data are there");
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
