//! The file with the servers of a simulated fleet and their tokens.

use crate::Error;
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;
use zonepulse_private::{Prepared, Secret};

/// A simulated server. The central knows it by id and token like any other.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its id.
    pub id: u32,
    /// Its token.
    pub token: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    servers: Vec<Known>,
}

/// Reads the servers from a file. Fails if users other than its owner and root can read it.
pub fn read_servers(path: &Path) -> Result<Vec<Known>, Error> {
    let text = zonepulse_private::read(path)?.only_owner_or_root()?;
    let read = Figment::from(Toml::string(&text)).extract::<File>();
    let wrong = |error: figment::Error| Error::Fleet { path: path.to_owned(), why: error.to_string() };
    Ok(read.map_err(wrong)?.servers)
}

/// Writes the servers to a file that only its owner can read.
pub fn write_servers(file: Prepared, servers: &[Known]) -> Result<(), Error> {
    let mut text = "# Servers of a simulated fleet, and their tokens.\nservers = [\n".to_owned();
    for Known { id, token } in servers {
        // Writing to memory cannot fail.
        let _ = writeln!(text, "  {{ id = {id}, token = {} }},", serde_json::json!(token.reveal()));
    }
    text.push_str("]\n");
    Ok(file.write(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.toml");
        let servers = [Known { id: 1, token: "a\"b".into() }, Known { id: 9, token: "c".into() }];
        write_servers(Prepared::new(&path, false).unwrap(), &servers).unwrap();
        assert_eq!(read_servers(&path).unwrap(), servers);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.toml");
        write_servers(Prepared::new(&path, false).unwrap(), &[Known { id: 1, token: "hush".into() }]).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let said = read_servers(&path).unwrap_err().to_string();
        assert!(said.contains(&format!("chmod 600 {}", path.display())) && !said.contains("hush"), "{said}");
    }
}
