//! The web page in Debian's Chromium. Node and playwright-core drive it, from `web/tests/page`.

use super::Central;
use super::api::Credentials;
use super::process::{Output, program, run};
use serde_json::Value;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Debian's Chromium.
pub const PROGRAM: &str = "/usr/bin/chromium";

/// The page's sources, with its tests and their packages.
pub fn sources() -> PathBuf {
    zonepulse_fixtures::project().join("web")
}

/// Runs `web/tests/page/NAME.spec.mjs` against a central; panics with its output if a test in it
/// fails. Tests get what is in `environment`, too.
pub fn spec(name: &str, central: &Central, environment: &[(&str, &str)]) {
    let mut command = node(&format!("{name}.spec.mjs"), central);
    command.envs(environment.iter().copied());
    // Its own limits are shorter, and say in which step it was.
    let output = run(&mut command, Duration::from_secs(600));
    // Shown by those who want to know what takes how long.
    println!("{}", output.out);
    assert_eq!(output.code, Some(0), "the page is not as {name}.spec.mjs expects it:\n{}{}", output.out, output.err);
}

/// Runs the tests of the page's modules, which need no browser; panics with their output if one
/// fails.
pub fn units() {
    let folder = sources().join("tests/unit");
    let entries = fs::read_dir(&folder).expect("the page has tests").flatten().map(|entry| entry.path());
    let files = entries.filter(|file| file.to_string_lossy().ends_with(".test.mjs"));
    let output = run(command().arg("--test").args(files), Duration::from_secs(120));
    assert_eq!(output.code, Some(0), "{}{}", output.out, output.err);
}

/// A view of the page at one moment, as the administrator sees it.
pub struct Page(Value);

impl Page {
    /// Opens the view at this address (as in `records?host=www*`), and waits until it has its
    /// contents.
    pub fn open(central: &Central, address: &str) -> Page {
        let Output { code, out, err } = run(node("look.mjs", central).arg(address), Duration::from_secs(120));
        assert_eq!(code, Some(0), "{address} cannot be opened:\n{out}{err}");
        Page(serde_json::from_str(&out).unwrap_or_else(|error| panic!("no JSON ({error}): {out}")))
    }

    /// Everything that can be read in it, without the navigation.
    pub fn text(&self) -> &str {
        self.0["text"].as_str().expect("a text")
    }

    /// Its notices and failures.
    pub fn notices(&self) -> Vec<&str> {
        let notices = self.0["notices"].as_array().expect("a list");
        notices.iter().map(|notice| notice.as_str().expect("a text")).collect()
    }

    /// The rows of the table with this caption, as text; none if there is no such table.
    pub fn rows(&self, caption: &str) -> Vec<&str> {
        let rows = self.0["tables"][caption].as_array().into_iter().flatten();
        rows.map(|row| row.as_str().expect("a text")).collect()
    }
}

/// A script of `web/tests/page`, with the central's address and its administrator in the
/// environment.
fn node(script: &str, central: &Central) -> Command {
    let Credentials::User(user, password) = central.administrator() else { panic!("the administrator is a user") };
    let mut command = command();
    command.arg(sources().join("tests/page").join(script));
    command.env("ZONEPULSE_TESTS_CHROMIUM", PROGRAM);
    command.env("ZONEPULSE_TESTS_URL", central.url()).env("ZONEPULSE_TESTS_USER", user).env("ZONEPULSE_TESTS_PASSWORD", password);
    command.env("ZONEPULSE_TESTS_PROBE", program("zonepulse-probe")).env("ZONEPULSE_TESTS_SHOTS", shots());
    // A proxy would not reach this machine's own ports.
    for variable in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(variable).env_remove(variable.to_uppercase());
    }
    command
}

fn command() -> Command {
    let mut command = Command::new("node");
    command.arg("--test-reporter=spec").env("FORCE_COLOR", "0").current_dir(sources());
    command
}

/// Where pictures of what failed stay after the tests: beside cargo's output.
fn shots() -> PathBuf {
    let here = env::current_exe().expect("this program has a path");
    let folder = here.ancestors().nth(2).expect("cargo puts it deeper").join("page-failures");
    fs::create_dir_all(&folder).expect("cargo's output is writable");
    folder
}
