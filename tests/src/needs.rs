//! What tests need besides the two programs, and the reason given when this machine lacks it.

use super::rabbitmq::{Release, root_of_four};
use libtest_mimic::{Completion, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zonepulse_fixtures::Corpus;

/// A test that always runs.
pub fn test(name: &str, body: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

/// A test with a requirement; ignored, with the reason, if this machine lacks it.
pub fn test_with<T>(
    name: &str,
    need: impl FnOnce() -> Result<T, String> + Send + 'static,
    body: impl FnOnce(T) + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match need() {
        Ok(given) => {
            body(given);
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

/// The large captures: in `ZONEPULSE_CORPUS`, or in a directory `shared` next to the repository.
pub fn corpus() -> Result<Corpus, String> {
    let folder =
        std::env::var_os("ZONEPULSE_CORPUS").map_or_else(|| zonepulse_fixtures::project().join("../shared"), PathBuf::from);
    Corpus::at(&folder).ok_or_else(|| format!("no corpus in {}: set ZONEPULSE_CORPUS", folder.display()))
}

/// Exclusive use of the machine for a measurement: two tests would share two cores.
pub fn alone() -> Result<MutexGuard<'static, ()>, String> {
    static ONE: Mutex<()> = Mutex::new(());
    Ok(ONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A server for SSH.
pub fn sshd() -> Result<(), String> {
    let is_there = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen"].iter().all(|path| Path::new(path).exists());
    if is_there { Ok(()) } else { Err("there is no sshd: install openssh-server".to_owned()) }
}

/// A server for S3: `s3s-fs`.
pub fn s3() -> Result<PathBuf, String> {
    let named = std::env::var_os("ZONEPULSE_TESTS_S3S_FS").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from("/usr/local/bin/s3s-fs"));
    let how = "cargo install s3s-fs --features binary, or set ZONEPULSE_TESTS_S3S_FS";
    if path.exists() { Ok(path) } else { Err(format!("there is no server for S3: {how}")) }
}

/// The program `age`.
pub fn age() -> Result<PathBuf, String> {
    let named = std::env::var_os("ZONEPULSE_TESTS_AGE").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from("/usr/bin/age"));
    if path.exists() { Ok(path) } else { Err("there is no age: install it, or set ZONEPULSE_TESTS_AGE".to_owned()) }
}

/// Permission to capture on the loopback interface, exclusively: two measurements would affect each
/// other.
pub fn capture_rights() -> Result<MutexGuard<'static, ()>, String> {
    if has_net_raw() { alone() } else { Err("capturing needs root or CAP_NET_RAW".to_owned()) }
}

/// The same, and permission to create network namespaces and devices, and to change owners of
/// files.
pub fn root() -> Result<MutexGuard<'static, ()>, String> {
    // SAFETY: geteuid touches no memory.
    if unsafe { libc::geteuid() } != 0 || !std::path::Path::new("/usr/sbin/ip").exists() {
        return Err("network namespaces need root, and ip of iproute2".to_owned());
    }
    capture_rights()
}

/// Knot's dnstap module, which is a separate Debian package.
pub fn knot_dnstap() -> Result<(), String> {
    let status = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", "knot-module-dnstap"]).output();
    let is_there = status.is_ok_and(|output| output.stdout == b"installed");
    if is_there { Ok(()) } else { Err("Knot has no dnstap: install knot-module-dnstap".to_owned()) }
}

/// A RabbitMQ of this release.
pub fn rabbitmq(release: Release) -> Result<(), String> {
    // SAFETY: geteuid touches no memory.
    let is_root = unsafe { libc::geteuid() } == 0;
    let is_there = || root_of_four().join("usr/lib/rabbitmq/bin/rabbitmq-server").exists();
    match release {
        Release::Installed => Ok(()),
        Release::Four if !is_root => Err("RabbitMQ 4 is in the root of another Debian: that needs root".to_owned()),
        Release::Four if !is_there() => Err("there is no RabbitMQ 4: scripts/rabbitmq-4.sh makes it".to_owned()),
        Release::Four => Ok(()),
    }
}

/// A DHCP server.
pub fn kea() -> Result<(), String> {
    if Path::new("/usr/sbin/kea-dhcp4").exists() { Ok(()) } else { Err("there is no Kea: install kea-dhcp4-server".to_owned()) }
}

/// The same for IPv6.
pub fn kea6() -> Result<(), String> {
    if Path::new("/usr/sbin/kea-dhcp6").exists() { Ok(()) } else { Err("there is no Kea: install kea-dhcp6-server".to_owned()) }
}

/// A DHCP server, and a network of its own.
pub fn kea_and_root() -> Result<MutexGuard<'static, ()>, String> {
    kea().and_then(|()| root())
}

/// A browser, and what drives it.
pub fn browser() -> Result<(), String> {
    if Path::new(super::browser::PROGRAM).exists() {
        return node();
    }
    Err("there is no browser: install chromium".to_owned())
}

/// Node, and the packages of the page.
pub fn node() -> Result<(), String> {
    /// As playwright-core needs it.
    const OLDEST: u32 = 20;
    let version = Command::new("node").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let major = String::from_utf8_lossy(&version).trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST) {
        return Err(format!("there is no Node {OLDEST} or later: install nodejs"));
    }
    let packages = super::browser::sources().join("node_modules");
    let is_there = |package: &&str| packages.join(package).join("package.json").exists();
    if ["axe-core", "esbuild", "playwright-core"].iter().all(is_there) {
        return Ok(());
    }
    Err("the page's tests lack their packages: run npm ci in web".to_owned())
}

/// The same, and permission to mount file systems.
pub fn browser_and_mount_rights() -> Result<MutexGuard<'static, ()>, String> {
    browser().and_then(|()| capture_and_mount_rights())
}

/// DuckDB, as a module for the Python that `scripts/test.sh` sets.
pub fn duckdb() -> Result<PathBuf, String> {
    let missing = || "there is no DuckDB: scripts/test.sh installs it".to_owned();
    let python = std::env::var_os("ZONEPULSE_TESTS_PYTHON").map(PathBuf::from).ok_or_else(missing)?;
    let status = Command::new(&python).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) { Ok(python) } else { Err(missing()) }
}

/// Permission to capture, and to mount file systems, including loop devices, in a private mount
/// namespace.
pub fn capture_and_mount_rights() -> Result<MutexGuard<'static, ()>, String> {
    let may_mount = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !may_mount.is_ok_and(|status| status.success()) || !Path::new("/dev/loop-control").exists() {
        return Err("mounting a file system needs root and loop devices".to_owned());
    }
    capture_rights()
}

/// Whether this process may open packet sockets (capabilities(7), bit 13 of the effective set).
fn has_net_raw() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default();
    bits & 1 << 13 != 0
}
