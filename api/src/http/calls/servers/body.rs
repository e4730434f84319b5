//! What a body says of a server that is made or changed.

use crate::http::answer::problem::Problem;
use crate::http::calls::settings_schema::SettingsSet;
use crate::http::question::body::{Members, body};
use serde::Deserialize;
use utoipa::ToSchema;
use zonepulse_central::servers::change::ServerChange as Change;
use zonepulse_central::servers::secret;
use zonepulse_central::servers::settings::Patch;
use zonepulse_private::Secret;

/// Declares what may be said of a server once, for one that is changed and for one that is made.
macro_rules! described {
    ($($(#[$attribute:meta])* $name:ident: $kind:ty,)*) => {
        body! {
            /// What may be said of a server.
            pub struct ServerChange {
                /// Its display name, which no other server's looks like: 1 to 128 bytes, nothing invisible.
                #[schema(min_length = 1, max_length = 128)]
                server: Option<String> = take,
                $($(#[$attribute])* $name: Option<$kind> = take,)*
            }
        }

        body! {
            /// A server to be made.
            pub struct NewServer {
                /// Its display name, which no other server's looks like: 1 to 128 bytes, nothing invisible.
                #[schema(min_length = 1, max_length = 128, example = "ns1")]
                server: String = required,
                $($(#[$attribute])* $name: Option<$kind> = take,)*
                /// Which secret to hand over: a one-time token to enrol with, unless told otherwise, or the token itself.
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
            /// The name, which secret to hand over, and all else.
            pub fn into_parts(self) -> (String, secret::Credential, Change) {
                let NewServer { server, credential, $($name,)* } = self;
                (server, credential.unwrap_or_default().into(), Change { name: None, $($name,)* })
            }
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
    #[schema(value_type = Option<String>, write_only, max_length = 255)]
    pull_token: Secret,
    /// Whether its probe is given the secrets that it needs. For administrators.
    trusted: bool,
    /// What is set for this server and not as for all.
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
