//! Options of `vgpu-run replay`.

use std::path::PathBuf;

use clap::Args;

/// Which recordings are played, and against what.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Exit status:
  0    every call was answered as recorded, but for masked bytes
  1    a call was answered otherwise
  125  a recording cannot be read, or vgpu-run itself failed")]
pub struct Replay {
    /// Compare what the emulated driver answers with what the recorded one did
    #[arg(long, required = true)]
    pub check: bool,
    /// Card to emulate: a name from `vgpu-run profiles`
    #[arg(long, value_name = "NAME", default_value = "h100")]
    pub gpu: String,
    /// Which copy of the card, in which machine (default: `unit.toml` beside the recording, if there is one)
    #[arg(long, value_name = "FILE")]
    pub unit: Option<PathBuf>,
    /// Recordings, as JSON lines, compressed by xz if their names say so
    #[arg(required = true, value_name = "FILE.jsonl.xz")]
    pub files: Vec<PathBuf>,
}
