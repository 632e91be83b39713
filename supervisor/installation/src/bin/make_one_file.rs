//! Puts payload and engine into an executable: `make-one-file VGPU-RUN ENGINE PAYLOAD OUTPUT`.
//!
//! PAYLOAD is the directory that `link-payload` made. The two programs should be stripped before.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use installation::{ENGINE, Files, Packed, append};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [program, engine, payload, output] = &arguments[..] else {
        eprintln!("usage: make-one-file VGPU-RUN ENGINE PAYLOAD OUTPUT");
        return ExitCode::FAILURE;
    };
    match make(program, engine, payload, output) {
        Ok(size) => {
            println!("{:>8} KiB  {}", size / 1024, output.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make-one-file: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(program: &Path, engine: &Path, payload: &Path, output: &Path) -> Result<usize, Box<dyn Error>> {
    let read =
        |path: &Path| fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()));
    let files = Files::beside(payload.to_owned(), engine.to_owned())?;
    let mut members = vec![(ENGINE, read(engine)?)];
    for entry in &files.manifest().entries {
        members.push((&entry.name, files.read(&entry.name)?));
    }
    let members: Vec<_> = members.iter().map(|(name, bytes)| Packed { name, bytes }).collect();
    let made = append(&read(program)?, &members);
    write(output, &made).map_err(|error| format!("cannot write `{}`: {error}", output.display()))?;
    Ok(made.len())
}

/// Written aside and renamed: the old one may be running.
fn write(output: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let aside = output.with_extension("new");
    fs::write(&aside, bytes)?;
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755))?;
    fs::rename(aside, output)
}
