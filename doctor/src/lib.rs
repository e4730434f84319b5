//! Diagnostics as the probe and the central share them.
//!
//! * A [`Check`] says what was found about a subject and, if something is wrong, what to do; a [`Report`]
//!   has one for each subject, and [`text()`] shows it to a person.
//! * A [`Bundle`] is a report with files that help to understand it, for somebody who cannot log in.
//!   [`Secrets`] removes from both what must not be shown.
//! * [`machine`] describes this one for a bundle.
//! * [`network`], [`tls`], [`certificate`] and [`broker`] find out about peers, within [`PATIENCE`].
//!
//! What is checked, and what follows from it, is the programs' own.

pub mod broker;
mod bundle;
pub mod certificate;
pub mod machine;
pub mod network;
mod report;
mod secrets;
mod text;
pub mod tls;

pub use bundle::{Bundle, BundleError, File, MAX_BUNDLE_BYTES};
pub use report::{About, Check, Report, Status, Subject};
pub use secrets::Secrets;
pub use text::{LONGEST_ID, text};

use std::time::Duration;

/// Time limit of each step over the network. The programs themselves wait longer, but a person should not have to.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A time as UTC, `2026-11-21T10:15:22Z`.
pub fn utc(time_s: u64) -> String {
    let time = i64::try_from(time_s).ok().and_then(|time_s| jiff::Timestamp::from_second(time_s).ok());
    time.map_or_else(|| format!("{time_s} s after 1970"), |time| time.to_string())
}

/// A path as an argument of a command that may be copied into a shell.
pub fn argument(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn times_are_those_of_utc() {
        assert_eq!(utc(1_795_256_122), "2026-11-21T10:15:22Z");
        assert_eq!(utc(u64::MAX), format!("{} s after 1970", u64::MAX));
    }

    #[test]
    fn paths_are_arguments_for_a_shell() {
        assert_eq!(argument(Path::new("/etc/zonepulse-probe/probe.toml")), "/etc/zonepulse-probe/probe.toml");
        assert_eq!(argument(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }
}
