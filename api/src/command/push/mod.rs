//! `zonepulse server setup`, `install` and `update`.
//!
//! Installation connects from this machine, with the operator's keys, agent and known hosts, unless the central is told to
//! do it. Either way the steps are those of [`zonepulse_central::push`].

mod nodes;
mod ordered;
mod remote;
mod shown;

use super::block_on;
use super::source::Running;
use crate::Error;
use clap::Args;
use futures::{StreamExt, stream};
use nodes::Node;
use remote::Remote;
use shown::Shown;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zonepulse_central::push::{self, HostKey, Kind, Target};
use zonepulse_private::Secret;
use zonepulse_tools::{Api, Method};

/// Downloads a setup bundle.
#[derive(Debug, Args)]
pub(super) struct Setup {
    /// The server's name or id
    server: String,
    /// Write the bundle to this file, readable only by its owner
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Overwrite that file if it exists
    #[arg(long)]
    force: bool,
    /// Only the program for this architecture, as `uname -m` names it [default: one for each]
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
    /// Without an enrolment token, for updating a probe that is enrolled
    #[arg(long)]
    no_enroll: bool,
    #[command(flatten)]
    central: Running,
}

/// Installs or updates probes over SSH.
#[derive(Debug, Args)]
pub(super) struct Push {
    /// The server's name or id
    #[arg(required_unless_present = "nodes", requires = "ssh")]
    server: Option<String>,
    /// The node, as USER@HOST or USER@HOST:PORT, with an IPv6 address in brackets
    #[arg(long, value_name = "USER@HOST")]
    ssh: Option<Target>,
    /// A host through which the node is reached
    #[arg(long, value_name = "USER@HOST")]
    jump: Option<Target>,
    /// A file with several nodes, one a line: SERVER USER@HOST [JUMP]; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "ssh", "jump", "host_key", "jump_host_key"])]
    nodes: Option<PathBuf>,
    /// How many nodes at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: u8,
    /// The private key [default: what ssh finds: an agent, the keys in ~/.ssh]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Prompt for the password, or read it from standard input
    #[arg(long, conflicts_with_all = ["password_env", "password_file"])]
    ask_password: bool,
    /// Take the password from this environment variable
    #[arg(long, value_name = "NAME", conflicts_with = "password_file")]
    password_env: Option<String>,
    /// Read the password from the first line of this file, which only its owner may read
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read the password for the jump host from this file [default: the same as that of the node]
    #[arg(long, value_name = "FILE")]
    jump_password_file: Option<PathBuf>,
    /// The node's host key: its fingerprint (SHA256:…) or the key itself [default: what known_hosts says]
    #[arg(long, value_name = "KEY")]
    host_key: Option<HostKey>,
    /// The host key of the jump host
    #[arg(long, value_name = "KEY", requires = "jump")]
    jump_host_key: Option<HostKey>,
    /// Believe host keys that are seen for the first time, print their fingerprints, and keep them
    #[arg(long, conflicts_with_all = ["host_key", "jump_host_key"])]
    accept_new_host_key: bool,
    /// Become root on the node with sudo, which must not ask for a password
    #[arg(long)]
    sudo: bool,
    /// Enrol the node again if it is enrolled; its credentials are replaced
    #[arg(long)]
    enroll: bool,
    /// The directory for everything that is installed [default: the usual places]
    #[arg(long, value_name = "DIR")]
    prefix: Option<String>,
    /// How long to wait for the first heartbeat, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(10..=900))]
    wait_s: u32,
    /// Let the central connect instead of this machine. It uses none of this user's keys but those that are named, and knows
    /// the host keys that it has accepted
    #[arg(long)]
    from_central: bool,
    #[command(flatten)]
    central: Running,
}

/// Passwords for the node and for the jump host.
struct Passwords {
    node: Option<Secret>,
    jump: Option<Secret>,
}

