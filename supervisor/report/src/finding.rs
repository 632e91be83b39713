//! What is worth saying, and in which words.

use overlay::{Loader, Reason};
use wire::control::NoteKind;

use crate::Session;
use crate::process::{Process, Told};

/// How bad it is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program can't use the GPU, or lost it.
    Error,
    /// Something was refused that the program may do without.
    Warning,
    /// Good to know.
    Remark,
}

/// A message, what caused it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The operation and the thing.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What the reader can do.
    pub hints: Vec<String>,
}

impl Finding {
    /// A finding without cause or hint yet.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self { severity, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// Adds a cause.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// Findings about one process.
pub fn of_process(process: &Process, _session: &Session, findings: &mut Vec<Finding>) {
    for told in &process.told {
        findings.extend(of_note(process, told));
    }
}

fn of_note(process: &Process, told: &Told) -> Option<Finding> {
    let severity = match told.kind {
        NoteKind::Initialised if told.value == 0 => return None,
        NoteKind::Summary => return None,
        NoteKind::Initialised | NoteKind::CodeRefused | NoteKind::Fault => Severity::Error,
        NoteKind::Unsupported | NoteKind::AllocationFailed => Severity::Warning,
        NoteKind::UnknownName | NoteKind::ExportTable => Severity::Remark,
    };
    Some(Finding::new(severity, format!("{}: {}", process.title(), told_text(told))))
}

/// One note, in words.
pub fn told_text(told: &Told) -> String {
    let text = &told.text;
    match told.kind {
        NoteKind::Initialised if told.value == 0 => format!("{text}: success"),
        NoteKind::Initialised => format!("{text}: error {}", told.value),
        NoteKind::Summary => text.clone(),
        NoteKind::Unsupported => format!("called `{text}`, which we lack"),
        NoteKind::UnknownName => format!("asked for `{text}`, which we do not know"),
        NoteKind::CodeRefused => format!("code refused: {text}"),
        NoteKind::Fault => format!("a kernel faulted: {text}"),
        NoteKind::AllocationFailed => format!("{} bytes of device memory were refused: {text}", told.value),
        NoteKind::ExportTable => format!("asked for the private table {text}"),
    }
}

/// Why a library was left to the kernel, in words.
pub fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::Loader(Loader::Bits32) => "the program is a 32-bit one".to_owned(),
        Reason::Loader(Loader::Other(path)) => format!("the program's loader is {path}, ours needs glibc's"),
        Reason::Loader(_) => "the program's loader is not known".to_owned(),
        Reason::NotInPayload => "this build has none".to_owned(),
        Reason::Failed(why) => why.clone(),
    }
}
