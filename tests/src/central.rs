//! The central: `zonepulse serve` in its own directory.

use super::api::Credentials;
use super::certificates::{Authority, Certificate};
use super::network::Namespace;
use super::process::{Process, program, program_command, succeed, without_settings, write_private};
use super::{Api, eventually, ports};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A server at the central.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its number.
    pub id: u32,
    /// The token of its probe.
    pub token: String,
}

/// A central, running or killed.
pub struct Central {
    // Declared before the directory, which contains its log: fields are dropped in order.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    as_shipped: bool,
    configuration: Option<String>,
    environment: Vec<(String, String)>,
    authority: Option<String>,
    /// The namespace in which it runs with its address there, and where it can be reached from
    /// here.
    elsewhere: Option<(String, SocketAddr)>,
    /// Its servers, in the order in which they were requested.
    pub servers: Vec<Server>,
}

impl Central {
    /// Starts a central with these servers, by display name, that accepts batches over HTTP.
    pub fn start(servers: &[&str]) -> Self {
        Self::start_with(servers, None)
    }

    /// The same, with the default precision of last accesses in points.
    pub fn start_as_shipped(servers: &[&str]) -> Self {
        let mut central = Self::made(servers, None);
        central.as_shipped = true;
        central.start_again();
        central
    }

    /// Starts a central with its directory, including the log, below this one, and with settings
    /// from the environment.
    pub fn start_on(parent: &Path, servers: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-central").tempdir_in(parent);
        let mut central = Self::made_in(folder.expect("a temporary folder can be made"), servers, None);
        central.environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        central.start_again();
        central
    }

    /// Starts a central that also consumes a queue of this broker.
    pub fn start_with_broker(servers: &[&str], url: &str, queue: &str) -> Self {
        Self::start_with(servers, Some(format!("[rabbitmq]\nurl = \"{url}\"\nqueue = \"{queue}\"\n")))
    }

    /// Starts a central with a configuration file.
    pub fn start_configured(servers: &[&str], configuration: &str) -> Self {
        Self::start_with(servers, Some(configuration.to_owned()))
    }

    /// Starts a central on a data directory that exists, which it moves into a folder of its own.
    pub fn start_at(data: &Path) -> Self {
        let mut central = Self::made(&[], None);
        fs::rename(data, central.data()).expect("both are temporary");
        central.start_again();
        central
    }

    /// Starts a central with TLS and a configuration file.
    pub fn start_secure(servers: &[&str], authority: &Authority, certificate: &Certificate, configuration: &str) -> Self {
        let mut central = Self::made(servers, Some(tls(certificate) + configuration));
        central.authority = Some(authority.pem());
        central.start_again();
        central
    }

    /// Starts a central with TLS in a namespace, at an address there.
    pub fn start_in(
        namespace: &Namespace,
        address: SocketAddr,
        servers: &[&str],
        (authority, certificate): (&Authority, &Certificate),
        configuration: &str,
    ) -> Self {
        let mut central = Self::made(servers, Some(tls(certificate) + configuration));
        central.authority = Some(authority.pem());
        central.elsewhere = Some((namespace.name.clone(), address));
        central.port = namespace.forward(address);
        central.start_again();
        central
    }

    /// Starts a central on a data directory that is filled before.
    pub fn start_filled(fill: impl FnOnce(&Path)) -> Self {
        let mut central = Self::made(&[], None);
        fill(&central.data());
        central.start_again();
        central
    }

    fn start_with(servers: &[&str], configuration: Option<String>) -> Self {
        let mut central = Self::made(servers, configuration);
        central.start_again();
        central
    }

    fn made(servers: &[&str], configuration: Option<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-central").tempdir().expect("a temporary folder can be made");
        Self::made_in(folder, servers, configuration)
    }

    fn made_in(folder: TempDir, servers: &[&str], configuration: Option<String>) -> Self {
        let mut central = Central {
            port: ports::free(),
            folder,
            configuration,
            environment: Vec::new(),
            authority: None,
            elsewhere: None,
            as_shipped: false,
            process: None,
            servers: Vec::new(),
        };
        central.servers = servers.iter().map(|name| central.add_server(name)).collect();
        central
    }

    /// A client with the administrator's credentials.
    pub fn api(&self) -> Api {
        self.client(self.administrator())
    }

    /// A client with any credentials.
    pub fn client(&self, credentials: Credentials) -> Api {
        match &self.authority {
            Some(authority) => Api::secure(&self.url_from_here(), authority, credentials),
            None => Api::new(self.port, credentials),
        }
    }

