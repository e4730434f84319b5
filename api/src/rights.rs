//! Who may do what: every call needs something, and a guard in front of it asks.
//!
//! What a group of calls needs is said where routes are put together (`app`).
//! A server's token, or an enrolment token, is for what it was made for and
//! nothing else; a user's rights are read anew for every request, so that what an
//! administrator changes counts from the next one on.

use crate::app::App;
use crate::credentials::{Account, Principal};
use crate::listen::{Peer, Visitor};
use crate::problem::{Case, Problem};
use crate::time::now_ms;
use crate::unread;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use std::net::IpAddr;
use zonepulse_store::{Actor, Rights};

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: anybody may.
    Nothing,
    /// To be some user.
    User,
    /// To be a user with one of the rights; administrators have all.
    Right(Right),
    /// To be an administrator.
    Administrator,
    /// A server's token.
    Server,
    /// An enrolment token.
    Enrollment,
}

/// A right of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Ask the monitoring API.
    Monitoring,
    /// Make servers.
    ServerCreate,
    /// See how servers are set up.
    ServerRead,
    /// Change servers.
    ServerUpdate,
    /// Remove servers.
    ServerDelete,
}

impl Right {
    fn is_among(self, rights: &Rights) -> bool {
        match self {
            Right::Monitoring => rights.monitoring,
            Right::ServerCreate => rights.server_create,
            Right::ServerRead => rights.server_read,
            Right::ServerUpdate => rights.server_update,
            Right::ServerDelete => rights.server_delete,
        }
    }

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::Monitoring => "monitoring",
            Right::ServerCreate => "server_create",
            Right::ServerRead => "server_read",
            Right::ServerUpdate => "server_update",
            Right::ServerDelete => "server_delete",
        }
    }
}

impl Need {
    /// Refuses whoever may not.
    fn check(self, principal: &Principal) -> Result<(), Problem> {
        let refused = |detail: String| Err(Problem::new(Case::NotAllowed, detail));
        match (self, principal) {
            (Need::Nothing, _) | (Need::User, Principal::User(_)) => Ok(()),
            (Need::Server, Principal::Server(_)) | (Need::Enrollment, Principal::Enrollee { .. }) => Ok(()),
            (Need::Server, _) => refused("only a server's token may do this".to_owned()),
            (Need::Enrollment, _) => refused("only an enrolment token may do this".to_owned()),
            (_, Principal::Server(_)) => refused("a server's token may send of its own server and nothing else".to_owned()),
            (_, Principal::Enrollee { .. }) => refused("an enrolment token may enrol and nothing else".to_owned()),
            (Need::Right(right), Principal::User(account)) if account.administrator || right.is_among(&account.rights) => Ok(()),
            (Need::Administrator, Principal::User(account)) if account.administrator => Ok(()),
            (Need::Right(right), Principal::User(_)) => {
                refused(format!("this needs the right {}, which an administrator can give", right.as_str()))
            }
            (Need::Administrator, Principal::User(_)) => refused("only an administrator may do this".to_owned()),
        }
    }
}

/// Who sent a request, and from where.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// From where.
    pub address: IpAddr,
}

impl Caller {
    /// As the audit log names them.
    pub fn actor(&self, now_ms: u64) -> Actor {
        let who = match &self.principal {
            Principal::User(account) => account.name.clone(),
            Principal::Server(id) => format!("server {id}"),
            Principal::Enrollee { server_id, .. } => format!("the probe of server {server_id}"),
        };
        Actor { who, from: self.address.to_string(), now_ms }
    }

    /// Whether it is an administrator.
    pub fn is_administrator(&self) -> bool {
        self.account().is_some_and(|account| account.administrator)
    }

    /// The user, where it is one.
    pub fn account(&self) -> Option<&Account> {
        match &self.principal {
            Principal::User(account) => Some(account),
            _ => None,
        }
    }
}

/// Lets a request through that may do what its call needs, and says who sent it.
pub async fn guard(State((app, need)): State<(App, Need)>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let address = peer.map(|ConnectInfo(Peer(address))| address.ip());
    let address = address.ok_or_else(|| Problem::internal("a request without an address"))?;
    let principal = app.who(address, request.headers()).await.inspect_err(|problem| {
        let has_some = request.headers().contains_key(AUTHORIZATION);
        let server_at = |address| app.fleet().only_at(address);
        app.refusals().credentials(address, request.uri().path(), has_some, problem, now_ms(), server_at);
    })?;
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        visitor.prove(principal.number());
    }
    need.check(&principal)?;
    request.extensions_mut().insert(principal.clone());
    request.extensions_mut().insert(Caller { principal: principal.clone(), address });
    let mut response = unread::hold(app.unread(), principal.number(), next.run(request).await);
    // Whoever keeps account of requests learns it from the answer.
    response.extensions_mut().insert(principal);
    Ok(response)
}
