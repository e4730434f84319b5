use super::*;
use crate::intake::{Intake, IntakeRow};
use crate::{Kinds, Level, Options, Outcome, Reading, Selection, Step, Store};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use zonepulse_dns::{MessageKind, RecordType};
use zonepulse_model::{Identity, ServerId};

const NOW_S: u64 = 1_700_000_000 / 3600 * 3600;

fn open(dir: &Path) -> Store {
    let options = Options {
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        seal_after_quiet_s: 0,
        min_free_bytes: 0,
        ..Options::default()
    };
    Store::open(dir, &options).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (dir, store)
}

fn ann(now_ms: u64) -> Actor {
    Actor { who: "ann".to_owned(), from: "192.0.2.1".to_owned(), now_ms }
}

fn user(name: &str, administrator: bool) -> User {
    User {
        name: name.to_owned(),
        password_hash: "hash".to_owned(),
        administrator,
        created_ms: 1,
        rights: Rights::default(),
        tokens: Vec::new(),
    }
}

/// One request for each name, in the interval that begins at a minute of an hour.
fn commit(store: &Store, server_id: u32, start_s: u64, names: &[&str]) -> Result<Outcome, Error> {
    let mut write = store.begin();
    let ids = write.record_ids(ServerId::new(server_id), names.iter().map(|name| (*name, RecordType::A)));
    let (first_ms, last_ms) = (start_s * 1000, start_s * 1000 + 500);
    let row = |record_id| IntakeRow { record_id, kind: MessageKind::REQUEST, hits: 1, first_ms, last_ms };
    let outcome = write.add(Intake {
        identity: Identity { server_id: ServerId::new(server_id), epoch: 1, seq: start_s },
        start_s,
        interval_s: 60,
        covered_from_ms: first_ms,
        covered_until_ms: first_ms + 60_000,
        counters: Vec::new(),
        loss: Default::default(),
        evicted: None,
        rows: ids.into_iter().map(row).collect(),
    })?;
    write.commit()?;
    Ok(outcome)
}

/// Every point of a level, in words and in order, by server.
fn points(store: &Store, level: Level) -> BTreeMap<u32, Vec<String>> {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let reading = Reading { level, now_s: NOW_S, last_access: true };
    let each = &mut |points: &crate::Points| {
        let of_server = found.entry(points.server_id.get()).or_default();
        for (at, start_s) in points.starts_s.iter().enumerate() {
            let (record_id, kind) = (points.record_ids[at], points.kinds[at]);
            of_server.push(format!("{start_s} {record_id} {kind:?} {} {}", points.hits[at], points.last_ms[at]));
        }
        of_server.sort();
        ControlFlow::Continue(())
    };
    store.scan(&reading, &Selection { kinds: Kinds::Messages, ..Selection::all() }, each).unwrap();
    found
}

fn totals(store: &Store) -> BTreeMap<u32, Vec<String>> {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    store.totals(None, &mut |total| found.entry(total.server_id.get()).or_default().push(format!("{total:?}")));
    found
}

/// Upkeep until there is nothing to do.
fn settle(store: &Store, now_s: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut idle = 0;
    while idle < 2 {
        match store.upkeep(now_s).unwrap() {
            Step::Idle => idle += 1,
            step => {
                idle = 0;
                steps.push(step);
            }
        }
    }
    steps
}

