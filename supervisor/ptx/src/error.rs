//! What can be wrong with PTX text.

/// A refusal that says where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}{}: {what}", in_function(.function))]
pub struct ParseError {
    /// 1-based line in the module's text.
    pub line: u32,
    /// The kernel or function, if the text is inside one.
    pub function: Option<String>,
    /// What is wrong, naming the offending text.
    pub what: String,
}

fn in_function(function: &Option<String>) -> String {
    function.as_ref().map_or(String::new(), |name| format!(" in `{name}`"))
}
