//! Options of what is asked without a run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use mediation::TimeShare;

use super::session::{Code, Engine, Log, Mechanism, Overlay, Report, Session, Target};
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

/// Which fault happens where.
#[derive(Args, Clone, Debug)]
pub struct Inject {
    /// Of which session, if several run: the process of vgpu-run, of its supervisor, or of a program in it
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub session: Option<u32>,
    /// What happens, and to which GPU
    #[arg(required = true, value_name = "FAULT")]
    pub words: Vec<String>,
}

/// Which session may have how much.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("limits").required(true).multiple(true).args(["memory", "cores"])))]
pub struct Limit {
    /// Process of the session: of vgpu-run, of its supervisor, or one that it runs
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub pid: u32,
    /// Memory of each card, like `4G`
    #[arg(long, value_name = "SIZE", value_parser = values::parse_size)]
    pub memory: Option<u64>,
    /// Part of the cards' time, like `25%`, if the session began with `--cores`
    #[arg(long, value_name = "PERCENT", value_parser = values::parse_time_share)]
    pub cores: Option<TimeShare>,
}

/// What is learned, and where it goes.
#[derive(Args, Clone, Debug)]
pub struct Learn {
    /// Write the sets that the program needs, instead of each thing that it asked
    #[arg(long)]
    pub sets: bool,
    /// The policy, as TOML
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What is traced, and where it goes.
#[derive(Args, Clone, Debug)]
pub struct Trace {
    /// Only these calls: names with `*` and `?`, or a library (`cuda`, `cudart`, `nvml`, `cublas`, `nccl`); of calls on the driver's
    /// nodes the ioctl's, the control's or the class's; those with `!` are left out
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

/// Which recording answers which program; or which recordings are compared with the emulated driver.
#[derive(Args, Clone, Debug)]
#[command(
    override_usage = "vgpu-run replay [OPTIONS] FILE -- CMD [ARGS]...\n       vgpu-run replay --check [OPTIONS] FILE..."
)]
#[command(after_help = "\
Calls are matched in order, by what they are and what they say; handles that the program chooses otherwise are renamed, addresses
and descriptors are its own. A call that the recording does not have fails with ENODATA and is named; so does what would make a card
work, as no recording has its memory. Files of the driver and the page of figures are those of an emulated card in the same place.

Exit status: that of CMD; with --check
  0    every call was answered as recorded, but for masked bytes
  1    a call was answered otherwise
  125  a recording cannot be read, or vgpu-run itself failed")]
pub struct Replay {
    /// Compare what the emulated driver answers with what the recorded one did (without --gpu: that of an H100)
    #[arg(long)]
    pub check: bool,
    /// With --check: which copy of the card, in which machine (default: `unit.toml` beside the recording, if there is one)
    #[arg(long, value_name = "FILE", requires = "check")]
    pub unit: Option<PathBuf>,
    /// Card of what the recording does not answer, for --check the one to emulate: a name from `vgpu-run profiles`, or `auto`
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub gpu: String,
    /// Its memory, like `4G`
    #[arg(long, value_name = "SIZE", value_parser = values::parse_size)]
    pub memory: Option<u64>,
    /// Say at the end what each program did (always, in short, when something went wrong)
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "human")]
    pub report: Option<Report>,
    /// How the program's calls are brought to us
    #[arg(long, value_enum, default_value_t = Mechanism::Auto)]
    pub mechanism: Mechanism,
    /// Say on standard error what is answered (`info`), and each event (`debug`)
    #[arg(long, value_enum, default_value_t = Log::Warn, value_name = "LEVEL")]
    pub log: Log,
    /// The recording, as JSON lines, compressed by xz if its name says so; with --check also several
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The program that is answered, and its arguments
    #[arg(last = true, required_unless_present = "check", conflicts_with = "check", value_name = "CMD")]
    pub command: Vec<OsString>,
}

impl Replay {
    /// The run that a recording answers. None: there are several recordings.
    pub fn run(self) -> Option<Session> {
        let [file] = <[PathBuf; 1]>::try_from(self.files).ok()?;
        Some(Session {
            gpu: self.gpu,
            memory: self.memory,
            report: self.report,
            mechanism: self.mechanism,
            log: self.log,
            replay: Some(file),
            // Libraries are the program's own, as they were; what they ask around the nodes has to fit.
            engine: Engine::Nodes,
            overlay: Overlay::Full,
            target: Target::Command(self.command),
            ..Session::default()
        })
    }
}
