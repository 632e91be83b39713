//! What can go wrong between text and object.

use std::io;

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// LLVM's words, which begin with line and column.
    #[error("parse the IR: {0}")]
    Parse(String),
    /// The text reads well, but breaks a rule.
    #[error("verify the IR, lines {lines:?}: {message}")]
    Verify {
        /// Of the instructions that the message names, from 1. Those that are in the text twice are left out.
        lines: Vec<usize>,
        /// LLVM's words: what rule is broken, and by what.
        message: String,
    },
    /// The target names passes that LLVM can't run.
    #[error("run the passes: {0}")]
    Passes(String),
    /// This LLVM has no such target.
    #[error("find the target: {0}")]
    Target(String),
    /// The code generator refused something that the verifier allows.
    #[error("generate code: {0}")]
    Emit(String),
    /// LLVM would have ended the process.
    #[error("fatal error of LLVM: {0}")]
    Fatal(String),
    /// There is no thread to compile on, or it ended without an answer.
    #[error("compile on a thread of its own: {0}")]
    Thread(#[from] io::Error),
}
