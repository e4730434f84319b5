//! Sessions: a user logs in once with name and password, and is then known by a random token.
//!
//! A session ends when it was not used for a while ([`Options::idle_ms`]), [`LONGEST_MS`] after the login, when the user logs
//! out, and as soon as the user's password changes or the user is removed. It holds no rights: those are read again for
//! every request, as with every other kind of credentials.
//!
//! Of a token of 256 random bits only the hash is kept, and only in memory: nothing that could let anybody in is on disk,
//! a request writes nothing there, and a restart of the central ends all sessions. The number of sessions is bounded, for
//! each user and in total (`table`).

mod table;

use crate::credentials::{Account, Credentials, Refusal, token};
use crate::time::Clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use table::Table;
use zonepulse_private::Secret;
use zonepulse_store::Store;

/// A session ends this long after its login, however often it is used, milliseconds.
pub const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a session lasts without a request by default, seconds.
pub const DEFAULT_IDLE_S: u64 = 8 * 60 * 60;
/// What makes the token against forged requests another value than the hash that is kept.
const CSRF_CONTEXT: &[u8] = b"zonepulse csrf token of ";

/// Options of sessions.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a session lasts without a request, milliseconds.
    pub idle_ms: u64,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Options { idle_ms: DEFAULT_IDLE_S * 1000, clock: Clock::default() }
    }
}

/// A session that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its user, as of now.
    pub account: Account,
    /// What a page of this central has to send with every change: other pages do not know it.
    pub csrf_token: Secret,
    /// When it ends if it is not used until then, Unix milliseconds.
    pub expires_ms: u64,
    hash: String,
}

impl Session {
    /// Whether this is its token against forged requests. Compares in constant time.
    pub fn is_proven_by(&self, csrf_token: &[u8]) -> bool {
        self.csrf_token.reveal().as_bytes().ct_eq(csrf_token).into()
    }
}

/// A session that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// What its user is known by from now on. It is shown only this once.
    pub token: Secret,
}

/// How many sessions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Open sessions, including those that have expired since the last login.
    pub open: u64,
    /// The maximum number of sessions.
    pub limit: u64,
    /// Sessions that ended because their user opened more than a user may have.
    pub displaced: u64,
}

/// The sessions of the users of a store.
pub struct Sessions {
    store: Store,
    idle_ms: u64,
    clock: Clock,
    table: Mutex<Table>,
}

impl Sessions {
    /// Without any session.
    pub fn new(store: Store, options: Options) -> Self {
        let Options { idle_ms, clock } = options;
        Sessions { store, idle_ms, clock, table: Mutex::default() }
    }

    /// Opens a session for the user with this name and password, which came from this address. Wrong ones count as
    /// everywhere else.
    pub async fn open(
        &self,
        credentials: &Credentials,
        name: String,
        password: Secret,
        address: IpAddr,
    ) -> Result<Opened, Refusal> {
        // With the hash that the password was compared with: it may be another one by now.
        let user = credentials.login(name, password, address).await?;
        let (token, now_ms) = (Secret::from(token::random()?), self.clock.now_ms());
        let mut table = self.table.lock();
        table.forget_expired(now_ms);
        if table.is_full() {
            self.forget_orphans(&mut table)?;
        }
        let hash = token::hash(token.reveal());
        let expires_ms = table.open(hash.clone(), &user, self.idle_ms, now_ms).ok_or(Refusal::TooManySessions)?;
        drop(table);
        let session = Session { account: user.into(), csrf_token: csrf_token(&token), expires_ms, hash };
        Ok(Opened { session, token })
    }

    /// The session with this token, which lasts longer from now on.
    pub fn check(&self, token: &Secret) -> Result<Session, Refusal> {
        let (hash, now_ms) = (token::hash(token.reveal()), self.clock.now_ms());
        let known = self.table.lock().find(&hash, now_ms);
        let (name, password_hash) = known.ok_or(Refusal::EndedSession)?;
        let user = self.store.registry().user(&name)?;
        let Some(user) = user.filter(|user| user.password_hash == password_hash) else {
            self.table.lock().end(&hash);
            return Err(Refusal::EndedSession);
        };
        let expires_ms = self.table.lock().extend(&hash, self.idle_ms, now_ms).ok_or(Refusal::EndedSession)?;
        Ok(Session { account: user.into(), csrf_token: csrf_token(token), expires_ms, hash })
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) {
        self.table.lock().end(&session.hash);
    }

    /// Ends the session with this token, if there is one.
    pub fn end_token(&self, token: &Secret) {
        self.table.lock().end(&token::hash(token.reveal()));
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.table.lock().counts()
    }

    /// Ends sessions of users who were removed, or have another password.
    fn forget_orphans(&self, table: &mut Table) -> Result<(), Refusal> {
        let users = self.store.registry().users()?;
        table.keep_those_of(&users);
        Ok(())
    }
}

/// Follows from the session's token, so that nothing more has to be kept, and does not disclose it.
fn csrf_token(token: &Secret) -> Secret {
    let digest = Sha256::new().chain_update(CSRF_CONTEXT).chain_update(token.reveal()).finalize();
    URL_SAFE_NO_PAD.encode(digest).into()
}

#[cfg(test)]
mod tests;
