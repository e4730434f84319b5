//! What this machine is like: its kernel, memory, limits and interfaces. No addresses, and nothing about peers.

use std::fmt::Write;
use std::fs;

/// Files of the kernel that are short and say something about the machine or this process.
const FILES: [&str; 4] = ["/proc/version", "/proc/uptime", "/proc/loadavg", "/proc/self/limits"];
/// Lines of `/proc/meminfo` and `/proc/self/status` that matter.
const MEMORY: [&str; 5] = ["MemTotal:", "MemAvailable:", "SwapTotal:", "SwapFree:", "Committed_AS:"];
const PROCESS: [&str; 6] = ["VmHWM:", "VmRSS:", "Threads:", "CapEff:", "Seccomp:", "FDSize:"];
const OF_INTERFACES: [&str; 4] = ["operstate", "mtu", "speed", "tx_queue_len"];

/// The machine as a text.
pub fn facts() -> String {
    let mut text = String::new();
    for file in FILES {
        add(&mut text, file, &read(file));
    }
    let lines = |file: &str, names: &[&str]| -> String {
        let all = read(file);
        let wanted = all.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        wanted.map(|line| format!("{line}\n")).collect()
    };
    add(&mut text, "/proc/meminfo", &lines("/proc/meminfo", &MEMORY));
    add(&mut text, "/proc/self/status", &lines("/proc/self/status", &PROCESS));
    if let Some(limit_bytes) = memory_limit_bytes("self") {
        add(&mut text, "memory limit of the control group, bytes", &limit_bytes.to_string());
    }
    add(&mut text, "/proc/self/net/dev", &read("/proc/self/net/dev"));
    let mut interfaces: Vec<_> =
        fs::read_dir("/sys/class/net").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    interfaces.sort();
    let interfaces: String = interfaces
        .iter()
        .map(|path| {
            let value = |name: &&str| Some(format!("{name} {}", fs::read_to_string(path.join(name)).ok()?.trim()));
            let values: Vec<String> = OF_INTERFACES.iter().filter_map(value).collect();
            format!("{}: {}\n", path.file_name().unwrap_or_default().display(), values.join(", "))
        })
        .collect();
    add(&mut text, "/sys/class/net", &interfaces);
    text
}

/// How much memory the control group of a process, or of `self`, may use (cgroup v2); none if it is unlimited or unknown.
pub fn memory_limit_bytes(process: &str) -> Option<u64> {
    let own = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folders = std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(above, _)| above));
    // Every group above limits it, too.
    let limits =
        folders.filter_map(|path| fs::read_to_string(format!("/sys/fs/cgroup/{path}/memory.max")).ok()?.trim().parse().ok());
    limits.min()
}

/// All memory of the machine, bytes.
pub fn memory_bytes() -> Option<u64> {
    let all = read("/proc/meminfo");
    let line = all.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| format!("({error})\n"))
}

fn add(text: &mut String, title: &str, contents: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "== {title}\n{}\n", contents.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let facts = facts();
        for part in ["Linux version", "MemTotal:", "Max open files", "lo:"] {
            assert!(facts.contains(part), "{part}: {facts}");
        }
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
