//! The probe: `zonepulse-probe` with a configuration and a spool of its own.

use super::network::Namespace;
use super::process::{Output, Process, program, program_command, run, run_with_input, without_settings, write_private};
use super::{Central, RabbitMq};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_wire::Batch;

/// What a probe is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's number.
    pub server_id: u32,
    /// Seconds.
    pub interval_s: u32,
    /// What is listened to.
    pub device: &'static str,
    /// Where DNS is spoken.
    pub port: u16,
    /// `any` or `local`.
    pub addresses: &'static str,
    /// What is counted.
    pub sources: Sources,
    /// How often the machine is measured, seconds; not at all without it.
    pub system_interval_s: Option<u32>,
    /// `communication` and its table, as TOML.
    pub deliver: String,
}

impl Settings {
    /// For a probe that reaches no central: what it counts stays in its spool.
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
    /// What servers tell; beside it a capture that cannot begin.
    Dnstap,
    /// The device, and what servers tell is compared with it.
    CaptureAndDnstap,
}

/// A probe's folder, and the probe while it runs.
pub struct Probe {
    // Before the folder, in which its log is: fields are dropped in order.
    process: Option<Process>,
    folder: TempDir,
}

impl Probe {
    /// A probe that does not run yet.
    pub fn new(settings: &Settings) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-probe").tempdir().expect("a temporary folder can be made");
        let socket = format!("dnstap.socket = \"{}/dnstap.sock\"\n", folder.path().display());
        let (dnstap, device) = match settings.sources {
            Sources::Capture => (String::new(), settings.device),
            Sources::Dnstap => (format!("source = \"dnstap\"\n{socket}"), "nosuchdevice0"),
            Sources::CaptureAndDnstap => (socket, settings.device),
        };
        let system = match settings.system_interval_s {
            // Batches soon, so that nobody has to wait for one.
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

    /// A probe in a namespace that does not run yet, set up by the command that the central gives for it, which
    /// reads the token; `Err` with what the command wrote when it failed.
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

    /// Puts something else in the place of a line of the configuration; it is given the line's key.
    pub fn configure(&self, line: &str, change: impl FnOnce(&str) -> String) {
        let text = fs::read_to_string(self.config()).expect("a probe has a configuration");
        assert!(text.contains(line), "{line:?} is not in {text}");
        let key = line.trim_start_matches("# ").split(' ').next().unwrap_or_default();
        fs::write(self.config(), text.replacen(line, &change(key), 1)).expect("a test's folder is writable");
    }

    /// Starts capturing, or goes on after a kill with the spool that is there.
    pub fn start(&mut self) {
        self.start_as(|command| command);
    }

    /// The same with another command made of the probe's.
    pub fn start_as(&mut self, change: impl FnOnce(Command) -> Command) {
        let mut command = program_command("zonepulse-probe");
        command.arg("run").arg("--config").arg(self.config());
        self.process = Some(Process::start("probe", change(command), self.folder.path()));
    }

    /// Starts it through another program, which ends up being the probe: that program and its arguments.
    pub fn start_through(&mut self, through: &[&str], options: &[&str]) {
        self.start_copy_through(through, &program("zonepulse-probe"), options);
    }

    /// The same with another file of the program.
    pub fn start_copy_through(&mut self, through: &[&str], program: &Path, options: &[&str]) {
        let mut command = without_settings(Command::new(through[0]));
        command.args(&through[1..]).arg(program).args(options).arg("run").arg("--config").arg(self.config());
        self.process = Some(Process::start("probe", command, self.folder.path()));
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// How many batches, of whatever kind, are in its spool.
    pub fn waiting(&self) -> usize {
        // There is no folder before the probe has made it.
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

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.exited().is_none())
    }

    /// What it has used so far of the processors, user and system, seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.process.as_ref().expect("it runs").cpu_seconds()
    }

    /// `zonepulse-probe replay` as a command, for whoever measures it.
    pub fn replay_command(&self, capture: &Path) -> Command {
        let mut command = program_command("zonepulse-probe");
        command.arg("replay").arg(capture).arg("--config").arg(self.config());
        command
    }

    /// What it has logged since the test began.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("probe.log")).unwrap_or_default()).into_owned()
    }

    /// `zonepulse-probe replay`, which must succeed.
    pub fn replay(&self, capture: &Path) -> Output {
        let output = self.try_replay(&[capture.as_os_str()], Duration::from_secs(120));
        assert_eq!(output.code, Some(0), "replay fails: {}", output.err);
        output
    }

    /// `zonepulse-probe replay` with any arguments.
    pub fn try_replay(&self, arguments: &[&std::ffi::OsStr], within: Duration) -> Output {
        let mut command = program_command("zonepulse-probe");
        command.arg("replay").args(arguments).arg("--config").arg(self.config());
        run(&mut command, within)
    }

    /// The socket to which servers connect.
    pub fn dnstap_socket(&self) -> PathBuf {
        self.folder.path().join("dnstap.sock")
    }

    /// The spool's folder.
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The folder in which the probe has its own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("probe.toml")
    }
}

/// `zonepulse-probe tally` with any arguments.
pub fn tally(arguments: &[&std::ffi::OsStr], within: Duration) -> Output {
    let mut command = program_command("zonepulse-probe");
    run(command.arg("tally").args(arguments), within)
}
