//! The probe: `zonepulse-probe` with its own configuration and spool.

use super::network::Namespace;
use super::process::{Output, Process, program, program_command, run, run_with_input, without_settings, write_private};
use super::{Central, RabbitMq};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_wire::Batch;

/// Settings of a probe.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's number.
    pub server_id: u32,
    /// Length of an interval, seconds.
    pub interval_s: u32,
    /// The capture device.
    pub device: &'static str,
    /// The DNS port.
    pub port: u16,
    /// `any` or `local`.
    pub addresses: &'static str,
    /// What is counted.
    pub sources: Sources,
    /// Sampling interval of system metrics, seconds; none to turn them off.
    pub system_interval_s: Option<u32>,
    /// `communication` and its table, as TOML.
    pub deliver: String,
}

impl Settings {
    /// For a probe that reaches no central, so that everything stays in its spool.
    pub fn spooled() -> Self {
        let deliver = "communication = \"http\"\n[deliver.http]\nurl = \"http://127.0.0.1:9\"\ntoken = \"none\"\n".to_owned();
        Settings {
            server_id: 1,
            interval_s: 60,
            device: "lo",
            port: 53,
            addresses: "any",
            sources: Sources::Capture,
            system_interval_s: None,
            deliver,
        }
    }

    /// For a probe of the n-th server of a central, over HTTP.
    pub fn http(central: &Central, n: usize) -> Self {
        let server = &central.servers[n];
        let deliver =
            format!("communication = \"http\"\n[deliver.http]\nurl = \"{}\"\ntoken = \"{}\"\n", central.url(), server.token);
        Settings { server_id: server.id, deliver, ..Settings::spooled() }
    }

    /// For a probe of the n-th server of a central, through a broker's queue.
    pub fn amqp(central: &Central, n: usize, broker: &RabbitMq, queue: &str) -> Self {
        let server = &central.servers[n];
        let deliver = format!(
            "communication = \"rabbitmq\"\n[deliver.rabbitmq]\nurl = \"{}\"\nqueue = \"{queue}\"\n[deliver.http]\ntoken = \"{}\"\n",
            broker.url(),
            server.token
        );
        Settings { server_id: server.id, deliver, ..Settings::spooled() }
    }
}

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// The device.
    Capture,
    /// dnstap, next to a capture that cannot start.
    Dnstap,
    /// The device, with dnstap for comparison.
    CaptureAndDnstap,
}

/// A probe's directory, and the probe while it runs.
pub struct Probe {
    // Declared before the directory, which contains its log: fields are dropped in order.
    process: Option<Process>,
    folder: TempDir,
}

