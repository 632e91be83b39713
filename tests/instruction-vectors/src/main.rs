//! Records what the GPU of this machine answers to every case, and how the interpreter differs from it.
//!
//! ```text
//! instruction-vectors list                       every case, a line each
//! instruction-vectors show WORDS                 the modules of the cases whose text contains WORDS
//! instruction-vectors refused                    what the interpreter does not take, and why
//! instruction-vectors record OUT [PROCESSES]     OUT: golden results, not compressed; OUT.differences: where the interpreter differs;
//!                                                OUT.refused: what the driver says of what it does not take
//! ```
//!
//! The driver compiles one module for each case; several processes share the cases.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use executors::{Driver, Failure, Interpreter};
use instruction_vectors::{Case, cases, golden, judge};

/// Differences that are written for each case.
const SHOWN: usize = 6;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["list"] => {
            cases().iter().for_each(|case| println!("{}", case.text));
            Ok(())
        }
        ["show", part] => {
            let all = cases();
            all.iter().filter(|case| case.text.contains(part)).for_each(|case| println!("{}", case.module()));
            Ok(())
        }
        ["refused"] => {
            let interpreter = Interpreter::new(1);
            for case in cases() {
                if let Err(failure) = case.run(&interpreter) {
                    println!("{}: {failure}", case.text);
                }
            }
            Ok(())
        }
        ["record", out] => record(out.as_ref(), 1),
        ["record", out, processes] => processes
            .parse()
            .map_err(|_| format!("`{processes}` is no number"))
            .and_then(|processes| record(out.as_ref(), processes)),
        ["part", out, part, of] => match (part.parse(), of.parse()) {
            (Ok(part), Ok(of)) => record_part(out.as_ref(), part, of),
            _ => Err("which part of how many?".into()),
        },
        _ => Err("usage: instruction-vectors list | show WORDS | refused | record OUT [PROCESSES]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A file beside another.
fn beside(out: &Path, what: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

/// Starts processes and puts together what they write.
fn record(out: &Path, processes: usize) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let start = |part: usize| {
        let of = processes.to_string();
        Command::new(&program)
            .arg("part")
            .arg(beside(out, &part.to_string()))
            .arg(part.to_string())
            .arg(of)
            .spawn()
    };
    let children: Result<Vec<_>, _> = (0..processes).map(start).collect();
    for mut child in children.map_err(|error| error.to_string())? {
        let status = child.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("a process ended with {status}"));
        }
    }
    let mut recorded = header()?.into_bytes();
    let (mut differences, mut refused) = (String::new(), String::new());
    for part in 0..processes {
        let path = beside(out, &part.to_string());
        let take = |path: PathBuf| {
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            std::fs::remove_file(&path).map_err(|error| error.to_string())?;
            Ok::<_, String>(bytes)
        };
        differences += &String::from_utf8_lossy(&take(beside(&path, "differences"))?);
        refused += &String::from_utf8_lossy(&take(beside(&path, "refused"))?);
        recorded.extend(take(path)?);
    }
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).map_err(|error| error.to_string());
    write(out, &recorded)?;
    write(&beside(out, "differences"), differences.as_bytes())?;
    write(&beside(out, "refused"), refused.as_bytes())
}

fn header() -> Result<String, String> {
    let date = Command::new("date").arg("+%Y-%m-%d").output().map_err(|error| error.to_string())?;
    let version = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    let is_number =
        |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
    let version = version.split_whitespace().find(is_number).unwrap_or("unknown");
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    Ok(format!("{}; driver {version}; {date}\n", Driver::open()?.describe()?))
}

fn record_part(out: &Path, part: usize, of: usize) -> Result<(), String> {
    let driver = Driver::open()?;
    let interpreter = Interpreter::new(1);
    let (mut recorded, mut differences, mut refused) = (Vec::new(), String::new(), String::new());
    for case in cases().iter().skip(part).step_by(of) {
        let results = case.run(&driver);
        golden::write(&mut recorded, case, &results);
        match results {
            Ok(results) => differences += &compare(case, &results, &case.run(&interpreter)),
            Err(failure) => {
                let _ = writeln!(refused, "{}: {}", case.text, failure.to_string().replace('\n', " "));
            }
        }
    }
    let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).map_err(|error| error.to_string());
    write(out, &recorded)?;
    write(&beside(out, "differences"), differences.as_bytes())?;
    write(&beside(out, "refused"), refused.as_bytes())
}

/// How the interpreter differs, in lines.
fn compare(case: &Case, expected: &[u64], actual: &Result<Vec<u64>, Failure>) -> String {
    let actual = match actual {
        Ok(actual) => actual,
        Err(failure) => return format!("{}: the interpreter: {failure}\n", case.text),
    };
    let threads: Vec<usize> = (0..case.count()).collect();
    let differences = judge::differences(case, &threads, expected, actual);
    if differences.is_empty() {
        return String::new();
    }
    let mut out = format!("{}: {} results differ\n", case.text, differences.len());
    let step = differences.len().div_ceil(SHOWN);
    for it in differences.iter().step_by(step) {
        let _ = writeln!(out, "    {it}");
    }
    out
}
