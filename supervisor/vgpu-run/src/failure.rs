//! What we say when we ourselves fail, and the exit statuses for it, those that `env` and shells have; `--help` and the manual page list them.

use std::fmt;

/// Our own failure: bad arguments, no filter, supervisor died. The program's own status is passed through.
pub const FAILED: u8 = 125;
/// The program is there and cannot be executed.
pub const CANNOT_EXECUTE: i32 = 126;
/// There is no such program.
pub const NOT_FOUND: i32 = 127;

/// An error with its causes and what to do about it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    /// The operation and the thing it failed on.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: vec![], hints: vec![] }
    }

    /// What is behind it.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// What the reader can do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Failure {
    /// Message and causes, without what to do.
    pub fn in_one_line(&self) -> String {
        [std::slice::from_ref(&self.message), &self.causes[..]].concat().join(": ")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "vgpu-run: error: {}", self.message)?;
        for cause in &self.causes {
            writeln!(out, "  caused by: {cause}")?;
        }
        for hint in &self.hints {
            writeln!(out, "hint: {hint}")?;
        }
        Ok(())
    }
}

/// Says what we were doing when an operation of the system failed.
pub trait Doing<T> {
    /// `doing` completes "cannot …".
    fn doing(self, doing: &str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("cannot {doing}")).cause(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_message_cause_hint() {
        let result: Result<(), _> = Err("no room");
        let failure = result.doing("fork").unwrap_err().hint("end something");
        let expected = "vgpu-run: error: cannot fork\n  caused by: no room\nhint: end something\n";
        assert_eq!(failure.to_string(), expected);
    }
}
