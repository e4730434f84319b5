//! Orders: for this machine, and for the central.

use super::nodes::Node;
use super::{Passwords, Push, Shown};
use crate::Error;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zonepulse_central::push::{HostKey, Identity, Kind, Login, Order};
use zonepulse_tools::{Api, Method};

const JSON: &str = "application/json";
/// How often the central is asked for a job.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A job of the central.
#[derive(Deserialize)]
struct Job {
    job_id: u64,
    state: String,
    progress_percent: u8,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    state: String,
    message: String,
}

impl Push {
    /// What this machine does.
    pub(super) fn order(&self, kind: Kind, node: &Node, passwords: &Passwords) -> Result<Order, Error> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let configuration = home.join(".ssh/config");
        let login = |target: &_, password: &Option<_>, host_key: &Option<HostKey>| Login {
            target: Clone::clone(target),
            password: password.clone(),
            host_key: host_key.clone(),
        };
        Ok(Order {
            server_id: node.server_id,
            kind,
            node: login(&node.target, &passwords.node, &self.host_key),
            jump: node.jump.as_ref().map(|jump| login(jump, &passwords.jump, &self.jump_host_key)),
            identity: self.identity()?.map(Identity::File),
            known_hosts: vec![home.join(".ssh/known_hosts")],
            accept_new_host_key: self.accept_new_host_key,
            configuration: Some(configuration),
            enroll: self.enroll,
            sudo: self.sudo,
            prefix: self.prefix.clone(),
            wait: Duration::from_secs(self.wait_s.into()),
            work: std::env::temp_dir(),
        })
    }

    fn identity(&self) -> Result<Option<PathBuf>, Error> {
        let absolute = |path: &PathBuf| std::path::absolute(path).map_err(|source| Error::File { path: path.clone(), source });
        self.identity.as_ref().map(absolute).transpose()
    }

    /// Lets the central do it, and shows the job.
    pub(super) async fn by_central(
        &self,
        api: &Api,
        kind: Kind,
        node: &Node,
        passwords: &Passwords,
        shown: &Shown,
    ) -> Result<bool, Error> {
        let what = match kind {
            Kind::Install => "pushconfig",
            Kind::Update => "pushupdate",
        };
        let path = format!("/api/v2/pvservers/{what}/{}", node.server_id);
        let body = self.body(kind, node, passwords)?.to_string().into_bytes();
        let mut job = read(&api.call(Method::Post, &path, &[], Some((JSON, body)), JSON).await?)?;
        let path = format!("/api/v2/pvservers/jobs/{}", job.job_id);
        loop {
            for Step { step, state, message } in
                job.steps.iter().filter(|step| step.state != "waiting" && step.state != "skipped")
            {
                shown.step(step, state, job.progress_percent, message);
            }
            match job.state.as_str() {
                "waiting" | "running" => tokio::time::sleep(LOOK_AGAIN).await,
                state => return Ok(state == "done"),
            }
            job = read(&api.call(Method::Get, &path, &[], None, JSON).await?)?;
        }
    }

    fn body(&self, kind: Kind, node: &Node, passwords: &Passwords) -> Result<Value, Error> {
        let mut body = json!({
            "node": node.target.to_string(),
            "accept_new_host_key": self.accept_new_host_key,
            "sudo": self.sudo,
            "prefix": self.prefix,
            "wait_s": self.wait_s,
        });
        if kind == Kind::Install {
            put(&mut body, "enroll", json!(self.enroll));
        }
        if let Some(password) = &passwords.node {
            put(&mut body, "password", json!(password.reveal()));
        }
        if let Some(identity) = &self.identity {
            put(&mut body, "private_key", json!(key(identity)?));
        }
        if let Some(key) = &self.host_key {
            put(&mut body, "host_key", json!(key.to_string()));
        }
        if let Some(jump) = &node.jump {
            put(&mut body, "jump", json!(jump.to_string()));
            if let Some(password) = &passwords.jump {
                put(&mut body, "jump_password", json!(password.reveal()));
            }
            if let Some(key) = &self.jump_host_key {
                put(&mut body, "jump_host_key", json!(key.to_string()));
            }
        }
        Ok(body)
    }
}

fn put(body: &mut Value, name: &str, value: Value) {
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn key(file: &Path) -> Result<String, Error> {
    Ok(zonepulse_private::read(file)?.only_owner_or_root()?)
}

fn read(answer: &[u8]) -> Result<Job, Error> {
    serde_json::from_slice(answer).map_err(|error| Error::Config(format!("the answer of the central: {error}")))
}
