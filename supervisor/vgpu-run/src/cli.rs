//! Options and arguments: what is typed, and what variables and files set ([`settings`]).

mod printing;
mod replay;
mod settings;
mod values;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use wire::engine::{ISA_VARIABLE, TIER_VARIABLE};

use crate::failure::{FAILED, Failure};

pub use replay::Replay;

/// What the command line asks for.
pub enum Action {
    /// Run a program.
    Run(Session),
    /// Check this machine, or explain programs.
    Doctor { files: Vec<PathBuf>, markdown: bool },
    /// List the cards.
    Profiles,
    /// Show what sessions do.
    Top(Top),
    /// Compile kernels ahead.
    Warm(Warm),
    /// Look into the code cache, or empty it.
    Cache(Cache),
    /// Print recordings as text.
    Decode(Decode),
    /// Play recorded calls to the emulated driver.
    Replay(Replay),
    /// Print something made of the options themselves.
    Print(Text),
    /// Say which version this is.
    Version,
}

/// What is printed and ends.
pub struct Text(Vec<u8>);

impl Text {
    /// Writes it to standard output.
    pub fn print(&self) -> ExitCode {
        match std::io::stdout().write_all(&self.0) {
            Ok(()) => ExitCode::SUCCESS,
            // A reader that has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(FAILED),
        }
    }
}

/// Gives an unmodified program an NVIDIA GPU that this machine does not have.
#[derive(Parser)]
#[command(name = "vgpu-run", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Environment:
  XDG_CACHE_HOME    where a directory `vgpu-run` for our libraries and compiled code is made (default: ~/.cache); without
                    one that can be written libraries are given from memory, and code is compiled in each run
  VGPU_RUN_LIBEXEC  directory with `vgpu-engine` and `payload/`, instead of those inside or beside vgpu-run
  VGPU_RUN_CONFIG   configuration file, instead of ~/.config/vgpu-run/config.toml and /etc/vgpu-run/config.toml
  VGPU_RUN_GPU ...  each option has a variable of its name, and a key in the configuration file: see `vgpu-run config`

Exit status: that of CMD, 128 + N if signal N ended it, or
  125  vgpu-run itself failed, and said why (also: wrong options, a wrong configuration)
  126  CMD is there and cannot be executed
  127  there is no such CMD
  --check-exit-code's, if a check found something")]
#[command(
    override_usage = "vgpu-run [OPTIONS] [--] CMD [ARGS]...\n       vgpu-run attach [OPTIONS] PID\n       vgpu-run trace [OPTIONS] [--] CMD [ARGS]...\n       vgpu-run top [--once|--json]\n       vgpu-run doctor [FILE]...\n       vgpu-run profiles\n       vgpu-run warm [OPTIONS] FILE...\n       vgpu-run cache list|size|clear\n       vgpu-run replay --check FILE.jsonl.xz...\n       vgpu-run config\n       vgpu-run completions SHELL\n       vgpu-run man [SUBCOMMAND]"
)]
struct CommandLine {
    #[command(subcommand)]
    question: Option<Question>,
    #[command(flatten)]
    run: Run,
}

