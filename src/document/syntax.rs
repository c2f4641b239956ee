//! What is wrong with a text that is not YAML, in the words of its author instead of the parser's.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::problem::{Place, Problem};

/// The problem behind an error of the parser.
pub(super) fn problem(text: &str, error: &Error) -> Problem {
    let place = error.location().map(Place::from);
    let kind = match error {
        Error::ExternalMessage { source, .. } => match &**source {
            ExternalMessageSource::Parser(error) => Some(error.kind()),
            _ => None,
        },
        _ => None,
    };
    let (place, message) = match kind {
        Some(
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
            | ErrorKind::TabAtBlockScalarStart,
        ) => {
            let tab = place.and_then(|place| tab_after(text, place));
            (tab.or(place), "a tab: indent with spaces".to_owned())
        }
        kind => {
            let follows_key = place.is_some_and(|place| follows_key(text, place));
            let message = kind.and_then(|kind| explained(kind, follows_key));
            (place, message.unwrap_or_else(|| unexplained(error)))
        }
    };
    Problem { place, path: String::new(), message: format!("not valid YAML: {message}") }
}

/// What a common mistake is called. `follows_key` tells whether a key is before its place in the line.
fn explained(kind: &ErrorKind, follows_key: bool) -> Option<String> {
    let message = match kind {
        ErrorKind::MappingValueNotAllowed if follows_key => {
            "put a value that contains a colon and a space in quotes"
        }
        ErrorKind::BlockSequenceEntryNotAllowed if follows_key => {
            "begin a list in the line below its key"
        }
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation => {
            "wrong indentation, or no colon before it: the keys of a mapping begin in the same \
             column, like the dashes of a list"
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            "a key needs a colon and a space after it"
        }
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => "a quote before this place is not closed",
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => "text after the closing quote",
        ErrorKind::UnknownQuotedScalarEscape => {
            "unknown escape sequence: use single quotes, in which a backslash stands for itself"
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::InvalidColonPlacement => {
            "a comma is missing, or a bracket before this place is not closed"
        }
        ErrorKind::UnexpectedCharacter { character } if !character.is_control() => {
            return Some(format!("put a value that begins with {character} in quotes"));
        }
        _ => return None,
    };
    Some(message.to_owned())
}

fn unexplained(error: &Error) -> String {
    match error {
        Error::UnknownAnchor { .. } => "put a value that begins with * in quotes".to_owned(),
        Error::MultipleDocuments { .. } => {
            "a second document begins here: remove the line of dashes before it".to_owned()
        }
        Error::Budget { breach: BudgetBreach::Nodes { nodes }, .. } => {
            format!("it has more than {} values", nodes.saturating_sub(1))
        }
        Error::Budget { breach: BudgetBreach::Depth { depth }, .. } => {
            format!("its values are nested deeper than {} levels", depth.saturating_sub(1))
        }
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "it is too large, or its aliases stand for too many values".to_owned()
        }
        error => UserMessageFormatter.format_message(error).into_owned(),
    }
}

/// The first tab in the indentation of a line from `place` on: the parser stops at the end of the value
/// before it.
fn tab_after(text: &str, place: Place) -> Option<Place> {
    let numbered = (1..).zip(text.lines());
    let mut rest = numbered.skip_while(|(line, _)| *line < place.line);
    rest.find_map(|(line, text)| {
        let (column, first) = (1..).zip(text.chars()).find(|(_, char)| *char != ' ')?;
        (first == '\t').then_some(Place { line, column })
    })
}

/// Whether a colon is before this place in its line.
fn follows_key(text: &str, place: Place) -> bool {
    let mut numbered = (1..).zip(text.lines());
    let line = numbered.find(|(line, _)| *line == place.line);
    let before =
        |(_, line): (_, &str)| (1..place.column).zip(line.chars()).any(|(_, char)| char == ':');
    line.is_some_and(before)
}
