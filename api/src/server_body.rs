//! What a body says of a server that is made or changed, and who may say it.

use crate::body::Members;
use crate::handover::Credential;
use crate::problem::Problem;
use crate::rights::Caller;
use crate::settings::{SettingsSet, apply, check_allowed, entered, for_administrators};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zonepulse_store::{Entered, Server};

/// Describes what may be said of a server once, for one that is changed and for one that is made.
macro_rules! described {
    ($($(#[$attribute:meta])* $name:ident: $kind:ty,)*) => {
        /// What may be said of a server.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "describes a body")]
        pub struct ServerChange {
            /// Its display name, which no other server's looks like: 1 to 128 bytes, nothing invisible.
            #[schema(min_length = 1, max_length = 128)]
            server: Option<String>,
            $($(#[$attribute])* $name: Option<$kind>,)*
        }

        /// A server to be made.
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "describes a body")]
        pub struct NewServer {
            /// Its display name, which no other server's looks like: 1 to 128 bytes, nothing invisible.
            #[schema(min_length = 1, max_length = 128, example = "ns1")]
            server: String,
            /// Which secret to hand over: a one-time token to enrol with, unless told otherwise, or the token itself.
            credential: Option<Credential>,
            $($(#[$attribute])* $name: Option<$kind>,)*
        }
    };
}

described! {
    /// Whether its data is a sample to look at, not a machine's.
    sample: bool,
    /// Its operating system; the probe says it when it is enrolled.
    #[schema(max_length = 255)]
    os: String,
    /// Its FQDN or IP address, without a port.
    #[schema(max_length = 255)]
    address: String,
    /// What people want to remember about it.
    #[schema(max_length = 4096)]
    notes: String,
    /// What it is for.
    #[schema(max_items = 32, example = json!(["dns"]))]
    services: Vec<String>,
    /// Where the central collects from, `http://…` or `https://…`. For administrators.
    #[schema(max_length = 2048)]
    pull_url: String,
    /// What the central shows there; made with `pull_url` unless it is set. It is never shown. For administrators.
    #[schema(write_only, max_length = 255)]
    pull_token: String,
    /// Whether its probe is given the secrets that it needs. For administrators.
    trusted: bool,
    /// What is set for this server and not as for all.
    settings: SettingsSet,
}

/// What a body says of a server.
#[derive(Default)]
pub struct Said {
    /// Its display name.
    pub name: Option<String>,
    sample: Option<bool>,
    os: Option<String>,
    address: Option<String>,
    notes: Option<String>,
    services: Option<Vec<String>>,
    pull_url: Option<String>,
    pull_token: Option<String>,
    trusted: Option<bool>,
    settings: Option<Map<String, Value>>,
}

/// The members of a body.
pub const MEMBERS: &[&str] =
    &["server", "sample", "os", "address", "notes", "services", "pull_url", "pull_token", "trusted", "settings"];

impl Said {
    /// Reads all but the name.
    pub fn read(members: &mut Members) -> Result<Self, Problem> {
        Ok(Said {
            name: None,
            sample: members.take("sample")?,
            os: members.take("os")?,
            address: members.take("address")?,
            notes: members.take("notes")?,
            services: members.take("services")?,
            pull_url: members.take("pull_url")?,
            pull_token: members.take("pull_token")?,
            trusted: members.take("trusted")?,
            settings: members.take("settings")?,
        })
    }

    /// Refuses what only an administrator may say.
    pub fn check_allowed(&self, caller: &Caller) -> Result<(), Problem> {
        if caller.is_administrator() {
            return Ok(());
        }
        let said = [
            ("pull_url", self.pull_url.is_some()),
            ("pull_token", self.pull_token.is_some()),
            ("trusted", self.trusted.is_some()),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            Some((name, _)) => Err(for_administrators(name)),
            None => self.settings.as_ref().map_or(Ok(()), check_allowed),
        }
    }

    /// Which secrets it enters.
    pub fn entered(&self) -> Entered {
        let pull_token = self.pull_token.as_ref().is_some_and(|token| !token.is_empty());
        Entered { pull_token, ..self.settings.as_ref().map(entered).unwrap_or_default() }
    }

    /// Puts it into a server. Who collects needs a token: `made` is taken where there is none.
    pub fn apply(self, server: &mut Server, made: String) -> Result<(), Problem> {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut server.name, self.name);
        set(&mut server.sample, self.sample);
        set(&mut server.os, self.os);
        set(&mut server.address, self.address);
        set(&mut server.notes, self.notes);
        set(&mut server.services, self.services);
        set(&mut server.pull.url, self.pull_url);
        set(&mut server.pull.token, self.pull_token);
        set(&mut server.trusted, self.trusted);
        if !server.pull.url.is_empty() && server.pull.token.is_empty() {
            server.pull.token = made;
        }
        self.settings.map_or(Ok(()), |patch| apply(&mut server.overrides, &patch))
    }
}
