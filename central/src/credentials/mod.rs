//! Authentication: a user with a password or a token, a server with a token, or a probe to be enrolled.
//!
//! Users present a name and a password, or one of their tokens ([`Shown`]). Servers present a token, as do probes that
//! only have an enrolment token yet. How credentials arrive, in an HTTP header or otherwise, is up to the endpoint.
//! [`crate::rights`] decides what a [`Principal`] may do; this module only identifies the caller, or says why it cannot
//! ([`Refusal`]).
//!
//! Passwords are checked with argon2id, which is deliberately slow (tens of milliseconds and megabytes). Checks
//! therefore run on blocking threads, a few at a time, in an order that is fair between addresses (`checks`), and a
//! correct password is remembered for a minute under a hash keyed with a key known only to this process. Wrong
//! passwords are counted per address, and per name and address (`attempts`); after too many, that address has to wait.
//! A token is 256 random bits: a plain hash is enough, and guessing is hopeless. Tokens are reloaded whenever the
//! registry has changed, so a revoked token is refused from the next request on.

mod attempts;
mod checks;
pub mod password;
pub mod token;
mod verified;

use crate::time::now_ms;
use attempts::Attempts;
use checks::{Checks, Refused};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use verified::Verified;
use zonepulse_priority::Priority;
use zonepulse_private::Secret;
use zonepulse_store::{Rights, Store, User};

/// Maximum number of concurrent password checks: each takes a core and 19 MiB.
const CHECKS_AT_ONCE: usize = 2;
/// How long a request waits for its password check.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Suggested wait when too many passwords are being checked.
const CHECKING_WAIT: Duration = Duration::from_secs(2);
/// Suggested wait when there are too many sessions.
const SESSIONS_WAIT: Duration = Duration::from_secs(60);
/// Maximum length of user name and password together, with one separator byte.
pub const MAX_LOGIN_BYTES: usize = 1024;

/// Credentials presented by a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A user's name and password.
    Password {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// A user's, a server's or an enrolment token.
    Token(Secret),
}

/// Why credentials were refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The name or the password is wrong; which one is not disclosed.
    #[error("no user has this name and password")]
    WrongPassword,
    /// The token is unknown, revoked or expired.
    #[error("this token is unknown, revoked or expired")]
    UnknownToken,
    /// The enrolment token was already used by another probe.
    #[error("this enrolment token is spent, or out of date")]
    SpentToken,
    /// Too many wrong passwords from this address: wait.
    #[error("too many wrong passwords came from this address; wait")]
    TooManyAttempts {
        /// How long to wait.
        wait: Duration,
    },
    /// Too many password checks from this address are in progress: wait.
    #[error("many passwords from this address are being checked; wait")]
    TooManyChecks,
    /// Too many password checks are in progress: try again.
    #[error("many passwords are being checked")]
    Busy,
    /// The session has expired, was ended, or never existed.
    #[error("the session has expired; log in again")]
    EndedSession,
    /// No more sessions can be opened: some have to end first.
    #[error("too many sessions are open")]
    TooManySessions,
    /// A token could not be created.
    #[error(transparent)]
    Random(#[from] password::Error),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] zonepulse_store::Error),
    /// No thread could be started to check a password.
    #[error(transparent)]
    Thread(std::io::Error),
    /// The password check did not finish.
    #[error("the check of a password did not end")]
    Ended,
}

impl Refusal {
    /// When to try again, for refusals that are temporary.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Refusal::TooManyAttempts { wait } => Some(*wait),
            Refusal::TooManyChecks | Refusal::Busy => Some(CHECKING_WAIT),
            Refusal::TooManySessions => Some(SESSIONS_WAIT),
            _ => None,
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User(Account),
    /// A server, by id.
    Server(u32),
    /// A probe to be enrolled.
    Enrollee {
        /// Its server.
        server_id: u32,
        /// The hash of its token.
        hash: String,
    },
}

impl Principal {
    /// A number unique to this principal, by which connections are counted.
    pub fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Principal::User(account) => ("user", &account.name).hash(&mut hasher),
            Principal::Server(id) => ("server", id).hash(&mut hasher),
            Principal::Enrollee { server_id, .. } => ("enrollee", server_id).hash(&mut hasher),
        }
        hasher.finish().clamp(1, u64::MAX - 1)
    }
}

/// The parts of a user that authorization needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// Whether the user is an administrator.
    pub administrator: bool,
    /// Rights of a user who is not an administrator.
    pub rights: Rights,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Account { name: user.name, administrator: user.administrator, rights: user.rights }
    }
}

/// Checks credentials against a store.
pub struct Credentials {
    store: Store,
    verified: Mutex<Verified>,
    attempts: Mutex<Attempts>,
    tokens: Mutex<Tokens>,
    checks: Checks,
    /// A hash that no password matches, so that unknown names take as long as known ones.
    nobody: String,
}

/// All tokens by hash, as of one generation of the registry.
#[derive(Default)]
struct Tokens {
    holders: HashMap<String, Holder>,
    generation: Option<u64>,
}

/// The owner of a token, and when the token expires, Unix milliseconds.
#[derive(Debug, Clone)]
enum Holder {
    Server(u32),
    Enrollee(u32, u64),
    User(String, Option<u64>),
}

impl Credentials {
    /// Checks credentials against the users and servers of a store. Takes as long as hashing a password.
    pub fn new(store: Store) -> Result<Self, password::Error> {
        Ok(Credentials {
            store,
            verified: Mutex::new(Verified::new(password::random_key()?)),
            attempts: Mutex::new(Attempts::default()),
            tokens: Mutex::new(Tokens::default()),
            checks: Checks::new(CHECKS_AT_ONCE),
            nobody: password::hash(&password::random()?)?,
        })
    }

