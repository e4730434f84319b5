//! Secrets are sent only to the addresses they were entered for.
//!
//! The broker's password and the tokens for pulling are sent to addresses that are settings, too. Anyone who could
//! change just the address would receive the secret. So a change that redirects a secret must enter it again
//! ([`Registry::entering`]) or remove it. The check compares the effective settings before and after, both globally
//! and for each server: a server's own address and the global password form a pair, too, and the global password is
//! for the global broker only ([`Settings::effective`]).

use super::{Registry, Server};
use crate::{Error, GlobalSettings};
use zonepulse_model::{Settings, SettingsOverride};

/// Secrets that were entered with a change, whether or not they differ from the previous ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entered {
    /// `rabbitmq_password`.
    pub rabbitmq_password: bool,
    /// `pull_token`.
    pub pull_token: bool,
}

impl Registry<'_> {
    /// The same registry, with these secrets entered.
    pub fn entering(self, entered: Entered) -> Self {
        Registry { entered: Some(entered), ..self }
    }

    /// The same registry for the owner of the store's files, who can read all secrets in them: none has to be entered
    /// again.
    pub fn as_owner(self) -> Self {
        Registry { entered: None, ..self }
    }

    /// Rejects a change of global settings that would send a secret elsewhere.
    pub(super) fn keep_global_secrets(&self, before: &GlobalSettings, after: &GlobalSettings) -> Result<(), Error> {
        let Some(entered) = self.entered else { return Ok(()) };
        let (before, after) = (&before.settings, &after.settings);
        let (was, is) = (self.effective(before, None), self.effective(after, None));
        if !is_entered(entered, before, after) && sends_password_elsewhere(&was, &is) {
            return Err(Error::bad_setting("rabbitmq_password", PASSWORD_AGAIN));
        }
        for server in self.servers()?.iter().filter(|server| !server.is_removed()) {
            let (was, is) = (self.effective(before, Some(server)), self.effective(after, Some(server)));
            let of_server = format!("(server {}, {:?})", server.id, server.name);
            if server.overrides.rabbitmq_password.is_some() && sends_password_elsewhere(&was, &is) {
                let reason = format!(
                    "a server has one of its own, and would send it to another broker: set the broker of that server first {of_server}"
                );
                return Err(Error::BadSetting { setting: "rabbitmq_password".to_owned(), reason });
            }
            if shows_pull_token(server, &was, server, &is) {
                let reason = format!(
                    "whoever answers at pull_url would be shown a server's pull_token: set it for that server, with its pull_token {of_server}"
                );
                return Err(Error::BadSetting { setting: "verify_ca".to_owned(), reason });
            }
        }
        Ok(())
    }

    /// Rejects a new or changed server that would send a secret elsewhere.
    pub(super) fn keep_server_secrets(&self, before: Option<&Server>, after: &Server) -> Result<(), Error> {
        let Some(entered) = self.entered else { return Ok(()) };
        let global = self.global()?.settings;
        let of_all = self.effective(&global, None);
        let was = before.map_or_else(|| of_all.clone(), |before| self.effective(&global, Some(before)));
        let is = self.effective(&global, Some(after));
        let nothing = SettingsOverride::default();
        let own_before = before.map_or(&nothing, |before| &before.overrides);
        let inherited = own_before.rabbitmq_password.is_none() && !was.rabbitmq_password.is_empty();
        let refused = match &after.overrides.rabbitmq_password {
            Some(_) => !is_entered(entered, own_before, &after.overrides) && sends_password_elsewhere(&was, &is),
            // The global password is not for this server's broker. An empty password opts out explicitly.
            None => inherited && is.rabbitmq_password.is_empty(),
        };
        if refused {
            return Err(Error::bad_setting("rabbitmq_password", PASSWORD_AGAIN));
        }
        let is_entered = entered.pull_token || before.is_none_or(|before| before.pull.token != after.pull.token);
        if let Some(before) = before
            && !is_entered
            && shows_pull_token(before, &was, after, &is)
        {
            return Err(Error::bad_setting("pull_token", TOKEN_AGAIN));
        }
        Ok(())
    }
}

const PASSWORD_AGAIN: &str = "the password would be sent to another broker, or less safely: enter it again in the same request, \
     or \"\" for none (this goes for rabbitmq_address, rabbitmq_port, rabbitmq_tls, rabbitmq_user and verify_ca)";
const TOKEN_AGAIN: &str = "the token would be shown at another address, or less safely: enter it again in the same request (the probe \
     has it in its file pull-token), or null to have another one made (this goes for pull_url and verify_ca)";

/// Whether a set of overrides has a password that was entered with this change.
fn is_entered(entered: Entered, before: &SettingsOverride, after: &SettingsOverride) -> bool {
    after.rabbitmq_password.is_some() && (entered.rabbitmq_password || before.rabbitmq_password != after.rabbitmq_password)
}

fn sends_password_elsewhere(was: &Settings, is: &Settings) -> bool {
    !is.rabbitmq_password.is_empty() && is.moves_password_of(was)
}

