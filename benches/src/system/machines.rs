//! Made-up system metrics: fifty series, every five seconds.
//!
//! Each value changes as its kind would: cores in clock ticks around a load that follows the time
//! of day, memory and disks in pages, rates as noise around what the load requires, totals not at
//! all. Generated from a seed, so that every run and every engine gets the same.

/// Sampling interval, seconds.
pub const INTERVAL_S: u64 = 5;
const CORES: usize = 4;
const TICKS: f64 = 100.0 * INTERVAL_S as f64;
const PAGE: f64 = 4096.0;
const MEMORY_PAGES: f64 = 4.0 * 1024.0 * 1024.0;
const DISK_PAGES: [f64; 2] = [24.0 * 1024.0 * 1024.0, 122.0 * 1024.0 * 1024.0];

/// The state of one machine during the day.
pub struct Machine {
    random: Random,
    phase: f64,
    base: f64,
    drift: f64,
    loads: [f64; 3],
    memory_pages: f64,
    disk_pages: [f64; 2],
    established: f64,
    processes: f64,
    probe_pages: f64,
    uptime_s: f64,
}

impl Machine {
    /// The machine with this number.
    pub fn new(number: u32) -> Self {
        let mut random = Random(u64::from(number).wrapping_mul(0x5851_f42d_4c95_7f2d));
        Machine {
            phase: random.uniform() * 3600.0,
            base: 0.05 + random.uniform() * 0.25,
            drift: 0.0,
            loads: [0.3; 3],
            memory_pages: MEMORY_PAGES * (0.3 + random.uniform() * 0.3),
            disk_pages: [DISK_PAGES[0] * 0.4, DISK_PAGES[1] * 0.7],
            established: 20.0 + random.uniform() * 60.0,
            processes: 120.0 + (random.uniform() * 60.0).floor(),
            probe_pages: 3000.0,
            uptime_s: (random.uniform() * 1e7).floor(),
            random,
        }
    }

    /// Its values in the next slot, in the order of [`series`].
    pub fn measure(&mut self, time_s: u64) -> Vec<f64> {
        let day = ((time_s as f64 + self.phase) / 86_400.0 * std::f64::consts::TAU).sin();
        self.drift = 0.98 * self.drift + 0.01 * self.random.normal();
        let load = (self.base * (1.0 + 0.6 * day) + self.drift).clamp(0.01, 0.95);
        let mut values = Vec::with_capacity(50);
        self.cores(load, &mut values);
        for (at, minutes) in [1.0, 5.0, 15.0].into_iter().enumerate() {
            let decay = (-(INTERVAL_S as f64) / (60.0 * minutes)).exp();
            let running = (load * CORES as f64 + 0.5 * self.random.normal()).max(0.0).round();
            self.loads[at] = self.loads[at] * decay + running * (1.0 - decay);
            values.push((self.loads[at] * 100.0).round() / 100.0);
        }
        self.memory(&mut values);
        self.disks(load, &mut values);
        self.network(load, &mut values);
        self.rest(&mut values);
        values
    }

    fn cores(&mut self, load: f64, values: &mut Vec<f64>) {
        let mut of_core = [[0.0f64; 4]; CORES];
        for core in &mut of_core {
            let spread = (load * (1.0 - load) * TICKS).sqrt() * 2.0;
            let user = (load * TICKS * 0.7 + spread * self.random.normal()).clamp(0.0, TICKS * 0.9).round();
            let system = (load * TICKS * 0.2 + 0.4 * spread * self.random.normal()).clamp(0.0, TICKS * 0.1).round();
            let waits = if self.random.uniform() < 0.05 { (self.random.uniform() * 20.0).floor() } else { 0.0 };
            *core = [user + system, user, system, waits];
        }
        for kind in 0..4 {
            let percent = |ticks: f64, of: f64| (ticks / of * 1000.0).round() / 10.0;
            values.extend(of_core.iter().map(|core| percent(core[kind], TICKS)));
            values.push(percent(of_core.iter().map(|core| core[kind]).sum(), TICKS * CORES as f64));
        }
    }

