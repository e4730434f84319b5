//! Who is to blame for an error of a statement.
//!
//! Usually the statement itself, unlike with the engine's own questions: a name does not exist, or arguments
//! or data have the wrong type. Functions report this in every possible way: as errors of
//! execution, of Arrow, of a crate that they call, and some as a defect of DataFusion.

use super::link::ScanFailed;
use crate::Error;
use crate::sql::bad;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// What DataFusion reports as its own defect although it is caused by an argument of a function or a value.
const NO_DEFECTS: [&str; 14] = [
    REGEX_CALL,
    "Nth value indices are 1 based",
    "array_resize: ",
    "array_slice got invalid stride",
    "Unable to cast to Date32",
    "Offset seconds should be",
    "Failed to convert DateTime to timestamp",
    "Failed to parse timezone",
    "cast array_len to i32 failed",
    "ArrayMap key range is too large",
    // Unsupported types: the statement can cast.
    "nsupported data type",
    "nexpected data type",
    "not supported for operation",
    "Cannot evaluate binary expression",
];
/// The prefix of the reason why a regular expression is invalid.
const REGEX_CALL: &str = "failed to call 'regex_match_dyn_scalar' ";

/// An error of a statement.
pub(super) fn of_statement(error: DataFusionError) -> Error {
    let Some(said) = said(error.find_root()) else { return Error::from(error) };
    match error.diagnostic().and_then(|diagnostic| diagnostic.span) {
        Some(span) => bad(format!("{said} at Line: {}, Column: {}", span.start.line, span.start.column)),
        None => bad(said),
    }
}

/// What is wrong with the statement; `None` if nothing is, or if the error has a variant of its own.
fn said(root: &DataFusionError) -> Option<String> {
    match root {
        DataFusionError::ResourcesExhausted(_) | DataFusionError::IoError(_) | DataFusionError::ExecutionJoin(_) => None,
        // While reading from the central, or writing the answer.
        DataFusionError::ArrowError(error, _)
            if matches!(**error, ArrowError::IoError(..) | ArrowError::IpcError(_) | ArrowError::CDataInterface(_)) =>
        {
            None
        }
        DataFusionError::ArrowError(..) => Some(in_a_line(&root.strip_backtrace())),
        DataFusionError::External(inner) if inner.is::<ScanFailed>() || inner.is::<zonepulse_store::Error>() => None,
        // From a crate that a function calls, such as the regular expression compiler.
        DataFusionError::External(inner) => Some(in_a_line(&inner.to_string())),
        DataFusionError::Internal(text) => {
            let text = text.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
            let known = NO_DEFECTS.iter().any(|known| text.contains(known));
            known.then(|| in_a_line(text.strip_prefix(REGEX_CALL).unwrap_or(text)))
        }
        root => Some(root.strip_backtrace().lines().next().unwrap_or_default().to_owned()),
    }
}

/// The reason why a regular expression is invalid comes last, after a drawing of the position.
fn in_a_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.trim_matches('~').is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Whether an error comes from a scan, so that the central knows more.
pub(super) fn is_of_scan(error: &Error) -> bool {
    let Error::Engine(error) = error else { return false };
    matches!(error.find_root(), DataFusionError::External(inner) if inner.is::<ScanFailed>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    fn arrow(error: ArrowError) -> DataFusionError {
        DataFusionError::ArrowError(Box::new(error), None)
    }

    fn internal(text: &str) -> DataFusionError {
        DataFusionError::Internal(text.to_owned())
    }

    /// As the crate says it.
    fn not_a_regex() -> DataFusionError {
        DataFusionError::External("regex parse error:\n    (\n    ^\nerror: unclosed group".into())
    }

    #[test]
    fn what_a_statement_says_or_asks_of_its_data_is_its_fault() {
        let execution = || DataFusionError::Execution("no".to_owned());
        let compute = |text: &str| arrow(ArrowError::ComputeError(text.to_owned()));
        for (error, expected) in [
            (DataFusionError::Plan("no\nmore".to_owned()), "Error during planning: no"),
            (DataFusionError::NotImplemented("no".to_owned()), "This feature is not implemented: no"),
            (execution(), "Execution error: no"),
            (execution().context("while"), "Execution error: no"),
            (DataFusionError::Shared(Arc::new(execution())), "Execution error: no"),
            (DataFusionError::External(Box::new(Arc::new(execution()))), "Execution error: no"),
            (DataFusionError::Collection(vec![execution()]), "Execution error: no"),
            (arrow(ArrowError::DivideByZero), "Arrow error: Divide by zero error"),
            (arrow(ArrowError::CastError("no".to_owned())), "Arrow error: Cast error: no"),
            (arrow(ArrowError::InvalidArgumentError("no".to_owned())), "Arrow error: Invalid argument error: no"),
            (compute("it is\n~~~\n  no\n~~~\n)"), "Arrow error: Compute error: it is no )"),
            (not_a_regex(), "regex parse error: ( ^ error: unclosed group"),
            (not_a_regex().context("Invalid regex"), "regex parse error: ( ^ error: unclosed group"),
            (
                internal(
                    "failed to call 'regex_match_dyn_scalar' Compute error: Regular expression did not compile: CompiledTooBig(9)",
                ),
                "Compute error: Regular expression did not compile: CompiledTooBig(9)",
            ),
            (internal("array_resize: failed to convert size to usize"), "array_resize: failed to convert size to usize"),
            (internal("Unsupported data type Utf8 for function f"), "Unsupported data type Utf8 for function f"),
        ] {
            let told = format!("{error:?}");
            match of_statement(error) {
                Error::BadArgument { argument: "sql", reason } => assert_eq!(reason, expected, "{told}"),
                other => panic!("{told}: {other:?}"),
            }
        }
    }

    #[test]
    fn defects_and_what_fails_elsewhere_are_not_the_statements_fault() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        for error in [
            internal("PhysicalExpr Column references column 'a' at index 7"),
            internal("PhysicalExpr Column references column 'a' at index 7").context("while"),
            DataFusionError::IoError(closed()),
            arrow(ArrowError::IpcError("no".to_owned())),
            arrow(ArrowError::from(closed())),
            DataFusionError::External(Box::new(ScanFailed("no".to_owned()))),
        ] {
            let told = format!("{error:?}");
            assert!(matches!(of_statement(error), Error::Engine(_)), "{told}");
        }
        let scan = DataFusionError::External(Box::new(ScanFailed("no".to_owned()))).context("while");
        assert!(is_of_scan(&of_statement(scan)));
        assert!(!is_of_scan(&of_statement(internal("no"))));
        let exhausted = DataFusionError::ResourcesExhausted("no".to_owned());
        assert!(matches!(of_statement(exhausted), Error::TooLarge(_)));
    }
}
