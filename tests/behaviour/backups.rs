//! Backups of a central that goes on, and what becomes of them: restored, damaged, interrupted, refused.
//!
//! `ZONEPULSE_TESTS_BACKUP_KILLS` sets how often the central is killed while it makes a backup (4; `make test-backup` uses 20).

use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use zonepulse_tests::api::{ALL_TIME, number, rfc3339_ms, text};
use zonepulse_tests::backup::{Vault, complete, ended, keygen, made, read, start};
use zonepulse_tests::batches::{Point, REQUEST, batch, encode, point, response, send};
use zonepulse_tests::disk::Disk;
use zonepulse_tests::needs::{age, capture_and_mount_rights, s3, sshd, test, test_with};
use zonepulse_tests::probe::Settings;
use zonepulse_tests::process::{Process, program_command, run, succeed, write_private};
use zonepulse_tests::sshd::{Sshd, make_key};
use zonepulse_tests::{Api, Central, Probe, eventually, ports, unix_ms};

pub fn trials() -> Vec<Trial> {
    vec![
        test("after_a_restoration_probes_send_again_and_what_is_lost_is_named", sent_again),
        test("a_backup_during_full_ingest_holds_one_state_record_by_record", during_ingest),
        test("killed_while_it_makes_backups_a_central_keeps_every_earlier_one", killed),
        test("a_backup_uploads_only_what_is_new", incremental),
        test("a_damaged_or_missing_object_is_named_and_nothing_is_restored", damaged),
        test("a_backup_is_restored_with_its_key_only", keys),
        test("a_data_directory_in_use_or_with_something_in_it_is_not_restored_into", occupied),
        test_with("a_full_target_is_told_and_earlier_backups_remain", capture_and_mount_rights, full),
        test("old_backups_are_removed_and_their_objects_with_them", retention),
        test("backups_are_made_by_themselves_and_told_to_prometheus", scheduled),
        test_with("backups_are_stored_and_restored_over_ssh", sshd, over_ssh),
        test_with("backups_are_stored_and_restored_with_s3", s3, over_s3),
        test_with("the_program_age_reads_what_is_backed_up", age, read_by_age),
    ]
}

const START_S: u64 = 1_767_225_600;
const HOSTS: u64 = 40;

fn points(seq: u64, sender: u64) -> Vec<Point> {
    let host = |host: u64| format!("host-{host}.s{sender}.example.");
    (0..HOSTS)
        .filter(|number| !(number + seq).is_multiple_of(3))
        .flat_map(|number| {
            let count = 1 + (number * seq) % 300;
            [point(&host(number), "A", REQUEST, count, 10), point(&host(number), "A", response("NOERROR"), count, 20)]
        })
        .collect()
}

/// The batches of a server are those of a sender, whose numbers ascend.
fn batch_of(server_id: u32, sender: u64, seq: u64) -> Vec<u8> {
    encode(&batch(server_id, 1 + sender, seq, START_S + 60 * seq, &points(seq, sender)))
}

