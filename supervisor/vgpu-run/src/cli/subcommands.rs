//! Options of what is asked without a run.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::session::Code;
use super::values;

/// Which kernels are compiled ahead, and for what.
#[derive(Args, Clone, Debug)]
pub struct Warm {
    /// Card whose PTX is compiled: a name from `vgpu-run profiles`
    #[arg(long, value_name = "NAME", default_value = "gtx1080")]
    pub gpu: String,
    /// Only kernels whose (mangled) names contain this
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub kernel: String,
    /// Shape of their blocks, like `256` or `32x8`; can be repeated (default: what each kernel's launch bounds suggest, else
    /// shapes that are often used)
    #[arg(long = "block", value_name = "XxYxZ", value_parser = values::parse_shape)]
    pub blocks: Vec<[u32; 3]>,
    #[command(flatten)]
    pub code: Code,
    /// Programs, libraries, fat binaries, PTX
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// How sessions are shown.
#[derive(Args, Clone, Debug)]
pub struct Top {
    /// Print them once, as text
    #[arg(long)]
    pub once: bool,
    /// Print them once, as JSON
    #[arg(long, conflicts_with = "once")]
    pub json: bool,
    /// How often they are asked; rates are those of that time
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = values::parse_interval)]
    pub interval: f64,
}

/// What is traced, and where it goes.
#[derive(Args, Clone, Debug)]
pub struct Trace {
    /// Only these calls: names with `*` and `?`, or a library (`cuda`, `cudart`, `nvml`, `cublas`, `nccl`); those with `!` are left out
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub filter: Vec<String>,
    /// File for the lines (default: standard error)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// File for a timeline of calls, kernels and copies, which ui.perfetto.dev shows; without `--output` no lines are printed
    #[arg(long, value_name = "FILE")]
    pub perfetto: Option<PathBuf>,
}

/// Which recordings are printed, and how.
#[derive(Args, Clone, Debug)]
pub struct Decode {
    /// Only calls with such a name (of the ioctl, the control or the class), with `*` and `?`; those with `!` are left out
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub filter: Vec<String>,
    /// Take the driver for this version (default: the one that the recording names)
    #[arg(long, value_name = "VERSION")]
    pub driver_abi: Option<String>,
    /// Recordings
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What can be done with the code cache.
#[derive(Subcommand, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Print what is in it, the most recently used first
    List,
    /// Print where it is and how large
    Size,
    /// Remove all that is in it
    Clear,
}

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
