//! What a body says of a server that is made or changed.

use crate::http::answer::problem::Problem;
use crate::http::calls::settings::SettingsSet;
use crate::http::question::body::Members;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use zonepulse_central::servers::change::ServerChange as Change;
use zonepulse_central::servers::secret;

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

/// The members of a body.
pub const MEMBERS: &[&str] =
    &["server", "sample", "os", "address", "notes", "services", "pull_url", "pull_token", "trusted", "settings"];

/// What a body says of a server, all but the name.
pub fn read(members: &mut Members) -> Result<Change, Problem> {
    Ok(Change {
        name: None,
        sample: members.take("sample")?,
        os: members.take("os")?,
        address: members.take("address")?,
        notes: members.take("notes")?,
        services: members.take("services")?,
        pull_url: members.take("pull_url")?,
        pull_token: members.take("pull_token")?,
        trusted: members.take("trusted")?,
        settings: members.take::<Map<String, Value>>("settings")?.map(Into::into),
    })
}
