//! Runs random programs on the GPU of this machine and on the interpreter.
//!
//! ```text
//! random-ptx show SEED                              a program's text
//! random-ptx run FROM COUNT                         checksums by the interpreter
//! random-ptx compare OUT FROM COUNT [PROCESSES]     OUT: the GPU's checksums; OUT.differences: programs that differ, made small
//! random-ptx optimized OUT FROM COUNT [PROCESSES]   the same with the driver's compiler at its best
//! random-ptx compiled OUT FROM COUNT [PROCESSES]    without a GPU: the interpreter, and compiled code
//! random-ptx all OUT FROM SECONDS [PROCESSES]           as many as there is time for, on the GPU if there is one, interpreted, and compiled in
//!                                                   every way; OUT: how many, by executor; OUT.differences: seeds
//! random-ptx way WAY SEED                           one program interpreted, and as `all` names it; made small if they differ
//! random-ptx reach FROM COUNT                       of what the compiler does in some kernels only: in how many of these programs
//! random-ptx interpreter OUT FROM COUNT [PROCESSES] the same without a GPU: the interpreter with one thread and with three
//! ```

mod soak;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use executors::interpreter::Tier;
use executors::{Driver, Executor, Interpreter};
use random_ptx::golden::Line;
use random_ptx::reach::Reach;
use random_ptx::shrink::{count, shrink};
use random_ptx::{Program, generate};

/// Programs that are made small, at most; and how often each is run for that.
const SHRUNK: usize = 4;
const ASKS: usize = 250;

/// Code that is made in a hurry keeps everything in its frame: of the largest programs more than a main thread's stack has.
const STACK: usize = 128 << 20;

