//! Users and servers of a store: made, listed, given new secrets.
//!
//! Every secret is random or comes from whoever runs the program; none has a
//! default. The store keeps hashes only, so what is returned here is the one
//! time that a secret is seen.

use crate::Error;
use crate::credentials::{password, token};
use crate::time::now_ms;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zonepulse_store::{Server, Store, User};

/// The user that the first start makes.
pub const ADMINISTRATOR: &str = "admin";
/// The file in the data directory with that user's password.
const CREDENTIALS_FILE: &str = "admin-credentials";
/// Names are short enough for a line.
const LONGEST_NAME: usize = 128;

/// What a start finds of the first administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Administrator {
    /// This start made the user; the file holds the password too.
    Made {
        /// The password.
        password: String,
        /// Where it is written down.
        file: PathBuf,
    },
    /// An earlier start did, and the file is still there.
    Written(PathBuf),
    /// There are users, and no file.
    Known,
}

/// Makes the administrator where there is no user at all.
pub fn administrator(store: &Store, data: &Path) -> Result<Administrator, Error> {
    let file = data.join(CREDENTIALS_FILE);
    if !store.registry().users()?.is_empty() {
        return Ok(if file.exists() { Administrator::Written(file) } else { Administrator::Known });
    }
    let password = password::random()?;
    let text = format!(
        "# Made at the first start. `zonepulse user password {ADMINISTRATOR}` sets another password and removes this file.\n\
         user = \"{ADMINISTRATOR}\"\npassword = \"{password}\"\n"
    );
    // The file first: a user whose password nobody has would lock everybody out.
    write_private(&file, &text)?;
    store.registry().put_user(&User {
        name: ADMINISTRATOR.to_owned(),
        password_hash: password::hash(&password)?,
        administrator: true,
        created_ms: now_ms(),
    })?;
    Ok(Administrator::Made { password, file })
}

/// Makes a user. Without a password one is made up and returned.
pub fn add_user(store: &Store, name: &str, administrator: bool, password: Option<String>) -> Result<String, Error> {
    check_name("user", name)?;
    if name.contains(':') {
        return Err(Error::Argument(format!("{name:?} has a colon, which ends a name in HTTP Basic credentials")));
    }
    let password = chosen(password)?;
    let password_hash = password::hash(&password)?;
    store.registry().add_user(&User { name: name.to_owned(), password_hash, administrator, created_ms: now_ms() })?;
    Ok(password)
}

/// Gives a user another password. Without one, one is made up and returned.
pub fn set_password(store: &Store, data: &Path, name: &str, password: Option<String>) -> Result<String, Error> {
    let registry = store.registry();
    let missing = || Error::Argument(format!("there is no user {name:?}; `zonepulse user list` shows those there are"));
    let user = registry.user(name)?.ok_or_else(missing)?;
    let password = chosen(password)?;
    registry.put_user(&User { password_hash: password::hash(&password)?, ..user })?;
    if name == ADMINISTRATOR {
        forget_file(data)?;
    }
    Ok(password)
}

/// Removes a user; the last administrator stays.
pub fn remove_user(store: &Store, data: &Path, name: &str) -> Result<(), Error> {
    let users = store.registry().users()?;
    let others = users.iter().any(|user| user.administrator && user.name != name);
    if !others && users.iter().any(|user| user.name == name) {
        return Err(Error::Argument(format!("{name:?} is the last administrator; make another one first")));
    }
    store.registry().remove_user(name)?;
    if name == ADMINISTRATOR {
        forget_file(data)?;
    }
    Ok(())
}

/// Makes a server and its token.
pub fn add_server(store: &Store, name: &str, sample: bool) -> Result<(Server, String), Error> {
    check_name("server", name)?;
    let token = token::random()?;
    let server = store.registry().add_server(name, sample, token::hash(&token), now_ms())?;
    Ok((server, token))
}

