//! The reader: from entries to records.

use super::generate::{Range, expand};
use super::source::{Found, Source};
use super::{Located, Options, Problem, Severity};
use crate::rdata::text::{period, push_name, push_unescaped};
use crate::rdata::words::{Entry, Word, Words};
use crate::rdata::{self, type_of};
use crate::{Name, Record};
use std::collections::VecDeque;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use zonepulse_dns::RecordType;

const RRSIG: u16 = 46;
const SIG: u16 = 24;
/// The largest TTL (RFC 2181 section 8).
const MAX_TTL: u32 = i32::MAX as u32;
/// RRsets of one owner whose TTL is remembered while its records follow each other.
const MAX_TTLS: usize = 64;

/// Records of a zone file, in order, with the problems in between. A problem may be a warning; after an error, the
/// next entry is read. Memory is bounded by [`Options::entry_bytes`].
pub struct Reader<'a> {
    options: Options,
    sources: Vec<Source<'a>>,
    entry: Entry,
    /// RDATA and owner that are being read.
    rdata: Vec<u8>,
    name: Vec<u8>,
    /// From `$TTL`, or the SOA's minimum if nothing else was there.
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    apex: Option<Name>,
    /// TTLs of the RRsets of the current owner, by type and covered type.
    ttls: Vec<(u16, u16, u32)>,
    template: Option<Template>,
    pending: VecDeque<Problem>,
    included: usize,
    /// Records of all `$GENERATE` so far.
    generated: u64,
}

/// A `$GENERATE` under way.
struct Template {
    next: u64,
    range: Range,
    owner: Vec<u8>,
    rdata: Vec<u8>,
    rtype: RecordType,
    ttl: Option<u32>,
    line: u64,
}

/// What stands between owner and RDATA.
struct Header {
    ttl: Option<u32>,
    rtype: RecordType,
}

impl<'a> Reader<'a> {
    /// Reads from a stream; `file` is its name in messages. Included files are relative to the include root.
    pub fn new(input: impl BufRead + 'a, file: &str, options: Options) -> Self {
        Self::with_source(Box::new(input), file, None, options)
    }

