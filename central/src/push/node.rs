//! What a node is, as a script there finds out.

use super::Order;
use super::ssh::quoted;

/// Room that a bundle and the program need, KiB, before their size is known.
const LEAST_FREE_KIB: u64 = 8 << 10;

/// Facts of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// `uname -m`, by the names of images.
    pub architecture: String,
    /// The version that a bundle has installed, if one has.
    pub version: Option<String>,
    /// Where that is.
    pub program_directory: String,
    /// Free space for temporary files, KiB.
    pub free_temporary_kib: u64,
    /// Free space where the program is installed, KiB.
    pub free_program_kib: u64,
    /// Whether it is enrolled already.
    pub is_enrolled: bool,
    /// Whether it reaches the central; none if it has no program to find out.
    pub reaches_central: Option<bool>,
    has_tar: bool,
    has_sudo: bool,
}

/// Begins a script with what `install.sh` is run with.
fn as_root(order: &Order) -> &'static str {
    if order.sudo { "sudo -n " } else { "" }
}

/// Finds out about a node.
pub(super) fn checking(order: &Order, url: Option<&str>) -> String {
    let root = as_root(order);
    let library = match &order.prefix {
        Some(prefix) => format!("prefix={}; lib=$prefix/lib etc=$prefix/etc", quoted(prefix)),
        None if order.sudo => SYSTEM.to_owned(),
        None => format!(
            "if [ \"$(id -u)\" = 0 ]; then {SYSTEM}; else \
             prefix=${{XDG_DATA_HOME:-$HOME/.local/share}}/zonepulse-probe; lib=$prefix/lib etc=$prefix/etc; fi"
        ),
    };
    let central = url.map_or_else(String::new, |url| {
        let url = quoted(&format!("{}/healthz", url.trim_end_matches('/')));
        // Only whether it is reached: the probe verifies the certificate.
        format!(
            "if command -v curl > /dev/null; then curl -s -k -o /dev/null -m 5 {url} && echo central=yes || echo central=no\n\
             elif command -v wget > /dev/null; then wget -q -T 5 --no-check-certificate -O /dev/null {url} && \
             echo central=yes || echo central=no\nfi\n"
        )
    });
    format!(
        "{library}\n\
         echo \"architecture=$(uname -m)\"\n\
         command -v tar > /dev/null && echo tar=yes\n\
         {root}true && echo sudo=yes\n\
         echo \"library=$lib\"\n\
         {root}test -f \"$etc/probe.toml\" && echo enrolled=yes\n\
         {root}test -x \"$lib/zonepulse-probe\" && echo \"version=$({root}\"$lib/zonepulse-probe\" --version)\"\n\
         echo \"temporary=$(df -P -k \"${{TMPDIR:-/tmp}}\" | tail -n 1)\"\n\
         at=$lib; while [ ! -d \"$at\" ]; do at=$(dirname \"$at\"); done\n\
         echo \"program=$(df -P -k \"$at\" | tail -n 1)\"\n\
         {central}exit 0\n"
    )
}

const SYSTEM: &str = "lib=/usr/local/lib/zonepulse-probe etc=/etc/zonepulse-probe";

/// Reads what that script printed.
pub(super) fn read(printed: &str) -> Node {
    let mut node = Node::default();
    for (name, value) in printed.lines().filter_map(|line| line.split_once('=')) {
        // df: file system, size, used, available, …
        let free = || value.split_whitespace().nth(3).and_then(|kib| kib.parse().ok()).unwrap_or(0);
        match name {
            "architecture" => {
                node.architecture = match value {
                    "amd64" => "x86_64",
                    "arm64" => "aarch64",
                    other => other,
                }
                .to_owned();
            }
            "tar" => node.has_tar = true,
            "sudo" => node.has_sudo = true,
            "library" => node.program_directory = value.to_owned(),
            "enrolled" => node.is_enrolled = true,
            "version" => node.version = value.split_whitespace().nth(1).map(str::to_owned),
            "temporary" => node.free_temporary_kib = free(),
            "program" => node.free_program_kib = free(),
            "central" => node.reaches_central = Some(value == "yes"),
            _ => {}
        }
    }
    node
}

impl Node {
    /// What keeps the node from getting a probe, and what to do.
    pub(super) fn obstacle(&self, order: &Order, url: Option<&str>) -> Option<String> {
        if self.architecture.is_empty() {
            return Some("the node runs no commands: does the user have a shell?".to_owned());
        }
        if !self.has_tar {
            return Some("the node has no tar: install it".to_owned());
        }
        if !self.has_sudo {
            return Some(
                "sudo asks for a password, or is not allowed: log in as root, or allow sudo without a password".to_owned(),
            );
        }
        for (what, free) in [("temporary files", self.free_temporary_kib), ("the program", self.free_program_kib)] {
            if free < LEAST_FREE_KIB {
                return Some(format!("the node has only {free} KiB for {what}, and {LEAST_FREE_KIB} are needed"));
            }
        }
        if order.kind == super::Kind::Update && self.version.is_none() {
            return Some(format!(
                "no probe of a bundle is installed in {}: install it, or update its package",
                self.program_directory
            ));
        }
        if self.reaches_central == Some(false) && !self.is_enrolled {
            let url = url.unwrap_or("the central");
            return Some(format!(
                "the node does not reach {url}, where its probe has to enrol: is the address right, and the firewall open?"
            ));
        }
        None
    }

