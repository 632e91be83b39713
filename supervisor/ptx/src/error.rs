//! What can be wrong with PTX text.

use crate::cursor::place_of;

/// A refusal that says where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}, column {column}{}: {what}", in_function(.function))]
pub struct ParseError {
    /// 1-based line in the module's text.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
    /// The byte of the module's text.
    pub at: usize,
    /// The kernel or function, if the text is inside one.
    pub function: Option<String>,
    /// What is wrong, naming the offending text.
    pub what: String,
}

impl ParseError {
    /// An error at a byte of the text.
    pub(crate) fn at(text: &str, at: usize, function: Option<&str>, what: String) -> ParseError {
        let (line, column) = place_of(text, at);
        ParseError { line, column, at, function: function.map(str::to_owned), what }
    }
}

fn in_function(function: &Option<String>) -> String {
    function.as_ref().map_or(String::new(), |name| format!(" in `{name}`"))
}
