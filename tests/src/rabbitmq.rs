//! A RabbitMQ of the test's own.

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

/// Debian's `rabbitmq-server` without its wrapper, which insists on a user and folders of the system.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Where its folder is in the root of another Debian.
const PLACE_IN_ROOT: &str = "/home";

/// Which RabbitMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// That of this machine's Debian: 3.10 on Debian 12.
    Installed,
    /// RabbitMQ 4, from the root of a Debian 13 that `scripts/rabbitmq-4.sh` makes.
    Four,
}

impl Release {
    /// All that tests know.
    pub const ALL: [Release; 2] = [Release::Installed, Release::Four];

    /// As the names of tests have it.
    pub fn name(self) -> &'static str {
        match self {
            Release::Installed => "the_installed_rabbitmq",
            Release::Four => "rabbitmq_4",
        }
    }

    /// The root of the Debian that it is in, if that is not this machine's.
    fn root(self) -> Option<PathBuf> {
        (self == Release::Four).then(root_of_four)
    }
}

/// Beside the folder in which Cargo puts programs.
pub(crate) fn root_of_four() -> PathBuf {
    let here = std::env::current_exe().expect("this program has a path");
    here.ancestors().map(|folder| folder.join("rabbitmq-4")).find(|root| root.is_dir()).unwrap_or_default()
}

/// A broker on 127.0.0.1 with its own data, name, cookie and port mapper.
pub struct RabbitMq {
    // Before the folder, in which their logs are: fields are dropped in order.
    server: Option<Process>,
    _mapper: Process,
    folder: TempDir,
    port: u16,
    distribution_port: u16,
    mapper_port: u16,
    tls_port: Option<u16>,
    /// In which it runs, and where it speaks TLS there.
    namespace: Option<String>,
    release: Release,
}

impl RabbitMq {
    /// Starts one, with nothing in it.
    pub fn start() -> Self {
        Self::start_release(Release::Installed)
    }

    /// Starts one of a release, with nothing in it.
    pub fn start_release(release: Release) -> Self {
        Self::start_with(release, None, None)
    }

    /// The same, which speaks TLS as well, at a port of its own.
    pub fn start_with_tls(certificate: &Certificate) -> Self {
        Self::start_with(Release::Installed, Some((certificate, "127.0.0.1")), None)
    }

    /// The same in a namespace, where it speaks TLS at an address.
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

    /// One for all tests that leave it as it is and use queues of their own; it stops with the last of them.
    pub fn shared() -> Arc<Self> {
        Self::shared_release(Release::Installed)
    }

    /// The same of a release.
    pub fn shared_release(release: Release) -> Arc<Self> {
        static SHARED: [Mutex<Weak<RabbitMq>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
        let mut shared = SHARED[release as usize].lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(RabbitMq::start_release(release));
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// Where it listens, with its default user, who may log in from this machine only.
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

    /// The same as [`RabbitMq::url`] with TLS; certificates are for names.
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.tls_port())
    }

    /// Shows another certificate from now on.
    pub fn show(&self, certificate: &Certificate) {
        put(certificate, self.folder.path());
        self.control(&["eval", "ssl:clear_pem_cache()."]);
    }

    /// Sets a policy for one queue, which takes the place of the one before.
    pub fn set_policy(&self, queue: &str, definition: &str) {
        self.control(&["set_policy", "--apply-to", "queues", queue, &format!("^{queue}$"), definition]);
        // It is in force a moment later.
        std::thread::sleep(Duration::from_secs(1));
    }

    /// `rabbitmqctl` with these arguments, which must succeed. Gives what it wrote.
    pub fn control(&self, arguments: &[&str]) -> String {
        let mut control = self.command("/usr/lib/rabbitmq/bin/rabbitmqctl");
        control.args(arguments);
        let output = run(&mut control, Duration::from_secs(90));
        assert_eq!(output.code, Some(0), "rabbitmqctl {arguments:?}: {}{}", output.out, output.err);
        output.out
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

/// A program of the Debian in a root, which sees a folder at [`PLACE_IN_ROOT`]. What is mounted for it nobody else sees, and
/// it is gone with the program.
fn program_in(root: &Path, folder: &Path, name: &str) -> Command {
    const SCRIPT: &str = "mount --rbind /dev \"$1/dev\" && mount -t proc proc \"$1/proc\" && mount --bind \"$2\" \"$1$3\" && \
        root=$1 && shift 3 && exec chroot \"$root\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", SCRIPT, "sh"]).arg(root).arg(folder).args([PLACE_IN_ROOT, name]);
    command
}

/// What of the configuration makes it speak TLS at a port.
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
