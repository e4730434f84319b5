//! The central: `zonepulse serve` on a folder of its own.

use super::api::Credentials;
use super::process::{Process, program_command, succeed};
use super::{Api, eventually, ports};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A server that the central knows.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its number.
    pub id: u32,
    /// What its probe shows at the door.
    pub token: String,
}

/// A central, running or killed.
pub struct Central {
    // Before the folder, in which its log is: fields are dropped in order.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    as_shipped: bool,
    broker: Option<(String, String)>,
    /// The servers that it knows, in the order in which they were asked for.
    pub servers: Vec<Server>,
}

impl Central {
    /// Starts one that knows these servers, by display name, and takes batches over HTTP.
    pub fn start(servers: &[&str]) -> Self {
        Self::start_with(servers, None, false)
    }

    /// The same, but its points keep of last accesses what they keep by default.
    pub fn start_as_shipped(servers: &[&str]) -> Self {
        Self::start_with(servers, None, true)
    }

    /// Starts one that also consumes a queue of the broker at a URL.
    pub fn start_with_broker(servers: &[&str], url: &str, queue: &str) -> Self {
        Self::start_with(servers, Some((url.to_owned(), queue.to_owned())), false)
    }

    fn start_with(servers: &[&str], broker: Option<(String, String)>, as_shipped: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-central").tempdir().expect("a temporary folder can be made");
        let mut central = Central { port: ports::free(), folder, as_shipped, broker, process: None, servers: Vec::new() };
        central.servers = servers.iter().map(|name| central.add_server(name)).collect();
        central.start_again();
        central
    }

    /// A client with the administrator's credentials.
    pub fn api(&self) -> Api {
        Api::new(self.port, self.administrator())
    }

    /// A client with the token of the n-th server.
    pub fn api_of_server(&self, n: usize) -> Api {
        Api::new(self.port, Credentials::Token(self.servers[n].token.clone()))
    }

    /// Where probes send to.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// What it has used so far of the processors, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.process.as_ref().expect("it runs").cpu_seconds()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// SIGTERM, which must end it cleanly.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").terminate(Duration::from_secs(30));
        assert!(status.success(), "the central ends with {status} after SIGTERM");
    }

    /// Starts it on the data that it had, and waits until it is well.
    pub fn start_again(&mut self) {
        let mut command = self.command("serve");
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        if let Some((url, queue)) = &self.broker {
            let path = self.folder.path().join("central.toml");
            fs::write(&path, format!("[amqp]\nurl = \"{url}\"\nqueue = \"{queue}\"\n")).expect("a test's folder is writable");
            command.arg("--config").arg(path);
        }
        let mut process = Process::start("central", command, self.folder.path());
        let api = Api::new(self.port, Credentials::None);
        eventually("the central is well", Duration::from_secs(30), || {
            assert!(process.exited().is_none(), "the central has ended: {}", process.log());
            api.healthy().then_some(())
        });
        self.process = Some(process);
    }

    /// `zonepulse check` finds the store sound; the central must not be running.
    pub fn check(&self) -> String {
        assert!(self.process.is_none(), "one process opens the store");
        succeed(program_command("zonepulse").arg("check").arg(self.data()), Duration::from_secs(60))
    }

    /// Its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = program_command("zonepulse");
        command.arg(name).arg("--data").arg(self.data());
        // Captures are older than any retention that is usual.
        for key in ["RAW_RETENTION_MINUTES", "AGGREGATED_RETENTION_DAYS"] {
            command.env(format!("ZONEPULSE_STORE__{key}"), u32::MAX.to_string());
        }
        // Points are held against the messages that they are of, to the millisecond.
        if !self.as_shipped {
            command.env("ZONEPULSE_STORE__RAW_LAST_ACCESS", "ms");
        }
        // Hours are sealed as soon as they have passed, so that questions get sealed points, too.
        command.env("ZONEPULSE_STORE__SEAL_AFTER_QUIET_S", "0");
        command
    }

    fn add_server(&self, name: &str) -> Server {
        let mut command = program_command("zonepulse");
        command.args(["server", "add", name]).arg("--data").arg(self.data());
        let text = succeed(&mut command, Duration::from_secs(30));
        let id = value(&text, "server_id").parse().expect("a server's id is a number");
        Server { id, token: value(&text, "token") }
    }

    /// Who was made at first start.
    pub fn administrator(&self) -> Credentials {
        let text = fs::read_to_string(self.data().join("admin-credentials")).expect("made at first start");
        Credentials::User(value(&text, "user"), value(&text, "password"))
    }
}

/// The value of a line `name = value`, without quotation marks.
fn value(text: &str, name: &str) -> String {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    let value = values.next_back().unwrap_or_else(|| panic!("no {name:?} in {text:?}"));
    value.trim().trim_matches('"').to_owned()
}
