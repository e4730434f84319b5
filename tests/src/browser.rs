//! The contents of the web page: Chromium opens it, runs its script, and dumps the result.

use super::api::Credentials;
use super::process::run;
use super::{Central, eventually};
use reqwest::Url;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Debian's Chromium.
pub const PROGRAM: &str = "/usr/bin/chromium";

/// The page of a central at one moment, as a document without scripts.
pub struct Page(String);

impl Page {
    /// Opens it as the administrator with these options (as in `age=900`), and waits until it shows
    /// its numbers.
    pub fn open(central: &Central, chosen: &str) -> Page {
        let Credentials::User(name, password) = central.administrator() else { panic!("the administrator is a user") };
        let mut url = Url::parse(&format!("{}/#{chosen}", central.url())).expect("an address");
        url.set_username(&name).and_then(|()| url.set_password(Some(&password))).expect("an address with a host");
        eventually("the page has its numbers", Duration::from_secs(60), || {
            let page = Page(dump(&url));
            (!page.text("updated").unwrap_or_default().is_empty()).then_some(page)
        })
    }

    /// The text of the element with this ID; none if it is hidden.
    pub fn text(&self, id: &str) -> Option<String> {
        element(&self.0, id)
    }
}

fn dump(url: &Url) -> String {
    let folder = tempfile::Builder::new().prefix("zonepulse-browser").tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(PROGRAM);
    command.args(["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"]);
    // The page is the test's own, and Chromium's sandbox does not work as root.
    command.arg("--no-sandbox").arg(profile(folder.path()));
    // The virtual clock stops while the page waits for an answer.
    command.args(["--virtual-time-budget=3000", "--dump-dom", url.as_str()]).env("HOME", folder.path());
    let output = run(&mut command, Duration::from_secs(60));
    assert_eq!(output.code, Some(0), "Chromium fails: {}", output.err);
    output.out
}

fn profile(folder: &Path) -> String {
    format!("--user-data-dir={}", folder.display())
}

/// The text of an element by ID, in a document written by a browser: every tag is closed, and `<`
/// in text is escaped.
fn element(document: &str, id: &str) -> Option<String> {
    let at = document.find(&format!(" id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {document}"));
    let start = document[..at].rfind('<').expect("an attribute is in a tag");
    let (tag, rest) = document[start + 1..].split_once('>').expect("a tag has an end");
    let mut words = tag.split_whitespace();
    let name = words.next().expect("a tag has a name");
    if words.any(|word| word.starts_with("hidden")) {
        return None;
    }
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let (mut depth, mut text) = (0, String::new());
    for piece in rest.split_inclusive('>') {
        let (before, tag) = piece.split_once('<').map_or((piece, ""), |(before, _)| (before, &piece[before.len()..]));
        text += before;
        if tag.starts_with(&close) {
            if depth == 0 {
                break;
            }
            depth -= 1;
        } else if tag.starts_with(&open) && tag[open.len()..].starts_with(['>', ' ']) {
            depth += 1;
        }
        // Separate table cells.
        text += if tag.starts_with("</") { " " } else { "" };
    }
    let text = [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&quot;", "\""), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (escaped, plain)| text.replace(escaped, plain));
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elements_text_is_that_of_all_in_it() {
        let document =
            r#"<div id="all"><p id="a" class="x">1 &lt; 2</p><div><p>b</p></div>c</div><p id="late" hidden="">no</p>d"#;
        assert_eq!(element(document, "a").as_deref(), Some("1 < 2"));
        assert_eq!(element(document, "all").as_deref(), Some("1 < 2 b c"));
        assert_eq!(element(document, "late"), None);
    }
}
