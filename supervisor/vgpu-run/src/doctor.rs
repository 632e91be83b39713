//! `vgpu-run doctor` and `vgpu-run profiles`: questions that need no run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use installation::Files;
use report::doctor::{self, Places, State};
use report::explain::{Candidate, explain};

use crate::failure::{Doing, FAILED, Failure};
use crate::mechanism;

/// Checks the machine, or explains files. The exit code says whether vgpu-run can work here.
pub fn doctor(files: &[PathBuf], markdown: bool) -> Result<ExitCode, Failure> {
    let payload = Files::find();
    if files.is_empty() {
        let payload = payload.map(Arc::new).map_err(|error| error.to_string());
        return Ok(check_machine(payload, markdown));
    }
    let payload = payload.doing("find the payload libraries")?;
    for file in files {
        print!("{}", explain_file(file, &payload)?);
    }
    Ok(ExitCode::SUCCESS)
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

fn explain_file(file: &Path, payload: &Files) -> Result<String, Failure> {
    let candidate = |profile: &device::Profile| Candidate {
        name: profile.key.to_owned(),
        capability: profile.capability.into(),
    };
    let candidates: Vec<_> = device::profiles().iter().map(candidate).collect();
    explain(file, Some(payload), &candidates)
        .map_err(|error| Failure::new(format!("cannot explain `{}`", file.display())).cause(error))
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
