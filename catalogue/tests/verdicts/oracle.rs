//! Running `verdicts_oracle.py`.

use super::world::World;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// A Python with dnspython: the one that `scripts/test.sh` sets, or that of the system.
pub fn python() -> Result<OsString, String> {
    let set = std::env::var_os("ZONEPULSE_TESTS_PYTHON");
    let has_dnspython = |python: &OsString| {
        let status = Command::new(python).args(["-c", "import dns.zone"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = set.into_iter().chain([OsString::from("python3")]).find(has_dnspython);
    found.ok_or_else(|| "there is no Python with dnspython: scripts/test.sh installs it".to_owned())
}

/// The rows by view, zone, owner and type.
pub fn run(python: &OsString, world: &World, folder: &Path) -> BTreeMap<String, String> {
    world.write(folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verdicts_oracle.py");
    let output = Command::new(python).arg(script).arg(folder).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "verdicts_oracle.py failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let split = |line: &str| {
        let at = line.match_indices('\t').nth(3).map(|(at, _)| at).unwrap();
        (line[..at].to_owned(), line[at + 1..].to_owned())
    };
    text.lines().map(split).collect()
}
