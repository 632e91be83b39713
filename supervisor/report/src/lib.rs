//! What happened in the tree and why.
//!
//! *Event*: something the supervisor saw (a process, an open, an exit) or the payload told (a *note*).
//! *Process record*: what one process did that has to do with CUDA; processes without such deeds are only counted.
//! *Finding*: something worth saying: message, causes, hints. An error makes the report appear unasked.
//!
//! ```text
//!   supervisor ──started, executed, opened, exited──▶ Report ──▶ findings ──▶ short · full · JSON
//!   payload ─────notes (cuInit, unsupported, …)─────▶   │
//!                                                       └─ inspect: which library will not load, and on which symbol
//! ```
//!
//! Nothing here prints: the command line does.

mod finding;
pub mod inspect;
mod process;
mod render;

use std::collections::HashMap;
use std::path::Path;

use overlay::Seen;
use wire::control::{Note, NoteKind};

pub use finding::{Finding, Severity};
pub use process::{Exit, Opened, Process};

/// How much of a report is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Findings only: what `vgpu-run` says by itself when something went wrong.
    Short,
    /// Findings and processes as text: `--report`.
    Full,
    /// Everything, for programs: `--report=json`.
    Json,
}

/// What the session offers, for the head of the report and for judging code that does not fit.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Name of the announced device.
    pub device: String,
    /// Its compute capability; unknown until a profile is chosen.
    pub capability: Option<(u32, u32)>,
    /// Directory with the payload, for the exports that programs meet.
    pub payload: Option<std::path::PathBuf>,
}

/// Collects events and says what they mean.
#[derive(Debug, Default)]
pub struct Report {
    session: Session,
    processes: Vec<Process>,
    current: HashMap<i32, usize>,
    thread_groups: HashMap<i32, i32>,
    remarks: Vec<Finding>,
}

impl Report {
    /// An empty report.
    pub fn new(session: Session) -> Self {
        Self { session, ..Self::default() }
    }

    /// The profile has been chosen.
    pub fn device_chosen(&mut self, device: &str, capability: (u32, u32)) {
        self.session.device = device.to_owned();
        self.session.capability = Some(capability);
    }

    /// A process is about to replace its program by the one at this path.
    pub fn executed(&mut self, pid: i32, program: &Path) {
        let pid = self.thread_group(pid);
        self.processes.push(Process::new(pid, program));
        self.current.insert(pid, self.processes.len() - 1);
    }

    /// A process has ended.
    pub fn exited(&mut self, pid: i32, exit: Exit) {
        self.thread_groups.retain(|_, group| *group != pid);
        if let Some(index) = self.current.remove(&pid) {
            self.processes[index].exit = Some(exit);
        }
    }

    /// An open was answered. Called for every trapped open: opens that have nothing to do with CUDA cost next to nothing.
    pub fn opened(&mut self, pid: i32, path: &[u8], seen: Option<&Seen>) {
        let is_library = process::may_be_library(path);
        if seen.is_none() && !is_library {
            return;
        }
        let opened = Opened { path: path.to_vec(), seen: seen.cloned() };
        self.process(pid).opened(opened);
    }

    /// The payload has told something.
    pub fn noted(&mut self, pid: i32, note: &Note, text: &str) {
        let Some(kind) = process::note_kind(note.kind) else { return };
        self.process(pid).noted(kind, note.value, text);
    }

    /// A process holds this much device memory now.
    pub fn memory_held(&mut self, pid: i32, bytes: u64) {
        let process = self.process(pid);
        process.memory_peak = process.memory_peak.max(bytes);
    }

    /// The supervisor itself has something to say: an engine that did not start, a fallback taken.
    pub fn remark(&mut self, finding: Finding) {
        if !self.remarks.contains(&finding) {
            self.remarks.push(finding);
        }
    }

    /// Everything worth saying, worst first.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.remarks.clone();
        for process in &self.processes {
            finding::of_process(process, &self.session, &mut findings);
        }
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    /// Whether something CUDA-related went wrong, so that the short form is due.
    pub fn went_wrong(&self) -> bool {
        self.findings().iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The report as text.
    pub fn render(&self, form: Form) -> String {
        let findings = self.findings();
        match form {
            Form::Short => render::short(&findings),
            Form::Full => render::full(&self.session, &self.processes, &findings),
            Form::Json => render::json(&self.session, &self.processes, &findings),
        }
    }

    fn process(&mut self, pid: i32) -> &mut Process {
        let pid = self.thread_group(pid);
        let index = *self.current.entry(pid).or_insert_with(|| {
            self.processes.push(Process::found(pid));
            self.processes.len() - 1
        });
        &mut self.processes[index]
    }

    /// The process of a thread. Most events come from a first thread, for which one cheap call says so.
    fn thread_group(&mut self, thread: i32) -> i32 {
        if process::leads_its_group(thread) {
            return thread;
        }
        *self.thread_groups.entry(thread).or_insert_with(|| process::thread_group(thread).unwrap_or(thread))
    }
}

/// Makes a note as the payload would send it.
pub fn note(kind: NoteKind, value: i64) -> Note {
    Note { kind: kind as u32, caller: 0, value }
}