impl Setup {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let api = self.central.api()?;
        let id = nodes::server_id(&api, &self.server)?;
        // A file that cannot be written must not cost a token.
        let mut file = Downloading::new(&self.output, self.force)?;
        let mut parameters = vec![("enroll", (!self.no_enroll).to_string())];
        parameters.extend(self.architecture.iter().map(|architecture| ("architecture", architecture.clone())));
        let path = format!("/api/v2/pvservers/config/{id}");
        let bundle = block_on(api.call(Method::Get, &path, &parameters, None, "application/x-tar"))?;
        file.finish(&bundle)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "server_id = {id}\nbundle = {}", serde_json::json!(self.output.to_string_lossy()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A file that only its owner may read, until it is complete under another name.
struct Downloading {
    file: File,
    path: PathBuf,
    output: PathBuf,
}

impl Downloading {
    fn new(output: &Path, force: bool) -> Result<Self, Error> {
        let failed = |source| Error::File { path: output.to_owned(), source };
        if output.exists() && !force {
            return Err(Error::Argument(format!("{} exists already: use --force to overwrite it", output.display())));
        }
        let mut path = output.as_os_str().to_owned();
        path.push(".new");
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        Ok(Downloading { file, path: path.into(), output: output.to_owned() })
    }

    fn finish(&mut self, contents: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::File { path: self.output.clone(), source };
        self.file.write_all(contents).and_then(|()| self.file.sync_all()).map_err(failed)?;
        fs::rename(&self.path, &self.output).map_err(failed)
    }
}

impl Drop for Downloading {
    fn drop(&mut self) {
        // It is already gone if it was completed.
        let _ = fs::remove_file(&self.path);
    }
}

impl Push {
    pub(super) fn run(&self, kind: Kind) -> Result<ExitCode, Error> {
        if let Some(fault) = self.prefix.as_deref().and_then(push::prefix_fault) {
            return Err(Error::Argument(format!("--prefix: {fault}")));
        }
        if self.enroll && kind == Kind::Update {
            return Err(Error::Argument("--enroll: an update keeps the credentials; use `server install`".to_owned()));
        }
        let api = self.central.api()?;
        let nodes = match (&self.nodes, &self.server, &self.ssh) {
            (Some(file), ..) => nodes::read(&api, file)?,
            (None, Some(server), Some(target)) => vec![Node {
                server_id: nodes::server_id(&api, server)?,
                server: server.clone(),
                target: target.clone(),
                jump: self.jump.clone(),
            }],
            _ => return Err(Error::Argument("name a server and --ssh, or --nodes".to_owned())),
        };
        let passwords = self.passwords()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let failed = runtime.block_on(async {
            tokio::select! {
                failed = self.all(&api, kind, &nodes, &passwords) => failed.map(Some),
                // What is dropped ends its connections, and removes its private files.
                _ = tokio::signal::ctrl_c() => Ok(None),
            }
        })?;
        match failed {
            Some(0) => Ok(ExitCode::SUCCESS),
            Some(failed) => {
                eprintln!("zonepulse: {failed} of {} failed", nodes.len());
                Ok(ExitCode::FAILURE)
            }
            None => {
                eprintln!("zonepulse: interrupted; what has begun on the nodes may go on");
                Ok(ExitCode::from(130))
            }
        }
    }

    /// Does all nodes, several at a time, and returns how many failed.
    async fn all(&self, api: &Api, kind: Kind, nodes: &[Node], passwords: &Passwords) -> Result<usize, Error> {
        let source = Remote::new(api, self.central.url());
        let width = nodes.iter().map(|node| node.server.chars().count()).max().unwrap_or_default();
        let one = |node| {
            let (source, shown) = (&source, Shown::new(node, width));
            async move {
                let done = if self.from_central {
                    self.by_central(api, kind, node, passwords, &shown).await?
                } else {
                    let order = self.order(kind, node, passwords)?;
                    let progress = push::run(&order, source, |progress| shown.progress(progress)).await;
                    progress.has_succeeded()
                };
                shown.end(done);
                Ok::<_, Error>(done)
            }
        };
        let mut running = stream::iter(nodes.iter().map(one)).buffer_unordered(self.parallel.into());
        let mut failed = 0;
        while let Some(done) = running.next().await {
            match done {
                Ok(true) => {}
                Ok(false) => failed += 1,
                Err(error) => {
                    eprintln!("zonepulse: {}", crate::describe(&error));
                    failed += 1;
                }
            }
        }
        Ok(failed)
    }

    fn passwords(&self) -> Result<Passwords, Error> {
        let node = match (&self.password_env, &self.password_file) {
            (Some(name), _) => {
                let missing = |_| Error::Argument(format!("--password-env: there is no environment variable {name}"));
                Some(Secret::new(std::env::var(name).map_err(missing)?))
            }
            (_, Some(file)) => Some(zonepulse_private::secret_from_file(file)?),
            _ if self.ask_password => Some(zonepulse_private::secret_from_stdin("Password")?),
            _ => None,
        };
        let jump = self.jump_password_file.as_deref().map(zonepulse_private::secret_from_file).transpose()?;
        Ok(Passwords { jump: jump.or_else(|| node.clone()), node })
    }
}
