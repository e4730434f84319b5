//! Which SQL is accepted: a single statement that reads, and that a stack can hold.
//!
//! No part of a statement runs before it has passed this check. Words and operators are counted before
//! parsing, because parsers and planners recurse into nested expressions,
//! and `1 + 1 + 1 …` nests as deeply as it is long.

use crate::Error;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Statement as Ansi, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::ops::ControlFlow;

/// Maximum length of a statement, bytes.
pub const MAX_SQL_BYTES: usize = 64 << 10;
/// Maximum number of keywords and operators of a statement. A list of values has none, however long.
const MAX_WORDS: usize = 400;
/// Maximum number of tables in a statement, counting repetitions.
const MAX_TABLES: usize = 50;

/// Parses a statement; an error says what is wrong and where.
pub(crate) fn parse(text: &str) -> Result<Statement, Error> {
    if text.len() > MAX_SQL_BYTES {
        return Err(bad(format!("it has {} bytes; a statement has at most {MAX_SQL_BYTES}", text.len())));
    }
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize().map_err(|error| bad(error.to_string()))?;
    let words = tokens.iter().filter(|token| nests(token)).count();
    if words > MAX_WORDS {
        return Err(bad(format!(
            "it has {words} keywords and operators; a statement has at most {MAX_WORDS} (IN lists have none)"
        )));
    }
    let parser = DFParserBuilder::new(text).with_dialect(&dialect).build();
    let mut statements = parser.and_then(|mut parser| parser.parse_statements()).map_err(|error| bad(parsing(error)))?;
    let (Some(statement), None) = (statements.pop_front(), statements.pop_front()) else {
        let reason = if text.trim().trim_end_matches(';').is_empty() {
            "there is no statement"
        } else {
            "it is more than one statement; send one"
        };
        return Err(bad(reason.to_owned()));
    };
    let refused = check(&statement);
    refused.map_or(Ok(statement), |reason| Err(bad(reason)))
}

/// Whether a statement contains the word `kind`, a column of the previous release.
pub(crate) fn names_kind(text: &str) -> bool {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    tokens.iter().any(|token| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case("kind")))
}

/// A warning about what the next release will reject in a statement.
pub fn warning_of(text: &str) -> Option<&'static str> {
    names_kind(text).then_some("the column kind is now called action and rcode; release 0.2 refuses the old name")
}

/// An error of the caller's statement.
pub(crate) fn bad(reason: String) -> Error {
    Error::bad("sql", reason)
}

/// Whether a token can nest expressions.
fn nests(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::EOF
        | Token::Whitespace(_)
        | Token::Comma
        | Token::LParen
        | Token::RParen
        | Token::Period
        | Token::SemiColon
        | Token::Number(..)
        | Token::SingleQuotedString(_) => false,
        _ => true,
    }
}

/// A parser's error without its common prefix.
fn parsing(error: DataFusionError) -> String {
    match error {
        DataFusionError::SQL(error, _) => match *error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => "it is nested too deeply".to_owned(),
        },
        DataFusionError::Diagnostic(_, inner) => parsing(*inner),
        other => other.strip_backtrace(),
    }
}

/// Why the statement is rejected, if it is.
fn check(statement: &Statement) -> Option<String> {
    let refused = |what: String| {
        Some(format!(
            "{what} is refused: only what reads is answered: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE, SHOW TABLES, SHOW COLUMNS"
        ))
    };
    match statement {
        Statement::Explain(explain) => check(&explain.statement),
        Statement::Statement(ansi) => match ansi.as_ref() {
            reads @ (Ansi::Query(_) | Ansi::ExplainTable { .. } | Ansi::ShowTables { .. } | Ansi::ShowColumns { .. }) => {
                match reads.visit(&mut Tables(0)) {
                    ControlFlow::Continue(()) => None,
                    ControlFlow::Break(()) => Some(format!("it names more than {MAX_TABLES} tables")),
                }
            }
            Ansi::Explain { statement, .. } => check(&Statement::Statement(statement.clone())),
            other => refused(first_words(&other.to_string())),
        },
        Statement::CopyTo(_) => refused("COPY".to_owned()),
        Statement::CreateExternalTable(_) => refused("CREATE EXTERNAL TABLE".to_owned()),
        Statement::Reset(_) => refused("RESET".to_owned()),
    }
}