    fn memory(&mut self, values: &mut Vec<f64>) {
        let moved = 150.0 * self.random.normal() + if self.random.uniform() < 0.01 { 4000.0 * self.random.normal() } else { 0.0 };
        self.memory_pages = (self.memory_pages + moved).round().clamp(MEMORY_PAGES * 0.1, MEMORY_PAGES * 0.9);
        values.extend([MEMORY_PAGES, self.memory_pages, MEMORY_PAGES - self.memory_pages].map(|pages| pages * PAGE));
        values.extend([2e9_f64.round(), 0.0]);
    }

    fn disks(&mut self, load: f64, values: &mut Vec<f64>) {
        let mut written = [0.0; 2];
        for (at, written) in written.iter_mut().enumerate() {
            *written = (load * 60.0 * (1.0 + 0.5 * self.random.normal())).max(0.0).round() * (1.0 - at as f64);
            self.disk_pages[at] += (*written * 0.1).floor();
        }
        for (pages, all) in self.disk_pages.into_iter().zip(DISK_PAGES) {
            values.extend([all, pages, all - pages].map(|pages| pages * PAGE));
        }
        let read = if self.random.uniform() < 0.1 { (self.random.uniform() * 200.0).floor() } else { 0.0 };
        let rate = |pages: f64| (pages * PAGE / INTERVAL_S as f64).round();
        values.extend([rate(read), rate(written[0]), 0.0]);
    }

    fn network(&mut self, load: f64, values: &mut Vec<f64>) {
        let received = (load * 2e6 * (1.0 + 0.08 * self.random.normal())).max(0.0).round();
        let sent = (received * 1.7 * (1.0 + 0.02 * self.random.normal())).max(0.0).round();
        let local = if self.random.uniform() < 0.5 { 0.0 } else { (2000.0 * self.random.uniform()).round() };
        values.extend([received, sent, local, local]);
    }

    fn rest(&mut self, values: &mut Vec<f64>) {
        self.established = (self.established + 1.5 * self.random.normal()).clamp(5.0, 200.0);
        let waiting = (30.0 + 6.0 * self.random.normal()).max(0.0).round();
        values.extend([0.0, self.established.round(), 12.0, waiting, 8.0]);
        if self.random.uniform() < 0.2 {
            self.processes += (self.random.uniform() * 5.0).floor() - 2.0;
        }
        if self.random.uniform() < 0.01 {
            self.probe_pages += (self.random.uniform() * 20.0).floor() - 10.0;
        }
        self.uptime_s += INTERVAL_S as f64;
        let probe = if self.random.uniform() < 0.3 { 0.2 } else { 0.0 };
        values.extend([self.processes, self.uptime_s, probe, self.probe_pages * PAGE]);
    }
}

/// Metrics and labels of the values of [`Machine::measure`].
pub fn series() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |metric: &str, labels: &[&str]| {
        all.extend(labels.iter().map(|label| (metric.to_owned(), (*label).to_owned())));
    };
    for metric in ["cpu_percent", "cpu_user_percent", "cpu_system_percent", "cpu_iowait_percent"] {
        add(metric, &["0", "1", "2", "3", "total"]);
    }
    for metric in ["load_1m", "load_5m", "load_15m"] {
        add(metric, &[""]);
    }
    for metric in ["memory_total_bytes", "memory_used_bytes", "memory_available_bytes", "swap_total_bytes", "swap_used_bytes"] {
        add(metric, &[""]);
    }
    for mount in ["/", "/var"] {
        for metric in ["disk_total_bytes", "disk_used_bytes", "disk_free_bytes"] {
            add(metric, &[mount]);
        }
    }
    add("disk_read_bytes_per_s", &["sda"]);
    add("disk_written_bytes_per_s", &["sda", "sdb"]);
    for device in ["eth0", "lo"] {
        add("network_received_bytes_per_s", &[device]);
        add("network_sent_bytes_per_s", &[device]);
    }
    add("tcp_connections", &["close_wait", "established", "listen", "time_wait"]);
    for metric in ["udp_sockets", "processes", "uptime_s", "probe_cpu_percent", "probe_memory_bytes"] {
        add(metric, &[""]);
    }
    all
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An approximately normal distribution with mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
