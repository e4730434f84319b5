//! Readings compared with the system's own tools at the same moment.

use super::*;
use std::process::Command;

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn value(readings: &[Reading], metric: &str, label: &str) -> f64 {
    let found = readings.iter().find(|reading| reading.metric == metric && reading.label == label);
    found.unwrap_or_else(|| panic!("no {metric} {label:?} in {readings:?}")).value
}

#[track_caller]
fn near(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{ours} is not {theirs}, by more than {tolerance}");
}

#[test]
fn memory_agrees_with_free() {
    let Some(free) = output("free", &["-b"]) else { return };
    let readings = Sampler::new().sample().to_vec();
    let row = |name: &str| numbers(free.lines().find_map(|line| line.strip_prefix(name)).unwrap()).collect::<Vec<_>>();
    let (memory, swap) = (row("Mem:"), row("Swap:"));
    assert_eq!(value(&readings, "memory_total_bytes", "") as u64, memory[0]);
    assert_eq!(value(&readings, "swap_total_bytes", "") as u64, swap[0]);
    // Other programs run at the same time.
    let tolerance = memory[0] as f64 * 0.03;
    near(value(&readings, "memory_used_bytes", ""), memory[1] as f64, tolerance);
    near(value(&readings, "memory_available_bytes", ""), memory[5] as f64, tolerance);
}

#[test]
fn disks_agree_with_df() {
    let readings = Sampler::new().sample().to_vec();
    let mounts: Vec<_> = readings.iter().filter(|reading| reading.metric == "disk_total_bytes").collect();
    assert!(!mounts.is_empty(), "a machine has a disk: {readings:?}");
    for mount in mounts {
        let Some(df) = output("df", &["-B1", "--output=size,used,avail", &mount.label]) else { return };
        let row: Vec<_> = numbers(df.lines().nth(1).unwrap()).collect();
        assert_eq!(mount.value as u64, row[0], "{df}");
        near(value(&readings, "disk_used_bytes", &mount.label), row[1] as f64, 256e6);
        near(value(&readings, "disk_free_bytes", &mount.label), row[2] as f64, 256e6);
    }
}

#[test]
fn sockets_agree_with_ss() {
    let count = |ss: &str, state: &str| ss.lines().filter(|line| line.starts_with(state)).count() as f64;
    let mut left = vec![("established", "ESTAB"), ("listen", "LISTEN"), ("time_wait", "TIME-WAIT")];
    let began = Instant::now();
    // Other tests open and close sockets, so compare with ss before and after.
    while !left.is_empty() {
        let Some(before) = output("ss", &["-Hant"]) else { return };
        let readings = Sampler::new().sample().to_vec();
        let after = output("ss", &["-Hant"]).unwrap();
        left.retain(|(state, theirs)| {
            let (ours, before, after) =
                (value(&readings, "tcp_connections", state), count(&before, theirs), count(&after, theirs));
            let agrees = before == after && ours == after;
            assert!(agrees || began.elapsed() < Duration::from_secs(30), "{state}: {ours}, and by ss {before} and {after}");
            !agrees
        });
    }
    let readings = Sampler::new().sample().to_vec();
    let udp = output("ss", &["-Hanu"]).unwrap().lines().count();
    near(value(&readings, "udp_sockets", ""), udp as f64, 5.0);
}

#[test]
fn load_uptime_and_processes_are_those_of_proc() {
    let readings = Sampler::new().sample().to_vec();
    let read = |file: &str| fs::read_to_string(file).unwrap();
    let first = |text: &str| text.split_whitespace().next().unwrap().parse::<f64>().unwrap();
    near(value(&readings, "load_1m", ""), first(&read("/proc/loadavg")), 0.5);
    near(value(&readings, "uptime_s", ""), first(&read("/proc/uptime")), 2.0);
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|entry| entry.path().join("stat").exists()).count();
    // Entries with a stat include "self" and "thread-self".
    near(value(&readings, "processes", ""), processes as f64, 30.0);
}

#[test]
fn rates_are_means_over_the_time_between_two_samples() {
    let mut sampler = Sampler::new();
    let first = sampler.sample().to_vec();
    assert!(!first.iter().any(|reading| reading.metric.contains("_per_s") || reading.metric.contains("percent")), "{first:?}");
    let (began, spun) = (Instant::now(), own_time());
    while began.elapsed() < Duration::from_millis(400) {
        std::hint::black_box(fs::read("/proc/stat").ok());
    }
    let spun = own_time() - spun;
    let second = sampler.sample().to_vec();
    // Other tests of this process run meanwhile, so this thread's work is a lower bound.
    let own = value(&second, "probe_cpu_percent", "");
    let expected = spun.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    near(own, expected, 15.0);
    let total = value(&second, "cpu_percent", "total");
    let kinds = value(&second, "cpu_user_percent", "total") + value(&second, "cpu_system_percent", "total");
    assert!((0.0..=100.0).contains(&total) && kinds <= total + 0.3, "{total} {kinds}");
    let cores = std::thread::available_parallelism().unwrap().get();
    let told = second.iter().filter(|reading| reading.metric == "cpu_percent").count();
    assert!(told > cores.min(2), "{told} of {cores} and the total");
    assert!(second.iter().any(|reading| reading.metric == "network_received_bytes_per_s" && reading.label == "lo"));
    sampler.forget();
    assert_eq!(sampler.sample().iter().filter(|reading| reading.metric.contains("percent")).count(), 0);
}

#[test]
fn network_traffic_is_counted() {
    use std::net::UdpSocket;
    let mut sampler = Sampler::new();
    // Before the first sample, so that its rate covers no more time than this.
    let began = Instant::now();
    sampler.sample();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..2000 {
        let _ = socket.send_to(&[0; 1000], socket.local_addr().unwrap());
    }
    let rate = value(sampler.sample(), "network_sent_bytes_per_s", "lo");
    let least = 2_000_000.0 / began.elapsed().as_secs_f64();
    assert!(rate >= 0.9 * least && rate < 500.0 * least, "{rate} {least}");
}

#[test]
fn a_sample_costs_little() {
    let mut sampler = Sampler::new();
    sampler.sample();
    let began = own_thread_time();
    for _ in 0..20 {
        assert!(!sampler.sample().is_empty());
    }
    let each = (own_thread_time() - began) / 20;
    // At the shortest default interval, 1 % of a core would be 50 ms.
    assert!(each < Duration::from_millis(10), "{each:?}");
}

fn own_thread_time() -> Duration {
    // SAFETY: rusage consists of plain numbers; the pointer outlives the call.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
        Duration::from_micros(micros(usage.ru_utime) + micros(usage.ru_stime))
    }
}

#[test]
fn own_memory_agrees_with_the_system() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = numbers(status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap()).next().unwrap() * 1024;
    near(own_memory_bytes().unwrap() as f64, resident as f64, 32e6);
}
