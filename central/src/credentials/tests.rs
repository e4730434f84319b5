//! Names, passwords and tokens, whichever endpoint they came to. How headers of HTTP are read is tested there.

use super::*;
use zonepulse_store::Options;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Over a store with a user `ann` (password `secret`) and a server with this token.
fn setup() -> (tempfile::TempDir, Credentials, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    let (name, password_hash) = ("ann".to_owned(), password::hash("secret").unwrap());
    let rights = Rights::default();
    let ann = User { name, password_hash, administrator: false, created_ms: 1, rights, tokens: Vec::new() };
    store.registry().add_user(&ann).unwrap();
    let token = token::random().unwrap();
    store.registry().add_server("ns1", false, Some(token::hash(&token)), 1).unwrap();
    (dir, Credentials::new(store).unwrap(), token)
}

fn login(name: &str, password: &str) -> Shown {
    Shown::Password { name: name.to_owned(), password: password.into() }
}

#[tokio::test]
async fn what_is_shown_is_a_principals_or_refused_for_a_reason() {
    let (_dir, credentials, token) = setup();
    let ann = Account { name: "ann".to_owned(), administrator: false, rights: Rights::default() };
    assert_eq!(credentials.check(login("ann", "secret"), HERE).await.unwrap(), Principal::User(ann));
    assert_eq!(credentials.check(Shown::Token(token.into()), HERE).await.unwrap(), Principal::Server(1));
    for (name, password) in [("ann", "wrong"), ("bob", "secret"), ("ann", &"x".repeat(MAX_LOGIN_BYTES))] {
        let refused = credentials.check(login(name, password), HERE).await;
        assert!(matches!(refused, Err(Refusal::WrongPassword)), "{name} {refused:?}");
    }
    let refused = credentials.check(Shown::Token("secret".into()), HERE).await;
    assert!(matches!(refused, Err(Refusal::UnknownToken)), "{refused:?}");
}

#[tokio::test]
async fn who_is_known_is_let_in_while_a_guesser_waits() {
    let (_dir, credentials, _) = setup();
    assert!(credentials.check(login("ann", "secret"), HERE).await.is_ok());
    (0..30).for_each(|_| lock(&credentials.attempts).count(HERE, "ann", Instant::now()));
    let refused = credentials.check(login("ann", "guess"), HERE).await.unwrap_err();
    assert!(matches!(refused, Refusal::TooManyAttempts { .. }), "{refused:?}");
    assert!(refused.wait().is_some_and(|wait| wait > Duration::ZERO));
    assert!(credentials.check(login("ann", "secret"), HERE).await.is_ok());
}