/// Sends a server's batches until it is told to stop; counts those that were acknowledged.
fn send_until(ended: &AtomicBool, api: &Api, server_id: u32, sender: u64, acknowledged: &AtomicU64) {
    let mut seq = acknowledged.load(Ordering::Relaxed);
    while !ended.load(Ordering::Relaxed) {
        let url = api.url("/api/v2/batches", &[]);
        let headers = [("content-type", "application/vnd.zonepulse.batch")];
        match api.send("POST".parse().expect("a method"), url, &headers, batch_of(server_id, sender, seq)) {
            Ok(response) if response.status == 204 => {
                seq += 1;
                acknowledged.store(seq, Ordering::Relaxed);
            }
            Ok(response) => panic!("{}: {}", response.status, response.text()),
            // Killed, or not started yet.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// What a central says about the first batches of each server, compared record by record.
fn assert_holds(api: &Api, servers: &[u32], counts: &[u64]) {
    let mut expected: BTreeMap<(u64, String, String), u64> = BTreeMap::new();
    for (sender, (server_id, count)) in (0..).zip(servers.iter().zip(counts)) {
        for seq in 0..*count {
            for point in points(seq, sender) {
                let action = if point.kind == REQUEST { "request" } else { "response" };
                *expected.entry(((*server_id).into(), point.host, action.to_owned())).or_default() += point.hits;
            }
        }
    }
    let by_record = |sql: &str| -> BTreeMap<(u64, String, String), u64> {
        let rows = api.sql(sql, "application/json").json();
        let row = |row: &Value| {
            let [host, action] = ["host", "action"].map(|column| row[column].as_str().expect("text").to_owned());
            ((row["server_id"].as_u64().expect("a number"), host, action), row["hits"].as_u64().expect("a number"))
        };
        rows.as_array().expect("rows").iter().map(row).collect()
    };
    for table in ["records", "dns_raw", "dns_5m", "dns_1h"] {
        let sql = format!("SELECT server_id, host, action, sum(hits) AS hits FROM {table} GROUP BY 1, 2, 3");
        let found = by_record(&sql);
        let differ = expected.iter().filter(|(key, hits)| found.get(key) != Some(hits)).count();
        assert!(found == expected, "{table}: {differ} of {} records differ, {} found", expected.len(), found.len());
    }
    let raw = "SELECT count(*) AS points FROM dns_raw";
    let all: u64 =
        (0..).zip(counts).map(|(sender, count)| (0..*count).map(|seq| points(seq, sender).len() as u64).sum::<u64>()).sum();
    assert_eq!(api.sql(raw, "application/json").json()[0]["points"], all);
}

/// How many batches of each server a central has, which must be the first ones.
fn first_batches(api: &Api, servers: &[u32]) -> Vec<u64> {
    let sql = "SELECT server_id, count(*) AS batches, max(seq) AS last FROM coverage GROUP BY 1";
    let rows = api.sql(sql, "application/json").json();
    let count = |server_id: &u32| {
        let row = rows.as_array().expect("rows").iter().find(|row| row["server_id"] == *server_id);
        row.map_or(0, |row| {
            let batches = row["batches"].as_u64().expect("a number");
            assert_eq!(row["last"], batches - 1, "the state of one moment has the first batches of each sender: {row}");
            batches
        })
    };
    servers.iter().map(count).collect()
}

/// A central that has restored data, for as long as it is asked.
fn on(data: &Path) -> Central {
    Central::start_at(data)
}

fn during_ingest() {
    let vault = Vault::new();
    let mut central = Central::start_configured(&["one", "two", "three"], &vault.configuration(""));
    let servers: Vec<u32> = central.servers.iter().map(|server| server.id).collect();
    let acknowledged: Vec<AtomicU64> = servers.iter().map(|_| AtomicU64::new(0)).collect();
    let ended = AtomicBool::new(false);
    let counts = || acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let mut backups: Vec<(String, Vec<u64>, Vec<u64>)> = Vec::new();
    thread::scope(|scope| {
        for (sender, (server_id, acknowledged)) in (0..).zip(servers.iter().zip(&acknowledged)) {
            let (api, ended) = (central.api_of_server(sender as usize), &ended);
            scope.spawn(move || send_until(ended, &api, *server_id, sender, acknowledged));
        }
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(1500));
            let before = counts();
            let row = made(&central);
            backups.push((row["backup_id"].as_str().expect("a name").to_owned(), before, counts()));
        }
        ended.store(true, Ordering::Relaxed);
    });
    for (id, before, after) in &backups {
        let restored = on(&vault.restored(id));
        let api = restored.api();
        let held = first_batches(&api, &servers);
        for (at, held) in held.iter().enumerate() {
            // One may have been under way.
            assert!((before[at]..=after[at] + 1).contains(held), "{id}: {before:?} <= {held:?} <= {after:?}");
        }
        assert_holds(&api, &servers, &held);
    }
    central.stop();
}

fn killed() {
    let kills: u64 = std::env::var("ZONEPULSE_TESTS_BACKUP_KILLS").map_or(4, |text| text.parse().expect("a number"));
    let vault = Vault::new();
    let mut central = Central::start_configured(&["one"], &vault.configuration(""));
    let servers = [central.servers[0].id];
    let mut sent = 0;
    let mut send_more = |central: &Central, count: u64| {
        for _ in 0..count {
            let response = central.api_of_server(0).post_batch(batch_of(servers[0], 0, sent));
            assert_eq!(response.status, 204, "{}", response.text());
            sent += 1;
        }
        sent
    };
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    let count = send_more(&central, 30);
    let row = made(&central);
    let took_ms = row["duration_ms"].as_u64().expect("a number").max(20);
    held.insert(row["backup_id"].as_str().expect("a name").to_owned(), count);
    let mut interrupted = 0;
    for kill in 0..kills {
        let count = send_more(&central, 10);
        let id = start(&central.api());
        thread::sleep(Duration::from_millis(kill * 7919 % took_ms));
        central.kill();
        central.check();
        central.start_again();
        let there: BTreeSet<String> = complete(&central.api()).into_iter().collect();
        assert!(held.keys().all(|id| there.contains(id)), "{there:?} lacks some of {held:?}");
        if there.contains(&id) {
            held.insert(id, count);
        } else {
            interrupted += 1;
        }
        assert!(!central.data().join("store/checkpoint").exists(), "what was left of it keeps old files");
    }
    assert!(interrupted > 0, "all {kills} backups were complete before the central was killed");
    let count = send_more(&central, 10);
    let row = made(&central);
    held.insert(row["backup_id"].as_str().expect("a name").to_owned(), count);
    let there: BTreeSet<String> = complete(&central.api()).into_iter().collect();
    assert_eq!(there, held.keys().cloned().collect());
    for (id, count) in &held {
        let good = vault.verify(id, &["--identity", vault.identity().to_str().expect("text")]);
        assert!(good.code == Some(0) && good.out.contains("its store is sound"), "{}{}", good.out, good.err);
        let restored = on(&vault.restored(id));
        assert_eq!(first_batches(&restored.api(), &servers), [*count], "{id}");
        assert_holds(&restored.api(), &servers, &[*count]);
    }
    // Nothing is left of those that were interrupted.
    let left: Vec<PathBuf> = objects(&vault.path());
    let needed: BTreeSet<String> = held.keys().flat_map(|id| objects_of(&vault.path(), id)).collect();
    assert_eq!(left.len(), needed.len(), "{left:?}");
}

fn objects(destination: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(destination.join("objects")).expect("there are some");
    let mut objects: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    objects.sort();
    objects
}

/// The names of the objects of a backup, from the part of its manifest that anybody may read.
fn objects_of(destination: &Path, id: &str) -> Vec<String> {
    let bytes = fs::read(destination.join("backups").join(id)).expect("there is a manifest");
    let end = bytes.iter().position(|byte| *byte == b'\n').expect("its first line has an end");
    let manifest: Value = serde_json::from_slice(&bytes[..end]).expect("its first line is JSON");
    let objects = manifest["objects"].as_array().expect("it lists objects");
    objects.iter().map(|object| object["name"].as_str().expect("a name").to_owned()).collect()
}

fn incremental() {
    let vault = Vault::new();
    let mut central = Central::start_configured(&["one"], &vault.configuration(""));
    (0..40).for_each(|seq| assert_eq!(central.api_of_server(0).post_batch(batch_of(central.servers[0].id, 0, seq)).status, 204));
    // Sorted files, which never change.
    central.stop();
    central.start_again();
    let first = made(&central);
    let files = sorted_files(&central);
    assert!(first["kind"] == "full" && first["new_bytes"] == first["size_bytes"] && !files.is_empty(), "{first}");
    let before = objects(&vault.path()).len();
    send(&central.api_of_server(0), &batch(central.servers[0].id, 1, 1000, START_S + 60_000, &points(1000, 0)));
    let second = made(&central);
    assert_eq!(second["kind"], "incremental");
    let (new, size) = (second["new_bytes"].as_u64().expect("a number"), second["size_bytes"].as_u64().expect("a number"));
    assert!(new < size, "{second}");
    // Files that both have are stored once.
    let [one, two] = [&first, &second].map(|row| objects_of(&vault.path(), row["backup_id"].as_str().expect("a name")));
    let one: BTreeSet<String> = one.into_iter().collect();
    let common = two.iter().filter(|name| one.contains(*name)).count();
    assert!(common >= files.len(), "{common} objects are shared, of {} sorted files", files.len());
    assert_eq!(objects(&vault.path()).len(), before + two.len() - common);
}

fn sorted_files(central: &Central) -> Vec<PathBuf> {
    let entries = fs::read_dir(central.data().join("store")).expect("there is a store");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect()
}

fn damaged() {
    let vault = Vault::new();
    let central = Central::start_configured(&["one"], &vault.configuration(""));
    assert_eq!(central.api_of_server(0).post_batch(batch_of(central.servers[0].id, 0, 0)).status, 204);
    let id = made(&central)["backup_id"].as_str().expect("a name").to_owned();
    let from = vault.path();
    let restore = |name: &str| {
        let data = vault.beside(name);
        let output = vault.restore(from.to_str().expect("text"), &vault.identity(), &data, &[]);
        assert_eq!(output.code, Some(1), "{}", output.out);
        let left: Vec<_> = fs::read_dir(&data).map_or_else(|_| Vec::new(), |entries| entries.collect());
        assert!(left.is_empty(), "{left:?}");
        output.err
    };
    for (at, path) in objects(&vault.path()).into_iter().enumerate() {
        let name = path.file_name().and_then(|name| name.to_str()).expect("text").to_owned();
        let good = fs::read(&path).expect("it can be read");
        let mut bad = good.clone();
        let middle = bad.len() - 1 - (at * 31 % 100).min(bad.len() / 4);
        bad[middle] ^= 0x10;
        fs::write(&path, bad).expect("it can be written");
        let said = restore(&format!("flipped-{at}"));
        assert!(said.contains(&format!("object {name} of backup {id} is damaged")), "{said}");
        let checked = vault.verify(&id, &[]);
        assert!(checked.code == Some(1) && checked.out.contains(&name), "{}", checked.out);
        fs::remove_file(&path).expect("it can be removed");
        let said = restore(&format!("missing-{at}"));
        assert!(said.contains(&format!("object {name} of backup {id} is missing")), "{said}");
        fs::write(&path, good).expect("it can be written");
    }
    let checked = vault.verify(&id, &[]);
    assert!(checked.code == Some(0) && checked.out.contains("is good"), "{}{}", checked.out, checked.err);
    vault.restored(&id);
}

fn keys() {
    const NAME: &str = "unmistakable-name";
    let vault = Vault::new();
    let central = Central::start_configured(&[NAME], &vault.configuration(""));
    let id = made(&central)["backup_id"].as_str().expect("a name").to_owned();
    let other = vault.beside("other.txt");
    keygen(&other);
    let from = vault.path();
    let output = vault.restore(from.to_str().expect("text"), &other, &vault.beside("wrong"), &[]);
    let expected = format!("backup {id} was encrypted for another key: give the identity of {}", vault.recipient);
    assert!(output.code == Some(1) && output.err.contains(&expected), "{}", output.err);
    let output =
        vault.restore(from.to_str().expect("text"), &vault.identity(), &vault.beside("unknown"), &["--backup", "20200101"]);
    assert!(output.code == Some(1) && output.err.contains(&format!("no such backup; there is {id}")), "{}", output.err);
    // Neither the central nor the destination has what it takes, and no name of a record is to be seen.
    let secret = fs::read_to_string(vault.identity()).expect("it can be read");
    let secret = secret.lines().last().expect("a key");
    for folder in [central.data(), central.data().join("store"), vault.path().join("objects"), vault.path().join("backups")] {
        for entry in fs::read_dir(folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            let Ok(bytes) = fs::read(&path) else { continue };
            let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!has(secret), "{}", path.display());
            assert!(!path.starts_with(vault.path()) || !has(NAME), "{}", path.display());
        }
    }
}

