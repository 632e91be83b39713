//! What one process did that has to do with CUDA.

use std::path::{Path, PathBuf};

use overlay::{Node, Seen};
use serde::{Deserialize, Serialize};
use wire::control::NoteKind;
use wire::figures::KernelCost;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A library or driver file that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The path as the process gave it.
    pub path: Vec<u8>,
    /// What was answered; `None` for a library that is none of ours.
    pub seen: Option<Seen>,
}

/// Something that the payload told, with repetitions counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it is about.
    pub kind: NoteKind,
    /// Depends on the kind.
    pub value: i64,
    /// Names the thing.
    pub text: String,
    /// How often.
    pub times: u64,
}

/// The record of one process between two execs.
#[derive(Debug)]
pub struct Process {
    /// Its id in our pid namespace.
    pub pid: i32,
    /// Its program, as it was asked for.
    pub program: PathBuf,
    /// The file that runs: of a script, its interpreter. Known once it has opened something that has to do with CUDA.
    pub executable: Option<PathBuf>,
    /// Its root directory, where that is not ours.
    pub root: Option<PathBuf>,
    /// Files that it opened, in order, each once.
    pub opened: Vec<Opened>,
    /// What the payload in it told.
    pub told: Vec<Told>,
    /// What checks found in its kernels, and how often: texts of several lines.
    pub checked: Vec<(String, u64)>,
    /// What each of its kernels cost.
    pub kernels: Vec<KernelCost>,
    /// Most device memory held at once.
    pub memory_peak: u64,
    /// How it ended, if it has.
    pub exit: Option<Exit>,
}

/// A process that tells more different things than this is counted, not recorded.
const MOST_TOLD: usize = 1000;

impl Process {
    /// A process that starts this program.
    pub fn new(pid: i32, program: &Path) -> Self {
        let program = program.to_owned();
        let (opened, told) = (Vec::new(), Vec::new());
        let (kernels, checked) = (Vec::new(), Vec::new());
        Self {
            pid,
            program,
            executable: None,
            root: None,
            opened,
            told,
            checked,
            kernels,
            memory_peak: 0,
            exit: None,
        }
    }

    /// A process whose start was not seen: a fork.
    pub fn found(pid: i32) -> Self {
        let mut process = Self::new(pid, Path::new(""));
        process.look();
        // Of a process that must not be looked into, at least the short name.
        process.program = process.executable.clone().unwrap_or_else(|| name(pid));
        process
    }

    /// Whether it did anything that has to do with CUDA.
    pub fn is_related(&self) -> bool {
        !self.told.is_empty()
            || !self.checked.is_empty()
            || self.memory_peak > 0
            || self.opened.iter().any(Opened::is_related)
    }

    /// Its program, unless that only was looked for along PATH: then it is not there. A static program opens nothing and is.
    pub fn program_that_ran(&self) -> Option<&PathBuf> {
        let ran = || !self.opened.is_empty() || self.sees(&self.program);
        self.executable.as_ref().or_else(|| ran().then_some(&self.program))
    }

    /// Whether there is such a file for the process; for us, if it has ended.
    fn sees(&self, path: &Path) -> bool {
        let through_process = match path.strip_prefix("/") {
            Ok(below_root) => Path::new(&format!("/proc/{}/root", self.pid)).join(below_root),
            Err(_) => Path::new(&format!("/proc/{}/cwd", self.pid)).join(path),
        };
        let cannot_ask = procfs::place() != procfs::Place::Mounted || !exists(self.pid);
        through_process.is_file() || cannot_ask && path.is_file()
    }

    /// Adds an open unless the same is there.
    pub fn opened(&mut self, opened: Opened) {
        // Not at its exec, which is reported while the old program still runs; and only where somebody will ask: a short
        // process pays for each look into /proc.
        if self.executable.is_none() && opened.is_related() {
            self.look();
        }
        if !self.opened.contains(&opened) {
            self.opened.push(opened);
        }
    }