    /// Reads a file.
    pub fn open(path: &Path, options: Options) -> std::io::Result<Reader<'static>> {
        let input = std::io::BufReader::with_capacity(1 << 16, std::fs::File::open(path)?);
        let directory = path.canonicalize()?.parent().map(Path::to_path_buf);
        Ok(Reader::with_source(Box::new(input), &path.display().to_string(), directory, options))
    }

    fn with_source(input: Box<dyn BufRead + 'a>, file: &str, directory: Option<std::path::PathBuf>, options: Options) -> Self {
        let source = Source::new(input, file, directory, options.origin.clone());
        Reader {
            apex: options.origin.clone(),
            options,
            sources: vec![source],
            entry: Entry::default(),
            rdata: Vec::new(),
            name: Vec::new(),
            default_ttl: None,
            last_ttl: None,
            ttls: Vec::new(),
            template: None,
            pending: VecDeque::new(),
            included: 0,
            generated: 0,
        }
    }

    /// The apex: the origin that was given, or the owner of the first SOA that was read.
    pub fn apex(&self) -> Option<&Name> {
        self.apex.as_ref()
    }

    /// Reads entries until one gives a record or a problem.
    fn advance(&mut self) -> Option<Result<Located, Problem>> {
        loop {
            if let Some(problem) = self.pending.pop_front() {
                return Some(Err(problem));
            }
            if let Some(template) = self.template.take() {
                match self.generated(template) {
                    Some(read) => return Some(read),
                    None => continue,
                }
            }
            let bytes_max = self.options.entry_bytes;
            match self.sources.last_mut()?.read(&mut self.entry, bytes_max) {
                Err(problem) => return Some(Err(problem)),
                Ok(Found::End) => {
                    self.sources.pop();
                }
                Ok(Found::Entry) => {
                    self.mark();
                    // Taken out, because its words are borrowed while the reader changes.
                    let entry = std::mem::take(&mut self.entry);
                    let read = self.entry(&entry);
                    self.entry = entry;
                    if let Some(read) = read {
                        return Some(read);
                    }
                }
            }
        }
    }

    /// Reports a byte order mark: servers take it for a part of the first word.
    fn mark(&mut self) {
        let Some(source) = self.sources.last_mut() else { return };
        if std::mem::take(&mut source.has_mark) {
            let message = "expected a word at the start of the file, found a byte order mark (U+FEFF)".to_owned();
            let problem = source.problem(1, 1, message);
            self.pending.push_back(problem);
        }
    }

    fn entry(&mut self, entry: &Entry) -> Option<Result<Located, Problem>> {
        let mut words = entry.words();
        let first = words.peek()?;
        let line = first.line;
        if !entry.starts_blank && !first.quoted && first.text.first() == Some(&b'$') {
            words.next();
            let result = self.directive(first, &mut words);
            return result.err().map(|message| Err(self.problem(words.place(), message)));
        }
        let result = self.owner(entry.starts_blank, &mut words).and_then(|()| {
            let header = self.header(&mut words).map_err(|message| (words.place(), message))?;
            self.record(header, &mut words)
        });
        match result {
            Ok(record) => {
                let file = self.sources.last().map(|source| source.file.clone())?;
                record.map(|record| Ok(Located { record, file, line }))
            }
            Err((place, message)) => Some(Err(self.problem(place, message))),
        }
    }

    fn problem(&self, (line, column): (u64, usize), message: String) -> Problem {
        let file = self.sources.last().map_or_else(|| Arc::from(""), |source| source.file.clone());
        Problem { severity: Severity::Error, file, line, column: column as u64, message }
    }

    fn warn(&mut self, place: (u64, usize), message: String) {
        let problem = self.problem(place, message);
        self.pending.push_back(Problem { severity: Severity::Warning, ..problem });
    }

    /// Makes the entry's owner the current one.
    fn owner(&mut self, starts_blank: bool, words: &mut Words<'_>) -> Result<(), Placed> {
        let missing = |place| (place, "expected an owner name, found a blank at the start of the first record".to_owned());
        let Some(source) = self.sources.last_mut() else { return Ok(()) };
        if starts_blank {
            return if source.owner.is_some() { Ok(()) } else { Err(missing(words.clone().place())) };
        }
        let word = words.expect("an owner name").map_err(|error| (words.place(), error.to_string()))?;
        self.name.clear();
        let pushed = push_name(word.text, source.origin.as_ref(), true, &mut self.name);
        if let Err(error) = pushed {
            // Blank owners that follow must not go to the owner before.
            source.owner = None;
            return Err((words.place(), error.to_string()));
        }
        if source.owner.as_ref().is_none_or(|owner| owner.wire() != self.name) {
            source.owner = Name::from_wire(&self.name);
            self.ttls.clear();
        }
        Ok(())
    }

    /// TTL and class in either order, then the type.
    fn header(&mut self, words: &mut Words<'_>) -> Result<Header, String> {
        let (mut ttl, mut class) = (None, false);
        loop {
            let expected = match (ttl, class) {
                (None, false) => "a TTL, a class or a record type",
                (None, true) => "a TTL or a record type",
                (Some(_), false) => "a class or a record type",
                (Some(_), true) => "a record type",
            };
            let word = words.plain(expected).map_err(|error| error.to_string())?;
            let wrong = || format!("expected {expected}, found {}", word.shown());
            if let Some(rtype) = type_of(word.text) {
                return check_type(rtype).map(|()| Header { ttl, rtype });
            }
            if ttl.is_none() && word.text.first().is_some_and(u8::is_ascii_digit) {
                ttl = Some(self.ttl(word, words.place()).ok_or_else(wrong)?);
                continue;
            }
            match class_of(word.text) {
                Some(1) if !class => class = true,
                Some(other) if other != 1 => return Err(format!("expected the class IN, found {}", word.shown())),
                _ => return Err(wrong()),
            }
        }
    }

    /// A TTL; if it is too large, 0 as RFC 2181 section 8 demands.
    fn ttl(&mut self, word: Word<'_>, place: (u64, usize)) -> Option<u32> {
        let ttl = period(word.text)?;
        if ttl <= MAX_TTL {
            return Some(ttl);
        }
        self.warn(place, format!("expected a TTL up to {MAX_TTL} s, found {ttl}; taken as 0"));
        Some(0)
    }

    /// The record whose RDATA is left in the words. `None`: it is outside of the zone, and ignored.
    fn record(&mut self, header: Header, words: &mut Words<'_>) -> Result<Option<Record>, Placed> {
        let Some(source) = self.sources.last() else { return Ok(None) };
        let Some(owner) = source.owner.clone() else { return Ok(None) };
        let rtype = header.rtype;
        let parsed = rdata::from_words(rtype, words, source.origin.as_ref(), &mut self.rdata);
        let outside = self.apex.as_ref().is_some_and(|apex| !owner.is_at_or_below(apex));
        if outside {
            return Ok(self.outside(owner, header, parsed, words));
        }
        parsed.map_err(|error| (words.place(), error.to_string()))?;
        if self.apex.is_none() && rtype == RecordType::SOA {
            self.apex = Some(owner.clone());
        }
        let ttl = self.effective_ttl(&header, words.place())?;
        let ttl = self.rrset_ttl(rtype, ttl, words.place());
        Ok(Some(Record { owner, rtype, ttl, rdata: self.rdata.as_slice().into() }))
    }

    /// A record outside of the zone, which servers ignore. It is returned only if the file alone says what the zone is.
    fn outside(&mut self, owner: Name, header: Header, parsed: Result<(), rdata::Error>, words: &Words<'_>) -> Option<Record> {
        let place = words.place();
        self.warn((place.0, 0), format!("{owner} is outside of the zone; servers ignore it"));
        let kept = self.options.origin.is_none();
        match parsed {
            Err(rdata::Error::Malformed { .. }) if kept => {}
            Err(error) => {
                self.warn(place, error.to_string());
                return None;
            }
            Ok(()) => {}
        }
        let ttl = self.effective_ttl(&header, place).ok()?;
        kept.then(|| Record { owner, rtype: header.rtype, ttl, rdata: self.rdata.as_slice().into() })
    }

    /// The TTL of a record: its own, or of `$TTL`, or of the record before, or the minimum of the SOA.
    fn effective_ttl(&mut self, header: &Header, place: (u64, usize)) -> Result<u32, Placed> {
        let known = header.ttl.or(self.default_ttl).or(self.last_ttl);
        let ttl = match known {
            Some(ttl) => ttl,
            None if header.rtype == RecordType::SOA => {
                let minimum = self.rdata.last_chunk().map_or(0, |minimum| u32::from_be_bytes(*minimum));
                let minimum = if minimum > MAX_TTL { 0 } else { minimum };
                self.default_ttl = Some(minimum);
                self.warn(place, format!("no TTL; taken as {minimum}, the minimum of the SOA"));
                minimum
            }
            None => return Err((place, "expected a TTL here or in $TTL before, found none".to_owned())),
        };
        self.last_ttl = Some(ttl);
        Ok(ttl)
    }

    /// The TTL of the RRset that the record belongs to, as far as records of the same owner follow each other.
    fn rrset_ttl(&mut self, rtype: RecordType, ttl: u32, place: (u64, usize)) -> u32 {
        let covered = self.rdata.first_chunk().filter(|_| matches!(rtype.value(), RRSIG | SIG));
        let covered = covered.map_or(0, |covered| u16::from_be_bytes(*covered));
        let known = self.ttls.iter().find(|(known, known_covered, _)| *known == rtype.value() && *known_covered == covered);
        match known.copied() {
            Some((.., first)) if first != ttl => {
                self.warn((place.0, 0), format!("TTL {ttl} differs from {first} of the same RRset; taken as {first}"));
                first
            }
            Some(_) => ttl,
            None => {
                if self.ttls.len() < MAX_TTLS {
                    self.ttls.push((rtype.value(), covered, ttl));
                }
                ttl
            }
        }
    }

    fn directive(&mut self, name: Word<'_>, words: &mut Words<'_>) -> Result<(), String> {
        let upper = name.text.to_ascii_uppercase();
        match upper.as_slice() {
            b"$ORIGIN" => {
                let origin = self.origin(words)?;
                end(words)?;
                if let Some(source) = self.sources.last_mut() {
                    source.origin = Some(origin);
                }
                Ok(())
            }
            b"$TTL" => {
                let word = words.plain("a TTL").map_err(|error| error.to_string())?;
                let ttl = self.ttl(word, words.place()).ok_or_else(|| format!("expected a TTL, found {}", word.shown()))?;
                end(words)?;
                self.default_ttl = Some(ttl);
                Ok(())
            }
            b"$INCLUDE" => self.include(words),
            b"$GENERATE" => self.generate(name.line, words),
            _ => Err(format!("expected $ORIGIN, $TTL, $INCLUDE or $GENERATE, found {}", name.shown())),
        }
    }

    /// A name that becomes an origin.
    fn origin(&mut self, words: &mut Words<'_>) -> Result<Name, String> {
        let word = words.plain("a domain name").map_err(|error| error.to_string())?;
        self.name.clear();
        let origin = self.sources.last().and_then(|source| source.origin.as_ref());
        push_name(word.text, origin, true, &mut self.name).map_err(|error| error.to_string())?;
        Name::from_wire(&self.name).ok_or_else(|| format!("expected a domain name, found {}", word.shown()))
    }

    fn include(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let word = words.expect("the name of a file").map_err(|error| error.to_string())?;
        let mut name = Vec::new();
        push_unescaped(word.text, &mut name).map_err(|error| error.to_string())?;
        let name =
            String::from_utf8(name).map_err(|_| format!("expected the name of a file in UTF-8, found {}", word.shown()))?;
        let origin = if words.is_done() { None } else { Some(self.origin(words)?) };
        end(words)?;
        let root = self.options.include_root.as_deref().ok_or("$INCLUDE is not allowed here")?;
        if self.sources.len() > self.options.include_depth {
            return Err(format!("expected files that include others at most {} deep, found more", self.options.include_depth));
        }
        if self.included >= self.options.include_count {
            return Err(format!("expected at most {} $INCLUDE, found more", self.options.include_count));
        }
        let Some(source) = self.sources.last() else { return Ok(()) };
        let included = source.include(root, &name, origin.or_else(|| source.origin.clone()))?;
        self.sources.push(included);
        self.included += 1;
        Ok(())
    }

    /// `$GENERATE range owner [ttl] [class] type rdata`.
    fn generate(&mut self, line: u64, words: &mut Words<'_>) -> Result<(), String> {
        let word = words.plain("a range").map_err(|error| error.to_string())?;
        let wrong = || format!("expected a range such as 1-10 or 1-10/2, found {}", word.shown());
        let range = Range::parse(word.text).ok_or_else(wrong)?;
        let total = self.generated.saturating_add(range.count());
        if total > self.options.generate_count {
            return Err(format!(
                "expected $GENERATE to give at most {} records in all, found {total}",
                self.options.generate_count
            ));
        }
        self.generated = total;
        let owner = words.expect("an owner name with $").map_err(|error| error.to_string())?;
        let header = self.header(words)?;
        let mut rdata = Vec::new();
        let first = words.expect("RDATA with $").map_err(|error| error.to_string())?;
        if first.quoted && words.is_done() {
            // BIND takes one word, in quotes if it has blanks.
            push_without_escaped_quotes(first.text, &mut rdata);
        } else {
            for word in std::iter::once(first).chain(words) {
                if !word.joined {
                    rdata.push(b' ');
                }
                let quote: &[u8] = if word.quoted { b"\"" } else { b"" };
                rdata.extend_from_slice(&[quote, word.text, quote].concat());
            }
        }
        let next = range.start;
        let owner = owner.text.to_vec();
        self.template = Some(Template { next, range, owner, rdata, rtype: header.rtype, ttl: header.ttl, line });
        Ok(())
    }

    /// The next record of a template, which is kept if more follow. An error ends it.
    fn generated(&mut self, mut template: Template) -> Option<Result<Located, Problem>> {
        let mut entry = std::mem::take(&mut self.entry);
        let result = self.expanded(&template, &mut entry);
        self.entry = entry;
        let line = template.line;
        let file = self.sources.last().map(|source| source.file.clone())?;
        let number = template.next;
        template.next += template.range.step;
        if template.next <= template.range.stop && result.is_ok() {
            self.template = Some(template);
        }
        match result {
            Err(message) => Some(Err(self.problem((line, 0), format!("$GENERATE at {number}: {message}")))),
            Ok(record) if self.options.origin.as_ref().is_some_and(|apex| !record.owner.is_at_or_below(apex)) => {
                self.warn((line, 0), format!("{} is outside of the zone; servers ignore it", record.owner));
                None
            }
            Ok(record) => Some(Ok(Located { record, file, line })),
        }
    }

    fn expanded(&mut self, template: &Template, entry: &mut Entry) -> Result<Record, String> {
        let expected = |expected| format!("expected {expected}");
        entry.clear();
        expand(&template.rdata, template.next, entry.buffer()).map_err(expected)?;
        entry.split(0, template.line).map_err(|unsplit| unsplit.error.to_string())?;
        let mut owner = Vec::new();
        expand(&template.owner, template.next, &mut owner).map_err(expected)?;
        self.name.clear();
        let origin = self.sources.last().and_then(|source| source.origin.as_ref());
        push_name(&owner, origin, true, &mut self.name).map_err(|error| error.to_string())?;
        let owner = Name::from_wire(&self.name).ok_or("expected a domain name")?;
        rdata::from_words(template.rtype, &mut entry.words(), origin, &mut self.rdata).map_err(|error| error.to_string())?;
        let header = Header { ttl: template.ttl, rtype: template.rtype };
        let ttl = self.effective_ttl(&header, (template.line, 0)).map_err(|(_, message)| message)?;
        Ok(Record { owner, rtype: template.rtype, ttl, rdata: self.rdata.as_slice().into() })
    }
}

