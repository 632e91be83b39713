//! Options of a run or an attachment.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mediation::{Set, TimeShare};
use wire::engine::{ISA_VARIABLE, TIER_VARIABLE};

use super::subcommands::{Learn, Trace};
use super::values;

/// Options of a run or an attachment, and what it is of.
#[derive(Args, Clone, Debug)]
pub struct Session {
    /// Card to announce: a name from `vgpu-run profiles`, or `auto`
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub gpu: String,
    /// How many of them (default: 1); with `--engine host` how many of this machine's the program and all that it starts may use,
    /// or which: their indices and UUIDs, like `0,2` or `1,`; or `none` (default: all)
    #[arg(long, value_name = "N|LIST", value_parser = values::parse_gpus)]
    pub gpus: Option<Gpus>,
    /// Memory of each, like `4G` (default: the card's, at most half of this machine's); with `--engine host` how much of it the program
    /// and all that it starts may have
    #[arg(long, value_name = "SIZE", value_parser = values::parse_size)]
    pub memory: Option<u64>,
    /// With `--engine host`: how much of its GPUs' time the program and all that it starts may have, like `25%`; what is to be changed
    /// later by `vgpu-run limit` can begin with `100%`
    #[arg(long, value_name = "PERCENT", value_parser = values::parse_time_share)]
    pub cores: Option<TimeShare>,
    /// How much of the file system is covered: `full` adds stat, directory listings and relative opens, and
    /// makes programs that walk directories slower
    #[arg(long, value_enum, default_value_t = Overlay::Lean)]
    pub overlay: Overlay,
    /// Say at the end what each program did with the GPU (always, in short, when something went wrong)
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "human")]
    pub report: Option<Report>,
    /// As root: let setuid programs change the user (they run under our filter)
    #[arg(long)]
    pub allow_setuid: bool,
    /// Check what kernels do, in the interpreter: accesses outside of memory, races in shared memory, reads of what nothing
    /// wrote, memory that is not freed; findings are listed at the end
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CHECKS")]
    pub check: Vec<Check>,
    /// Exit with this status if a check found something (default: the program's own)
    #[arg(long, value_name = "STATUS", requires = "check", value_parser = clap::value_parser!(u8).range(1..))]
    pub check_exit_code: Option<u8>,
    /// Let this be wrong with a GPU from the start, like `ecc corrected 3`; can be repeated (see `vgpu-run inject --help`)
    #[arg(long, value_name = "FAULT", value_parser = values::parse_fault)]
    pub inject: Vec<broker::Order>,
    /// How the program's calls are brought to us; `auto` takes `notify`, and another where that is not to be had
    #[arg(long, value_enum, default_value_t = Mechanism::Auto)]
    pub mechanism: Mechanism,
    /// What runs the kernels
    #[arg(long, value_enum, default_value_t = Engine::Cpu)]
    pub engine: Engine,
    /// With `--engine host`: take this machine's driver for that release, if its own is not known
    #[arg(long, value_name = "VERSION")]
    pub driver_abi: Option<String>,
    /// With `--engine host`: only look at calls of the driver, for `vgpu-run trace` and `--report`; nothing is limited
    #[arg(long)]
    pub observe: bool,
    /// With `--engine host`: what may be asked of the driver, beside what every program needs (default: all that vgpu-run knows)
    #[arg(long, value_name = "SETS", value_delimiter = ',', value_parser = values::set_parser())]
    pub allow: Vec<Set>,
    /// With `--engine host`: what may not be asked of the driver
    #[arg(long, value_name = "SETS", value_delimiter = ',', value_parser = values::set_parser())]
    pub deny: Vec<Set>,
    /// With `--engine host`: only what this file lists may be asked of the driver (see `vgpu-run learn`)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    #[command(flatten)]
    pub code: Code,
    /// Say on standard error what is answered (`info`), and each event (`debug`)
    #[arg(long, value_enum, default_value_t = Log::Warn, value_name = "LEVEL")]
    pub log: Log,
    /// For `vgpu-run trace`
    #[arg(skip)]
    pub trace: Option<Trace>,
    /// For `vgpu-run record`: where calls of the driver's nodes are written
    #[arg(skip)]
    pub record: Option<PathBuf>,
    /// For `vgpu-run learn`
    #[arg(skip)]
    pub learn: Option<Learn>,
    /// For `vgpu-run replay`: what answers them
    #[arg(skip)]
    pub replay: Option<PathBuf>,
    /// What is run or attached to.
    #[arg(skip)]
    pub target: Target,
}

