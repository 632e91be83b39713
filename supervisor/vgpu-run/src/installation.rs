//! Where our own files are.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};

/// Names a directory with `vgpu-engine` and `payload/`, instead of the one that holds `vgpu-run`.
pub const VGPU_RUN_LIBEXEC: &str = "VGPU_RUN_LIBEXEC";

/// The files that belong to this program.
#[derive(Debug)]
pub struct Installation {
    /// Directory with the payload libraries.
    pub payload: PathBuf,
    /// The engine's program.
    pub engine: PathBuf,
}

impl Installation {
    /// Finds them.
    pub fn find() -> Result<Self, Failure> {
        if let Some(directory) = env::var_os(VGPU_RUN_LIBEXEC).map(PathBuf::from) {
            return Ok(Self { payload: directory.join("payload"), engine: directory.join("vgpu-engine") });
        }
        let program = env::current_exe().doing("find the directory of vgpu-run")?;
        let candidates = overlay::default_directories(&program);
        let payload = candidates.iter().find(|directory| directory.is_dir()).or(candidates.first());
        let payload = payload.cloned().ok_or_else(|| Failure::new("vgpu-run lies in no directory"))?;
        Ok(Self { engine: engine_beside(&program, &payload), payload })
    }
}

fn engine_beside(program: &Path, payload: &Path) -> PathBuf {
    let candidates = [program.with_file_name("vgpu-engine"), payload.with_file_name("vgpu-engine")];
    candidates.iter().find(|engine| engine.is_file()).unwrap_or(&candidates[0]).clone()
}
