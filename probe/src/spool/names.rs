//! The names of the files in a spool's directory, by which the spool knows its own.

use super::Key;
use std::ffi::OsString;
use std::path::Path;

pub(super) const LOCK: &str = "lock";
/// The directory of refused batches.
pub(super) const REFUSED: &str = "refused";
/// The directory of delivered batches that are kept.
pub(super) const DELIVERED: &str = "delivered";
/// Which delivered batches were sent again.
pub(super) const RESENT: &str = "resent.json";
/// What the next batch has to report.
pub(super) const NOTE: &str = "pending.json";
/// The central's last settings. Not part of the spool itself, but just as important.
pub(super) const SETTINGS: &str = "settings.json";

/// A file written only to see whether that is possible.
pub(super) const TRIAL: &str = ".trial.tmp";

/// Whether this is a file of the spool other than a batch.
pub(super) fn is_own(name: &str) -> bool {
    [LOCK, REFUSED, DELIVERED, RESENT, SETTINGS].contains(&name) || is_note(name)
}

/// Whether this is a file that is still being written.
pub(super) fn is_temporary(name: &str) -> bool {
    if name == TRIAL {
        return true;
    }
    let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    name.is_some_and(|name| Key::from_file_name(name).is_some() || is_note(name) || [SETTINGS, RESENT].contains(&name))
}

/// The name of a file while it is being written.
pub(super) fn temporary_name(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    name
}

/// `replay` keeps its spools inside this one; see [`crate::replay`].
pub(super) fn is_spool_of_replay(name: &str) -> bool {
    name.starts_with("replay-")
}

fn is_note(name: &str) -> bool {
    name.strip_prefix(NOTE).is_some_and(|rest| rest.is_empty() || rest == ".damaged")
}
