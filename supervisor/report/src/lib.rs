//! What happened in the tree and why.
//!
//! *Event*: something the supervisor saw (a process, an open, an exit) or the payload told (a *note*).
//! *Process record*: what one process did that has to do with CUDA; processes without such deeds are only counted.
//! *Check*: what `--check` found in kernels, listed by itself.
//! *Finding*: something worth saying: message, causes, hints. An error makes the report appear unasked.
//!
//! ```text
//!   supervisor ──started, executed, opened, exited──▶ Report ──▶ Document ──▶ short · full · JSON
//!   payload ─────notes (cuInit, unsupported, …)─────▶   │
//!                                                       └─ inspect: which library will not load, and on which symbol
//! ```
//!
//! Nothing here prints: the command line does.

mod checked;
pub mod doctor;
pub mod document;
pub mod explain;
mod finding;
pub mod inspect;
mod kernels;
pub mod loading;
mod objects;
mod others;
mod predict;
mod process;
mod refusals;
mod render;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::Document;
use objects::{Files, Objects};
use overlay::Seen;
use refusals::Refusals;
use tracee::ThreadGroups;
use wire::control::{Note, NoteKind};
use wire::figures::KernelCost;

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
    /// The payload, for the exports that programs meet.
    pub payload: Option<Arc<installation::Files>>,
    /// Whether listings and existence tests are answered too.
    pub overlay_is_full: bool,
    /// The machine's own driver and libraries are in use, which need no explanation.
    pub is_native: bool,
}

/// A tree that runs more different programs than this makes them itself.
const MOST_PROGRAMS: usize = 10_000;

/// So many clients of the device that have ended are told of one by one; of those before, how many there were.
const MOST_CLIENTS: usize = 1_000;
/// So many remarks are kept.
const MOST_REMARKS: usize = 1_000;
/// When more processes than this are believed to run, those are looked for that have ended and nobody told.
const MANY: usize = 1_024;

/// What a long session has too much of to keep it all.
#[derive(Debug, Default)]
struct LeftOut {
    clients: u64,
    failed_clients: u64,
    remarks: u64,
}

/// Collects events and says what they mean.
#[derive(Debug, Default)]
pub struct Report {
    session: Session,
    /// By a serial number: pids come again, and a process may run several programs.
    processes: BTreeMap<u64, Process>,
    next: u64,
    current: HashMap<i32, u64>,
    thread_groups: ThreadGroups,
    /// How many entries of `current` make it worth while to look through them.
    sweep_at: usize,
    /// Clients that have ended and have a record.
    ended_clients: usize,
    left_out: LeftOut,
    refusals: Refusals,
    /// Programs that did nothing which has to do with CUDA, and how often each ran.
    others: BTreeMap<PathBuf, u64>,
    remarks: Vec<Finding>,
    files: Files,
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

    /// A process (not merely a thread of it) is about to replace its program by the one at this path.
    pub fn executed(&mut self, pid: i32, program: &Path) {
        self.retire(pid, None);
        self.add(Process::new(pid, program));
    }

    /// A process has ended.
    pub fn exited(&mut self, pid: i32, exit: Exit) {
        self.refusals.ended(pid, exit);
        self.retire(pid, Some(exit));
    }

    /// An open was answered. Called for every trapped open: opens that have nothing to do with CUDA cost next to nothing.
    pub fn opened(&mut self, pid: i32, path: &[u8], seen: Option<&Seen>) {
        let is_library = process::may_be_library(path);
        if seen.is_none() && !is_library {
            return;
        }
        let opened = Opened { path: path.to_vec(), seen: seen.cloned() };
        if let Some(process) = self.process(pid) {
            process.opened(opened);
        }
    }

    /// The payload has told something.
    pub fn noted(&mut self, pid: i32, note: &Note, text: &str) {
        let Some(kind) = process::note_kind(note.kind) else { return };
        if let Some(process) = self.process(pid) {
            process.noted(kind, note.value, text);
        }
    }

    /// A process has let go of its engine: what its kernels cost, and the most device memory that it held. It may have begun
    /// another program since.
    pub fn finished(&mut self, pid: i32, kernels: &[KernelCost], bytes: u64) {
        let mut newest_first = self.processes.values_mut().rev();
        let client = newest_first.find(|process| process.pid == pid && process.opened_device());
        if let Some(process) = client {
            process.memory_peak = process.memory_peak.max(bytes);
            process.kernels.extend_from_slice(kernels);
        }
    }

    /// The supervisor itself has something to say: an engine that did not start, a fallback taken.
    pub fn remark(&mut self, finding: Finding) {
        if self.remarks.contains(&finding) {
            return;
        }
        match self.remarks.len() {
            0..MOST_REMARKS => self.remarks.push(finding),
            _ => self.left_out.remarks += 1,
        }
    }