fn occupied() {
    let vault = Vault::new();
    let mut central = Central::start_configured(&["one"], &vault.configuration(""));
    let servers = [central.servers[0].id];
    assert_eq!(central.api_of_server(0).post_batch(batch_of(servers[0], 0, 0)).status, 204);
    made(&central);
    assert_eq!(central.api_of_server(0).post_batch(batch_of(servers[0], 0, 1)).status, 204);
    let from = vault.path();
    let restore = |more: &[&str]| vault.restore(from.to_str().expect("text"), &vault.identity(), &central.data(), more);
    let output = restore(&[]);
    assert!(output.code == Some(1) && output.err.contains("is not empty") && output.err.contains("--replace"), "{}", output.err);
    let output = restore(&["--replace"]);
    assert!(output.code == Some(1) && output.err.contains("in use"), "{}", output.err);
    central.stop();
    let vault_path = vault.path();
    let output = vault.restore(vault_path.to_str().expect("text"), &vault.identity(), &central.data(), &["--replace"]);
    assert!(output.code == Some(0) && output.out.contains("its store is sound"), "{}{}", output.out, output.err);
    let replaced = output.out.lines().find_map(|line| line.strip_prefix("what was there before is in ")).expect("it says where");
    assert!(Path::new(replaced).join("store/CURRENT").exists());
    central.start_again();
    assert_holds(&central.api(), &servers, &[1]);
    let audit = central.api().get("/api/v2/audit", &[], "application/json").json();
    let actions: Vec<&str> = audit.as_array().expect("a list").iter().filter_map(|row| row["action"].as_str()).collect();
    assert!(actions.starts_with(&["store.restore"]), "{actions:?}");
}

