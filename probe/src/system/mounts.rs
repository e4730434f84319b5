//! The machine's file systems, as listed by `df` (`/proc/self/mountinfo`, proc(5)).
//!
//! Each is reported once, by its shortest mount point, however often it is mounted. Not reported
//! are those without a size (`/proc`), those in memory, which is reported separately (tmpfs),
//! images (loop devices, squashfs, optical disks), container layers (overlay, except as the root of
//! a container that the probe runs in), and those of other machines (NFS, CIFS, FUSE …): they are
//! not this machine's disks, and statvfs on one that is gone hangs forever.

use super::MAX_DEVICES;
use crate::room::Room;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A file system and its usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) path: String,
    pub(super) total_bytes: u64,
    pub(super) used_bytes: u64,
    pub(super) free_bytes: u64,
}

pub(super) fn read() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let measured = mount_points(&text).into_iter().filter_map(|path| {
        let Room { total_bytes, used_bytes, free_bytes } = Room::of(Path::new(&path)).ok()?;
        // A file system hidden by another mount cannot be queried; the values would be the other's.
        (total_bytes > 0).then_some(Mount { path, total_bytes, used_bytes, free_bytes })
    });
    measured.take(MAX_DEVICES).collect()
}

/// The shortest mount point of each reported file system.
fn mount_points(text: &str) -> Vec<String> {
    let mut by_device: BTreeMap<&str, String> = BTreeMap::new();
    for line in text.lines() {
        let Some((device, path)) = parse(line) else { continue };
        let shortest = by_device.entry(device).or_insert_with(|| path.clone());
        if path.len() < shortest.len() {
            *shortest = path;
        }
    }
    let mut paths: Vec<_> = by_device.into_values().collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// Device number and mount point of a reported mount.
fn parse(line: &str) -> Option<(&str, String)> {
    // id parent major:minor root mount-point options [fields …] - type source options
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (device, path) = (mount.next()?, unescape(mount.nth(1)?));
    let mut system = system.split(' ');
    let (kind, source) = (system.next()?, system.next()?);
    let is_disk = source.starts_with("/dev/") && !source.starts_with("/dev/loop") && !source.starts_with("/dev/fuse");
    let counts = match kind {
        "squashfs" | "iso9660" | "udf" | "erofs" | "devtmpfs" => false,
        "zfs" => true,
        "overlay" => path == "/",
        kind => is_disk && !kind.starts_with("fuse."),
    };
    (counts && path.len() <= zonepulse_wire::MAX_LABEL_BYTES).then_some((device, path))
}

/// Space, tab, newline and backslash are escaped as octal numbers.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_of_this_machine_is_reported_once() {
        let text = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /run rw - tmpfs tmpfs rw
25 22 254:1 /srv /var/srv rw - ext4 /dev/vda1 rw
26 22 254:17 / /var/lib/my\\040data rw shared:3 master:2 - xfs /dev/mapper/vg-data rw
27 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro
28 22 7:1 / /mnt/image ro - ext4 /dev/loop1 ro
29 22 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
30 22 0:51 / /home rw - nfs4 filer:/home rw
31 22 0:52 / /mnt/ssh rw - fuse.sshfs me@there: rw
32 22 0:53 / /tank rw - zfs tank rw
33 22 8:1 / /mnt/usb rw - fuseblk /dev/sdb1 rw
";
        assert_eq!(mount_points(text), ["/", "/mnt/usb", "/tank", "/var/lib/my data"]);
    }

    #[test]
    fn in_a_container_the_root_is_its_layer() {
        assert_eq!(mount_points("1 0 0:44 / / rw - overlay overlay rw\n2 1 0:45 / /x rw - overlay overlay rw\n"), ["/"]);
    }
}