impl Probe {
    /// A probe that is not running yet.
    pub fn new(settings: &Settings) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-probe").tempdir().expect("a temporary folder can be made");
        let socket = format!("dnstap.socket = \"{}/dnstap.sock\"\n", folder.path().display());
        let (dnstap, device) = match settings.sources {
            Sources::Capture => (String::new(), settings.device),
            Sources::Dnstap => (format!("source = \"dnstap\"\n{socket}"), "nosuchdevice0"),
            Sources::CaptureAndDnstap => (socket, settings.device),
        };
        let system = match settings.system_interval_s {
            // Small batches, so that tests need not wait for them.
            Some(interval_s) => format!("system.interval_s = {interval_s}\nsystem.batch_s = {}\n", 5 * interval_s),
            None => "system.enabled = false\n".to_owned(),
        };
        let text = format!(
            "server_id = {}\ninterval_s = {}\n{system}central.settings = \"ignore\"\n\
             components.ask_dns_version = false\n{}[capture]\ndevice = \"{}\"\nports = [{}]\naddresses = \"{}\"\n\
             [spool]\ndir = \"{}\"\n[deliver]\n{}",
            settings.server_id,
            settings.interval_s,
            dnstap,
            device,
            settings.port,
            settings.addresses,
            folder.path().join("spool").display(),
            settings.deliver
        );
        write_private(&folder.path().join("probe.toml"), &text);
        Probe { folder, process: None }
    }

    /// A probe in a namespace that is not running yet, set up with the command from the central,
    /// which reads the token; `Err` with the output of the command if it failed.
    pub fn enroll(namespace: &Namespace, command: &str, token: &str, authority: &Path) -> Result<Self, Output> {
        let folder = tempfile::Builder::new().prefix("zonepulse-probe").tempdir().expect("a temporary folder can be made");
        let probe = Probe { folder, process: None };
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "zonepulse-probe", "{command}");
        let mut enroll = without_settings(namespace.command(program("zonepulse-probe")));
        enroll.args(&words[1..]).arg("--config").arg(probe.config()).arg("--spool").arg(probe.spool());
        let output = run_with_input(enroll.arg("--ca-file").arg(authority), token, Duration::from_secs(60));
        if output.code == Some(0) { Ok(probe) } else { Err(output) }
    }

    /// Replaces a line of the configuration; `change` gets the line's key.
    pub fn configure(&self, line: &str, change: impl FnOnce(&str) -> String) {
        let text = fs::read_to_string(self.config()).expect("a probe has a configuration");
        assert!(text.contains(line), "{line:?} is not in {text}");
        let key = line.trim_start_matches("# ").split(' ').next().unwrap_or_default();
        fs::write(self.config(), text.replacen(line, &change(key), 1)).expect("a test's folder is writable");
    }

    /// Starts capturing, or resumes after a kill with the existing spool.
    pub fn start(&mut self) {
        self.start_as(|command| command);
    }

    /// The same with a modified command.
    pub fn start_as(&mut self, change: impl FnOnce(Command) -> Command) {
        let mut command = program_command("zonepulse-probe");
        command.arg("run").arg("--config").arg(self.config());
        self.process = Some(Process::start("probe", change(command), self.folder.path()));
    }

    /// Starts it through another program that executes the probe: that program and its arguments.
    pub fn start_through(&mut self, through: &[&str], options: &[&str]) {
        self.start_copy_through(through, &program("zonepulse-probe"), options);
    }

    /// The same with another copy of the program.
    pub fn start_copy_through(&mut self, through: &[&str], program: &Path, options: &[&str]) {
        let mut command = without_settings(Command::new(through[0]));
        command.args(&through[1..]).arg(program).args(options).arg("run").arg("--config").arg(self.config());
        self.process = Some(Process::start("probe", command, self.folder.path()));
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Number of batches of any kind in its spool.
    pub fn waiting(&self) -> usize {
        // The directory does not exist before the probe has created it.
        let entries = fs::read_dir(self.spool()).into_iter().flatten();
        entries.flatten().filter(|entry| entry.path().extension().is_some_and(|kind| kind == "batch")).count()
    }

    /// The batches in its spool.
    pub fn spooled(&self) -> Vec<Batch> {
        let files = fs::read_dir(self.spool()).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut batches: Vec<Batch> = files.filter_map(|file| Batch::decode(&fs::read(file).ok()?).ok()).collect();
        batches.sort_by_key(|batch| batch.identity);
        batches
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// SIGTERM, which must end it cleanly.
    pub fn stop(&mut self) {
        let status = self.process.take().expect("it runs").terminate(Duration::from_secs(30));
        assert!(status.success(), "the probe ends with {status} after SIGTERM");
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    /// CPU time used so far, user and system, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.process.as_ref().expect("it runs").cpu_seconds()
    }

    /// `zonepulse-probe replay` as a command, for measurements.
    pub fn replay_command(&self, capture: &Path) -> Command {
        let mut command = program_command("zonepulse-probe");
        command.arg("replay").arg(capture).arg("--config").arg(self.config());
        command
    }

    /// Its log since the test began.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("probe.log")).unwrap_or_default()).into_owned()
    }

    /// Runs `zonepulse-probe replay`, which must succeed.
    pub fn replay(&self, capture: &Path) -> Output {
        let output = self.try_replay(&[capture.as_os_str()], Duration::from_secs(120));
        assert_eq!(output.code, Some(0), "replay fails: {}", output.err);
        output
    }

    /// Runs `zonepulse-probe replay` with any arguments.
    pub fn try_replay(&self, arguments: &[&std::ffi::OsStr], within: Duration) -> Output {
        let mut command = program_command("zonepulse-probe");
        command.arg("replay").args(arguments).arg("--config").arg(self.config());
        run(&mut command, within)
    }

    /// The socket for DNS servers.
    pub fn dnstap_socket(&self) -> PathBuf {
        self.folder.path().join("dnstap.sock")
    }

    /// The spool directory.
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The directory that contains all of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("probe.toml")
    }
}

/// Runs `zonepulse-probe tally` with any arguments.
pub fn tally(arguments: &[&std::ffi::OsStr], within: Duration) -> Output {
    let mut command = program_command("zonepulse-probe");
    run(command.arg("tally").args(arguments), within)
}
