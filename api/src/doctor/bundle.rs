//! The report of a central with what helps to understand it.

use super::Examined;
use crate::data::STORE;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;
use zonepulse_doctor::{Bundle, machine, utc};

/// Maximum number of files that are listed.
const MOST_FILES: usize = 1000;

/// A bundle with everything that can be found out. It contains no secrets.
pub fn bundle(examined: Examined) -> Bundle {
    let Examined { report, settings, secrets } = examined;
    let mut bundle = Bundle::new(report);
    if let Some(settings) = settings {
        let configuration = settings.to_toml().unwrap_or_else(|error| error.to_string());
        bundle.add("configuration.toml", &configuration, &secrets);
        bundle.add("store.txt", &listing(&settings.data.join(STORE)), &secrets);
    }
    bundle.add("versions.json", concat!("{\"central\": \"", env!("CARGO_PKG_VERSION"), "\"}\n"), &secrets);
    bundle.add("machine.txt", &machine::facts(), &secrets);
    bundle
}

/// Names, sizes and times of the store's files.
fn listing(store: &Path) -> String {
    let mut files = Vec::new();
    for entry in fs::read_dir(store).into_iter().flatten().flatten().take(MOST_FILES) {
        let Ok(metadata) = entry.metadata() else { continue };
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        files.push((entry.file_name(), metadata.len(), modified.map_or(0, |time| time.as_secs())));
    }
    files.sort();
    let mut text = String::new();
    for (name, size_bytes, time_s) in files {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{size_bytes:>12}  {}  {}", utc(time_s), name.display());
    }
    text
}
