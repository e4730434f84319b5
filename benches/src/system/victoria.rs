//! The same points in VictoriaMetrics: imported over HTTP, merged, and measured on disk.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};
use zonepulse_wire::SystemBatch;

/// Batches per request.
const BATCHES: usize = 600;

/// Killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Size and time in words; fails with the reason if it cannot be run.
pub fn measure(batches: &[SystemBatch], servers: &[&str]) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let data = folder.path().join("data");
    let port =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).map_err(|error| error.to_string())?.port();
    let server = Command::new("victoria-metrics")
        .arg(format!("-storageDataPath={}", data.display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .args(["-retentionPeriod=100y", "-loggerLevel=ERROR"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = Server(server.map_err(|error| error.to_string())?);
    let began = Instant::now();
    while request(port, "GET", "/health", "").is_err() {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("it does not answer".to_owned());
        }
        thread::sleep(Duration::from_millis(50));
    }
    for batches in batches.chunks(BATCHES) {
        request(port, "POST", "/api/v1/import", &lines(batches, servers))?;
    }
    let loaded_s = cpu_seconds(server.0.id());
    request(port, "GET", "/internal/force_flush", "")?;
    request(port, "GET", "/internal/force_merge", "")?;
    let size_bytes = settled(&data.join("data"));
    let points: u64 = batches.iter().map(SystemBatch::points).sum();
    Ok(format!(
        "  victoria-metrics: {:.3} bytes per point, no roll-ups; import {:.2} CPU seconds, {:.2} M points per CPU second, no fsync",
        size_bytes as f64 / points as f64,
        loaded_s,
        points as f64 / loaded_s / 1e6
    ))
}

/// One line of JSON per series.
fn lines(batches: &[SystemBatch], servers: &[&str]) -> String {
    let mut text = String::new();
    for batch in batches {
        let server = servers[batch.identity.server_id.get() as usize - 1];
        let slot_ms = |slot: usize| (batch.start_s + slot as u64 * u64::from(batch.interval_s)) * 1000;
        for series in &batch.series {
            let (mut values, mut times) = (String::new(), String::new());
            for (slot, value) in series.values.iter().enumerate().filter_map(|(slot, value)| Some((slot, (*value)?))) {
                let comma = if values.is_empty() { "" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(values, "{comma}{value}");
                let _ = write!(times, "{comma}{}", slot_ms(slot));
            }
            let _ = writeln!(
                text,
                r#"{{"metric":{{"__name__":"{}","label":"{}","server":"{server}"}},"values":[{values}],"timestamps":[{times}]}}"#,
                series.metric, series.label
            );
        }
    }
    text
}

fn request(port: u16, method: &str, path: &str, body: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut answer = String::new();
    let exchanged = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .and_then(|()| stream.read_to_string(&mut answer));
    exchanged.map_err(|error| error.to_string())?;
    let good = answer.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    if good { Ok(answer) } else { Err(format!("{path}: {}", answer.lines().next().unwrap_or_default())) }
}

/// The size of a directory once it has not changed for five seconds.
fn settled(folder: &Path) -> u64 {
    let mut last = (0, Instant::now());
    loop {
        let now = size(folder);
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > Duration::from_secs(5) {
            return now;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).map_or(0, |about| about.len()) };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

/// User and system time (proc_pid_stat(5)).
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}
