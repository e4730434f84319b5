//! A RabbitMQ of the test's own.

use super::process::{Process, run};
use super::{eventually, ports};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tempfile::TempDir;

/// Debian's `rabbitmq-server` without its wrapper, which insists on a user and folders of the system.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// A broker on 127.0.0.1 with its own data, name, cookie and port mapper.
pub struct RabbitMq {
    // Before the folder, in which their logs are: fields are dropped in order.
    server: Option<Process>,
    _mapper: Process,
    folder: TempDir,
    port: u16,
    distribution_port: u16,
    mapper_port: u16,
}

impl RabbitMq {
    /// Starts one, with nothing in it.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-rabbitmq").tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("enabled_plugins"), "[].").expect("a test's folder is writable");
        let cookie = folder.path().join(".erlang.cookie");
        fs::write(&cookie, "ZONEPULSETESTS").expect("a test's folder is writable");
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).expect("a file's mode can be set");
        let mapper_port = ports::free();
        // Erlang would start one that outlives it.
        let mut mapper = Command::new("epmd");
        mapper.args(["-port", &mapper_port.to_string(), "-address", "127.0.0.1"]);
        let mapper = Process::start("epmd", mapper, folder.path());
        let mut broker = RabbitMq {
            port: ports::free(),
            distribution_port: ports::free(),
            mapper_port,
            server: None,
            _mapper: mapper,
            folder,
        };
        broker.start_again();
        broker
    }

    /// One for all tests that leave it as it is and use queues of their own; it stops with the last of them.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<RabbitMq>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(RabbitMq::start());
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// Where it listens, with its default user, who may log in from this machine only.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Ends it as a system does: what it has confirmed is on its disk.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate(Duration::from_secs(30));
        }
    }

    /// Starts it with what it had, and waits until it takes connections.
    pub fn start_again(&mut self) {
        let folder = self.folder.path();
        let mut server = self.command(SERVER);
        // Threads that wait spin for a while unless told not to: tests share two cores.
        server.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2");
        self.server = Some(Process::start("rabbitmq", server, folder));
        eventually("RabbitMQ takes connections", Duration::from_secs(60), || self.accepts().then_some(()));
        let mut control = self.command("/usr/lib/rabbitmq/bin/rabbitmqctl");
        control.args(["await_startup", "--timeout", "60"]);
        let output = run(&mut control, Duration::from_secs(90));
        assert_eq!(output.code, Some(0), "RabbitMQ does not start: {}{}", output.out, output.err);
    }

    fn accepts(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    fn command(&self, program: &str) -> Command {
        let folder: &Path = self.folder.path();
        let mut command = Command::new(program);
        command
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.mapper_port.to_string())
            .env("RABBITMQ_NODENAME", format!("zonepulse{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"));
        command
    }
}
