//! Nodes, as users name them.

use std::fmt;
use std::str::FromStr;
use zonepulse_private::Secret;

/// The port of SSH.
const PORT: u16 = 22;
/// Maximum length of a user's or host's name.
const MAX_NAME: usize = 253;

/// A user on a host: `user@host[:port]`, with an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The user.
    pub user: String,
    /// The host, or its address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How to log in to a host.
#[derive(Debug, Clone)]
pub struct Login {
    /// The host and user.
    pub target: Target,
    /// The user's password, unless there is a key.
    pub password: Option<Secret>,
    /// The only key that is believed to be the host's, if it was told.
    pub host_key: Option<HostKey>,
}

/// A host's key, as an operator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKey {
    /// Its fingerprint, `SHA256:…`, as `ssh-keygen -l` prints it.
    Fingerprint(String),
    /// The key itself, `ssh-ed25519 AAAA…`.
    Key {
        /// Its type.
        kind: String,
        /// In base64.
        base64: String,
    },
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{text:?} {what}: write user@host, or user@host:port"));
        let Some((user, place)) = text.rsplit_once('@') else { return wrong("names no user") };
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, rest)) if rest.starts_with(':') => (host, rest.get(1..)),
                Some(_) => return wrong("has something other than a port after the bracket"),
                None => return wrong("has a bracket without an end"),
            },
            None => match place.split_once(':') {
                Some((_, port)) if port.contains(':') => return wrong("has an IPv6 address without brackets"),
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port.map(str::parse::<u16>) {
            None => PORT,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return wrong("has no port from 1 to 65535 after the colon"),
        };
        // They become arguments of programs.
        let is_name = |name: &str, more: &str| {
            !name.is_empty()
                && name.len() <= MAX_NAME
                && !name.starts_with('-')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        if !is_name(user, "._-") {
            return wrong("has a user with characters other than letters, digits and . _ -");
        }
        if !is_name(host, ".:_%-") {
            return wrong("has no host of letters, digits and . : _ % -");
        }
        Ok(Target { user: user.to_owned(), host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { user, host, port } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if *port == PORT { write!(f, "{user}@{host}") } else { write!(f, "{user}@{host}:{port}") }
    }
}

impl Target {
    /// The host as files of known hosts name it.
    pub(super) fn known_name(&self) -> String {
        if self.port == PORT { self.host.clone() } else { format!("[{}]:{}", self.host, self.port) }
    }
}

impl FromStr for HostKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_base64 =
            |text: &str| (1..=4096).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=".contains(c));
        if let Some(hash) = text.strip_prefix("SHA256:") {
            let fingerprint = HostKey::Fingerprint(text.to_owned());
            return if is_base64(hash) { Ok(fingerprint) } else { Err("the fingerprint is not in base64".to_owned()) };
        }
        let mut words = text.split_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(base64))
                if is_base64(base64) && kind.chars().all(|c| c.is_ascii_alphanumeric() || "-@.".contains(c)) =>
            {
                Ok(HostKey::Key { kind: kind.to_owned(), base64: base64.to_owned() })
            }
            _ => Err("it is neither a fingerprint (SHA256:…) nor a key (ssh-ed25519 AAAA…)".to_owned()),
        }
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostKey::Fingerprint(fingerprint) => f.write_str(fingerprint),
            HostKey::Key { kind, base64 } => write!(f, "{kind} {base64}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for text in ["root@ns1.example", "deploy@192.0.2.1:2222", "a.b_c-d@[2001:db8::1]:22022", "root@[2001:db8::1]"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!("root@ns1:22".parse::<Target>().unwrap().to_string(), "root@ns1");
    }

    #[test]
    fn what_ssh_could_take_for_an_option_or_a_command_is_no_target() {
        let refused = [
            "ns1",
            "root@",
            "@ns1",
            "root@-oProxyCommand=x",
            "-l@ns1",
            "root@ns1;id",
            "ro ot@ns1",
            "root@ns1:0",
            "root@ns1:x",
            "root@ns1:70000",
            "root@2001:db8::1",
            "root@[::1",
            "root@$(id)",
            "root@ns1:",
        ];
        for text in refused {
            let said = text.parse::<Target>().unwrap_err();
            assert!(said.contains("write user@host"), "{said}");
        }
    }

    #[test]
    fn a_host_key_is_a_fingerprint_or_a_key() {
        assert_eq!("SHA256:abc+/".parse(), Ok(HostKey::Fingerprint("SHA256:abc+/".to_owned())));
        let key = HostKey::Key { kind: "ssh-ed25519".to_owned(), base64: "AAAA".to_owned() };
        assert_eq!("ssh-ed25519 AAAA root@ns1".parse(), Ok(key));
        for text in ["", "MD5:aa", "SHA256:", "SHA256:a b", "ssh-ed25519", "ssh-ed25519 $(id)"] {
            assert!(text.parse::<HostKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn files_of_known_hosts_name_a_port_that_is_not_the_usual_one() {
        assert_eq!("a@ns1".parse::<Target>().unwrap().known_name(), "ns1");
        assert_eq!("a@127.0.0.1:2222".parse::<Target>().unwrap().known_name(), "[127.0.0.1]:2222");
    }
}
