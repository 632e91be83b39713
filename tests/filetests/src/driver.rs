//! Every fixture through the driver API, on whatever `libcuda.so.1` is here: `filetests-driver FOLDER`.
//!
//! On a machine with a GPU it tells whether the fixtures promise what hardware does; under `vgpu-run` the same program tests
//! the whole way from the driver API to the interpreter. A kernel that is to print or to fault runs in a process of its own
//! (`--run FILE NUMBER`): what it prints is that process's output, and nothing works behind a fault; whatever error the driver
//! answers counts.

use std::path::Path;
use std::process::{Command, ExitCode};

use executors::driver::{Driver, Module};
use filetests::{Check, Fixture, check, fixtures};

type Result<T> = std::result::Result<T, String>;

/// Runs and mismatches of one file.
fn run_file(driver: &Driver, path: &Path) -> Result<(usize, Vec<String>)> {
    let (fixture, module) = open(driver, path)?;
    let (mut runs, mut failures) = (0, Vec::new());
    for (index, run) in fixture.runs.iter().enumerate() {
        runs += 1;
        let alone = run.checks.iter().find(|check| !matches!(check, Check::Memory { .. }));
        let outcome = match alone {
            Some(expected) => happens_elsewhere(path, index, expected),
            None => check(&fixture, run, &mut |name, shape, parameters| {
                driver.launch(&module, name, shape, parameters).map(|()| String::new())
            }),
        };
        if let Err(text) = outcome {
            failures.push(format!("{}/{}/{index}: {text}", path.display(), run.kernel));
        }
    }
    Ok((runs, failures))
}

fn open(driver: &Driver, path: &Path) -> Result<(Fixture, Module)> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok((Fixture::parse(&text)?, driver.load(&text)?))
}

/// Whether a run prints or faults as it should in a process of its own.
fn happens_elsewhere(path: &Path, index: usize, expected: &Check) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program).arg("--run").arg(path).arg(index.to_string()).output();
    let text = String::from_utf8_lossy(&output.map_err(|error| error.to_string())?.stdout).into_owned();
    match expected {
        Check::Printed(wanted) if *wanted != text => Err(format!("printed {text:?}, not {wanted:?}")),
        Check::Fault(_) if !text.contains(FAULTED) => Err(format!("expected a fault, got `{text}`")),
        _ => Ok(()),
    }
}

/// What a process says whose kernel faulted.
const FAULTED: &str = "the driver answers: ";

/// One run alone.
fn run_alone(path: &Path, index: usize) -> Result<()> {
    let driver = Driver::open()?;
    let (fixture, module) = open(&driver, path)?;
    let run = fixture.runs.get(index).ok_or("no such run")?;
    // Who started this process compares what it prints.
    let _ = check(&fixture, run, &mut |name, shape, parameters| {
        if let Err(error) = driver.launch(&module, name, shape, parameters) {
            println!("{FAULTED}{error}");
        }
        Ok(String::new())
    });
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments[..] {
        [run, file, index] if run == "--run" => run_alone(file.as_ref(), index.parse().unwrap_or(usize::MAX)),
        [folder] => run_all(folder),
        _ => Err("usage: filetests-driver FOLDER".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(folder: &str) -> Result<()> {
    let driver = Driver::open()?;
    let (mut runs, mut failures) = (0, Vec::new());
    for path in fixtures(folder) {
        match run_file(&driver, &path) {
            Ok((more, wrong)) => {
                runs += more;
                failures.extend(wrong);
            }
            Err(error) => failures.push(format!("{}: {error}", path.display())),
        }
    }
    println!("{runs} runs, {} as promised", runs - failures.len().min(runs));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}
