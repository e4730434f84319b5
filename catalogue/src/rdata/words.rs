//! Words: what an entry of a zone file consists of (RFC 1035 section 5.1).
//!
//! An *entry* is a line, or several if parentheses join them. Its words are separated by blanks, or quoted. A word keeps
//! its escapes, because what they mean depends on the field: `\.` in a name is not a separator, and SVCB has a second
//! level of escapes (RFC 9460 appendix A).

use super::Error;
use super::writing::push_quoted_word;

/// One word of an [`Entry`].
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    line: u64,
    column: usize,
    quoted: bool,
    /// No blank separates it from the word before it, as in `alpn="h2"`.
    joined: bool,
}

/// One word: its octets with their escapes, without the quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub text: &'a [u8],
    pub quoted: bool,
    pub joined: bool,
    pub line: u64,
}

impl Word<'_> {
    /// The word as an error message quotes it, shortened if it is long.
    pub fn shown(&self) -> String {
        let mut shown = String::new();
        push_quoted_word(self.text, &mut shown);
        shown
    }
}

/// Why an entry cannot be split into words, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsplit {
    pub line: u64,
    pub column: usize,
    pub error: Error,
}

/// An entry under construction: lines are added until it is complete. Its buffers are used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The lines, without comments that are followed by further lines.
    text: Vec<u8>,
    spans: Vec<Span>,
    depth: usize,
    /// Line of the outermost open parenthesis or of the open quote, for messages.
    opened: (u64, usize),
    /// Whether a quoted word continues on the next line.
    in_quotes: bool,
    /// Whether the entry starts with a blank, so that its owner is that of the entry before it.
    pub starts_blank: bool,
}

const FORM_FEED: u8 = 0x0c;

/// Words that one entry may have. Every word costs at least an octet of text, apart from empty quoted strings.
const MAX_WORDS: usize = 1 << 18;

impl Entry {
    /// Forgets everything but the capacity.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
        self.depth = 0;
        self.in_quotes = false;
        self.starts_blank = false;
    }

    /// The buffer to append the next line to, before [`split`](Entry::split) is called with its length before.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Whether no further line belongs to this entry.
    pub fn is_complete(&self) -> bool {
        self.depth == 0 && !self.in_quotes
    }

    /// Whether there is no word in it.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The error of an entry that the end of the file cuts off.
    pub fn unfinished(&self) -> Unsplit {
        let expected = if self.in_quotes { "a closing quote" } else { "a closing parenthesis" };
        let found = "the end of the file after the one opened here".to_owned();
        Unsplit { line: self.opened.0, column: self.opened.1, error: Error::unexpected(expected, found) }
    }

    /// Splits the line that begins at `from` in the buffer.
    pub fn split(&mut self, from: usize, line: u64) -> Result<(), Unsplit> {
        while matches!(self.text.last(), Some(b'\n' | b'\r')) && self.text.len() > from {
            self.text.pop();
        }
        if from == 0 {
            self.starts_blank = matches!(self.text.first(), Some(b' ' | b'\t'));
        }
        let mut at = from;
        let mut joined = false;
        if self.in_quotes {
            at = self.continue_quotes(from);
            joined = true;
        }
        while let Some(&octet) = self.text.get(at) {
            match octet {
                b' ' | b'\t' | b'\r' => joined = false,
                FORM_FEED => return Err(unsplit(line, at - from, "a blank", "a form feed, which no server takes for one")),
                b';' => {
                    self.text.truncate(at);
                    break;
                }
                b'(' => {
                    if self.depth == 0 {
                        self.opened = (line, at - from + 1);
                    }
                    self.depth += 1;
                    joined = false;
                }
                b')' => {
                    let closed = self.depth.checked_sub(1);
                    let stray = || unsplit(line, at - from, "an opening parenthesis before this one", "\")\"");
                    self.depth = closed.ok_or_else(stray)?;
                    joined = false;
                }
                _ => {
                    at = self.word(at, from, line, joined)?;
                    joined = true;
                    continue;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Adds the word that starts at `at`, and returns where it ends.
    fn word(&mut self, at: usize, from: usize, line: u64, joined: bool) -> Result<usize, Unsplit> {
        let column = at - from + 1;
        if self.spans.len() >= MAX_WORDS {
            return Err(unsplit(line, at - from, "at most 262144 words in a record", "more"));
        }
        let quoted = self.text.get(at) == Some(&b'"');
        let start = if quoted { at + 1 } else { at };
        let mut end = start;
        while let Some(&octet) = self.text.get(end) {
            match octet {
                b'\\' => end += 1,
                b'"' => break,
                octet if !quoted && ends_word(octet) => break,
                _ => {}
            }
            end += 1;
        }
        let closed = end < self.text.len();
        end = end.min(self.text.len());
        self.spans.push(Span { start, end, line, column, quoted, joined });
        if !quoted {
            return Ok(end);
        }
        if !closed {
            self.opened = (line, column);
            if self.depth == 0 {
                return Err(unsplit(line, at - from, "a closing quote", "the end of the line"));
            }
            self.in_quotes = true;
            self.text.push(b'\n');
            if let Some(span) = self.spans.last_mut() {
                span.end = self.text.len();
            }
            return Ok(self.text.len());
        }
        Ok(end + 1)
    }

    /// Continues a quoted word of the line before, which only parentheses permit. Returns where it ends.
    fn continue_quotes(&mut self, from: usize) -> usize {
        let mut end = from;
        while let Some(&octet) = self.text.get(end) {
            match octet {
                b'\\' => end += 1,
                b'"' => break,
                _ => {}
            }
            end += 1;
        }
        self.in_quotes = end >= self.text.len();
        if self.in_quotes {
            self.text.push(b'\n');
            end = self.text.len();
        }
        if let Some(span) = self.spans.last_mut() {
            span.end = end;
        }
        end + usize::from(!self.in_quotes)
    }

    /// The words from the first.
    pub fn words(&self) -> Words<'_> {
        Words { text: &self.text, spans: &self.spans, next: 0 }
    }
}

fn unsplit(line: u64, offset: usize, expected: &'static str, found: &str) -> Unsplit {
    Unsplit { line, column: offset + 1, error: Error::unexpected(expected, found.to_owned()) }
}

fn ends_word(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | FORM_FEED | b';' | b'(' | b')' | b'"')
}

/// A position in the words of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    text: &'a [u8],
    spans: &'a [Span],
    next: usize,
}