fn full(_alone: MutexGuard<'static, ()>) {
    let disk = Disk::mount(3 << 20);
    let vault = Vault::new();
    let destination = disk.path.to_str().expect("text").to_owned();
    let central = Central::start_configured(&["one"], &vault.configuration_to(&destination, ""));
    let server_id = central.servers[0].id;
    assert_eq!(central.api_of_server(0).post_batch(batch_of(server_id, 0, 0)).status, 204);
    let first = made(&central)["backup_id"].as_str().expect("a name").to_owned();
    disk.fill(8 << 10);
    let many: Vec<Point> = (0..2000).map(|n| point(&format!("name-{n}.example."), "A", REQUEST, 1, n)).collect();
    let large = |seq: u64| send(&central.api_of_server(0), &batch(server_id, 1, seq, START_S + 60 * seq, &many));
    (1..6).for_each(large);
    let before = objects(&disk.path);
    // What is needed is known before, and does not fit.
    let api = central.api();
    let row = ended(&api, &start(&api));
    assert_eq!(row["state"], "failed", "{row}");
    let error = row["error"].as_str().expect("it says why");
    assert!(error.contains("is full") && error.contains("bytes are free") && error.contains("earlier backups"), "{error}");
    assert_eq!(objects(&disk.path), before);
    assert_eq!(central.metric("zonepulse_backup_failures_total"), 1);
    assert_eq!(complete(&api), std::slice::from_ref(&first));
    disk.empty();
    let second = made(&central)["backup_id"].as_str().expect("a name").to_owned();
    for id in [first, second] {
        let data = vault.beside(&id);
        let output = vault.restore(&destination, &vault.identity(), &data, &["--backup", &id]);
        assert_eq!(output.code, Some(0), "{}", output.err);
    }
}

