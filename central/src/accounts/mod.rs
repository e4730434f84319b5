//! Users and servers of a store: creating them, listing them and renewing their secrets.
//!
//! Every secret is random or given by the operator; none has a default. The store keeps only hashes, so the value
//! returned here is the only time a secret is visible. [`users`] holds the changes that users make to themselves and
//! others.

pub mod users;

use crate::Error;
use crate::credentials::password;
use crate::servers::secret::{Credential, ServerSecret};
use crate::time::now_ms;
use std::fs;
use std::path::{Path, PathBuf};
use zonepulse_private::{Prepared, Secret};
use zonepulse_store::{Actor, Registry, Rights, Server, Store, User, are_alike};

/// Name of the user created on the first start.
pub const ADMINISTRATOR: &str = "admin";
/// File in the data directory that holds that user's password.
pub const CREDENTIALS_FILE: &str = "admin-credentials";
/// Minimum password length, bytes.
const SHORTEST_PASSWORD: usize = 8;
/// Maximum password length, bytes: bounds the time spent hashing.
const LONGEST_PASSWORD: usize = 1000;

/// State of the first administrator at startup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Administrator {
    /// This start created the user; the file also holds the password.
    Made {
        /// The password.
        password: Secret,
        /// The file that holds it.
        file: PathBuf,
    },
    /// An earlier start created the user, and the file still exists.
    Written(PathBuf),
    /// An administrator exists, and there is no file.
    Known,
    /// No administrator exists and none could be created: this user, not an administrator, has the name or one that
    /// looks the same.
    Missing(String),
}

/// Creates an administrator if there is none, even if other users exist: nobody else could grant access.
pub fn administrator(store: &Store, data: &Path) -> Result<Administrator, Error> {
    let file = data.join(CREDENTIALS_FILE);
    let users = store.registry().users()?;
    let is_there = users.iter().any(|user| user.name == ADMINISTRATOR);
    if users.iter().any(|user| user.administrator) {
        // Without that user, the file is left over from a failed start.
        return Ok(if is_there && file.exists() { Administrator::Written(file) } else { Administrator::Known });
    }
    if let Some(user) = in_the_way(&users) {
        // Someone else knows that user's password.
        return Ok(Administrator::Missing(user.name.clone()));
    }
    let password = Secret::new(password::random()?);
    let text = format!(
        "# Made at the first start. `zonepulse user password {ADMINISTRATOR}` sets another password and removes this file.\n\
         user = \"{ADMINISTRATOR}\"\npassword = \"{}\"\n",
        password.reveal()
    );
    // Write the file first: a user whose password is unknown would lock everyone out. An existing file is left over
    // from a start that failed before it created the user.
    Prepared::new(&file, true)?.write(&text)?;
    let user = NewUser { name: ADMINISTRATOR, password: Some(password.clone()), administrator: true, rights: Rights::ALL };
    if let Err(error) = make_user(&here(store), user, now_ms()) {
        forget_file(data)?;
        return Err(error);
    }
    Ok(Administrator::Made { password, file })
}

/// The user that prevents creating an administrator because it has the name or one that looks the same.
fn in_the_way(users: &[User]) -> Option<&User> {
    users.iter().find(|user| are_alike(&user.name, ADMINISTRATOR))
}

/// A user to create.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// The name to log in with.
    pub name: &'a str,
    /// The password; generated if absent.
    pub password: Option<Secret>,
    /// Whether the user is an administrator, who may do everything.
    pub administrator: bool,
    /// The rights of a user who is not an administrator.
    pub rights: Rights,
}

/// Creates a user and returns the password.
pub fn make_user(registry: &Registry<'_>, user: NewUser<'_>, created_ms: u64) -> Result<Secret, Error> {
    let NewUser { name, password, administrator, rights } = user;
    let password = chosen(password)?;
    let password_hash = password::hash(password.reveal())?;
    let name = name.to_owned();
    registry.add_user(&User { name, password_hash, administrator, created_ms, rights, tokens: Vec::new() })?;
    Ok(password)
}

/// The hash to store for a password, and the password itself if it was generated.
pub fn hashed(password: Option<Secret>) -> Result<(Option<Secret>, String), Error> {
    let made_up = password.is_none();
    let password = chosen(password)?;
    let hash = password::hash(password.reveal())?;
    Ok((made_up.then_some(password), hash))
}

/// Whether there is an administrator.
pub fn has_administrator(store: &Store) -> Result<bool, Error> {
    Ok(store.registry().users()?.iter().any(|user| user.administrator))
}

