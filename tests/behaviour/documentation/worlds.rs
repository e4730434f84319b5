//! Where the commands of a page are run.
//!
//! | world | |
//! | --- | --- |
//! | `files` | an empty folder with the project's fixtures, and no central |
//! | `sample` | what `make run` starts first: a central with the servers `this machine` (1) and `sample` (2), the sample's traffic and its zone |
//! | `stopped` | the data directory of a central that is stopped, with the servers `ns1` and `ns2` and some counts |
//! | `old-store` | a data directory whose store has an earlier format |
//!
//! The blocks of a page that belong to the same world are run one after the other in one shell, as a reader would type them.
//! Addresses and directories of the documentation are replaced by those of the test; `sudo -u zonepulse` is left out, since
//! whoever runs the test owns the data.

use super::blocks::{Block, Expectation};
use reqwest::Method;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_fixtures::project;
use zonepulse_tests::api::Credentials;
use zonepulse_tests::batches::{REQUEST, batch, point, response, send};
use zonepulse_tests::process::{program, program_command, run, succeed, without_settings, write_private};
use zonepulse_tests::{Central, ports, unix_ms};

pub const WORLDS: [&str; 4] = ["files", "sample", "stopped", "old-store"];
const WITHIN: Duration = Duration::from_secs(180);

/// A place to type commands in.
pub struct World {
    folder: TempDir,
    /// Runs while the world is there, unless the world is of one that is stopped.
    _central: Option<Central>,
    data: PathBuf,
    address: String,
    password: String,
}

impl World {
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        symlink(project().join("fixtures"), folder.path().join("fixtures")).expect("a test's folder is writable");
        match name {
            "files" => World::without_central(folder),
            "old-store" => {
                let world = World::without_central(folder);
                old_store(&world.data);
                world
            }
            "sample" => World::of(sample(folder.path()), folder),
            "stopped" => World::of(stopped(), folder),
            _ => panic!("there is no world {name:?}: there are {WORLDS:?}"),
        }
    }

    fn without_central(folder: TempDir) -> Self {
        let (data, address) = (folder.path().join("data-directory"), format!("127.0.0.1:{}", ports::free()));
        World { folder, _central: None, data, address, password: String::new() }
    }

    fn of(central: Central, folder: TempDir) -> Self {
        let Credentials::User(_, password) = central.administrator() else { panic!("the administrator is a user") };
        let (data, address) = (central.data(), format!("127.0.0.1:{}", central.port()));
        World { folder, _central: Some(central), data, address, password }
    }

    /// Types blocks, and returns what is wrong with the first that does not do what its page says.
    pub fn run(&self, blocks: &[(&Block, &Expectation)]) -> Result<(), String> {
        let mut script = "trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n".to_owned();
        for (number, (block, expected)) in blocks.iter().enumerate() {
            self.step(&mut script, number, block, expected);
        }
        let mut shell = without_settings(Command::new("bash"));
        let programs = program("zonepulse").parent().expect("it is in a folder").to_owned();
        let path = std::env::var("PATH").expect("there is a path");
        let python = std::env::var("ZONEPULSE_TESTS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        shell.arg("-euc").arg(&script).current_dir(self.folder.path());
        shell.env("PATH", format!("{}:{path}", programs.display())).env("PASSWORD", &self.password).env("PYTHON", python);
        let ended = run(&mut shell, WITHIN);
        for (number, (block, expected)) in blocks.iter().enumerate() {
            let said = fs::read(self.folder.path().join(format!("output-{number}"))).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let told = |what: String| format!("{}: {what}\n{}\n{said}{}", block.place, block.typed(), ended.err);
            if !self.folder.path().join(format!("done-{number}")).exists() {
                return Err(told(format!("ends with {:?}", ended.code)));
            }
            if let Some(what) = block.differs(expected, &said) {
                return Err(told(what));
            }
        }
        Ok(())
    }

    fn step(&self, script: &mut String, number: usize, block: &Block, expected: &Expectation) {
        let typed = self.localized(&block.typed());
        let here = |name: &str| self.folder.path().join(format!("{name}-{number}"));
        let (output, done) = (here("output"), here("done"));
        let command = match &*block.language {
            "python" => {
                fs::write(here("python"), typed).expect("a test's folder is writable");
                format!("\"$PYTHON\" {}", here("python").display())
            }
            "sql" => {
                fs::write(here("statement"), typed).expect("a test's folder is writable");
                format!(
                    "curl -sS --fail-with-body -u \"admin:$PASSWORD\" http://{}/api/v2/sql -H 'Content-Type: application/sql' -H 'Accept: text/csv' --data-binary @{}",
                    self.address,
                    here("statement").display()
                )
            }
            _ => typed,
        };
        let exit = match expected.exit {
            0 => String::new(),
            code => format!(" || [ $? -eq {code} ]"),
        };
        // Braces, not parentheses: what a block defines is there for the next one.
        writeln!(script, "{{\n{command}\n}} > {} 2>&1{exit}\ntouch {}", output.display(), done.display())
            .expect("it is a string");
    }

    /// A text with the addresses and directories of this world.
    fn localized(&self, text: &str) -> String {
        let path = |path: &Path| path.to_str().expect("a path of a test is text").to_owned();
        // The default of `--url` is what the documentation assumes.
        let asks = |line: &str| ["zonepulse verdicts", "zonepulse zone"].iter().any(|command| line.contains(command));
        let with_url = |line: &str| match asks(line) && !line.contains("--url") {
            true => line.replace("--credentials ", &format!("--url http://{} --credentials ", self.address)),
            false => line.to_owned(),
        };
        let text = text.lines().map(with_url).collect::<Vec<_>>().join("\n");
        text.replace("sudo -u zonepulse ", "")
            .replace("127.0.0.1:8053", &self.address)
            .replace("/var/lib/zonepulse", &path(&self.data))
            .replace("/srv/zonepulse", &path(&self.folder.path().join("srv")))
    }
}

