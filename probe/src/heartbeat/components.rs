//! Other services on the machine.
//!
//! A program is running if there is a process of its name, stopped if it is installed without a
//! process, and absent otherwise. Each process is asked for its version and identity once, since
//! they cannot change while it runs.

use super::chaos::{Inquiry, Progress, Said};
use super::kea;
use crate::config;
use crate::observe::OwnQuestions;
use crate::process::{self, DNS_SERVERS, Process};
use crate::version::version;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zonepulse_wire::{Component, Components, State};

/// Retry interval if nothing listened on the port.
const ASK_AGAIN: Duration = Duration::from_secs(300);

/// Looks at processes and remembers their answers.
#[derive(Debug)]
pub(super) struct Looker {
    settings: config::Components,
    /// Keeps track of the probe's own queries.
    own: Arc<OwnQuestions>,
    dns: Memory,
    dhcp4: Memory,
    dhcp6: Memory,
}

/// What a process answered.
#[derive(Debug, Default)]
struct Memory {
    process: Option<Process>,
    said: Said,
    inquiry: Inquiry,
    progress: Option<Progress>,
    asked: Option<Instant>,
    tries: u32,
}

impl Looker {
    pub(super) fn new(settings: config::Components, own: Arc<OwnQuestions>) -> Looker {
        Looker { settings, own, dns: Memory::default(), dhcp4: Memory::default(), dhcp6: Memory::default() }
    }

    /// Looks at the present state. Usually immediate; takes a few seconds at most.
    pub(super) fn look(&mut self) -> Components {
        let processes = process::all();
        let settings = &self.settings;
        let kea = |socket: &Option<PathBuf>, said: &mut Said| {
            said.version = socket.as_deref().and_then(kea::version);
            if said.version.is_some() { Progress::Done } else { Progress::Nobody }
        };
        let monitor = Component {
            state: State::Running,
            version: Some(version().to_owned()),
            name: Some("zonepulse-probe".to_owned()),
            identity: None,
        };
        let servers: Vec<&str> = settings.dns.as_deref().map_or_else(|| DNS_SERVERS.to_vec(), |name| vec![name]);
        let own = &self.own;
        let ask_dns = |inquiry: &mut Inquiry, said: &mut Said| match settings.ask_dns_version {
            true => inquiry.go_on(settings.dns_address, own, said),
            false => Progress::Done,
        };
        Components {
            dns: self.dns.component(&processes, &servers, ask_dns),
            monitor: Some(monitor),
            dhcp4: self.dhcp4.component(&processes, &["kea-dhcp4"], |_, said| kea(&settings.kea4_socket, said)),
            dhcp6: self.dhcp6.component(&processes, &["kea-dhcp6"], |_, said| kea(&settings.kea6_socket, said)),
            backup: backup(settings, &processes),
        }
    }
}

/// Continues the inquiry of a process.
trait Ask: FnMut(&mut Inquiry, &mut Said) -> Progress {}

impl<F: FnMut(&mut Inquiry, &mut Said) -> Progress> Ask for F {}

impl Memory {
    /// The first of these programs that is running, or else is installed.
    fn component(&mut self, processes: &[Process], programs: &[&str], ask: impl Ask) -> Option<Component> {
        let running = programs.iter().find_map(|program| processes.iter().find(|process| process::is(process, program)));
        if let Some(process) = running {
            let Said { version, identity } = self.said(process, ask);
            return Some(Component { state: State::Running, version, name: Some(process.name.clone()), identity });
        }
        *self = Memory::default();
        let installed = programs.iter().find(|program| process::is_installed(program))?;
        Some(Component { state: State::Stopped, version: None, name: Some((*installed).to_owned()), identity: None })
    }

    fn said(&mut self, process: &Process, mut ask: impl Ask) -> Said {
        if self.process.as_ref() != Some(process) {
            *self = Memory { process: Some(process.clone()), ..Memory::default() };
        }
        let is_due = match self.progress {
            None | Some(Progress::Waiting) => true,
            // A server that has just started may not listen yet, so try again with the next
            // heartbeat.
            Some(Progress::Nobody) => self.tries < 2 || self.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN),
            Some(Progress::Done) => false,
        };
        if is_due {
            self.progress = Some(ask(&mut self.inquiry, &mut self.said));
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
        Process { id, parent: 0, began: u64::from(id), name: name.into() }
    }

    #[test]
    fn a_running_server_goes_before_an_installed_one() {
        let mut memory = Memory::default();
        let all = Said { version: Some("4.8".into()), identity: Some("ns1".into()) };
        let ask = |_: &mut Inquiry, said: &mut Said| {
            *said = all.clone();
            Progress::Done
        };
        let component = memory.component(&[process(5, "nsd")], &["sh", "nsd"], ask).unwrap();
        let Said { version, identity } = all.clone();
        assert_eq!(component, Component { state: State::Running, version, name: Some("nsd".into()), identity });
        let component = memory.component(&[], &["no-such-program", "sh"], ask).unwrap();
        assert_eq!(component, Component { state: State::Stopped, version: None, name: Some("sh".into()), identity: None });
        assert_eq!(memory.component(&[], &["no-such-program"], ask), None);
    }

    #[test]
    fn a_process_is_asked_once_whatever_it_answers() {
        let (mut memory, asked) = (Memory::default(), Cell::new(0));
        let ask = |_: &mut Inquiry, said: &mut Said| {
            asked.set(asked.get() + 1);
            // Nothing listens at first; the third process refuses.
            said.version = matches!(asked.get(), 2 | 3).then(|| asked.get().to_string());
            if asked.get() == 1 { Progress::Nobody } else { Progress::Done }
        };
        let mut version = |id| memory.component(&[process(id, "sh")], &["sh"], ask).unwrap().version;
        assert_eq!([version(1), version(1), version(1)], [None, Some("2".into()), Some("2".into())]);
        assert_eq!(version(2), Some("3".into()), "a new process is not asked");
        assert_eq!([version(3), version(3), version(3)], [None, None, None]);
        assert_eq!(asked.get(), 4);
    }

    #[test]
    fn a_port_without_a_listener_is_tried_twice_and_then_rarely() {
        let (mut memory, asked) = (Memory::default(), Cell::new(0));
        let ask = |_: &mut Inquiry, _: &mut Said| {
            asked.set(asked.get() + 1);
            Progress::Nobody
        };
        for _ in 0..5 {
            memory.component(&[process(1, "sh")], &["sh"], ask);
        }
        assert_eq!(asked.get(), 2);
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
