use super::*;
use axum::http::{HeaderValue, StatusCode};
use zonepulse_central::credentials::{Account, password, token};
use zonepulse_central::time::now_ms;
use zonepulse_store::{EnrollmentToken, Error, Options, Rights, Store, User, UserToken};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A store with a user `ann` (password `secret`) and a server with this token.
struct Setup {
    credentials: Credentials,
    store: Store,
    token: String,
    _dir: tempfile::TempDir,
}

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &Options::default()).unwrap();
    put_user(&store, "ann", "secret");
    let token = token::random().unwrap();
    store.registry().add_server("ns1", false, Some(token::hash(&token)), 1).unwrap();
    Setup { credentials: Credentials::new(store.clone()).unwrap(), store, token, _dir: dir }
}

fn put_user(store: &Store, name: &str, password: &str) {
    let password_hash = password::hash(password).unwrap();
    let registry = store.registry();
    if registry.user(name).unwrap().is_some() {
        let change = |user: &mut User| {
            user.password_hash = password_hash;
            Ok::<_, Error>(())
        };
        registry.change_user(name, "x", change).unwrap();
        return;
    }
    let rights = Rights::default();
    let user = User { name: name.to_owned(), password_hash, administrator: false, created_ms: 1, rights, tokens: Vec::new() };
    registry.add_user(&user).unwrap();
}

impl Setup {
    async fn check(&self, authorization: &str) -> Result<Principal, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        who(&self.credentials, &headers, HERE).await.map_err(|problem| problem.status())
    }

    async fn basic(&self, name: &str, password: &str) -> Result<Principal, StatusCode> {
        self.check(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))).await
    }
}

#[tokio::test]
async fn a_user_is_known_by_name_and_password() {
    let setup = setup();
    for _ in 0..2 {
        let ann = Account { name: "ann".to_owned(), administrator: false, rights: Rights::default() };
        assert_eq!(setup.basic("ann", "secret").await, Ok(Principal::User(ann)));
    }
    assert_eq!(setup.basic("ann", "wrong").await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(setup.basic("bob", "secret").await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(setup.basic("", "secret").await, Err(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_server_is_known_by_its_token() {
    let setup = setup();
    assert_eq!(setup.check(&format!("Bearer {}", setup.token)).await, Ok(Principal::Server(1)));
    assert_eq!(setup.check(&format!("bearer  {}", setup.token)).await, Ok(Principal::Server(1)));
    assert_eq!(setup.check(&format!("Bearer {}x", setup.token)).await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(setup.check(&format!("Bearer {}", token::hash(&setup.token))).await, Err(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_token_made_later_is_found() {
    let setup = setup();
    assert_eq!(setup.check(&format!("Bearer {}", setup.token)).await, Ok(Principal::Server(1)));
    let later = token::random().unwrap();
    setup.store.registry().add_server("ns2", false, Some(token::hash(&later)), 1).unwrap();
    assert_eq!(setup.check(&format!("Bearer {later}")).await, Ok(Principal::Server(2)));
}

#[tokio::test]
async fn a_token_that_is_taken_back_is_refused_at_once() {
    let setup = setup();
    let bearer = format!("Bearer {}", setup.token);
    assert_eq!(setup.check(&bearer).await, Ok(Principal::Server(1)));
    setup.store.registry().remove_server(zonepulse_model::ServerId::new(1), 5, false).unwrap();
    assert_eq!(setup.check(&bearer).await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(setup.check("Bearer ").await, Err(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_users_token_is_as_good_as_the_password_until_it_expires() {
    let setup = setup();
    let give = |id: u32, expires_ms| {
        let token = token::random().unwrap();
        let hash = token::hash(&token);
        let change = |user: &mut User| {
            user.tokens.push(UserToken { id, name: "a".to_owned(), hash, created_ms: 1, expires_ms });
            Ok::<_, Error>(())
        };
        setup.store.registry().change_user("ann", "x", change).unwrap();
        format!("Bearer {token}")
    };
    let ann = Account { name: "ann".to_owned(), administrator: false, rights: Rights::default() };
    assert_eq!(setup.check(&give(1, None)).await, Ok(Principal::User(ann.clone())));
    assert_eq!(setup.check(&give(2, Some(now_ms() + 60_000))).await, Ok(Principal::User(ann)));
    let late = give(3, Some(now_ms() - 1));
    assert_eq!(setup.check(&late).await, Err(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn an_enrolment_token_is_known_until_it_expires() {
    let setup = setup();
    let give = |expires_ms| {
        let token = token::random().unwrap();
        let hash = token::hash(&token);
        let change = |server: &mut zonepulse_store::Server| {
            server.enrollment = Some(EnrollmentToken { hash, expires_ms });
            Ok::<_, Error>(())
        };
        setup.store.registry().change_server(zonepulse_model::ServerId::new(1), "x", change).unwrap();
        token
    };
    let token = give(now_ms() + 60_000);
    let expected = Principal::Enrollee { server_id: 1, hash: token::hash(&token) };
    assert_eq!(setup.check(&format!("Bearer {token}")).await, Ok(expected));
    let late = give(now_ms() - 1);
    assert_eq!(setup.check(&format!("Bearer {late}")).await, Err(StatusCode::UNAUTHORIZED));
    assert_eq!(setup.check(&format!("Bearer {token}")).await, Err(StatusCode::UNAUTHORIZED), "replaced");
}

#[tokio::test]
async fn what_is_no_credential_is_refused() {
    let setup = setup();
    for authorization in ["", "Basic", "Basic %%%", "Basic YW5u", "Digest a=b", "Bearer", "Bearer  ", "Basic YW5uOnNlY3JldA== x"]
    {
        assert_eq!(setup.check(authorization).await, Err(StatusCode::UNAUTHORIZED), "{authorization:?}");
    }
    let none = who(&setup.credentials, &HeaderMap::new(), HERE).await;
    assert_eq!(none.map_err(|problem| problem.status()), Err(StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_changed_password_counts_at_once() {
    let setup = setup();
    assert!(setup.basic("ann", "secret").await.is_ok());
    put_user(&setup.store, "ann", "other");
    assert_eq!(setup.basic("ann", "secret").await, Err(StatusCode::UNAUTHORIZED));
    assert!(setup.basic("ann", "other").await.is_ok());
    setup.store.registry().remove_user("ann").unwrap();
    assert_eq!(setup.basic("ann", "other").await, Err(StatusCode::UNAUTHORIZED));
}