fn main() -> ExitCode {
    let work = std::thread::Builder::new().stack_size(STACK).spawn(run).map(|thread| thread.join());
    match work {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => {
            eprintln!("there is no thread: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["show", seed] => number(seed).map(|seed| print!("{}", generate(seed).text())),
        ["run", from, count] => range(from, count).map(|seeds| {
            let interpreter = Interpreter::new(1);
            for seed in seeds {
                let program = generate(seed);
                match program.run(&interpreter) {
                    Ok(result) => println!("{}", Line::new(&program, result)),
                    Err(failure) => println!("{seed:x}: {failure}"),
                }
            }
        }),
        [what @ ("all" | "compare" | "optimized" | "compiled" | "interpreter"), out, from, count] => share(what, out.as_ref(), from, count, "1"),
        [what @ ("all" | "compare" | "optimized" | "compiled" | "interpreter"), out, from, count, processes] => {
            share(what, out.as_ref(), from, count, processes)
        }
        ["reach", from, count] => range(from, count).map(|seeds| print!("{}", Reach::of(seeds))),
        ["way", way, seed] => number(seed).and_then(|seed| soak::way(way, seed)),
        ["part", what, out, from, count, part, of] => part_of(what, out.as_ref(), from, count, part, of),
        _ => Err("usage: random-ptx show SEED | run FROM COUNT | compare|optimized|compiled OUT FROM COUNT [PROCESSES] | interpreter OUT FROM COUNT [PROCESSES] | all OUT FROM SECONDS [PROCESSES]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn range(from: &str, count: &str) -> Result<std::ops::Range<u64>, String> {
    let from = number(from)?;
    Ok(from..from + number(count)?)
}

fn beside(out: &Path, what: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    name.into()
}

/// Starts processes and puts together what they write.
fn share(what: &str, out: &Path, from: &str, count: &str, processes: &str) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let start = |part: u64| {
        let place = beside(out, &part.to_string());
        let mut command = Command::new(&program);
        command
            .args(["part", what])
            .arg(place)
            .args([from, count])
            .arg(part.to_string())
            .arg(processes)
            .spawn()
    };
    let parts = number(processes)?;
    let children: Result<Vec<_>, _> = (0..parts).map(start).collect();
    let mut ended_well = true;
    for (part, mut child) in children.map_err(|error| error.to_string())?.into_iter().enumerate() {
        let status = child.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            ended_well = false;
            eprintln!("process {part}: {status}");
        }
    }
    if what == "all" {
        let counts = soak::together(out, parts)?;
        print!("{counts}");
        return if ended_well { Ok(()) } else { Err("a process ended early".into()) };
    }
    let (mut lines, mut differences) = (Vec::new(), String::new());
    for part in 0..parts {
        let place = beside(out, &part.to_string());
        let take = |path: &Path| {
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            std::fs::remove_file(path).map_err(|error| error.to_string())?;
            Ok::<_, String>(text)
        };
        lines.extend(Line::all(&take(&place)?)?);
        differences += &take(&beside(&place, "differences"))?;
    }
    lines.sort_by_key(|line| line.seed);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(out, text).map_err(|error| error.to_string())?;
    std::fs::write(beside(out, "differences"), &differences).map_err(|error| error.to_string())?;
    let differ = differences.lines().filter(|line| line.starts_with("seed ")).count();
    println!("{} programs agree, {differ} differ or are refused", lines.len());
    if ended_well { Ok(()) } else { Err("a process ended early".into()) }
}

fn part_of(what: &str, out: &Path, from: &str, count: &str, part: &str, of: &str) -> Result<(), String> {
    if what == "all" {
        let seeds = (number(from)?..).skip(number(part)? as usize).step_by(number(of)? as usize);
        return soak::run(out, seeds, Duration::from_secs(number(count)?));
    }
    let seeds = range(from, count)?.skip(number(part)? as usize).step_by(number(of)? as usize);
    let interpreter = Interpreter::new(1);
    if what == "compiled" {
        return compare(out, seeds, &interpreter, &Interpreter::on(Tier::Compiled, 1));
    }
    if what == "interpreter" {
        return compare(out, seeds, &interpreter, &Interpreter::new(3));
    }
    let mut driver = Driver::open()?;
    if what == "compare" {
        // See the README of `golden`: the optimising compiler drops guards and branches that matter.
        driver.optimization = 0;
    }
    compare(out, seeds, &driver, &interpreter)
}

/// Writes the results of the first executor where the second agrees, and what differs; line by line, so that a program that never
/// ends is the one after the last.
fn compare(
    out: &Path,
    seeds: impl Iterator<Item = u64>,
    first: &dyn Executor,
    second: &dyn Executor,
) -> Result<(), String> {
    let create = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    let (mut lines, mut differences) = (create(out)?, create(&beside(out, "differences"))?);
    let mut shrunk = 0;
    for seed in seeds {
        let program = generate(seed);
        let written = match (program.run(first), program.run(second)) {
            (Ok(expected), Ok(actual)) if expected == actual => {
                writeln!(lines, "{}", Line::new(&program, expected))
            }
            (expected, actual) => {
                shrunk += 1;
                let small = if shrunk <= SHRUNK && expected.is_ok() {
                    smaller(&program, first, second)
                } else {
                    String::new()
                };
                writeln!(differences, "seed {seed}: {expected:x?}, not {actual:x?}\n{small}")
            }
        };
        written.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The smallest program that still differs, as text.
pub fn smaller(program: &Program, first: &dyn Executor, second: &dyn Executor) -> String {
    let mut fails = |candidate: &Program| {
        let expected = candidate.run(first);
        expected.is_ok() && expected != candidate.run(second)
    };
    let small = shrink(program, ASKS, &mut fails);
    let (grid, block) = (small.grid, small.block);
    let mut out = format!(
        "    {} statements of {}, grid {grid:?}, block {block:?}\n",
        count(&small.body),
        count(&program.body)
    );
    for node in &small.body {
        let _ = writeln!(out, "    {node:?}");
    }
    for difference in small.differences(first, second) {
        let _ = writeln!(out, "    {difference}");
    }
    out
}
