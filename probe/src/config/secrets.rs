//! Tokens, and files that contain them.

use super::wrong;
use crate::Error;
use std::path::{Path, PathBuf};
use zonepulse_private::Secret;
use zonepulse_program::config::check_writers;

/// The token given in the configuration, directly or in a file, if there is one.
pub(super) fn token(place: &str, token: Option<&Secret>, file: Option<&PathBuf>) -> Result<Option<Secret>, Error> {
    match (token, file) {
        (Some(token), _) => check_token(token).map(|()| Some(token.clone())).map_err(|what| wrong(place, what)),
        (None, Some(file)) => read_token(file).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_token(path: &Path) -> Result<Secret, Error> {
    check_writers(path)?;
    let text = zonepulse_private::read(path).and_then(zonepulse_private::Contents::only_owner);
    let text = text.map_err(|error| match error {
        zonepulse_private::Error::File { source, .. } => {
            wrong(path.display(), format!("(the token file) cannot be read: {source}"))
        }
        error => error.into(),
    })?;
    let token = Secret::new(text.trim());
    check_token(&token).map_err(|what| wrong(path.display(), format!("the token {what}")))?;
    Ok(token)
}

pub(super) fn check_token(token: &Secret) -> Result<(), &'static str> {
    let text = token.reveal();
    if text.is_empty() {
        return Err("is empty");
    }
    let visible = text.bytes().all(|octet| octet.is_ascii_graphic());
    if visible { Ok(()) } else { Err("contains characters not allowed in a token (spaces, control or non-ASCII characters)") }
}