/// What `scripts/run.sh` does on the first start, without a probe of this machine.
fn sample(folder: &Path) -> Central {
    let central = Central::start_as_shipped(&["this machine"]);
    let body = json!({ "server": "sample", "sample": true, "credential": "token" });
    let made = central.api().send_json(Method::POST, "/api/v2/pvservers", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let config = folder.join("sample.toml");
    write_private(&config, made["probe_config"].as_str().expect("the configuration of its probe"));
    let mut replay = program_command("zonepulse-probe");
    replay.arg("replay").arg(project().join("fixtures/captures/sample.pcap.zst")).arg("--config").arg(&config);
    replay.arg("--set").arg(format!("spool.dir={}", folder.join("spool").display()));
    replay.args(["--set", "capture.addresses=any", "--end-now"]);
    replay.arg("--set").arg(format!("deliver.http.url={}", central.url()));
    succeed(&mut replay, WITHIN);
    let mut zone = program_command("zonepulse");
    zone.args(["zone", "add", "sample.example", "--server", "2", "--url", &central.url(), "--file"]);
    zone.arg(project().join("fixtures/zones/sample.example.zone"));
    succeed(zone.arg("--credentials").arg(central.data().join("admin-credentials")), WITHIN);
    central
}

fn stopped() -> Central {
    let mut central = Central::start(&["ns1", "ns2"]);
    let begin_s = (unix_ms() / 3_600_000 - 3) * 3600;
    for server in 0..2 {
        let api = central.api_of_server(server);
        for minute in 0..60 {
            let points = [
                point("www.example.com.", "A", REQUEST, 10, 0),
                point("www.example.com.", "A", response("NOERROR"), 10, 1),
                point("old.example.com.", "A", REQUEST, 1, 2),
            ];
            send(&api, &batch(central.servers[server].id, 1, minute, begin_s + 60 * minute, &points));
        }
    }
    central.stop();
    central
}

/// A data directory with a store of format 3, as that version left it.
fn old_store(data: &Path) {
    let store = data.join("store");
    fs::create_dir_all(&store).expect("a test's folder is writable");
    for file in fs::read_dir(project().join("store/fixtures/format-3")).expect("the fixture is there") {
        let file = file.expect("an entry");
        fs::copy(file.path(), store.join(file.file_name())).expect("a test's folder is writable");
    }
    for directory in [data, &store] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).expect("it is our own");
    }
}
