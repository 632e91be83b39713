//! What is worth saying, and in which words.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use overlay::{Loader, Node, Reason, Seen};
use serde::{Deserialize, Serialize};
use wire::control::NoteKind;

use crate::process::{Opened, Process, Told};

/// How bad it is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The program can't use the GPU, or lost it.
    Error,
    /// Something was refused that the program may do without.
    Warning,
    /// Good to know.
    Remark,
}

/// A message, what caused it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
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

/// Findings about what one process did and told.
pub fn of_process(process: &Process) -> Vec<Finding> {
    // A loader probes many places for one library; the first says it all.
    let mut left = BTreeSet::new();
    let first = |opened: &&Opened| match &opened.seen {
        Some(Seen::Left { library, .. }) => left.insert(*library),
        _ => true,
    };
    let opened = process.opened.iter().filter(first).filter_map(|opened| of_open(process, opened));
    opened.chain(process.told.iter().filter_map(|told| of_note(process, told))).collect()
}

/// A program that can't use the payload, whatever it does.
pub fn of_foreign_program(program: &Path) -> Option<Finding> {
    let loader = overlay::loader_of(&File::open(program).ok()?);
    let why = reason_text(&Reason::Loader(loader.clone()));
    let finding = Finding::new(
        Severity::Remark,
        format!("`{}` was followed, but gets no library of ours", program.display()),
    );
    (!loader.can_load_payload()).then(|| finding.cause(why))
}

fn of_open(process: &Process, opened: &Opened) -> Option<Finding> {
    let title = |what: String| format!("{}: {what}", process.title());
    match opened.seen.as_ref()? {
        Seen::Left { library, reason } => {
            let severity = if *reason == Reason::NotInPayload { Severity::Warning } else { Severity::Error };
            let message = title(format!("`{library}` was not given for `{}`", opened.text()));
            let finding = Finding::new(severity, message).cause(reason_text(reason));
            Some(match reason {
                Reason::Loader(_) => {
                    finding.hint("only x86-64 programs of glibc systems can use the virtual GPU")
                }
                Reason::NotInPayload if library.starts_with("libcudart") => finding
                    .cause("NVIDIA's own runtime demands a proof of validity from the driver, which we do not forge")
                    .hint("use a build of the program for a CUDA release whose runtime we have (`vgpu-run doctor`)"),
                _ => finding,
            })
        }
        Seen::Node(Node::Raw(node)) => Some(
            Finding::new(Severity::Warning, title(format!("`{node}` was opened and refused")))
                .cause("the program speaks to the kernel driver itself, and that interface is not emulated for this card or node")
                .hint("programs that use libcuda or libnvidia-ml need no such node here; `--gpu h100` has `/dev/nvidia0` and `/dev/nvidia-uvm`"),
        ),
        _ => None,
    }
}

fn of_note(process: &Process, told: &Told) -> Option<Finding> {
    let severity = match told.kind {
        NoteKind::Initialised if told.value == 0 => return None,
        NoteKind::Summary | NoteKind::Checked => return None,
        NoteKind::ExportTable if told.text.starts_with(PROOF_OF_VALIDITY) => {
            return Some(proof_wanted(process));
        }
        NoteKind::Initialised | NoteKind::CodeRefused | NoteKind::Fault => Severity::Error,
        NoteKind::Unsupported | NoteKind::AllocationFailed => Severity::Warning,
        NoteKind::Slower if told.value != 0 => Severity::Warning,
        NoteKind::UnknownName | NoteKind::ExportTable | NoteKind::Slower => Severity::Remark,
    };
    Some(Finding::new(severity, format!("{}: {}", process.title(), told_text(told))))
}

/// The private table that only a runtime of NVIDIA's asks for; see `inspect` for how such a file shows itself.
const PROOF_OF_VALIDITY: &str = "d4082055";

/// The private tables that every runtime of NVIDIA's asks for at its first call, that one included. Its compilers and linkers
/// ask for others.
const TABLES_OF_THE_RUNTIME: &[&str] = &["6bd5fb6c", "a094798c", "42d85a81", "c693336e", PROOF_OF_VALIDITY];

