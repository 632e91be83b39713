//! Links the payload crates into the libraries that programs load.
//!
//! ```text
//!   target/release/liblibcudart.a ──┬─▶ target/release/payload/libcudart.so.11.0
//!                                   └─▶ target/release/payload/libcudart.so.12      + SHA256SUMS
//! ```
//!
//! Cargo can give a shared library neither a SONAME per copy nor version nodes, hence this step. Every library is checked
//! before it takes its place: what a loader of somebody else's program would trip over fails here.
//!
//! **Functions that differ between versions.** A symbol `abi12_NAME` becomes `NAME` in the libraries of major version 12 and
//! later, until another form (`abi13_NAME`) follows; so for functions (`abi12_cudaGetDeviceProperties`) and for constants that
//! name no export.
//!
//! Programs of the payload are linked by cargo; they are copied beside the libraries, stripped.
//!
//! Usage: `link-payload [DIRECTORY]`, the directory with the static libraries; by default the one that holds this program.

#![forbid(unsafe_code)]

mod check;
mod floor;
mod link;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!("link-payload: {failures} of {} libraries failed", table::LIBRARIES.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("link-payload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Links everything that can be linked, so that one broken library does not stop work on the others.
fn run() -> Result<usize> {
    let input = match std::env::args_os().nth(1) {
        Some(directory) => PathBuf::from(directory),
        None => std::env::current_exe()?.parent().context("this program lies in no directory")?.to_owned(),
    };
    let output = input.join("payload");
    std::fs::create_dir_all(&output).with_context(|| format!("cannot create `{}`", output.display()))?;
    let floor = floor::Floor::new(output.join(".floor"))?;
    let mut failures = 0;
    let mut sums = String::new();
    for library in table::LIBRARIES {
        match link::link(library, &input, &output, &floor)
            .with_context(|| format!("cannot make `{}`", library.soname))
        {
            Ok(linked) => {
                println!("{:>8} KiB  {:>4} symbols  {}", linked.size / 1024, linked.exports, library.soname);
                sums += &format!("{}  {}\n", sum(&output.join(library.soname))?, library.soname);
            }
            Err(error) => {
                eprintln!("link-payload: {error:#}");
                failures += 1;
            }
        }
    }
    for program in table::PROGRAMS {
        let size = copy(&input.join(program), &output.join(program))?;
        println!("{:>8} KiB  {:>12}  {program}", size / 1024, "program");
        sums += &format!("{}  {program}\n", sum(&output.join(program))?);
    }
    write_sums(&output, &sums)?;
    Ok(failures)
}

/// A program without what only its debuggers need. The old one may be running.
fn copy(from: &Path, to: &Path) -> Result<u64> {
    let aside = to.with_extension("new");
    let stripped = Command::new("strip").arg("--strip-all").arg("-o").arg(&aside).arg(from).status();
    let stripped = stripped.context("cannot run `strip`")?;
    ensure!(stripped.success(), "`strip` failed on `{}`", from.display());
    std::fs::rename(&aside, to).with_context(|| format!("cannot write `{}`", to.display()))?;
    Ok(to.metadata()?.len())
}

fn sum(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Written aside and renamed: a `vgpu-run` may be starting.
fn write_sums(directory: &Path, sums: &str) -> Result<()> {
    let path = directory.join("SHA256SUMS");
    let aside = directory.join(".SHA256SUMS");
    std::fs::write(&aside, sums)
        .and_then(|()| std::fs::rename(&aside, &path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}
