//! A RabbitMQ for tests.

use super::certificates::Certificate;
use super::network::{self, Namespace};
use super::process::{Process, run};
use super::{eventually, ports};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tempfile::TempDir;

/// Debian's `rabbitmq-server` without its wrapper, which requires a system user and directories.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Where its directory is mounted in the root of another Debian.
const PLACE_IN_ROOT: &str = "/home";

/// The RabbitMQ release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The version of this machine's Debian: 3.10 on Debian 12.
    Installed,
    /// RabbitMQ 4, from the root of a Debian 13 created by `scripts/rabbitmq-4.sh`.
    Four,
}

impl Release {
    /// All releases under test.
    pub const ALL: [Release; 2] = [Release::Installed, Release::Four];

    /// Its name in names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Release::Installed => "the_installed_rabbitmq",
            Release::Four => "rabbitmq_4",
        }
    }

    /// The root of the Debian that contains it, if not this machine's.
    fn root(self) -> Option<PathBuf> {
        (self == Release::Four).then(root_of_four)
    }
}

/// Next to Cargo's target directory.
pub(crate) fn root_of_four() -> PathBuf {
    let here = std::env::current_exe().expect("this program has a path");
    here.ancestors().map(|folder| folder.join("rabbitmq-4")).find(|root| root.is_dir()).unwrap_or_default()
}

/// A broker on 127.0.0.1 with its own data, name, cookie and port mapper.
pub struct RabbitMq {
    // Declared before the directory, which contains their logs: fields are dropped in order.
    server: Option<Process>,
    _mapper: Process,
    folder: TempDir,
    port: u16,
    distribution_port: u16,
    mapper_port: u16,
    tls_port: Option<u16>,
    /// The namespace in which it runs, with its TLS address there.
    namespace: Option<String>,
    release: Release,
}

impl RabbitMq {
    /// Starts an empty broker.
    pub fn start() -> Self {
        Self::start_release(Release::Installed)
    }

    /// Starts an empty broker of a release.
    pub fn start_release(release: Release) -> Self {
        Self::start_with(release, None, None)
    }

    /// The same, with TLS on a separate port.
    pub fn start_with_tls(certificate: &Certificate) -> Self {
        Self::start_with(Release::Installed, Some((certificate, "127.0.0.1")), None)
    }

    /// The same in a namespace, with TLS at an address there.
    pub fn start_in(namespace: &Namespace, address: &str, certificate: &Certificate) -> Self {
        Self::start_with(Release::Installed, Some((certificate, address)), Some(&namespace.name))
    }