    /// The same of something that a process is refused. If it ends with another status than 0, the short form is due: this may be
    /// the reason.
    pub fn refused(&mut self, pid: i32, finding: Finding) {
        let pid = self.thread_group(pid);
        self.refusals.note(pid);
        self.remark(finding);
    }

    /// Everything worth saying, worst first.
    pub fn findings(&mut self) -> Vec<Finding> {
        let mut findings = self.remarks.clone();
        findings.extend(self.left_out.findings());
        for process in self.processes.values().filter(|process| process.is_related()) {
            let objects = Objects::of(process, self.session.payload.as_deref(), &mut self.files);
            if !self.session.is_native {
                findings.extend(predict::findings(process, &objects, &self.session));
            }
            findings.extend(finding::of_process(process));
        }
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    /// Whether something CUDA-related went wrong, so that the short form is due. A warning counts when the process it is
    /// about failed, or one that was refused something: then it may be the reason.
    pub fn went_wrong(&mut self) -> bool {
        let failed = |exit: &Option<Exit>| exit.is_some_and(|exit| exit != Exit::Code(0));
        let a_client_failed =
            self.processes.values().any(|process| process.is_related() && failed(&process.exit))
                || self.left_out.failed_clients > 0;
        let least =
            if a_client_failed || self.refusals.some_failed() { Severity::Warning } else { Severity::Error };
        self.findings().iter().any(|finding| finding.severity <= least)
    }

    /// The report in words or for programs, of the same facts.
    pub fn render(&mut self, form: Form) -> String {
        match form {
            Form::Short => render::short(&self.findings()),
            Form::Full => render::full(&self.document()),
            Form::Json => render::json(&self.document()),
        }
    }

    /// The report as data.
    pub fn document(&mut self) -> Document {
        let mut findings = self.findings();
        let payload = self.session.payload.as_deref();
        let related = self.processes.values().filter(|process| process.is_related());
        let processes = related
            .map(|process| render::account(process, &Objects::of(process, payload, &mut self.files)))
            .collect();
        // Those whose end nobody saw.
        let unrelated: Vec<&PathBuf> = self
            .processes
            .values()
            .filter(|process| !process.is_related())
            .filter_map(Process::program_that_ran)
            .collect();
        let others = self.others.values().sum::<u64>() + unrelated.len() as u64;
        let programs: BTreeSet<&PathBuf> = self.others.keys().chain(unrelated).collect();
        findings.extend(others::findings(programs, self.session.overlay_is_full));
        let capability = self.session.capability;
        Document {
            schema: document::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: capability.map(|_| self.session.device.clone()),
            capability: capability.map(|(major, minor)| format!("{major}.{minor}")),
            processes,
            others,
            findings,
        }
    }

    /// How many things checks found.
    pub fn checks_found(&self) -> usize {
        self.processes.values().map(|process| process.checked.len()).sum()
    }

    /// What checks found, as text that ends with a count.
    pub fn render_checks(&self) -> String {
        checked::text(self.processes.values())
    }

    /// The record of a process; `None` for one that is gone and never did anything else: its name is gone too.
    fn process(&mut self, pid: i32) -> Option<&mut Process> {
        let pid = self.thread_group(pid);
        let serial = match self.current.get(&pid) {
            Some(serial) => *serial,
            // News of a process that has ended belong to its last record.
            None if !process::exists(pid) => self.last_of(pid)?,
            None => self.add(self.forked(pid)),
        };
        self.processes.get_mut(&serial)
    }

    fn last_of(&self, pid: i32) -> Option<u64> {
        self.processes.iter().rev().find(|(_, process)| process.pid == pid).map(|(serial, _)| *serial)
    }

    fn add(&mut self, process: Process) -> u64 {
        self.next += 1;
        self.current.insert(process.pid, self.next);
        self.processes.insert(self.next, process);
        let serial = self.next;
        if self.current.len() >= self.sweep_at.max(MANY) {
            self.sweep();
        }
        serial
    }

    /// We are told of the end of our children and of clients. Others have ended when their numbers are nobody's.
    fn sweep(&mut self) {
        let is_gone = |(pid, serial): (&i32, &u64)| {
            let related = self.processes.get(serial).is_some_and(Process::is_related);
            (!related && !process::exists(*pid)).then_some(*pid)
        };
        let gone: Vec<i32> = self.current.iter().filter_map(is_gone).collect();
        gone.into_iter().for_each(|pid| self.retire(pid, None));
        self.sweep_at = 2 * self.current.len();
    }

    /// The record of a process whose exec was not seen: it has its parent's libraries.
    fn forked(&self, pid: i32) -> Process {
        let mut process = Process::found(pid);
        let parent = process::parent(pid).and_then(|parent| self.processes.get(self.current.get(&parent)?));
        let same = |parent: &&Process| parent.executable.is_none() || parent.executable == process.executable;
        if let Some(parent) = parent.filter(same) {
            process.opened.clone_from(&parent.opened);
        }
        process
    }

    /// A program has ended: a record that says nothing about CUDA shrinks to a number.
    fn retire(&mut self, pid: i32, exit: Option<Exit>) {
        let Some(serial) = self.current.remove(&pid) else { return };
        let Some(process) = self.processes.get_mut(&serial) else { return };
        process.exit = exit;
        if process.is_related() {
            self.ended_clients += 1;
            if self.ended_clients > MOST_CLIENTS {
                self.leave_out_oldest_client();
            }
            return;
        }
        let program = process.program_that_ran().cloned();
        self.processes.remove(&serial);
        let Some(program) = program else { return };
        if self.others.len() < MOST_PROGRAMS || self.others.contains_key(&program) {
            *self.others.entry(program).or_default() += 1;
        }
    }

    /// What was an error stays, as a remark.
    fn leave_out_oldest_client(&mut self) {
        let has_ended = |serial: &u64, process: &Process| self.current.get(&process.pid) != Some(serial);
        let oldest = self.processes.iter().find(|(serial, process)| has_ended(serial, process));
        let Some(process) =
            oldest.map(|(serial, _)| *serial).and_then(|serial| self.processes.remove(&serial))
        else {
            return;
        };
        self.ended_clients -= 1;
        self.left_out.clients += 1;
        self.left_out.failed_clients += u64::from(process.exit.is_some_and(|exit| exit != Exit::Code(0)));
        let errors = finding::of_process(&process).into_iter();
        errors.filter(|finding| finding.severity == Severity::Error).for_each(|error| self.remark(error));
    }

    /// The process of a thread; what has ended counts as a process of its own.
    fn thread_group(&mut self, thread: i32) -> i32 {
        self.thread_groups.of(thread).unwrap_or(thread)
    }
}

impl LeftOut {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.clients > 0 {
            let what =
                format!("{} clients of the device that ended first have no account here", self.clients);
            let failed = format!("{} of them ended with another status than 0", self.failed_clients);
            findings.push(Finding::new(Severity::Warning, what).cause(failed));
        }
        if self.remarks > 0 {
            let what = format!("{} more remarks are left out", self.remarks);
            findings.push(Finding::new(Severity::Warning, what));
        }
        findings
    }
}