    /// Reads what the kernel says of the process.
    fn look(&mut self) {
        self.executable = procfs::read_link(&format!("{}/exe", self.pid)).ok();
        let root = procfs::read_link(&format!("{}/root", self.pid)).ok();
        self.root = root.filter(|root| root != Path::new("/"));
    }

    /// Adds what the payload told.
    pub fn noted(&mut self, kind: NoteKind, value: i64, text: &str) {
        if kind == NoteKind::Checked {
            return self.check_found(text, value.max(0) as u64);
        }
        let same = |told: &Told| told.kind == kind && told.value == value && told.text == text;
        if let Some(index) = self.told.iter().position(same) {
            self.told[index].times += 1;
        } else if self.told.len() < MOST_TOLD {
            self.told.push(Told { kind, value, text: text.to_owned(), times: 1 });
        }
    }

    /// A check found something, so often by now.
    fn check_found(&mut self, text: &str, times: u64) {
        match self.checked.iter_mut().find(|(known, _)| known == text) {
            Some((_, known)) => *known = times,
            None => self.checked.push((text.to_owned(), times)),
        }
    }

    /// Whether it opened the virtual device.
    pub fn opened_device(&self) -> bool {
        self.opened.iter().any(|opened| opened.seen == Some(Seen::Node(Node::Control)))
    }

    /// Whether a library of ours was given to it.
    pub fn was_given(&self, soname: &str) -> bool {
        self.opened
            .iter()
            .any(|opened| matches!(&opened.seen, Some(Seen::Given { library, .. }) if *library == soname))
    }

    /// Whether it asked for a library that stands in our table and that we lack.
    pub fn was_denied(&self, soname: &str) -> bool {
        self.opened
            .iter()
            .any(|opened| matches!(&opened.seen, Some(Seen::Left { library, .. }) if *library == soname))
    }

    /// Where a file of the process lies for us.
    pub fn in_root(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Program and pid, as every line names a process.
    pub fn title(&self) -> String {
        title(&self.program, self.pid)
    }
}

impl Opened {
    /// By the answer, or by the name. Each process opens the loader's cache; that alone says nothing.
    fn is_related(&self) -> bool {
        match &self.seen {
            Some(Seen::LoaderCache) => false,
            Some(_) => true,
            None => crate::predict::may_be_related(&self.path),
        }
    }

    /// The path as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// A program's name and its process.
pub fn title(program: &Path, pid: i32) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str());
    format!("`{}` (pid {pid})", name.to_string_lossy())
}

/// Whether a path looks like a shared library's.
pub fn may_be_library(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.windows(3).any(|part| part == b".so") && name != b"ld.so.cache"
}

/// The kind of a note; notes of unknown kinds come from another version and are dropped.
pub fn note_kind(number: u32) -> Option<NoteKind> {
    use NoteKind::*;
    [
        Unsupported,
        UnknownName,
        Initialised,
        CodeRefused,
        Fault,
        AllocationFailed,
        ExportTable,
        Summary,
        Slower,
        Checked,
    ]
    .into_iter()
    .find(|kind| *kind as u32 == number)
}

/// The process that made this one.
pub fn parent(pid: i32) -> Option<i32> {
    status(pid, "PPid:")
}

fn name(pid: i32) -> PathBuf {
    let name = procfs::read_to_string(&format!("{pid}/comm"));
    name.map_or_else(|_| "(unknown program)".into(), |name| name.trim_end().into())
}

/// Whether there is such a process.
pub fn exists(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered; the call takes numbers.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

fn status(pid: i32, field: &str) -> Option<i32> {
    let status = procfs::read_to_string(&format!("{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(field)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_by_their_name() {
        assert!(may_be_library(b"/lib/libc.so.6") && may_be_library(b"x.cpython-311.so"));
        assert!(!may_be_library(b"/etc/ld.so.cache") && !may_be_library(b"/some.so/file"));
    }

    #[test]
    fn repeated_notes_are_counted() {
        let mut process = Process::new(1, Path::new("/bin/x"));
        for _ in 0..3 {
            process.noted(NoteKind::Unsupported, 0, "cuTexRefCreate");
        }
        assert_eq!((process.told.len(), process.told[0].times), (1, 3));
    }
}