/// Whether a runtime of NVIDIA's was not only loaded, but used.
pub fn runtime_was_used(process: &Process) -> bool {
    let is_of_runtime = |told: &Told| {
        told.kind == NoteKind::ExportTable
            && TABLES_OF_THE_RUNTIME.iter().any(|table| told.text.starts_with(table))
    };
    process.told.iter().any(is_of_runtime)
}

fn proof_wanted(process: &Process) -> Finding {
    let message =
        format!("{}: a runtime of NVIDIA's asked the driver for its proof of validity", process.title());
    Finding::new(Severity::Error, message)
        .cause("the program, or a library of its, carries the runtime statically; only NVIDIA's driver gives that proof")
        .hint("link the program with `nvcc -cudart shared`: then our runtime takes its place")
}

/// Results that clients meet, from the public documentation of CUresult; the runtime's numbers agree in these.
const RESULTS: &[(i64, &str)] = &[
    (1, "INVALID_VALUE"),
    (2, "OUT_OF_MEMORY"),
    (3, "NOT_INITIALIZED"),
    (34, "STUB_LIBRARY"),
    (35, "INSUFFICIENT_DRIVER"),
    (100, "NO_DEVICE"),
    (101, "INVALID_DEVICE"),
    (200, "INVALID_IMAGE"),
    (209, "NO_BINARY_FOR_GPU"),
    (218, "INVALID_PTX"),
    (500, "NOT_FOUND"),
    (700, "ILLEGAL_ADDRESS"),
    (719, "LAUNCH_FAILED"),
    (801, "NOT_SUPPORTED"),
    (999, "UNKNOWN"),
];

fn result_text(function: &str, value: i64) -> String {
    let name = RESULTS.iter().find(|(number, _)| *number == value && !function.starts_with("nvml"));
    name.map_or_else(|| format!("error {value}"), |(_, name)| format!("error {value} ({name})"))
}

/// One note, in words.
pub fn told_text(told: &Told) -> String {
    let text = &told.text;
    match told.kind {
        NoteKind::Initialised if told.value == 0 => format!("{text}: success"),
        NoteKind::Initialised => format!("{text}: {}", result_text(text, told.value)),
        NoteKind::Summary | NoteKind::Checked => text.clone(),
        NoteKind::Unsupported => format!("called `{text}`, which we lack"),
        NoteKind::UnknownName => format!("asked for `{text}`, which we do not know"),
        NoteKind::CodeRefused => format!("code refused: {text}"),
        NoteKind::Fault => format!("a kernel faulted: {text}"),
        NoteKind::AllocationFailed => format!("{} bytes of device memory were refused: {text}", told.value),
        NoteKind::ExportTable => format!("asked for the private table {text}"),
        NoteKind::Slower => format!("is slower than it could be: {text}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_that_we_lack_is_told_once_with_what_follows() {
        let mut process = Process::new(1, Path::new("/usr/bin/client"));
        for place in ["/opt/app/libcudart.so.13", "/usr/lib/libcudart.so.13"] {
            let seen = Seen::Left { library: "libcudart.so.13", reason: Reason::NotInPayload };
            process.opened.push(Opened { path: place.into(), seen: Some(seen) });
        }
        let findings = of_process(&process);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("`libcudart.so.13` was not given for `/opt/app/"),
            "{findings:?}"
        );
        assert_eq!(findings[0].causes.len(), 2);
    }

    #[test]
    fn refused_loader_and_raw_node_are_explained() {
        let mut process = Process::new(1, Path::new("/usr/bin/client"));
        let loader = Reason::Loader(Loader::Other("/lib/ld-musl-x86_64.so.1".into()));
        let seen = [
            Seen::Left { library: "libcuda.so.1", reason: loader },
            Seen::Node(Node::Raw("/dev/nvidia0".into())),
        ];
        process.opened.extend(seen.map(|seen| Opened { path: b"/x".to_vec(), seen: Some(seen) }));
        let findings = of_process(&process);
        assert_eq!((findings[0].severity, findings[1].severity), (Severity::Error, Severity::Warning));
        assert!(findings[0].causes[0].contains("ld-musl"), "{findings:?}");
        assert!(findings[1].message.contains("`/dev/nvidia0` was opened and refused"), "{findings:?}");
    }
}
