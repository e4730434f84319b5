//! The jobs of a central, and their history.
//!
//! A job lives as long as the central: passwords and keys are in memory only, so that nothing can be resumed. After a
//! restart, a job that was not finished is shown as interrupted. The history is one small file, written when a job is
//! ordered, begins or ends.

use super::{Job, JobState, Options, Order, Progress, Source};
use crate::Error;
use crate::time::now_ms;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Maximum number of jobs that run at a time; others wait.
const PARALLEL: usize = 4;
/// Maximum number of jobs that wait or run.
const MAX_OPEN: usize = 64;
/// Maximum number of jobs that are remembered; the oldest that has ended is forgotten.
const KEPT: usize = 100;
const HISTORY: &str = "history.json";
const KNOWN_HOSTS: &str = "known_hosts";

/// All jobs. Clones share them.
#[derive(Clone)]
pub struct Jobs {
    parts: Arc<Parts>,
}

struct Parts {
    options: Options,
    places: Semaphore,
    jobs: Mutex<VecDeque<Job>>,
    running: Mutex<JoinSet<()>>,
    /// Held while the history is written, before `jobs` is locked.
    writing: Mutex<()>,
}

impl Jobs {
    /// Reads the history. Jobs that had not ended were interrupted.
    pub fn open(options: Options) -> Result<Self, Error> {
        let mut jobs = VecDeque::new();
        if let Some(directory) = &options.directory {
            let path = directory.join(HISTORY);
            match File::open(&path) {
                // One of another version is started anew: nothing depends on it.
                Ok(file) => match serde_json::from_reader(io::BufReader::new(file)) {
                    Ok(read) => jobs = read,
                    Err(error) => tracing::warn!(path = %path.display(), %error, "the history of installations cannot be read"),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::File { path, source }),
            }
            remove_left_over(directory);
        }
        for job in jobs.iter_mut().filter(|job: &&mut Job| !job.state.is_ended()) {
            job.state = JobState::Interrupted;
            job.progress.close("the central ended meanwhile: look at the node, and repeat it");
        }
        let (places, jobs) = (Semaphore::new(PARALLEL), Mutex::new(jobs));
        let parts = Parts { options, places, jobs, running: Mutex::default(), writing: Mutex::default() };
        Ok(Jobs { parts: Arc::new(parts) })
    }

    /// All jobs, the newest first.
    pub fn list(&self) -> Vec<Job> {
        self.parts.jobs.lock().iter().rev().cloned().collect()
    }

    /// A job.
    pub fn find(&self, id: u64) -> Result<Job, Error> {
        let jobs = self.parts.jobs.lock();
        jobs.iter().find(|job| job.id == id).cloned().ok_or_else(|| Error::Missing(format!("there is no job {id} (any more)")))
    }

    /// Starts a job for this user. The order's places for files are those of the central. `note` tells the audit log before
    /// anything is done. Blocks briefly; called within a runtime.
    pub fn start(
        &self,
        order: Order,
        by: &str,
        source: impl Source + Send + 'static,
        note: impl FnOnce(&Job) -> Result<(), Error>,
    ) -> Result<Job, Error> {
        let directory = self.parts.options.directory.clone();
        let directory = directory.ok_or_else(|| Error::Missing("this central has no directory for jobs".to_owned()))?;
        let order = Order { known_hosts: vec![directory.join(KNOWN_HOSTS)], work: directory, ..order };
        let job = self.add(&order, by)?;
        if let Err(error) = note(&job) {
            self.change(job.id, |job| job.state = JobState::Interrupted);
            return Err(error);
        }
        self.parts.keep();
        let (jobs, id) = (self.clone(), job.id);
        let mut running = self.parts.running.lock();
        while running.try_join_next().is_some() {}
        running.spawn(async move { jobs.work(id, &order, &source).await });
        Ok(job)
    }

    /// Adds a job to the list, if there is room for it.
    fn add(&self, order: &Order, by: &str) -> Result<Job, Error> {
        let mut jobs = self.parts.jobs.lock();
        let open = || jobs.iter().filter(|job| !job.state.is_ended());
        if let Some(other) = open().find(|other| other.server_id == order.server_id) {
            let detail = format!("job {} is at work on server {}: wait for its end", other.id, order.server_id);
            return Err(Error::Conflict(detail));
        }
        if open().count() >= MAX_OPEN {
            return Err(Error::Busy { what: "64 jobs are waiting or running", wait: Duration::from_secs(30) });
        }
        let job = Job {
            id: jobs.back().map_or(0, |last| last.id) + 1,
            server_id: order.server_id,
            kind: order.kind,
            node: order.node.target.to_string(),
            jump: order.jump.as_ref().map(|jump| jump.target.to_string()),
            by: by.to_owned(),
            created_ms: now_ms(),
            started_ms: None,
            ended_ms: None,
            state: JobState::Waiting,
            progress: Progress::default(),
        };
        jobs.push_back(job.clone());
        if jobs.len() > KEPT
            && let Some(oldest) = jobs.iter().position(|job| job.state.is_ended())
        {
            jobs.remove(oldest);
        }
        Ok(job)
    }

