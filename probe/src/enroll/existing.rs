//! Updates an existing configuration: enrolment replaces the credentials and leaves everything else
//! as it is.

use crate::Error;
use crate::config::Config;
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

/// The parts of the first line of a configuration that enrolment wrote.
const FIRST_LINE: (&str, &str) = ("# Server ", ": enrolled at ");

pub(super) struct Existing {
    path: PathBuf,
    document: DocumentMut,
}

/// What enrolment replaces: the credentials, what they belong to, and what the command line
/// specified.
pub(super) struct Credentials<'a> {
    pub server_id: u32,
    pub url: &'a str,
    pub token_file: &'a Path,
    /// How the central pulls, if it does; otherwise the configuration's settings for that stay.
    pub pull: Option<Pull<'a>>,
    pub ca_file: Option<&'a Path>,
    pub spool: Option<&'a Path>,
    /// The new first line, for a file that enrolment wrote.
    pub first_line: &'a str,
}

/// Settings of a probe that is pulled from.
pub(super) struct Pull<'a> {
    pub token_file: &'a Path,
    /// Where to listen, unless the configuration specifies it.
    pub listen: &'a str,
}

impl Existing {
    /// Reads a configuration.
    ///
    /// Fails with [`Error::Config`] when it is not valid TOML.
    pub(super) fn read(path: &Path) -> Result<Existing, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::disk("read", path))?;
        let wrong = |error: toml_edit::TomlError| Error::Config {
            place: path.display().to_string(),
            detail: format!(
                "is not valid TOML, so its settings cannot be kept; repair or remove it first: {}",
                error.to_string().trim_end()
            ),
        };
        Ok(Existing { path: path.to_owned(), document: text.parse().map_err(wrong)? })
    }

    /// The text with other credentials.
    ///
    /// Fails with [`Error::Config`] when the result would be an invalid configuration.
    pub(super) fn with(&self, credentials: &Credentials<'_>) -> Result<String, Error> {
        let mut document = self.document.clone();
        let root: &mut dyn TableLike = document.as_table_mut();
        set(root, "server_id", i64::from(credentials.server_id).into());
        let http = self.section(root, &["deliver", "http"])?;
        set(http, "url", credentials.url.into());
        set_file(http, "token", credentials.token_file);
        if let Some(Pull { token_file, listen }) = credentials.pull {
            let pull = self.section(root, &["pull"])?;
            set_file(pull, "token", token_file);
            if !pull.contains_key("listen") {
                set(pull, "listen", listen.into());
            }
        }
        if let Some(file) = credentials.ca_file {
            set(self.section(root, &["tls"])?, "ca_file", path(file));
        }
        if let Some(dir) = credentials.spool {
            set(self.section(root, &["spool"])?, "dir", path(dir));
        }
        let mut text = document.to_string();
        let first = text.lines().next().unwrap_or_default();
        if first.starts_with(FIRST_LINE.0) && first.contains(FIRST_LINE.1) {
            text.replace_range(..first.len(), credentials.first_line);
        }
        Config::check_text(&self.path, &text)?;
        Ok(text)
    }

    /// Returns a section, creating it if necessary.
    fn section<'a>(&self, root: &'a mut dyn TableLike, keys: &[&str]) -> Result<&'a mut dyn TableLike, Error> {
        let mut table = root;
        for (at, key) in keys.iter().enumerate() {
            let item = table.entry(key).or_insert_with(|| {
                let mut made = Table::new();
                // An outer section needs no header if it only contains other sections.
                made.set_implicit(at + 1 < keys.len());
                Item::Table(made)
            });
            table = item.as_table_like_mut().ok_or_else(|| Error::Config {
                place: self.path.display().to_string(),
                detail: format!("{}: is not a section", keys.join(".")),
            })?;
        }
        Ok(table)
    }
}

/// Sets a value and keeps the comment after it.
fn set(table: &mut dyn TableLike, key: &str, value: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// Sets the file of a secret. It replaces the secret itself if that is in the configuration, and
/// keeps the comment above.
fn set_file(table: &mut dyn TableLike, secret: &str, file: &Path) {
    let key = format!("{secret}_file");
    let decor = table.key(secret).map(|key| key.leaf_decor().clone());
    table.remove(secret);
    set(table, &key, path(file));
    if let (Some(decor), Some(mut key)) = (decor, table.key_mut(&key)) {
        *key.leaf_decor_mut() = decor;
    }
}

fn path(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}