#[test]
fn servers_and_users_of_earlier_versions_are_read() {
    let server: Server = serde_json::from_str(r#"{"id":1,"name":"ns1","sample":false,"token_hash":"x","created_ms":5}"#).unwrap();
    assert_eq!((server.overrides, server.removed_ms, server.pull), (SettingsOverride::default(), None, Pull::default()));
    let user: User = serde_json::from_str(r#"{"name":"ann","password_hash":"x","administrator":false,"created_ms":5}"#).unwrap();
    assert!(user.rights.monitoring && user.rights.server_read && !user.rights.server_update);
}

#[test]
fn a_number_is_never_used_again() {
    let (dir, store) = store();
    let add = |store: &Store, name: &str| store.registry().add_server(name, false, None, 0).unwrap().id.get();
    assert_eq!((add(&store, "a"), add(&store, "b")), (1, 2));
    store.registry().remove_server(ServerId::new(2), 5, true).unwrap();
    assert_eq!(add(&store, "b"), 3);
    store.registry().remove_server(ServerId::new(3), 5, true).unwrap();
    drop(store);
    assert_eq!(add(&open(dir.path()), "b"), 4);
}

#[test]
fn a_name_is_free_again_when_its_server_is_removed() {
    let (_dir, store) = store();
    store.registry().add_server("a", false, Some("secret".to_owned()), 0).unwrap();
    assert!(matches!(store.registry().add_server("a", false, None, 0), Err(Error::NameTaken(_))));
    store.registry().remove_server(ServerId::new(1), 5, false).unwrap();
    assert_eq!(store.registry().add_server("a", false, None, 0).unwrap().id, ServerId::new(2));
    let removed = store.registry().server(ServerId::new(1)).unwrap().unwrap();
    assert_eq!((removed.removed_ms, removed.token_hash.as_deref()), (Some(5), None));
    let change = store.registry().put_server(&removed);
    assert!(matches!(change, Err(Error::Missing("server", _))), "{change:?}");
}

#[test]
fn no_two_servers_or_users_look_the_same() {
    let (_dir, store) = store();
    let registry = store.registry();
    registry.add_server("ns1", false, None, 0).unwrap();
    registry.add_server("ns2", false, None, 0).unwrap();
    for name in ["NS1", "ns\u{a0}1", "ns1\u{200b}", "\u{ff4e}s1"] {
        assert!(registry.add_server(name, false, None, 0).is_err(), "{name:?}");
        let renamed = registry.change_server(ServerId::new(2), "x", |server| {
            server.name = name.to_owned();
            Ok::<_, Error>(())
        });
        assert!(renamed.is_err(), "{name:?}");
    }
    let renamed = registry.change_server(ServerId::new(1), "x", |server| {
        server.name = "NS1".to_owned();
        Ok::<_, Error>(())
    });
    assert_eq!(renamed.unwrap().name, "NS1", "a server may be called what only it is called");
    registry.add_user(&user("ann", true)).unwrap();
    for name in ["ann", "Ann", "ann\u{200d}", "\u{202e}nna"] {
        assert!(registry.add_user(&user(name, false)).is_err(), "{name:?}");
    }
}

#[test]
fn what_earlier_versions_called_servers_and_users_stays() {
    let (_dir, store) = store();
    let mut batch = rocksdb::WriteBatch::default();
    for (id, name) in [(1, "ns1"), (2, "NS1"), (3, "ns\u{200b}1")] {
        let server =
            json!({"id": id, "name": name, "sample": false, "token_hash": "x", "created_ms": 5, "address": "192.0.2.1:53"});
        batch.put(server_key(ServerId::new(id)), server.to_string());
    }
    for name in ["ann", "Ann", "an\u{200b}n"] {
        let tokens = json!([{"id": 1, "name": "a\u{200b}", "hash": "h", "created_ms": 5}]);
        let user = json!({"name": name, "password_hash": "x", "administrator": false, "created_ms": 5, "tokens": tokens});
        batch.put([b"user/", name.as_bytes()].concat(), user.to_string());
    }
    store.inner.database.write(batch, true).unwrap();
    let registry = store.registry();
    for id in [1, 2, 3].map(ServerId::new) {
        let changed = registry.change_server(id, "x", |server| {
            server.notes = "old".to_owned();
            Ok::<_, Error>(())
        });
        assert_eq!(changed.unwrap().address, "192.0.2.1:53");
        let moved = registry.change_server(id, "x", |server| {
            server.address = "192.0.2.2:53".to_owned();
            Ok::<_, Error>(())
        });
        assert!(matches!(moved, Err(Error::BadSetting { setting, .. }) if setting == "address"));
    }
    for name in ["ann", "Ann", "an\u{200b}n"] {
        let changed = registry.change_user(name, "x", |user| {
            user.rights.server_create = true;
            Ok::<_, Error>(())
        });
        assert!(changed.unwrap().rights.server_create, "{name:?}");
    }
}

#[test]
fn the_version_rises_with_every_change_of_a_setting_and_with_nothing_else() {
    let (dir, store) = store();
    let registry = store.registry();
    let version = || registry.global().unwrap().version;
    registry.add_server("a", false, None, 0).unwrap();
    assert_eq!(version(), 0);
    registry
        .change_global(|over| -> Result<(), Error> {
            over.dns_interval_s = Some(30);
            Ok(())
        })
        .unwrap();
    assert_eq!(version(), 1);
    let set = |change: fn(&mut Server)| {
        registry
            .change_server(ServerId::new(1), "x", |server| {
                change(server);
                Ok::<_, Error>(())
            })
            .unwrap()
    };
    set(|server| server.overrides.dns_interval_s = Some(15));
    assert_eq!(version(), 2);
    set(|server| server.notes = "on the left".to_owned());
    registry
        .change_global(|over| -> Result<(), Error> {
            over.dns_interval_s = Some(30);
            Ok(())
        })
        .unwrap();
    assert_eq!(version(), 2);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.registry().effective_settings(ServerId::new(1)).unwrap().dns_interval_s, 15);
    assert_eq!(store.registry().effective_settings(ServerId::new(2)).unwrap().dns_interval_s, 30);
}

#[test]
fn settings_that_cannot_hold_leave_everything_as_it_was() {
    let (_dir, store) = store();
    let registry = store.registry();
    registry.add_server("a", false, None, 0).unwrap();
    let broker = |over: &mut SettingsOverride| {
        over.communication = Some(zonepulse_model::Communication::Rabbitmq);
        over.rabbitmq_address = Some("broker".to_owned());
        over.rabbitmq_user = Some("probe".to_owned());
        Ok::<_, Error>(())
    };
    registry.change_global(broker).unwrap();
    // Alone it could be, together it cannot.
    let server = registry.change_server(ServerId::new(1), "x", |server| {
        server.overrides.rabbitmq_address = Some(String::new());
        Ok::<_, Error>(())
    });
    assert!(matches!(server, Err(Error::BadSetting { ref setting, .. }) if setting == "rabbitmq_address"), "{server:?}");
    let global = registry.change_global(|over| {
        over.communication = Some(zonepulse_model::Communication::Pull);
        Ok::<_, Error>(())
    });
    let Err(Error::BadSetting { setting, reason }) = global else { panic!("{global:?}") };
    assert_eq!(setting, "pull_url");
    assert!(reason.contains("server 1, \"a\""), "{reason}");
    assert_eq!(registry.global().unwrap().version, 1);
    assert_eq!(registry.effective_settings(ServerId::new(1)).unwrap().communication, zonepulse_model::Communication::Rabbitmq);
}

#[test]
fn a_global_retention_is_in_force_at_once_and_a_servers_own_wins_field_by_field() {
    let (_dir, store) = store();
    let registry = store.registry();
    registry.add_server("a", false, None, 0).unwrap();
    registry
        .change_server(ServerId::new(1), "x", |server| {
            server.overrides.raw_retention_minutes = Some(9);
            Ok::<_, Error>(())
        })
        .unwrap();
    registry
        .change_global(|over| -> Result<(), Error> {
            over.aggregated_retention_days = Some(3);
            Ok(())
        })
        .unwrap();
    assert_eq!(store.retention(ServerId::new(1)), Retention { raw_minutes: 9, aggregated_days: 3 });
    assert_eq!(store.retention(ServerId::new(2)), Retention { raw_minutes: 1440, aggregated_days: 3 });
    registry
        .change_global(|over| -> Result<(), Error> {
            *over = SettingsOverride::default();
            Ok(())
        })
        .unwrap();
    assert_eq!(store.retention(ServerId::new(2)), Retention::default());
}

#[test]
fn an_enrolment_token_is_worth_one_enrolment_until_it_expires() {
    let (_dir, store) = store();
    let registry = store.registry();
    let token = EnrollmentToken { hash: "h".to_owned(), expires_ms: 100 };
    registry
        .make_server("a", |server| {
            server.enrollment = Some(token.clone());
            Ok::<_, Error>(())
        })
        .unwrap();
    let enroll = |hash: &str, now_ms| {
        let enrolled = registry.enroll(ServerId::new(1), hash, now_ms, |server| {
            server.token_hash = Some("t".to_owned());
            Ok::<_, Error>(())
        });
        enrolled.unwrap().is_some()
    };
    assert!(!enroll("h", 100), "expired");
    assert!(!enroll("other", 99));
    assert_eq!(registry.server(ServerId::new(1)).unwrap().unwrap().token_hash, None);
    assert!(enroll("h", 99));
    assert!(!enroll("h", 99), "spent");
    assert_eq!(registry.server(ServerId::new(1)).unwrap().unwrap().token_hash.as_deref(), Some("t"));
}

#[test]
fn the_last_administrator_stays_one() {
    let (_dir, store) = store();
    let registry = store.registry();
    registry.add_user(&user("ann", true)).unwrap();
    let demote = |name: &str| {
        registry.change_user(name, "x", |user| {
            user.administrator = false;
            Ok::<_, Error>(())
        })
    };
    assert!(matches!(demote("ann"), Err(Error::LastAdministrator(_))));
    assert!(matches!(registry.remove_user("ann"), Err(Error::LastAdministrator(_))));
    registry.add_user(&user("bob", true)).unwrap();
    demote("ann").unwrap();
    registry.remove_user("ann").unwrap();
}

#[test]
fn every_change_raises_the_generation() {
    let (_dir, store) = store();
    let registry = store.registry();
    let mut last = registry.generation();
    let mut raised = |what: &str| {
        let now = registry.generation();
        assert!(now > last, "{what}");
        last = now;
    };
    registry.add_server("a", false, None, 0).unwrap();
    raised("a server");
    registry.add_user(&user("ann", true)).unwrap();
    raised("a user");
    registry
        .change_global(|over| -> Result<(), Error> {
            over.dns_interval_s = Some(30);
            Ok(())
        })
        .unwrap();
    raised("a setting");
    registry.remove_server(ServerId::new(1), 1, false).unwrap();
    raised("a removal");
    registry.remove_server(ServerId::new(1), 1, true).unwrap();
    raised("a purge");
}

#[test]
fn who_changed_what_is_kept_and_the_oldest_goes() {
    let (dir, store) = store();
    store.registry().add_server("quiet", false, None, 0).unwrap();
    assert_eq!(store.registry().audit(0, 10).unwrap(), (Vec::new(), 0), "nobody said who");
    let by = |store: &Store, n: u64, notes: String| {
        let registry = store.registry().by(ann(n));
        registry
            .change_server(ServerId::new(1), "server.change", |server| {
                server.notes = notes;
                Ok::<_, Error>(())
            })
            .unwrap();
    };
    for n in 0..15 {
        by(&store, n, format!("note {n}"));
    }
    drop(store);
    let store = open(dir.path());
    for n in 15..25 {
        by(&store, n, format!("note {n}"));
    }
    let (entries, total) = store.registry().audit(0, 100).unwrap();
    assert_eq!((total, entries.len()), (20, 20));
    assert_eq!(entries.iter().map(|entry| entry.time_ms).collect::<Vec<_>>(), (5..25).rev().collect::<Vec<_>>());
    assert_eq!((&entries[0].before, &entries[0].after), (&json!({"notes": "note 23"}), &json!({"notes": "note 24"})));
    assert_eq!((entries[0].who.as_str(), entries[0].from.as_str()), ("ann", "192.0.2.1"));
    let (page, _) = store.registry().audit(3, 2).unwrap();
    assert_eq!(page.iter().map(|entry| entry.time_ms).collect::<Vec<_>>(), [21, 20]);
    assert_eq!(store.registry().audit(30, 2).unwrap(), (Vec::new(), 20));
}

#[test]
fn what_leaves_the_store_as_it_is_can_be_noted() {
    let (_dir, store) = store();
    store.registry().add_server("ns1", false, None, 0).unwrap();
    let registry = || store.registry().by(ann(7));
    registry().note_server("server.install", ServerId::new(1), &json!({"to": "ns1.example"})).unwrap();
    registry().note("image.add", "image 0.2.0", &json!({"secret": "s", "size_bytes": 5})).unwrap();
    assert!(matches!(registry().note_server("server.install", ServerId::new(2), &Value::Null), Err(Error::Missing(..))));
    let (entries, _) = store.registry().audit(0, 10).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.action.as_str(), entry.who.as_str(), &entry.after)).collect();
    let (added, installed) = (json!({"secret": "(secret)", "size_bytes": 5}), json!({"to": "ns1.example"}));
    assert_eq!(told, [("image.add", "ann", &added), ("server.install", "ann", &installed)]);
    assert!(entries[1].what.contains("ns1"), "{}", entries[1].what);
}