/// Whether the next start creates an administrator: there is none, and no user has the name or one that looks the same.
pub fn makes_administrator(store: &Store) -> Result<bool, Error> {
    let users = store.registry().users()?;
    Ok(!users.iter().any(|user| user.administrator) && in_the_way(&users).is_none())
}

/// Creates a user with read access. Without a password, one is generated and returned. The name of the administrator
/// that the next start creates, and names that look the same, are reserved for an administrator.
pub fn add_user(store: &Store, name: &str, administrator: bool, password: Option<Secret>) -> Result<Secret, Error> {
    if are_alike(name, ADMINISTRATOR) && !administrator && !has_administrator(store)? {
        let which = if name == ADMINISTRATOR { String::new() } else { format!("looks like {ADMINISTRATOR}, which ") };
        return Err(Error::Argument(format!(
            "{name} {which}is the administrator whom the first `zonepulse serve` makes: say `zonepulse user add {name} --administrator`, \
             or take another name"
        )));
    }
    let user = NewUser { name, password, administrator, rights: Rights::default() };
    make_user(&here(store), user, now_ms())
}

/// Changes a user's password. Without a password, one is generated and returned.
pub fn set_password(store: &Store, data: &Path, name: &str, password: Option<Secret>) -> Result<Secret, Error> {
    let password = chosen(password)?;
    let password_hash = password::hash(password.reveal())?;
    change_user(store, name, |user| user.password_hash = password_hash)?;
    if name == ADMINISTRATOR {
        forget_file(data)?;
    }
    Ok(password)
}

/// Changes a user; the last administrator cannot be demoted.
pub fn change_user(store: &Store, name: &str, change: impl FnOnce(&mut User)) -> Result<User, Error> {
    let changed = here(store).change_user(name, "user.change", |user| {
        change(user);
        Ok::<_, zonepulse_store::Error>(())
    });
    changed.map_err(|error| match error {
        zonepulse_store::Error::Missing(..) => {
            Error::Argument(format!("there is no user {name:?}; `zonepulse user list` shows those there are"))
        }
        error => error.into(),
    })
}

/// Removes a user; the last administrator cannot be removed.
pub fn remove_user(store: &Store, data: &Path, name: &str) -> Result<(), Error> {
    here(store).remove_user(name)?;
    if name == ADMINISTRATOR {
        forget_file(data)?;
    }
    Ok(())
}

/// Creates a server and its token.
pub fn add_server(store: &Store, name: &str, sample: bool) -> Result<(Server, String), Error> {
    let token = ServerSecret::make(Credential::Token, now_ms())?;
    Ok((make_server(store, name, sample, &token)?, token.reveal().to_owned()))
}

/// Creates a server with a secret.
pub fn make_server(store: &Store, name: &str, sample: bool, secret: &ServerSecret) -> Result<Server, Error> {
    here(store).make_server(name, |server| {
        (server.sample, server.created_ms) = (sample, now_ms());
        secret.give(server, true);
        Ok(())
    })
}

/// Gives a server, identified by name or id, a new secret; the old ones stop working immediately.
pub fn renew_secret(store: &Store, name_or_id: &str, secret: &ServerSecret) -> Result<Server, Error> {
    here(store).change_server(find_server(store, name_or_id)?.id, "server.token", |server| {
        // From now on nobody else has a secret for it.
        secret.give(server, true);
        Ok(())
    })
}

/// Finds a server by name or id. An argument that is the name of one server and the id of another is ambiguous.
pub fn find_server(store: &Store, name_or_id: &str) -> Result<Server, Error> {
    server_of(&store.registry().servers()?, name_or_id).cloned()
}

fn server_of<'s>(servers: &'s [Server], name_or_id: &str) -> Result<&'s Server, Error> {
    let named = servers.iter().find(|server| server.name == name_or_id && !server.is_removed());
    let numbered = servers.iter().find(|server| server.id.to_string() == name_or_id);
    if let (Some(named), Some(numbered)) = (named, numbered)
        && named.id != numbered.id
    {
        return Err(Error::Argument(format!(
            "{name_or_id:?} is the name of server {} and the id of server {:?}: give the id of the first or the name of the \
             second; a name can be changed with PATCH /api/v2/pvservers/ID",
            named.id, numbered.name
        )));
    }
    let found = named.or(numbered);
    let missing = || Error::Argument(format!("there is no server {name_or_id:?}; `zonepulse server list` shows those there are"));
    found.ok_or_else(missing)
}

/// The registry, for changes made from this machine's command line.
pub fn here(store: &Store) -> Registry<'_> {
    let actor = Actor { who: "the command line".to_owned(), from: "this machine".to_owned(), now_ms: now_ms() };
    // Anyone who may open the store can read the secrets in it.
    store.registry().by(actor).as_owner()
}

