//! Reads a secret from a person or another program rather than from the arguments.

use crate::{Error, Secret, permissions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Maximum length of a secret, bytes.
const MAX_BYTES: u64 = 4096;

/// Reads the first line of standard input. On a terminal it prompts for it, without echo.
pub fn secret_from_stdin(prompt: &str) -> Result<Secret, Error> {
    let stdin = io::stdin();
    let unreadable = Error::file(Path::new("standard input"));
    if !stdin.is_terminal() {
        return first_line(stdin.lock()).map_err(unreadable)?;
    }
    let mut out = io::stderr();
    // The prompt is not essential.
    let _ = write!(out, "{prompt}: ").and_then(|()| out.flush());
    let read = {
        let _silent = Silent::new(stdin.as_raw_fd());
        first_line(stdin.lock())
    };
    let _ = writeln!(out);
    read.map_err(unreadable)?
}

/// Reads the first line of a file that only its owner may read.
pub fn secret_from_file(path: &Path) -> Result<Secret, Error> {
    let text = permissions::read(path)?.only_owner()?;
    let secret = first_line(text.as_bytes()).map_err(Error::file(path))??;
    if secret.is_empty() {
        return Err(Error::Secret(format!("{} is empty: the secret is its first line", path.display())));
    }
    Ok(secret)
}

fn first_line(from: impl BufRead) -> io::Result<Result<Secret, Error>> {
    let mut line = String::new();
    from.take(MAX_BYTES + 1).read_line(&mut line)?;
    if line.len() as u64 > MAX_BYTES {
        return Ok(Err(Error::Secret(format!("the secret exceeds {MAX_BYTES} bytes"))));
    }
    Ok(Ok(Secret::new(line.trim_end_matches(['\r', '\n']))))
}

/// A terminal without echo, until dropped.
struct Silent {
    terminal: i32,
    before: libc::termios,
}

impl Silent {
    fn new(terminal: i32) -> Option<Self> {
        // SAFETY: the structure consists of plain numbers, for which zero is valid.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a valid value.
        if unsafe { libc::tcgetattr(terminal, &raw mut before) } != 0 {
            return None;
        }
        let silent = libc::termios { c_lflag: before.c_lflag & !libc::ECHO, ..before };
        // SAFETY: the pointer is to a valid value.
        (unsafe { libc::tcsetattr(terminal, libc::TCSAFLUSH, &raw const silent) } == 0).then_some(Silent { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a valid value.
        unsafe { libc::tcsetattr(self.terminal, libc::TCSAFLUSH, &raw const self.before) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_one_line_of_bounded_length() {
        assert_eq!(first_line(&b"hush \r\nmore"[..]).unwrap().unwrap().reveal(), "hush ");
        assert_eq!(first_line(&b""[..]).unwrap().unwrap().reveal(), "");
        assert!(first_line(&vec![b'x'; 5000][..]).unwrap().is_err());
        assert!(first_line(&[0xff, b'\n'][..]).is_err());
    }

    #[test]
    fn a_file_with_a_secret_must_be_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "hush\n").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = secret_from_file(&path).unwrap_err().to_string();
            assert!(refused.contains(&format!("chmod 600 {}", path.display())), "{mode:o}: {refused}");
            assert!(!refused.contains("hush"));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secret_from_file(&path).unwrap().reveal(), "hush");
        fs::write(&path, "\n").unwrap();
        assert!(secret_from_file(&path).unwrap_err().to_string().contains("is empty"));
    }
}