    /// The node in a few words.
    pub(super) fn summary(&self) -> String {
        let version = self.version.as_ref().map_or_else(|| "no probe".to_owned(), |version| format!("probe {version}"));
        let central = match self.reaches_central {
            Some(true) => "reaches the central",
            Some(false) => "does not reach the central",
            None => "has no curl or wget to see whether it reaches the central",
        };
        let free_mib = self.free_program_kib.min(self.free_temporary_kib) / 1024;
        format!("{}, {version}, {free_mib} MiB free, {central}", self.architecture)
    }
}

/// Takes a bundle from standard input into a new directory, whose path it prints.
pub(super) const RECEIVING: &str = "umask 077\nd=$(mktemp -d) || exit 1\n\
    if cat > \"$d/setup.tar\"; then wc -c < \"$d/setup.tar\"; echo \"directory=$d\"; else rm -rf \"$d\"; exit 1; fi\n";

/// Unpacks the bundle in a directory, runs its `install.sh`, and removes the directory.
pub(super) fn installing(order: &Order, directory: &str) -> String {
    let (root, server_id, d) = (as_root(order), order.server_id, quoted(directory));
    let prefix = order.prefix.as_ref().map(|prefix| format!(" --prefix {}", quoted(prefix))).unwrap_or_default();
    let enroll = if order.enroll { " --enroll" } else { "" };
    format!(
        "umask 077\ncd {d} && tar -xf setup.tar && rm setup.tar && {root}sh setup-{server_id}/install.sh{prefix}{enroll}\n\
         code=$?\ncd / && {root}rm -rf {d}\nexit $code\n"
    )
}

/// Returns to the version before.
pub(super) fn rolling_back(order: &Order, node: &Node) -> String {
    format!("{}sh {} --rollback\n", as_root(order), quoted(&format!("{}/install.sh", node.program_directory)))
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Login};
    use super::*;
    use std::path::PathBuf;
    use std::process::Command;

    fn order(kind: Kind, prefix: Option<&str>) -> Order {
        Order {
            server_id: 3,
            kind,
            node: Login { target: "a@b".parse().unwrap(), password: None, host_key: None },
            jump: None,
            identity: None,
            known_hosts: Vec::new(),
            accept_new_host_key: false,
            configuration: None,
            enroll: false,
            sudo: false,
            prefix: prefix.map(str::to_owned),
            wait: super::super::DEFAULT_WAIT,
            work: PathBuf::new(),
        }
    }

    #[test]
    fn this_machine_is_described() {
        let order = order(Kind::Install, Some("/nowhere/it's"));
        for shell in ["dash", "bash"] {
            let output = Command::new(shell).arg("-c").arg(checking(&order, Some("http://127.0.0.1:1"))).output();
            let Ok(output) = output else { continue };
            let node = read(&String::from_utf8(output.stdout).unwrap());
            assert_eq!(node.program_directory, "/nowhere/it's/lib");
            assert!(["x86_64", "aarch64"].contains(&node.architecture.as_str()) && node.version.is_none(), "{node:?}");
            assert!(node.free_temporary_kib > 0 && node.free_program_kib > 0 && node.reaches_central != Some(true), "{node:?}");
        }
    }

    #[test]
    fn an_obstacle_is_named() {
        let good = read(
            "architecture=amd64\ntar=yes\nsudo=yes\nlibrary=/l\ntemporary=/dev/x 9 9 99999 1% /\nprogram=/dev/x 9 9 99999 1% /\n",
        );
        assert_eq!((good.architecture.as_str(), good.obstacle(&order(Kind::Install, None), None)), ("x86_64", None));
        let said = |node: Node, kind| node.obstacle(&order(kind, None), Some("https://c")).unwrap();
        assert!(said(good.clone(), Kind::Update).contains("/l"));
        assert!(said(Node { has_tar: false, ..good.clone() }, Kind::Install).contains("tar"));
        assert!(said(Node { has_sudo: false, ..good.clone() }, Kind::Install).contains("sudo"));
        assert!(said(Node { free_program_kib: 7, ..good.clone() }, Kind::Install).contains("7 KiB"));
        assert!(said(Node { reaches_central: Some(false), ..good.clone() }, Kind::Install).contains("https://c"));
        assert!(said(Node::default(), Kind::Install).contains("shell"));
        let enrolled = Node { reaches_central: Some(false), is_enrolled: true, ..good };
        assert_eq!(enrolled.obstacle(&order(Kind::Install, None), None), None, "the central may pull from it");
    }
}