fn retention() {
    let vault = Vault::new();
    let configuration = vault.configuration("keep_daily = 0\nkeep_weekly = 0").replace("keep_last = 1000", "keep_last = 2");
    let central = Central::start_configured(&["one"], &configuration);
    let mut ids = Vec::new();
    for seq in 0..4 {
        assert_eq!(central.api_of_server(0).post_batch(batch_of(central.servers[0].id, 0, seq)).status, 204);
        ids.insert(0, made(&central)["backup_id"].as_str().expect("a name").to_owned());
        // Names have the precision of a second, and sort.
        thread::sleep(Duration::from_millis(1100));
    }
    assert_eq!(complete(&central.api()), ids[..2]);
    let needed: BTreeSet<String> = ids[..2].iter().flat_map(|id| objects_of(&vault.path(), id)).collect();
    assert_eq!(objects(&vault.path()).len(), needed.len());
    ids[..2].iter().for_each(|id| _ = vault.restored(id));
}

fn scheduled() {
    let vault = Vault::new();
    let configuration = vault.configuration("").replace("every_s = 0", "every_s = 3");
    let mut central = Central::start_configured(&["one"], &configuration);
    let api = central.api();
    let listed =
        eventually("two backups are made", Duration::from_secs(60), || Some(complete(&api)).filter(|backups| backups.len() >= 2));
    let times: Vec<u64> = listed.iter().map(|id| rfc3339_ms(read(&api, id)["time"].as_str().expect("a time"))).collect();
    assert!(times.windows(2).all(|pair| pair[0] - pair[1] >= 3000), "{times:?}");
    let metric = |name: &str| central.metric(&format!("zonepulse_backup{name}"));
    assert!(metric("s") >= 2 && metric("_size_bytes") > 0 && metric("_free_bytes") > 0 && metric("_failures_total") == 0);
    assert!(unix_ms() / 1000 - metric("_last_success_timestamp_seconds") < 30 && metric("_age_seconds") < 30);
    let output = run(
        program_command("zonepulse")
            .args(["backup", "now", "--url", &central.url(), "--credentials"])
            .arg(central.data().join("admin-credentials")),
        Duration::from_secs(60),
    );
    // One of its own may be under way.
    assert!(output.out.contains("is complete: ") || output.err.contains("one is made at a time"), "{}{}", output.out, output.err);
    central.stop();
}

