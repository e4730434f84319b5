//! The way of a probe to a node, step by step.

use super::node::{self, Node};
use super::ssh::Ssh;
use super::steps::{Progress, StepName, shortened};
use super::{Heard, Kind, Order, Source};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time for finding out about a node.
const CHECK: Duration = Duration::from_secs(45);
/// Time for copying a bundle.
const COPY: Duration = Duration::from_secs(900);
/// Time for `install.sh`, which waits for the old probe to end and for the new one to start.
const INSTALL: Duration = Duration::from_secs(240);
/// How often to look for a heartbeat.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The last line of `install.sh` if everything was done.
const DONE: &str = "PVOK";
/// By how much a start may seem later than it was: probes tell their age in whole seconds.
const UNSHARP_MS: u64 = 1000;

/// Does what was ordered, and reports each change of its progress.
pub async fn run(order: &Order, source: &impl Source, report: impl Fn(&Progress) + Send + Sync) -> Progress {
    let mut run = Run { order, progress: Progress::default(), report: &report };
    run.all(source).await;
    run.progress.close("");
    report(&run.progress);
    run.progress
}

struct Run<'a> {
    order: &'a Order,
    progress: Progress,
    report: &'a (dyn Fn(&Progress) + Send + Sync),
}

impl Run<'_> {
    /// All steps, until one fails; `None` then.
    async fn all(&mut self, source: &impl Source) -> Option<()> {
        let order = self.order;
        self.begin(StepName::Connect);
        let connected = connect(order).await;
        let ssh = self.end(StepName::Connect, connected)?;

        self.begin(StepName::Check);
        let checked = check(order, &ssh, source).await;
        let (node, before) = self.end(StepName::Check, checked)?;
        self.progress.previous_version.clone_from(&node.version);

        self.begin(StepName::Bundle);
        let fetched = bundle(order, &ssh, &node, source).await;
        let size_bytes = self.end(StepName::Bundle, fetched)?;

        self.begin(StepName::Copy);
        let copied = copy(&ssh, size_bytes).await;
        let directory = self.end(StepName::Copy, copied)?;

        self.begin(StepName::Install);
        let installed = install(order, &ssh, &directory).await;
        let version = self.end(StepName::Install, installed)?;
        self.progress.version = Some(version.clone());

        self.begin(StepName::Heartbeat);
        let heard = self.heartbeat(source, StepName::Heartbeat, before.as_ref(), &version).await;
        let was_heard = heard.is_ok();
        self.end(StepName::Heartbeat, heard);
        let replaced = node.version.as_ref().is_some_and(|previous| *previous != version);
        if was_heard || order.kind == Kind::Install || !replaced {
            return Some(());
        }

        self.begin(StepName::Rollback);
        let rolled_back = self.roll_back(&ssh, &node, source).await;
        self.end(StepName::Rollback, rolled_back)
    }

    fn begin(&mut self, step: StepName) {
        self.progress.begin(step);
        (self.report)(&self.progress);
    }

    fn end<T>(&mut self, step: StepName, result: Result<(T, String), String>) -> Option<T> {
        let (value, message) = match result {
            Ok((value, message)) => (Some(value), Ok(message)),
            Err(message) => (None, Err(message)),
        };
        self.progress.end(step, message.as_ref().map(String::as_str).map_err(String::as_str));
        (self.report)(&self.progress);
        value
    }

    /// Waits for a heartbeat of a run that began after the last one known, and of this version.
    async fn heartbeat(
        &mut self,
        source: &impl Source,
        step: StepName,
        before: Option<&Heard>,
        version: &str,
    ) -> Result<((), String), String> {
        let began = Instant::now();
        let wait = self.order.wait;
        let mut last = String::new();
        loop {
            match source.heard(self.order.server_id).await {
                Ok(Some(heard)) if is_new(&heard, before) && heard.version == version => {
                    return Ok((
                        (),
                        format!("version {version} is heard of, {} s after it was installed", began.elapsed().as_secs()),
                    ));
                }
                Ok(Some(heard)) if is_new(&heard, before) => {
                    last = format!("; there are heartbeats of version {}", heard.version)
                }
                Ok(_) => {}
                Err(error) => last = format!("; {error}"),
            }
            if began.elapsed() >= wait {
                return Err(format!("no heartbeat of version {version} within {} s{last}", wait.as_secs()));
            }
            self.progress
                .say(step, &format!("waiting for a heartbeat, {} of at most {} s", began.elapsed().as_secs(), wait.as_secs()));
            (self.report)(&self.progress);
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn roll_back(&mut self, ssh: &Ssh, node: &Node, source: &impl Source) -> Result<((), String), String> {
        let before = source.heard(self.order.server_id).await.ok().flatten();
        let output = ssh.run(&node::rolling_back(self.order, node), None, INSTALL).await?;
        let version = installed_version(&output.stdout);
        let Some(version) = version.filter(|_| is_done(&output.stdout)) else {
            return Err(format!("the version before could not be brought back:\n{}", output.stderr));
        };
        self.progress.rolled_back = true;
        self.progress.version = Some(version.clone());
        let ((), heard) = self.heartbeat(source, StepName::Rollback, before.as_ref(), &version).await?;
        Ok(((), format!("the version before runs again: {heard}")))
    }
}

/// Whether a heartbeat is of a run that began after another was heard.
fn is_new(heard: &Heard, before: Option<&Heard>) -> bool {
    let Some(before) = before else { return true };
    let began_ms = heard.received_ms.saturating_sub(heard.uptime_s.saturating_mul(1000));
    heard.received_ms > before.received_ms && began_ms > before.received_ms.saturating_add(UNSHARP_MS)
}

async fn connect(order: &Order) -> Result<(Ssh, String), String> {
    let ssh = Ssh::new(order).map_err(|error| format!("{}: {error}", order.work.display()))?;
    let output = ssh.run("echo ready", None, CHECK).await?;
    // A login shell may say more before it.
    if output.stdout.lines().next_back() != Some("ready") {
        return Err(format!("the node does not run commands with sh:\n{}{}", output.stdout, output.stderr));
    }
    let accepted = ssh.accepted().await.map_err(|error| format!("the host key cannot be kept: {error}"))?;
    let through = order.jump.as_ref().map(|jump| format!(" through {}", jump.target)).unwrap_or_default();
    let mut message = format!("logged in as {}{through}", order.node.target);
    for key in accepted {
        message.push_str(&format!("\naccepted a host key seen for the first time: {key}"));
    }
    Ok((ssh, message))
}

/// What the node is, and what was last heard of its server.
async fn check(order: &Order, ssh: &Ssh, source: &impl Source) -> Result<((Node, Option<Heard>), String), String> {
    let url = source.url(order.server_id).await;
    let output = ssh.run(&node::checking(order, url.as_deref()), None, CHECK).await?;
    let node = node::read(&output.stdout);
    if let Some(obstacle) = node.obstacle(order, url.as_deref()) {
        return Err(obstacle);
    }
    let before = source.heard(order.server_id).await?;
    let summary = node.summary();
    Ok(((node, before), summary))
}

async fn bundle(order: &Order, ssh: &Ssh, node: &Node, source: &impl Source) -> Result<(u64, String), String> {
    // What is enrolled stays so, and needs no token.
    let enrolls = order.kind == Kind::Install && (order.enroll || !node.is_enrolled);
    let fetched = source.bundle(order.server_id, &node.architecture, enrolls, &ssh.bundle()).await?;
    // The archive, its contents, and the program itself.
    let needed_kib = fetched.size_bytes.saturating_mul(2) / 1024;
    for (what, free_kib, needed_kib) in
        [("temporary files", node.free_temporary_kib, needed_kib), ("the program", node.free_program_kib, needed_kib / 2)]
    {
        if free_kib < needed_kib {
            return Err(format!("the node has only {free_kib} KiB for {what}, and {needed_kib} are needed"));
        }
    }
    let enrolling = if enrolls { ", with a token for its enrolment" } else { "" };
    Ok((fetched.size_bytes, format!("{} bytes{enrolling}", fetched.size_bytes)))
}

async fn copy(ssh: &Ssh, size_bytes: u64) -> Result<(String, String), String> {
    let output = ssh.run(node::RECEIVING, Some(&ssh.bundle()), COPY).await?;
    let mut lines = output.stdout.lines().rev();
    let directory = lines.next().and_then(|line| line.strip_prefix("directory="));
    let arrived = lines.next().and_then(|line| line.trim().parse::<u64>().ok());
    match (directory, arrived) {
        (Some(directory), Some(arrived)) if arrived == size_bytes => Ok((directory.to_owned(), format!("to {directory}"))),
        _ => Err(format!("the bundle did not arrive as a whole:\n{}", output.stderr)),
    }
}

async fn install(order: &Order, ssh: &Ssh, directory: &str) -> Result<(String, String), String> {
    let output = ssh.run(&node::installing(order, directory), None, INSTALL).await?;
    match installed_version(&output.stdout) {
        Some(version) if is_done(&output.stdout) => {
            let said: Vec<_> = output.stdout.lines().filter(|line| !is_for_programs(line)).collect();
            Ok((version, shortened(&said.join("\n"))))
        }
        _ => Err(format!("install.sh failed:\n{}\n{}", output.stdout.trim_end(), output.stderr)),
    }
}

fn is_done(stdout: &str) -> bool {
    stdout.lines().next_back() == Some(DONE)
}

fn installed_version(stdout: &str) -> Option<String> {
    stdout.lines().rev().find_map(|line| line.strip_prefix("version=")).map(str::to_owned)
}

fn is_for_programs(line: &str) -> bool {
    line == DONE || line.starts_with("version=") || line.starts_with("server_id=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(received_ms: u64, uptime_s: u64) -> Heard {
        Heard { received_ms, uptime_s, version: "0.1.0".to_owned() }
    }

    #[test]
    fn a_heartbeat_is_new_if_its_run_began_after_the_last_one() {
        let before = heard(100_000, 40);
        assert!(is_new(&heard(130_000, 2), Some(&before)) && is_new(&before, None));
        assert!(!is_new(&before, Some(&before)));
        assert!(!is_new(&heard(130_000, 70), Some(&before)), "it is the same run");
        let young = heard(100_000, 0);
        assert!(!is_new(&heard(130_900, 30), Some(&young)), "its age is told in whole seconds");
    }

    #[test]
    fn install_sh_has_ended_well_if_its_last_line_says_so() {
        assert!(is_done("a\nversion=0.2.0\nPVOK\n") && !is_done("PVOK\nmore\n") && !is_done(""));
        assert_eq!(installed_version("version=0.1.0\nversion=0.2.0\nPVOK\n").as_deref(), Some("0.2.0"));
    }
}