/// `CREATE TABLE`, `DROP VIEW`, `SET`: the leading words of a statement in capitals.
fn first_words(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').take(3).take_while(|word| word.bytes().all(|b| b.is_ascii_uppercase())).collect();
    words.join(" ")
}

/// Counts the tables of a statement.
struct Tables(usize);

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 > MAX_TABLES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match parse(text) {
            Err(Error::BadArgument { argument: "sql", reason }) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_reads_is_taken() {
        for text in [
            "SELECT 1",
            "select host from dns_raw;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1, 2)",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "DESCRIBE dns_raw",
            "SHOW TABLES",
            "SHOW COLUMNS FROM dns_raw",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_does_not_read_is_refused_by_its_name() {
        for (text, name) in [
            ("CREATE TABLE a (b INT)", "CREATE TABLE"),
            ("CREATE EXTERNAL TABLE a STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
            ("CREATE VIEW a AS SELECT 1", "CREATE VIEW"),
            ("DROP TABLE dns_raw", "DROP TABLE"),
            ("INSERT INTO dns_raw VALUES (1)", "INSERT INTO"),
            ("UPDATE dns_raw SET hits = 1", "UPDATE"),
            ("DELETE FROM dns_raw", "DELETE FROM"),
            ("COPY dns_raw TO '/tmp/a.csv'", "COPY"),
            ("COPY (SELECT 1) TO '/tmp/a.csv'", "COPY"),
            ("SET datafusion.execution.batch_size = 1", "SET"),
            ("RESET datafusion.execution.batch_size", "RESET"),
            ("EXPLAIN INSERT INTO dns_raw VALUES (1)", "INSERT INTO"),
            ("EXPLAIN ANALYZE COPY dns_raw TO '/tmp/a.csv'", "COPY"),
            ("PREPARE a AS SELECT 1", "PREPARE"),
            ("BEGIN", "BEGIN"),
            ("TRUNCATE TABLE dns_raw", "TRUNCATE TABLE"),
        ] {
            let reason = refused(text);
            assert!(reason.starts_with(&format!("{name} is refused")), "{text}: {reason}");
        }
    }

    #[test]
    fn a_statement_with_a_former_column_is_warned_of() {
        for text in ["SELECT kind FROM dns_raw", "select d.KIND from dns_raw d", "SELECT \"kind\" FROM records"] {
            assert!(warning_of(text).is_some_and(|warning| warning.contains("action and rcode")), "{text}");
        }
        for text in ["SELECT 'kind' FROM dns_raw", "SELECT kinds FROM a -- kind", "SELECT '"] {
            assert_eq!(warning_of(text), None, "{text}");
        }
    }

    #[test]
    fn one_statement_is_taken_and_neither_none_nor_two() {
        assert_eq!(refused(""), "there is no statement");
        assert_eq!(refused(" ; "), "there is no statement");
        assert_eq!(refused("SELECT 1; SELECT 2"), "it is more than one statement; send one");
        assert!(parse("SELECT 1;").is_ok());
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        assert_eq!(refused("SELECT hits FRM dns_raw"), "Expected: end of statement, found: dns_raw at Line: 1, Column: 17");
        assert_eq!(refused("SELECT\n 'a"), "Unterminated string literal at Line: 2, Column: 2");
    }

    #[test]
    fn what_nests_is_bounded_however_it_nests() {
        for text in [
            format!("SELECT 1{}", " + 1".repeat(MAX_WORDS)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(MAX_WORDS)),
            format!("SELECT 1{}", " IS NULL".repeat(MAX_WORDS)),
            format!("SELECT 1{}", "::int".repeat(MAX_WORDS)),
            format!("SELECT {}1{}", "(".repeat(1000), ")".repeat(1000)),
            format!("SELECT {}1", "- ".repeat(900)),
            format!("SELECT 1 FROM dns_raw{}", ", dns_raw".repeat(MAX_TABLES)),
            format!("SELECT 1{}", " ".repeat(MAX_SQL_BYTES)),
        ] {
            refused(&text);
        }
        assert!(parse(&format!("SELECT 1 WHERE 1 IN (1{})", ", 1".repeat(20_000))).is_ok());
    }
}