/// Whether a token for one address would be shown at another, or to someone else who answers there.
fn shows_pull_token(before: &Server, was: &Settings, after: &Server, is: &Settings) -> bool {
    let url = &after.pull.url;
    let unverified = url.starts_with("https://") && was.verify_ca && !is.verify_ca;
    after.pull.token.is_some() && !url.is_empty() && (*url != before.pull.url || unverified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store};
    use zonepulse_model::ServerId;

    type Change = fn(&mut SettingsOverride);

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &Options { min_free_bytes: 0, ..Options::default() }).unwrap();
        store.registry().add_server("ns1", false, None, 0).unwrap();
        (dir, store)
    }

    fn password() -> Entered {
        Entered { rabbitmq_password: true, ..Entered::default() }
    }

    /// The setting at fault; empty on success.
    fn fault<T>(result: Result<T, Error>) -> String {
        match result {
            Ok(_) => String::new(),
            Err(Error::BadSetting { setting, .. }) => setting,
            Err(other) => panic!("{other}"),
        }
    }

    fn global(store: &Store, entered: Entered, change: impl FnOnce(&mut SettingsOverride)) -> String {
        let changed = store.registry().entering(entered).change_global(|over| {
            change(over);
            Ok::<_, Error>(())
        });
        fault(changed)
    }

    fn server(store: &Store, entered: Entered, change: impl FnOnce(&mut Server)) -> String {
        let changed = store.registry().entering(entered).change_server(ServerId::new(1), "changed", |server| {
            change(server);
            Ok::<_, Error>(())
        });
        fault(changed)
    }

    fn broker(over: &mut SettingsOverride) {
        over.rabbitmq_address = Some("broker.example".to_owned());
        over.rabbitmq_user = Some("probe".to_owned());
        over.rabbitmq_tls = Some(true);
        over.rabbitmq_password = Some("hush".to_owned());
    }

    /// Every change that affects where the password is sent.
    const MOVES: [Change; 6] = [
        |over| over.rabbitmq_address = Some("evil.example".to_owned()),
        |over| over.rabbitmq_port = Some(5999),
        |over| over.rabbitmq_user = Some("evil".to_owned()),
        |over| {
            over.rabbitmq_tls = Some(false);
            over.rabbitmq_port = Some(5671);
        },
        |over| over.rabbitmq_tls = None,
        |over| over.verify_ca = Some(false),
    ];

    #[test]
    fn the_password_of_all_moves_only_when_it_is_entered_again() {
        for (number, change) in MOVES.into_iter().enumerate() {
            let (_dir, store) = store();
            assert_eq!(global(&store, Entered::default(), broker), "", "it is entered for the first time");
            assert_eq!(global(&store, Entered::default(), change), "rabbitmq_password", "{number}");
            assert_eq!(store.registry().global_settings().unwrap().rabbitmq_address, "broker.example");
            assert_eq!(global(&store, password(), change), "", "{number}");
        }
    }

    #[test]
    fn a_new_password_and_none_at_all_need_nothing() {
        let (_dir, store) = store();
        global(&store, Entered::default(), broker);
        let other = global(&store, Entered::default(), |over| {
            over.rabbitmq_address = Some("other.example".to_owned());
            over.rabbitmq_password = Some("another".to_owned());
        });
        let none = global(&store, Entered::default(), |over| {
            over.rabbitmq_address = Some("third.example".to_owned());
            over.rabbitmq_password = None;
        });
        assert_eq!((other.as_str(), none.as_str()), ("", ""));
    }

    #[test]
    fn what_is_safer_or_says_nothing_of_the_broker_needs_no_password() {
        let (_dir, store) = store();
        global(&store, password(), |over| {
            broker(over);
            (over.rabbitmq_tls, over.rabbitmq_port, over.verify_ca) = (Some(false), Some(5671), Some(false));
        });
        let changes: [Change; 5] = [
            |over| over.verify_ca = None,
            |over| over.rabbitmq_tls = Some(true),
            |over| over.dns_interval_s = Some(30),
            |over| over.communication = Some(zonepulse_model::Communication::Rabbitmq),
            |over| over.rabbitmq_virtual_host = Some("dns".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(global(&store, Entered::default(), change), "", "{number}");
        }
    }

    #[test]
    fn a_broker_that_goes_away_and_comes_back_needs_the_password_again() {
        let (_dir, store) = store();
        global(&store, Entered::default(), broker);
        assert_eq!(global(&store, Entered::default(), |over| over.rabbitmq_address = None), "");
        let evil = global(&store, Entered::default(), |over| over.rabbitmq_address = Some("evil.example".to_owned()));
        assert_eq!(evil, "rabbitmq_password");
    }

    #[test]
    fn an_address_of_one_server_does_not_get_the_password_of_all() {
        for (number, change) in MOVES.into_iter().enumerate() {
            let (_dir, store) = store();
            // Without a password, nothing is at fault.
            global(&store, Entered::default(), |over| {
                broker(over);
                over.rabbitmq_password = None;
            });
            if number != 4 {
                assert_eq!(server(&store, Entered::default(), |server| change(&mut server.overrides)), "", "{number}");
                assert_eq!(global(&store, Entered::default(), broker), "", "{number}");
                let holds = store.registry().effective_settings(ServerId::new(1)).unwrap();
                assert_eq!(holds.rabbitmq_password, "", "{number}");
                assert_eq!(store.registry().global_settings().unwrap().rabbitmq_password, "hush");
            }
        }
        let (_dir, store) = store();
        global(&store, Entered::default(), broker);
        let evil = |server: &mut Server| server.overrides.rabbitmq_address = Some("evil.example".to_owned());
        assert_eq!(server(&store, Entered::default(), evil), "rabbitmq_password");
        assert_eq!(server(&store, password(), evil), "rabbitmq_password", "it is the server's own that has to be entered");
        let made = store.registry().make_server("ns2", |server| {
            evil(server);
            Ok::<_, Error>(())
        });
        assert_eq!(fault(made), "rabbitmq_password");
        let own = server(&store, Entered::default(), |server| {
            evil(server);
            server.overrides.rabbitmq_password = Some("own".to_owned());
        });
        assert_eq!(own, "");
        assert_eq!(store.registry().effective_settings(ServerId::new(1)).unwrap().rabbitmq_password, "own");
    }

    #[test]
    fn a_password_of_one_server_does_not_follow_the_broker_of_all() {
        let (_dir, store) = store();
        global(&store, Entered::default(), broker);
        assert_eq!(server(&store, Entered::default(), |server| server.overrides.rabbitmq_password = Some("own".to_owned())), "");
        let moved = global(&store, password(), |over| over.rabbitmq_address = Some("evil.example".to_owned()));
        assert_eq!(moved, "rabbitmq_password");
        // Nor is the global password sent where the server's own was sent.
        let own_address = |server: &mut Server| {
            server.overrides.rabbitmq_address = Some("own.example".to_owned());
        };
        assert_eq!(server(&store, password(), own_address), "");
        assert_eq!(server(&store, Entered::default(), |server| server.overrides.rabbitmq_password = None), "");
        assert_eq!(store.registry().effective_settings(ServerId::new(1)).unwrap().rabbitmq_password, "");
        assert_eq!(server(&store, Entered::default(), |server| server.overrides.rabbitmq_address = None), "", "as for all again");
        assert_eq!(store.registry().effective_settings(ServerId::new(1)).unwrap().rabbitmq_password, "hush");
    }

    fn pull(server: &mut Server, url: &str) {
        server.pull.url = url.to_owned();
    }

    #[test]
    fn a_pull_token_is_shown_at_another_address_only_when_it_is_entered_again() {
        let (_dir, store) = store();
        let token = Entered { pull_token: true, ..Entered::default() };
        let first = |server: &mut Server| {
            pull(server, "https://ns1.example:8054");
            server.pull.token = Some("hush".to_owned());
        };
        assert_eq!(server(&store, Entered::default(), first), "");
        for url in ["https://evil.example:8054", "http://ns1.example:8054", "https://ns1.example:8055"] {
            assert_eq!(server(&store, Entered::default(), |server| pull(server, url)), "pull_token", "{url}");
        }
        assert_eq!(server(&store, Entered::default(), |server| server.overrides.verify_ca = Some(false)), "pull_token");
        assert_eq!(global(&store, Entered::default(), |over| over.verify_ca = Some(false)), "verify_ca");
        assert_eq!(server(&store, token, |server| pull(server, "https://moved.example:8054")), "");
        let another = server(&store, Entered::default(), |server| {
            pull(server, "https://third.example:8054");
            server.pull.token = Some("another".to_owned());
        });
        assert_eq!((another.as_str(), server(&store, Entered::default(), |server| pull(server, "")).as_str()), ("", ""));
        assert_eq!(server(&store, Entered::default(), |server| pull(server, "https://evil.example")), "pull_token");
    }

    #[test]
    fn whoever_owns_the_files_enters_nothing_again() {
        let (_dir, store) = store();
        global(&store, Entered::default(), broker);
        let changed = store.registry().as_owner().change_global(|over| {
            over.rabbitmq_address = Some("other.example".to_owned());
            Ok::<_, Error>(())
        });
        assert_eq!(changed.unwrap().settings.rabbitmq_password.as_deref(), Some("hush"));
    }

    #[test]
    fn nothing_that_is_printed_has_a_secret() {
        let (_dir, store) = store();
        global(&store, Entered::default(), broker);
        server(&store, Entered::default(), |server| {
            server.token_hash = Some("hush".to_owned());
            server.pull.token = Some("hush".to_owned());
            server.enrollment = Some(crate::EnrollmentToken { hash: "hush".to_owned(), expires_ms: 1 });
            server.overrides.rabbitmq_password = Some("hush".to_owned());
        });
        let registry = store.registry();
        let (global, one) = (registry.global().unwrap(), registry.server(ServerId::new(1)).unwrap().unwrap());
        let shown = format!("{global:?} {one:?} {:?} {:?}", registry.global_settings().unwrap(), one.overrides);
        assert!(!shown.contains("hush") && shown.contains("broker.example"), "{shown}");
    }
}
