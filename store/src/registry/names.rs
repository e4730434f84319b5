//! Names given by people: which characters they may contain, and which names look alike.

use crate::Error;
use icu_normalizer::ComposingNormalizerBorrowed;
use std::ops::RangeInclusive;

/// Maximum length of a name, bytes: short enough for one line.
const LONGEST_NAME: usize = 128;

/// Characters that are invisible or change how others are displayed: Unicode's `Default_Ignorable_Code_Point`, the
/// annotations of U+FFF9, and the blank Braille pattern.
const INVISIBLE: &[RangeInclusive<char>] = &[
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Checks that a name is valid.
pub(super) fn check_name(field: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.trim() != name || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Error::bad_setting(field, "it has 1 to 128 bytes, no control characters and no space at its ends"));
    }
    let hidden = |c: &char| is_invisible(*c) || (c.is_whitespace() && *c != ' ');
    match name.chars().find(hidden) {
        Some(c) => Err(Error::bad_setting(field, format!("U+{:04X} in it is invisible, or looks like a space", u32::from(c)))),
        None => Ok(()),
    }
}

/// Rejects a name that looks like one of the others.
pub(super) fn check_unlike<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let look = look(name);
    for other in others {
        if other == name {
            return Err(Error::NameTaken(name.to_owned()));
        }
        if self::look(other) == look {
            return Err(Error::NameAlike(name.to_owned(), other.to_owned()));
        }
    }
    Ok(())
}

/// Whether two names look alike: no two users, and no two servers, may have such names.
pub fn are_alike(one: &str, other: &str) -> bool {
    look(one) == look(other)
}

/// Maps names that look alike to the same string: ignores case, composition and width of characters, invisible
/// characters, and the number of spaces.
fn look(name: &str) -> String {
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    let seen: String = normalizer.normalize(name).chars().filter(|c| !is_invisible(*c)).collect();
    // Upper case first: some letters have two lower-case forms.
    let folded = seen.to_uppercase().to_lowercase();
    normalizer.normalize(&folded).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_invisible(c: char) -> bool {
    INVISIBLE.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken_in_any_script() {
        for name in ["ns1", "ns 1", "NS-1.example.com", "Büro", "東京", "сервер", "ns1 (left)", "a"] {
            check_name("server", name).unwrap();
        }
    }

    #[test]
    fn a_name_with_something_invisible_is_refused_by_its_character() {
        for (name, shown) in [
            ("ns\u{200b}1", "U+200B"),
            ("ns1\u{200d}", "U+200D"),
            ("\u{202e}1sn", "U+202E"),
            ("ns1\u{2066}", "U+2066"),
            ("ns\u{ad}1", "U+00AD"),
            ("\u{feff}ns1", "U+FEFF"),
            ("ns\u{a0}1", "U+00A0"),
            ("ns\u{2003}1", "U+2003"),
            ("ns\u{2800}1", "U+2800"),
            ("\u{3164}", "U+3164"),
            ("ns1\u{e0041}", "U+E0041"),
        ] {
            let error = check_name("server", name).unwrap_err().to_string();
            assert!(error.starts_with("server: ") && error.contains(shown), "{name:?}: {error}");
        }
    }

    #[test]
    fn spaces_at_the_ends_and_control_characters_are_refused() {
        for name in ["", " ", " ns1", "ns1 ", "ns1\u{a0}", "\u{2003}ns1", "ns\t1", "ns1\n", "ns\u{85}1", &"a".repeat(129)] {
            assert!(check_name("user", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_that_look_the_same_are_alike() {
        for (one, other) in [
            ("ns1", "NS1"),
            ("ns1", "ns1\u{200b}"),
            ("ns 1", "ns  1"),
            ("ns 1", "ns\u{a0}1"),
            ("büro", "bu\u{308}ro"),
            ("Büro", "BU\u{308}RO"),
            ("ns1", "\u{ff4e}\u{ff53}\u{ff11}"),
            ("strasse", "STRAßE"),
            ("οδος", "ΟΔΟΣ"),
        ] {
            assert!(matches!(check_unlike(one, [other].into_iter()), Err(Error::NameAlike(..))), "{one:?} {other:?}");
            assert!(matches!(check_unlike(other, [one].into_iter()), Err(Error::NameAlike(..))), "{other:?} {one:?}");
        }
        assert!(matches!(check_unlike("ns1", ["a", "ns1"].into_iter()), Err(Error::NameTaken(_))));
        check_unlike("ns1", ["ns2", "ns11", "ns-1", "ns 1"].into_iter()).unwrap();
    }
}