    /// A client with the token of the n-th server.
    pub fn api_of_server(&self, n: usize) -> Api {
        self.client(Credentials::Token(self.servers[n].token.clone()))
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL for probes.
    pub fn url(&self) -> String {
        match &self.elsewhere {
            Some((_, address)) => format!("https://{address}"),
            None => self.url_from_here(),
        }
    }

    fn url_from_here(&self) -> String {
        match self.authority {
            Some(_) => format!("https://localhost:{}", self.port),
            None => format!("http://127.0.0.1:{}", self.port),
        }
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// CPU time used so far, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.process.as_ref().expect("it runs").cpu_seconds()
    }

    /// Its child processes: workers for SQL.
    pub fn workers(&self) -> Vec<u32> {
        let parent = format!("PPid:\t{}\n", self.pid());
        let entries = fs::read_dir("/proc").expect("there is /proc");
        let processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_ours = |id: &u32| fs::read_to_string(format!("/proc/{id}/status")).is_ok_and(|status| status.contains(&parent));
        processes.filter(is_ours).collect()
    }

    /// CPU time used by its current workers, seconds.
    pub fn cpu_seconds_of_workers(&self) -> f64 {
        self.workers().into_iter().filter_map(super::process::cpu_seconds).sum()
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid()
    }

    /// SIGHUP: reloads its configuration.
    pub fn reload(&self) {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.pid() as i32, libc::SIGHUP) };
    }

    /// SIGSTOP: suspends it until [`Central::thaw`].
    pub fn freeze(&self) {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.pid() as i32, libc::SIGSTOP) };
    }

    /// SIGCONT: resumes it.
    pub fn thaw(&self) {
        // SAFETY: kill touches no memory; the child has not been waited for, so the ID is still its
        // own.
        unsafe { libc::kill(self.pid() as i32, libc::SIGCONT) };
    }

    /// The value of a metric, with labels if given; 0 if it is absent.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.api().get("/metrics", &[], "text/plain").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a whole number"))
    }

    /// What `/readyz` reports as missing; none if it is ready.
    pub fn unready(&self) -> Option<String> {
        let ready = self.api().get("/readyz", &[], "application/json");
        (ready.status != 200).then(|| ready.text())
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

    /// Restarts it on its data, and waits until it is healthy.
    pub fn start_again(&mut self) {
        let mut command = self.command("serve");
        let listen =
            self.elsewhere.as_ref().map_or_else(|| format!("127.0.0.1:{}", self.port), |(_, address)| address.to_string());
        command.args(["--listen", &listen]);
        if let Some(text) = &self.configuration {
            let path = self.folder.path().join("central.toml");
            write_private(&path, text);
            command.arg("--config").arg(path);
        }
        let mut process = Process::start("central", command, self.folder.path());
        let api = self.client(Credentials::None);
        eventually("the central is well", Duration::from_secs(30), || {
            assert!(process.exited().is_none(), "the central has ended: {}", process.log());
            api.healthy().then_some(())
        });
        self.process = Some(process);
    }

    /// Checks that `zonepulse check` finds the store sound; the central must not be running.
    pub fn check(&self) -> String {
        assert!(self.process.is_none(), "one process opens the store");
        succeed(program_command("zonepulse").arg("check").arg(self.data()), Duration::from_secs(60))
    }

    /// The configuration file with which it starts the next time.
    pub fn configure(&mut self, configuration: &str) {
        self.configuration = Some(configuration.to_owned());
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = match &self.elsewhere {
            Some((namespace, _)) => {
                let mut command = without_settings(Command::new("/usr/sbin/ip"));
                command.args(["netns", "exec", namespace]).arg(program("zonepulse"));
                command
            }
            None => program_command("zonepulse"),
        };
        command.arg(name).arg("--data").arg(self.data());
        // Captures are older than any usual retention.
        for key in ["RAW_RETENTION_MINUTES", "AGGREGATED_RETENTION_DAYS"] {
            command.env(format!("ZONEPULSE_STORE__{key}"), u32::MAX.to_string());
        }
        // So are captures, and batches whose time does not matter.
        command.env("ZONEPULSE_INGEST__MAX_AGE_DAYS", "36500");
        // Points are compared with their messages, to the millisecond.
        if !self.as_shipped {
            command.env("ZONEPULSE_STORE__RAW_LAST_ACCESS", "ms");
        }
        // Hours are sealed as soon as they have passed, so that questions also cover sealed points.
        command.env("ZONEPULSE_STORE__SEAL_AFTER_QUIET_S", "0");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn add_server(&self, name: &str) -> Server {
        let mut command = program_command("zonepulse");
        command.args(["server", "add", name, "--credential", "token"]).arg("--data").arg(self.data());
        let text = succeed(&mut command, Duration::from_secs(30));
        let id = value(&text, "server_id").parse().expect("a server's id is a number");
        Server { id, token: value(&text, "token") }
    }

    /// The administrator created at first start.
    pub fn administrator(&self) -> Credentials {
        let text = fs::read_to_string(self.data().join("admin-credentials")).expect("made at first start");
        Credentials::User(value(&text, "user"), value(&text, "password"))
    }
}

fn tls(certificate: &Certificate) -> String {
    format!("[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n", certificate.certificate, certificate.key)
}

/// The value of a line `name = value`, without quotation marks.
fn value(text: &str, name: &str) -> String {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    let value = values.next_back().unwrap_or_else(|| panic!("no {name:?} in {text:?}"));
    value.trim().trim_matches('"').to_owned()
}