fn over_ssh(_there: ()) {
    let (vault, sshd) = (Vault::new(), Sshd::start());
    let path = vault.beside("over there");
    fs::create_dir(&path).expect("a test's folder is writable");
    let destination = sshd.destination(&path);
    let more = |known_hosts: &Path| format!("ssh_identity_file = {:?}\nssh_known_hosts_file = {known_hosts:?}", sshd.identity());
    let mut central = Central::start_configured(&["one"], &vault.configuration_to(&destination, &more(&sshd.known_hosts())));
    let servers = [central.servers[0].id];
    let send_one =
        |central: &Central, seq| assert_eq!(central.api_of_server(0).post_batch(batch_of(servers[0], 0, seq)).status, 204);
    send_one(&central, 0);
    let first = made(&central);
    send_one(&central, 1);
    let second = made(&central);
    assert_eq!((first["kind"].as_str(), second["kind"].as_str()), (Some("full"), Some("incremental")), "{second}");
    assert!(second["destination"].as_str().is_some_and(|text| text.starts_with("ssh://")), "{second}");
    let unfinished = objects(&path).iter().filter(|path| path.extension().is_some()).count();
    assert_eq!(unfinished, 0);
    let (identity, known_hosts) = (sshd.identity(), sshd.known_hosts());
    let options =
        ["--ssh-identity-file", identity.to_str().expect("text"), "--ssh-known-hosts-file", known_hosts.to_str().expect("text")];
    let data = vault.beside("restored");
    let output = vault.restore(&destination, &vault.identity(), &data, &options);
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert_holds(&on(&data).api(), &servers, &[2]);

    // Whoever has another host key gets nothing.
    let (other, strangers) = (vault.beside("other"), vault.beside("strangers"));
    make_key(&other);
    let public = fs::read_to_string(other.with_extension("pub")).expect("it was made");
    fs::write(&strangers, format!("[127.0.0.1]:{} {public}", sshd.port)).expect("a test's folder is writable");
    central.stop();
    central.configure(&vault.configuration_to(&destination, &more(&strangers)));
    central.start_again();
    let api = central.api();
    let id = start(&api);
    let log = eventually("the backup fails", Duration::from_secs(60), || {
        Some(central.log()).filter(|log| log.contains("a backup failed"))
    });
    assert!(log.contains(&id) && log.contains("Host key verification failed"), "{log}");
    // A directory that is not there is not made.
    central.stop();
    let nowhere = sshd.destination(&vault.beside("nowhere"));
    central.configure(&vault.configuration_to(&nowhere, &more(&sshd.known_hosts())));
    central.start_again();
    start(&central.api());
    eventually("the backup fails", Duration::from_secs(60), || {
        central.log().contains("the directory is not there").then_some(())
    });
}