/// As clap makes it of a command line without options.
impl Default for Session {
    fn default() -> Self {
        Self {
            gpu: "auto".to_owned(),
            gpus: None,
            memory: None,
            cores: None,
            overlay: Overlay::Lean,
            report: None,
            allow_setuid: false,
            check: Vec::new(),
            check_exit_code: None,
            inject: Vec::new(),
            mechanism: Mechanism::Auto,
            engine: Engine::Cpu,
            driver_abi: None,
            observe: false,
            allow: Vec::new(),
            deny: Vec::new(),
            policy: None,
            code: Code { tier: Tier::Auto, isa: Isa::Host },
            log: Log::Warn,
            trace: None,
            record: None,
            learn: None,
            replay: None,
            target: Target::default(),
        }
    }
}

impl Session {
    /// How many cards are announced.
    pub fn announced(&self) -> u32 {
        match self.gpus {
            Some(Gpus::Count(count)) => count,
            Some(Gpus::Named(_)) | None => 1,
        }
    }

    /// The subcommand that wants something of every process, which only the outermost session can do.
    pub fn of_the_whole_tree(&self) -> Option<&'static str> {
        let asked = [
            ("trace", self.trace.is_some()),
            ("record", self.record.is_some()),
            ("learn", self.learn.is_some()),
            ("replay", self.replay.is_some()),
        ];
        asked.into_iter().find(|(_, is_asked)| *is_asked).map(|(name, _)| name)
    }
}

/// How many cards, or which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gpus {
    /// So many.
    Count(u32),
    /// Those of these indices and UUIDs.
    Named(Vec<String>),
}

/// What a session is of.
#[derive(Clone, Debug)]
pub enum Target {
    /// A program and its arguments.
    Command(Vec<OsString>),
    /// A process that runs already; also if it has filters that we can't read.
    Process { pid: i32, force: bool },
}

impl Default for Target {
    fn default() -> Self {
        Self::Command(Vec::new())
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlay {
    Lean,
    Full,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Accesses outside of allocations, shared and local memory, or misaligned
    Memory,
    /// Unordered accesses of threads of a block to shared memory
    Race,
    /// Reads of device and shared memory that nothing wrote
    Init,
    /// Device memory that is not freed at the end
    Leak,
}

impl Check {
    /// As the engine knows it.
    pub fn name(self) -> &'static str {
        match self {
            Check::Memory => "memory",
            Check::Race => "race",
            Check::Init => "init",
            Check::Leak => "leak",
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    Human,
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Auto,
    /// The kernel notifies us of the calls that a seccomp filter names
    Notify,
    /// We trace the program, which stops at the calls that a seccomp filter names; it cannot be debugged
    Ptrace,
    /// We trace every call: slow, but needs no filter, and comes before the filters of others
    PtraceSyscalls,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// This program, on the CPU, whether or not there is a GPU
    Cpu,
    /// This machine's GPU, by its own driver and NVIDIA's libraries; calls of the driver's nodes are made in the program's place
    Host,
    /// Nothing: the driver's nodes are emulated for libraries of NVIDIA's that the program has, such as those of its `nvidia-smi`; name a
    /// card by `--gpu`
    Nodes,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Log {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How the CPU engine runs kernels.
#[derive(Args, Clone, Copy, Debug)]
pub struct Code {
    /// Interpret kernels, compile all of them before their first launch, or compile those for which it is worth it
    #[arg(long, value_enum, default_value_t = Tier::Auto)]
    pub tier: Tier,
    /// Processor that code is made for: this one, or the least that the engine runs on
    #[arg(long, value_enum, default_value_t = Isa::Host)]
    pub isa: Isa,
}

impl Code {
    /// As the engine's environment says it.
    pub fn variables(self) -> [(&'static str, String); 2] {
        let word = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().to_owned())
        };
        [
            (TIER_VARIABLE, word(self.tier.to_possible_value())),
            (ISA_VARIABLE, word(self.isa.to_possible_value())),
        ]
    }
}

/// The words of [`wire::choice::TIER`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Auto,
    Interpreter,
    Compiled,
}

/// The words of [`wire::choice::ISA`].
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    Host,
    Avx2,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_knows_each_word_for_tier_and_instructions() {
        let has = |known: Vec<&str>, word: &str| assert!(known.contains(&word), "{word}");
        for (tier, isa) in Tier::value_variants().iter().zip(Isa::value_variants().iter().cycle()) {
            let [tier, isa] = Code { tier: *tier, isa: *isa }.variables();
            has(wire::choice::TIER.known().collect(), &tier.1);
            has(wire::choice::ISA.known().collect(), &isa.1);
        }
    }
}