type Placed = ((u64, usize), String);

impl Iterator for Reader<'_> {
    type Item = Result<Located, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance()
    }
}

/// The end of a directive.
fn end(words: &mut Words<'_>) -> Result<(), String> {
    words.next().map_or(Ok(()), |word| Err(format!("expected the end of the line, found {}", word.shown())))
}

/// A quoted word for splitting it again: `\"` becomes `"`, other escapes stay.
fn push_without_escaped_quotes(text: &[u8], out: &mut Vec<u8>) {
    let mut octets = text.iter().peekable();
    while let Some(octet) = octets.next() {
        match (octet, octets.peek()) {
            (b'\\', Some(b'"')) => {}
            (b'\\', Some(next)) => {
                out.extend_from_slice(&[b'\\', **next]);
                octets.next();
            }
            _ => out.push(*octet),
        }
    }
}

/// A class by its mnemonic or as RFC 3597 writes it.
fn class_of(text: &[u8]) -> Option<u16> {
    if text.eq_ignore_ascii_case(b"IN") {
        return Some(1);
    }
    let known: [(&[u8], u16); 5] = [(b"CH", 3), (b"CHAOS", 3), (b"HS", 4), (b"NONE", 254), (b"ANY", 255)];
    if let Some((_, class)) = known.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
        return Some(*class);
    }
    let (prefix, number) = text.split_at_checked(5)?;
    let value = crate::rdata::text::decimal(number).filter(|_| prefix.eq_ignore_ascii_case(b"CLASS"))?;
    u16::try_from(value).ok()
}

/// Types that exist in messages only have no place in a zone (RFC 6895 section 3.1).
fn check_type(rtype: RecordType) -> Result<(), String> {
    match rtype.value() {
        0 | 41 | 128..=255 => Err(format!("expected a type that a zone can hold, found {rtype}")),
        _ => Ok(()),
    }
}
