//! `zonepulse-probe tally` over the corpus' large capture: messages per CPU second.

use std::fs::File;
use std::io;
use std::process::{Command, Stdio};
use zonepulse_tests::{needs, process::program_command};

const ROUNDS: usize = 5;
const MESSAGES: u64 = 1_380_000;

/// Best of five: anything above the best is somebody else's doing.
pub fn run() {
    let capture = match needs::corpus() {
        Ok(corpus) => corpus.queries_5533(),
        Err(reason) => return println!("tally: left out: {reason}"),
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let plain = folder.path().join("queries-5533.pcap");
    let target = File::create(&plain).expect("a bench's folder is writable");
    let status = Command::new("zstd").arg("-dcq").arg(&capture).stdout(target).status().expect("zstd runs");
    assert!(status.success(), "zstd ends with {status}");
    let (mut best_s, mut resident_kib) = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let mut command = program_command("zonepulse-probe");
        command.args(["tally", "--port", "5533"]).arg(&plain).stdout(Stdio::null()).stderr(Stdio::null());
        let (cpu_s, kib) = measure(&mut command).expect("tally runs");
        best_s = best_s.min(cpu_s);
        resident_kib = kib;
    }
    println!("tally: {MESSAGES} messages, queries-5533.pcap, best of {ROUNDS}");
    println!("  CPU seconds                  {best_s:>12.3}");
    println!("  CPU seconds per M messages   {:>12.3}", best_s * 1e6 / MESSAGES as f64);
    println!("  messages per CPU second      {:>12.0}", MESSAGES as f64 / best_s);
    println!("  resident, MiB                {:>12.1}   (the mapped file's pages included)", f64::from(resident_kib) / 1024.0);
}

/// Runs a command to its end: CPU seconds, user and system, and its largest resident set in KiB.
fn measure(command: &mut Command) -> io::Result<(f64, u32)> {
    let child = command.spawn()?;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both pointers are to live values of the right types; the child is waited for only here.
    let pid = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok((seconds(usage.ru_utime) + seconds(usage.ru_stime), u32::try_from(usage.ru_maxrss).unwrap_or(u32::MAX)))
}