impl<'a> Words<'a> {
    /// The next word, which stays the next.
    pub fn peek(&self) -> Option<Word<'a>> {
        let span = self.spans.get(self.next)?;
        let text = self.text.get(span.start..span.end)?;
        Some(Word { text, quoted: span.quoted, joined: span.joined, line: span.line })
    }

    /// The next word, or an error that says what is missing.
    pub fn expect(&mut self, expected: &'static str) -> Result<Word<'a>, Error> {
        self.next().ok_or_else(|| Error::unexpected(expected, "the end of the record".to_owned()))
    }

    /// The next word, which must not be in quotes.
    pub fn plain(&mut self, expected: &'static str) -> Result<Word<'a>, Error> {
        let word = self.expect(expected)?;
        if word.quoted {
            return Err(Error::unexpected(expected, format!("the quoted string {}", word.shown())));
        }
        Ok(word)
    }

    /// Line and column of the word that was returned last, or of the first.
    pub fn place(&self) -> (u64, usize) {
        let span = self.spans.get(self.next.saturating_sub(1)).or_else(|| self.spans.last());
        span.map_or((0, 0), |span| (span.line, span.column))
    }

    /// Whether no word is left.
    pub fn is_done(&self) -> bool {
        self.next >= self.spans.len()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of these lines, quoted ones in quotes, joined ones after a `+`.
    fn split(lines: &[&str]) -> Result<String, String> {
        let mut entry = Entry::default();
        for (number, line) in lines.iter().enumerate() {
            let from = entry.buffer().len();
            entry.buffer().extend_from_slice(line.as_bytes());
            let place = |e: Unsplit| format!("{}:{}: {}", e.line, e.column, e.error);
            entry.split(from, number as u64 + 1).map_err(place)?;
        }
        let shown = entry.words().map(|word| {
            let text = String::from_utf8_lossy(word.text).into_owned();
            let text = if word.quoted { format!("\"{text}\"") } else { text };
            if word.joined { format!("+{text}") } else { text }
        });
        let end = if entry.is_complete() { "" } else { "…" };
        Ok(shown.collect::<Vec<_>>().join("|") + end)
    }

    #[test]
    fn blanks_comments_and_parentheses_separate_words() {
        assert_eq!(split(&["a\tb  c;d e"]).unwrap(), "a|b|c");
        assert_eq!(split(&["a(b)c ; ("]).unwrap(), "a|b|c");
        assert_eq!(split(&["a ( b ; one", "", " c) ; two", ""]).unwrap(), "a|b|c");
        assert_eq!(split(&["a ( ( b )"]).unwrap(), "a|b…");
    }

    #[test]
    fn quotes_keep_blanks_and_semicolons() {
        assert_eq!(split(&[r#"a "b ; ( \" c" d"#]).unwrap(), r#"a|"b ; ( \" c"|d"#);
        assert_eq!(split(&[r#"k="v w" x"y"z"#]).unwrap(), r#"k=|+"v w"|x|+"y"|+z"#);
    }

    #[test]
    fn escapes_are_kept_and_hide_what_follows() {
        assert_eq!(split(&[r#"a\ b\;c\(d\" e"#]).unwrap(), r#"a\ b\;c\(d\"|e"#);
        assert_eq!(split(&["a\\\n"]).unwrap(), "a\\");
    }

    #[test]
    fn a_carriage_return_ends_no_word_but_is_none() {
        assert_eq!(split(&["a b\r\n"]).unwrap(), "a|b");
    }

    #[test]
    fn quoted_strings_may_continue_in_parentheses_only() {
        assert_eq!(split(&["a (\"b\n", "c\" d )"]).unwrap(), "a|\"b\nc\"|d");
        assert_eq!(split(&["a \"b", "c\""]).unwrap_err(), "1:3: expected a closing quote, found the end of the line");
    }

    #[test]
    fn a_stray_parenthesis_is_an_error() {
        let error = split(&["a b )"]).unwrap_err();
        assert_eq!(error, "1:5: expected an opening parenthesis before this one, found \")\"");
    }
}