/// Makes a note as the payload would send it.
pub fn note(kind: NoteKind, value: i64) -> Note {
    Note { kind: kind as u32, caller: 0, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: NoteKind, value: i64, text: &str) -> Report {
        let mut report = Report::new(Session::default());
        let pid = std::process::id() as i32;
        report.executed(pid, Path::new("/usr/bin/client"));
        report.noted(pid, &note(kind, value), text);
        report
    }

    #[test]
    fn nothing_is_said_of_a_run_without_cuda() {
        let mut report = Report::new(Session::default());
        let pid = std::process::id() as i32;
        report.executed(pid, Path::new("/bin/true"));
        report.opened(pid, b"/lib/libc.so.6", None);
        report.opened(pid, b"/etc/ld.so.cache", Some(&Seen::LoaderCache));
        report.exited(pid, Exit::Code(1));
        assert!(!report.went_wrong());
        assert_eq!(report.render(Form::Short), "");
    }

    #[test]
    fn failed_initialisation_is_an_error() {
        let mut report = told(NoteKind::Initialised, 100, "cuInit");
        assert!(report.went_wrong());
        let text = report.render(Form::Short);
        assert!(text.contains("error: `client` (pid "), "{text}");
        assert!(text.contains("cuInit: error 100 (NO_DEVICE)"), "{text}");
    }

    #[test]
    fn refused_kernel_is_an_error_with_its_reason() {
        let why = "kernel `tile` asks for 65,536 bytes of shared memory per block, the device has 49,152";
        let mut report = told(NoteKind::CodeRefused, 1, why);
        assert!(report.went_wrong() && report.render(Form::Short).contains(why));
    }

    #[test]
    fn kernel_without_code_is_told_and_is_a_warning_where_the_error_is_ours() {
        let why = "kernel `tile`: LLVM refuses its code: generate code: no such register";
        for (value, severity) in [(0, Severity::Remark), (1, Severity::Warning)] {
            let mut report = told(NoteKind::Slower, value, why);
            assert!(!report.went_wrong(), "it runs");
            assert_eq!(report.findings()[0].severity, severity);
            assert!(report.render(Form::Full).contains(why));
        }
    }

    #[test]
    fn proof_of_validity_is_explained() {
        let mut report = told(NoteKind::ExportTable, 0, "d4082055-0000-0000-0000-000000000000");
        assert!(report.went_wrong());
        assert!(report.render(Form::Short).contains("hint: link the program with `nvcc -cudart shared`"));
        assert!(!told(NoteKind::ExportTable, 0, "6bd5fb6c-0000-0000-0000-000000000000").went_wrong());
    }

    #[test]
    fn unsupported_call_matters_when_its_caller_fails() {
        let mut report = told(NoteKind::Unsupported, 0, "cuTexRefCreate");
        assert!(!report.went_wrong());
        assert!(report.render(Form::Full).contains("cuTexRefCreate"));
        report.exited(std::process::id() as i32, Exit::Signal(6));
        assert!(report.went_wrong());
    }

    #[test]
    fn news_of_an_ended_process_go_to_its_record() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        let mut report = Report::new(Session::default());
        report.executed(pid, Path::new("/usr/bin/client"));
        report.noted(pid, &note(NoteKind::Initialised, 0), "cuInit");
        child.wait().unwrap();
        report.exited(pid, Exit::Code(0));
        report.noted(pid, &note(NoteKind::Unsupported, 0), "cuTexRefCreate");
        let text = report.render(Form::Full);
        assert!(text.contains("`client` (pid") && text.contains("cuTexRefCreate"), "{text}");
    }

    #[test]
    fn news_of_a_thread_whose_process_is_gone_make_no_record() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut report = Report::new(Session::default());
        let given = Seen::Node(overlay::Node::Control);
        report.opened(child.id() as i32, b"/dev/nvidiactl", Some(&given));
        assert_eq!(report.processes.len(), 0);
    }

    #[test]
    fn processes_whose_end_nobody_told_do_not_pile_up() {
        // No process has a number beyond `PID_MAX_LIMIT` of linux/threads.h: these have all ended.
        const BEYOND: i32 = 5 << 20;
        let mut report = Report::new(Session::default());
        for number in 0..4 * MANY as i32 {
            report.executed(BEYOND + number, Path::new("/usr/bin/true"));
        }
        assert!(report.processes.len() <= MANY && report.current.len() <= MANY);
        assert!(report.others[Path::new("/usr/bin/true")] >= 2 * MANY as u64);
    }

    #[test]
    fn the_oldest_clients_of_a_long_session_are_counted_and_their_errors_kept() {
        let mut report = Report::new(Session::default());
        let pid = std::process::id() as i32;
        for round in 0..MOST_CLIENTS + 10 {
            report.executed(pid, Path::new("/usr/bin/client"));
            report.noted(pid, &note(NoteKind::Initialised, if round == 3 { 100 } else { 0 }), "cuInit");
            report.exited(pid, Exit::Code(i32::from(round == 3)));
        }
        assert_eq!(report.processes.len(), MOST_CLIENTS);
        assert!(report.went_wrong());
        let text = report.render(Form::Short);
        assert!(
            text.contains("10 clients of the device that ended first") && text.contains("1 of them"),
            "{text}"
        );
        assert!(text.contains("cuInit: error 100"), "{text}");
    }

    #[test]
    fn remarks_are_kept_up_to_a_number_and_counted_from_there() {
        let mut report = Report::new(Session::default());
        for number in 0..MOST_REMARKS + 5 {
            report.remark(Finding::new(Severity::Remark, format!("remark {number}")));
        }
        assert_eq!(report.findings().len(), MOST_REMARKS + 1);
        assert!(report.render(Form::Full).contains("5 more remarks are left out"));
    }

    #[test]
    fn memory_belongs_to_the_program_that_held_it_not_to_the_one_that_followed() {
        let mut report = Report::new(Session::default());
        let pid = std::process::id() as i32;
        report.executed(pid, Path::new("/usr/bin/client"));
        report.opened(pid, b"/dev/nvidiactl", Some(&Seen::Node(overlay::Node::Control)));
        report.executed(pid, Path::new("/usr/bin/follower"));
        report.finished(pid, &[], 1 << 20);
        let text = report.render(Form::Full);
        assert!(text.contains("device memory, at most: 1.0 MiB") && !text.contains("follower"), "{text}");
    }

    #[test]
    fn json_holds_what_the_text_holds() {
        let mut report = told(NoteKind::Initialised, 0, "cuInit");
        report.device_chosen("NVIDIA GeForce GTX 1080", (6, 1));
        let pid = std::process::id() as i32;
        report.opened(pid, b"/dev/nvidiactl", Some(&Seen::Node(overlay::Node::Control)));
        report.finished(pid, &[], 1 << 20);
        let value: serde_json::Value = serde_json::from_str(&report.render(Form::Json)).unwrap();
        assert_eq!(value["capability"], "6.1");
        assert_eq!(value["processes"][0]["told"][0]["text"], "cuInit");
        assert_eq!(value["processes"][0]["memory_peak"], 1 << 20);
        assert_eq!(value["findings"], serde_json::json!([]));
    }
}
