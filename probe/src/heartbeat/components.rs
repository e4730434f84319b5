//! What else runs on the machine.
//!
//! A program runs when there is a process of its name, is stopped when it is installed and
//! there is none, and is absent otherwise. What it says of itself is asked for once for each
//! process: it does not change while that runs, and a DNS server's answer to us is a message
//! that the probe counts like any other.

use super::chaos;
use super::kea;
use super::process::{self, Process};
use crate::config;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zonepulse_wire::{Component, Components, State};

/// The servers that are known by their processes, likelier ones first.
const DNS_SERVERS: [&str; 5] = ["knotd", "unbound", "named", "nsd", "pdns_server"];
/// How soon a server that said nothing is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(300);

/// Looks at processes, and remembers what they said.
#[derive(Debug)]
pub(super) struct Looker {
    settings: config::Components,
    dns: Memory,
    dhcp4: Memory,
    dhcp6: Memory,
}

/// What a program says of itself.
#[derive(Debug, Clone, Default)]
struct Said {
    version: Option<String>,
    identity: Option<String>,
}

/// What a process said.
#[derive(Debug, Default)]
struct Memory {
    process: Option<Process>,
    said: Said,
    asked: Option<Instant>,
    tries: u32,
}

impl Looker {
    pub(super) fn new(settings: config::Components) -> Looker {
        Looker { settings, dns: Memory::default(), dhcp4: Memory::default(), dhcp6: Memory::default() }
    }

    /// What there is at this moment. Takes a few seconds at most, usually none.
    pub(super) fn look(&mut self) -> Components {
        let processes = process::all();
        let settings = &self.settings;
        let kea = |socket: &Option<PathBuf>| Said { version: socket.as_deref().and_then(kea::version), ..Said::default() };
        let monitor = Component {
            state: State::Running,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            name: Some("zonepulse-probe".to_owned()),
            identity: None,
        };
        let servers: Vec<&str> = settings.dns.as_deref().map_or_else(|| DNS_SERVERS.to_vec(), |name| vec![name]);
        let ask_dns = || match settings.ask_dns_version {
            true => Said { version: chaos::version(settings.dns_address), identity: chaos::identity(settings.dns_address) },
            false => Said::default(),
        };
        Components {
            dns: self.dns.component(&processes, &servers, ask_dns),
            monitor: Some(monitor),
            dhcp4: self.dhcp4.component(&processes, &["kea-dhcp4"], || kea(&settings.kea4_socket)),
            dhcp6: self.dhcp6.component(&processes, &["kea-dhcp6"], || kea(&settings.kea6_socket)),
            backup: backup(settings, &processes),
        }
    }
}

impl Memory {
    /// The first of these programs that runs, or else is installed.
    fn component(&mut self, processes: &[Process], programs: &[&str], ask: impl Fn() -> Said) -> Option<Component> {
        let running = programs.iter().find_map(|program| processes.iter().find(|process| process::is(process, program)));
        if let Some(process) = running {
            let Said { version, identity } = self.said(process, ask);
            return Some(Component { state: State::Running, version, name: Some(process.name.clone()), identity });
        }
        *self = Memory::default();
        let installed = programs.iter().find(|program| process::is_installed(program))?;
        Some(Component { state: State::Stopped, version: None, name: Some((*installed).to_owned()), identity: None })
    }

    fn said(&mut self, process: &Process, ask: impl Fn() -> Said) -> Said {
        if self.process.as_ref() != Some(process) {
            *self = Memory { process: Some(process.clone()), ..Memory::default() };
        }
        if self.said.version.is_none() && (self.tries < 2 || self.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN)) {
            self.said = ask();
            // A server that has just begun may not answer yet: it is asked with the next heartbeat, too.
            self.tries += 1;
            self.asked = Some(Instant::now());
        }
        self.said.clone()
    }
}

fn backup(settings: &config::Components, processes: &[Process]) -> Option<Component> {
    let (running, name) = match (&settings.backup_process, &settings.backup_pid_file) {
        (Some(name), _) => (processes.iter().any(|process| process::is(process, name)), name.clone()),
        (None, Some(file)) => {
            let process = read_id(file).and_then(process::of);
            let name = process.as_ref().map_or_else(|| "backup".to_owned(), |process| process.name.clone());
            (process.is_some(), name)
        }
        (None, None) => return None,
    };
    let state = if running { State::Running } else { State::Stopped };
    Some(Component { state, version: None, name: Some(name), identity: None })
}

fn read_id(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn process(id: u32, name: &str) -> Process {
        Process { id, began: u64::from(id), name: name.into() }
    }

    #[test]
    fn a_running_server_goes_before_an_installed_one() {
        let mut memory = Memory::default();
        let ask = || Said { version: Some("4.8".into()), identity: Some("ns1".into()) };
        let component = memory.component(&[process(5, "nsd")], &["sh", "nsd"], ask).unwrap();
        let Said { version, identity } = ask();
        assert_eq!(component, Component { state: State::Running, version, name: Some("nsd".into()), identity });
        let component = memory.component(&[], &["no-such-program", "sh"], ask).unwrap();
        assert_eq!(component, Component { state: State::Stopped, version: None, name: Some("sh".into()), identity: None });
        assert_eq!(memory.component(&[], &["no-such-program"], ask), None);
    }

    #[test]
    fn a_process_is_asked_for_its_version_once() {
        let (mut memory, asked) = (Memory::default(), Cell::new(0));
        let ask = || {
            asked.set(asked.get() + 1);
            let version = (asked.get() != 1 && asked.get() != 4).then(|| format!("{}", asked.get()));
            Said { version, identity: None }
        };
        let mut version = |id| memory.component(&[process(id, "sh")], &["sh"], ask).unwrap().version;
        // It had only begun the first time.
        assert_eq!([version(1), version(1), version(1)], [None, Some("2".into()), Some("2".into())]);
        assert_eq!(version(2), Some("3".into()), "another process");
        assert_eq!([version(3), version(3), version(3)], [None, Some("5".into()), Some("5".into())]);
        assert_eq!(asked.get(), 5);
    }

    #[test]
    fn a_backup_is_known_by_its_name_or_its_file() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("pid");
        let by_file = config::Components { backup_pid_file: Some(file.clone()), ..Default::default() };
        assert_eq!(backup(&by_file, &[]).unwrap().state, State::Stopped);
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        assert_eq!(backup(&by_file, &[]).unwrap().state, State::Running);
        let by_name = config::Components { backup_process: Some("borg".into()), ..Default::default() };
        assert_eq!(backup(&by_name, &[]).unwrap().state, State::Stopped);
        assert_eq!(backup(&by_name, &[process(1, "borg")]).unwrap().state, State::Running);
        assert_eq!(backup(&config::Components::default(), &[]), None);
    }
}