fn over_s3(server: PathBuf) {
    let vault = Vault::new();
    let (buckets, port) = (vault.beside("buckets"), ports::free());
    fs::create_dir_all(buckets.join("zonepulse")).expect("a test's folder is writable");
    let mut command = std::process::Command::new(server);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--access-key", "id", "--secret-key", "hush"])
        .arg(&buckets);
    let _s3 = Process::start("s3s-fs", command, &vault.beside(""));
    eventually("the server for S3 listens", Duration::from_secs(20), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let key = vault.beside("s3.toml");
    write_private(&key, "access_key_id = \"id\"\nsecret_access_key = \"hush\"\n");
    let endpoint = format!("http://127.0.0.1:{port}");
    let more = |key: &Path| format!("s3_endpoint = {endpoint:?}\ns3_credentials_file = {key:?}");
    let destination = "s3://zonepulse/of/one";
    let mut central = Central::start_configured(&["one"], &vault.configuration_to(destination, &more(&key)));
    let server_id = central.servers[0].id;
    // A file that takes several parts of an upload.
    let credentials = central.data().join("admin-credentials");
    let text = fs::read_to_string(&credentials).expect("made at first start") + &comments(40 << 20);
    write_private(&credentials, &text);
    assert_eq!(central.api_of_server(0).post_batch(batch_of(server_id, 0, 0)).status, 204);
    let first = made(&central);
    assert_eq!(central.api_of_server(0).post_batch(batch_of(server_id, 0, 1)).status, 204);
    let second = made(&central);
    assert_eq!((first["kind"].as_str(), second["kind"].as_str()), (Some("full"), Some("incremental")), "{second}");
    let options = ["--s3-endpoint", &endpoint, "--s3-credentials", key.to_str().expect("text")];
    let data = vault.beside("restored");
    let output = vault.restore(destination, &vault.identity(), &data, &options);
    assert_eq!(output.code, Some(0), "{}", output.err);
    let restored = fs::read_to_string(data.join("admin-credentials")).expect("it was saved, too");
    assert!(restored == text, "{} bytes instead of {}", restored.len(), text.len());
    assert_holds(&on(&data).api(), &[server_id], &[2]);
    central.stop();
    let wrong = vault.beside("wrong.toml");
    write_private(&wrong, "access_key_id = \"id\"\nsecret_access_key = \"other\"\n");
    central.configure(&vault.configuration_to(destination, &more(&wrong)));
    central.start_again();
    start(&central.api());
    let log = eventually("the backup fails", Duration::from_secs(60), || {
        Some(central.log()).filter(|log| log.contains("a backup failed"))
    });
    assert!(log.contains("SignatureDoesNotMatch") && !log.contains("hush"), "{log}");
}

/// Lines that mean nothing.
fn comments(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 100);
    let mut state = 1u64;
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("# {state:016x}\n"));
    }
    text
}

fn read_by_age(age: PathBuf) {
    let vault = Vault::new();
    let central = Central::start_configured(&["one"], &vault.configuration(""));
    let id = made(&central)["backup_id"].as_str().expect("a name").to_owned();
    let mut read = 0;
    for path in objects(&vault.path()) {
        let plain = vault.beside("plain");
        let mut command = std::process::Command::new(&age);
        command.arg("-d").arg("-i").arg(vault.identity()).arg("-o").arg(&plain).arg(&path);
        succeed(&mut command, Duration::from_secs(20));
        let text = fs::read(&plain).expect("age has written it");
        read += usize::from(text.starts_with(b"MANIFEST-") || text.starts_with(b"# This is a RocksDB option file"));
    }
    assert_eq!(read, 2, "CURRENT and OPTIONS of backup {id}");
}

