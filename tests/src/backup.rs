//! A destination for backups, and a key.

use super::process::{Output, program_command, run, succeed};
use super::{Central, eventually};
use crate::api::{Api, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(120);

/// A directory for backups, and a key to which they are encrypted.
pub struct Vault {
    folder: TempDir,
    /// The public key.
    pub recipient: String,
}

impl Vault {
    /// Makes both.
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-vault").tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("backups")).expect("a test's folder is writable");
        let recipient = keygen(&folder.path().join("key.txt"));
        Vault { folder, recipient }
    }

    /// The directory.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    /// A folder beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The private key.
    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("key.txt")
    }

    /// The configuration of a central that backs up here on request; `more` is added to the table.
    pub fn configuration(&self, more: &str) -> String {
        self.configuration_to(self.path().to_str().expect("a temporary path is text"), more)
    }

    /// The same to another destination.
    pub fn configuration_to(&self, destination: &str, more: &str) -> String {
        format!(
            "[backup]\ndestination = {destination:?}\nrecipients = [\"{}\"]\nevery_s = 0\nkeep_last = 1000\nmin_free_bytes = 0\n{more}\n",
            self.recipient
        )
    }

    /// Runs `zonepulse restore` from a destination.
    pub fn restore(&self, from: &str, identity: &Path, data: &Path, more: &[&str]) -> Output {
        let mut command = program_command("zonepulse");
        command.args(["restore", "--from", from, "--identity"]).arg(identity).arg("--data").arg(data).args(more);
        run(&mut command, WITHIN)
    }

    /// Restores a backup from the directory into a new data directory, which must succeed; returns the directory.
    pub fn restored(&self, id: &str) -> PathBuf {
        let data = self.beside(&format!("restored-{id}"));
        let from = self.path();
        let output = self.restore(from.to_str().expect("text"), &self.identity(), &data, &["--backup", id]);
        assert_eq!(output.code, Some(0), "{}{}", output.out, output.err);
        data
    }

    /// Runs `zonepulse backup verify` on a backup in the directory.
    pub fn verify(&self, id: &str, more: &[&str]) -> Output {
        let mut command = program_command("zonepulse");
        command.args(["backup", "verify", "--from"]).arg(self.path()).args(["--backup", id]).args(more);
        run(&mut command, WITHIN)
    }
}

/// Makes a key; returns the public one.
pub fn keygen(path: &Path) -> String {
    let text = succeed(program_command("zonepulse").args(["backup", "keygen", "--output"]).arg(path), Duration::from_secs(20));
    text.trim().to_owned()
}

/// Starts a backup; returns its name.
pub fn start(api: &Api) -> String {
    let url = api.url("/api/v2/backups", &[]);
    let response = api.send("POST".parse().expect("a method"), url, &[], Vec::new()).expect("the central answers");
    assert_eq!(response.status, 202, "{}", response.text());
    response.json()["backup_id"].as_str().expect("a name").to_owned()
}

/// A backup as the central lists it.
pub fn read(api: &Api, id: &str) -> Value {
    let response = api.get(&format!("/api/v2/backups/{id}"), &[], "application/json");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

/// Waits for the end of a backup.
pub fn ended(api: &Api, id: &str) -> Value {
    eventually("the backup has ended", WITHIN, || Some(read(api, id)).filter(|row| row["state"] != "running"))
}

/// Makes a backup, which must succeed.
pub fn made(central: &Central) -> Value {
    let api = central.api();
    let id = start(&api);
    let row = ended(&api, &id);
    assert_eq!(row["state"], "complete", "{row}");
    assert_eq!(row["verified"], true, "{row}");
    row
}

/// The names of all backups that are complete, newest first.
pub fn complete(api: &Api) -> Vec<String> {
    let rows = api.get("/api/v2/backups", &[("limit", "1000")], "application/json").json();
    let rows = rows.as_array().expect("a list").iter().filter(|row| row["state"] == "complete");
    rows.map(|row| text(row.as_object().expect("a row"), "backup_id").to_owned()).collect()
}
