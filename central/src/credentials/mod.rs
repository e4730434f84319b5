//! Who is asking: a user with a password or a token, a server with a token, or
//! a probe that is to be enrolled.
//!
//! Users show a name and a password, or one of their tokens ([`Shown`]). Servers show a token, as do probes that have
//! nothing yet but an enrolment token. How these arrive, in a header of HTTP or otherwise, is the endpoint's business.
//! What a [`Principal`] may do is decided in [`crate::rights`]; this module only says who it is, or why nobody
//! ([`Refusal`]).
//!
//! A password is checked with argon2id, which is slow on purpose (tens of
//! milliseconds and megabytes). So it runs on blocking threads, few at a time,
//! in an order that is fair between addresses (`checks`), and a password that was
//! right is remembered for a minute, under a hash with a key that only this
//! process has. Wrong passwords are counted per address, and per name and
//! address (`attempts`); after too many, that address has to wait. A token is 256
//! random bits: a plain hash of it is enough, and guessing is hopeless. Tokens are
//! read from the registry again whenever it has changed, so one that is taken
//! back is refused from the next request on.

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

/// Passwords that are checked at the same time: each takes a core and 19 MiB.
const CHECKS_AT_ONCE: usize = 2;
/// How long a request waits for its password to be checked.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long to wait when too many passwords are being checked.
const CHECKING_WAIT: Duration = Duration::from_secs(2);
/// The longest user name and password that are looked at, together with a byte between them.
pub const MAX_LOGIN_BYTES: usize = 1024;

/// What somebody shows to prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A user's name and password.
    Password {
        /// The name.
        name: String,
        /// The password.
        password: Secret,
    },
    /// A token of a user or a server, or an enrolment token.
    Token(Secret),
}

/// Why nobody is let in with what was shown.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The name or the password is wrong; which one is not told.
    #[error("no user has this name and password")]
    WrongPassword,
    /// The token is nobody's, or its time is over.
    #[error("this token is unknown, revoked or expired")]
    UnknownToken,
    /// An enrolment token that another probe was faster with.
    #[error("this enrolment token is spent, or out of date")]
    SpentToken,
    /// Wrong passwords came from this address again and again: wait.
    #[error("too many wrong passwords came from this address; wait")]
    TooManyAttempts {
        /// For how long.
        wait: Duration,
    },
    /// Too many passwords from this address are being checked: wait.
    #[error("many passwords from this address are being checked; wait")]
    TooManyChecks,
    /// Too many passwords are being checked: try again.
    #[error("many passwords are being checked")]
    Busy,
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] zonepulse_store::Error),
    /// No thread could be started to check a password.
    #[error(transparent)]
    Thread(std::io::Error),
    /// The check of a password did not come to its end.
    #[error("the check of a password did not end")]
    Ended,
}

impl Refusal {
    /// When to try again, for those that pass by themselves.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Refusal::TooManyAttempts { wait } => Some(*wait),
            Refusal::TooManyChecks | Refusal::Busy => Some(CHECKING_WAIT),
            _ => None,
        }
    }
}

/// Somebody whose credentials were right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User(Account),
    /// A server, by id.
    Server(u32),
    /// A probe that is to be enrolled.
    Enrollee {
        /// Its server.
        server_id: u32,
        /// What its token hashes to.
        hash: String,
    },
}

impl Principal {
    /// A number that it shares with no other: connections are counted by it.
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

/// A user, as far as it matters for what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// Whether everything is allowed.
    pub administrator: bool,
    /// What is allowed otherwise.
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
    /// A hash that no password has, so that an unknown name takes as long as a known one.
    nobody: String,
}

/// All tokens by their hashes, as they were at a generation of the registry.
#[derive(Default)]
struct Tokens {
    holders: HashMap<String, Holder>,
    generation: Option<u64>,
}

/// Whose token it is, and until when it can be used, Unix milliseconds.
#[derive(Debug, Clone)]
enum Holder {
    Server(u32),
    Enrollee(u32, u64),
    User(String, Option<u64>),
}

impl Credentials {
    /// For the users and servers of a store. Takes as long as hashing a password.
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

    /// Whose credentials these are, shown from this address.
    pub async fn check(&self, shown: Shown, address: IpAddr) -> Result<Principal, Refusal> {
        match shown {
            Shown::Token(token) => self.token(token.reveal()),
            Shown::Password { name, password } if name.len() + 1 + password.reveal().len() <= MAX_LOGIN_BYTES => {
                self.password(name, password, address).await
            }
            Shown::Password { .. } => Err(Refusal::WrongPassword),
        }
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

    async fn password(&self, name: String, password: Secret, address: IpAddr) -> Result<Principal, Refusal> {
        let user = self.store.registry().user(&name)?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        if let Some(user) = user.clone()
            && self.remembers(&name, password.reveal(), hash.as_deref())
        {
            return Ok(Principal::User(user.into()));
        }
        self.may_try(address, &name)?;
        let wrong = lock(&self.attempts).wrong(address, Instant::now());
        let turn = tokio::time::timeout(LONGEST_WAIT, self.checks.turn(address, wrong)).await;
        let turn = turn.unwrap_or(Err(Refused::Busy)).map_err(|refused| match refused {
            Refused::TooMany => Refusal::TooManyChecks,
            Refused::Busy => Refusal::Busy,
        })?;
        // Others from this address were before in the line, and may have been wrong.
        self.may_try(address, &name)?;
        // Whoever was before in the line may have had the same.
        if let Some(user) = user.clone()
            && self.remembers(&name, password.reveal(), hash.as_deref())
        {
            return Ok(Principal::User(user.into()));
        }
        let stored = hash.clone().unwrap_or_else(|| self.nobody.clone());
        let given = password.clone();
        // A thread of its own for each: few run at a time, each for tens of milliseconds, and none may keep batches waiting.
        let (answer, answered) = oneshot::channel();
        let check = move || {
            Priority::Question.take();
            // A check goes on when its request has gone, and so does its turn.
            let _turn = turn;
            // Nobody waits for the answer then.
            let _ = answer.send(password::verify(given.reveal(), &stored));
        };
        std::thread::Builder::new().name("password".to_owned()).spawn(check).map_err(Refusal::Thread)?;
        match (answered.await.map_err(|_| Refusal::Ended)?, user) {
            (true, Some(user)) => {
                lock(&self.verified).remember(&name, password.reveal(), user.password_hash.clone(), Instant::now());
                lock(&self.attempts).forget(address, &name);
                Ok(Principal::User(user.into()))
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

/// Everybody who has a token.
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
    // A server without a token has an empty hash, which is nobody's.
    holders.remove("");
    Ok(holders)
}

/// What these locks guard is whole after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