fn forget_file(data: &Path) -> Result<(), Error> {
    let path = data.join(CREDENTIALS_FILE);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File { path, source }),
        _ => Ok(()),
    }
}

fn chosen(password: Option<Secret>) -> Result<Secret, Error> {
    match password {
        Some(password) if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&password.reveal().len()) => {
            Err(Error::Password(password::Error::Length(SHORTEST_PASSWORD, LONGEST_PASSWORD)))
        }
        Some(password) => Ok(password),
        None => Ok(password::random()?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::token;
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
        assert!(user.administrator && password::verify(password.reveal(), &user.password_hash));
        assert!(fs::read_to_string(&file).unwrap().contains(&format!("password = \"{}\"\n", password.reveal())));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Written(file));
    }

    #[test]
    fn a_new_password_makes_the_written_one_go() {
        let (dir, store) = store();
        administrator(&store, dir.path()).unwrap();
        let password = set_password(&store, dir.path(), ADMINISTRATOR, None).unwrap();
        assert!(password::verify(password.reveal(), &store.registry().user(ADMINISTRATOR).unwrap().unwrap().password_hash));
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
    }

    #[test]
    fn the_last_administrator_stays() {
        let (dir, store) = store();
        administrator(&store, dir.path()).unwrap();
        let refused = remove_user(&store, dir.path(), ADMINISTRATOR);
        assert!(matches!(refused, Err(Error::Store(zonepulse_store::Error::LastAdministrator(_)))));
        add_user(&store, "ann", true, None).unwrap();
        remove_user(&store, dir.path(), ADMINISTRATOR).unwrap();
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
    }

    #[test]
    fn a_user_who_is_made_before_the_first_start_does_not_keep_the_administrator_away() {
        let (dir, store) = store();
        add_user(&store, "ann", false, None).unwrap();
        assert!(!has_administrator(&store).unwrap());
        assert!(matches!(administrator(&store, dir.path()).unwrap(), Administrator::Made { .. }));
        assert!(store.registry().user(ADMINISTRATOR).unwrap().unwrap().administrator);
        assert!(!store.registry().user("ann").unwrap().unwrap().administrator);
    }

    #[test]
    fn an_administrator_who_is_made_before_the_first_start_is_the_only_one() {
        let (dir, store) = store();
        add_user(&store, "ann", true, None).unwrap();
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
        assert_eq!(store.registry().user(ADMINISTRATOR).unwrap(), None);
    }

    #[test]
    fn the_administrators_name_is_for_no_other_user_before_the_first_start() {
        let (dir, store) = store();
        let refused = add_user(&store, ADMINISTRATOR, false, None).unwrap_err().to_string();
        assert!(refused.contains("zonepulse user add admin --administrator"), "{refused}");
        add_user(&store, ADMINISTRATOR, true, None).unwrap();
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
    }

    #[test]
    fn where_another_user_has_the_administrators_name_a_start_says_that_there_is_none() {
        let (dir, store) = store();
        let other = NewUser { name: ADMINISTRATOR, password: None, administrator: false, rights: Rights::default() };
        make_user(&store.registry(), other, 1).unwrap();
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Missing(ADMINISTRATOR.to_owned()));
        change_user(&store, ADMINISTRATOR, |user| user.administrator = true).unwrap();
        assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
    }

    #[test]
    fn a_name_that_looks_like_the_administrators_is_for_no_other_user_before_the_first_start() {
        for name in ["Admin", "ADMIN", "\u{ff21}DMIN"] {
            let (dir, store) = store();
            let refused = add_user(&store, name, false, None).unwrap_err().to_string();
            assert!(refused.contains("looks like admin") && refused.contains("--administrator"), "{refused}");
            assert_eq!(store.registry().users().unwrap(), []);
            add_user(&store, name, true, None).unwrap();
            assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
        }
    }

    #[test]
    fn where_a_user_looks_like_the_administrator_a_start_names_that_user_and_writes_nothing() {
        for name in ["Admin", "\u{ff21}DMIN"] {
            let (dir, store) = store();
            let other = NewUser { name, password: None, administrator: false, rights: Rights::default() };
            make_user(&store.registry(), other, 1).unwrap();
            assert!(!makes_administrator(&store).unwrap());
            assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Missing(name.to_owned()));
            assert!(!dir.path().join(CREDENTIALS_FILE).exists());
            // A file left over from an earlier version belongs to no user.
            fs::write(dir.path().join(CREDENTIALS_FILE), "user = \"admin\"\n").unwrap();
            change_user(&store, name, |user| user.administrator = true).unwrap();
            assert_eq!(administrator(&store, dir.path()).unwrap(), Administrator::Known);
        }
    }

    #[test]
    fn the_next_start_makes_an_administrator_where_nobody_is_one_and_the_name_is_free() {
        let (_dir, store) = store();
        add_user(&store, "ann", false, None).unwrap();
        assert!(makes_administrator(&store).unwrap());
        add_user(&store, "bob", true, None).unwrap();
        assert!(!makes_administrator(&store).unwrap());
    }

    #[test]
    fn the_last_administrator_keeps_the_right() {
        let (dir, store) = store();
        administrator(&store, dir.path()).unwrap();
        add_user(&store, "ann", false, None).unwrap();
        let refused = change_user(&store, ADMINISTRATOR, |user| user.administrator = false);
        assert!(matches!(refused, Err(Error::Store(zonepulse_store::Error::LastAdministrator(_)))));
        assert!(has_administrator(&store).unwrap());
    }

    #[test]
    fn names_that_cannot_be_used_are_refused() {
        let (_dir, store) = store();
        for name in ["", " a", "a\n", "a:b", "a/b", &"x".repeat(129)] {
            let refused = add_user(&store, name, false, None);
            assert!(matches!(refused, Err(Error::Store(zonepulse_store::Error::BadSetting { .. }))), "{name:?}");
        }
        for password in [String::new(), "1234567".to_owned(), "x".repeat(1001)] {
            assert!(matches!(add_user(&store, "ann", false, Some(password.into())), Err(Error::Password(_))));
        }
    }

    #[test]
    fn the_store_has_a_tokens_hash_and_never_the_token() {
        let (_dir, store) = store();
        let (server, token) = add_server(&store, "ns1", true).unwrap();
        assert_eq!((server.id.get(), server.sample), (1, true));
        assert_eq!(
            store.registry().server(zonepulse_model::ServerId::new(1)).unwrap().unwrap().token_hash,
            Some(token::hash(&token))
        );
        assert!(matches!(add_server(&store, "ns1", false), Err(Error::Store(zonepulse_store::Error::NameTaken(_)))));
    }

    #[test]
    fn what_is_the_name_of_one_server_and_the_id_of_another_is_refused_with_both() {
        let (_dir, store) = store();
        let (first, second) = (add_server(&store, "alpha", false).unwrap().0, add_server(&store, "beta", false).unwrap().0);
        // As an earlier version took it.
        let servers = [first, Server { name: "1".to_owned(), ..second }];
        let refused = server_of(&servers, "1").unwrap_err().to_string();
        assert!(refused.contains("the name of server 2") && refused.contains("the id of server \"alpha\""), "{refused}");
        assert_eq!(server_of(&servers, "alpha").unwrap().id, zonepulse_model::ServerId::new(1));
        assert_eq!(server_of(&servers, "2").unwrap().id, zonepulse_model::ServerId::new(2));
    }

    #[test]
    fn a_server_whose_name_is_its_own_id_is_found_by_it() {
        let (_dir, store) = store();
        let server = Server { name: "1".to_owned(), ..add_server(&store, "alpha", false).unwrap().0 };
        assert_eq!(server_of(&[server], "1").unwrap().id, zonepulse_model::ServerId::new(1));
    }

    #[test]
    fn a_new_token_replaces_the_old_one() {
        let (_dir, store) = store();
        let (_, old) = add_server(&store, "ns1", false).unwrap();
        let renew = |name_or_id: &str, credential| {
            let secret = ServerSecret::make(credential, 1).unwrap();
            renew_secret(&store, name_or_id, &secret).map(|server| (server, secret.reveal().to_owned()))
        };
        for name_or_id in ["ns1", "1"] {
            let (server, token) = renew(name_or_id, Credential::Token).unwrap();
            assert_eq!(store.registry().server(zonepulse_model::ServerId::new(1)).unwrap().unwrap(), server);
            assert_eq!((server.token_hash, server.enrollment), (Some(token::hash(&token)), None));
            assert_ne!(token, old);
        }
        assert!(matches!(renew("ns2", Credential::Token), Err(Error::Argument(_))));
    }

    #[test]
    fn an_enrolment_token_leaves_no_other_secret() {
        let (_dir, store) = store();
        let (made, old) = add_server(&store, "ns1", false).unwrap();
        let secret = ServerSecret::make(Credential::EnrollmentToken, 1).unwrap();
        let renewed = renew_secret(&store, "ns1", &secret).unwrap();
        assert_eq!(renewed.enrollment.unwrap().hash, token::hash(secret.reveal()));
        let hashes = [made.token_hash, Some(token::hash(&old)), Some(token::hash(secret.reveal()))];
        assert!(!hashes.contains(&renewed.token_hash), "nobody knows it");
    }
}
