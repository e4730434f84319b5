//! Files that decide where the data goes, or hold what must not be seen.

use super::wrong;
use crate::{Error, Secret};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(super) fn read_token(path: &Path) -> Result<Secret, Error> {
    check_mode(path)?;
    warn_if_readable_by_all(path);
    let text = fs::read_to_string(path)
        .map_err(|error| wrong(path.display(), format!("(the file of the token) cannot be read: {error}")))?;
    let token = Secret::new(text.trim());
    check_token(&token).map_err(|what| wrong(path.display(), format!("the token {what}")))?;
    Ok(token)
}

pub(super) fn check_token(token: &Secret) -> Result<(), &'static str> {
    let text = token.expose();
    if text.is_empty() {
        return Err("is empty");
    }
    let visible = text.bytes().all(|octet| octet.is_ascii_graphic());
    if visible { Ok(()) } else { Err("has characters that no token has (spaces, control or non-ASCII characters)") }
}

/// Whoever may write such a file decides where the data goes.
pub(super) fn check_mode(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o002 != 0 => {
            Err(wrong(path.display(), "everybody may write to this file: take that right away (chmod o-w)"))
        }
        // What else is wrong with it shows when it is read.
        _ => Ok(()),
    }
}

pub(super) fn warn_if_readable_by_all(path: &Path) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
        tracing::warn!(file = %path.display(), "everybody on this machine may read a file that holds a credential (chmod o-r)");
    }
}