/// A run of a program.
#[derive(Args)]
struct Run {
    #[command(flatten)]
    session: Session,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// What can be asked without a run. A program of such a name is run with `vgpu-run -- NAME`.
#[derive(Subcommand)]
enum Question {
    /// Give the GPU to a process that runs already, its threads and what it starts from now on, until it ends or Ctrl-C
    #[command(after_help = "\
A service: `sudo vgpu-run attach $(systemctl show --value --property MainPID NAME)`. What systemd starts in its place later is
another process, to be attached to again; for good, put vgpu-run into the unit (examples/ollama-vgpu-run.conf).")]
    Attach {
        /// The process
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        pid: i32,
        /// Also if the process has a seccomp filter that can't be read: one that kills for `seccomp(2)` ends it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        session: Box<Session>,
    },
    /// Check what this machine offers, or explain programs and libraries: what they need and whether they get it
    #[command(after_help = "\
Exit status:
  0    the machine is fit, or every file would work
  1    a file would not work, for a reason that is said
  125  the machine is not fit, or vgpu-run itself failed")]
    Doctor {
        /// Programs and libraries to explain
        files: Vec<PathBuf>,
        /// As Markdown, to paste into an issue
        #[arg(long = "report")]
        markdown: bool,
    },
    /// Run a program, and print each call that it makes of CUDA and NVML
    #[command(override_usage = "vgpu-run trace [OPTIONS] [--] CMD [ARGS]...")]
    Trace {
        #[command(flatten)]
        trace: Trace,
        #[command(flatten)]
        session: Box<Session>,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Print the device calls of recordings (.jsonl, .jsonl.xz) as lines of text: names, fields, what was answered
    Decode(Decode),
    /// List the cards that can be announced
    Profiles,
    /// Show what this user's sessions do, live (to root, all sessions): processes, memory, kernels, queues; `q` ends it
    #[command(after_help = "\
Columns, of each process that has a context:
  MEMORY          what it holds of each GPU
  KERNELS/S BUSY  kernels that ended, and the share of the time in which some ran
  COMPILED        share of the kernels' time that went by in compiled code
  QUEUE           commands in streams that are not done; `+`: and some that nobody has looked at yet
  COMPILER        kernels that are being compiled, and those that wait for it
  BUSIEST KERNEL  the one that took the most time since the start

Sessions in other network namespaces, as those of containers may be, are not seen: run it in there.")]
    Top(Top),
    /// Compile the kernels of programs and libraries ahead, into the cache that all later runs use
    Warm(Warm),
    /// Look after compiled code that is kept for later runs
    Cache {
        #[command(subcommand)]
        what: Cache,
    },
    /// Play a program's recorded calls of the driver's nodes to the emulated driver
    Replay(Replay),
    /// Print the configuration in force, as a configuration file, and where each value comes from
    Config,
    /// Print the script that completes the options in a shell
    Completions {
        /// For which one
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man {
        /// Of this subcommand
        subcommand: Option<String>,
    },
}

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

/// Options of a run or an attachment, and what it is of.
#[derive(Args, Clone, Debug)]
pub struct Session {
    /// Card to announce: a name from `vgpu-run profiles`, or `auto`
    #[arg(long, value_name = "NAME", default_value = "auto")]
    pub gpu: String,
    /// How many of them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub gpus: u32,
    /// Memory of each, like `4G` (default: the card's, at most half of this machine's)
    #[arg(long, value_name = "SIZE", value_parser = values::parse_size)]
    pub memory: Option<u64>,
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
    /// How the program's calls are brought to us; `auto` takes `notify`, and another where that is not to be had
    #[arg(long, value_enum, default_value_t = Mechanism::Auto)]
    pub mechanism: Mechanism,
    /// What runs the kernels
    #[arg(long, value_enum, default_value_t = Engine::Cpu)]
    pub engine: Engine,
    #[command(flatten)]
    pub code: Code,
    /// Say on standard error what is answered (`info`), and each event (`debug`)
    #[arg(long, value_enum, default_value_t = Log::Warn, value_name = "LEVEL")]
    pub log: Log,
    /// For `vgpu-run trace`
    #[arg(skip)]
    pub trace: Option<Trace>,
    /// What is run or attached to.
    #[arg(skip)]
    pub target: Target,
}

/// As clap makes it of a command line without options.
impl Default for Session {
    fn default() -> Self {
        Self {
            gpu: "auto".to_owned(),
            gpus: 1,
            memory: None,
            overlay: Overlay::Lean,
            report: None,
            allow_setuid: false,
            check: Vec::new(),
            check_exit_code: None,
            mechanism: Mechanism::Auto,
            engine: Engine::Cpu,
            code: Code { tier: Tier::Auto, isa: Isa::Host },
            log: Log::Warn,
            trace: None,
            target: Target::default(),
        }
    }
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
    Cpu,
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

impl From<Run> for Action {
    fn from(run: Run) -> Self {
        Action::Run(Session { target: Target::Command(run.command), ..run.session })
    }
}

/// A run and nothing else: what is typed nearly always. For the whole command line clap makes ten subcommands with all their
/// options, which takes longer than what else we do before we fork. Whatever is no plain run is `None`, mistakes as well.
fn parse_plain_run(words: &[OsString]) -> Option<Run> {
    let command = match words.get(1..)? {
        [dashes, command @ ..] if dashes == "--" => command,
        command @ [program, ..] if !is_option(program) && !is_subcommand(program) => command,
        words => return parse_options_of_run(words),
    };
    let run = || Run { session: Session::default(), command: command.to_vec() };
    (!command.is_empty()).then(run)
}

fn parse_options_of_run(words: &[OsString]) -> Option<Run> {
    if words.iter().any(is_subcommand) {
        return None;
    }
    let command = Run::augment_args(clap::Command::new("vgpu-run").no_binary_name(true));
    Run::from_arg_matches(&command.try_get_matches_from(words).ok()?).ok()
}

fn is_option(word: &OsString) -> bool {
    word.as_bytes().starts_with(b"-") || word.is_empty()
}

fn is_subcommand(word: &OsString) -> bool {
    const NAMES: [&str; 13] = [
        "attach",
        "doctor",
        "trace",
        "decode",
        "profiles",
        "top",
        "warm",
        "cache",
        "replay",
        "config",
        "completions",
        "man",
        "help",
    ];
    NAMES.iter().any(|name| word == name)
}

/// Parses the command line, with what variables and files set; for `--help` and mistakes, prints and returns the exit code.
pub fn parse() -> Result<Action, ExitCode> {
    let failed = |failure: Failure| {
        eprint!("{failure}");
        ExitCode::from(FAILED)
    };
    let sources = settings::Sources::find().map_err(failed)?;
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(run) = sources.set_nothing().then(|| parse_plain_run(&words)).flatten() {
        return Ok(run.into());
    }
    let command = CommandLine::command();
    let settings = settings::Settings::read(&command, sources).map_err(failed)?;
    let matches = settings.applied(command.clone()).try_get_matches_from(words);
    let line = match matches.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return Ok(Action::Version),
        Err(error) => {
            // Nothing is left to do if even that cannot be printed.
            let _ = error.print();
            return Err(if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS });
        }
    };
    let mut text = Vec::new();
    Ok(match line.question {
        Some(Question::Attach { pid, force, session }) => {
            Action::Run(Session { target: Target::Process { pid, force }, ..*session })
        }
        Some(Question::Doctor { files, markdown }) => Action::Doctor { files, markdown },
        Some(Question::Trace { trace, session, command }) => {
            Action::Run(Session { trace: Some(trace), target: Target::Command(command), ..*session })
        }
        Some(Question::Decode(order)) => Action::Decode(order),
        Some(Question::Top(order)) => Action::Top(order),
        Some(Question::Profiles) => Action::Profiles,
        Some(Question::Warm(order)) => Action::Warm(order),
        Some(Question::Cache { what }) => Action::Cache(what),
        Some(Question::Replay(order)) => Action::Replay(order),
        Some(Question::Config) => {
            printing::configuration(&command, &settings, &mut text).expect("memory takes all");
            Action::Print(Text(text))
        }
        Some(Question::Completions { shell }) => {
            printing::completions(command, shell, &mut text);
            Action::Print(Text(text))
        }
        Some(Question::Man { subcommand }) => {
            let unknown =
                || failed(Failure::new("there is no such subcommand").hint("see `vgpu-run --help`"));
            let page = printing::manual(command, subcommand.as_deref(), &mut text);
            page.ok_or_else(unknown)?.expect("memory takes all");
            Action::Print(Text(text))
        }
        None => line.run.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_after_the_program_are_the_programs() {
        let line = CommandLine::try_parse_from(["vgpu-run", "--gpus", "2", "ls", "--report", "-l"]).unwrap();
        assert_eq!(line.run.command, ["ls", "--report", "-l"]);
        assert_eq!((line.run.session.gpus, line.run.session.report), (2, None));
    }

    #[test]
    fn checks_are_listed_with_commas() {
        let parse = |words: &[&str]| CommandLine::try_parse_from([&["vgpu-run"], words].concat());
        let line = parse(&["--check", "memory,race", "--check-exit-code", "9", "ls"]).unwrap();
        assert_eq!(line.run.session.check, [Check::Memory, Check::Race]);
        assert_eq!(line.run.session.check_exit_code, Some(9));
        assert!(parse(&["--check", "luck", "ls"]).is_err());
        assert!(parse(&["--check-exit-code", "9", "ls"]).is_err(), "without a check");
    }

    #[test]
    fn a_double_dash_ends_the_options() {
        let line = CommandLine::try_parse_from(["vgpu-run", "--report", "--", "--odd-name"]).unwrap();
        assert_eq!(line.run.command, ["--odd-name"]);
        assert_eq!(line.run.session.report, Some(Report::Human));
    }

    #[test]
    fn a_trace_has_options_of_its_own_and_those_of_a_run() {
        let words =
            ["vgpu-run", "trace", "--filter", "cuMem*,nvml", "--gpus", "2", "-o", "x", "ls", "-o", "y"];
        let line = CommandLine::try_parse_from(words).unwrap();
        let Some(Question::Trace { trace, session, command }) = line.question else { panic!("no trace") };
        assert_eq!(
            (trace.filter.as_slice(), session.gpus),
            (&["cuMem*".to_owned(), "nvml".to_owned()][..], 2)
        );
        assert_eq!(command, ["ls", "-o", "y"]);
        let line = CommandLine::try_parse_from(["vgpu-run", "--", "trace", "x"]).unwrap();
        assert_eq!(line.run.command, ["trace", "x"]);
    }

    #[test]
    fn a_plain_run_is_parsed_as_the_whole_command_line_would() {
        let lines: [&[&str]; 9] = [
            &["ls"],
            &["--", "--odd-name"],
            &["ls", "doctor", "--", "--gpus", "x"],
            &["ls", "--report", "-l"],
            &["--gpus", "2", "--report=json", "--", "--odd-name"],
            &["--check", "memory,race", "--check-exit-code", "9", "ls"],
            &["--gpu=h100", "--memory", "4G", "--overlay", "full", "--allow-setuid", "ls"],
            &["--mechanism", "ptrace", "--tier", "compiled", "--isa", "avx2", "--log", "info", "ls"],
            &["no-such-subcommand", "7"],
        ];
        for words in lines {
            let words = [&["vgpu-run"], words].concat();
            let plain = parse_plain_run(&words.iter().map(OsString::from).collect::<Vec<_>>()).unwrap();
            let line = CommandLine::try_parse_from(&words).unwrap();
            assert!(line.question.is_none());
            assert_eq!(plain.command, line.run.command);
            assert_eq!(format!("{:?}", plain.session), format!("{:?}", line.run.session), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_plain_run_is_left_to_the_whole_command_line() {
        let is_left = |words: &[&str]| {
            let words: Vec<OsString> = [&["vgpu-run"], words].concat().iter().map(OsString::from).collect();
            parse_plain_run(&words).is_none()
        };
        for name in
            CommandLine::command().get_subcommands().map(|subcommand| subcommand.get_name().to_owned())
        {
            assert!(is_left(&[&name]), "{name}");
        }
        for words in [&["help"][..], &["--help"], &["-V"], &["--no-such-option", "ls"], &[], &["--"]] {
            assert!(is_left(words), "{words:?}");
        }
    }

    #[test]
    fn unknown_options_are_no_programs() {
        assert!(CommandLine::try_parse_from(["vgpu-run", "--no-such-option", "true"]).is_err());
    }

    #[test]
    fn the_engine_knows_each_word_for_tier_and_instructions() {
        let has = |known: Vec<&str>, word: &str| assert!(known.contains(&word), "{word}");
        for (tier, isa) in Tier::value_variants().iter().zip(Isa::value_variants().iter().cycle()) {
            let [tier, isa] = Code { tier: *tier, isa: *isa }.variables();
            has(wire::choice::TIER.known().collect(), &tier.1);
            has(wire::choice::ISA.known().collect(), &isa.1);
        }
    }

    #[test]
    fn a_program_is_required() {
        assert!(CommandLine::try_parse_from(["vgpu-run"]).is_err());
    }
}
