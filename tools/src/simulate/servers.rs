//! The file that says which servers a simulated fleet consists of, and what each shows at the door.

use crate::Error;
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;
use zonepulse_private::{Prepared, Secret};

/// A server that the central knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its number.
    pub id: u32,
    /// Its token.
    pub token: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    servers: Vec<Known>,
}

/// Reads the servers of a file, which only its owner may read.
pub fn read_servers(path: &Path) -> Result<Vec<Known>, Error> {
    let text = zonepulse_private::read(path)?.only_owner_or_root()?;
    let read = Figment::from(Toml::string(&text)).extract::<File>();
    Ok(read.map_err(|error| Error::Config(format!("{}: {error}", path.display())))?.servers)
}

/// Writes the servers into a file that only its owner can read.
pub fn write_servers(file: Prepared, servers: &[Known]) -> Result<(), Error> {
    let mut text = "# Servers of a simulated fleet, and their tokens.\nservers = [\n".to_owned();
    for Known { id, token } in servers {
        // Writing into memory cannot fail.
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
