//! Says what a YAML syntax error is about.
//!
//! The parser's words are kept for rare errors; the frequent ones get words
//! that name the way out.

use granit_parser::{ErrorKind, ScanError};

use crate::{diagnostic::Diagnostic, source::Place};

pub(super) fn about(place: &Place, error: &ScanError) -> Diagnostic {
    let found = |message: &str| Diagnostic::at(place, "", format!("this is not YAML: {message}"));
    match error.kind() {
        ErrorKind::UnexpectedCharacter { character: '@' } => {
            found("a value cannot start with `@` unless it is quoted")
                .label("write `\"@name:server\"`, in quotes")
        }
        ErrorKind::UnexpectedCharacter { character: character @ ('`' | '%') } => {
            found(&format!("a value cannot start with `{character}` unless it is quoted"))
                .label("put the value in quotes")
        }
        ErrorKind::UnexpectedCharacter { character } => {
            found(&format!("unexpected character U+{:04X}", u32::from(*character)))
        }
        ErrorKind::UnknownAnchor => found("no anchor of this name stands above")
            .label("a value that starts with `*` has to be quoted"),
        ErrorKind::MappingValueNotAllowed => found("a `:` does not fit here")
            .label("quote a value that holds `: `; line up keys of one map"),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => found("a tab cannot indent a line").label("use spaces"),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            found("a quote that was opened above is not closed")
        }
        ErrorKind::UnknownQuotedScalarEscape => found("this `\\` escape is not known")
            .label("double the backslash, or use single quotes"),
        ErrorKind::InvalidTrailingDoubleQuotedScalar
        | ErrorKind::InvalidTrailingSingleQuotedScalar => {
            found("something follows the closing quote")
        }
        ErrorKind::ExpectedFlowMappingSeparator => found("a `,` or `}` is missing")
            .label("inside `{ }`, a value with `${…}` has to be quoted"),
        ErrorKind::ExpectedFlowSequenceSeparator => found("a `,` or `]` is missing")
            .label("inside `[ ]`, a value with `${…}` has to be quoted"),
        ErrorKind::SimpleKeyExpected => found("a key without a `:`"),
        ErrorKind::RecursionLimitExceeded => found("values are nested too deep"),
        _ => found(&error.info()),
    }
}
