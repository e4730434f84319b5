//! The file that says which servers a simulated fleet consists of, and what each shows at the door.

use crate::Error;
use crate::accounts::write_private;
use figment::Figment;
use figment::providers::{Format, Toml};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::Path;

/// A server that the central knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its number.
    pub id: u32,
    /// Its token.
    pub token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    servers: Vec<Known>,
}

/// Reads the servers of a file.
pub fn read_servers(path: &Path) -> Result<Vec<Known>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let read = Figment::from(Toml::string(&text)).extract::<File>();
    Ok(read.map_err(|error| Error::Config(format!("{}: {error}", path.display())))?.servers)
}

/// Writes a file that only its owner can read.
pub fn write_servers(path: &Path, servers: &[Known]) -> Result<(), Error> {
    let mut text = "# Servers of a simulated fleet, and their tokens.\nservers = [\n".to_owned();
    for Known { id, token } in servers {
        // Writing into memory cannot fail.
        let _ = writeln!(text, "  {{ id = {id}, token = {} }},", serde_json::json!(token));
    }
    text.push_str("]\n");
    write_private(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.toml");
        let servers = [Known { id: 1, token: "a\"b".to_owned() }, Known { id: 9, token: "c".to_owned() }];
        write_servers(&path, &servers).unwrap();
        assert_eq!(read_servers(&path).unwrap(), servers);
    }
}
