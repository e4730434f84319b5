//! Authorization: every call has a [`Need`], and a principal satisfies it or not.
//!
//! A server's token or an enrolment token is valid only for its purpose. A user's rights come with the principal, which
//! is read again for every request, so that an administrator's changes take effect from the next one on.

use crate::Error;
use crate::credentials::{Account, Principal};
use std::net::IpAddr;
use zonepulse_store::{Actor, Rights};

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: open to everyone.
    Nothing,
    /// Any user.
    User,
    /// A user with this right; administrators have all rights.
    Right(Right),
    /// An administrator.
    Administrator,
    /// A server's token.
    Server,
    /// An enrolment token.
    Enrollment,
}

/// A right of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Query the monitoring API.
    Monitoring,
    /// Create servers.
    ServerCreate,
    /// See server settings.
    ServerRead,
    /// Change servers.
    ServerUpdate,
    /// Remove servers.
    ServerDelete,
    /// Add, load, change and remove zones, and what is said of their resources.
    Zones,
    /// Plan the deletion of records.
    Retirement,
}

impl Right {
    fn is_among(self, rights: &Rights) -> bool {
        match self {
            Right::Monitoring => rights.monitoring,
            Right::ServerCreate => rights.server_create,
            Right::ServerRead => rights.server_read,
            Right::ServerUpdate => rights.server_update,
            Right::ServerDelete => rights.server_delete,
            Right::Zones => rights.zones,
            Right::Retirement => rights.retirement,
        }
    }

    /// The name shown to users and administrators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::Monitoring => "monitoring",
            Right::ServerCreate => "server_create",
            Right::ServerRead => "server_read",
            Right::ServerUpdate => "server_update",
            Right::ServerDelete => "server_delete",
            Right::Zones => "zones",
            Right::Retirement => "retirement",
        }
    }
}

impl Need {
    /// Returns an error if the principal does not satisfy the need.
    pub fn check(self, principal: &Principal) -> Result<(), Error> {
        let refused = |detail: String| Err(Error::NotAllowed(detail));
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

/// A caller and its address.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Identity of the caller.
    pub principal: Principal,
    /// Address of the caller.
    pub address: IpAddr,
}

impl Caller {
    /// The caller as the audit log names it.
    pub fn actor(&self, now_ms: u64) -> Actor {
        let who = match &self.principal {
            Principal::User(account) => account.name.clone(),
            Principal::Server(id) => format!("server {id}"),
            Principal::Enrollee { server_id, .. } => format!("the probe of server {server_id}"),
        };
        Actor { who, from: self.address.to_string(), now_ms }
    }

    /// Whether the caller is an administrator.
    pub fn is_administrator(&self) -> bool {
        self.account().is_some_and(|account| account.administrator)
    }

    /// The user, if the caller is one.
    pub fn account(&self) -> Option<&Account> {
        match &self.principal {
            Principal::User(account) => Some(account),
            _ => None,
        }
    }
}
