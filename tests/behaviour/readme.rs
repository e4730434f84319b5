//! The commands in the README work as written.

use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use zonepulse_tests::Central;
use zonepulse_tests::api::Credentials;
use zonepulse_tests::needs::test;
use zonepulse_tests::process::{program, succeed, without_settings};
use zonepulse_tests::small_store::SmallStore;

pub fn trials() -> Vec<Trial> {
    vec![
        test("every_question_in_the_readme_is_answered", questions),
        test("the_readmes_commands_change_a_setting_and_take_it_back", settings),
    ]
}

fn readme() -> String {
    fs::read_to_string(zonepulse_fixtures::project().join("README.md")).expect("the project has one")
}

/// The code blocks that contain this text, without prompts.
fn blocks(readme: &str, with: &str) -> Vec<String> {
    let blocks = readme.split("\n```").skip(1).step_by(2).filter(|block| block.contains(with));
    let typed = |block: &str| {
        let lines = block.lines().skip(1).map(|line| line.strip_prefix("$ ").unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    };
    blocks.map(typed).collect()
}

/// Runs lines in a shell, with the addresses of a central in place of those in the README. Returns
/// the output.
fn types(central: &Central, lines: &str, folder: &Path) -> String {
    let Credentials::User(_, password) = central.administrator() else { panic!("the administrator is a user") };
    let data = central.data();
    let lines =
        lines.replace("http://127.0.0.1:8053", &central.url()).replace("/var/lib/zonepulse", data.to_str().expect("text"));
    let mut shell = without_settings(Command::new("bash"));
    let programs = program("zonepulse").parent().expect("it is in a folder").to_owned();
    let path = std::env::var("PATH").expect("there is a path");
    shell.args(["-euo", "pipefail", "-c", &lines]).current_dir(folder);
    shell.env("PASSWORD", password).env("PATH", format!("{}:{path}", programs.display()));
    let said = succeed(&mut shell, Duration::from_secs(60));
    assert!(!said.contains("urn:zonepulse:problem:"), "{lines}: {said}");
    said
}

fn questions() {
    let store = SmallStore::start();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let readme = readme();
    let zp = readme.lines().find(|line| line.starts_with("zp() {")).expect("a function is defined");
    let all = blocks(&readme, "zp ");
    let asked: Vec<&str> = all.iter().flat_map(|block| block.lines()).filter(|line| line.starts_with("zp ")).collect();
    assert!(asked.len() > 8, "{asked:?}");
    for line in asked {
        let said = types(&store.central, &format!("{zp}\n{line}"), folder.path());
        // If the output goes into a file, check the file.
        let file = line.split_once("> ").map(|(_, file)| folder.path().join(file));
        let bytes = file.map_or(said.len() as u64, |file| file.metadata().expect("it was written").len());
        assert!(bytes > 0, "{line}");
    }
    // A sum over both would count an answered question twice.
    let both = |line: &&str| line.contains("sum(hits)") && ["dns_", "FROM records"].iter().any(|table| line.contains(table));
    assert_eq!(readme.lines().find(both), None);
    let [sql] = &blocks(&readme, "/api/v2/sql")[..] else { panic!("one statement of SQL is shown") };
    let said = types(&store.central, sql, folder.path());
    assert!(said.starts_with("host,type,hits,last_access\n") && said.contains("\nwww.example.,A,"), "{said}");
}

fn settings() {
    let mut central = Central::start(&["other", "ns1"]);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let readme = readme();
    let [block] = &blocks(&readme, "\nzp_api settings -X PATCH")[..] else { panic!("one block changes settings") };
    let lines: Vec<&str> = block.lines().collect();
    let zp_api = lines.iter().find(|line| line.starts_with("zp_api() {")).expect("a function is defined");
    let interval = |central: &Central| {
        let answer = central.api().get("/api/v2/pvservers/2", &[], "application/json").json();
        answer["settings"]["dns_interval_s"].clone()
    };
    let of_server: Vec<&&str> = lines.iter().filter(|line| line.starts_with("zp_api pvservers/2")).collect();
    let usual = interval(&central);
    let mut found = Vec::new();
    for line in of_server {
        types(&central, &format!("{zp_api}\n{line}"), folder.path());
        found.push(interval(&central));
    }
    assert_eq!(found, [Value::from(10), usual]);
    let of_all = lines.iter().find(|line| line.starts_with("zp_api settings")).expect("one is for all servers");
    types(&central, &format!("{zp_api}\n{of_all}"), folder.path());
    let all = central.api().get("/api/v2/settings", &[], "application/json").text();
    assert!(all.contains("2880"), "{all}");

    central.stop();
    let by_hand: Vec<&str> = lines.iter().filter(|line| line.starts_with("zonepulse settings")).copied().collect();
    let said = types(&central, &by_hand.join("\n"), folder.path());
    let line = said.lines().find(|line| line.contains("dns_interval_s")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("10"), "{line}");
}