    /// Authenticates credentials presented from this address.
    pub async fn check(&self, shown: Shown, address: IpAddr) -> Result<Principal, Refusal> {
        match shown {
            Shown::Token(token) => self.token(token.reveal()),
            Shown::Password { name, password } => Ok(Principal::User(self.login(name, password, address).await?.into())),
        }
    }

    /// The user with this name and password, presented from this address, as of when the password was checked.
    pub(crate) async fn login(&self, name: String, password: Secret, address: IpAddr) -> Result<User, Refusal> {
        if name.len() + 1 + password.reveal().len() > MAX_LOGIN_BYTES {
            return Err(Refusal::WrongPassword);
        }
        self.password(name, password, address).await
    }

    fn token(&self, token: &str) -> Result<Principal, Refusal> {
        let hash = token::hash(token);
        let now_ms = now_ms();
        match self.holder(&hash)?.ok_or(Refusal::UnknownToken)? {
            Holder::Server(id) => Ok(Principal::Server(id)),
            Holder::Enrollee(server_id, expires_ms) if expires_ms > now_ms => Ok(Principal::Enrollee { server_id, hash }),
            Holder::User(name, expires_ms) if expires_ms.is_none_or(|expires_ms| expires_ms > now_ms) => {
                let user = self.store.registry().user(&name)?;
                Ok(Principal::User(user.ok_or(Refusal::UnknownToken)?.into()))
            }
            Holder::Enrollee(..) | Holder::User(..) => Err(Refusal::UnknownToken),
        }
    }

    fn holder(&self, hash: &str) -> Result<Option<Holder>, zonepulse_store::Error> {
        let registry = self.store.registry();
        let generation = registry.generation();
        let mut tokens = lock(&self.tokens);
        if tokens.generation != Some(generation) {
            *tokens = Tokens { holders: holders(&self.store)?, generation: Some(generation) };
        }
        Ok(tokens.find(hash))
    }

    async fn password(&self, name: String, password: Secret, address: IpAddr) -> Result<User, Refusal> {
        let user = self.store.registry().user(&name)?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        if let Some(user) = user.clone()
            && self.remembers(&name, password.reveal(), hash.as_deref())
        {
            return Ok(user);
        }
        self.may_try(address, &name)?;
        let wrong = lock(&self.attempts).wrong(address, Instant::now());
        let turn = tokio::time::timeout(LONGEST_WAIT, self.checks.turn(address, wrong)).await;
        let turn = turn.unwrap_or(Err(Refused::Busy)).map_err(|refused| match refused {
            Refused::TooMany => Refusal::TooManyChecks,
            Refused::Busy => Refusal::Busy,
        })?;
        // Checks from this address that were queued earlier may have failed meanwhile.
        self.may_try(address, &name)?;
        // A check queued earlier may have verified the same password.
        if let Some(user) = user.clone()
            && self.remembers(&name, password.reveal(), hash.as_deref())
        {
            return Ok(user);
        }
        let stored = hash.clone().unwrap_or_else(|| self.nobody.clone());
        let given = password.clone();
        // One thread per check: few run at a time, each for tens of milliseconds, and none may delay batches.
        let (answer, answered) = oneshot::channel();
        let check = move || {
            Priority::Question.take();
            // A check outlives its request, and so does its turn.
            let _turn = turn;
            // If the request is gone, nobody is waiting for the answer.
            let _ = answer.send(password::verify(given.reveal(), &stored));
        };
        std::thread::Builder::new().name("password".to_owned()).spawn(check).map_err(Refusal::Thread)?;
        match (answered.await.map_err(|_| Refusal::Ended)?, user) {
            (true, Some(user)) => {
                lock(&self.verified).remember(&name, password.reveal(), user.password_hash.clone(), Instant::now());
                lock(&self.attempts).forget(address, &name);
                Ok(user)
            }
            _ => {
                lock(&self.attempts).count(address, &name, Instant::now());
                Err(Refusal::WrongPassword)
            }
        }
    }

    fn may_try(&self, address: IpAddr, name: &str) -> Result<(), Refusal> {
        let wait = lock(&self.attempts).wait(address, name, Instant::now());
        wait.map_or(Ok(()), |wait| Err(Refusal::TooManyAttempts { wait }))
    }

    fn remembers(&self, name: &str, password: &str, hash: Option<&str>) -> bool {
        hash.is_some_and(|hash| lock(&self.verified).knows(name, password, hash, Instant::now()))
    }
}

impl Tokens {
    fn find(&self, hash: &str) -> Option<Holder> {
        let (known, holder) = self.holders.get_key_value(hash)?;
        bool::from(known.as_bytes().ct_eq(hash.as_bytes())).then(|| holder.clone())
    }
}

/// Owners of all tokens.
fn holders(store: &Store) -> Result<HashMap<String, Holder>, zonepulse_store::Error> {
    let mut holders = HashMap::new();
    for server in store.registry().servers()?.into_iter().filter(|server| !server.is_removed()) {
        holders.extend(server.token_hash.map(|hash| (hash, Holder::Server(server.id.get()))));
        if let Some(token) = server.enrollment {
            holders.insert(token.hash, Holder::Enrollee(server.id.get(), token.expires_ms));
        }
    }
    for user in store.registry().users()? {
        for token in user.tokens {
            holders.insert(token.hash, Holder::User(user.name.clone(), token.expires_ms));
        }
    }
    // A server without a token has an empty hash, which must match nothing.
    holders.remove("");
    Ok(holders)
}

/// The guarded data is consistent after every statement, so a panic elsewhere cannot corrupt it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