/// Gives a server, named by its name or id, a new token; the old one ceases to be valid.
pub fn renew_token(store: &Store, name_or_id: &str) -> Result<(Server, String), Error> {
    let servers = store.registry().servers()?;
    let by_name = servers.iter().find(|server| server.name == name_or_id);
    let server = by_name.or_else(|| servers.iter().find(|server| server.id.to_string() == name_or_id));
    let missing = || Error::Argument(format!("there is no server {name_or_id:?}; `zonepulse server list` shows those there are"));
    let token = token::random()?;
    let server = Server { token_hash: token::hash(&token), ..server.ok_or_else(missing)?.clone() };
    store.registry().put_server(&server)?;
    Ok((server, token))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let unfinished = path.with_file_name(name);
    let write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        failed(error)
    })
}

fn forget_file(data: &Path) -> Result<(), Error> {
    let path = data.join(CREDENTIALS_FILE);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File { path, source }),
        _ => Ok(()),
    }
}

fn chosen(password: Option<String>) -> Result<String, Error> {
    match password {
        Some(password) if password.is_empty() => Err(Error::Argument("the password is empty".to_owned())),
        Some(password) => Ok(password),
        None => Ok(password::random()?),
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.trim() != name || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::Argument(format!(
            "{name:?} is no name for a {what}: 1 to {LONGEST_NAME} bytes, no control characters, no space at the ends"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;
    use zonepulse_store::Options;

    fn store() -> (TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options::default()).unwrap();
        (dir, store)
    }

    #[test]
    fn the_first_start_makes_an_administrator_and_later_ones_do_not() {
        let (dir, store) = store();
        let Administrator::Made { password, file } = administrator(&store, dir.path()).unwrap() else { panic!() };
        let user = store.registry().user(ADMINISTRATOR).unwrap().unwrap();
        assert!(user.administrator && password::verify(&password, &user.password_hash));
        assert!(fs::read_to_string(&file).unwrap().contains(&format!("password = \"{password}\"\n")));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Written(file));
    }

    #[test]
    fn a_new_password_makes_the_written_one_go() {
        let (dir, store) = store();
        administrator(&store, dir.path()).unwrap();
        let password = set_password(&store, dir.path(), ADMINISTRATOR, None).unwrap();
        assert!(password::verify(&password, &store.registry().user(ADMINISTRATOR).unwrap().unwrap().password_hash));
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
    }

    #[test]
    fn the_last_administrator_stays() {
        let (dir, store) = store();
        administrator(&store, dir.path()).unwrap();
        assert!(matches!(remove_user(&store, dir.path(), ADMINISTRATOR), Err(Error::Argument(_))));
        add_user(&store, "ann", true, None).unwrap();
        remove_user(&store, dir.path(), ADMINISTRATOR).unwrap();
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
    }

    #[test]
    fn names_that_cannot_be_used_are_refused() {
        let (_dir, store) = store();
        for name in ["", " a", "a\n", "a:b", &"x".repeat(129)] {
            assert!(matches!(add_user(&store, name, false, None), Err(Error::Argument(_))), "{name:?}");
        }
        assert!(matches!(add_user(&store, "ann", false, Some(String::new())), Err(Error::Argument(_))));
    }

    #[test]
    fn the_store_has_a_tokens_hash_and_never_the_token() {
        let (_dir, store) = store();
        let (server, token) = add_server(&store, "ns1", true).unwrap();
        assert_eq!((server.id, server.sample), (1, true));
        assert_eq!(store.registry().server(1).unwrap().unwrap().token_hash, token::hash(&token));
        assert!(matches!(add_server(&store, "ns1", false), Err(Error::Store(zonepulse_store::Error::NameTaken(_)))));
    }

    #[test]
    fn a_new_token_replaces_the_old_one() {
        let (_dir, store) = store();
        let (_, old) = add_server(&store, "ns1", false).unwrap();
        for name_or_id in ["ns1", "1"] {
            let (server, token) = renew_token(&store, name_or_id).unwrap();
            assert_eq!(store.registry().server(1).unwrap().unwrap(), server);
            assert_eq!(server.token_hash, token::hash(&token));
            assert_ne!(token, old);
        }
        assert!(matches!(renew_token(&store, "ns2"), Err(Error::Argument(_))));
    }
}
