//! The report as text and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write;

use overlay::{Seen, Storage};

use crate::document::{Account, Document, Opened, Told};
use crate::finding::{Finding, Severity};
use crate::kernels;
use crate::objects::Objects;
use crate::process::{self, Exit, Process};

/// What is told of one process, from its record and its files.
pub fn account(process: &Process, objects: &Objects) -> Account {
    let of_own = |path: &str| {
        let object = objects.all.iter().find(|object| object.path == path)?;
        crate::predict::own_file_text(object)
    };
    // A loader probes many places for a library that is not there; the first says it all.
    let mut left = BTreeSet::new();
    let mut say = |opened: &process::Opened| {
        let path = opened.text();
        let answer = match &opened.seen {
            Some(Seen::Left { library, .. }) if !left.insert(*library) => return None,
            Some(seen) => answer_text(seen)?,
            None => of_own(&path)?,
        };
        Some(Opened { path, answer })
    };
    Account {
        pid: process.pid,
        program: process.program.to_string_lossy().into_owned(),
        exit: process.exit,
        opened: process.opened.iter().filter_map(&mut say).collect(),
        told: process.told.iter().map(told).collect(),
        checks: crate::checked::all(process),
        memory_peak: process.memory_peak,
        kernels: kernels::by_time(&process.kernels),
    }
}

fn told(told: &process::Told) -> Told {
    Told {
        kind: told.kind.into(),
        text: told.text.clone(),
        value: told.value,
        times: told.times,
        message: crate::finding::told_text(told),
    }
}

/// Findings that matter unasked.
pub fn short(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Remark) {
        write_finding(&mut text, finding);
    }
    text
}

/// Everything, for readers.
pub fn full(document: &Document) -> String {
    let mut text = match (&document.device, &document.capability) {
        (Some(device), Some(capability)) => format!("device: {device}, compute capability {capability}\n"),
        _ => "device: none was asked for\n".to_owned(),
    };
    for process in &document.processes {
        write_process(&mut text, process);
    }
    let _ = writeln!(text, "\nprograms that did nothing with CUDA: {}", document.others);
    for finding in &document.findings {
        text.push('\n');
        write_finding(&mut text, finding);
    }
    text
}

/// Everything, for programs.
pub fn json(document: &Document) -> String {
    let text = serde_json::to_string_pretty(document).expect("names are text, and numbers are finite");
    format!("{text}\n")
}

fn write_process(text: &mut String, process: &Account) {
    let _ = writeln!(text, "\n{}: {}{}", process.title(), process.program, exit_text(process.exit));
    for Opened { path, answer } in &process.opened {
        let _ = writeln!(text, "  opened {path}: {answer}");
    }
    for told in &process.told {
        let times = if told.times > 1 { format!(" ({} times)", told.times) } else { String::new() };
        let _ = writeln!(text, "  {}{times}", told.message);
    }
    if process.memory_peak > 0 {
        let _ =
            writeln!(text, "  device memory, at most: {:.1} MiB", process.memory_peak as f64 / 1_048_576.0);
    }
    kernels::write(text, &process.kernels);
}

/// A finding, in the lines that every message of ours has.
pub fn write_finding(text: &mut String, finding: &Finding) {
    let _ = writeln!(text, "{}: {}", word(finding.severity), finding.message);
    for cause in &finding.causes {
        let _ = writeln!(text, "  caused by: {cause}");
    }
    for hint in &finding.hints {
        let _ = writeln!(text, "hint: {hint}");
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Remark => "remark",
    }
}

fn exit_text(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Code(code)) => format!(", exit status {code}"),
        Some(Exit::Signal(signal)) => format!(", killed by signal {signal}"),
        None => String::new(),
    }
}

/// What an open got, in words; `None` where each process gets it.
pub fn answer_text(seen: &Seen) -> Option<String> {
    Some(match seen {
        Seen::LoaderCache => return None,
        Seen::Given { library, replaced: true, .. } => format!("our {library} in its place"),
        Seen::Given { library, storage: Storage::Memory, .. } => format!("our {library}, from memory"),
        Seen::Given { library, .. } => format!("our {library}"),
        Seen::Node(overlay::Node::Control) => "the virtual device".to_owned(),
        Seen::Node(overlay::Node::Gpu(_) | overlay::Node::UnifiedMemory) => {
            "the virtual device, for a program that speaks to the driver itself".to_owned()
        }
        Seen::Node(overlay::Node::Capability(_)) => "a capability of the virtual device".to_owned(),
        Seen::Node(overlay::Node::Raw(_)) => "refused, no device".to_owned(),
        Seen::DriverFile => "text of the virtual driver".to_owned(),
        Seen::Left { library, reason } => {
            format!("not our {library}: {}", crate::finding::reason_text(reason))
        }
    })
}
