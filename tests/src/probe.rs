//! The probe: `zonepulse-probe` with a configuration and a spool of its own.

use super::process::{Output, Process, program_command, run};
use super::{Central, RabbitMq};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What a probe is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's number.
    pub server_id: u32,
    /// Seconds.
    pub interval_s: u32,
    /// Where DNS is spoken.
    pub port: u16,
    /// `via` and its table, as TOML.
    pub deliver: String,
}

impl Settings {
    /// For a probe of the n-th server of a central, over HTTP.
    pub fn http(central: &Central, n: usize) -> Self {
        let server = &central.servers[n];
        let deliver = format!("via = \"http\"\n[deliver.http]\nurl = \"{}\"\ntoken = \"{}\"\n", central.url(), server.token);
        Settings { server_id: server.id, interval_s: 60, port: 53, deliver }
    }

    /// For a probe of the n-th server of a central, through a broker's queue.
    pub fn amqp(central: &Central, n: usize, broker: &RabbitMq, queue: &str) -> Self {
        let deliver = format!("via = \"amqp\"\n[deliver.amqp]\nurl = \"{}\"\nqueue = \"{queue}\"\n", broker.url());
        Settings { server_id: central.servers[n].id, interval_s: 60, port: 53, deliver }
    }
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
        let text = format!(
            "server_id = {}\ninterval_s = {}\n[capture]\ndevice = \"lo\"\nports = [{}]\naddresses = \"any\"\n\
             [spool]\ndir = \"{}\"\n[deliver]\n{}",
            settings.server_id,
            settings.interval_s,
            settings.port,
            folder.path().join("spool").display(),
            settings.deliver
        );
        fs::write(folder.path().join("probe.toml"), text).expect("a test's folder is writable");
        Probe { folder, process: None }
    }

    /// Starts capturing, or goes on after a kill with the spool that is there.
    pub fn start(&mut self) {
        let mut command = program_command("zonepulse-probe");
        command.arg("run").arg("--config").arg(self.config());
        self.process = Some(Process::start("probe", command, self.folder.path()));
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

    /// The spool's folder.
    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The folder in which the probe has its own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("probe.toml")
    }
}

/// `zonepulse-probe tally` with any arguments.
pub fn tally(arguments: &[&std::ffi::OsStr], within: Duration) -> Output {
    let mut command = program_command("zonepulse-probe");
    run(command.arg("tally").args(arguments), within)
}