#[test]
fn purging_takes_all_of_one_server_and_nothing_of_the_others() {
    let (dir, store) = store();
    for name in ["a", "b", "c"] {
        store.registry().by(ann(1)).add_server(name, false, None, 0).unwrap();
    }
    let hours = [NOW_S - 5 * 3600, NOW_S - 4 * 3600, NOW_S - 2 * 3600];
    let fill = |store: &Store, hour_s: u64| {
        for server_id in 1..=3 {
            commit(store, server_id, hour_s, &["shared.", &format!("only-{server_id}.")]).unwrap();
            commit(store, server_id, hour_s + 60, &["shared."]).unwrap();
        }
    };
    fill(&store, hours[0]);
    fill(&store, hours[1]);
    settle(&store, NOW_S);
    fill(&store, hours[2]);
    let expect = |what: &BTreeMap<u32, Vec<String>>| {
        let mut expected = what.clone();
        assert!(expected.remove(&2).is_some_and(|rows| !rows.is_empty()));
        expected
    };
    let levels: Vec<_> = Level::ALL.into_iter().map(|level| (level, expect(&points(&store, level)))).collect();
    let of_totals = expect(&totals(&store));
    let records = store.statistics().records;

    store.registry().by(ann(2)).remove_server(ServerId::new(2), NOW_S * 1000, true).unwrap();
    let holds = |store: &Store| {
        for (level, expected) in &levels {
            assert_eq!(points(store, *level), *expected, "{level:?}");
        }
        assert_eq!(totals(store), of_totals);
        assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
        assert_eq!(store.registry().server(ServerId::new(2)).unwrap(), None);
    };
    holds(&store);
    assert_eq!(store.check().unwrap().reports, 12);
    let (entries, _) = store.registry().audit(0, 1).unwrap();
    assert_eq!((entries[0].action.as_str(), &entries[0].after), ("server.purge", &Value::Null));
    drop(store);
    let store = open(dir.path());
    holds(&store);
    let swept = settle(&store, NOW_S).into_iter().any(|step| matches!(step, Step::Swept { records: 1 }));
    assert!(swept, "the name that only this server had");
    assert_eq!(store.statistics().records, records - 1);
    settle(&store, NOW_S);
    holds(&store);
}

