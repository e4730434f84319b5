//! Measures what importing a large zone costs: CPU time, memory above the idle store, and the time to open it again.
//!
//! `cargo run --release -p zonepulse-store --example import -- [RESOURCES]`

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::time::Instant;
use zonepulse_dns::RecordType;
use zonepulse_model::ServerId;
use zonepulse_store::{Import, Options, Row, Store};

type Done<T> = Result<T, Box<dyn Error>>;

/// A line of `/proc/self/status`, in MB.
fn status_mb(field: &str) -> Done<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    let kb: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kb / 1024)
}

/// CPU time of all threads, seconds.
fn cpu_s() -> Done<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// Fills `count` rows of a zone: every name has an address, every tenth also text.
fn rows(count: u32, address: u8) -> impl FnMut(&mut Row) -> Result<bool, zonepulse_store::Error> {
    let (mut at, mut text_next) = (0u32, false);
    let (mut key, mut text) = (Vec::new(), String::new());
    let mut filled = 0;
    move |row| {
        if filled == count {
            return Ok(false);
        }
        filled += 1;
        if std::mem::take(&mut text_next) {
            row.set(RecordType::new(16), 3600, [&b"\x0fv=spf1 -all 1234"[..]]);
            return Ok(true);
        }
        key.clear();
        text.clear();
        let label = format!("host-{at:07}");
        key.extend_from_slice(b"example\0measured\0");
        key.extend_from_slice(label.as_bytes());
        key.push(0);
        text.push_str(&label);
        text.push_str(".measured.example.");
        row.set_owner(&key, &text);
        let rdata = [10, (at >> 16) as u8, (at >> 8) as u8, at as u8 ^ address];
        row.set(RecordType::A, 300, [&rdata[..]]);
        text_next = at.is_multiple_of(10);
        at += 1;
        Ok(true)
    }
}

fn measure(store: &Store, what: &str, done: impl FnOnce(&Store) -> Done<String>) -> Done<()> {
    // Resets the peak.
    fs::write("/proc/self/clear_refs", "5")?;
    let (before_mb, cpu, began) = (status_mb("VmRSS")?, cpu_s()?, Instant::now());
    let told = done(store)?;
    println!(
        "{what}: {told}; {:.2} s, {:.2} CPU s, peak {} MB above {before_mb} MB, then {} MB",
        began.elapsed().as_secs_f64(),
        cpu_s()? - cpu,
        status_mb("VmHWM")?.saturating_sub(before_mb),
        status_mb("VmRSS")?,
    );
    Ok(())
}

fn main() -> Done<()> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), &Options::default())?;
    let zone_id = store.catalogue().add_zone("measured.example.", 0, |_| Ok::<_, zonepulse_store::Error>(()))?.id;
    let import = |count, address, now_ms| {
        move |store: &Store| {
            let import = Import { confirmed: true, ..Import::new(zone_id, None, now_ms) };
            let summary = store.catalogue().import(import, &mut rows(count, address))?;
            let zonepulse_store::Summary { added, changed, removed, unchanged, .. } = summary;
            Ok(format!("{added} added, {changed} changed, {removed} removed, {unchanged} unchanged"))
        }
    };
    measure(&store, "first import", import(count, 0, 1))?;
    measure(&store, "the same", import(count, 0, 2))?;
    measure(&store, "without the last 100", import(count.saturating_sub(100), 0, 3))?;
    measure(&store, "all changed", import(count, 1, 4))?;
    let read = |store: &Store| {
        let mut bytes = 0;
        let each = &mut |resource: &zonepulse_store::Resource<'_>| {
            bytes += resource.rdatas.clone().map(<[u8]>::len).sum::<usize>();
            ControlFlow::Continue(())
        };
        store.catalogue().visit(zone_id, each)?;
        Ok(format!("{bytes} bytes of RDATA"))
    };
    measure(&store, "reading all", read)?;
    let look_up = |store: &Store| {
        let map = store.resources();
        let of_server = map.of_server(ServerId::new(1));
        let records = store.dictionary().len() as u32;
        let found = (0..records).filter(|record| !of_server.get((*record).into()).is_none()).count();
        Ok(format!("{found} of {records} records"))
    };
    measure(&store, "looking up all", look_up)?;
    store.close()?;
    println!("on disk: {} MB", store.statistics().size_bytes / 1_000_000);
    drop(store);
    let began = Instant::now();
    let store = Store::open(dir.path(), &Options::default())?;
    println!("opening: {:.2} s, {} resources", began.elapsed().as_secs_f64(), store.resources().len());
    let faults = store.check()?.faults;
    println!("check: {faults:?}");
    Ok(())
}
