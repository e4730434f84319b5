//! When sessions begin and end, over a store, with a clock that the tests set.

use super::*;
use crate::credentials::password;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zonepulse_store::{Rights, User};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const IDLE_MS: u64 = 8 * 60 * 60 * 1000;
const START_MS: u64 = 1_000_000;

struct Setup {
    store: Store,
    credentials: Credentials,
    sessions: Sessions,
    now_ms: Arc<AtomicU64>,
    _dir: tempfile::TempDir,
}

/// Over a store with a user `ann` (password `secret`).
fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &zonepulse_store::Options::default()).unwrap();
    add_user(&store, "ann", "secret");
    let now_ms = Arc::new(AtomicU64::new(START_MS));
    let read = now_ms.clone();
    let clock = Clock::new(move || read.load(Ordering::Relaxed));
    let sessions = Sessions::new(store.clone(), Options { idle_ms: IDLE_MS, clock });
    Setup { credentials: Credentials::new(store.clone()).unwrap(), store, sessions, now_ms, _dir: dir }
}

fn add_user(store: &Store, name: &str, password: &str) {
    let (name, password_hash) = (name.to_owned(), password::hash(password).unwrap());
    let rights = Rights::default();
    let user = User { name, password_hash, administrator: false, created_ms: 1, rights, tokens: Vec::new() };
    store.registry().add_user(&user).unwrap();
}

impl Setup {
    async fn open(&self, name: &str, password: &str) -> Result<Opened, Refusal> {
        self.sessions.open(&self.credentials, name.to_owned(), password.into(), HERE).await
    }

    async fn login(&self) -> Opened {
        self.open("ann", "secret").await.unwrap()
    }

    fn at(&self, after_ms: u64) {
        self.now_ms.store(START_MS + after_ms, Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&mut User)) {
        let change = |user: &mut User| {
            change(user);
            Ok::<_, zonepulse_store::Error>(())
        };
        self.store.registry().change_user("ann", "x", change).unwrap();
    }

    fn is_open(&self, opened: &Opened) -> bool {
        match self.sessions.check(&opened.token) {
            Ok(_) => true,
            Err(Refusal::EndedSession) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_login_opens_a_session_that_its_token_finds() {
    let setup = setup();
    let opened = setup.login().await;
    assert_eq!(opened.session.expires_ms, START_MS + IDLE_MS);
    assert_eq!(setup.sessions.check(&opened.token).unwrap(), opened.session);
    assert_eq!(opened.session.account.name, "ann");
    assert_eq!(opened.token.reveal().len(), 43);
}

#[tokio::test]
async fn wrong_credentials_open_nothing() {
    let setup = setup();
    let long = "x".repeat(crate::credentials::MAX_LOGIN_BYTES);
    for (name, password) in [("ann", "wrong"), ("bob", "secret"), ("ann", ""), ("", "secret"), ("ann", &long)] {
        let refused = setup.open(name, password).await.unwrap_err();
        assert!(matches!(refused, Refusal::WrongPassword), "{name}: {refused:?}");
    }
    assert_eq!(setup.sessions.counts().open, 0);
}

#[tokio::test]
async fn logins_count_as_attempts_like_all_passwords() {
    let setup = setup();
    for _ in 0..30 {
        assert!(matches!(setup.open("ann", "wrong").await, Err(Refusal::WrongPassword)));
    }
    assert!(matches!(setup.open("ann", "secret").await, Err(Refusal::TooManyAttempts { .. })));
}

#[tokio::test]
async fn a_session_that_is_not_used_expires() {
    let setup = setup();
    let opened = setup.login().await;
    setup.at(IDLE_MS);
    assert!(!setup.is_open(&opened));
}

#[tokio::test]
async fn every_use_lets_it_last_longer() {
    let setup = setup();
    let opened = setup.login().await;
    setup.at(IDLE_MS - 1);
    assert_eq!(setup.sessions.check(&opened.token).unwrap().expires_ms, START_MS + 2 * IDLE_MS - 1);
    setup.at(2 * IDLE_MS - 2);
    assert!(setup.is_open(&opened));
}

#[tokio::test]
async fn it_ends_a_day_after_the_login_however_much_it_is_used() {
    let setup = setup();
    let opened = setup.login().await;
    for hour in 1..24 {
        setup.at(hour * 3_600_000);
        assert!(setup.sessions.check(&opened.token).unwrap().expires_ms <= START_MS + LONGEST_MS, "{hour}");
    }
    setup.at(LONGEST_MS);
    assert!(!setup.is_open(&opened));
}

#[tokio::test]
async fn a_logout_ends_it_and_no_other() {
    let setup = setup();
    let (one, other) = (setup.login().await, setup.login().await);
    setup.sessions.end(&one.session);
    assert!(!setup.is_open(&one) && setup.is_open(&other));
    setup.sessions.end_token(&other.token);
    assert!(!setup.is_open(&other));
}

#[tokio::test]
async fn another_password_ends_it_at_once() {
    let setup = setup();
    let opened = setup.login().await;
    setup.change(|user| user.password_hash = password::hash("secret").unwrap());
    assert!(!setup.is_open(&opened), "even if it is the same word");
    assert_eq!(setup.sessions.counts().open, 0);
}

#[tokio::test]
async fn it_ends_with_its_user_and_another_of_that_name_does_not_revive_it() {
    let setup = setup();
    let opened = setup.login().await;
    setup.store.registry().remove_user("ann").unwrap();
    assert!(!setup.is_open(&opened));
    let opened_before = {
        add_user(&setup.store, "ann", "secret");
        setup.login().await
    };
    setup.store.registry().remove_user("ann").unwrap();
    add_user(&setup.store, "ann", "secret");
    assert!(!setup.is_open(&opened_before), "nobody asked in between");
}

#[tokio::test]
async fn rights_are_those_of_now() {
    let setup = setup();
    let opened = setup.login().await;
    setup.change(|user| (user.rights, user.administrator) = (Rights::NONE, true));
    let account = setup.sessions.check(&opened.token).unwrap().account;
    assert_eq!(account, Account { name: "ann".to_owned(), administrator: true, rights: Rights::NONE });
}

#[tokio::test]
async fn only_its_own_token_opens_a_session() {
    let setup = setup();
    let opened = setup.login().await;
    let hash = token::hash(opened.token.reveal());
    for wrong in ["", &hash, opened.session.csrf_token.reveal(), &opened.token.reveal()[1..]] {
        assert!(matches!(setup.sessions.check(&wrong.into()), Err(Refusal::EndedSession)), "{wrong}");
    }
}

#[tokio::test]
async fn the_token_against_forged_requests_is_the_session_s_own() {
    let setup = setup();
    let (one, other) = (setup.login().await, setup.login().await);
    let proof = one.session.csrf_token.reveal();
    assert!(one.session.is_proven_by(proof.as_bytes()) && !other.session.is_proven_by(proof.as_bytes()));
    for wrong in ["", &proof[1..], one.token.reveal()] {
        assert!(!one.session.is_proven_by(wrong.as_bytes()), "{wrong}");
    }
}

#[tokio::test]
async fn nothing_prints_a_token() {
    let opened = setup().login().await;
    let printed = format!("{opened:?}");
    assert!(!printed.contains(opened.token.reveal()) && !printed.contains(opened.session.csrf_token.reveal()), "{printed}");
}