#[test]
fn a_removed_server_keeps_its_history_until_retention_takes_it() {
    let (_dir, store) = store();
    store.registry().add_server("a", false, None, 0).unwrap();
    commit(&store, 1, NOW_S - 3600, &["a."]).unwrap();
    store.registry().remove_server(ServerId::new(1), NOW_S * 1000, false).unwrap();
    let late = commit(&store, 1, NOW_S - 60, &["b."]);
    assert!(matches!(late, Err(Error::Missing("server", _))), "what is on its way is refused: {late:?}");
    settle(&store, NOW_S + 60);
    assert_eq!(points(&store, Level::Raw)[&1].len(), 1);
    let day_s = 86_400;
    settle(&store, NOW_S + 30 * day_s);
    assert!(store.registry().server(ServerId::new(1)).unwrap().is_some() && totals(&store).contains_key(&1));
    let steps = settle(&store, NOW_S + 30 * day_s + 61);
    assert!(steps.contains(&Step::Purged { servers: 1 }), "{steps:?}");
    assert_eq!((store.registry().server(ServerId::new(1)).unwrap(), totals(&store).len()), (None, 0));
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn what_was_heard_last_survives_a_restart_and_goes_with_its_server() {
    let (dir, store) = store();
    store.registry().add_server("a", false, None, 0).unwrap();
    store.registry().put_seen(ServerId::new(1), &json!({"state": "running"})).unwrap();
    store.registry().put_seen(ServerId::new(9), &json!({})).unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.registry().seen().unwrap(), [(ServerId::new(1), json!({"state": "running"}))]);
    store.registry().remove_server(ServerId::new(1), 1, false).unwrap();
    store.registry().put_seen(ServerId::new(1), &json!({})).unwrap();
    assert_eq!(store.registry().seen().unwrap(), []);
}

