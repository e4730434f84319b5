//! The code blocks of the documentation, and what a comment in front of each says of it.
//!
//! A block of a language that can be run has one of these comments before it:
//!
//! * `<!-- test: WORLD -->`: it is run in this world ([`super::worlds`]). After it may stand, each after a semicolon: `says: TEXT`,
//!   which its output must contain, `rows: N`, which a statement must answer, and `exit: N`, the exit code.
//! * `<!-- tested-by: NAME -->`: the behaviour test of this name runs it, or the same.
//! * `<!-- untested: REASON -->`: nothing runs it.
//! * `<!-- run: NAME -->`, in INSTALL.md: `make test-package` runs it.
//!
//! In a `console` block, lines with `$ ` are typed and the others are what is printed: the output must have these lines in this
//! order, where any number may stand for a number and `…` for anything.

use std::fs;
use zonepulse_fixtures::project;

/// Languages of blocks that can be run. Others are files, outputs and drawings.
const LANGUAGES: [&str; 4] = ["sh", "console", "python", "sql"];
/// The page whose blocks `make test-package` runs.
const INSTALLATION: &str = "docs/INSTALL.md";

/// A block that can be run.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it is: page and line.
    pub place: String,
    pub language: String,
    pub text: String,
    pub handling: Handling,
}

/// What is done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handling {
    Test(Expectation),
    /// By the behaviour test of this name.
    TestedBy(String),
    /// By `make test-package`.
    ByPackages,
    Untested,
    /// The comment is missing, or is not one of the above: what is wrong.
    Wrong(String),
}

/// Where a block is run, and what comes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    pub world: String,
    pub says: Vec<String>,
    pub rows: Option<usize>,
    pub exit: i32,
}

/// The pages of the documentation, as paths from the project's root.
pub fn pages() -> Vec<String> {
    let entries = fs::read_dir(project().join("docs")).expect("there is documentation");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(str::to_owned));
    pages.sort();
    pages
}

pub fn read(page: &str) -> String {
    fs::read_to_string(project().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The blocks of a page that can be run.
pub fn blocks(page: &str) -> Vec<Block> {
    let text = read(page);
    let mut lines = text.lines().enumerate();
    let (mut found, mut comment) = (Vec::new(), None);
    while let Some((number, line)) = lines.next() {
        let bare = line.trim_start();
        if let Some(language) = bare.strip_prefix("```") {
            let indent = &line[..line.len() - bare.len()];
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| !line.trim_start().starts_with("```"));
            let inside: Vec<&str> = inside.map(|line| line.strip_prefix(indent).unwrap_or(line)).collect();
            if LANGUAGES.contains(&language) {
                let handling = handling(page, comment);
                let place = format!("{page}:{}", number + 1);
                found.push(Block { place, language: language.to_owned(), text: inside.join("\n"), handling });
            }
            comment = None;
        } else if let Some(said) = bare.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
            comment = Some(said.trim());
        } else if !bare.is_empty() {
            comment = None;
        }
    }
    found
}

fn handling(page: &str, comment: Option<&str>) -> Handling {
    let Some((word, rest)) = comment.and_then(|comment| comment.split_once(':')) else {
        return Handling::Wrong("no comment says who runs it".to_owned());
    };
    match (word, rest.trim()) {
        ("test", rest) => expectation(rest).map_or_else(Handling::Wrong, Handling::Test),
        ("tested-by", name) => Handling::TestedBy(name.to_owned()),
        ("untested", reason) if reason.len() > 10 => Handling::Untested,
        ("run", _) if page == INSTALLATION => Handling::ByPackages,
        (word, _) => Handling::Wrong(format!("{word:?} does not say who runs it")),
    }
}

fn expectation(text: &str) -> Result<Expectation, String> {
    let mut parts = text.split("; ");
    let mut expected = Expectation { world: parts.next().unwrap_or_default().trim().to_owned(), ..Expectation::default() };
    for part in parts {
        let number = |text: &str| text.parse::<i32>().map_err(|_| format!("{part:?} has no number"));
        match part.split_once(": ") {
            Some(("says", said)) => expected.says.push(said.to_owned()),
            Some(("rows", rows)) => expected.rows = Some(usize::try_from(number(rows)?).map_err(|error| error.to_string())?),
            Some(("exit", exit)) => expected.exit = number(exit)?,
            _ => return Err(format!("{part:?} says nothing that is known")),
        }
    }
    Ok(expected)
}

impl Block {
    /// What is typed into a shell.
    pub fn typed(&self) -> String {
        if self.language != "console" {
            return self.text.clone();
        }
        self.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect::<Vec<_>>().join("\n")
    }

    /// Why the output is not as the page says, if it is not.
    pub fn differs(&self, expected: &Expectation, output: &str) -> Option<String> {
        let missing = expected.says.iter().find(|said| !output.contains(*said));
        if let Some(missing) = missing {
            return Some(format!("does not say {missing:?}"));
        }
        match &*self.language {
            "console" => {
                let shown = self.text.lines().filter(|line| !line.starts_with("$ "));
                // An answer in JSON is one line, and is shown in several.
                let squeezed = |text: &str| shape(&text.split_whitespace().collect::<String>());
                if squeezed(output).contains(&squeezed(&shown.clone().collect::<String>())) {
                    return None;
                }
                let mut lines = output.lines().map(shape);
                let missing = shown.map(shape).find(|shown| !lines.any(|line| like(&line, shown)));
                missing.map(|line| format!("prints no line as {line:?}"))
            }
            "sql" => {
                let rows = output.lines().count().saturating_sub(1);
                let is_right = expected.rows.map_or(rows > 0, |expected| rows == expected);
                (!is_right).then(|| format!("{rows} rows are answered"))
            }
            "sh" if output.contains("urn:zonepulse:problem:") => Some("is refused".to_owned()),
            _ if !output.is_empty() && expected.says.is_empty() => {
                Some("prints something, and the page does not say what".to_owned())
            }
            _ => None,
        }
    }
}

/// A line with `#` for each number.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for character in line.trim_end().chars() {
        if !character.is_ascii_digit() {
            shape.push(character);
        } else if !shape.ends_with('#') {
            shape.push('#');
        }
    }
    shape
}

/// Whether a line is as shown, where `…` stands for anything.
fn like(line: &str, shown: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut is_open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        is_open = part.is_empty();
    }
    rest.is_empty() || is_open
}
