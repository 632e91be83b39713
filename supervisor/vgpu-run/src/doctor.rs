//! `vgpu-run doctor` and `vgpu-run profiles`: questions that need no run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use installation::Files;
use report::doctor::{self, Places, State};
use report::explain::{Candidate, Explanation, explain};
use report::inspect::Facts;
use report::loading::{self, Loading};

use crate::failure::{Doing, FAILED, Failure};
use crate::mechanism;

/// A file that was explained would not work.
const WOULD_NOT_WORK: u8 = 1;

/// Checks the machine, or explains files. The exit code says whether vgpu-run can work here, or the files can.
pub fn doctor(files: &[PathBuf], markdown: bool) -> Result<ExitCode, Failure> {
    let payload = Files::find();
    if files.is_empty() {
        let payload = payload.map(Arc::new).map_err(|error| error.to_string());
        return Ok(check_machine(payload, markdown));
    }
    let payload = payload.doing("find the payload libraries")?;
    let mut all_work = true;
    for file in files {
        let explanation = explain_file(file, &payload)?;
        print!("{}", explanation.text());
        all_work &= explanation.works();
    }
    Ok(if all_work { ExitCode::SUCCESS } else { ExitCode::from(WOULD_NOT_WORK) })
}

fn check_machine(payload: Result<Arc<Files>, String>, markdown: bool) -> ExitCode {
    let places = Places { payload: Some(payload), cache: installation::default_cache() };
    let mut checks = doctor::checks(&places);
    checks.push(mechanism::check());
    print!("{}", if markdown { doctor::markdown(&checks) } else { doctor::text(&checks) });
    match doctor::worst(&checks) {
        State::Good | State::Degraded => ExitCode::SUCCESS,
        State::Bad => ExitCode::from(FAILED),
    }
}

fn explain_file(file: &Path, payload: &Files) -> Result<Explanation, Failure> {
    let candidate = |profile: &device::Profile| Candidate {
        name: profile.key.to_owned(),
        capability: profile.capability.into(),
    };
    let candidates: Vec<_> = device::profiles().iter().map(candidate).collect();
    explain(file, Some(payload), &candidates, load)
        .map_err(|error| Failure::new(format!("cannot explain `{}`", file.display())).cause(error))
}

/// Has the system's loader look at the file, as the program of a session of our own, in which it meets our libraries.
fn load(file: &Path, facts: &Facts) -> Result<Loading, String> {
    let loader = loading::loader(facts.interpreter.as_deref()).ok_or("its loader is none of glibc's")?;
    // A plain name would be looked for where libraries are.
    let file = std::path::absolute(file).map_err(|error| error.to_string())?;
    let own = std::env::current_exe().map_err(|error| format!("our own file: {error}"))?;
    let run = Command::new(own)
        .args(["--log=off", "--"])
        .args([loader.as_os_str(), file.as_os_str()])
        .envs(loading::VARIABLES)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (output, complaints) = (text(&run.stdout), text(&run.stderr));
    let loading = Loading::parse(&output, &complaints);
    // It ends badly for a file that it does not take, and old ones crash at versions of libraries that were not found: then it
    // has said what is wrong. Else it was not asked at all.
    let said_something = loading.errors.len() + loading.missing().count() > 0;
    if run.status.success() || said_something {
        return Ok(loading);
    }
    let first = complaints.lines().next().unwrap_or("it said nothing");
    Err(format!("the loader {}: {first}", run.status))
}

/// Our version, and which files of ours are in use.
pub fn version() -> ExitCode {
    let origin = Files::find().map_or_else(|error| error.to_string(), |files| files.origin().to_string());
    println!("vgpu-run {}\n{origin}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}

/// Lists the cards that can be announced.
pub fn profiles() -> ExitCode {
    for profile in device::profiles() {
        let [major, minor] = profile.capability;
        let gibibytes = (profile.memory + (1 << 29)) >> 30;
        println!("{:<10} {major}.{minor:<3} {gibibytes:>4} GiB  {}", profile.key, profile.name);
    }
    ExitCode::SUCCESS
}
