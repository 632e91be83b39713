//! The report as text and as JSON.

use std::collections::BTreeSet;
use std::fmt::Write;

use overlay::{Seen, Storage};
use serde_json::{Value, json};

use crate::Session;
use crate::finding::{Finding, Severity};
use crate::kernels;
use crate::objects::Objects;
use crate::process::{Exit, Opened, Process};

/// What is told of one process.
pub struct Account<'a> {
    process: &'a Process,
    /// What it opened, each with the answer.
    opened: Vec<(String, String)>,
}

impl<'a> Account<'a> {
    /// From its record and its files.
    pub fn new(process: &'a Process, objects: &Objects) -> Self {
        let of_own = |path: &str| {
            let object = objects.all.iter().find(|object| object.path == path)?;
            crate::predict::own_file_text(object)
        };
        // A loader probes many places for a library that is not there; the first says it all.
        let mut left = BTreeSet::new();
        let mut say = |opened: &Opened| {
            let path = opened.text();
            let answer = match &opened.seen {
                Some(Seen::Left { library, .. }) if !left.insert(*library) => return None,
                Some(seen) => answer_text(seen)?,
                None => of_own(&path)?,
            };
            Some((path, answer))
        };
        Self { process, opened: process.opened.iter().filter_map(&mut say).collect() }
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

/// Everything.
pub fn full(session: &Session, processes: &[Account], others: u64, findings: &[Finding]) -> String {
    let mut text = head(session);
    for process in processes {
        write_process(&mut text, process);
    }
    let _ = writeln!(text, "\nprograms that did nothing with CUDA: {others}");
    for finding in findings {
        text.push('\n');
        write_finding(&mut text, finding);
    }
    text
}

/// Everything, for programs.
pub fn json(session: &Session, processes: &[Account], findings: &[Finding]) -> String {
    let value = json!({
        "device": session.device,
        "capability": session.capability.map(|(major, minor)| format!("{major}.{minor}")),
        "processes": processes.iter().map(process_value).collect::<Vec<_>>(),
        "findings": findings.iter().map(finding_value).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn head(session: &Session) -> String {
    match session.capability {
        Some((major, minor)) => format!("device: {}, compute capability {major}.{minor}\n", session.device),
        None => "device: none was asked for\n".to_owned(),
    }
}

fn write_process(text: &mut String, Account { process, opened }: &Account) {
    let _ = writeln!(text, "\n{}: {}{}", process.title(), process.program.display(), exit_text(process.exit));
    for (path, answer) in opened {
        let _ = writeln!(text, "  opened {path}: {answer}");
    }
    for told in &process.told {
        let times = if told.times > 1 { format!(" ({} times)", told.times) } else { String::new() };
        let _ = writeln!(text, "  {}{times}", crate::finding::told_text(told));
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
        Seen::Node(overlay::Node::Raw(_)) => "refused, no device".to_owned(),
        Seen::DriverFile => "text of the virtual driver".to_owned(),
        Seen::Left { library, reason } => {
            format!("not our {library}: {}", crate::finding::reason_text(reason))
        }
    })
}

fn process_value(Account { process, opened }: &Account) -> Value {
    let exit = match process.exit {
        Some(Exit::Code(code)) => json!({ "code": code }),
        Some(Exit::Signal(signal)) => json!({ "signal": signal }),
        None => Value::Null,
    };
    json!({
        "pid": process.pid,
        "program": process.program.to_string_lossy(),
        "exit": exit,
        "opened": opened.iter().map(|(path, answer)| json!({ "path": path, "answer": answer })).collect::<Vec<_>>(),
        "told": process.told.iter().map(|told| json!({
            "kind": format!("{:?}", told.kind), "text": told.text, "value": told.value, "times": told.times,
        })).collect::<Vec<_>>(),
        "checks": crate::checked::values(process),
        "memory_peak": process.memory_peak,
        "kernels": kernels::by_time(&process.kernels).into_iter().map(kernels::value).collect::<Vec<_>>(),
    })
}

fn finding_value(finding: &Finding) -> Value {
    json!({
        "severity": word(finding.severity),
        "message": finding.message,
        "causes": finding.causes,
        "hints": finding.hints,
    })
}