/// A probe delivers, the central is restored to a state before, and asks for what it has forgotten.
fn sent_again() {
    const FIRST: u64 = 5;
    const SECOND: u64 = 6;
    const LOST: std::ops::Range<u64> = FIRST + 2..FIRST + 4;
    let vault = Vault::new();
    let mut central = Central::start_configured(&["one"], &vault.configuration(""));
    let server_id = central.servers[0].id;
    let mut probe = Probe::new(&Settings { device: "nosuchdevice0", ..Settings::http(&central, 0) });
    let minute_s = unix_ms() / 60_000 * 60 - 60 * (FIRST + SECOND);
    let file = |seq: u64| format!("{:012}-{:020}-{seq:010}.batch", minute_s + 60 * seq, 7);
    let spool = |probe: &Probe, seqs: std::ops::Range<u64>| {
        fs::create_dir_all(probe.spool()).expect("a test's folder is writable");
        for seq in seqs {
            let bytes = encode(&batch(server_id, 7, seq, minute_s + 60 * seq, &points(seq, 0)));
            fs::write(probe.spool().join(file(seq)), bytes).expect("a test's folder is writable");
        }
    };
    let arrived = |central: &Central, count: u64| {
        let api = central.api();
        eventually("the batches have arrived", Duration::from_secs(90), || {
            let counted =
                api.sql("SELECT count(*) AS batches FROM coverage WHERE epoch = '0000000000000007'", "application/json");
            (counted.json()[0]["batches"] == count).then_some(())
        });
    };
    spool(&probe, 0..FIRST);
    probe.start();
    arrived(&central, FIRST);
    made(&central);
    probe.stop();
    spool(&probe, FIRST..FIRST + SECOND);
    probe.start();
    arrived(&central, FIRST + SECOND);
    probe.stop();
    central.stop();

    let from = vault.path();
    let output = vault.restore(from.to_str().expect("text"), &vault.identity(), &central.data(), &["--replace"]);
    assert_eq!(output.code, Some(0), "{}", output.err);
    // Some of what the probe had delivered is not there any more.
    for seq in LOST {
        fs::remove_file(probe.spool().join("delivered").join(file(seq))).expect("it keeps what it has delivered");
    }
    central.start_again();
    arrived(&central, FIRST);
    probe.start();
    let present = FIRST + SECOND - (LOST.end - LOST.start);
    arrived(&central, present);
    assert!(probe.log().contains("the central was restored from a backup: batches will be sent again"), "{}", probe.log());

    let api = central.api();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for seq in (0..FIRST + SECOND).filter(|seq| !LOST.contains(seq)) {
        let requests = points(seq, 0).into_iter().filter(|point| point.kind == REQUEST);
        requests.for_each(|point| *expected.entry(point.host).or_default() += point.hits);
    }
    let totals = || -> BTreeMap<String, u64> {
        let rows = api.rows("dns/aggregate", &[("limit", "1000")]);
        rows.iter().map(|row| (text(row, "host").to_owned(), number(row, "hits"))).collect()
    };
    assert_eq!(totals(), expected);
    let raw: u64 = api.all_rows("dns/raw", &[ALL_TIME, ("action", "request")]).iter().map(|row| number(row, "hits")).sum();
    assert_eq!(raw, expected.values().sum::<u64>());

    // The stretch that is lost is named, to the minute.
    let (begin_s, end_s) = (minute_s + 60 * LOST.start, minute_s + 60 * LOST.end);
    let range = [("date_from", minute_s.to_string()), ("date_to", (minute_s + 60 * (FIRST + SECOND)).to_string())];
    let range: Vec<(&str, &str)> = range.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rows = api.rows("dns/observation", &range);
    let missed: Vec<_> = rows.iter().filter(|row| row["observed"] == false).collect();
    assert_eq!(missed.len(), 1, "{rows:?}");
    let time_s = |column: &str| rfc3339_ms(text(missed[0], column)) / 1000;
    assert_eq!((time_s("from"), time_s("to")), (begin_s, end_s), "{rows:?}");
    assert_eq!(missed[0]["why"].to_string().replace(['[', ']', '"'], ""), "restored", "{rows:?}");

    // The same request again, and the same batches again, change nothing.
    probe.stop();
    probe.start();
    thread::sleep(Duration::from_secs(2));
    assert_eq!(totals(), expected);
    probe.stop();
    central.stop();
    let sound = central.check();
    assert!(sound.contains("is sound"), "{sound}");
}
