//! Running programs, by process name.

use std::fs;
use std::path::Path;

/// DNS servers recognised by process name, likelier ones first.
pub(crate) const DNS_SERVERS: [&str; 5] = ["knotd", "unbound", "named", "nsd", "pdns_server"];
/// Where programs are installed.
const FOLDERS: [&str; 6] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];
/// The kernel truncates names to this length (proc(5), `comm`), octets.
const MAX_NAME: usize = 15;

/// A process, distinct from a later one with the same ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// When it started, ticks since boot.
    pub(crate) began: u64,
    pub(crate) name: String,
}

/// All processes, the oldest of each name first.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut all: Vec<Process> = ids.filter_map(of).collect();
    all.sort_unstable_by_key(|process| (process.began, process.id));
    all
}

/// The process with this ID, if there is one.
pub(crate) fn of(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // id (name) state …; the name may contain spaces and parentheses.
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut rest = rest.split_ascii_whitespace();
    // A zombie no longer runs.
    let runs = rest.next().is_some_and(|state| !matches!(state, "Z" | "X"));
    let parent = rest.next()?.parse().ok()?;
    let began = rest.nth(17)?.parse().ok()?;
    runs.then(|| Process { id, parent, began, name: name.to_owned() })
}

/// Whether a process has this program's name.
pub(crate) fn is(process: &Process, program: &str) -> bool {
    process.name == program || program.len() > MAX_NAME && program.get(..MAX_NAME) == Some(&process.name)
}

/// Whether a program is installed, running or not.
pub(crate) fn is_installed(program: &str) -> bool {
    FOLDERS.iter().any(|folder| Path::new(folder).join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_found_while_it_runs() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let began = std::time::Instant::now();
        let found = |id| all().into_iter().find(|process| process.id == id && is(process, "sleep"));
        // Until the child has executed its program.
        while found(child.id()).is_none() && began.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let process = found(child.id()).unwrap();
        assert_eq!(process.parent, std::process::id());
        assert_eq!(of(child.id()), Some(process));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(of(child.id()), None);
    }

    #[test]
    fn long_names_are_known_by_their_beginning() {
        let process = Process { id: 1, parent: 0, began: 1, name: "a-very-long-nam".into() };
        assert!(is(&process, "a-very-long-name-indeed") && !is(&process, "a-very-long-na"));
        assert!(is_installed("sh") && !is_installed("no-such-program"));
    }
}
