//! `vgpu-run doctor` and `vgpu-run profiles`: questions that need no run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::doctor::{self, Places, State};
use report::explain::{Candidate, explain};

use crate::failure::{FAILED, Failure};
use crate::installation::Installation;

/// Checks the machine, or explains files. The exit code says whether vgpu-run can work here.
pub fn doctor(files: &[PathBuf], markdown: bool) -> Result<ExitCode, Failure> {
    let payload = Installation::find()?.payload;
    if files.is_empty() {
        return Ok(check_machine(payload, markdown));
    }
    for file in files {
        print!("{}", explain_file(file, &payload)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn check_machine(payload: PathBuf, markdown: bool) -> ExitCode {
    let places = Places { payload: Some(payload), cache: overlay::Config::default_cache() };
    let checks = doctor::checks(&places);
    print!("{}", if markdown { doctor::markdown(&checks) } else { doctor::text(&checks) });
    match doctor::worst(&checks) {
        State::Good | State::Degraded => ExitCode::SUCCESS,
        State::Bad => ExitCode::from(FAILED),
    }
}

fn explain_file(file: &Path, payload: &Path) -> Result<String, Failure> {
    let candidate = |profile: &device::Profile| Candidate {
        name: profile.key.to_owned(),
        capability: profile.capability.into(),
    };
    let candidates: Vec<_> = device::profiles().iter().map(candidate).collect();
    explain(file, Some(payload), &candidates)
        .map_err(|error| Failure::new(format!("cannot explain `{}`", file.display())).cause(error))
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