    async fn work(&self, id: u64, order: &Order, source: &(impl Source + Send)) {
        let Ok(_place) = self.parts.places.acquire().await else { return };
        self.change(id, |job| {
            job.state = JobState::Running;
            job.started_ms = Some(now_ms());
        });
        self.keep().await;
        let report = |progress: &Progress| self.change(id, |job| job.progress.clone_from(progress));
        let progress = super::run(order, source, report).await;
        let state = if progress.has_succeeded() { JobState::Done } else { JobState::Failed };
        let failure = progress.failure().map(|step| format!("{}: {}", step.name.as_str(), step.message));
        match failure {
            Some(failure) => tracing::warn!(job = id, server_id = order.server_id, failure, "a probe was not installed over SSH"),
            None => tracing::info!(
                job = id,
                server_id = order.server_id,
                version = progress.version,
                "a probe was installed over SSH"
            ),
        }
        self.change(id, |job| {
            job.state = state;
            job.ended_ms = Some(now_ms());
            job.progress = progress;
        });
        self.keep().await;
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.parts.jobs.lock().iter_mut().find(|job| job.id == id) {
            change(job);
        }
    }

    async fn keep(&self) {
        let parts = self.parts.clone();
        // The task only fails if it panics.
        let _ = tokio::task::spawn_blocking(move || parts.keep()).await;
    }

    /// Interrupts all jobs, and waits until nothing works any more.
    pub async fn end(&self) {
        let mut running = std::mem::take(&mut *self.parts.running.lock());
        running.shutdown().await;
    }
}

impl Parts {
    /// Writes the history. It is of use, but nothing depends on it.
    fn keep(&self) {
        let Some(directory) = &self.options.directory else { return };
        let _writing = self.writing.lock();
        let jobs = self.jobs.lock().clone();
        if let Err(error) = write(directory, &jobs) {
            tracing::warn!(directory = %directory.display(), %error, "the history of installations cannot be written");
        }
    }
}

fn write(directory: &Path, jobs: &VecDeque<Job>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let (path, new) = (directory.join(HISTORY), directory.join(format!("{HISTORY}.new")));
    let mut out = BufWriter::new(File::create(&new)?);
    serde_json::to_writer(&mut out, jobs)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    fs::rename(new, path)
}

/// Private files of jobs that a killed central has left behind.
fn remove_left_over(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("ssh-")) {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "private files of an SSH connection cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::{Kind, State, StepName};

    fn job(id: u64, state: JobState) -> Job {
        Job {
            id,
            server_id: 1,
            kind: Kind::Install,
            node: "root@ns1".to_owned(),
            jump: None,
            by: "ann".to_owned(),
            created_ms: 1,
            started_ms: None,
            ended_ms: None,
            state,
            progress: Progress::default(),
        }
    }

    #[test]
    fn a_job_that_had_not_ended_was_interrupted_and_leaves_no_private_files() {
        let directory = tempfile::tempdir().unwrap();
        let mut running = job(2, JobState::Running);
        running.progress.begin(StepName::Connect);
        write(directory.path(), &VecDeque::from([job(1, JobState::Done), running, job(3, JobState::Waiting)])).unwrap();
        fs::create_dir(directory.path().join("ssh-0")).unwrap();
        fs::write(directory.path().join("ssh-0/identity"), "a key").unwrap();
        let jobs = Jobs::open(Options { directory: Some(directory.path().to_owned()) }).unwrap();
        let states: Vec<_> = jobs.list().iter().map(|job| (job.id, job.state)).collect();
        let interrupted = JobState::Interrupted;
        assert_eq!(states, [(3, interrupted), (2, interrupted), (1, JobState::Done)]);
        let step = jobs.find(2).unwrap().progress.steps[0].clone();
        assert!(step.state == State::Failed && step.message.contains("repeat"), "{step:?}");
        assert!(!directory.path().join("ssh-0").exists());
        assert!(matches!(jobs.find(9), Err(Error::Missing(_))));
    }

    #[test]
    fn a_history_that_cannot_be_read_does_not_keep_the_central_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(HISTORY), "{").unwrap();
        assert_eq!(Jobs::open(Options { directory: Some(directory.path().to_owned()) }).unwrap().list(), []);
    }
}
