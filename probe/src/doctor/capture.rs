//! Whether the probe can capture: the privilege, and the device.

use super::configuration::Known;
use super::process::Running;
use super::subject::Subject;
use crate::capture::addresses::{Device, devices};
use crate::capture::live::may_capture;
use crate::config::{Capture, ServerAddresses};
use caps::{CapSet, Capability};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zonepulse_doctor::Check;

const RIGHTS: Subject = Subject::CaptureRights;
const DEVICE: Subject = Subject::CaptureDevice;
/// The pseudo-device that stands for all devices.
const ANY: &str = "any";
/// CAP_NET_RAW (capabilities(7)).
const NET_RAW: u64 = 1 << 13;
/// Maximum number of devices reported.
const MAX_TOLD: usize = 8;

const OFF: &str = "capture.enabled is false";

/// Who has the right to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// The running probe, or not.
    OfProbe(Running, bool),
    /// This process, which runs as the probe's user as far as is known, or not.
    OfThis { user: u32, is_probe_s: bool, may: bool },
}

pub(super) fn check(known: &Known, running: Option<Running>) -> Vec<Check> {
    let config = &known.config;
    if !config.capture.enabled {
        return [RIGHTS, DEVICE].map(|subject| Check::skipped(subject, OFF)).into();
    }
    let program = std::env::current_exe().map_or_else(|_| "zonepulse-probe".to_owned(), |path| path.display().to_string());
    let rights = judge_rights(rights(&config.spool.dir, running), &program);
    let device = match devices() {
        Ok(devices) => judge_device(&devices, &config.capture),
        Err(error) => Check::skipped(DEVICE, error.to_string()),
    };
    vec![rights, device]
}

fn rights(spool: &Path, running: Option<Running>) -> Rights {
    if let Some(running) = running
        && let Some(has) = has_right(running.id)
    {
        return Rights::OfProbe(running, has);
    }
    let user = own_user();
    // The spool belongs to the user that the probe runs as, once it has run.
    let is_probe_s = fs::metadata(spool).map_or(true, |metadata| metadata.uid() == user);
    let may = may_capture() || caps::has_cap(None, CapSet::Permitted, Capability::CAP_NET_RAW).unwrap_or(false);
    Rights::OfThis { user, is_probe_s, may }
}

/// The user that this program runs as.
pub(super) fn own_user() -> u32 {
    // SAFETY: a system call without arguments that cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether a thread of a process may capture; none if that is not visible. Only the capture thread
/// keeps the right.
fn has_right(process: u32) -> Option<bool> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let statuses = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    Some(statuses.filter_map(|status| permitted(&status)).any(|set| set & NET_RAW != 0))
}

/// The permitted capabilities in a process's status (proc_pid_status(5)).
fn permitted(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapPrm:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

fn judge_rights(rights: Rights, program: &str) -> Check {
    let grant = format!(
        "as root: setcap cap_net_raw+ep {program} (or AmbientCapabilities=CAP_NET_RAW in the probe's systemd unit), then restart \
         the probe"
    );
    match rights {
        Rights::OfProbe(Running { id, user }, true) => {
            Check::ok(RIGHTS, format!("the running probe (process {id}, user {user}) has CAP_NET_RAW"))
        }
        Rights::OfProbe(Running { id, user }, false) => {
            Check::error(RIGHTS, format!("the running probe (process {id}, user {user}) lacks CAP_NET_RAW"), grant)
        }
        Rights::OfThis { user, is_probe_s: true, may: true } => {
            let who = if user == 0 { "root".to_owned() } else { format!("user {user}") };
            Check::ok(RIGHTS, format!("{who} may capture with this program"))
        }
        Rights::OfThis { user, is_probe_s: true, .. } => {
            Check::error(RIGHTS, format!("user {user} may not capture with this program: it lacks CAP_NET_RAW"), grant)
        }
        Rights::OfThis { user, .. } => Check::skipped(
            RIGHTS,
            format!(
                "the probe is not running, and the spool belongs to another user than {user}, who runs this check: repeat it as that user"
            ),
        ),
    }
}

fn judge_device(devices: &[Device], capture: &Capture) -> Check {
    let name = capture.device.as_str();
    let check = if name == ANY { judge_any(devices) } else { judge_one(devices, name, capture) };
    check.with("device", name)
}

fn judge_any(devices: &[Device]) -> Check {
    let up: Vec<&Device> = devices.iter().filter(|device| device.is_up && !device.addresses.is_empty()).collect();
    if up.is_empty() {
        let found = format!("no device is up and has an address: {}", names(devices.iter()));
        return Check::error(DEVICE, found, "switch one on: ip link set DEVICE up".to_owned());
    }
    Check::ok(DEVICE, format!("all devices; those that are up: {}", names(up.into_iter())))
}

fn judge_one(devices: &[Device], name: &str, capture: &Capture) -> Check {
    let Some(device) = devices.iter().find(|device| device.name == name) else {
        let found = format!("this machine has no device {name}, only {}", names(devices.iter()));
        return Check::error(DEVICE, found, "set capture.device to one of these, or to \"any\"".to_owned());
    };
    if !device.is_up {
        return Check::error(DEVICE, format!("the device {name} is down"), format!("switch it on: ip link set {name} up"));
    }
    if !device.is_running {
        return Check::warning(
            DEVICE,
            format!("the device {name} is up but has no link"),
            format!("check its cable or peer: ip -s link show {name}"),
        );
    }
    // A server elsewhere, whose traffic is mirrored here, has no address on the device.
    if device.addresses.is_empty() && capture.addresses == ServerAddresses::Local {
        let found = format!("the device {name} is up but has no address");
        return Check::warning(
            DEVICE,
            found,
            format!("give it an address, or set capture.device to the one with the server's address: ip address show {name}"),
        );
    }
    Check::ok(DEVICE, format!("{} is up", described(device)))
}

fn names<'a>(devices: impl Iterator<Item = &'a Device>) -> String {
    let mut names: Vec<String> = devices.map(described).collect();
    let more = names.len() > MAX_TOLD;
    names.truncate(MAX_TOLD);
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ") + if more { " and others" } else { "" }
}

