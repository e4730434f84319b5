//! Stores of every earlier format: what `zonepulse migrate` says of them, and that they answer afterwards as they should.
//!
//! Answers are compared with those in `tests/golden`, which `ZONEPULSE_TESTS_UPDATE=1` writes anew. What they rest on is held by
//! numbers that were known when the stores were made.

use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use zonepulse_fixtures::project;
use zonepulse_tests::Central;
use zonepulse_tests::disk::Disk;
use zonepulse_tests::needs::{capture_and_mount_rights, test, test_with};
use zonepulse_tests::process::{Output, program, program_command, run, without_settings, write_private};

pub fn trials() -> Vec<Trial> {
    vec![
        test("stores_of_every_earlier_format_are_migrated_and_answer_as_they_should", formats),
        test("a_dry_run_of_a_migration_changes_nothing_and_says_what_would_be_done", dry_run),
        test("a_store_in_use_is_not_migrated", in_use),
        test("a_store_of_a_later_format_is_refused_with_the_version_that_wrote_it", later),
        test_with("a_migration_without_space_is_not_begun", capture_and_mount_rights, |_alone| no_space()),
        test_with("a_store_that_cannot_be_written_to_is_not_migrated", capture_and_mount_rights, |_alone| read_only()),
    ]
}

const WITHIN: Duration = Duration::from_secs(60);
/// The formats, with the sum of hits and the number of points in their stores, as `zonepulse check` of the version that wrote
/// them, or of the next one, printed them. The store of format 4 is that of a version that did not record itself yet.
const FORMATS: [(u32, &str); 4] = [(1, "308404,1296"), (2, "308404,1296"), (3, "606,202"), (4, "41382,2138")];

/// Fills a data directory with the store of a fixture.
fn fill(data: &Path, fixture: &str) {
    let store = data.join("store");
    fs::create_dir_all(&store).expect("a test's folder is writable");
    for file in fs::read_dir(project().join("store/fixtures").join(fixture)).expect("the fixture is there") {
        let file = file.expect("an entry");
        fs::copy(file.path(), store.join(file.file_name())).expect("a test's folder is writable");
    }
    for directory in [data, &store] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).expect("it is our own");
    }
}

fn filled(fixture: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let data = folder.path().join("data");
    fill(&data, fixture);
    (folder, data)
}

fn migrate(data: &Path, options: &[&str]) -> Output {
    run(program_command("zonepulse").args(["migrate", "--data"]).arg(data).args(options), WITHIN)
}

/// The result as JSON, and the exit code.
fn told(data: &Path, options: &[&str]) -> (Value, Option<i32>) {
    let output = migrate(data, &[&["--json"][..], options].concat());
    let value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {}{}", output.out, output.err));
    (value, output.code)
}

fn ids(told: &Value, member: &str) -> Vec<String> {
    let list = told[member].as_array().expect("a list").iter();
    list.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

fn formats() {
    for (format, sums) in FORMATS {
        let fixture = format!("format-{format}");
        let central = Central::start_filled(|data| {
            fill(data, &fixture);
            let (found, code) = told(data, &[]);
            let is_older = found["format"] != found["current_format"];
            assert_eq!(
                (found["format"].as_u64(), found["migrated"].as_bool(), code),
                (Some(format.into()), Some(is_older), Some(0))
            );
            let checked = run(program_command("zonepulse").arg("check").arg(data), WITHIN);
            assert!(checked.code == Some(0) && checked.out.contains("the store is sound"), "{}{}", checked.out, checked.err);
            let (again, code) = told(data, &[]);
            let is_done = again["format"] == again["current_format"] && again["written_by"] == again["program"];
            assert!(is_done && again["migrated"] == false && ids(&again, "steps").is_empty() && code == Some(0), "{again}");
            log_in(data);
        });
        let answers = answers(&central);
        assert!(answers.contains(&format!("\n{sums}\n")), "the sums of {fixture} are not {sums}: {answers}");
        let golden = project().join("tests/golden").join(format!("{fixture}.txt"));
        if std::env::var_os("ZONEPULSE_TESTS_UPDATE").is_some() {
            fs::write(&golden, &answers).expect("the project is writable");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert!(answers == expected, "the answers of {fixture} are not those in {}:\n{answers}", golden.display());
    }
}

/// Gives the administrator a known password, if there is one. Otherwise the first start makes one.
fn log_in(data: &Path) {
    let set = run(program_command("zonepulse").args(["user", "password", "admin", "--data"]).arg(data), WITHIN);
    if set.code == Some(0) {
        write_private(&data.join("admin-credentials"), &set.out);
    }
}

/// Answers that do not depend on the time of the test: what the stores contain is of January and November 2026.
fn answers(central: &Central) -> String {
    let mut answers = String::new();
    for statement in [
        "SELECT sum(hits) AS hits, count(*) AS points FROM dns_raw",
        "SELECT server_id, host, type, action, rcode, hits, first_seen, last_access FROM records ORDER BY server_id, host, type, action, rcode",
        "SELECT time, server_id, host, type, action, rcode, hits, last_access FROM dns_1h ORDER BY time, server_id, host, type, action, rcode",
        "SELECT time, server_id, action, sum(hits) AS hits, count(*) AS points FROM dns_5m GROUP BY time, server_id, action ORDER BY time, server_id, action",
        "SELECT server_id, server, sample FROM servers ORDER BY server_id",
        "SELECT zone_id, zone, \"view\", source, serial, resources, state FROM zones ORDER BY zone_id",
        "SELECT resource_id, zone_id, host, type, ttl, data, created, removed FROM resources ORDER BY resource_id",
        "SELECT server_id, count(*) AS reports, sum(hits) AS hits, min(covered_from) AS first, max(covered_until) AS until FROM coverage GROUP BY server_id ORDER BY server_id",
        "SELECT server_id, \"from\", \"to\", observed, why FROM observation WHERE \"from\" >= '2026-11-28T09:00:00Z' AND \"to\" < '2026-11-28T10:12:00Z' ORDER BY server_id, \"from\"",
    ] {
        let said = central.api().sql(statement, "text/csv").text();
        writeln!(answers, "-- {statement}\n{said}").expect("it is a string");
    }
    answers
}

/// Every file and what is in it.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).expect("it is our own"))),
        }
    }
    found
}

