//! The bodies of requests that create or change a server.

use crate::http::answer::problem::Problem;
use crate::http::calls::settings_schema::SettingsSet;
use crate::http::question::body::{Members, body};
use serde::Deserialize;
use utoipa::ToSchema;
use zonepulse_central::servers::change::ServerChange as Change;
use zonepulse_central::servers::secret;
use zonepulse_central::servers::settings::Patch;
use zonepulse_private::Secret;

/// Declares the members of both bodies once.
macro_rules! described {
    ($($(#[$attribute:meta])* $name:ident: $kind:ty,)*) => {
        body! {
            /// Changes to a server.
            pub struct ServerChange {
                /// Its display name, which must not look like another server's: 1 to 128 bytes without invisible characters.
                #[schema(min_length = 1, max_length = 128)]
                server: Option<String> = take,
                $($(#[$attribute])* $name: Option<$kind> = take,)*
            }
        }

        body! {
            /// A new server.
            pub struct NewServer {
                /// Its display name, which must not look like another server's: 1 to 128 bytes without invisible characters.
                #[schema(min_length = 1, max_length = 128, example = "ns1")]
                server: String = required,
                $($(#[$attribute])* $name: Option<$kind> = take,)*
                /// Which secret to hand over: a one-time token for enrolment (the default), or the token itself.
                credential: Option<Credential> = take,
            }
        }

        impl From<ServerChange> for Change {
            fn from(change: ServerChange) -> Self {
                let ServerChange { server: name, $($name,)* } = change;
                Change { name, $($name,)* }
            }
        }

        impl NewServer {
            /// The name, the secret to hand over, and everything else.
            pub fn into_parts(self) -> (String, secret::Credential, Change) {
                let NewServer { server, credential, $($name,)* } = self;
                (server, credential.unwrap_or_default().into(), Change { name: None, $($name,)* })
            }
        }
    };
}

described! {
    /// Whether its data is sample data, not that of a machine.
    sample: bool,
    /// Its operating system, which the probe reports when it enrols.
    #[schema(max_length = 255)]
    os: String,
    /// Its FQDN or IP address, without a port.
    #[schema(max_length = 255)]
    address: String,
    /// Notes about it.
    #[schema(max_length = 4096)]
    notes: String,
    /// What it is used for.
    #[schema(max_items = 32, example = json!(["dns"]))]
    services: Vec<String>,
    /// The URL that the central pulls from, `http://…` or `https://…`. For administrators.
    #[schema(max_length = 2048)]
    pull_url: String,
    /// The token that the central presents there; generated with `pull_url` by default. It is never shown. For
    /// administrators.
    #[schema(value_type = Option<String>, write_only, max_length = 255)]
    pull_token: Secret,
    /// Whether its probe is trusted with the secrets that it needs. For administrators.
    trusted: bool,
    /// The newest version of the probe that bundles and installation over SSH give it, such as `0.1.0`; empty or null for no
    /// limit.
    #[schema(max_length = 64, example = "0.1.0")]
    max_version: String,
    /// The settings of this server that override those for all servers.
    #[schema(value_type = Option<SettingsSet>)]
    settings: Patch,
}

// The values are the names of the members that an answer then has.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    #[default]
    EnrollmentToken,
    Token,
}

impl From<Credential> for secret::Credential {
    fn from(credential: Credential) -> Self {
        match credential {
            Credential::EnrollmentToken => secret::Credential::EnrollmentToken,
            Credential::Token => secret::Credential::Token,
        }
    }
}