    fn start_with(release: Release, tls: Option<(&Certificate, &str)>, namespace: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("zonepulse-rabbitmq").tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("enabled_plugins"), "[].").expect("a test's folder is writable");
        let cookie = folder.path().join(".erlang.cookie");
        fs::write(&cookie, "ZONEPULSETESTS").expect("a test's folder is writable");
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).expect("a file's mode can be set");
        let tls_port = tls.map(|(certificate, address)| {
            let port = ports::free();
            put(certificate, folder.path());
            let text = speaks_tls(address, port, folder.path());
            fs::write(folder.path().join("rabbitmq.conf"), text).expect("a test's folder is writable");
            port
        });
        let mapper_port = ports::free();
        // Erlang would start one that outlives it.
        let mut mapper = program("epmd", namespace);
        mapper.args(["-port", &mapper_port.to_string(), "-address", "127.0.0.1"]);
        let mapper = Process::start("epmd", mapper, folder.path());
        let mut broker = RabbitMq {
            port: ports::free(),
            distribution_port: ports::free(),
            mapper_port,
            tls_port,
            namespace: namespace.map(str::to_owned),
            release,
            server: None,
            _mapper: mapper,
            folder,
        };
        broker.start_again();
        broker
    }

    /// A shared broker for all tests that leave it unchanged and use their own queues; stops with
    /// the last of them.
    pub fn shared() -> Arc<Self> {
        Self::shared_release(Release::Installed)
    }

    /// The same for a release.
    pub fn shared_release(release: Release) -> Arc<Self> {
        static SHARED: [Mutex<Weak<RabbitMq>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
        let mut shared = SHARED[release as usize].lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(RabbitMq::start_release(release));
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// Its URL with the default user, who may only log in from this machine.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Its port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its port with TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("it was started with TLS")
    }

    /// Like [`RabbitMq::url`] with TLS; certificates are for host names.
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.tls_port())
    }

    /// Replaces its certificate.
    pub fn show(&self, certificate: &Certificate) {
        put(certificate, self.folder.path());
        self.control(&["eval", "ssl:clear_pem_cache()."]);
    }

    /// Sets a policy for one queue, replacing the previous one.
    pub fn set_policy(&self, queue: &str, definition: &str) {
        self.control(&["set_policy", "--apply-to", "queues", queue, &format!("^{queue}$"), definition]);
        // It takes effect a moment later.
        std::thread::sleep(Duration::from_secs(1));
    }

    /// Runs `rabbitmqctl` with these arguments, which must succeed. Returns its output.
    pub fn control(&self, arguments: &[&str]) -> String {
        let mut control = self.command("/usr/lib/rabbitmq/bin/rabbitmqctl");
        control.args(arguments);
        let output = run(&mut control, Duration::from_secs(90));
        assert_eq!(output.code, Some(0), "rabbitmqctl {arguments:?}: {}{}", output.out, output.err);
        output.out
    }

    /// Stops it like a system shutdown: everything it has confirmed is on disk.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate(Duration::from_secs(30));
        }
    }

    /// Restarts it with its data, and waits until it accepts connections.
    pub fn start_again(&mut self) {
        let folder = self.folder.path();
        let mut server = self.command(SERVER);
        // By default, waiting threads spin for a while, but tests share two cores.
        server.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2");
        self.server = Some(Process::start("rabbitmq", server, folder));
        eventually("RabbitMQ takes connections", Duration::from_secs(60), || self.accepts().then_some(()));
        self.control(&["await_startup", "--timeout", "60"]);
    }

    fn accepts(&self) -> bool {
        let connects = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        self.namespace.as_deref().map_or_else(connects, |name| network::inside(name, connects))
    }

    fn command(&self, name: &str) -> Command {
        let (folder, mut command) = match self.release.root() {
            Some(root) => (PathBuf::from(PLACE_IN_ROOT), program_in(&root, self.folder.path(), name)),
            None => (self.folder.path().to_owned(), program(name, self.namespace.as_deref())),
        };
        command
            .env("HOME", &folder)
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

fn program(name: &str, namespace: Option<&str>) -> Command {
    let Some(namespace) = namespace else { return Command::new(name) };
    let mut command = Command::new("/usr/sbin/ip");
    command.args(["netns", "exec", namespace, name]);
    command
}

/// A program of the Debian in a root, which sees a directory at [`PLACE_IN_ROOT`]. The mounts are
/// private and disappear with the program.
fn program_in(root: &Path, folder: &Path, name: &str) -> Command {
    const SCRIPT: &str = "mount --rbind /dev \"$1/dev\" && mount -t proc proc \"$1/proc\" && mount --bind \"$2\" \"$1$3\" && \
        root=$1 && shift 3 && exec chroot \"$root\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", SCRIPT, "sh"]).arg(root).arg(folder).args([PLACE_IN_ROOT, name]);
    command
}

/// The configuration for TLS on a port.
fn speaks_tls(address: &str, port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "listeners.ssl.1 = {address}:{port}\nssl_options.certfile = {folder}/broker.crt\n\
         ssl_options.keyfile = {folder}/broker.key\nssl_options.verify = verify_none\n"
    )
}

fn put(certificate: &Certificate, folder: &Path) {
    for (file, name) in [(&certificate.certificate, "broker.crt"), (&certificate.key, "broker.key")] {
        fs::copy(file, folder.join(name)).expect("a test's folder is writable");
    }
}