fn dry_run() {
    let (_folder, data) = filled("format-2");
    let before = contents(&data);
    let (found, code) = told(&data, &["--dry-run"]);
    assert_eq!((found["format"].as_u64(), code), (Some(2), Some(0)), "{found}");
    assert_eq!(ids(&found, "steps"), ["metrics", "ledger", "catalogue", "served"]);
    assert!(ids(&found, "obstacles").is_empty() && found["migrated"] == false, "{found}");
    assert!(found["estimate"]["seconds"].as_u64() >= Some(1) && found["estimate"]["space_bytes"].as_u64() > Some(0), "{found}");
    let said = migrate(&data, &["--dry-run"]);
    for text in ["format 2", "step ledger: ", "estimated from", "Dry run: nothing was changed."] {
        assert!(said.out.contains(text), "{text}: {}", said.out);
    }
    assert!(contents(&data) == before, "a dry run has changed a file");
    let empty = migrate(&data.join("none"), &["--dry-run"]);
    assert!(empty.code == Some(1) && empty.err.contains("none/store"), "{}", empty.err);
    assert!(!data.join("none").exists());
}

fn in_use() {
    let mut central = Central::start(&["ns1"]);
    let (found, code) = told(&central.data(), &["--dry-run"]);
    assert_eq!((ids(&found, "obstacles"), code), (vec!["in_use".to_owned()], Some(1)), "{found}");
    let said = migrate(&central.data(), &[]);
    assert!(said.code == Some(1) && said.out.contains("a running `zonepulse serve` holds it"), "{}{}", said.out, said.err);
    // It was looked at, and is still there.
    assert!(central.api().healthy());
    central.stop();
    let (found, code) = told(&central.data(), &["--dry-run"]);
    assert_eq!((ids(&found, "obstacles"), code), (vec![], Some(0)), "{found}");
}

fn later() {
    let (_folder, data) = filled("later-format");
    let before = contents(&data);
    for options in [&["--dry-run"][..], &[]] {
        let (found, code) = told(&data, options);
        assert_eq!((ids(&found, "obstacles"), code), (vec!["format".to_owned()], Some(1)), "{found}");
        assert_eq!((found["format"].as_u64(), found["migrated"].as_bool()), (Some(99), Some(false)));
    }
    let refused = run(program_command("zonepulse").args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data), WITHIN);
    assert_eq!(refused.code, Some(1));
    let reads = format!("this is zonepulse {}, which reads formats 1 to 5", env!("CARGO_PKG_VERSION"));
    for text in ["format 99, written by", reads.as_str(), "a copy from before the upgrade"] {
        assert!(refused.err.contains(text), "{text}: {}", refused.err);
    }
    assert!(contents(&data) == before, "a refused store was changed");
}

fn no_space() {
    let disk = Disk::mount(256 << 20);
    let data = disk.path.join("data");
    fill(&data, "format-3");
    disk.fill(16 << 10);
    let before = contents(&data);
    let (found, code) = told(&data, &[]);
    assert_eq!((ids(&found, "obstacles"), code), (vec!["no_space".to_owned()], Some(1)), "{found}");
    assert!(found["estimate"]["space_bytes"].as_u64() > found["free_bytes"].as_u64(), "{found}");
    assert!(contents(&data) == before);
    disk.empty();
    let (found, code) = told(&data, &[]);
    assert_eq!((found["migrated"].as_bool(), code), (Some(true), Some(0)), "{found}");
}

fn read_only() {
    let (_folder, data) = filled("format-3");
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$1\" migrate --json --data \"$0\"";
    let mut command = without_settings(Command::new("unshare"));
    command.args(["-m", "sh", "-c", script]).arg(&data).arg(program("zonepulse"));
    let output = run(&mut command, WITHIN);
    let found: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {}{}", output.out, output.err));
    assert_eq!((ids(&found, "obstacles"), output.code), (vec!["read_only".to_owned()], Some(1)), "{found}");

    // Of another user.
    chown(data.join("store"), Some(65_534), None).expect("this is root");
    let (found, code) = told(&data, &[]);
    assert_eq!((ids(&found, "obstacles"), code), (vec!["owner".to_owned()], Some(1)), "{found}");
    assert!(found["obstacles"][0]["what"].as_str().is_some_and(|what| what.contains("user 65534")), "{found}");
}