/// `eth0 (192.0.2.53, 2001:db8::53)`
fn described(device: &Device) -> String {
    let addresses: Vec<String> = device.addresses.iter().take(MAX_TOLD).map(IpAddr::to_string).collect();
    if addresses.is_empty() { device.name.clone() } else { format!("{} ({})", device.name, addresses.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zonepulse_doctor::Status;

    fn device(name: &str, is_up: bool, addresses: &[&str]) -> Device {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Device { name: name.into(), is_up, is_running: is_up, addresses }
    }

    fn judged(devices: &[Device], name: &str) -> Check {
        judge_device(devices, &Capture { device: name.into(), ..Capture::default() })
    }

    #[test]
    fn a_device_must_exist_be_up_and_have_an_address() {
        let devices = [
            device("lo", true, &["127.0.0.1", "::1"]),
            device("eth0", false, &["192.0.2.53"]),
            device("eth1", true, &[]),
            Device { is_running: false, ..device("eth2", true, &["192.0.2.54"]) },
        ];
        let good = judged(&devices, "lo");
        assert_eq!((good.status, good.found.as_str()), (Status::Ok, "lo (127.0.0.1, ::1) is up"));
        for (name, status, advice) in [
            ("eth0", Status::Error, "ip link set eth0 up"),
            ("eth1", Status::Warning, "ip address show eth1"),
            ("eth2", Status::Warning, "ip -s link show eth2"),
            ("eth9", Status::Error, "set capture.device to one of these"),
        ] {
            let check = judged(&devices, name);
            assert!(check.status == status && check.advice.as_deref().unwrap().contains(advice), "{check:?}");
        }
        assert!(judged(&devices, "eth9").found.contains("only lo (127.0.0.1, ::1), eth0"));
    }

    #[test]
    fn a_mirror_port_needs_no_address() {
        let capture = Capture { device: "eth1".into(), addresses: ServerAddresses::Any, ..Capture::default() };
        assert_eq!(judge_device(&[device("eth1", true, &[])], &capture).status, Status::Ok);
    }

    #[test]
    fn all_devices_need_one_that_works() {
        assert_eq!(judged(&[device("lo", true, &["127.0.0.1"]), device("eth0", false, &[])], "any").status, Status::Ok);
        assert_eq!(judged(&[device("lo", false, &[])], "any").status, Status::Error);
        assert_eq!(judged(&[], "any").status, Status::Error);
    }

    #[test]
    fn the_right_is_the_probes_if_it_runs() {
        let running = Running { id: 12, user: 998 };
        let judged = |rights| judge_rights(rights, "/usr/bin/zonepulse-probe");
        let of = |is_probe_s, may| Rights::OfThis { user: 1000, is_probe_s, may };
        for (rights, status) in [
            (Rights::OfProbe(running, true), Status::Ok),
            (Rights::OfProbe(running, false), Status::Error),
            (of(true, true), Status::Ok),
            (of(true, false), Status::Error),
            (of(false, false), Status::Skipped),
            (of(false, true), Status::Skipped),
        ] {
            assert_eq!(judged(rights).status, status, "{rights:?}");
        }
        assert!(judged(of(true, false)).advice.unwrap().contains("setcap cap_net_raw+ep /usr/bin/zonepulse-probe"));
    }

    #[test]
    fn permitted_capabilities_are_read() {
        assert_eq!(permitted("Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t0000000000002000\n"), Some(NET_RAW));
        assert_eq!(permitted("Name:\tx\n"), None);
    }
}