#[test]
fn a_new_name_of_digits_only_is_refused() {
    let (_dir, store) = store();
    let registry = store.registry();
    registry.add_server("ns1", false, None, 0).unwrap();
    for name in ["1", "007", "\u{ff11}"] {
        let error = registry.add_server(name, false, None, 0).unwrap_err().to_string();
        assert!(error.contains("digits only"), "{error}");
        let renamed = registry.change_server(ServerId::new(1), "x", |server| {
            server.name = name.to_owned();
            Ok::<_, Error>(())
        });
        assert!(renamed.is_err(), "{name:?}");
    }
    for name in ["1.example", "1a", "-1"] {
        registry.add_server(name, false, None, 0).unwrap();
    }
}

#[test]
fn a_name_of_digits_only_that_is_there_stays() {
    let (_dir, store) = store();
    let registry = store.registry();
    let server = registry.add_server("ns1", false, None, 0).unwrap();
    let mut earlier = registry.change();
    earlier.put(&server_key(ServerId::new(1)), &Server { name: "7".to_owned(), ..server }).unwrap();
    earlier.commit().unwrap();
    let changed = registry.change_server(ServerId::new(1), "x", |server| {
        server.notes = "a note".to_owned();
        Ok::<_, Error>(())
    });
    assert_eq!(changed.unwrap().name, "7");
}

#[test]
fn what_was_done_with_a_server_is_logged_without_a_change() {
    let (_dir, store) = store();
    let actor = Actor { who: "admin".to_owned(), from: "127.0.0.1".to_owned(), now_ms: 5 };
    let registry = store.registry().by(actor);
    let server = registry.add_server("ns1", false, None, 0).unwrap();
    let version = registry.global().unwrap().version;
    registry.note_server("server.diagnose", server.id, &json!({"run": 7})).unwrap();
    assert_eq!((registry.server(server.id).unwrap(), registry.global().unwrap().version), (Some(server), version));
    let (entries, _) = registry.audit(0, 1).unwrap();
    let AuditEntry { action, what, before, after, .. } = &entries[0];
    assert_eq!((action.as_str(), what.as_str()), ("server.diagnose", "server 1, \"ns1\""));
    assert_eq!((before, after), (&Value::Null, &json!({"run": 7})));
    assert!(registry.note_server("x", ServerId::new(9), &Value::Null).is_err());
}
